"""The light pages of a run, rendered afresh from its manifest and every capture on disk, while a suite is at work.

The report with its charts is `compbench.report.page`'s, in a child process that `run_report` starts.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from compbench.config.scenarios import load_scenario
from compbench.files.regular import read_regular
from compbench.files.whole import write_whole
from compbench.machine import thresholds
from compbench.model import file_names
from compbench.model.costs import cost_figures
from compbench.model.errors import UserError
from compbench.model.metrics import P99, RECALL, THROUGHPUT, figures_of
from compbench.model.records import RESULTS_SCHEMA, Capture, Git, Machine, Manifest
from compbench.model.result import Result
from compbench.model.scenario import Validation
from compbench.model.times import iso_utc
from compbench.report import baselines, render, statistics, summary
from compbench.report.baselines import Comparison
from compbench.report.elsewhere import passages
from compbench.report.groups import group_captures
from compbench.report.loaded_data import data_lines
from compbench.report.machine_costs import average_pressures
from compbench.report.server_versions import versions_of_servers
from compbench.report.versus import standings_of, versus_of
from compbench.systems import registry

UNREADABLE = "not readable here"
# A report takes some seconds; on a machine that is still busy it may take several times that.
_REPORT_LIMIT_S = 180.0
# Where a child finds the same compbench as this process, in a checkout and in a wheel.
_IMPORT_FOLDER = Path(__file__).resolve().parents[2]


def write_pages(
    folder: Path,
    manifest: Manifest,
    captures: Sequence[Capture],
    *,
    interrupted: bool,
    scenarios_dir: Path,
    now: float,
) -> None:
    """Write metadata, summary, results.json and the flat results of a run, each whole.

    Raises:
        OSError: a page could not be written; the pages before it are replaced, the others are as they were.
        UserError: the file of baselines is wrong.
    """
    published = baselines.load_baselines(baselines_file(scenarios_dir))
    comparisons = baselines.of_subject(baselines.compare(captures, published), manifest.systems)
    write_whole(folder / file_names.of_run(folder.name, "metadata"), render_metadata(manifest, captures))
    targets = read_targets(folder, scenarios_dir, manifest)
    # Only of a closed run: it takes scipy, which must not be loaded beside a measurement.
    versus = versus_of(manifest, captures, targets, {}) if manifest.state == "closed" else None
    text = summary.render_summary(manifest, captures, folder, comparisons, published, versus, interrupted=interrupted)
    write_whole(folder / file_names.of_run(folder.name, "summary"), text)
    results = results_of(manifest, captures, comparisons, targets, now)
    write_whole(folder / file_names.RESULTS, msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    for capture in captures:
        if capture.result is not None:
            write_whole(folder / file_names.flat_result(capture.measurement), _flat_result(capture.result))


def run_report(
    folder: Path, scenarios_dir: Path, cache_dir: Path, *, state: str, systems_dir: str | None = None
) -> None:
    """Render the report of a run in a child process: charts take more memory than a runner that measures may have.

    Raises:
        UserError: it could not be rendered; the line says why. Nothing that was measured is touched.
    """
    argv = [sys.executable, "-m", "compbench.report", str(folder), str(scenarios_dir), str(cache_dir), "--state", state]
    argv += ["--systems-dir", systems_dir] if systems_dir else []
    again = f"what was measured is kept, and `doit report run={folder.name}` renders it again"
    try:
        done = subprocess.run(
            argv,
            cwd=_IMPORT_FOLDER,
            capture_output=True,
            text=True,
            check=False,
            timeout=_REPORT_LIMIT_S,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"the report took over {_REPORT_LIMIT_S:g} s: {again}") from None
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"the report could not be rendered: {said}; {again}")


def baselines_file(scenarios_dir: Path) -> Path:
    """Return where the published figures are: beside the folder of scenarios."""
    return scenarios_dir.parent / "baselines.toml"


def read_targets(folder: Path, scenarios_dir: Path, manifest: Manifest) -> dict[str, Validation]:
    """Return the targets of the run's scenarios; where a file was changed since, as `results.json` has kept them."""
    found = _kept_targets(folder)
    for path in sorted(scenarios_dir.glob("*.toml")):
        known = manifest.fingerprint.get(f"scenario:{path.stem}")
        if known is None:
            continue
        try:
            scenario = load_scenario(path)
        except UserError:
            continue  # it is not the file that was measured, which was valid
        if scenario.sha256 == known:
            found[scenario.name] = scenario.validation
    return found


def _kept_targets(folder: Path) -> dict[str, Validation]:
    try:
        kept = msgspec.json.decode(read_regular(folder / file_names.RESULTS), type=_Kept)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}  # the first rendering, or a file that is about to be replaced
    return {scenario.scenario: scenario.targets for scenario in kept.scenarios if scenario.targets is not None}


class _KeptScenario(msgspec.Struct, frozen=True):
    scenario: str
    targets: Validation | None = None


class _Kept(msgspec.Struct, frozen=True):
    scenarios: list[_KeptScenario]


def render_metadata(manifest: Manifest, captures: Sequence[Capture]) -> str:
    """Return the text of `_metadata.txt` (specification 3); a fact that could not be read says so."""
    versions = manifest.provenance.versions
    engram = versions.get("engram_core") or versions.get("engram_cli")
    if not manifest.provenance.repository:
        engram = engram or f"none ({registry.title_of(manifest.settings.get('system', 'another system'))} is measured)"
    return render(
        "metadata.txt.j2",
        manifest=manifest,
        captures=captures,
        data=data_lines(captures),
        elsewhere=passages(captures),
        servers=versions_of_servers(captures),
        git=manifest.provenance.git or Git(),
        system=manifest.provenance.system or Machine(),
        versions=versions,
        binaries=manifest.provenance.binaries,
        settings=manifest.settings,
        engram=engram or UNREADABLE,
        timestamp=iso_utc(manifest.opened_at),
        unreadable=UNREADABLE,
    )


def results_of(
    manifest: Manifest,
    captures: Sequence[Capture],
    comparisons: Sequence[Comparison],
    targets: Mapping[str, Validation],
    now: float,
) -> dict[str, Any]:
    """Return `results.json` as plain values; docs/results.schema.json describes each key."""
    targets_ms = {name: t.expected_p99_latency_ms for name, t in targets.items() if t.expected_p99_latency_ms}
    return {
        "schema": RESULTS_SCHEMA,
        "run": manifest.run,
        "kind": manifest.kind,
        "state": manifest.state,
        "opened_at": manifest.opened_at,
        "closed_at": manifest.closed_at,
        "rendered_at": now,
        "selection": manifest.selection,
        "systems": manifest.systems,
        "settings": manifest.settings,
        "provenance": msgspec.to_builtins(manifest.provenance),
        "fingerprint": manifest.fingerprint,
        "findings": msgspec.to_builtins(manifest.findings),
        "scenarios": [_scenario(capture, targets.get(capture.scenario)) for capture in captures],
        "statistics": _statistics(captures) if manifest.state == "closed" else [],
        **(_standings(manifest, captures, targets) if manifest.state == "closed" else {"standings": []}),
        "comparisons": msgspec.to_builtins(comparisons),
        "comparisons_remark": baselines.REMARK,
        "priorities": msgspec.to_builtins(baselines.priorities(comparisons, targets_ms)),
    }


def _scenario(capture: Capture, target: Validation | None) -> dict[str, Any]:
    plain = msgspec.to_builtins(capture)
    del plain["samples"], plain["snapshot"]
    figures = {
        "peak": thresholds.peaks(capture.samples),
        "average": thresholds.averages(capture.samples),
        "pressure_pct": average_pressures(capture.samples),
    }
    return {
        **plain,
        "measurement": capture.measurement,
        "metrics": figures_of(capture.result, capture.capacity) | cost_figures(capture),
        "targets": msgspec.to_builtins(target),
        "monitoring": msgspec.to_builtins(figures),
    }


def _standings(manifest: Manifest, captures: Sequence[Capture], targets: Mapping[str, Validation]) -> dict[str, Any]:
    """Return who is ahead on each scenario where several systems are compared, or why nothing is claimed."""
    versus = versus_of(manifest, captures, targets, {})
    return {"standings": standings_of(versus), "demonstration": versus.demonstration} if versus else {"standings": []}


def _statistics(captures: Sequence[Capture]) -> list[dict[str, Any]]:
    """Return the spread of each scenario's repeats; only of a closed run, whose repeats are all there."""
    return [
        {
            "scenario": group.scenario,
            **({"system": group.system} if group.system else {}),
            "metric": metric.name,
            **msgspec.to_builtins(statistics.spread(values)),
        }
        for group in group_captures(captures)
        for metric in (P99, THROUGHPUT, RECALL)
        if len(values := group.values(metric)) > 1
    ]


def _flat_result(result: Result) -> bytes:
    """Return the five keys that validators of a result read, under the names they know."""
    flat = {
        "p50_latency_ms": result.p50_latency_ms,
        "p95_latency_ms": result.p95_latency_ms,
        "p99_latency_ms": result.p99_latency_ms,
        "throughput_qps": result.throughput_ops_s,
        "duration_s": result.elapsed_s,
    }
    return msgspec.json.format(msgspec.json.encode(flat), indent=1) + b"\n"
