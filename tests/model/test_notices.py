"""The catalogue of notices and outcomes: who tells one gives its fields, all of it is told, its page says the same."""

from __future__ import annotations

import pytest

from compbench.model.catalogue import NOTICES, OUTCOMES, VERDICTS, notices_as_markdown
from compbench.model.notices import notice_of, outcome_of
from tests.project import ROOT
from tests.told import TREES, Maker, calls, name_of, told

OF_NOTICES = {code: entry.fields for code, entry in NOTICES.items()}
OF_OUTCOMES = {code: entry.fields for code, entry in OUTCOMES.items()}
MAKERS = {
    "notice_of": Maker(OF_NOTICES),
    "notice": Maker(OF_NOTICES),
    "_above": Maker(OF_NOTICES, fields=frozenset({"value", "limit"})),
    "outcome_of": Maker(OF_OUTCOMES),
}


def test_whoever_tells_something_gives_the_fields_of_its_text_and_no_other() -> None:
    assert [one for one in told(MAKERS) if one.given != one.wanted] == []


def test_all_of_the_catalogue_is_told_somewhere() -> None:
    assert {one.code for one in told(MAKERS)} == {*NOTICES, *OUTCOMES}
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


def test_the_page_has_the_catalogue() -> None:
    assert notices_as_markdown() in (ROOT / "docs" / "notices.md").read_text(encoding="utf-8"), "python docs/notices.py"
    assert "{" not in notices_as_markdown()


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
