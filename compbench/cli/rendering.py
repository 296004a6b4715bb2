"""From a run's captures to its files for people: diagnostics, flame graphs, pages, each written whole.

Templates and charts are loaded only here and only when something is rendered: most invocations render nothing.
"""

from __future__ import annotations

from pathlib import Path

from compbench.config.settings import Settings
from compbench.files.whole import write_whole
from compbench.machine import perf
from compbench.model.records import Capture
from compbench.store.record_files import read_record
from compbench.store.runs import Run


def write_diagnostics(run: Run, measurement: str) -> None:
    """Render `_diag.txt` and `_sys.txt` from the measurement's capture."""
    from compbench.report import diagnostics  # noqa: PLC0415 - see the module's docstring

    capture = read_record(run.path(measurement, "capture"), Capture)
    write_whole(run.path(measurement, "diagnostics"), diagnostics.render_diagnostics(capture))
    write_whole(run.path(measurement, "system"), diagnostics.render_system(capture))


def has_diagnostics(run: Run, measurement: str) -> bool:
    """Tell whether both files are there."""
    return all(run.path(measurement, kind).exists() for kind in ("diagnostics", "system"))


def write_flamegraph(run: Run, measurement: str) -> None:
    """Draw the flame graph if stacks were recorded."""
    stacks = run.path(measurement, "stacks")
    if stacks.exists():
        from compbench.report import flamegraph  # noqa: PLC0415 - see the module's docstring

        folded = perf.parse_folded(stacks.read_text(encoding="utf-8"))
        picture = flamegraph.render_svg(folded, f"{measurement} {run.name}")
        write_whole(run.path(measurement, "flamegraph"), picture)


def has_flamegraph(run: Run, measurement: str) -> bool:
    """Tell whether the flame graph is there, or the capture is and there is nothing to draw from."""
    if not run.has_capture(measurement):
        return False
    return run.path(measurement, "flamegraph").exists() or not run.path(measurement, "stacks").exists()


def write_pages(run: Run, settings: Settings, now: float, *, interrupted: bool) -> None:
    """Render metadata, summary and results of a run from every capture on disk.

    Raises:
        OSError: a page could not be written.
        UserError: a capture or the file of baselines can't be read.
    """
    from compbench.report import pages  # noqa: PLC0415 - see the module's docstring

    pages.write_pages(
        run.folder,
        run.manifest,
        run.captures(),
        interrupted=interrupted,
        scenarios_dir=Path(settings.scenarios_dir),
        now=now,
    )


def write_report(run: Run, settings: Settings, *, interrupted: bool) -> None:
    """Render the report with its charts, which takes seconds and much memory, in a process of its own."""
    from compbench.report import pages  # noqa: PLC0415 - see the module's docstring

    state = "interrupted" if interrupted else run.manifest.state
    pages.run_report(run.folder, Path(settings.scenarios_dir), Path(settings.cache_dir), state=state)
