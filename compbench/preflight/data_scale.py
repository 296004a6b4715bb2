"""What a data scale makes of each scenario's data set, and whether that is still a data set. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from compbench.model.records import Finding
from compbench.preflight.findings import finding_of

# The most neighbours that a search asks for: of fewer memories every answer is right, whatever the server does.
FEWEST_MEMORIES = 50


def describe_scale(wanted: int | None, meant: int, reason: str = "") -> str:
    """Return how many memories are loaded of how many the scenario means: `200 of 200,000 memories`, and why.

    None is a number that is still to be found.
    """
    if wanted is None:
        return f"as many of {meant:,} memories as load in time"
    told = f"{wanted:,} memories" if wanted >= meant else f"{wanted:,} of {meant:,} memories"
    return f"{told} ({reason})" if reason else told


def judge_scale(counts: Mapping[str, tuple[int | None, int]], scale: float | Literal["auto"]) -> Finding:
    """Judge whether the loaded memories can be searched at all; a scenario that means so few may have them.

    Args:
        counts: by scenario, how many memories are loaded (None: still to be found) and how many it means.
        scale: the share that is asked for.
    """
    known = {name: (meant if loaded is None else loaded, meant) for name, (loaded, meant) in counts.items()}
    small = {name: meant for name, (loaded, meant) in known.items() if loaded < min(meant, FEWEST_MEMORIES)}
    if not small:
        told = "; ".join(f"{name}: {describe_scale(*count)}" for name, count in counts.items()) or "no scenario"
        return finding_of("scale", "scale", "ok", counts=told, fewest=FEWEST_MEMORIES)
    least = max(min(1.0, FEWEST_MEMORIES / meant) for meant in small.values())
    told = "; ".join(f"{name}: {describe_scale(*counts[name])} at scale {scale}" for name in small)
    return finding_of("scale", "scale-too-small", "critical", counts=told, fewest=FEWEST_MEMORIES, least=least)
