"""Server and machine during one measurement: `_diag.txt`, `_sys.txt` and the flame graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from compbench.files.whole import write_whole
from compbench.machine import perf, thresholds
from compbench.model.costs import COUNTS, UNKNOWN, WHOSE, costs_recorded
from compbench.model.records import Capture, ProcessCosts
from compbench.model.sample import Sample
from compbench.model.times import iso_utc
from compbench.report import flamegraph, render
from compbench.report.elsewhere import own_metrics, passages
from compbench.store.runs import Run


def write_diagnostics(run: Run, capture: Capture) -> None:
    """Write `_diag.txt` and `_sys.txt` of one measurement, each whole.

    Raises:
        OSError: one could not be written.
    """
    write_whole(run.path(capture.measurement, "diagnostics"), render_diagnostics(capture))
    write_whole(run.path(capture.measurement, "system"), render_system(capture))


def write_flamegraph(run: Run, measurement: str) -> None:
    """Draw the flame graph if stacks were recorded.

    Raises:
        OSError: it could not be written, or the stacks can't be read.
    """
    stacks = run.path(measurement, "stacks")
    if stacks.exists():
        folded = perf.parse_folded(stacks.read_text(encoding="utf-8"))
        picture = flamegraph.render_svg(folded, f"{measurement} {run.name}")
        write_whole(run.path(measurement, "flamegraph"), picture)


def render_diagnostics(capture: Capture) -> str:
    """Return the text of `_diag.txt`: how server and driver ran and ended, and the snapshot of the live server."""
    counted = {whose: counted_lines(costs_recorded(capture, whose)) for whose in WHOSE}
    elsewhere = next(iter(passages([capture])), "")
    return render("diag.txt.j2", capture=capture, counted=counted, iso=iso_utc, plain=plain, elsewhere=elsewhere)


def counted_lines(costs: ProcessCosts | None) -> list[tuple[str, str]]:
    """Return what was counted of a process as lines of key and value; a count that is missing has its reason."""
    if costs is None:
        return [("Counted", "not recorded")]
    seconds = "nothing" if costs.counted_s is None else f"for {costs.counted_s:.3f} s by {costs.source or 'nobody'}"
    found = [("Counted", seconds)]
    for name in COUNTS:
        count = getattr(costs, name)
        told = f"{UNKNOWN} ({costs.why_not.get(name, 'not recorded')})" if count is None else str(count)
        found.append((name.replace("_", " ").capitalize(), told))
    return found


def plain(value: object) -> str:
    """Return a value that was read of the machine as one line that a program can parse."""
    if value is None:
        return thresholds.NOT_READABLE
    if isinstance(value, dict):
        return ", ".join(f"{name}={plain(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    return " ".join(str(value).split())


class SampleLine(NamedTuple):
    """A further line of `_sys.txt`: label, field of a sample, its unit in the label's, number of decimals."""

    label: str
    name: str
    unit: float = 1.0
    decimals: int = 1


READINGS = (
    SampleLine("Driver CPU (% of a core)", "driver_cpu_pct"),
    SampleLine("Steal (%)", "steal_pct"),
    SampleLine("RSS (MB)", "memory_bytes", 1e6, 0),
    SampleLine("VSZ (MB)", "virtual_bytes", 1e6, 0),
    SampleLine("Driver RSS (MB)", "driver_memory_bytes", 1e6, 0),
    SampleLine("Machine memory (%)", "machine_memory_pct"),
    SampleLine("Swap used (MB)", "swap_used_bytes", 1e6, 0),
    SampleLine("Swap in (MB/s)", "swap_in_bytes_s", 1e6, 2),
    SampleLine("Swap out (MB/s)", "swap_out_bytes_s", 1e6, 2),
    SampleLine("Disk read (MB/s)", "disk_read_bytes_s", 1e6, 2),
    SampleLine("Disk write (MB/s)", "disk_write_bytes_s", 1e6, 2),
    SampleLine("Disk latency (ms)", "disk_latency_ms", 1, 2),
    SampleLine("Server read (MB/s)", "server_read_bytes_s", 1e6, 2),
    SampleLine("Server write (MB/s)", "server_write_bytes_s", 1e6, 2),
    SampleLine("Loopback packets (1/s)", "net_packets_s", 1, 0),
    SampleLine("Loopback errors and drops", "net_errors", 1, 0),
    SampleLine("Other networks (KB/s)", "external_net_kb_s"),
    SampleLine("Open files of the server", "open_files", 1, 0),
    SampleLine("CPU clock (MHz)", "cpu_mhz", 1, 0),
    SampleLine("Load average, 1 min", "load_1min", 1, 2),
    SampleLine("Throttle events", "throttle_events", 1, 0),
    SampleLine("CPU quota throttles", "quota_throttles", 1, 0),
    SampleLine("OOM kills", "oom_kills", 1, 0),
    SampleLine("CPU pressure (%)", "cpu_some_pct"),
    SampleLine("Memory pressure (%)", "memory_some_pct"),
    SampleLine("Memory stalls of all (%)", "memory_full_pct"),
    SampleLine("I/O pressure (%)", "io_some_pct"),
    SampleLine("I/O stalls of all (%)", "io_full_pct"),
)


def render_system(capture: Capture) -> str:
    """Return the text of `_sys.txt`: the table of specification 8, then cores, memory, disk, network and warnings."""
    table = thresholds.format_table(capture.samples)
    known = {notice.code for notice in capture.notices}
    is_elsewhere = capture.system_facts.is_elsewhere
    low_cpu = thresholds.low_cpu(capture.samples, is_server_here=not is_elsewhere)
    notices = [*capture.notices, *(notice for notice in low_cpu if notice.code not in known)]
    elsewhere = f"The server ran elsewhere. {own_metrics(capture)}" if is_elsewhere else ""
    lines = further_lines(capture.samples)
    return render("sys.txt.j2", table=table, lines=lines, notices=notices, elsewhere=elsewhere)


def further_lines(samples: Sequence[Sample]) -> list[tuple[str, str, str]]:
    """Return (label, average, peak) of each core and of all further readings, as printed."""
    cores = zip(*(sample.per_core_pct for sample in samples if sample.per_core_pct), strict=False)
    lines = [
        (f"CPU core {number} (%)", *_average_and_peak(core, SampleLine("", ""))) for number, core in enumerate(cores)
    ]
    for reading in READINGS:
        values = [getattr(sample, reading.name) for sample in samples]
        lines.append((reading.label, *_average_and_peak([v for v in values if v is not None], reading)))
    return lines


def _average_and_peak(values: Sequence[float], reading: SampleLine) -> tuple[str, str]:
    if not values:
        return thresholds.NOT_READABLE, thresholds.NOT_READABLE
    figures = (sum(values) / len(values), max(values))
    average, peak = (f"{value / reading.unit:.{reading.decimals}f}" for value in figures)
    return average, peak
