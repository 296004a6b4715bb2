"""The exports of all runs, kept beside them: the one place that lists the formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compbench.files.whole import write_whole
from compbench.model import file_names
from compbench.report.export import openmetrics, runs_csv
from compbench.report.past.comparable import find_capacities
from compbench.report.past.history import Past


def write_exports(output_dir: Path, history: Sequence[Past]) -> list[Path]:
    """Write all runs as CSV and the newest one of the suite as OpenMetrics, beside the runs; return the paths.

    Raises:
        OSError: a file could not be written.
    """
    texts = {file_names.RUNS_CSV: runs_csv.csv_text(history)}
    newest = next((past for past in reversed(history) if past.kind == "suite"), None)
    if newest is not None:
        capacities = find_capacities(history, newest.fingerprint)
        texts[file_names.OPENMETRICS] = openmetrics.openmetrics_text(newest, capacities)
    for name, text in texts.items():
        write_whole(output_dir / name, text)
    return [output_dir / name for name in texts]
