"""Runs that nobody measured: whole run folders with captures, drivers' JSON and manifests, made from a seed.

For the tests and benchmarks of pages, history and exports, which need results of a known kind, many of them, and of
drivers that tell more than today's or less. `python -m tests.synthetic FOLDER` leaves a run there to look at.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

from compbench.config.scenarios import load_scenario
from compbench.model import file_names
from compbench.model.measurement import Measurement
from compbench.model.notices import Notice, Outcome
from compbench.model.records import (
    Capture,
    DataSet,
    DriverFacts,
    Finding,
    Manifest,
    ProcessCosts,
    Provenance,
    ServerFacts,
    SystemFacts,
)
from compbench.model.result import Frontier, Result
from compbench.model.sample import Sample
from compbench.store.record_files import write_record

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("qdrant_ann_1m_768d", "neo4j_traversal_100k", "hybrid_production_100k", "milvus_ann_10m_768d")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC).timestamp()
FLOOR = {"count": 2000, "p50_ms": 0.21, "p99_ms": 0.52, "client_cpu_us": 71.0}
QUANTILES = {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "p999": 99.9}


@dataclass(frozen=True)
class Recipe:
    """What a made-up capture is to be like; latencies are lognormal around `median_ms`."""

    scenario: str
    median_ms: float = 0.6
    sigma: float = 0.5
    rate_ops_s: float = 500.0
    duration_s: int = 60
    errors: int = 0
    verdict: str = "passed"
    reason: str = ""
    repeat: int | None = None
    recall: float | None = 0.993
    warnings: bool = False
    detailed: bool = True
    seed: int = 7
    system: str = ""  # where the run compares several
    effort: int | None = None
    frontier: Frontier | None = None
    facts: SystemFacts = field(default_factory=SystemFacts)
    costs: bool = True  # whether it was counted what the load cost; the driver only in part
    loaded: dict[str, Any] = field(default_factory=dict)  # of its data set, besides the counts


@dataclass
class RunRecipe:
    """What a made-up run is to be like."""

    captures: list[Recipe] = field(default_factory=lambda: [Recipe(name) for name in NAMES])
    at: float = NOON
    machine: str = "a" * 32
    commit: str = "c0ffee" * 6 + "c0ff"
    system: str = "engram"
    profile: str = "full"
    scale: float = 1.0
    niceness: str = ""
    isolation: str = ""
    dirty: list[str] = field(default_factory=list)
    state: str = "closed"


def make_run(output_dir: Path, recipe: RunRecipe | None = None) -> Path:
    """Write a whole run folder, without its pages; return it."""
    recipe = recipe or RunRecipe()
    manifest = manifest_of(recipe)
    folder = output_dir / manifest.run
    folder.mkdir(parents=True)
    write_record(folder / file_names.MANIFEST, manifest)
    for wanted in recipe.captures:
        capture, raw = make_capture(manifest.run, wanted, recipe)
        unit = unit_of(wanted)
        write_record(folder / f"{manifest.run}_{unit}_capture.json", capture)
        (folder / f"{manifest.run}_{unit}.json").write_bytes(msgspec.json.encode(raw))
    return folder


def unit_of(recipe: Recipe) -> str:
    """Return the name of a made-up measurement."""
    return Measurement(recipe.scenario, recipe.repeat, system=recipe.system).name


def manifest_of(recipe: RunRecipe) -> Manifest:
    """Return the manifest of a made-up run."""
    scenarios = {wanted.scenario for wanted in recipe.captures}
    fingerprint = {
        "system": recipe.system,
        "driver": "builtin",
        "profile": recipe.profile,
        "scale": f"{recipe.scale:g}",
        "duration_s": "None",
        "warm_up_s": "0.0",
        "connections": "64",
        "processes": "1",
        "machine": recipe.machine,
        "compbench": "0.1.0",
        **({"niceness": recipe.niceness} if recipe.niceness else {}),
        **({"isolation": recipe.isolation} if recipe.isolation else {}),
        **{f"scenario:{name}": _hash_of(name) for name in scenarios},
    }
    units = [unit_of(wanted) for wanted in recipe.captures]
    git = {"commit": recipe.commit, "branch": "main", "dirty": recipe.dirty, "message": "Answer faster"}
    return Manifest(
        run=datetime.fromtimestamp(recipe.at, UTC).strftime("%Y-%m-%d_%H-%M-%S"),
        state=recipe.state,  # type: ignore[arg-type]
        opened_at=recipe.at,
        boot_id="synthetic",
        closed_at=recipe.at + 400,
        selection=units,
        systems=list(dict.fromkeys(r.system for r in recipe.captures if r.system)),
        fingerprint=fingerprint,
        settings={
            "system": recipe.system,
            "system_reason": f"system={recipe.system} is set",
            "driver": "builtin",
            "profile": recipe.profile,
            "cooldown_s": 30.0,
            "sample_interval_s": 5.0,
            "scenarios_dir": str(ROOT / "scenarios" / "competitive"),
        },
        provenance=msgspec.convert(
            {
                "git": git,
                "system": {"os": "Linux 6.12", "cpu_model": "Example 9000", "physical_cores": 8, "logical_cores": 16},
                "versions": {"engram_core": "0.1.0", "compbench": "0.1.0", "python": "3.11.7", "doit": "0.37.0"},
                "binaries": {"engram": {"path": "/opt/engram/target/release/engram", "sha256": "5e" * 32}},
            },
            Provenance,
        ),
        findings=[
            Finding(check="disk", level="ok", found="83.7 GB free"),
            Finding(check="load", level="warning", found="load average 2.31 over 1 min", wanted="at most 2"),
        ],
    )


def make_capture(run: str, recipe: Recipe, whole: RunRecipe) -> tuple[Capture, dict[str, Any]]:
    """Return a capture and the driver's JSON that belongs to it."""
    random = np.random.default_rng(recipe.seed)
    count = round(recipe.rate_ops_s * recipe.duration_s)
    service = np.exp(random.normal(np.log(recipe.median_ms), recipe.sigma, count))
    lag = np.abs(random.normal(0.05, 0.02, count))
    response = (
        service + lag + np.where(random.random(count) < 0.004, random.exponential(recipe.median_ms * 6, count), 0)
    )
    own = _own(recipe, response, service, lag, whole.scale) if recipe.detailed else {}
    result = _result(recipe, response)
    raw = {
        "elapsed_seconds": result["elapsed_s"],
        "total_operations": result["total_operations"],
        "total_errors": result["total_errors"],
        "overall_throughput": result["throughput_ops_s"],
        "overall_error_rate": result["error_fraction"],
        **{name: value for name, value in result.items() if name.endswith("_latency_ms")},
        "compbench": own or None,
    }
    own_kept = {key: value for key, value in own.items() if key != "histograms"}
    nodes = 1_000_000
    ran = recipe.verdict != "not offered"
    capture = Capture(
        run=run,
        scenario=recipe.scenario,
        repeat=recipe.repeat,
        title=recipe.scenario.replace("_", " "),
        system=recipe.system or whole.system,
        is_compared=bool(recipe.system),
        frontier=recipe.frontier,
        system_facts=recipe.facts,
        driver="builtin" if recipe.detailed else "loadtest",
        profile=whole.profile,
        seed=42,
        duration_s=recipe.duration_s,
        sample_interval_s=5.0,
        started_at=whole.at,
        ended_at=whole.at + recipe.duration_s + 12,
        outcome=Outcome(
            verdict=recipe.verdict,  # type: ignore[arg-type]
            reason=recipe.reason,
            code=recipe.verdict,
            phase=None if recipe.verdict in ("passed", "not offered") else "measure",
            advice="" if recipe.verdict in ("passed", "not offered") else "look at the samples",
        ),
        data_set=DataSet(
            nodes_in_scenario=nodes,
            scale=whole.scale,
            wanted=round(nodes * whole.scale),
            stored=round(nodes * whole.scale),
            prepared=True,
            **recipe.loaded,
        ),
        server=ServerFacts(
            version="engram-cli 0.1.0",
            ready_after_s=0.4,
            exit_code=0,
            stopped_by="SIGTERM",
            costs=_server_costs(recipe) if recipe.costs and ran else None,
        ),
        driver_process=DriverFacts(costs=_driver_costs(recipe) if recipe.costs and ran else None),
        result=msgspec.convert({**result, "details": own_kept if recipe.detailed else None}, Result) if ran else None,
        samples=_samples(recipe, random) if ran else [],
        notices=[Notice(code="io-wait", text="the cores waited for disks 24 % of the time")] if recipe.warnings else [],
        machine_before={"load_1min": 0.42},
    )
    return capture, raw


def summary(values_ms: NDArray[np.float64]) -> dict[str, float]:
    """Return a summary as the driver writes it."""
    found = {name: float(np.percentile(values_ms, q)) for name, q in QUANTILES.items()}
    return {"count": len(values_ms), **found, "max": float(values_ms.max()), "mean": float(values_ms.mean())}


def _result(recipe: Recipe, response: NDArray[np.float64]) -> dict[str, Any]:
    found = summary(response)
    return {
        **{f"{name}_latency_ms": found[name] for name in ("p50", "p95", "p99")},
        "throughput_ops_s": recipe.rate_ops_s - recipe.errors / recipe.duration_s,
        "error_fraction": recipe.errors / len(response),
        "total_operations": len(response),
        "total_errors": recipe.errors,
        "elapsed_s": float(recipe.duration_s),
        "operations": {},
    }


def recall_of(mean: float) -> dict[str, Any]:
    """Return what a driver tells of the answers, those of the worst searches included."""
    return {"mean": mean, "p5": mean - 0.1, "below_080": 0.021, "checked": 120, "note": "", "k": 10}


def _own(
    recipe: Recipe,
    response: NDArray[np.float64],
    service: NDArray[np.float64],
    lag: NDArray[np.float64],
    scale: float,
) -> dict[str, Any]:
    times = {"response_time": response, "service_time": service, "driver_lag": lag}
    summaries = {f"{name}_ms": summary(values) for name, values in times.items()}
    seconds = np.array_split(response, recipe.duration_s)
    per_s = [len(part) for part in seconds]
    return {
        "schema": 2,
        "driver_version": "0.1.0",
        "seed": 42,
        "scenario": recipe.scenario,
        "scale": scale,
        "duration_s": recipe.duration_s,
        "warm_up_s": 0.0,
        "connections": 64,
        "processes": 1,
        "arrival": {"pattern": "constant", "rate": recipe.rate_ops_s},
        "offered_ops_s": recipe.rate_ops_s,
        "achieved_ops_s": recipe.rate_ops_s - recipe.errors / recipe.duration_s,
        "due": len(response),
        "sent": len(response),
        "completed": len(response) - recipe.errors,
        "failed": recipe.errors,
        "never_sent": 0,
        "in_flight_max": 11,
        "driver_cpu_pct": 23.0,
        **summaries,
        "response_time_ms_ci": {
            "confidence": 0.95,
            "method": "binomial",
            "p99": _bounds(summaries["response_time_ms"]),
        },
        "per_operation": {"Search": {"count": len(response), "errors": recipe.errors, "never_sent": 0, **summaries}},
        "time_series": {
            "interval_s": 1.0,
            "offered": per_s,
            "completed": per_s,
            "errors": [recipe.errors // recipe.duration_s] * recipe.duration_s,
            "response_p50_ms": [float(np.percentile(part, 50)) for part in seconds],
            "response_p99_ms": [float(np.percentile(part, 99)) for part in seconds],
            "response_max_ms": [float(part.max()) for part in seconds],
            "lag_p99_ms": [float(np.percentile(part, 99)) for part in np.array_split(lag, recipe.duration_s)],
        },
        "errors": {"HTTP 503": recipe.errors} if recipe.errors else {},
        "histograms": {name: _encode(values) for name, values in times.items()},
        "late_over_1s_fraction": 0.0,
        "valid": recipe.verdict != "invalid",
        **({"effort": recipe.effort} if recipe.effort else {}),
        **({"client_cpu_us": 96.0, "floor": FLOOR} if recipe.system else {}),
        "invalid_reason": recipe.reason if recipe.verdict == "invalid" else None,
        "recall": recall_of(recipe.recall) if recipe.recall is not None else None,
    }


def _samples(recipe: Recipe, random: np.random.Generator) -> list[Sample]:
    busy = 24.0 if recipe.warnings else 1.0
    return [
        Sample(
            elapsed_s=5.0 * (number + 1),
            cpu_pct=float(random.normal(140, 8)),
            memory_bytes=int(2.1e9 + 4e6 * number),
            threads=32,
            driver_cpu_pct=float(random.normal(23, 1)),
            driver_memory_bytes=45_000_000,
            io_wait_pct=float(abs(random.normal(busy, 2))),
            steal_pct=0.2,
            machine_memory_pct=31.0,
            swap_used_bytes=0,
            throttle_events=0,
            cpu_some_pct=12.5,
            memory_some_pct=0.0,
            memory_full_pct=0.0,
            io_some_pct=2.0,
            io_full_pct=1.5,
        )
        for number in range(max(2, recipe.duration_s // 5))
    ]


def _server_costs(recipe: Recipe) -> ProcessCosts:
    """Return 410k instructions at 1.42 a cycle, 0.9 switches and 0.002 migrations a request."""
    counted_s = recipe.duration_s - 0.5
    requests = (recipe.rate_ops_s - recipe.errors / recipe.duration_s) * counted_s
    return ProcessCosts(
        counted_s=counted_s,
        cycles=round(410_000 / 1.42 * requests),
        instructions=round(410_000 * requests),
        context_switches=round(0.9 * requests),
        voluntary_switches=round(0.72 * requests),
        involuntary_switches=round(0.18 * requests),
        migrations=round(0.002 * requests),
        page_faults=0,
        share_pct=100.0,
        source="perf stat",
    )


def _driver_costs(recipe: Recipe) -> ProcessCosts:
    counted_s = recipe.duration_s - 0.5
    return ProcessCosts(
        counted_s=counted_s,
        context_switches=round(2 * recipe.rate_ops_s * counted_s),
        voluntary_switches=round(2 * recipe.rate_ops_s * counted_s),
        involuntary_switches=0,
        migrations=0,
        source="/proc for context switches, migrations",
        ended_threads=2,
        why_not={**dict.fromkeys(("cycles", "instructions"), "perf is not installed"), "page_faults": "not told"},
    )


def _encode(values_ms: NDArray[np.float64]) -> str:
    histogram = HdrHistogram(1, 3_600_000_000, 3)
    micros, counts = np.unique(np.ceil(values_ms * 1000).astype(np.int64), return_counts=True)
    for value, count in zip(micros.tolist(), counts.tolist(), strict=True):
        histogram.record_value(value, count)
    return str(histogram.encode().decode("ascii"))


def _bounds(found: dict[str, float]) -> list[float]:
    return [found["p99"] * 0.97, found["p99"] * 1.03]


def _hash_of(name: str) -> str:
    path = ROOT / "scenarios" / "competitive" / f"{name}.toml"
    return load_scenario(path).sha256 if path.is_file() else "0" * 64


def main() -> None:
    """Leave a run with something of everything in the folder that is named, or in a temporary one."""
    output_dir = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    captures = [
        Recipe(NAMES[0], median_ms=4.1, rate_ops_s=1000, warnings=True),
        Recipe(NAMES[1], median_ms=8.4, verdict="missed", reason="P99 30.10 ms is over 15 ms", errors=240),
        *(Recipe(NAMES[2], median_ms=1.1 + 0.02 * n, repeat=n, recall=None, seed=n) for n in (1, 2, 3)),
        Recipe(NAMES[3], detailed=False),
    ]
    print(make_run(output_dir, RunRecipe(captures=captures, dirty=[" M src/main.rs"])))


if __name__ == "__main__":
    main()
