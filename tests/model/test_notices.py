"""The catalogue of codes: what the code uses is in it, what is in it is used, and its page says the same."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from compbench.model.notices import NOTICES, OUTCOMES, as_markdown
from compbench.model.records import Outcome

ROOT = Path(__file__).resolve().parent.parent.parent
# What takes a code as its first argument, or by name.
NOTICE_MAKERS = {"Notice", "_notice", "_above"}
OUTCOME_MAKERS = {"Outcome", "ScenarioFailed", "StartError"}


def literals(makers: set[str]) -> Iterator[str]:
    for path in sorted((ROOT / "compbench").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in makers:
                codes = [keyword.value for keyword in node.keywords if keyword.arg == "code"] or node.args[:1]
                yield from (str(code.value) for code in codes if isinstance(code, ast.Constant))


def test_every_code_that_is_told_is_in_the_catalogue() -> None:
    assert set(literals(NOTICE_MAKERS)) - set(NOTICES) == set()
    assert set(literals(OUTCOME_MAKERS)) - set(OUTCOMES) == {"passed"}


def test_every_code_of_the_catalogue_is_told_somewhere() -> None:
    sources = [path for path in (ROOT / "compbench").rglob("*.py") if path.name != "notices.py"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    assert [code for code in (*NOTICES, *OUTCOMES) if f'"{code}"' not in text] == []
    assert not set(NOTICES) & set(OUTCOMES)


def test_the_page_is_the_catalogue() -> None:
    assert (ROOT / "docs" / "notices.md").read_text(encoding="utf-8").partition("\n## ")[2] == (
        as_markdown().removeprefix("## ")
    )


def test_an_outcome_has_the_advice_of_its_code_unless_it_knows_better() -> None:
    assert Outcome(verdict="failed", code="driver-error").advice == "see the driver's output"
    assert Outcome(verdict="failed", code="driver-error", advice="do that").advice == "do that"
    assert Outcome(verdict="passed", code="passed").advice == ""
