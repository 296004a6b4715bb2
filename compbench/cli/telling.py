"""Telling people of a run's end, and `doit notify`, which tries whether they can be told.

Nothing here measures or takes the suite's lock; a message that can't be sent is a warning and no result.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from compbench.cli.display import Display
from compbench.config.settings import Settings
from compbench.model import file_names
from compbench.model.errors import UserError
from compbench.model.measurement import STUDIES
from compbench.model.records import Capture
from compbench.report import comparison, missing_extra, notify, summary
from compbench.report.notify import MessageType
from compbench.report.past import comparable, history
from compbench.store.noise_records import read_noises
from compbench.store.runs import Run

NOT_TOLD = 1


def notify_end(
    settings: Settings,
    run: Run,
    captures: Sequence[Capture],
    *,
    passed: bool,
    environment: Mapping[str, str] = os.environ,
) -> list[str]:
    """Tell the addresses that are set that a run has ended; return a warning for each address that was not reached."""
    worse = _regressions(settings, run) if "regression" in settings.notify.on else []
    if not notify.is_wanted(settings.notify, passed=passed, regressed=bool(worse)):
        return []
    text = summary.final_message(run.manifest, captures, run.folder, interrupted=False)
    text += "".join(f"worse than before: {line}\n" for line in worse)
    text += _where(run.folder, environment)
    outcome = f"{'passed' if passed else 'not passed'}{', worse than before' if worse else ''}"
    title = f"compbench on {platform.node()}, run {run.name}: {outcome}"
    return notify.send_message(
        settings.notify, _kind(captures, passed=passed, worse=bool(worse)), title, text, environment
    )


def send_test(settings: Settings, display: Display, environment: Mapping[str, str] = os.environ) -> int:
    """Send a test message to every address, and say of each variable whether that worked; 1 if any did not.

    Raises:
        UserError: no variable is named that could hold an address.
    """
    if not settings.notify.variables:
        raise UserError(
            "notify: no variable is named: write notify = { variables = ['NOTIFY_CHAT'] } into compbench.toml, and an"
            " address into that variable (docs/notifications.md)"
        )
    title = f"compbench on {platform.node()}: a test"
    text = f"This is how you hear of a run's end: on {', '.join(settings.notify.on)}.\n"
    warnings = notify.send_message(settings.notify, "info", title, text, environment)
    for line in warnings:
        display.line(f"warning: {line}", "warning")
    if not warnings:
        display.line(f"sent a test message to what is in {', '.join(settings.notify.variables)}")
    return NOT_TOLD if warnings else 0


def _kind(captures: Sequence[Capture], *, passed: bool, worse: bool) -> MessageType:
    """Return how bad the news is: a failed server is worse than a target missed or a figure that fell."""
    if any(capture.outcome.verdict == "failed" for capture in captures):
        return "failure"
    return "warning" if worse or not passed else "success"


def _where(folder: Path, environment: Mapping[str, str]) -> str:
    """Return where the report is: on which machine, and of a job of GitHub Actions its page too."""
    report = folder / file_names.of_run(folder.name, "report")
    lines = [f"{platform.node()}:{report if report.is_file() else folder}"]
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    if all(environment.get(name) for name in names):
        server, repository, job = (environment[name] for name in names)
        lines.append(f"{server}/{repository}/actions/runs/{job}")
    return "".join(f"{line}\n" for line in lines)


def _regressions(settings: Settings, run: Run) -> list[str]:
    """Return the regressions of a run against the last comparable one; none if there is no such run, or of a study."""
    if run.manifest.kind in STUDIES:
        return []
    known, _ = history.read_history(Path(settings.output_dir))
    known = [past for past in known if past.run <= run.name]
    if missing_extra() or not known or known[-1].run != run.name:
        return []
    try:
        base, head = comparable.latest_pair(known)
    except UserError:
        return []
    noises, _ = read_noises(Path(settings.cache_dir))
    rows = comparison.compare_runs(base, head, known, noises).regressions
    return [f"{row.scenario} {_change(row)}" for row in rows]


def _change(row: comparison.Row) -> str:
    base, head = ("none" if value is None else row.metric.number(value) for value in (row.base, row.head))
    return f"{row.metric.title}: {base} -> {head}"
