"""The record of a duet: from captures to the verdict, its exit code, and what was left out."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from compbench.model import file_names
from compbench.model.notices import Outcome
from compbench.model.records import Capture, Manifest
from compbench.report import render
from compbench.report.builds_compared import DuetRecord, compare_builds, verdict_of
from compbench.report.pairing import MOST_PAIRS, PairedChange
from compbench.store.record_files import write_record
from tests import rendering, synthetic
from tests.synthetic import NAMES, Recipe, RunRecipe, make_capture, manifest_of

SCENARIO = NAMES[0]
Change = Callable[[Capture], Capture]


def manifest() -> Manifest:
    variants = {name: {"system.engram.root": f"/builds/{name}"} for name in ("base", "head")}
    prints = {f"binary:{name}:engram": name * 8 for name in variants}
    made = manifest_of(RunRecipe())
    settings = {**made.settings, "variants": variants}
    return msgspec.structs.replace(made, kind="duet", settings=settings, fingerprint=prints, spent_s=[150.0, 90.0])


def duet(count: int, factor: float = 1.0, change: Change | None = None) -> DuetRecord:
    """Return the record of so many pairs, whose rounds differ by 20 %; `change` changes the second pair's head."""
    captures = []
    for number in range(1, count + 1):
        for side, name in enumerate(("base", "head")):
            of_round = 1 + 0.2 * (number % 2)
            made, _ = make_capture(
                "r",
                Recipe(
                    SCENARIO,
                    median_ms=of_round * (factor if side else 1),
                    seed=2 * number + side,
                    repeat=number,
                    recall=0.99,
                ),
                RunRecipe(),
            )
            made = msgspec.structs.replace(made, variant=name)
            captures.append(change(made) if change and (number, name) == (2, "head") else made)
    return compare_builds(manifest(), captures, SCENARIO)


def invalid(capture: Capture) -> Capture:
    return msgspec.structs.replace(capture, outcome=Outcome(verdict="invalid", reason="the driver lacked CPU time"))


def test_a_slower_head_is_told_with_its_interval_and_ends_with_1() -> None:
    record = duet(8, 1.1)
    primary = next(one for one in record.figures if one.is_primary)
    assert record.verdict.startswith(f"head is {primary.delta_pct:.1f} % slower than base in P50 (response time) (")
    assert "8 pairs, p " in record.verdict
    assert primary.low_pct < 10 < primary.high_pct
    assert record.code == 1
    assert duet(8, 0.8).verdict.startswith("head is")
    assert ("faster than base" in duet(8, 0.8).verdict, duet(8, 0.8).code) == (True, 0)


def test_alike_builds_are_told_what_could_hide() -> None:
    record = duet(8)
    assert record.code == 0
    assert record.verdict.startswith("no difference found in P50 (response time): at most ±")
    assert record.spent_min == 19.2, "what its own rounds took, 72 s each, whatever else was measured in its run"
    assert re.match(
        r"8 pairs took 19\.2 min; at this noise of a pair \([\d.]+ %, at most [\d.]+ %\) \d+ pairs",
        record.cost,
    )


def test_both_tests_decide_and_the_larger_p_is_shown() -> None:
    sure = PairedChange(8, 10.0, 5.0, 15.0, p_value=0.0001, rank_p_value=0.0078, noise_pct=5.0, noise_high_pct=10.4)
    assert verdict_of(sure).endswith("8 pairs, p = 0.0078)")
    unsure = replace(sure, rank_p_value=0.2)
    assert (unsure.differs, verdict_of(unsure).endswith("8 pairs, p = 0.2)")) == (False, True)


def test_how_many_pairs_are_needed_is_told_for_the_upper_end_of_the_noise_too() -> None:
    record = duet(8)
    primary = next(one for one in record.figures if one.is_primary)
    assert primary.noise_high_pct is not None
    assert primary.noise_high_pct > 1.9 * primary.noise_pct, "of eight pairs, by the chi-square distribution"
    assert primary.pairs_needed is not None
    assert (primary.pairs_at_most or MOST_PAIRS) >= primary.pairs_needed
    noisy = msgspec.structs.replace(primary, pairs_needed=60, noise_high_pct=50.0, pairs_at_most=None)
    text = render("duet.txt.j2", record=msgspec.structs.replace(record, figures=[noisy]))
    assert " 60 to >100  <- decides" in text


def test_a_pair_with_a_side_that_is_no_measurement_is_left_out_and_counted() -> None:
    record = duet(7, 1.1, invalid)
    assert record.pairs == 6
    assert record.left_out == ["pair 2: head invalid (the driver lacked CPU time)"]
    assert "6 pairs, p " in record.verdict
    assert duet(6, 1.1, invalid).code == 2
    assert duet(6, 1.1, invalid).verdict == "nothing can be compared: 5 whole pairs, and it takes 6"


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare_is_no_verdict(count: int) -> None:
    assert (duet(count).code, duet(count).figures) == (2, [])


def test_the_page_names_builds_figures_and_what_decides() -> None:
    record = duet(7, 1.1, invalid)
    text = render("duet.txt.j2", record=record)
    assert "base  /builds/base, engram basebasebase" in text
    assert len([line for line in text.splitlines() if line.endswith("<- decides")]) == 1
    assert "P99 response" in text
    assert "1 pair left out:" in text
    assert text.rstrip().endswith(record.cost)
    assert max(len(line) for line in text.splitlines()) <= 130
    assert msgspec.json.decode(msgspec.json.encode(record), type=DuetRecord) == record


def test_builds_that_do_not_answer_alike_are_told_so() -> None:
    def poorer(capture: Capture) -> Capture:
        assert capture.result is not None
        assert capture.result.details is not None
        assert capture.result.details.recall is not None
        recall = msgspec.structs.replace(capture.result.details.recall, mean=0.5)
        details = msgspec.structs.replace(capture.result.details, recall=recall)
        return msgspec.structs.replace(capture, result=msgspec.structs.replace(capture.result, details=details))

    assert duet(6).cautions == []
    assert duet(6, change=poorer).cautions == ["not at equal recall: base 0.9900, head 0.9083"]


@pytest.mark.process
def test_the_report_of_a_duet_begins_with_its_verdict_and_shows_every_figure(tmp_path: Path) -> None:
    folder = synthetic.make_run(tmp_path)
    record = msgspec.structs.replace(duet(8, 1.1), run=folder.name)
    write_record(folder / file_names.of_study(folder.name, SCENARIO, "duet"), record)
    rendering.write_pages(folder)
    rendering.render(folder)
    page = html.unescape(rendering.text_of(folder, "report.html"))
    assert f'<p class="sentence">{SCENARIO}: {record.verdict}' in page
    assert page.count("p by ranks") == 1
    told = rendering.text_of(folder, "report.md")
    assert "## Two builds: " in told
    assert len(re.findall(r"^\| (?:P99|P50|mean) (?:response|service)", told, re.MULTILINE)) == 6
    rendering.render(folder, state="interrupted")
    page = rendering.text_of(folder, "report.html")
    assert "p by ranks" not in page, "of a run that is gone on with, the record is an older one"
    assert "slower than base" not in page
