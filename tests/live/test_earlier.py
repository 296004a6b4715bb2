"""The same measurement in earlier runs: only those that may be set beside this one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compbench.live import earlier
from tests.past_runs import QDRANT, add_run


def earlier_runs(folder: Path, manifest: dict[str, Any], measurement: str) -> dict[str, Any]:
    """Return the table, once every run has been looked into."""
    looking = earlier.earlier_runs(folder, manifest, measurement)
    while True:
        try:
            next(looking)
        except StopIteration as ended:
            return dict(ended.value)


def manifest_of(folder: Path, **changes: str) -> dict[str, Any]:
    """Return the manifest of a run that begins a day after all others, with the inputs of a known one."""
    manifest = dict(json.loads((folder / "manifest.json").read_text()))
    return {**manifest, "run": "2026-03-01_12-00-00", "fingerprint": {**manifest["fingerprint"], **changes}}


def test_earlier_runs_of_the_same_inputs_are_shown_the_newest_first(tmp_path: Path) -> None:
    names = [add_run(tmp_path, number, [1.0 + number]) for number in range(3)]
    found = earlier_runs(tmp_path, manifest_of(tmp_path / names[0]), f"{QDRANT}_run2")
    assert [row[0] for row in found["rows"]] == list(reversed(names))
    assert [point["p99"] for point in found["points"]] == [1.0, 2.0, 3.0]
    assert found["rows"][0][found["columns"].index("P99, ms")] == "3.00"


def test_a_run_on_another_machine_an_unreadable_one_and_a_later_one_are_left_out(tmp_path: Path) -> None:
    names = [add_run(tmp_path, number, [1.0]) for number in range(3)]
    (tmp_path / names[1] / "results.json").write_text("{")
    assert len(earlier_runs(tmp_path, manifest_of(tmp_path / names[0]), QDRANT)["rows"]) == 2
    assert earlier_runs(tmp_path, manifest_of(tmp_path / names[0], machine="another"), QDRANT)["rows"] == []
    early = {**manifest_of(tmp_path / names[0]), "run": names[0]}
    assert earlier_runs(tmp_path, early, QDRANT)["rows"] == []
