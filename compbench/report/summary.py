"""What came out of a run, in words: the summary page and the last lines on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compbench.model.records import Capture, Manifest
from compbench.report import render
from compbench.report.baselines import Comparison


def final_message(manifest: Manifest, captures: Sequence[Capture], folder: Path, *, interrupted: bool) -> str:
    """Return the last lines on the screen (specification 7), with the reason of each failure and what to do next."""
    return render(
        "final.txt.j2",
        **_facts(manifest, captures, interrupted=interrupted),
        folder=shown_folder(folder),
        manifest=manifest,
        captures=captures,
    )


def render_summary(
    manifest: Manifest,
    captures: Sequence[Capture],
    folder: Path,
    comparisons: Sequence[Comparison],
    *,
    interrupted: bool,
) -> str:
    """Return the text of `_summary.txt`."""
    return render(
        "summary.txt.j2",
        **_facts(manifest, captures, interrupted=interrupted),
        folder=shown_folder(folder),
        manifest=manifest,
        captures=captures,
        comparisons=comparisons,
        duration_s=wall_clock_s(captures),
    )


def wall_clock_s(captures: Sequence[Capture]) -> float:
    """Return the seconds from the first scenario's start to the last one's end."""
    return max((c.ended_at for c in captures), default=0.0) - min((c.started_at for c in captures), default=0.0)


def shown_folder(folder: Path) -> str:
    """Return the folder as a person would type it from here, with a slash at its end."""
    here = Path.cwd()
    return f"{folder.relative_to(here) if folder.is_relative_to(here) else folder}/"


def _facts(manifest: Manifest, captures: Sequence[Capture], *, interrupted: bool) -> dict[str, object]:
    done = {capture.measurement for capture in captures}
    state = "interrupted" if interrupted else "complete" if done >= set(manifest.selection) else "not complete yet"
    return {
        "state": state,
        "passed": sum(capture.outcome.verdict == "passed" for capture in captures),
        # A reader of the specified lines takes what did not pass for failed: all of it is there, each with its kind.
        "not_passed": [f"{c.measurement}: {c.outcome.verdict}" for c in captures if c.outcome.verdict != "passed"],
        "again": any(not capture.outcome.is_measurement for capture in captures),
        "total": len(manifest.selection),
        "not_run": [name for name in manifest.selection if name not in done],
    }
