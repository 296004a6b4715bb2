"""The catalogue of codes: whoever tells one gives its fields, all of it is told, and its page says the same."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from compbench.model.catalogue import NOTICES, OUTCOMES, VERDICTS, Entry, as_markdown
from compbench.model.notices import notice_of, outcome_of

ROOT = Path(__file__).resolve().parent.parent.parent
TREES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "compbench").rglob("*.py"))
}
# What takes a code first and then its fields; `_above` gives the same two fields for every code.
MAKERS = {"notice_of": NOTICES, "notice": NOTICES, "_above": NOTICES, "outcome_of": OUTCOMES}
FIELDS_OF_ABOVE = {"value", "limit"}


def name_of(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def calls(tree: ast.AST) -> Iterator[tuple[ast.FunctionDef, ast.Call]]:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            yield from ((function, node) for node in ast.walk(function) if isinstance(node, ast.Call))


def codes_in(node: ast.AST, entries: dict[str, Entry]) -> set[str]:
    return {str(c.value) for c in ast.walk(node) if isinstance(c, ast.Constant) and c.value in entries}


def told() -> Iterator[tuple[str, Entry, set[str]]]:
    """Yield place, entry and given fields of each code that is told; one in a variable is a constant beside it."""
    for file, tree in TREES.items():
        for function, call in calls(tree):
            name, passes_on = name_of(call), any(keyword.arg is None for keyword in call.keywords)
            if name not in MAKERS or passes_on or function.name == "_above":
                continue
            entries, first = MAKERS[name], call.args[0]
            codes = {str(first.value)} if isinstance(first, ast.Constant) else codes_in(function, entries)
            place = f"{file}:{call.lineno}"
            assert codes, f"{place}: which code is told here can't be seen"
            given = {keyword.arg or "" for keyword in call.keywords}
            for code in codes:
                assert code in entries, f"{place}: {code} is not in the catalogue"
                entry = entries[code]
                yield place, entry, given if name != "_above" else FIELDS_OF_ABOVE & (entry.fields | {"value"})


def test_whoever_tells_something_gives_the_fields_of_its_text_and_no_other() -> None:
    found = list(told())
    assert len(found) >= len(NOTICES) + len(OUTCOMES)
    assert [f"{place}: {given} for {entry.fields}" for place, entry, given in found if given != entry.fields] == []


def test_every_code_of_the_catalogue_is_told_somewhere() -> None:
    entries = [entry for _, entry, _ in told()]
    assert [code for code, entry in (NOTICES | OUTCOMES).items() if entry not in entries] == []
    assert not set(NOTICES) & set(OUTCOMES)
    assert set(VERDICTS) <= set(OUTCOMES)


def test_notices_and_outcomes_are_made_from_the_catalogue_only() -> None:
    own = [
        f"{file}:{call.lineno}"
        for file, tree in TREES.items()
        for _, call in calls(tree)
        if name_of(call) in ("Notice", "Outcome") and file != "compbench/model/notices.py"
    ]
    assert own == []


def test_the_page_is_the_catalogue() -> None:
    assert (ROOT / "docs" / "notices.md").read_text(encoding="utf-8").partition("\n## ")[2] == (
        as_markdown().removeprefix("## ")
    )
    assert "{" not in as_markdown()


def test_a_notice_says_what_happened_and_then_what_to_do() -> None:
    notice = notice_of("driver-output-cut", left_out=7)
    assert notice.text == (
        "the driver printed 7 bytes more than max_output_mb allows; they were left out of its output;"
        " raise max_output_mb"
    )
    assert notice_of("port-not-freed", port=7).text == "port 7 is still in use after the server has stopped"
    with pytest.raises(KeyError):
        notice_of("port-not-freed")


def test_an_outcome_has_the_verdict_and_the_advice_of_its_code_and_no_colon_before_nothing() -> None:
    failed = outcome_of("driver-error", "measure", ended="exit 1", said="")
    assert (failed.verdict, failed.phase, failed.advice) == ("failed", "measure", "see the driver's output")
    assert failed.reason == "the driver ended without a report (exit 1)"
    assert outcome_of("driver-error", ended="exit 1", said="no such file").reason.endswith("(exit 1): no such file")
    assert outcome_of("targets-missed", missed="P99", rate_ops_s=800.0).verdict == "missed"
    passed = outcome_of("passed", note="")
    assert (passed.verdict, passed.reason, passed.advice) == ("passed", "", "")
