"""The same measurement in earlier runs: a short row of closed ones that may be set beside this one."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from compbench.live.told import ToldEvent, names_told, nested_told, number_told, words_told
from compbench.model.errors import UserError
from compbench.model.metrics import CAPACITY, P50, P99, THROUGHPUT
from compbench.report.past import comparable, history
from compbench.report.past.history import Past
from compbench.store import runs

_MOST_SHOWN = 8
# So many folders are looked into at most: it is done while others measure.
_MOST_READ = 24
_SHOWN = (P50, P99, THROUGHPUT)


def earlier_runs(output_dir: Path, manifest: ToldEvent, measurement: str) -> Generator[None, None, dict[str, Any]]:
    """Return a table of the measurement in earlier closed runs of the same inputs, the newest first.

    Of repeats it has the mean, as the comparison of runs does. `points` has the P99 of each, for a chart. It yields
    after each run that it has read, so that others have their turn.
    """
    name = _plain_name(measurement)
    found: list[Past] = []
    for folder in _folders_before(output_dir, words_told(manifest, "run")):
        with contextlib.suppress(UserError):
            past = history.read_past(folder)
            if past is not None and _is_comparable(past, manifest, name):
                found.append(past)
        if len(found) == _MOST_SHOWN:
            break
        yield
    rows = [_cells(past, name) for past in found]
    points = [
        {"run": past.run, "p99": mean} for past in reversed(found) if (mean := _mean(past, name, P99.name)) is not None
    ]
    columns = ["run", "commit", "outcome", *(metric.title for metric in _metrics(name))]
    return {"of": name, "columns": columns, "rows": rows, "points": points}


def _plain_name(measurement: str) -> str:
    """Return the name under which runs keep a measurement's figures: without the repeat."""
    stem, _, repeat = measurement.rpartition("_run")
    return stem if stem and repeat.isdecimal() else measurement


def _folders_before(output_dir: Path, run: str) -> Sequence[Path]:
    return [folder for folder in reversed(runs.run_folders(output_dir)) if folder.name < run][:_MOST_READ]


def _is_comparable(past: Past, manifest: ToldEvent, name: str) -> bool:
    """Tell whether inputs were the same, as far as they are known before anything is measured."""
    if name not in past.verdicts or past.is_study:
        return False
    stored = f"stored:{name}"
    known = {key: value for key, value in nested_told(manifest, "fingerprint").items() if isinstance(value, str)}
    inputs: Mapping[str, str] = history.told_inputs(known)
    if stored in past.fingerprint:
        inputs = {**inputs, stored: past.fingerprint[stored]}
    head = Past(
        run=words_told(manifest, "run"),
        opened_at=number_told(manifest, "opened_at") or 0.0,
        fingerprint=inputs,
        commit="",
        dirty=False,
        machine="",
        values={},
        verdicts={name: "passed"},
        systems=names_told(manifest, "systems"),
    )
    return not comparable.differences(past, head, name)


def _metrics(name: str) -> Sequence[Any]:
    return (CAPACITY,) if name.endswith("_capacity") else _SHOWN


def _cells(past: Past, name: str) -> list[str]:
    figures = [metric.number(_mean(past, name, metric.name)) for metric in _metrics(name)]
    commit = past.commit[:12] + (" +" if past.dirty else "")
    return [past.run, commit or "unknown", past.verdicts[name], *figures]


def _mean(past: Past, name: str, metric: str) -> float | None:
    values = past.values.get(name, {}).get(metric, [])
    return sum(values) / len(values) if values else None
