"""What the tasks beside the suite say and do: the plan, the report, cleaning, and which doit options don't fit."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from doit.cmd_base import DodoTaskLoader
from doit.cmd_run import Run
from doit.cmdparse import CmdOption, CmdParse, CmdParseError
from doit.doit_cmd import DoitMain

from compbench.cli.display import Display, span
from compbench.cli.suite import Suite
from compbench.model.errors import UserError
from compbench.model.measurement import measurement_named
from compbench.preflight import checks
from compbench.preflight.judgement import preflight_exit_code
from compbench.report import render
from compbench.store import leftovers, lock

# The exit code of a command that lacks a name.
NOTHING_ASKED_FOR = 2
# What each of doit's options would spoil.
_UNSUPPORTED = {
    "reporter": "compbench has its own output and exit codes; leave the reporter as it is",
    "num_process": "scenarios run one at a time, or they would measure each other",
    "single": "a task without those it depends on would measure without checks, or nothing; leave it out",
}


def refuse_unsupported(arguments: Sequence[str]) -> None:
    """Refuse doit options that would change how measurements are made or told.

    Raises:
        UserError: another reporter, parallel tasks, or tasks without their dependencies.
    """
    command = Run(task_loader=DodoTaskLoader())
    given = _options_of_run(arguments, command)
    for name, reason in _UNSUPPORTED.items():
        if given.get(name):
            option = command.cmdparser[name]
            value = "" if option.type is bool else f" {given[name]}"
            raise UserError(f"-{option.short}{value} (--{option.long}): {reason}")


def _options_of_run(arguments: Sequence[str], command: Run) -> dict[str, Any]:
    """Return the options for doit's `run` by name, as doit reads them: none for another command or a wrong option."""
    words = list(arguments)
    with contextlib.suppress(CmdParseError):  # doit's main program too goes on then: they may stand after the command
        words = CmdParse([CmdOption(option) for option in DodoTaskLoader.cmd_options]).parse_only(words)[1]
    words = [word for word in words if "=" not in word or word.startswith("-")]
    commands = {known.get_name() for known in DoitMain.DOIT_CMDS}
    asked = words.pop(0) if words and words[0] in commands else command.name
    if asked != command.name:
        return {}
    try:
        return dict(command.cmdparser.parse_only(words)[0])
    except CmdParseError:  # doit says so itself, before it loads any task
        return {}


def show_plan(suite: Suite, display: Display) -> None:
    """Print what `doit` would do and what the checks say; nothing is written."""
    suite.findings = [checks.run_check(name, suite.settings, suite.root) for name in checks.CHECKS]
    lines = suite.plan_lines()
    pending = [name for name, is_measured in lines if not is_measured]
    suite.verdict = runs_exit_code(suite)
    text = render(
        "plan.txt.j2",
        settings=suite.settings,
        limits=suite.settings.limits,
        run=suite.run.name if suite.run else None,
        refusal=suite.refusal,
        scenarios=lines,
        data={name: suite.data_loaded()[measurement_named(name).scenario] for name, _ in lines},
        estimate=span(suite.estimate_s(pending)),
        findings=suite.findings,
        verdict=suite.verdict,
    )
    for line in text.splitlines():
        display.line(line)


def show_capacities(suite: Suite, display: Display) -> None:
    """Say how each scenario's capacity is searched for and how long that may take; the verdict is that none was."""
    settings = suite.settings
    most_s = settings.capacity_limit_s
    display.line(
        "capacity: nothing is searched for without a name. A search doubles the rate from 100 ops/s on until the P99"
        f" target is missed, then halves the gap to {settings.capacity_precision_pct:g} %; each rate takes"
        f" {settings.capacity_step_s} s (capacity_step_s), and each search at most {span(most_s)} (capacity_limit_s)"
    )
    for name in suite.scenarios:
        display.line(f"  doit capacity:{name}")
    display.line(f"all {len(suite.scenarios)}: at most {span(len(suite.scenarios) * most_s)}")
    suite.verdict = NOTHING_ASKED_FOR


def runs_exit_code(suite: Suite) -> int:
    """Return the plan's verdict: 2 if a check would stop the suite, else 0."""
    return 2 if preflight_exit_code(suite.findings) == 1 else 0


def show_report(suite: Suite, display: Display) -> None:
    """Render the run again and say where it is."""
    run = suite.report()
    display.line(f"run {run.name} ({run.manifest.state}): rendered again in {run.folder}")


def try_notify(suite: Suite, display: Display) -> None:
    """Send a test message; the verdict is whether every address took it."""
    from compbench.cli import telling  # noqa: PLC0415 - see look_back

    suite.verdict = telling.send_test(suite.settings, display)


def look_back(name: str, suite: Suite, display: Display) -> int:
    """Do one of the tasks that look back over closed runs; return its exit code."""
    from compbench.cli import looking_back  # noqa: PLC0415 - with what it compares and draws by, only these tasks need it

    return looking_back.COMMANDS[name](suite.settings, display)


def clean(suite: Suite, display: Display, *, dryrun: bool) -> None:
    """Remove leftovers, the open or abandoned runs and caches, or say what would be removed; never a closed run.

    Raises:
        SystemExit: 2, with one line, if a suite is at work.
    """
    try:
        lock.take(suite.lock_path)  # held until this process ends
    except UserError as error:
        # doit keeps to itself what a cleaning action writes to standard error, and an exit would lose it.
        with contextlib.redirect_stderr(sys.__stderr__ or sys.stderr):
            display.error(str(error))
        raise SystemExit(2) from None
    found = suite.leftovers()
    for leftover in found:
        shown = _relative(leftover.path, suite.root)
        display.line(f"{'would remove' if dryrun else 'removing'} {shown} ({leftover.what})")
        if not dryrun:
            leftovers.remove(leftover)
    if not dryrun:
        leftovers.remove_empty(Path(suite.settings.cache_dir))
    if not found:
        display.line("nothing to remove: no leftovers, no open run, no caches")


def _relative(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else path
