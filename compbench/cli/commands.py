"""The commands beside the suite: the plan, the systems, the capacities, the report, a test message, cleaning."""

from __future__ import annotations

from pathlib import Path

from compbench.cli import installing, preparation
from compbench.cli.display import Display
from compbench.cli.estimate import estimate_s
from compbench.cli.exit_codes import FAILED, NOT_STARTED, PASSED, gate_is_open
from compbench.cli.preparation import data_loaded
from compbench.cli.project import Project
from compbench.cli.suite import Suite
from compbench.model.efforts import LADDER
from compbench.model.errors import UserError
from compbench.model.measurement import measurement_named
from compbench.model.times import span
from compbench.preflight import checks
from compbench.report import render
from compbench.store import leftovers, lock, runs
from compbench.store.frontiers import chooses_effort
from compbench.systems import registry

# The exit code of a command that lacks a name.
NOTHING_ASKED_FOR = 2


def show_plan(suite: Suite, display: Display) -> None:
    """Print what `doit` would do and what the checks say; nothing is written.

    Raises:
        UserError: `resume=` names a run that can't be resumed, or a run that may be open can't be read.
    """
    project, settings = suite.project, suite.project.settings
    findings = [checks.run_check(name, settings, project.root) for name in checks.CHECKS]
    run = suite.choice.choose(project.names)
    replaced = [] if run or not project.open_runs else suite.choice.replaced(project.names, whole=True)
    scenarios = [(name, run is not None and run.has_capture(name)) for name in project.names]
    pending = [name for name, is_measured in scenarios if not is_measured]
    verdict, loaded = PASSED if gate_is_open(findings) else NOT_STARTED, data_loaded(project)
    suite.judge(verdict)
    text = render(
        "plan.txt.j2",
        settings=settings,
        limits=settings.limits,
        run=run.name if run else None,
        refusal=next((why for _, why in replaced), ""),
        scenarios=scenarios,
        lacking={name: project.not_offered(name) for name in project.names},
        data={name: loaded[measurement_named(name).scenario] for name in project.names},
        estimate=span(estimate_s(project, pending, run.captures() if run else ())),
        findings=findings,
        verdict=verdict,
    )
    for line in text.splitlines():
        display.line(line)


def show_capacities(suite: Suite, display: Display) -> None:
    """Say how each scenario's capacity is searched for and how long that may take; the verdict is that none was."""
    settings, scenarios = suite.project.settings, suite.project.scenarios
    most_s = settings.capacity_limit_s
    display.line(
        "capacity: nothing is searched for without a name. A search doubles the rate from 100 ops/s on until the P99"
        f" target is missed, then halves the gap to {settings.capacity_precision_pct:g} %; each rate takes"
        f" {settings.capacity_step_s} s (capacity_step_s), and each search at most {span(most_s)} (capacity_limit_s)"
    )
    for name in scenarios:
        display.line(f"  doit capacity:{name}")
    display.line(f"all {len(scenarios)}: at most {span(len(scenarios) * most_s)}")
    suite.judge(NOTHING_ASKED_FOR)


def show_frontiers(suite: Suite, display: Display) -> None:
    """Say how the effort of each scenario's searches is found, and where it is kept; nothing is found by this."""
    project, settings = suite.project, suite.project.settings
    display.line(
        "frontier: at equal recall. A system whose searches have a knob for their effort is asked with efforts from"
        f" {LADDER[0]} to {LADDER[-1]}, {settings.frontier_step_s} s each (frontier_step_s), until the highest recall"
        " is reached; the least that reaches the scenario's expected_recall is measured. It is made once, before that"
    )
    for name in project.scenarios:
        display.line(f"  doit frontier:{name}  {_frontier_state(project, name)}")
    suite.judge(NOTHING_ASKED_FOR)


def _frontier_state(project: Project, scenario: str) -> str:
    facts = project.loaded[scenario]
    if not chooses_effort(project.settings, facts):
        return "not needed"
    return "kept" if preparation.has_frontier(project, scenario) else "to be made"


def show_systems(suite: Suite, display: Display) -> None:
    """Print which systems there are, whether they are here, what they can do, and which one `system=auto` means."""
    from compbench.cli import known_systems  # noqa: PLC0415 - see look_back

    settings = suite.project.settings
    known = known_systems.known_systems(settings, suite.project.root)
    for line in render("systems.txt.j2", settings=settings, systems=known).splitlines():
        display.line(line)


def show_installations(suite: Suite, display: Display) -> None:
    """Say which systems can be installed, and which are; nothing is installed without a name."""
    settings = suite.project.settings
    found = installing.installable(settings)
    display.line(
        "install: nothing is installed without a name" if found else "install: no system here can be installed"
    )
    for name, installation in found.items():
        is_there = installing.is_in_place(settings, name, installation)
        display.line(f"  doit install:{name}{' (installed)' if is_there else ''}")
        display.line(f"      {installing.describe(name, installation)}")


def show_report(suite: Suite, display: Display) -> None:
    """Render a finished or open run again, `run=<timestamp>` or the newest, and say where it is.

    Raises:
        UserError: there is no such run.
    """
    from compbench.report import diagnostics, pages  # noqa: PLC0415 - with templates, only this task needs them

    suite.claim()
    project, settings = suite.project, suite.project.settings
    folder = project.reported_folder()
    if folder is None:
        raise UserError(f"no run in {project.output_dir} yet: `doit` measures one")
    run = runs.find_run(project.output_dir, folder.name)
    captures, interrupted = run.captures(), run.manifest.state != "closed"
    for capture in captures:
        diagnostics.write_diagnostics(run, capture)
        diagnostics.write_flamegraph(run, capture.measurement)
    scenarios_dir, now = Path(settings.scenarios_dir), suite.effects.now()
    pages.write_pages(run.folder, run.manifest, captures, interrupted=interrupted, scenarios_dir=scenarios_dir, now=now)
    try:
        state = "interrupted" if interrupted else run.manifest.state
        cache_dir, systems_dir = Path(settings.cache_dir), settings.systems_dir
        pages.run_report(run.folder, scenarios_dir, cache_dir, state=state, systems_dir=systems_dir)
    except UserError as error:
        display.line(f"      note: {error}")
        suite.judge(FAILED)
    display.line(f"run {run.name} ({run.manifest.state}): rendered again in {run.folder}")


def serve_live(suite: Suite, display: Display) -> None:
    """Serve a page of the newest run, or of `run=`, until a signal comes; takes no lock.

    Raises:
        UserError: there is no such run, the port is taken, or what serves it is not installed.
    """
    from compbench.cli import live_page  # noqa: PLC0415 - see look_back

    live_page.serve_until_told(suite.project, display.line)


def try_notify(suite: Suite, display: Display) -> None:
    """Send a test message; the verdict is whether every address took it."""
    from compbench.cli import telling  # noqa: PLC0415 - see look_back

    suite.judge(telling.send_test(suite.project.settings, display))


def look_back(name: str, suite: Suite, display: Display) -> int:
    """Do one of the tasks that look back over closed runs; return its exit code."""
    from compbench.cli import looking_back  # noqa: PLC0415 - comparing and drawing take a second to load

    return looking_back.COMMANDS[name](suite.project.settings, display)


def conclude_duet(suite: Suite, display: Display, scenario: str) -> None:
    """Compare the two builds that were measured on a scenario; the exit code is the verdict."""
    from compbench.cli import duet_end  # noqa: PLC0415 - see look_back

    duet_end.conclude(suite, display, scenario)


def conclude_noise(suite: Suite, display: Display, scenario: str) -> None:
    """Keep and show the noise of the machine that was measured by a scenario; the exit code says whether it tells."""
    from compbench.cli import noise_end  # noqa: PLC0415 - see look_back

    noise_end.keep_noise(suite, display, scenario)


def clean_up(suite: Suite, display: Display, *, dryrun: bool) -> None:
    """Remove leftovers, the open or abandoned runs and caches, or say what would be removed; never a closed run.

    Raises:
        SystemExit: 2, with one line, if a suite is at work, or something can't be removed.
    """
    try:
        lock.take(suite.project.lock_path)  # held until this process ends
        _remove_leftovers(suite, display, dryrun=dryrun)
    except (UserError, OSError) as error:
        display.error(str(error))
        raise SystemExit(2) from None


def _remove_leftovers(suite: Suite, display: Display, *, dryrun: bool) -> None:
    project, cache_dir = suite.project, Path(suite.project.settings.cache_dir)
    caches = [project.root / "tmp" / "preflight", project.log_path, *leftovers.in_cache(cache_dir)]
    found = leftovers.find_leftovers(project.output_dir, Path(project.settings.work_dir), project.root, caches)
    for leftover in found:
        shown = _relative(leftover.path, project.root)
        display.line(f"{'would remove' if dryrun else 'removing'} {shown} ({leftover.what})")
        if not dryrun:
            leftovers.remove(leftover)
    if not dryrun:
        leftovers.remove_empty(cache_dir)
    if not found:
        display.line("nothing to remove: no leftovers, no open run, no caches")
    settings = project.settings
    for name, installation in installing.installable(settings).items():
        if installing.is_in_place(settings, name, installation):
            folder = _relative(registry.installed_folder(settings, name), project.root)
            display.line(f"kept {folder} (installed; `rm -r` removes it)")


def _relative(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else path
