"""The command that a person pastes to go on: every setting of this one, and a program that is found from here."""

from __future__ import annotations

from pathlib import Path

import pytest

from compbench.cli.invocation import words_of

HERE = Path("/srv/bench")


@pytest.mark.parametrize(
    ("called", "found", "words"),
    [
        ("/srv/bench/.venv/bin/python /srv/bench/.venv/bin/doit new=1", None, ".venv/bin/doit"),
        (
            "python .venv/bin/doit system=embedded profile=quick new=1",
            None,
            ".venv/bin/doit system=embedded profile=quick",
        ),
        ("python3 /opt/bin/doit run:a scale=0.1 resume=2026-01-05_12-00-00", "/opt/bin/doit", "doit run:a scale=0.1"),
        ("/srv/bench/.venv/bin/python -m doit -v 2 port=1", "/opt/bin/doit", ".venv/bin/python -m doit -v 2 port=1"),
    ],
)
def test_the_words_are_those_of_the_call_without_what_only_a_first_call_says(
    called: str, found: str | None, words: str
) -> None:
    assert words_of(called.split(), found, HERE) == words.split()
