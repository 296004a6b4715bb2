"""The suite as a doit task graph: settings, tasks, reporter. `doit list` is its menu; README.md tells the rest."""

# Signals first: a Ctrl-C while the rest is being imported must end this process quietly too.
from compbench.machine import interrupts, standard_streams

interrupts.install()
standard_streams.ensure()

import os  # noqa: E402
import shutil  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

from doit.loader import load_tasks  # noqa: E402

from compbench.cli import command_tasks, commands, invocation, options, study_tasks, tasks  # noqa: E402
from compbench.cli.display import Display  # noqa: E402
from compbench.cli.file_state import NewerThanTargets  # noqa: E402
from compbench.cli.project import Project  # noqa: E402
from compbench.cli.reporter import reporter_for  # noqa: E402
from compbench.cli.selection import asks_for_rivals, run_kind_asked_for  # noqa: E402
from compbench.cli.suite import Suite  # noqa: E402
from compbench.config.scenarios import scenario_names  # noqa: E402
from compbench.config.sources import variables_of  # noqa: E402
from compbench.model.errors import UserError  # noqa: E402
from compbench.systems.registry import load_settings  # noqa: E402

ROOT = Path(__file__).resolve().parent

try:
    options.refuse_unsupported(sys.argv[1:])
    WORDS = invocation.words_of(sys.orig_argv, shutil.which("doit"), Path.cwd())
    VARIABLES = variables_of(sys.argv[1:])
    ASKED = options.tasks_to_run(sys.argv[1:])
    RUN_KIND, WITH_RIVALS = run_kind_asked_for(ASKED, VARIABLES), asks_for_rivals(ASKED, VARIABLES)
    SETTINGS = load_settings(ROOT, os.environ, VARIABLES, WORDS, with_rivals=WITH_RIVALS, run_kind=RUN_KIND)
    SCENARIOS = scenario_names(Path(SETTINGS.scenarios_dir))
    PROJECT = Project(ROOT, SETTINGS, SCENARIOS, time.time())
    DISPLAY = Display(sys.stdout)
    SUITE = Suite(PROJECT, DISPLAY)
    DEFAULT_TASKS = tasks.default_tasks(PROJECT)
except UserError as error:
    sys.stderr.write(f"compbench: {error}\n")
    raise SystemExit(2) from None

DOIT_CONFIG = {
    # Files are the state: doit's own database would be lost or stale after a SIGKILL, so it keeps nothing.
    "backend": "sqlite3",
    "dep_file": ":memory:",
    "check_file_uptodate": NewerThanTargets,
    "reporter": reporter_for(SUITE, DISPLAY),
    "default_tasks": DEFAULT_TASKS,
}


def task_scenarios() -> Iterator[tasks.Task]:
    """Measure one scenario, with its pages."""
    yield from tasks.scenario_runs(SUITE)


def task_versus() -> Iterator[tasks.Task]:
    """Measure the system and its rivals."""
    yield from tasks.versus(SUITE)


def task_duet() -> Iterator[tasks.Task]:
    """Measure two builds against each other."""
    yield from study_tasks.duet(SUITE, lambda scenario: commands.conclude_duet(SUITE, DISPLAY, scenario))


def task_noise() -> Iterator[tasks.Task]:
    """Measure the noise of this machine."""
    yield from study_tasks.noise(SUITE, lambda scenario: commands.conclude_noise(SUITE, DISPLAY, scenario))


def task_plan() -> tasks.Task:
    """Show the plan."""
    return command_tasks.plan(lambda: commands.show_plan(SUITE, DISPLAY))


def task_systems() -> tasks.Task:
    """Say which systems there are."""
    return command_tasks.systems(lambda: commands.show_systems(SUITE, DISPLAY))


def task_install() -> Iterator[tasks.Task]:
    """Install systems from package registries."""
    yield from command_tasks.installations(SUITE, lambda: commands.show_installations(SUITE, DISPLAY), DISPLAY.line)


def task_capacity() -> Iterator[tasks.Task]:
    """Search for the highest rate that the server sustains."""
    yield from tasks.capacities(SUITE, lambda: commands.show_capacities(SUITE, DISPLAY))


def task_preflight() -> Iterator[tasks.Task]:
    """Check the machine, the binaries and the scenarios."""
    yield from tasks.preflight_checks(SUITE)


def task_report() -> tasks.Task:
    """Render a run again."""
    return command_tasks.report(PROJECT, lambda: commands.show_report(SUITE, DISPLAY))


def task_live() -> tasks.Task:
    """Serve a page of a run while it is measured."""
    return command_tasks.live(lambda: commands.serve_live(SUITE, DISPLAY))


def task_review() -> Iterator[tasks.Task]:
    """Look back over closed runs."""
    yield from command_tasks.looking_back(SUITE, lambda name: commands.look_back(name, SUITE, DISPLAY))


def task_notify() -> tasks.Task:
    """Send a test message."""
    return command_tasks.notify(lambda: commands.try_notify(SUITE, DISPLAY))


def task_claim() -> tasks.Task:
    """Take the suite's lock."""
    return tasks.claim(SUITE)


def task_gate() -> tasks.Gate:
    """Let the suite begin."""
    return tasks.gate(SUITE, lambda dryrun: commands.clean_up(SUITE, DISPLAY, dryrun=dryrun))


def task_make() -> Iterator[tasks.Task]:
    """Make data sets and exact neighbours, and find efforts."""
    yield from tasks.makings(SUITE, lambda: commands.show_frontiers(SUITE, DISPLAY))


def task_measure() -> Iterator[tasks.Task]:
    """Measure."""
    yield from tasks.measures(SUITE)


def task_render() -> Iterator[tasks.Task]:
    """Render the measurements."""
    yield from tasks.renderings(SUITE)


def task_round() -> Iterator[tasks.Task]:
    """End a round."""
    yield from tasks.round_ends(SUITE)


def task_close() -> tasks.Task:
    """Close the run."""
    return tasks.close(SUITE)


def task_commands() -> tasks.Task:
    """Explain the commands."""
    return command_tasks.commands(lambda: options.show_commands(load_tasks(globals()), DISPLAY))


try:
    if NAMED := options.tasks_to_run(sys.argv[1:]):
        options.refuse_unknown(NAMED, load_tasks(globals()))
except UserError as error:
    sys.stderr.write(f"compbench: {error}\n")
    raise SystemExit(2) from None
