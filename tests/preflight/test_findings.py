"""The catalogue of findings: who tells one gives its fields, all of it is told, and its page says the same."""

from __future__ import annotations

from compbench.preflight.findings import FINDINGS, finding_of, findings_as_markdown
from tests.project import ROOT
from tests.told import TREES, Maker, calls, name_of, told

FIELDS = {code: template.fields for code, template in FINDINGS.items()}
MAKERS = {
    "finding_of": Maker(FIELDS, place=1),
    "judge_most": Maker(FIELDS, fields=frozenset({"value", "limit"})),
}


def test_who_finds_something_gives_the_fields_of_its_text_and_no_other() -> None:
    found = list(told(MAKERS))
    assert [one for one in found if one.given != one.wanted] == []
    # `judge_most` itself tells the one code that is not named as its check.
    assert {one.code for one in found} | {"not-readable"} == set(FINDINGS)


def test_findings_are_made_from_the_catalogue_only() -> None:
    own = [file for file, tree in TREES.items() for _, call in calls(tree) if name_of(call) == "Finding"]
    assert own == ["compbench/preflight/findings.py"]


def test_the_page_has_the_catalogue() -> None:
    page = (ROOT / "docs" / "notices.md").read_text(encoding="utf-8")
    assert page.endswith(findings_as_markdown()), "python docs/notices.py"
    assert "{" not in findings_as_markdown()


def test_how_to_mend_is_said_of_what_is_not_ok() -> None:
    high = finding_of("load", "load", "warning", value=3.0, limit=2.0)
    assert (high.check, high.code, high.found) == ("load", "load", "load average 3.00 over 1 min")
    assert (high.wanted, high.mend) == ("at most 2", "wait, or end what is busy")
    assert finding_of("load", "load", "ok", value=1.0, limit=2.0).mend == ""
    assert finding_of("load", "not-readable", "ok", why="").found == "not readable here"
