"""The report page: what it says, that it stands alone, and that a real browser draws all of it."""

from __future__ import annotations

import dataclasses
import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import msgspec
import pytest
from junitparser import JUnitXml

from compbench.model import file_names
from compbench.model.records import Capture, Manifest
from compbench.model.result import Capacity, Details
from compbench.report import baselines, capacities, page, pages, summary
from compbench.report.charts import drawing
from compbench.store import runs
from compbench.store.record_files import read_record, write_record
from tests import synthetic
from tests.browser import CHROMIUM, look_at
from tests.project import ROOT
from tests.synthetic import NAMES, Recipe, RunRecipe

# Nearly every test renders a page, whose charts take seconds.
pytestmark = pytest.mark.process
SCENARIOS = ROOT / "scenarios" / "competitive"


def render(folder: Path, state: str = "closed", **environment: str) -> subprocess.CompletedProcess[str]:
    argv = [
        sys.executable,
        "-m",
        "compbench.report",
        str(folder),
        str(SCENARIOS),
        str(folder.parent / "cache"),
        "--state",
        state,
    ]
    done = subprocess.run(
        argv, check=False, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done


def text_of(folder: Path, ending: str) -> str:
    return (folder / f"{folder.name}_{ending}").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with something of everything: warnings, a missed target, errors, repeats, a driver that tells little."""
    captures = [
        Recipe(NAMES[0], median_ms=4.1, rate_ops_s=300, duration_s=20, warnings=True),
        Recipe(
            NAMES[1], median_ms=12, duration_s=20, verdict="missed", reason="P99 43.00 ms is over 15 ms", errors=240
        ),
        *(Recipe(NAMES[2], median_ms=1 + n / 50, duration_s=20, repeat=n, recall=None, seed=n) for n in (1, 2, 3)),
        Recipe(NAMES[3], duration_s=20, detailed=False),
    ]
    folder = synthetic.make_run(tmp_path_factory.mktemp("runs"), RunRecipe(captures=captures, dirty=[" M a.rs"]))
    render(folder)
    return folder


def test_there_is_exactly_one_report_page_named_after_the_run(folder: Path) -> None:
    assert [path.name for path in folder.glob("*report*.html")] == [f"{folder.name}_report.html"]
    assert (folder / f"{folder.name}_report.md").is_file()
    assert not [path for path in folder.glob("*.txt") if "overview" in path.name]


def test_the_page_stands_alone(folder: Path) -> None:
    text = re.sub(r"<script>.*?</script>", "", text_of(folder, "report.html"), flags=re.DOTALL)
    assert not re.search(r"<(?:script|img|link|iframe)[^>]*(?:src|href)=[\"'](?!data:)", text)
    assert "@import" not in text
    assert "url(" not in re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]  # type: ignore[index]


def test_the_page_says_how_each_scenario_stands_and_with_which_caveats(folder: Path) -> None:
    text = text_of(folder, "report.html")
    assert "3 of 4 scenarios passed; neo4j_traversal_100k missed a target" in text
    assert "come from other machines" in text
    assert "no capacity" in text
    assert "no baseline" in text
    assert "the driver kept no histogram" in text, "what is not recorded is said"
    assert "240 &times; HTTP 503" in text
    assert "with 1 uncommitted changes" in text
    assert re.search(r"P99 varies by [\d.]+ % \((excellent|acceptable|unstable)\)", text)
    assert "What to make faster first" in text


def test_the_markdown_has_the_same_figures_and_its_pictures_are_there(folder: Path) -> None:
    text = text_of(folder, "report.md")
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert f"{folder.name}_overview.svg" in pictures
    assert len(pictures) > 10
    for name in pictures:
        drawn = (folder / name).read_text()
        assert drawn.startswith("<svg")
        assert "var(--" not in drawn, "a picture of its own has no style sheet to ask for colours"
    shown = re.search(rf"{NAMES[0]}.*?<b>([\d.]+)</b>", text_of(folder, "report.html"), re.DOTALL)
    assert shown
    assert shown[1] in text


def test_an_old_result_and_a_failed_scenario_have_a_page_too(tmp_path: Path) -> None:
    recipe = RunRecipe(captures=[Recipe(NAMES[0], duration_s=5, detailed=False, verdict="failed", reason="it crashed")])
    folder = synthetic.make_run(tmp_path, recipe)
    path = folder / f"{folder.name}_{NAMES[0]}_capture.json"
    capture = json.loads(path.read_text())
    capture |= {"result": None, "samples": [], "data_set": None}
    path.write_text(json.dumps(capture))
    render(folder, state="interrupted")
    text = text_of(folder, "report.html")
    assert "it crashed" in text
    assert "interrupted" in text
    assert "no samples were taken" in text


def test_without_the_charting_library_the_page_has_its_words_and_says_what_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / folder.name)
    for path in (*copy.glob("*.svg"), *copy.glob("*.html")):
        path.unlink()
    monkeypatch.setattr(drawing, "can_draw", lambda: False)
    manifest = read_record(copy / file_names.MANIFEST, Manifest)
    report = page.gather(copy, manifest, runs.Run(copy, manifest).captures(), SCENARIOS, state="closed")
    page.write_report(copy, report, tmp_path / "cache")
    text = text_of(copy, "report.html")
    assert "pip install '.[report]'" in text
    assert NAMES[0] in text
    assert not list(copy.glob("*.svg"))


def test_deltas_and_verdicts_have_the_published_bounds() -> None:
    published = baselines.load_baselines(SCENARIOS.parent / "baselines.toml")
    capture, _ = synthetic.make_capture("2026-01-05_12-00-00", Recipe(NAMES[0], duration_s=2), RunRecipe())
    seen = {}
    for p99_ms in (19.7, 19.9, 22.0, 24.1, 24.3):  # Qdrant's is 22
        assert capture.result
        result = msgspec.structs.replace(capture.result, p99_latency_ms=p99_ms)
        (found,) = baselines.compare([msgspec.structs.replace(capture, result=result)], published)
        assert found.delta_pct == pytest.approx(100 * (p99_ms / 22 - 1))
        seen[p99_ms] = found.status
    assert list(seen.values()) == ["BETTER", "COMPARABLE", "COMPARABLE", "COMPARABLE", "WORSE"]


def test_another_task_is_never_boasted_of(tmp_path: Path) -> None:
    recipe = RunRecipe(captures=[Recipe(NAMES[0], duration_s=2)], system="embedded", scale=0.001)
    folder = synthetic.make_run(tmp_path, recipe)
    render(folder)
    text = text_of(folder, "report.html")
    why = "not comparable: compbench's embedded server, data scaled to 0.001"
    assert why.replace("'", "&#39;") in text
    assert "published from other machines" not in text.partition('class="sentence"')[2].partition("</p>")[0]
    assert 'class="stand' not in text, "no colour"
    manifest = read_record(folder / file_names.MANIFEST, Manifest)
    captures = runs.Run(folder, manifest).captures()
    pages.write_pages(folder, manifest, captures, interrupted=False, scenarios_dir=SCENARIOS, now=0.0)
    markdown, words = text_of(folder, "report.md"), text_of(folder, "summary.txt")
    for page_text in (text, markdown, words):
        assert not re.search(r"[+-]\d+(\.\d)? % (better|worse)", page_text)
    assert why in words
    assert "not comparable: compbench's embedded server" in markdown
    (found,) = json.loads((folder / "results.json").read_text())["comparisons"]
    assert (found["status"], found["delta_pct"], found["published_p99_ms"]) == ("NOT_COMPARABLE", None, 22.0)
    assert json.loads((folder / "results.json").read_text())["priorities"] == []


def test_one_figure_is_told_alike_by_every_page(tmp_path: Path) -> None:
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=[Recipe(NAMES[0], duration_s=2, median_ms=0.02)]))
    render(folder)
    manifest = read_record(folder / file_names.MANIFEST, Manifest)
    captures = runs.Run(folder, manifest).captures()
    pages.write_pages(folder, manifest, captures, interrupted=False, scenarios_dir=SCENARIOS, now=0.0)
    pages_text = [text_of(folder, name) for name in ("report.html", "report.md", "summary.txt")]
    told = {match[0] for text in pages_text if (match := re.search(r"-9\d\.\d % better", text))}
    assert len(told) == 1
    assert all(next(iter(told)) in text for text in pages_text)


def test_what_others_said_is_no_markup_and_steers_nothing(tmp_path: Path) -> None:
    wild = "said <b>|*x*` \x1b[31mred\x1b[0m \x07 end"
    recipe = Recipe(NAMES[0], duration_s=2, verdict="failed", reason=wild)
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=[recipe]))
    render(folder)
    manifest = read_record(folder / file_names.MANIFEST, Manifest)
    captures = runs.Run(folder, manifest).captures()
    pages.write_pages(folder, manifest, captures, interrupted=False, scenarios_dir=SCENARIOS, now=0.0)
    names = ("report.html", "report.md", "summary.txt", "junit.xml")
    for name in names:
        text = text_of(folder, name)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", text), name
        assert "end" in text
    assert r"said \<b\>\|\*x\*\` red" in text_of(folder, "report.md")
    JUnitXml.fromfile(str(folder / f"{folder.name}_junit.xml"))


def test_priorities_begin_with_the_largest_gap() -> None:
    made = [
        baselines.Comparison(scenario="near", status="NO_BASELINE", measured_p99_ms=11.0),
        baselines.Comparison(
            scenario="far", status="WORSE", measured_p99_ms=40.0, system="S", published_p99_ms=10.0, delta_pct=300.0
        ),
        baselines.Comparison(scenario="fine", status="NO_BASELINE", measured_p99_ms=1.0),
    ]
    found = baselines.priorities(made, {"near": 10.0, "fine": 10.0})
    assert [(gap.scenario, gap.against, gap.gap_ms) for gap in found] == [
        ("far", "S", 30.0),
        ("near", "its target", 1.0),
    ]
    assert found[0].gap_pct == pytest.approx(75)


def test_results_follow_the_published_schema(folder: Path) -> None:
    manifest = read_record(folder / file_names.MANIFEST, Manifest)
    captures: list[Capture] = runs.Run(folder, manifest).captures()
    pages.write_pages(folder, manifest, captures, interrupted=False, scenarios_dir=SCENARIOS, now=manifest.opened_at)
    schema = json.loads((ROOT / "docs" / "results.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    results = json.loads((folder / "results.json").read_text())
    jsonschema.validate(results, schema, jsonschema.Draft202012Validator)
    (p99,) = [s for s in results["statistics"] if s["metric"] == "p99_latency_ms"]
    assert p99["count"] == 3
    assert p99["low"] < p99["mean"] < p99["high"]
    del results["scenarios"][0]["metrics"]["p99_latency_ms"]
    with pytest.raises(jsonschema.ValidationError, match="p99_latency_ms"):
        jsonschema.validate(results, schema, jsonschema.Draft202012Validator)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_draws_every_chart_without_error_or_request(folder: Path, tmp_path: Path, width: int) -> None:
    seen = look_at(folder / f"{folder.name}_report.html", width, tmp_path / "profile")
    assert len(seen.marks) > 15
    assert min(seen.marks) > 2
    assert seen.overflow_px <= 0, "the page itself must not scroll sideways"
    assert seen.tallest_row_px <= 130, "a narrow column must not make its whole row tall"
    assert 4 <= seen.printed_pages <= 8, "no sheet is nearly empty"
    assert seen.errors == []
    assert {url.partition(":")[0] for url in seen.urls} <= {"file", "data"}


def test_rendering_after_each_scenario_loads_nothing_heavy(folder: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from compbench.cli import reporter, suite
from compbench.model import file_names
from compbench.store import runs
from compbench.model.records import Manifest
from compbench.report import diagnostics, pages, summary
from compbench.store.record_files import read_record
folder = Path({str(folder)!r})
manifest = read_record(folder / file_names.MANIFEST, Manifest)
captures = [c for c in runs.Run(folder, manifest).captures() if c.repeat is None]
pages.write_pages(folder, manifest, captures, interrupted=False, scenarios_dir=Path({str(SCENARIOS)!r}), now=0.0)
print([name for name in ("numpy", "scipy", "vl_convert", "hdrh", "ruptures", "apprise") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_targets_survive_a_later_change_of_the_scenarios_file(tmp_path: Path) -> None:
    scenarios = shutil.copytree(SCENARIOS.parent, tmp_path / "scenarios") / "competitive"
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=[Recipe(NAMES[0], duration_s=2)]))
    manifest = read_record(folder / file_names.MANIFEST, Manifest)
    captures = runs.Run(folder, manifest).captures()
    for line in ("", "# changed\n"):
        with (scenarios / f"{NAMES[0]}.toml").open("a") as file:
            file.write(line)
        pages.write_pages(folder, manifest, captures, interrupted=False, scenarios_dir=scenarios, now=0.0)
        targets = json.loads((folder / "results.json").read_text())["scenarios"][0]["targets"]
        assert targets["expected_p99_latency_ms"] == 20.0


@pytest.mark.parametrize("change", ["absent", "null"])
def test_every_part_does_without_what_a_driver_did_not_record(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "can_draw", lambda: False)
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=[Recipe(NAMES[0], duration_s=3, errors=3)]))
    manifest = read_record(folder / file_names.MANIFEST, Manifest)
    (capture,) = runs.Run(folder, manifest).captures()
    assert capture.result
    whole = msgspec.to_builtins(capture.result.details)
    for key in whole:
        told = {name: value for name, value in whole.items() if name != key}
        told |= {key: None} if change == "null" else {}
        details = msgspec.convert(told, Details)
        poorer = msgspec.structs.replace(capture, result=msgspec.structs.replace(capture.result, details=details))
        report = page.gather(folder, manifest, [poorer], SCENARIOS, state="closed")
        page.write_report(folder, report, tmp_path / "cache")
        assert NAMES[0] in text_of(folder, "report.html"), key


def test_few_operations_have_no_upper_bound(tmp_path: Path) -> None:
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=[Recipe(NAMES[0], duration_s=3)]))
    path = folder / f"{folder.name}_{NAMES[0]}_capture.json"
    capture = json.loads(path.read_text())
    capture["result"]["details"]["response_time_ms_ci"]["p99"] = [1.164, None]
    path.write_text(json.dumps(capture))
    render(folder)
    assert "too few for an upper bound" in text_of(folder, "report.html")


def test_a_search_for_a_capacity_has_a_page_and_later_runs_show_it(tmp_path: Path) -> None:
    rates = [(500.0, 2.0, True), (900.0, 4.0, None), (1000.0, 12.0, True), (1100.0, 80.0, False)]
    trials = [
        {"rate_ops_s": rate, "achieved_ops_s": rate, "p99_ms": p99_ms, "error_rate": 0.0, "sustained": sustained}
        for rate, p99_ms, sustained in rates
    ]
    found = {"low_ops_s": 1000.0, "high_ops_s": 1100.0, "bound": "target", "p99_limit_ms": 20.0, "curve": trials}
    found |= {"max_error_rate": 0.005, "precision_pct": 5.0, "note": "the server's own limit"}
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=[Recipe(NAMES[0], duration_s=2)]))
    manifest = read_record(folder / file_names.MANIFEST, Manifest)
    (capture,) = runs.Run(folder, manifest).captures()
    search = msgspec.structs.replace(capture, is_capacity=True, result=None, capacity=msgspec.convert(found, Capacity))
    write_record(folder / f"{folder.name}_{search.measurement}_capture.json", search)
    manifest = msgspec.structs.replace(manifest, kind="capacity", selection=[search.measurement])
    write_record(folder / file_names.MANIFEST, manifest)
    pages.write_pages(folder, manifest, [search], interrupted=False, scenarios_dir=SCENARIOS, now=0.0)
    render(folder)
    words = "capacity 1000 ops/s sustained at P99 under 20 ms, 1100 not (the server's own limit)"
    told = text_of(folder, "summary.txt")
    assert f"passed  {words}\n" in told
    assert "1000 ops/s, Qdrant 1.7+ 626 ops/s (+60 % better; 8-core Xeon" in told
    assert "no figures" not in told
    text = text_of(folder, "report.html")
    assert html.escape(f"{NAMES[0]}: {words}.").replace("&#x27;", "&#39;") in text
    assert "P99: measured, wanted, published" not in text
    assert "+60 % better" in text_of(folder, "report.md")
    assert "1000<i> ops/s</i>" in text
    assert "the driver kept no histogram" not in text
    assert (folder / f"{folder.name}_{NAMES[0]}_capacity.svg").is_file()
    later = synthetic.make_run(
        tmp_path, RunRecipe(captures=[Recipe(NAMES[0], duration_s=2)], at=synthetic.NOON + 86_400)
    )
    render(later)
    assert f"capacity at P99 under 20.0 ms, run {folder.name}" in text_of(later, "report.html")
    schema = json.loads((ROOT / "docs" / "results.schema.json").read_text())
    jsonschema.validate(json.loads((folder / "results.json").read_text()), schema, jsonschema.Draft202012Validator)


def test_repeats_are_summed_up_and_the_command_that_goes_on_has_every_setting(tmp_path: Path) -> None:
    recipes = [Recipe(NAMES[0], duration_s=2, repeat=n, seed=n) for n in (1, 2, 3)]
    recipes[2] = dataclasses.replace(recipes[2], verdict="invalid", reason="the driver lacked CPU time")
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=recipes))
    manifest = read_record(folder / file_names.MANIFEST, Manifest)
    words = [".venv/bin/doit", "system=embedded", "work_dir=/mnt/my disk"]
    manifest = msgspec.structs.replace(manifest, settings={**manifest.settings, "invocation": words})
    captures = runs.Run(folder, manifest).captures()
    (folder / f"{folder.name}_report.html").touch()
    told = summary.final_message(manifest, captures, folder, interrupted=False)
    p99s = sorted(capture.result.p99_latency_ms for capture in captures[:2] if capture.result)
    assert (
        f"  {NAMES[0]}: P99 median {sum(p99s) / 2:.2f} ms, {p99s[0]:.2f} to {p99s[1]:.2f} ms over 2 of 3 repeats"
        in told
    )
    assert f"Report: {folder}/{folder.name}_report.html\n" in told
    assert f": .venv/bin/doit system=embedded 'work_dir=/mnt/my disk' resume={folder.name}\n" in told
    text = summary.render_summary(manifest, captures, folder, [], interrupted=False)
    assert "Repeats:\n" in text
    assert f"resume={folder.name}" in text


@pytest.mark.parametrize(
    ("found_ops_s", "facts", "stands"),
    [
        (650.0, {}, "comparable"),
        (700.0, {}, "+12 % better"),
        (500.0, {}, "-20 % worse"),
        (9000.0, {"scale": 0.01}, "not comparable: data scaled to 0.01"),
        (9000.0, {"system": "embedded"}, "not comparable: compbench's embedded server"),
    ],
)
def test_a_capacity_stands_beside_published_throughput_where_both_can_be_compared(
    tmp_path: Path, found_ops_s: float, facts: dict[str, object], stands: str
) -> None:
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=[Recipe(NAMES[0], duration_s=2)], **facts))  # type: ignore[arg-type]
    (capture,) = runs.Run(folder, read_record(folder / file_names.MANIFEST, Manifest)).captures()
    found = Capacity(
        low_ops_s=found_ops_s,
        high_ops_s=None,
        bound="limit",
        p99_limit_ms=20,
        max_error_rate=0.0,
        precision_pct=5,
        curve=[],
    )
    published = baselines.load_baselines(SCENARIOS.parent / "baselines.toml")
    (row,) = capacities.beside_published(capture, found, published)
    assert (row.published, row.stands) == ("Qdrant 1.7+ 626 ops/s", stands)
