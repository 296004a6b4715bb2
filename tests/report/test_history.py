"""Closed runs read back: what is skipped, what is compared with what, and which changes are seen."""

from __future__ import annotations

import io
import json
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from compbench import report
from compbench.cli import looking_back
from compbench.cli.display import Display
from compbench.config.settings import Settings
from compbench.model import file_names
from compbench.model.errors import UserError
from compbench.model.records import Manifest
from compbench.report import pages, trend
from compbench.report.export import history_files
from compbench.report.past import history
from compbench.store import runs
from compbench.store.record_files import read_record
from compbench.systems.registry import load_settings
from tests import synthetic
from tests.browser import CHROMIUM, look_at
from tests.project import ROOT, Project
from tests.rendering import render
from tests.synthetic import NOON, Recipe, RunRecipe

SCENARIOS = ROOT / "scenarios" / "competitive"
DAY_S = 86_400.0
QDRANT = synthetic.NAMES[0]
# What a search for a capacity found, as `results.json` has it.
SEARCHED: dict[str, Any] = {
    **{"low_ops_s": 3200.0, "high_ops_s": 3300.0, "bound": "target", "curve": []},
    **{"p99_limit_ms": 20.0, "max_error_rate": 0.01, "precision_pct": 5.0},
}


def add_run(output_dir: Path, number: int, p99s_ms: Sequence[float], verdict: str = "passed", **facts: Any) -> str:
    """Write a closed run of one scenario, a day after the one before, whose repeats have these P99s."""
    repeats = [None] if len(p99s_ms) == 1 else list(range(1, len(p99s_ms) + 1))
    recipes = [Recipe(QDRANT, duration_s=2, rate_ops_s=50, repeat=r, verdict=verdict) for r in repeats]
    whole = RunRecipe(captures=recipes, at=NOON + number * DAY_S, commit=f"{number + 1:040x}", **facts)
    folder = synthetic.make_run(output_dir, whole)
    for repeat, p99_ms in zip(repeats, p99s_ms, strict=True):
        unit = QDRANT if repeat is None else f"{QDRANT}_run{repeat}"
        path = folder / f"{folder.name}_{unit}_capture.json"
        capture = json.loads(path.read_text())
        capture["result"]["p99_latency_ms"] = p99_ms
        path.write_text(json.dumps(capture))
    manifest = read_record(folder / file_names.MANIFEST, Manifest)
    captures = runs.Run(folder, manifest).captures()
    pages.write_pages(folder, manifest, captures, interrupted=False, scenarios_dir=SCENARIOS, now=NOON)
    return folder.name


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Call a task of `review` on the runs of `tmp_path`; gives its exit code and what it printed."""

    def call(show: Callable[..., int], now: float | None = None, **variables: str) -> tuple[int, str]:
        settings = load_settings(ROOT, {}, {"output_dir": str(tmp_path), **variables})
        out = io.StringIO()
        code = show(settings, Display(out)) if now is None else show(settings, Display(out), lambda: now)
        return code, out.getvalue()

    return call


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


def test_a_regression_ends_with_1_and_an_improvement_with_0(
    tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    first = add_run(tmp_path, 0, [10.0, 10.1, 9.9])
    second = add_run(tmp_path, 1, [11.2, 11.3, 11.1])
    code, text = run(looking_back.show_comparison)
    assert code == 1
    assert f"base {first}" in text
    assert text.partition("\n")[0].endswith("; of repeats, figures are means")
    assert "+12.0 %" in text
    assert f"regression: {QDRANT} (P99, ms)" in text
    code, text = run(looking_back.show_comparison, base=second, head=first)
    assert (code, "improvement" in text) == (0, True)


def test_noise_is_no_regression_and_single_runs_say_so(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    add_run(tmp_path, 0, [10.0])
    add_run(tmp_path, 1, [10.9])
    code, text = run(looking_back.show_comparison)
    assert code == 0
    assert "can't tell (less than 21 % can't be told (one run each" in text
    add_run(tmp_path, 2, [20.0])
    assert run(looking_back.show_comparison)[0] == 1


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"machine": "b" * 32}, "machine"),
        ({"scale": 0.5}, "scale"),
        ({"system": "embedded"}, "system"),
        ({"profile": "quick"}, "profile"),
    ],
)
def test_runs_of_unlike_set_ups_are_never_compared_silently(
    tmp_path: Path, run: Callable[..., tuple[int, str]], change: dict[str, Any], word: str
) -> None:
    first = add_run(tmp_path, 0, [10.0])
    second = add_run(tmp_path, 1, [30.0], **change)
    with pytest.raises(UserError, match=word):
        run(looking_back.show_comparison)
    code, text = run(looking_back.show_comparison, base=first, head=second)
    assert code == looking_back.NOT_COMPARED
    assert f"NOT COMPARABLE: {word}" in text
    assert "regression" not in text
    assert "nothing could be compared" in text


def test_the_last_two_comparable_runs_are_found_past_another_machine(
    tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    first = add_run(tmp_path, 0, [10.0])
    add_run(tmp_path, 1, [50.0], machine="b" * 32)
    add_run(tmp_path, 2, [10.1])
    assert f"base {first}" in run(looking_back.show_comparison)[1]


def test_a_search_for_a_capacity_does_not_stand_between_the_last_two_runs(
    tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    first, second = add_run(tmp_path, 0, [10.0]), add_run(tmp_path, 1, [10.1])
    path = tmp_path / add_run(tmp_path, 2, [99.0]) / "results.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "kind": "capacity"}))
    text = run(looking_back.show_comparison)[1]
    assert f"base {first}" in text
    assert f"head {second}" in text
    run(looking_back.show_export)
    assert "compbench_p99_latency_seconds{" in (tmp_path / "compbench.prom").read_text()
    assert " 0.0101\n" in (tmp_path / "compbench.prom").read_text(), "the newest run of the suite"
    searches = [past for past in history.read_history(tmp_path)[0] if past.kind == "capacity"]
    assert history_files.write_exports(tmp_path, searches) == [tmp_path / "runs.csv"], (
        "what was not written is not told"
    )


def test_a_scenario_that_fails_now_is_a_regression(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    first, second = add_run(tmp_path, 0, [10.0]), add_run(tmp_path, 1, [10.0], verdict="failed")
    code, text = run(looking_back.show_comparison, base=first, head=second)
    assert code == 1
    assert "no figure now: failed" in text


def test_published_figures_have_a_wider_limit(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    add_run(tmp_path, 0, [24.1])  # Qdrant's 22 ms and nearly a tenth
    assert run(looking_back.show_comparison, base="published")[0] == 0
    add_run(tmp_path, 1, [24.3])
    code, text = run(looking_back.show_comparison, base="published")
    assert code == 1
    assert "another machine" in text
    add_run(tmp_path, 2, [0.1], system="embedded", scale=0.001)
    code, text = run(looking_back.show_comparison, base="published")
    assert code == 2, "nothing could be compared"
    assert "not comparable (compbench's embedded server, data scaled to 0.001" in text
    assert "improvement" not in text


def test_a_name_that_is_no_run_is_refused_with_the_newest(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    good = add_run(tmp_path, 0, [10.0])
    with pytest.raises(UserError, match=good):
        run(looking_back.show_comparison, base="2020-01-01_00-00-00")


def steps(count: int, shift_at: int, factor: float, noise_pct: float = 2.0) -> list[float]:
    chance = random.Random(11)
    return [10 * (factor if n >= shift_at else 1) * chance.gauss(1, noise_pct / 100) for n in range(count)]


def test_a_lasting_change_is_found_where_it_begins() -> None:
    assert trend.find_shifts(steps(30, 17, 1.15), 5.0) == [17]


def test_below_ten_points_no_change_is_claimed() -> None:
    assert trend.find_shifts(steps(9, 5, 2.0), 5.0) == []
    assert trend.find_shifts(steps(10, 5, 2.0), 5.0) == [5]


def test_noise_a_single_spike_and_a_small_step_are_no_change() -> None:
    for seed in range(40):
        chance = random.Random(seed)
        assert trend.find_shifts([10 * chance.gauss(1, 0.04) for _ in range(60)], 5.0) == [], seed
    spiked = steps(30, 99, 1)
    spiked[12] *= 3
    assert trend.find_shifts(spiked, 5.0) == []
    assert trend.find_shifts(steps(60, 30, 1.03, 0.5), 5.0) == [], "three per cent are of no interest"


def test_the_trend_joins_only_runs_that_are_comparable(tmp_path: Path) -> None:
    for number, duration_s in enumerate(("10", "5", "10")):
        path = tmp_path / add_run(tmp_path, number, [10.0]) / "results.json"
        results = json.loads(path.read_text())
        results["fingerprint"]["duration_s"] = duration_s
        path.write_text(json.dumps(results))
    panel = trend.panels_of(history.read_history(tmp_path)[0])[0]
    series = [row["series"] for row in panel.spec["data"]["values"]]
    assert series[0] == series[2] != series[1]
    assert [name.rpartition(", ")[2] for name in series] == ["duration_s 10", "duration_s 5", "duration_s 10"]
    assert "2 comparable runs" in panel.remark


def test_the_trend_page_names_commit_machine_and_what_was_skipped(
    tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    for number, value in enumerate(steps(12, 6, 1.5)):
        add_run(tmp_path, number, [value])
    add_run(tmp_path, 12, [9.0], machine="b" * 32)
    (tmp_path / "notes").mkdir()
    code, text = run(looking_back.show_trend)
    assert code == 0
    assert "notes: skipped" in text
    page = (tmp_path / trend.PAGE_NAME).read_text()
    assert f"{7:040x}"[:12] in page
    assert "another machine" in page
    assert "too little history" not in page.partition("P99, ms")[2].partition("</figure>")[0]
    assert "notes: skipped" in page
    if CHROMIUM is not None:
        for width in (1280, 390):
            seen = look_at(tmp_path / trend.PAGE_NAME, width, tmp_path / f"profile{width}")
            assert min(seen.marks) > 2
            assert (seen.overflow_px <= 0, seen.errors) == (True, [])
            assert {url.partition(":")[0] for url in seen.urls} <= {"file", "data"}


def test_a_full_run_is_due_after_ninety_days(
    tmp_path: Path, run: Callable[..., tuple[int, str]], only_qdrant: dict[str, str]
) -> None:
    assert run(looking_back.show_due, now=NOON, **only_qdrant)[0] == 1
    add_run(tmp_path, 1, [10.0])
    told = [run(looking_back.show_due, now=NOON + days * DAY_S, **only_qdrant) for days in (2, 76, 78, 90, 92)]
    assert [code for code, _ in told] == [0, 0, 0, 0, 1]
    assert ["due soon" in text for _, text in told] == [False, False, True, True, False]
    code, text = run(looking_back.show_due, now=NOON - 40 * DAY_S, **only_qdrant)
    assert code == 1, "the clock may have been wrong then, or be wrong now"
    assert "of the future" in text


@pytest.fixture
def only_qdrant(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the settings of a suite of one scenario on Engram."""
    folder = tmp_path_factory.mktemp("one") / "scenarios"
    folder.mkdir()
    (folder / f"{QDRANT}.toml").write_bytes((SCENARIOS / f"{QDRANT}.toml").read_bytes())
    return {"scenarios_dir": str(folder), "system": "engram"}


@pytest.mark.parametrize(
    ("facts", "fingerprint", "reason"),
    [
        ({"profile": "quick"}, {}, "profile quick"),
        ({}, {"duration_s": "1"}, "1 s a scenario in place of the scenario's own duration"),
        ({"system": "embedded"}, {}, "of the system embedded"),
        ({"scale": 0.001}, {}, "data scale 0.001 and not 1"),
        ({"verdict": "invalid"}, {}, f"{QDRANT} invalid"),
        ({"verdict": "failed"}, {}, f"{QDRANT} failed"),
    ],
)
def test_a_run_that_says_too_little_does_not_put_off_the_next_one(
    tmp_path: Path,
    run: Callable[..., tuple[int, str]],
    only_qdrant: dict[str, str],
    facts: dict[str, Any],
    fingerprint: dict[str, str],
    reason: str,
) -> None:
    whole, name = add_run(tmp_path, 0, [10.0]), add_run(tmp_path, 60, [10.0], **facts)
    path = tmp_path / name / "results.json"
    results = json.loads(path.read_text())
    results["fingerprint"] |= fingerprint
    path.write_text(json.dumps(results))
    code, text = run(looking_back.show_due, now=NOON + 91 * DAY_S, **only_qdrant)
    assert code == 1, "by the run of day 60 it would not be due"
    assert f"{whole}, is 91 days old" in text
    assert f"(not counted: {name}: {reason})" in text


def test_a_run_that_lacks_a_scenario_or_is_of_an_unnamed_toy_does_not_count(
    tmp_path: Path, run: Callable[..., tuple[int, str]], only_qdrant: dict[str, str]
) -> None:
    name = add_run(tmp_path, 0, [10.0], system="embedded", scale=0.001)
    code, text = run(looking_back.show_due, now=NOON + DAY_S)
    assert code == 1
    assert f"{name}: of the system embedded, without hybrid_production_100k" in text
    asked = {**only_qdrant, "system": "embedded"}
    assert run(looking_back.show_due, now=NOON + DAY_S, **asked)[0] == 0, "it is what was asked for"


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


def test_a_capacity_is_shown_with_later_runs_on_the_same_machine(tmp_path: Path) -> None:
    name = add_run(tmp_path, 0, [10.0])
    path = tmp_path / name / "results.json"
    results = json.loads(path.read_text())
    results["kind"] = "capacity"
    results["scenarios"][0]["capacity"] = SEARCHED
    results["scenarios"][0]["metrics"]["capacity_ops_s"] = SEARCHED["low_ops_s"]
    path.write_text(json.dumps(results))
    (past,) = history.read_history(tmp_path)[0]
    assert history.find_capacities([past], past.fingerprint)[QDRANT].facts.low_ops_s == 3200.0
    assert history.find_capacities([past], {**past.fingerprint, "machine": "b" * 32}) == {}
    assert past.values[QDRANT]["capacity_ops_s"] == [3200.0]


def test_settings_are_not_changed_by_looking_back() -> None:
    assert msgspec.to_builtins(Settings())["base"] == ""


def test_without_the_extra_each_task_says_how_to_get_it(
    tmp_path: Path, run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run(tmp_path, 0, [10.0, 10.1])
    monkeypatch.setattr(report, "_EXTRA", ("scipy", "no_such_library"))
    for show in (looking_back.show_trend, looking_back.show_comparison, looking_back.show_export):
        with pytest.raises(UserError, match=r"pip install '\.\[report\]'.*no_such_library"):
            run(show)
    assert run(looking_back.show_due)[0] == 1


def test_the_report_says_what_changed_since_the_run_before(tmp_path: Path) -> None:
    first, second = add_run(tmp_path, 0, [10.0, 10.1, 9.9]), add_run(tmp_path, 1, [12.0, 12.1, 11.9])
    render(tmp_path / second)
    page = (tmp_path / second / f"{second}_report.html").read_text()
    assert f"since run {first} regression: {QDRANT} (P99, ms)" in page
    assert "Of repeats these are means; the other tables show the median one." in page
    assert "median of 3</span>" in page
    assert "+20.0 %" in page
    render(tmp_path / first)
    assert "Since run" not in (tmp_path / first / f"{first}_report.html").read_text()


def test_doit_ends_with_the_exit_codes_that_ci_wants(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=("alpha",))
    assert project.doit("due").returncode == 1
    assert project.doit("compare").returncode == 2
    add_run(project.output, 0, [10.0, 10.1, 9.9])
    add_run(project.output, 1, [10.0, 10.1, 9.9])
    done = project.doit("compare")
    assert (done.returncode, "no regression" in done.stdout) == (0, True), done.stdout + done.stderr
    add_run(project.output, 2, [12.0, 12.1, 11.9])
    assert project.doit("compare").returncode == 1
    assert project.doit("trend").returncode == 0
    assert project.doit("export").returncode == 0
    assert {"trend.html", "runs.csv", "compbench.prom"} <= {path.name for path in project.output.iterdir()}
    refused = project.doit("compare", "base=yesterday")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    (project.root / "tmp" / "lock").unlink(missing_ok=True)
    (project.root / "tmp" / "lock").mkdir(parents=True)
    refused = project.doit("clean")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "can't be the suite's lock" in refused.stderr


def test_a_run_whose_server_held_fewer_vectors_is_not_compared(
    tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    first, second = add_run(tmp_path, 0, [10.0]), add_run(tmp_path, 1, [5.0])
    path = tmp_path / second / "results.json"
    results = json.loads(path.read_text())
    results["scenarios"][0]["data_set"]["stored"] -= 1
    path.write_text(json.dumps(results))
    code, text = run(looking_back.show_comparison, base=first, head=second)
    assert code == looking_back.NOT_COMPARED
    assert f"stored:{QDRANT}" in text


def test_what_older_runs_called_target_is_the_system(tmp_path: Path) -> None:
    folder = tmp_path / add_run(tmp_path, 0, [10.0])
    results = json.loads((folder / "results.json").read_text())
    inputs = results["fingerprint"]
    inputs["target"] = inputs.pop("system")
    (folder / "results.json").write_text(json.dumps(results))
    past = history.read_past(folder)
    assert past is not None
    assert past.fingerprint["system"] == inputs["target"]
