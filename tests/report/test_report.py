"""The report page: what it says, that it stands alone, and that a real browser draws all of it."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import jsonschema
import msgspec
import pytest
from junitparser import JUnitXml

from compbench.model import file_names
from compbench.model.records import Manifest
from compbench.model.result import Capacity, Details
from compbench.report import page, pages
from compbench.report.charts import drawing
from compbench.store import runs
from compbench.store.record_files import read_record, write_record
from tests import synthetic
from tests.browser import CHROMIUM, look_at
from tests.project import ROOT
from tests.rendering import CACHE, SCENARIOS, records_of, render, text_of, write_pages
from tests.synthetic import NAMES, Recipe, RunRecipe

# Nearly every test renders a page, whose charts take seconds.
pytestmark = pytest.mark.process


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
    assert "with 1 uncommitted change:" in text
    assert re.search(r"P99 varies by [\d.]+ % \((excellent|acceptable|unstable)\)", text)
    assert "What to make faster first" in text


def test_the_recall_of_the_worst_searches_is_told_wherever_recall_is(folder: Path) -> None:
    page = html.unescape(text_of(folder, "report.html"))
    assert "120 answers checked; P5 89.30 %, 2.10 % of searches below recall 0.8" in page
    assert "over 120 answers, recall P5 89.30 %, 2.10 % of searches below recall 0.8" in page, "also among the doubts"
    assert "| 99.30 % | 89.30 % | 2.10 % |" in text_of(folder, "report.md")
    assert "| - | - | - |" in text_of(folder, "report.md"), "also where it was not recorded"
    write_pages(folder)
    assert "over 120 answers, P5 89.30 %, 2.10 % of searches below recall 0.8" in text_of(folder, "summary.txt")


def test_what_an_older_driver_told_of_recall_is_shown_as_it_was(tmp_path: Path) -> None:
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=[Recipe(NAMES[0], duration_s=2)]))
    path = folder / f"{folder.name}_{NAMES[0]}_capture.json"
    capture = json.loads(path.read_text())
    capture["result"]["details"]["recall"] = {"mean": 0.98, "checked": 100}
    path.write_text(json.dumps(capture))
    render(folder)
    write_pages(folder)
    for ending in ("report.html", "summary.txt"):
        text = text_of(folder, ending)
        assert "98.00" in text
        assert "searches below" not in text


def test_a_reason_of_one_repeat_has_the_verdict_of_that_repeat(tmp_path: Path) -> None:
    recipes = [
        Recipe(NAMES[0], duration_s=2, repeat=1, verdict="failed", reason="the server crashed"),
        Recipe(NAMES[0], duration_s=2, repeat=2, verdict="invalid", reason="the driver lagged"),
    ]
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=recipes))
    render(folder)
    for ending in ("report.html", "report.md"):
        text = text_of(folder, ending)
        assert "Repeat 1, failed: the server crashed" in text
        assert "Repeat 2, invalid: the driver lagged" in text


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


def test_what_others_said_is_no_markup_and_steers_nothing(tmp_path: Path) -> None:
    wild = "said <b>|*x*` \x1b[31mred\x1b[0m \x07 end"
    recipe = Recipe(NAMES[0], duration_s=2, verdict="failed", reason=wild)
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=[recipe]))
    render(folder)
    write_pages(folder)
    names = ("report.html", "report.md", "summary.txt", "junit.xml")
    for name in names:
        text = text_of(folder, name)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", text), name
        assert "end" in text
    assert r"said \<b\>\|\*x\*\` red" in text_of(folder, "report.md")
    JUnitXml.fromfile(str(folder / f"{folder.name}_junit.xml"))


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


@pytest.mark.parametrize("change", ["absent", "null"])
def test_every_part_does_without_what_a_driver_did_not_record(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "can_draw", lambda: False)
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=[Recipe(NAMES[0], duration_s=3, errors=3)]))
    manifest, (capture,) = records_of(folder)
    assert capture.result
    whole = msgspec.to_builtins(capture.result.details)
    for key in whole:
        told = {name: value for name, value in whole.items() if name != key}
        told |= {key: None} if change == "null" else {}
        details = msgspec.convert(told, Details)
        poorer = msgspec.structs.replace(capture, result=msgspec.structs.replace(capture.result, details=details))
        report = page.gather(folder, manifest, [poorer], SCENARIOS, state="closed")
        page.write_report(folder, report, Path(CACHE.name))
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
    manifest, (capture,) = records_of(folder)
    search = msgspec.structs.replace(capture, is_capacity=True, result=None, capacity=msgspec.convert(found, Capacity))
    write_record(folder / f"{folder.name}_{search.measurement}_capture.json", search)
    manifest = msgspec.structs.replace(manifest, kind="capacity", selection=[search.measurement])
    write_record(folder / file_names.MANIFEST, manifest)
    pages.write_pages(folder, manifest, [search], interrupted=False, scenarios_dir=SCENARIOS, now=0.0)
    render(folder)
    words = "capacity 1000 ops/s sustained at P99 under 20 ms, 1100 not (the server's own limit)"
    told = text_of(folder, "summary.txt")
    assert f"passed  {words}\n" in told
    assert "1000 ops/s, Qdrant 1.7+ 626 ops/s (+59.7 % better; 8-core Xeon" in told
    assert "no figures" not in told
    text = text_of(folder, "report.html")
    assert html.escape(f"{NAMES[0]}: {words}.").replace("&#x27;", "&#39;") in text
    assert "P99: measured, wanted, published" not in text
    assert "+59.7 % better" in text_of(folder, "report.md")
    assert "1000<i> ops/s</i>" in text
    assert "the driver kept no histogram" not in text
    assert (folder / f"{folder.name}_{NAMES[0]}_capacity.svg").is_file()
    later = synthetic.make_run(
        tmp_path, RunRecipe(captures=[Recipe(NAMES[0], duration_s=2)], at=synthetic.NOON + 86_400)
    )
    render(later)
    assert f"capacity at P99 under 20 ms, run {folder.name}" in text_of(later, "report.html")
    schema = json.loads((ROOT / "docs" / "results.schema.json").read_text())
    jsonschema.validate(json.loads((folder / "results.json").read_text()), schema, jsonschema.Draft202012Validator)


def test_the_sentence_counts_what_was_not_measured(tmp_path: Path) -> None:
    recipes = [Recipe(NAMES[0], duration_s=1), Recipe(NAMES[1], duration_s=1, verdict="invalid", reason="it lagged")]
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=recipes, state="open"))
    manifest, captures = records_of(folder)
    manifest = msgspec.structs.replace(manifest, selection=[*manifest.selection, NAMES[2]])
    report = page.gather(folder, manifest, captures, SCENARIOS, state="interrupted")
    told = f"1 of 3 scenarios passed; {NAMES[1]} gave no measurement (invalid); {NAMES[2]} not measured"
    assert report.sentence.startswith(told)
