"""The pages of a run, rendered afresh from its manifest and every capture on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from compbench import monitor
from compbench.records import Capture, Manifest
from compbench.report import baselines, render, summary
from compbench.report.baselines import Comparison
from compbench.runs import iso_utc, write_whole

RESULTS_SCHEMA = 1
UNREADABLE = "not readable here"


def write_pages(
    folder: Path,
    manifest: Manifest,
    captures: Sequence[Capture],
    *,
    interrupted: bool,
    baselines_path: Path,
    now: float,
) -> None:
    """Write metadata, summary, results.json and the reports of a run, each whole.

    Raises:
        OSError: a page could not be written; the pages before it are replaced, the others are as they were.
        UserError: the file of baselines is wrong.
    """
    comparisons = baselines.compare(captures, baselines.load_baselines(baselines_path))
    stem = folder / folder.name
    write_whole(stem.with_name(f"{folder.name}_metadata.txt"), render_metadata(manifest, captures))
    text = summary.render_summary(manifest, captures, folder, comparisons, interrupted=interrupted)
    write_whole(stem.with_name(f"{folder.name}_summary.txt"), text)
    results = results_of(manifest, captures, comparisons, now)
    write_whole(folder / "results.json", msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    for name in ("report.md", "report.html"):
        write_whole(folder / name, _render_report(f"{name}.j2", manifest, captures, comparisons))
    for capture in captures:
        if capture.result is not None:
            write_whole(folder / f"{capture.measurement}_loadtest.json", _flat_result(capture.result))


def render_metadata(manifest: Manifest, captures: Sequence[Capture]) -> str:
    """Return the text of `_metadata.txt` (SPEC.md 3); what was not read says so."""
    versions = manifest.provenance.get("versions") or {}
    target = manifest.settings.get("target")
    engram = versions.get("engram_core") or versions.get("engram_cli")
    if target == "embedded":
        engram = f"none (embedded target, compbench {versions.get('compbench', '')})"
    return render(
        "metadata.txt.j2",
        manifest=manifest,
        captures=captures,
        git=manifest.provenance.get("git") or {},
        system=manifest.provenance.get("system") or {},
        versions=versions,
        binaries=manifest.provenance.get("binaries") or {},
        settings=manifest.settings,
        engram=engram or UNREADABLE,
        timestamp=iso_utc(manifest.opened_at),
        unreadable=UNREADABLE,
    )


def results_of(
    manifest: Manifest, captures: Sequence[Capture], comparisons: Sequence[Comparison], now: float
) -> dict[str, Any]:
    """Return what a program reads of a run, as plain values; docs/results-json.md describes each key."""
    scenarios = []
    for capture in captures:
        plain = msgspec.to_builtins(capture)
        del plain["samples"], plain["snapshot"]
        figures = {"peak": monitor.peaks(capture.samples), "average": monitor.averages(capture.samples)}
        scenarios.append({**plain, "monitoring": msgspec.to_builtins(figures)})
    return {
        "schema": RESULTS_SCHEMA,
        "run": manifest.run,
        "state": manifest.state,
        "rendered_at": now,
        "selection": manifest.selection,
        "settings": manifest.settings,
        "provenance": manifest.provenance,
        "fingerprint": manifest.fingerprint,
        "findings": msgspec.to_builtins(manifest.findings),
        "scenarios": scenarios,
        "comparisons": msgspec.to_builtins(comparisons),
        "comparisons_remark": baselines.REMARK,
    }


def _render_report(
    template: str, manifest: Manifest, captures: Sequence[Capture], comparisons: Sequence[Comparison]
) -> str:
    return render(
        template,
        manifest=manifest,
        captures=captures,
        comparisons=comparisons,
        remark=baselines.REMARK,
        charts={capture.scenario: _points(capture) for capture in captures},
    )


def _points(capture: Capture) -> str:
    """Return the server's CPU share over time as the points of an SVG polyline, 300 wide and 60 high."""
    values = [sample.cpu_pct or 0.0 for sample in capture.samples]
    top = max([100.0, *values])
    step = 300 / max(1, len(values) - 1)
    return " ".join(f"{number * step:.1f},{60 - 60 * value / top:.1f}" for number, value in enumerate(values))


def _flat_result(result: dict[str, Any]) -> bytes:
    """Return the five keys that validators of a result read, under the names they know."""
    names = ("p50_latency_ms", "p95_latency_ms", "p99_latency_ms")
    flat = {name: result[name] for name in names}
    flat |= {"throughput_qps": result["throughput_ops_s"], "duration_s": result["elapsed_s"]}
    return msgspec.json.format(msgspec.json.encode(flat), indent=1) + b"\n"
