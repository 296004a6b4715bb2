"""A run that nobody measured of several systems on four scenarios, three times each, with every way to stand in it.

`python -m tests.several FOLDER` leaves one there to look at.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from compbench.model.records import SystemFacts
from compbench.model.result import Frontier, IndexProof
from compbench.systems import discovery
from tests import synthetic
from tests.rendering import render, write_pages
from tests.synthetic import NAMES, Recipe, RunRecipe

# A subject and three rivals, of which only the names are there: `add_systems` makes their folders.
SUBJECT, CLOSE, SLOW, POOR = "engram", "closedb", "slowdb", "poordb"
SYSTEMS = (SUBJECT, CLOSE, SLOW, POOR)
VECTORS, GRAPH, HYBRID, LARGE = NAMES
GOALS = {VECTORS: 0.95, LARGE: 0.95, HYBRID: None, GRAPH: 0.99}


@dataclass(frozen=True)
class Maker:
    """A made-up system: how slow it is against the subject, and what its index reaches."""

    name: str
    factor: float
    knob: str
    facts: SystemFacts
    best_recall: float = 0.999
    proof: IndexProof | None = None


MAKERS = (
    Maker(
        SUBJECT,
        1.0,
        "ef",
        facts=SystemFacts(
            title="Engram",
            mode="managed",
            protocol="HTTP/1.1, JSON",
            index_definition="HNSW, m 16, ef_construction 200, 32 bit floats",
            durability="an append to its log, synced every second",
            inserts="at once",
            caches="none known",
        ),
        proof=IndexProof(is_used=True, said="its metrics count 12,000 index searches"),
    ),
    Maker(
        CLOSE,
        1.03,
        "hnsw.ef_search",
        facts=SystemFacts(
            title="CloseDB",
            mode="managed",
            protocol="PostgreSQL protocol 3, prepared statements, binary",
            index_definition="HNSW, m 16, ef_construction 64, 32 bit floats",
            durability="the write-ahead log on disk",
            inserts="at once",
            caches="none known",
        ),
        proof=IndexProof(is_used=True, said="explain: Index Scan using vectors_hnsw"),
    ),
    Maker(
        SLOW,
        2.3,
        "hnsw_ef",
        facts=SystemFacts(
            title="SlowDB",
            mode="managed",
            protocol="HTTP/1.1, JSON",
            index_definition="HNSW, m 16, ef_construct 100, 32 bit floats",
            durability="the write-ahead log on disk",
            inserts="within a second",
            caches="none known",
        ),
        proof=IndexProof(is_used=None, said="it does not say whether a segment is indexed"),
    ),
    Maker(
        POOR,
        0.4,
        "nprobe",
        best_recall=0.91,
        facts=SystemFacts(title="PoorDB", mode="container", protocol="gRPC", caches="a query cache"),
        proof=IndexProof(is_used=False, said="explain: Seq Scan"),
    ),
)


def add_systems(folder: Path) -> Path:
    """Write folders of the rivals, as far as pages ask for them, and return the folder of them all."""
    for name in (CLOSE, SLOW, POOR):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").touch()
        (folder / name / "settings.py").write_text(
            "from compbench.config.system_tables import SystemKind, SystemSettings\n"
            f"KIND = SystemKind(settings=SystemSettings, title={name!r}, is_rival=True)\n"
        )
    return folder


def recipes(duration_s: int = 20) -> list[Recipe]:
    """Return every system's three repeats of every scenario, in interleaved rounds."""
    found = []
    for repeat in (1, 2, 3):
        for scenario in NAMES:
            found += [_recipe(maker, scenario, repeat, duration_s) for maker in MAKERS]
    return found


def make(output_dir: Path, duration_s: int = 20, **facts: Any) -> Path:
    """Write the run, without its pages."""
    return synthetic.make_run(output_dir, RunRecipe(captures=recipes(duration_s), system=",".join(SYSTEMS), **facts))


def frontier(maker: Maker, scenario: str, base_ms: float) -> Frontier:
    """Return a system's curve: each effort costs time, and finds half of what was still missed."""
    goal = GOALS[scenario] or 0.95
    efforts = (16, 32, 64, 128, 256, 512)
    points = []
    for number, effort in enumerate(efforts):
        recall = maker.best_recall * (1 - 0.28 * 0.45**number)
        p99_ms = base_ms * maker.factor * (0.35 + 0.65 * effort / 128)
        times: dict[str, Any] = {"p50_ms": p99_ms / 3, "p99_ms": p99_ms}
        rates = {"offered_ops_s": 200.0, "achieved_ops_s": 200.0}
        points.append({"effort": effort, "recall": recall, "checked": 200, **rates, **times, "valid": effort != 256})
    chosen = next((p["effort"] for p in points if p["recall"] >= goal), None)
    capacities = [_capacity(wanted, points, maker) for wanted in (0.9, 0.95, 0.99)]
    told = {"knob": maker.knob, "goal": goal, "chosen": chosen, "best": 512, "step_s": 5.0, "seed": 42}
    return msgspec.convert({**told, "points": points, "capacities": capacities}, Frontier)


def _capacity(wanted: float, points: list[dict[str, Any]], maker: Maker) -> dict[str, Any]:
    effort = next((p["effort"] for p in points if p["recall"] >= wanted), None)
    if effort is None:
        return {"recall": wanted, "effort": None, "capacity": None}
    low = round(40_000 / maker.factor / effort**0.6)
    limits = {"p99_limit_ms": 20.0, "max_error_rate": 0.01, "precision_pct": 5.0, "curve": []}
    found = {"low_ops_s": low, "high_ops_s": low * 1.05, "bound": "target", **limits}
    return {"recall": wanted, "effort": effort, "capacity": found}


def _recipe(maker: Maker, scenario: str, repeat: int, duration_s: int) -> Recipe:
    base_ms = {VECTORS: 2.0, GRAPH: 1.2, HYBRID: 1.5, LARGE: 6.0}[scenario]
    noise = 1 + 0.012 * ((repeat + len(maker.name)) % 3 - 1)
    has_index = scenario != GRAPH
    own = frontier(maker, scenario, base_ms * 4) if has_index else None
    recipe = Recipe(
        scenario,
        median_ms=base_ms * maker.factor * noise,
        rate_ops_s=200,
        duration_s=duration_s,
        repeat=repeat,
        seed=repeat + len(maker.name),
        system=maker.name,
        effort=own.chosen or own.best if own else None,
        frontier=own,
        facts=maker.facts,
        recall=min(0.962, maker.best_recall) if has_index else 0.999,
        loaded={
            "load_s": 41.0 * maker.factor + repeat / 10,
            "index_s": 63.0 * maker.factor + repeat / 10,
            "memory_bytes": int(4.1e9 * maker.factor) + repeat,
            "disk_bytes": int(3.3e9 * maker.factor),
            "index_proof": maker.proof if has_index else None,
        },
    )
    return _with_fate(recipe, maker)


def _with_fate(recipe: Recipe, maker: Maker) -> Recipe:
    """Return what becomes of a measurement: not offered, failed, missed, invalid; mostly nothing of that."""
    if recipe.scenario == GRAPH and maker.name in (CLOSE, POOR):
        return replace(recipe, verdict="not offered", reason="it does not offer traversals: nothing was measured")
    if recipe.scenario == GRAPH and maker.name == SLOW:
        return replace(recipe, median_ms=0.55)
    if recipe.scenario == HYBRID and maker.name == SLOW:
        return replace(recipe, verdict="failed", reason="the server died: killed by SIGSEGV")
    if recipe.scenario == LARGE and maker.name == CLOSE:
        return replace(recipe, verdict="invalid", reason="the driver lacked CPU time")
    if maker.name == POOR:
        return replace(recipe, verdict="missed", reason=f"recall {maker.best_recall} is below 0.95")
    return recipe


def main() -> None:
    """Leave a run with its pages in the folder that is named, or in a temporary one."""
    output_dir = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    folder = make(output_dir)
    with tempfile.TemporaryDirectory() as systems:
        systems_dir = add_systems(Path(systems))
        discovery.look_into(systems_dir)
        write_pages(folder)
        render(folder, systems_dir=systems_dir)
    print(folder)


if __name__ == "__main__":
    main()
