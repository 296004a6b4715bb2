"""The tasks that look back over closed runs: `trend`, `compare`, `due`, `export`. None of them measures or locks.

Each prints what it found and returns the exit code that it ends with.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compbench.display import Display
from compbench.errors import UserError
from compbench.records import Capture
from compbench.runs import Run
from compbench.settings import Settings

if TYPE_CHECKING:
    from compbench.report import history

REGRESSION, NOT_COMPARED = 1, 2
# The quarterly habit of ENGRAM.md 9.3: a full run is due every 90 days, with a warning in the last 14.
DUE_AFTER_DAYS, WARN_BEFORE_DAYS = 90.0, 14.0
# What `base=` says to compare with published figures instead of another run.
PUBLISHED = "published"


def tasks_of(settings: Settings, display: Display) -> dict[str, tuple[str, Callable[[], int]]]:
    """Return each task's line in the menu, and what it does, by its name."""
    return {
        "trend": ("draw every scenario's figures over all runs on one page", lambda: show_trend(settings, display)),
        "compare": (
            "compare two runs (base=, head=; default: the last two comparable ones); exit code 1 on a regression",
            lambda: show_comparison(settings, display),
        ),
        "due": ("say how old the last full run is; exit code 1 past 90 days", lambda: show_due(settings, display)),
        "export": ("write all runs as CSV, and the newest as OpenMetrics", lambda: show_export(settings, display)),
    }


def notify_end(settings: Settings, run: Run, captures: Sequence[Capture], *, passed: bool) -> list[str]:
    """Tell who asked for it that a run has ended; return a warning for each address that was not reached."""
    from compbench import notify  # noqa: PLC0415 - see show_trend
    from compbench.report import summary  # noqa: PLC0415 - see show_trend

    worse = _regressions(settings, run) if "regression" in settings.notify.on else []
    if not notify.is_wanted(settings.notify, passed=passed, regressed=bool(worse)):
        return []
    text = summary.final_message(run.manifest, captures, run.folder, interrupted=False)
    text += "".join(f"worse than before: {line}\n" for line in worse)
    title = f"compbench {run.name}: {'passed' if passed else 'not passed'}{', worse than before' if worse else ''}"
    return notify.notify(settings.notify, title, text, os.environ)


def _regressions(settings: Settings, run: Run) -> list[str]:
    """Return what is worse in a run than in the last comparable one; nothing if there is none."""
    from compbench.report import comparison, history, missing_extra  # noqa: PLC0415 - see show_trend

    known, _ = history.read_history(Path(settings.output_dir))
    known = [past for past in known if past.run <= run.name]
    if missing_extra() or not known or known[-1].run != run.name:
        return []
    try:
        base, head = history.latest_pair(known)
    except UserError:
        return []
    rows = comparison.compare_runs(base, head, known).regressions
    return [f"{row.scenario} {row.metric.title}: {row.base or 0:.4g} -> {row.head or 0:.4g}" for row in rows]


def show_trend(settings: Settings, display: Display) -> int:
    """Write the page of all closed runs and say where it is."""
    _require_extra()
    from compbench.report import history, trend  # noqa: PLC0415 - only this task needs it

    output_dir = Path(settings.output_dir)
    known, skipped = history.read_history(output_dir)
    if not known:
        raise UserError(f"no closed run in {output_dir} yet: `doit` measures one")
    path = trend.write_trend(output_dir, Path(settings.cache_dir), known, skipped)
    for line in skipped:
        display.line(f"      note: {line}")
    display.line(f"{len(known)} closed runs: {path}")
    return 0


def show_comparison(settings: Settings, display: Display) -> int:
    """Print the table of two runs; 1 if anything got worse, 2 if nothing could be compared."""
    _require_extra()
    from compbench.report import comparison, history, render  # noqa: PLC0415 - see show_trend

    if settings.base == PUBLISHED:
        return _show_published(settings, display)
    known, _ = history.read_history(Path(settings.output_dir))
    if settings.base or settings.head:
        base, head = _named_pair(settings)
    else:
        base, head = history.latest_pair(known)
    found = comparison.compare_runs(base, head, known)
    code = REGRESSION if found.regressions else 0 if found.compared else NOT_COMPARED
    title = f"base {_named(base)}, head {_named(head)}"
    _print(
        display,
        render("compare.txt.j2", title=title, differences=found.differences, rows=found.rows, verdict=found.summary),
    )
    return code


def show_due(settings: Settings, display: Display, now: Callable[[], float] = time.time) -> int:
    """Say how old the last full run is: 1 if it is too old or there is none."""
    from compbench.report import history  # noqa: PLC0415 - see show_trend

    known, _ = history.read_history(Path(settings.output_dir))
    full = [past for past in known if _is_full(past, settings.expected_scenarios)]
    if not full:
        display.line("due: no full run has been closed yet; `doit` measures one", "failed")
        return REGRESSION
    age_days = (now() - full[-1].opened_at) / 86_400
    told = f"the last full run, {full[-1].run}, is {age_days:.0f} days old"
    left_days = DUE_AFTER_DAYS - age_days
    if left_days < 0:
        display.line(f"due: {told}, more than {DUE_AFTER_DAYS:g}; `doit` measures a new one", "failed")
        return REGRESSION
    if left_days <= WARN_BEFORE_DAYS:
        display.line(f"due soon: {told}; a new one is due in {left_days:.0f} days", "warning")
    else:
        display.line(f"not due: {told}; a new one is due in {left_days:.0f} days")
    return 0


def show_export(settings: Settings, display: Display) -> int:
    """Write every closed run as CSV and the newest as OpenMetrics, and say where."""
    _require_extra()
    from compbench.report import export, history  # noqa: PLC0415 - see show_trend

    output_dir = Path(settings.output_dir)
    known, skipped = history.read_history(output_dir)
    if not known:
        raise UserError(f"no closed run in {output_dir} yet: `doit` measures one")
    for line in skipped:
        display.line(f"      note: {line}")
    for path in export.write_exports(output_dir, known):
        display.line(f"written: {path}")
    return 0


def _require_extra() -> None:
    from compbench.report import missing_extra  # noqa: PLC0415 - see show_trend

    if line := missing_extra():
        raise UserError(line)


def _is_full(past: history.Past, scenarios: int) -> bool:
    """Tell whether a run measured all there is to measure, at full length; whether all passed is another question."""
    return past.kind == "suite" and past.fingerprint.get("profile") == "full" and len(past.verdicts) >= scenarios


def _show_published(settings: Settings, display: Display) -> int:
    from compbench import runs  # noqa: PLC0415 - see show_trend
    from compbench.report import baselines, comparison, history, pages, render  # noqa: PLC0415 - see show_trend

    output_dir = Path(settings.output_dir)
    known, _ = history.read_history(output_dir)
    if not known:
        raise UserError(f"no closed run in {output_dir} yet: `doit` measures one")
    head = history.named(known, settings.head) if settings.head else known[-1]
    captures = runs.find_run(output_dir, head.run).captures()
    published = baselines.load_baselines(pages.baselines_file(Path(settings.scenarios_dir)))
    rows = comparison.against_published(baselines.compare(captures, published))
    worse = [row for row in rows if row.verdict == "regression"]
    verdict = f"worse than published: {', '.join(row.scenario for row in worse)}" if worse else "nothing is worse"
    title = f"head {head.run} beside published figures; {baselines.REMARK}"
    _print(display, render("compare.txt.j2", title=title, differences=[], rows=rows, verdict=verdict))
    return REGRESSION if worse else 0


def _named_pair(settings: Settings) -> tuple[history.Past, history.Past]:
    """Return the runs that are named; a name that is left out is the newest run, or the one before the head."""
    from compbench.report import history  # noqa: PLC0415 - see show_trend

    known, _ = history.read_history(Path(settings.output_dir))
    if not known:
        raise UserError(f"no closed run in {settings.output_dir} yet: `doit` measures one")
    head = history.named(known, settings.head) if settings.head else known[-1]
    if settings.base:
        return history.named(known, settings.base), head
    earlier = [past for past in known if past.run < head.run]
    return history.latest_pair([*earlier, head])


def _named(past: history.Past) -> str:
    return f"{past.run} (commit {past.commit[:12] or 'unknown'})"


def _print(display: Display, text: str) -> None:
    for line in text.splitlines():
        display.line(line)
