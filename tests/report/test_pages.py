"""The light pages of a run: `results.json`, the summary and the last words on the screen."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import msgspec
import pytest

from compbench.model import file_names
from compbench.model.notices import notice_of
from compbench.model.records import Manifest
from compbench.report import pages, summary
from compbench.store import runs
from compbench.store.record_files import read_record
from tests import synthetic
from tests.project import ROOT
from tests.rendering import SCENARIOS, records_of, write_pages
from tests.synthetic import NAMES, Recipe, RunRecipe


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of two scenarios, one of them repeated."""
    captures = [
        Recipe(NAMES[0], duration_s=5),
        *(Recipe(NAMES[2], median_ms=1 + n / 50, duration_s=5, repeat=n, seed=n) for n in (1, 2, 3)),
    ]
    return synthetic.make_run(tmp_path, RunRecipe(captures=captures))


def test_results_follow_the_published_schema(folder: Path) -> None:
    write_pages(folder)
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


def test_the_metadata_tells_the_servers_version_and_a_second_one_if_it_changed(folder: Path) -> None:
    manifest, captures = records_of(folder)
    assert f"  Server {captures[0].system}: engram-cli 0.1.0\n" in pages.render_metadata(manifest, captures)
    later = msgspec.structs.replace(captures[-1].server, version="engram-cli 0.1.0 + an extension 2.0")
    captures[-1] = msgspec.structs.replace(captures[-1], server=later)
    told = "engram-cli 0.1.0; then engram-cli 0.1.0 + an extension 2.0"
    assert f"  Server {captures[0].system}: {told}\n" in pages.render_metadata(manifest, captures)


def test_targets_survive_a_later_change_of_the_scenarios_file(tmp_path: Path) -> None:
    scenarios = shutil.copytree(SCENARIOS.parent, tmp_path / "scenarios") / "competitive"
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=[Recipe(NAMES[0], duration_s=2)]))
    for line in ("", "# changed\n"):
        with (scenarios / f"{NAMES[0]}.toml").open("a") as file:
            file.write(line)
        write_pages(folder, scenarios)
        targets = json.loads((folder / "results.json").read_text())["scenarios"][0]["targets"]
        assert targets["expected_p99_latency_ms"] == 20.0


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


@pytest.mark.parametrize("niceness", ["0", "-15"])
def test_one_sentence_says_what_was_busy_and_what_to_do(tmp_path: Path, niceness: str) -> None:
    recipes = [Recipe(name, duration_s=2, verdict="invalid", reason="the driver lacked CPU time") for name in NAMES[:2]]
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=recipes))
    manifest = read_record(folder / file_names.MANIFEST, Manifest)
    manifest = msgspec.structs.replace(manifest, fingerprint={**manifest.fingerprint, "niceness": niceness})
    captures = runs.Run(folder, manifest).captures()
    assert "busy" not in summary.final_message(manifest, captures, folder, interrupted=False)
    busy = notice_of("other-processes", busy="yes (process 7) 98 % of a core")
    captures = [msgspec.structs.replace(capture, notices=[busy]) for capture in captures]
    told = summary.final_message(manifest, captures, folder, interrupted=False)
    remedy = f", or let server and driver go before them ({summary.GO_FIRST})" if niceness == "0" else ""
    assert (
        "This machine is busy with other work, which took the cores from 2 measurements:"
        f" yes (process 7) 98 % of a core; end that{remedy}.\n"
    ) in told
