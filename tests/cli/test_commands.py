"""Which of doit's own options are refused, however they are written."""

from __future__ import annotations

import pytest

from compbench.cli.commands import refuse_unsupported
from compbench.model.errors import UserError


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("-n 2", r"-n 2 \(--process\): .* one at a time"),
        ("-n2 due", "one at a time"),
        ("--process=2", "one at a time"),
        ("--proc=2 due", "one at a time"),
        ("-cn2 due", "one at a time"),
        ("-cn 2 due", "one at a time"),
        ("-n -1", "one at a time"),
        ("port=1 run -cn2 due", "one at a time"),
        ("-f dodo.py run -n 2", "one at a time"),
        ("-f dodo.py -n 2", "one at a time"),
        ("-r zero", r"-r zero \(--reporter\): .* its own output"),
        ("--rep json due", "its own output"),
        ("-crjson due", "its own output"),
        ("-s run:x", r"-s \(--single\): "),
        ("--sing run:x", "without those it depends on"),
        ("-cs run:x", "without those it depends on"),
    ],
)
def test_options_that_would_spoil_a_measurement_are_refused(words: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        refuse_unsupported(words.split())


@pytest.mark.parametrize(
    "words",
    ["", "-n 0", "-c due", "-v 2 run:x", "clean -n", "list -s", "help run", "run:x new=1", "-v2 system=-n2", "--bogus"],
)
def test_options_of_other_commands_and_harmless_ones_are_left_to_doit(words: str) -> None:
    refuse_unsupported(words.split())


@pytest.mark.parametrize(
    "words", ["forget", "forget measure:x", "ignore pages:x", "-f dodo.py reset-dep", "port=1 forget"]
)
def test_commands_that_would_only_seem_to_do_something_are_refused_in_one_line(words: str) -> None:
    with pytest.raises(UserError, match="files are the state here"):
        refuse_unsupported(words.split())
