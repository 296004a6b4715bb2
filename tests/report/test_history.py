"""Closed runs read back: which folders are runs, and what is skipped with a word."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from compbench.cli import looking_back
from compbench.report.past import history
from tests.past_runs import SEARCHED, add_run


def test_damaged_and_foreign_folders_are_skipped_with_a_word(tmp_path: Path) -> None:
    good = add_run(tmp_path, 0, [10.0])
    (tmp_path / "holiday pictures").mkdir()
    (tmp_path / "2026-01-01_00-00-00").mkdir()
    (tmp_path / "2026-01-02_00-00-00").mkdir()
    (tmp_path / "2026-01-02_00-00-00" / "results.json").write_text('{"schema": 2, "run"')
    (tmp_path / "2026-01-03_00-00-00").mkdir()
    (tmp_path / "2026-01-03_00-00-00" / "results.json").write_bytes((tmp_path / good / "results.json").read_bytes())
    (tmp_path / ".cache").mkdir()
    known, skipped = history.read_history(tmp_path)
    assert [past.run for past in known] == [good]
    assert len(skipped) == 4
    for name, why in zip(
        sorted(skipped), ("no results.json", "can't be read", f"of run {good}", "not the folder"), strict=True
    ):
        assert why in name


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("opened_at", 1e300), ("opened_at", -1e11), ("verdict", 7), ("verdict", None), ("p99", -5.0)),
        *(("capacity", SEARCHED | {"low_ops_s": low}) for low in ("inf", -1.0)),
        ("capacity", {"low_ops_s": 3200.0}),
        *(("provenance", {"git": 5}), ("provenance", {"system": []}), ("provenance", None)),
    ],
)
def test_results_that_no_run_can_have_are_skipped_with_a_word(
    tmp_path: Path, run: Callable[..., tuple[int, str]], key: str, value: object
) -> None:
    path = tmp_path / add_run(tmp_path, 0, [10.0]) / "results.json"
    results = json.loads(path.read_text())
    (scenario,) = results["scenarios"]
    if key == "verdict":
        scenario["outcome"]["verdict"] = value
    elif key == "capacity":
        scenario["capacity"] = value
    elif key == "p99":
        scenario["metrics"]["p99_latency_ms"] = value
    else:
        results[key] = value
    path.write_text(json.dumps(results))
    known, (line,) = history.read_history(tmp_path)
    assert known == []
    assert "results.json can't be read" in line
    assert line in run(looking_back.show_due)[1]


def test_an_open_run_is_no_history(tmp_path: Path) -> None:
    add_run(tmp_path, 0, [10.0], state="open")
    assert history.read_history(tmp_path) == ([], [])


def test_one_damaged_run_is_in_nobodys_way(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    good = [add_run(tmp_path, number, [10.0 + number / 10]) for number in (0, 1)]
    for number, content in enumerate(("[" * 200_000, '{"schema": 2}', '{"schema": 3}', "")):
        folder = tmp_path / f"2026-02-0{number + 1}_00-00-00"
        folder.mkdir()
        (folder / "results.json").write_text(content)
    pipe = tmp_path / "2026-02-05_00-00-00"
    pipe.mkdir()
    os.mkfifo(pipe / "results.json")
    known, skipped = history.read_history(tmp_path)
    assert [past.run for past in known] == good
    assert len(skipped) == 5
    assert any("is of schema 2, this compbench reads 3" in line for line in skipped)
    for command in (looking_back.show_trend, looking_back.show_comparison, looking_back.show_export):
        code, text = run(command)
        assert code == 0, text
        assert text.count("skipped") == 5


def test_what_older_runs_called_target_is_the_system(tmp_path: Path) -> None:
    folder = tmp_path / add_run(tmp_path, 0, [10.0])
    results = json.loads((folder / "results.json").read_text())
    inputs = results["fingerprint"]
    inputs["target"] = inputs.pop("system")
    (folder / "results.json").write_text(json.dumps(results))
    past = history.read_past(folder)
    assert past is not None
    assert past.fingerprint["system"] == inputs["target"]
