"""Two builds of one system, measured in pairs: the record of which is faster, and the sentence that says so. Pure.

One figure alone decides, so that identical builds alarm as seldom as its test does; the others are told beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import msgspec

from compbench.model.measurement import FEWEST_PAIRS
from compbench.model.records import Capture, Manifest
from compbench.model.result import Summary
from compbench.report import counted
from compbench.report.build_pairs import BASE, HEAD, cautions_of, details_of, minutes_of, whole_pairs
from compbench.report.pairing import (
    MOST_PAIRS,
    WANTED_CHANGE_PCT,
    WANTED_POWER,
    PairedChange,
    change_in_pairs,
    pairs_needed,
)

DUET_SCHEMA = 1
SLOWER, NOT_SLOWER, NOTHING_COMPARED = 1, 0, 2
# By the field of a driver's details, and that of its summary.
_TIMES = {"response_time_ms": "response", "service_time_ms": "service"}
_FIGURES = {"p99": "P99", "p50": "P50", "mean": "mean"}
# What decides. Of the figures that a user of a server feels, the one with the least noise: docs/duet.md.
PRIMARY = ("response_time_ms", "p50")


class BuildFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two builds: where it is, its commit with whether that was changed, and its program's hash."""

    root: str
    commit: str | None = None
    is_changed: bool | None = None
    sha256: dict[str, str] = {}
    version: str = ""


class FigureChange(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of both builds: the medians in milliseconds, and the change within pairs (`PairedChange`).

    `pairs_needed` find the change that is wanted at the noise that was measured, `pairs_at_most` at the upper end of
    its interval (`noise_high_pct`); None is more than can be asked for.
    """

    name: str
    title: str
    is_primary: bool
    base_ms: float
    head_ms: float
    delta_pct: float
    low_pct: float
    high_pct: float
    p_value: float
    rank_p_value: float
    noise_pct: float
    pairs_needed: int | None
    noise_high_pct: float | None = None
    pairs_at_most: int | None = None


class DuetRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a duet has found; `code` is the exit code, `left_out` tells why pairs are not in it."""

    schema: int = DUET_SCHEMA
    run: str
    scenario: str
    title: str
    system: str
    base: BuildFacts
    head: BuildFacts
    pairs: int
    left_out: list[str]
    figures: list[FigureChange]
    cautions: list[str]
    spent_min: float
    verdict: str
    cost: str
    code: int


def compare_builds(manifest: Manifest, captures: Sequence[Capture], scenario: str) -> DuetRecord:
    """Return the record of a duet of one scenario; `captures` are those of its run."""
    own = [capture for capture in captures if capture.scenario == scenario]
    pairs, left_out = whole_pairs(own)
    figures = changes_of(pairs)
    changes = {name: change for name, (_, change) in figures.items()}
    primary = changes.get(name_of_figure(*PRIMARY))
    spent_min = minutes_of(own)
    return DuetRecord(
        run=manifest.run,
        scenario=scenario,
        title=own[0].title if own else scenario,
        system=str(manifest.settings.get("system", "")),
        base=_build(manifest, own, BASE),
        head=_build(manifest, own, HEAD),
        pairs=len(pairs),
        left_out=left_out,
        figures=[_figure(name, medians, change) for name, (medians, change) in figures.items()],
        cautions=cautions_of(pairs),
        spent_min=round(spent_min, 2),
        verdict=verdict_of(primary),
        cost=_cost(primary, spent_min, len(pairs) + len(left_out)),
        code=code_of(primary),
    )


def changes_of(
    pairs: Sequence[tuple[Capture, Capture]],
) -> dict[str, tuple[tuple[float, float], PairedChange]]:
    """Return the medians of both sides and the change within pairs, by the name of the figure; none for too few."""
    found = {}
    for times in _TIMES:
        for figure in _FIGURES:
            values = [(_value(base, times, figure), _value(head, times, figure)) for base, head in pairs]
            told = [(base, head) for base, head in values if base and head]
            change = change_in_pairs(told) if len(told) == len(pairs) else None
            if change is not None:
                medians = statistics.median(base for base, _ in told), statistics.median(head for _, head in told)
                found[name_of_figure(times, figure)] = (medians, change)
    return found


def name_of_figure(times: str, figure: str) -> str:
    """Return the name under which a figure is recorded: `p99_response_time_ms`."""
    return f"{figure}_{times}"


def _value(capture: Capture, times: str, figure: str) -> float | None:
    summary: Summary | None = getattr(details_of(capture), times)
    return getattr(summary, figure) if summary else None


def verdict_of(change: PairedChange | None) -> str:
    """Return the sentence that says which build is slower, or what could hide if that can't be told."""
    if change is None or change.pairs < FEWEST_PAIRS:
        number = change.pairs if change else 0
        return f"nothing can be compared: {counted(number, 'whole pair')}, and it takes {FEWEST_PAIRS}"
    times, figure = PRIMARY
    where = f"in {_FIGURES[figure]} ({_TIMES[times]} time)"
    tested = f"{change.pairs} pairs, p {_shown(change.deciding_p)}"
    if not change.differs:
        return f"no difference found {where}: at most ±{change.could_hide_pct:.1f} % could hide ({tested})"
    low, high = sorted((abs(change.low_pct), abs(change.high_pct)))
    word = "slower" if change.delta_pct > 0 else "faster"
    return f"head is {abs(change.delta_pct):.1f} % {word} than base {where} ({low:.1f} to {high:.1f} %, {tested})"


def code_of(change: PairedChange | None) -> int:
    """Return the exit code: whether head is slower, or that nothing could be compared."""
    if change is None or change.pairs < FEWEST_PAIRS:
        return NOTHING_COMPARED
    return SLOWER if change.differs and change.delta_pct > 0 else NOT_SLOWER


def _shown(p_value: float) -> str:
    return "< 0.0001" if p_value < 0.0001 else f"= {p_value:.2g}"  # noqa: PLR2004 - more digits tell nobody more


def _cost(change: PairedChange | None, spent_min: float, pairs: int) -> str:
    """Say what the duet took, and what one would take that finds the change that is wanted."""
    told = f"{counted(pairs, 'pair')} took {spent_min:.1f} min"
    if change is None or not pairs:
        return told
    aim = f"{WANTED_CHANGE_PCT:g} % in {100 * WANTED_POWER:g} of 100 duets"
    noise = f"at this noise of a pair ({change.noise_pct:.1f} %, at most {change.noise_high_pct:.1f} %)"
    counts = [pairs_needed(noise_pct) for noise_pct in (change.noise_pct, change.noise_high_pct)]
    needed, at_most = (str(count or f">{MOST_PAIRS}") for count in counts)
    told += f"; {noise} {needed} pairs{'' if needed == at_most else f', at most {at_most},'} find {aim}"
    return told + (f", in about {counts[0] * spent_min / pairs:.0f} min" if counts[0] else "")


def _figure(name: str, medians: tuple[float, float], change: PairedChange) -> FigureChange:
    figure, _, times = name.partition("_")
    return FigureChange(
        name=name,
        title=f"{_FIGURES[figure]} {_TIMES[times]}",
        is_primary=name == name_of_figure(*PRIMARY),
        base_ms=medians[0],
        head_ms=medians[1],
        delta_pct=change.delta_pct,
        low_pct=change.low_pct,
        high_pct=change.high_pct,
        p_value=change.p_value,
        rank_p_value=change.rank_p_value,
        noise_pct=change.noise_pct,
        pairs_needed=pairs_needed(change.noise_pct),
        noise_high_pct=change.noise_high_pct,
        pairs_at_most=pairs_needed(change.noise_high_pct),
    )


def _build(manifest: Manifest, captures: Sequence[Capture], variant: str) -> BuildFacts:
    variants: Mapping[str, Mapping[str, str]] = manifest.settings.get("variants") or {}
    git = manifest.provenance.builds.get(variant)
    prefix = f"binary:{variant}:"
    return BuildFacts(
        root=next(iter(variants.get(variant, {}).values()), ""),
        commit=git.commit if git else None,
        is_changed=bool(git.dirty) if git else None,
        sha256={k.removeprefix(prefix): v for k, v in manifest.fingerprint.items() if k.startswith(prefix)},
        version=next((c.server.version for c in captures if c.variant == variant and c.server.version), ""),
    )
