"""What others said, made fit for every page: nothing steers a terminal, breaks XML or counts as markup."""

from __future__ import annotations

import pytest

from compbench.model.notices import Notice, Outcome
from compbench.model.texts import clean, clean_values, markdown, one_line

REPLACED = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("plain, with\ttab and\nline", "plain, with\ttab and\nline"),
        ("a\r\nb", "a\nb"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;a new title\x07rest", "rest"),
        ("bell\x07 nul\x00 escape\x1b", f"bell{REPLACED} nul{REPLACED} escape{REPLACED}"),
        ("over\rwritten", f"over{REPLACED}written"),
        ("\ud800 lone, \ufffe none, \u202e turned", f"{REPLACED} lone, {REPLACED} none, {REPLACED} turned"),
        ("ä € 日本 🙂", "ä € 日本 🙂"),
    ],
)
def test_a_text_keeps_its_words_and_loses_what_steers(raw: str, kept: str) -> None:
    assert clean(raw) == kept
    clean(raw).encode()


def test_values_are_cleaned_with_their_keys_and_numbers_are_left() -> None:
    assert clean_values({"a\x00": ["\x1b[0mb", 1.5, None, True]}) == {f"a{REPLACED}": ["b", 1.5, None, True]}


def test_outcomes_and_notices_are_one_clean_line_whoever_makes_them() -> None:
    outcome = Outcome(verdict="failed", reason="two\nlines \x1b[31mred", advice="do\x07 this")
    assert (outcome.reason, outcome.advice) == ("two lines red", f"do{REPLACED} this")
    assert Notice(code="x", text="a\n b").text == "a b" == one_line(" a\nb ")


def test_markdown_shows_a_text_as_it_is() -> None:
    assert markdown("a_b <i>|*x*` [y](z) _em_ __s__") == r"a_b \<i\>\|\*x\*\` \[y\](z) \_em\_ \_\_s\_\_"
