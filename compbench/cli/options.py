"""doit's command line, before any task is made: options that don't fit, tasks that don't exist; and the page of them.

The options of doit itself are read by doit's own parsers, so that both understand the same.
"""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
import textwrap
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

from doit.cmd_base import DodoTaskLoader
from doit.cmd_run import Run
from doit.cmdparse import CmdOption, CmdParse, CmdParseError
from doit.doit_cmd import DoitMain

from compbench import __version__
from compbench.cli.display import Display
from compbench.config.settings import FOUND_KEYS, Settings
from compbench.model.errors import UserError
from compbench.model.measurement import STUDIES
from compbench.report import render

if TYPE_CHECKING:
    from doit.task import Task

_MOST_NAMED = 4
# doit's options that are refused, each with the harm that it would do.
_UNSUPPORTED = {
    "reporter": "compbench has its own output and exit codes; leave the reporter as it is",
    "num_process": "scenarios run one at a time, or they would measure each other",
    "single": "a task without those it depends on would measure without checks, or nothing; leave it out",
}
# doit's commands that change its database, in which nothing is kept, each with the way to what a person means by it.
_UNSUPPORTED_COMMANDS = {
    "forget": "to measure again, say new=1; to render again, `doit report`",
    "ignore": "to measure only some scenarios, name them: doit run:<scenario>",
    "reset-dep": "what is up to date is told from the files themselves",
}


def refuse_unsupported(arguments: Sequence[str]) -> None:
    """Refuse doit options that would change how measurements are made or told.

    Raises:
        UserError: another reporter, parallel tasks, tasks without their dependencies, or a command that would only
            seem to have done something.
    """
    command = Run(task_loader=DodoTaskLoader())
    asked, words = _command_of(arguments)
    if asked in _UNSUPPORTED_COMMANDS:
        raise UserError(
            f"doit {asked}: files are the state here, there is nothing else: {_UNSUPPORTED_COMMANDS[asked]}"
        )
    given = _parsed(words, command)[0] if asked == command.name else {}
    for name, reason in _UNSUPPORTED.items():
        if given.get(name):
            option = command.cmdparser[name]
            value = "" if option.type is bool else f" {given[name]}"
            raise UserError(f"-{option.short}{value} (--{option.long}): {reason}")


def tasks_to_run(arguments: Sequence[str]) -> list[str]:
    """Return the tasks to run, as they stand on the command line: none for another command, or where all are meant."""
    command = Run(task_loader=DodoTaskLoader())
    asked, words = _command_of(arguments)
    return _parsed(words, command)[1] if asked == command.name else []


def refuse_unknown(asked: Sequence[str], tasks: Sequence[Task]) -> None:
    """Refuse a word that is neither a task nor a pattern of tasks nor a task's file, before anything is done.

    What leads to a study without beginning with its name is refused too: its measurements would be those of a suite.

    Raises:
        UserError: names the tasks that were probably meant.
    """
    names = [task.name for task in tasks]
    files = {target for task in tasks for target in task.targets}
    for word in asked:
        if _hides_a_study(word, tasks):
            told = "it names studies among others: name a study alone, without a pattern before the colon"
            raise UserError(f"{word}: {told}")
        if word in files or fnmatch.filter(names, word):
            continue
        public = [name for name in names if not name.startswith("_")]
        same_kind = [name for name in public if ":" in word and name.startswith(f"{word.partition(':')[0]}:")]
        close = difflib.get_close_matches(word, same_kind or public, n=3) or same_kind[:_MOST_NAMED]
        meant = f" (did you mean {' or '.join(close)}?)" if close else ""
        raise UserError(f"{word}: unknown task{meant}; `doit list` shows all, `doit commands` explains them")


def _hides_a_study(word: str, tasks: Sequence[Task]) -> bool:
    """Tell whether a pattern or a file leads to a study, though the word does not begin with the study's name."""
    if word.partition(":")[0] in STUDIES:
        return False
    studies = [task for task in tasks if task.name.partition(":")[0] in STUDIES]
    return any(word in task.targets or fnmatch.fnmatch(task.name, word) for task in studies)


def show_commands(tasks: Sequence[Task], display: Display) -> None:
    """Print compbench's own page of commands: its tasks, the settings, and doit's commands that are of use here."""
    shown = [task for task in tasks if not task.name.startswith("_") and not task.subtask_of and ":" not in task.name]
    page = render(
        "commands.txt.j2",
        version=__version__,
        doit_version=metadata.version("doit"),
        scenarios=[task for task in tasks if task.name.startswith("run:")],
        tasks=shown,
        settings=textwrap.wrap(", ".join(name for name in Settings.__struct_fields__ if name not in FOUND_KEYS), 110),
    )
    for line in page.splitlines():
        display.line(line)


def _command_of(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return which of doit's commands is asked for, and the words for it, as doit reads them."""
    words = list(arguments)
    with contextlib.suppress(CmdParseError):  # doit's main program too goes on then: they may stand after the command
        words = CmdParse([CmdOption(option) for option in DodoTaskLoader.cmd_options]).parse_only(words)[1]
    words = [word for word in words if "=" not in word or word.startswith("-")]
    commands = {known.get_name() for known in DoitMain.DOIT_CMDS}
    return (words[0], words[1:]) if words and words[0] in commands else (str(Run.get_name()), words)


def _parsed(words: Sequence[str], command: Run) -> tuple[dict[str, Any], list[str]]:
    """Return doit's options for `run` by name, and the tasks, as doit reads them: nothing if an option is wrong."""
    try:
        options, tasks = command.cmdparser.parse_only(list(words))
    except CmdParseError:  # doit says so itself, before it loads any task
        return {}, []
    return dict(options), tasks
