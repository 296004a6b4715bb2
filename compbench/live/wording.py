"""The parts of the page in words: what the browser only puts into its places. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from compbench.live.board import Board, BoardRow
from compbench.live.state import ReachedOutcome, RunState
from compbench.model.measurement import measurement_named
from compbench.model.metrics import CAPACITY, ERRORS, NONE, P50, P95, P99, RECALL, THROUGHPUT, Metric
from compbench.model.times import span

_PHASES = {
    "quiet": "waiting until the machine is quiet",
    "cooldown": "cooling down",
    "start": "starting the server",
    "prepare": "loading the data",
    "measure": "measuring",
    "snapshot": "asking server and machine how they are afterwards",
    "stop": "stopping the server",
}
_TIMED = ("measure", "cooldown", "quiet")
_TABLED = (P50, P95, P99, THROUGHPUT, ERRORS, RECALL, CAPACITY)
_LAST_ROWS = 10


def place_of_run(state: RunState, now: float, *, is_alive: bool) -> dict[str, Any]:
    """Return where the run is: the measurement, its phase, how far that is, and the time that is left."""
    begun, phase = state.measurement, state.phase
    told = {"measurement": "", "title": "", "data": "", "place": "", "phase": "", "how_far": "", "left": ""}
    told["how_far"], share = _how_far(state, now, is_alive=is_alive)
    told["phase"] = _PHASES.get(phase.name, phase.name) if phase else ""
    if begun is None:
        told["measurement"] = phase.of if phase else ""
        return {**told, "share": share}
    left_s = None if begun.left_s is None else begun.left_s - (now - begun.at)
    told["measurement"], told["title"], told["data"] = begun.name, begun.title, begun.data
    told["place"] = f"{begun.place} of {begun.of}" if begun.of else ""
    told["phase"] = told["phase"] or "about to begin"
    if is_alive and left_s is not None:
        told["left"] = f"about {span(left_s)} left in the suite" if left_s >= 1 else "longer than was estimated"
    return {**told, "share": share}


def _how_far(state: RunState, now: float, *, is_alive: bool) -> tuple[str, float | None]:
    phase, progress = state.phase, state.progress
    if phase is None:
        return "", None
    elapsed_s = progress.get("elapsed_s")
    if not isinstance(elapsed_s, int | float):
        elapsed_s = max(0.0, (now if is_alive else state.last_at) - phase.at)
    done, wanted = progress.get("done"), progress.get("wanted")
    note = progress.get("note") or phase.note
    waits = f"; waiting for {note}" if note else ""
    if phase.name == "prepare" and isinstance(done, int) and isinstance(wanted, int) and wanted > 0:
        return f"{done:,} of {wanted:,} {progress.get('work') or 'memories'}{waits}", min(1.0, done / wanted)
    total_s = progress.get("total_s") or phase.limit_s
    if phase.name in _TIMED and isinstance(total_s, int | float) and total_s > 0:
        limit = "at most " if phase.name == "quiet" else ""
        return f"{elapsed_s:.0f} s of {limit}{total_s:g} s{waits}", min(1.0, elapsed_s / total_s)
    return f"for {span(elapsed_s)}{waits}", None


def rail(state: RunState, selection: Sequence[str], *, is_alive: bool) -> list[dict[str, str]]:
    """Return every measurement of the run with what has become of it, in order."""
    found = []
    for name in selection or list(state.outcomes):
        reached = state.outcomes.get(name)
        if state.is_under_way(name):
            verdict = "under way" if is_alive else "interrupted"
        elif reached is None:
            verdict = "waiting"
        else:
            verdict = reached.verdict
        found.append({"name": name, "verdict": verdict})
    return found


def results(state: RunState, selection: Sequence[str]) -> dict[str, Any]:
    """Return the table of results: a row for each measurement that has ended, in the run's order."""
    ended = [state.outcomes[name] for name in selection if name in state.outcomes]
    ended += [one for name, one in state.outcomes.items() if name not in selection]
    shown = [metric for metric in _TABLED if any(metric.name in one.figures for one in ended)]
    rows = [
        {
            "name": one.measurement,
            "verdict": one.verdict,
            "cells": [_figure(metric, one) for metric in shown],
            "why": _why(one),
        }
        for one in ended
    ]
    return {"columns": [metric.title for metric in shown], "rows": rows}


def _figure(metric: Metric, reached: ReachedOutcome) -> str:
    return metric.number(reached.figures.get(metric.name))


def _why(reached: ReachedOutcome) -> str:
    again = "it is made again" if reached.is_made_again else ""
    attempt = f"attempt {reached.attempt}" if reached.attempt > 1 else ""
    return "; ".join(filter(None, (reached.reason, attempt, again)))


def notices_shown(state: RunState) -> list[dict[str, str]]:
    """Return the warnings, the newest first; what is said twice of a scenario stands once."""
    once = {(measurement_named(one.measurement).scenario, one.text): one for one in reversed(state.notices)}
    return [{"of": one.measurement, "text": one.text} for one in once.values()]


def tiles(board: Board) -> list[dict[str, str]]:
    """Return the figures of the last second, or of the last progress where nothing is told by the second."""
    if row := last_offered(board):
        second = f"second {row['s']:.0f}"
        return [
            _tile(row["p50"], P50, f"P50 in {second}"),
            _tile(row["p95"], P95, f"P95 in {second}"),
            _tile(row["p99"], P99, f"P99 in {second}"),
            {
                "value": f"{row['achieved']:,}",
                "unit": "ops",
                "label": f"answered in {second}, {row['offered']:,} offered",
            },
            {"value": f"{row['errors']:,}", "unit": "", "label": f"errors in {second}"},
            _recall_tile(board),
            _tile(row["lag"], P99, f"the driver's own lag, P99 in {second}"),
        ]
    if row := board.last_row("rates"):
        offered = NONE if row["offered"] is None else f"{row['offered']:,.0f}"
        return [{"value": f"{row['achieved']:,.0f}", "unit": "ops/s", "label": f"answered, {offered} offered"}]
    return []


def last_offered(board: Board) -> BoardRow | None:
    """Return the last second in which operations were due, or, where none had any, the last one.

    In the seconds after it only what is late is answered: their latencies are those of the slowest alone.
    """
    return next((row for row in _newest_seconds(board) if row["offered"] > 0), board.last_row("seconds"))


def _newest_seconds(board: Board) -> Iterator[BoardRow]:
    """Yield the seconds backwards, up to the last in which operations were due."""
    for _, row in reversed(board.series["seconds"].rows if "seconds" in board.series else ()):
        yield row
        if row["offered"] > 0:
            return


def _recall_tile(board: Board) -> dict[str, str]:
    """Return recall as it was told last: it is the mean of all answers that were checked up to then."""
    row = next((row for row in _newest_seconds(board) if row["recall"] is not None), None)
    if row is None:
        return {"value": NONE, "unit": "", "label": "recall: not known yet"}
    of = f" (of {row['checked']:,})" if row["checked"] else ""
    return {"value": RECALL.number(row["recall"] * 100), "unit": "%", "label": f"recall so far{of}"}


def _tile(value: float | None, metric: Metric, label: str) -> dict[str, str]:
    return {"value": metric.number(value), "unit": "" if value is None else "ms", "label": label}


def last_seconds(board: Board) -> dict[str, Any]:
    """Return the last seconds as a table, the newest first."""
    if "seconds" not in board.series:
        return {"columns": [], "rows": []}
    rows = [row for _, row in board.series["seconds"].rows][-_LAST_ROWS:]
    columns = ["second", "P50, ms", "P95, ms", "P99, ms", "largest, ms", "answered", "offered", "errors", "lag P99, ms"]
    return {"columns": columns, "rows": [_second_cells(row) for row in reversed(rows)]}


def _second_cells(row: BoardRow) -> list[str]:
    times = [P99.number(row[name]) for name in ("p50", "p95", "p99", "max")]
    counts = [f"{row[name]:,}" for name in ("achieved", "offered", "errors")]
    return [f"{row['s']:.0f}", *times, *counts, P99.number(row["lag"])]


def hosts(board: Board) -> dict[str, Any]:
    """Return each sending host in the second of the tiles, where several send."""
    row = last_offered(board)
    told: Mapping[str, BoardRow] = row["hosts"] if row else {}
    cells = [[name, *_host_cells(one)] for name, one in sorted(told.items())]
    return {"columns": ["host", "P50, ms", "P99, ms", "answered", "errors", "lag P99, ms"], "rows": cells}


def _host_cells(row: BoardRow) -> list[str]:
    counts = [f"{row[name]:,}" for name in ("achieved", "errors")]
    return [P50.number(row["p50"]), P99.number(row["p99"]), *counts, P99.number(row["lag"])]


def machine(board: Board) -> list[dict[str, str]]:
    """Return the last sample of server, driver and machine; what the machine does not give is left out."""
    row = board.last_row("samples")
    if row is None:
        return []
    shown = {
        "server": ("server CPU", "% of a core"),
        "driver": ("driver CPU", "% of a core"),
        "server_mb": ("server memory", "MB"),
        "driver_mb": ("driver memory", "MB"),
        "machine_memory": ("machine's memory in use", "%"),
        "io_wait": ("waiting for disks", "% of all cores"),
        "stolen": ("stolen by the hypervisor", "% of all cores"),
        "cpu_some": ("pressure: some task waited for a core", "% of the time"),
        "memory_some": ("pressure: some task waited for memory", "% of the time"),
        "io_some": ("pressure: some task waited for a disk", "% of the time"),
    }
    return [
        {"label": label, "value": _plain(row[name]), "unit": unit}
        for name, (label, unit) in shown.items()
        if row[name] is not None
    ]


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"  # noqa: PLR2004 - three digits are read at a glance
