"""Closed runs of one scenario, a day apart, for the tests of what looks back over them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests import synthetic
from tests.rendering import write_pages
from tests.synthetic import NOON, Recipe, RunRecipe

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
    write_pages(folder)
    return folder.name
