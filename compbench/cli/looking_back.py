"""The tasks that look back over closed runs: `trend`, `compare`, `due`, `export`.

Nothing here measures or takes the suite's lock. Each task prints what it found and returns the exit code that it ends
with. Loaded only by these tasks: comparing and drawing take a second to import.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from compbench.cli.display import Display
from compbench.config.scenarios import scenario_names
from compbench.config.settings import Settings
from compbench.model.errors import UserError
from compbench.report import baselines, comparison, missing_extra, pages, render, trend
from compbench.report.export import history_files
from compbench.report.past import comparable, due, history
from compbench.report.past.history import Past
from compbench.store import runs
from compbench.store.noise_records import read_noises
from compbench.systems import registry

REGRESSION, NOT_COMPARED = 1, 2
# The quarterly habit: a full run is due every 90 days, with a warning in the last 14.
DUE_AFTER_DAYS, WARN_BEFORE_DAYS = 90.0, 14.0
# The word for `base=` that asks to compare with published figures instead of another run.
PUBLISHED = "published"
_DAY_S = 86_400
# Of the runs that don't count; a line is to be read at one glance.
_REASONS_TOLD = 3


def show_trend(settings: Settings, display: Display) -> int:
    """Write the page of all closed runs and say where it is."""
    known, skipped = _closed_runs(settings, display)
    known = _nameless(known)
    path = trend.write_trend(Path(settings.output_dir), Path(settings.cache_dir), known, skipped)
    display.line(f"{len(known)} closed run{'' if len(known) == 1 else 's'}: {path}")
    return 0


def show_comparison(settings: Settings, display: Display) -> int:
    """Print the table of two runs; 1 if anything got worse, 2 if nothing could be compared."""
    known, _ = _closed_runs(settings, display)
    if settings.base == PUBLISHED:
        return _show_published(settings, display, known)
    base, head = _pair(settings, known)
    noises, unread = read_noises(Path(settings.cache_dir))
    for line in unread:
        display.line(f"      note: {line}")
    found = comparison.compare_runs(base, head, known, noises)
    title = f"base {_with_commit(base)}, head {_with_commit(head)}"
    title += f"; {comparison.MEANS}" if found.has_repeats else ""
    _print(display, title, found.rows, found.summary, found.differences)
    return REGRESSION if found.regressions else 0 if found.compared else NOT_COMPARED


def show_due(settings: Settings, display: Display, now: Callable[[], float] = time.time) -> int:
    """Say how old the last full run is, and why newer ones don't count: 1 if it is too old or there is none."""
    known, skipped = history.read_history(Path(settings.output_dir))
    for line in skipped:
        display.line(f"      note: {line}")
    newest, reasons = due.newest_full(known, _wanted(settings))
    told, style, code = _due_line(newest, now())
    others = "; ".join(reasons[:_REASONS_TOLD])
    rest = f"; and {len(reasons) - _REASONS_TOLD} more" if len(reasons) > _REASONS_TOLD else ""
    display.line(f"{told}{f' (not counted: {others}{rest})' if others else ''}", style)
    return code


def _wanted(settings: Settings) -> due.Wanted:
    system = "" if registry.is_makeshift(settings) else settings.system
    return due.Wanted(system, settings.asked_scale, scenario_names(Path(settings.scenarios_dir)))


def _due_line(newest: Past | None, now: float) -> tuple[str, str | None, int]:
    """Return the line on the newest run that counts, its style, and the exit code."""
    if newest is None:
        return "due: no full run has been closed yet; `doit` measures one", "failed", REGRESSION
    age_days = (now - newest.opened_at) / _DAY_S
    told = f"the last full run, {newest.run}, is {age_days:.0f} days old"
    left_days = DUE_AFTER_DAYS - age_days
    if age_days < 0:
        return f"due: the last full run, {newest.run}, is of the future: set the clock right", "failed", REGRESSION
    if left_days < 0:
        return f"due: {told}, more than {DUE_AFTER_DAYS:g}; `doit` measures a new one", "failed", REGRESSION
    if left_days <= WARN_BEFORE_DAYS:
        return f"due soon: {told}; a new one is due in {left_days:.0f} days", "warning", 0
    return f"not due: {told}; a new one is due in {left_days:.0f} days", None, 0


def show_export(settings: Settings, display: Display) -> int:
    """Write every closed run as CSV and the newest as OpenMetrics, and say where."""
    known, _ = _closed_runs(settings, display)
    for path in history_files.write_exports(Path(settings.output_dir), [past for past in known if not past.is_study]):
        display.line(f"written: {path}")
    return 0


# By the name of the task.
COMMANDS: dict[str, Callable[[Settings, Display], int]] = {
    "trend": show_trend,
    "compare": show_comparison,
    "due": show_due,
    "export": show_export,
}


def _closed_runs(settings: Settings, display: Display) -> tuple[list[Past], list[str]]:
    """Return every closed run, and a line for each folder that is none, which is printed too.

    Raises:
        UserError: there is none, or the packages that look at them are not installed.
    """
    if line := missing_extra():
        raise UserError(line)
    known, skipped = history.read_history(Path(settings.output_dir))
    for line in skipped:
        display.line(f"      note: {line}")
    if not known:
        raise UserError(f"no closed run in {settings.output_dir} yet: `doit` measures one")
    return known, skipped


def _show_published(settings: Settings, display: Display, known: Sequence[Past]) -> int:
    head = history.named(known, settings.head) if settings.head else _nameless(known)[-1]
    captures = runs.find_run(Path(settings.output_dir), head.run).captures()
    published = baselines.load_baselines(pages.baselines_file(Path(settings.scenarios_dir)))
    rows = comparison.against_published(baselines.compare(captures, published))
    worse = [row.scenario for row in rows if row.verdict == "regression"]
    compared = [row for row in rows if row.delta_pct is not None]
    verdict = f"worse than published: {', '.join(worse)}" if worse else "nothing is worse"
    if not compared:
        verdict = "nothing could be compared"
    _print(display, f"head {_with_commit(head)} beside published figures; {baselines.REMARK}", rows, verdict)
    return REGRESSION if worse else 0 if compared else NOT_COMPARED


def _pair(settings: Settings, known: Sequence[Past]) -> tuple[Past, Past]:
    """Return the runs that are named; without `head` the newest, without `base` the last comparable one before it."""
    # Without a name a search for a capacity is passed over: it is compared only with another one, and by name.
    suites = [past for past in known if past.kind == "suite"] or _nameless(known)
    head = history.named(known, settings.head) if settings.head else suites[-1]
    if settings.base:
        return history.named(known, settings.base), head
    return comparable.latest_pair([*(past for past in _nameless(known) if past.run < head.run), head])


def _nameless(known: Sequence[Past]) -> list[Past]:
    """Return the runs that are compared without being named: all but studies.

    Raises:
        UserError: there is none.
    """
    found = [past for past in known if not past.is_study]
    if not found:
        raise UserError("there are only studies (noise, duet) among the closed runs: `doit` measures a suite")
    return found


def _with_commit(past: Past) -> str:
    return f"{past.run} (commit {past.commit[:12] or 'unknown'})"


def _print(
    display: Display, title: str, rows: Sequence[comparison.Row], verdict: str, differences: Sequence[str] = ()
) -> None:
    text = render("compare.txt.j2", title=title, differences=differences, rows=rows, verdict=verdict)
    for line in text.splitlines():
        display.line(line)
