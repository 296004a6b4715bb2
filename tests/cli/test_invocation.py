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
    assert words_of(called.split(), {}, found, HERE) == words.split()


def test_settings_of_the_environment_are_written_out_unless_the_command_line_has_its_own() -> None:
    environment = {"COMPBENCH_PORT": "7500", "COMPBENCH_SCALE": "0.1", "HOME": "/root"}
    words = words_of(["python", "/opt/bin/doit", "port=7600"], environment, "/opt/bin/doit", HERE)
    assert words == ["doit", "port=7600", "scale=0.1"]
