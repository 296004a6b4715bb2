"""What was seen of server and machine during one scenario: `_diag.txt` and `_sys.txt`, from its capture."""

from __future__ import annotations

from compbench import monitor
from compbench.records import Capture
from compbench.report import render
from compbench.runs import iso_utc


def render_diagnostics(capture: Capture) -> str:
    """Return the text of `_diag.txt`: how server and driver ran and ended, and the snapshot of the live server."""
    return render("diag.txt.j2", capture=capture, iso=iso_utc)


def render_system(capture: Capture) -> str:
    """Return the text of `_sys.txt`: SPEC.md 8's table first, then cores, memory, disk, network and warnings."""
    samples = capture.samples
    cores = [list(column) for column in zip(*(s.per_core_pct for s in samples if s.per_core_pct), strict=False)]
    return render("sys.txt.j2", capture=capture, samples=samples, table=monitor.format_table(samples), cores=cores)
