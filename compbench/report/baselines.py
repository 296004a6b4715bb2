"""Published figures of competitors, and how a measured result stands against them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import tomli

from compbench.errors import UserError
from compbench.records import Capture
from compbench.scenarios import convert_table

# What counts as a difference; the report generator that reads our files uses the same tenth.
COMPARABLE_SHARE = 0.10
REMARK = "published figures come from other machines: a difference is a hint, not a finding"


class Baseline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One published figure; what its source does not give is None."""

    system: str
    version: str
    workload: str
    dataset: str = ""
    source: str
    accessed: str
    hardware: str = "hardware unspecified"
    scenario: str | None = None
    p50_ms: float | None = None
    p99_low_ms: float | None = None
    p99_high_ms: float | None = None
    qps_low: float | None = None
    qps_high: float | None = None
    recall_pct: float | None = None
    published: str | None = None
    note: str | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    baseline: list[Baseline]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario's P99 beside a baseline's; `ratio` below 1 is faster."""

    scenario: str
    system: str
    measured_p99_ms: float
    published_p99_ms: float
    ratio: float
    status: Literal["BETTER", "WORSE", "COMPARABLE"]
    source: str
    hardware: str


def load_baselines(path: Path) -> list[Baseline]:
    """Read the baselines; none if there is no such file.

    Raises:
        UserError: the file is not as it should be.
    """
    if not path.is_file():
        return []
    try:
        raw = tomli.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomli.TOMLDecodeError) as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None
    return convert_table(raw, _File, str(path)).baseline


def compare(captures: Sequence[Capture], baselines: Sequence[Baseline]) -> list[Comparison]:
    """Return each measured P99 beside the baselines of its scenario; a failed scenario has none."""
    return [
        _comparison(capture, baseline, baseline.p99_low_ms)
        for capture in captures
        for baseline in baselines
        if baseline.scenario == capture.scenario and baseline.p99_low_ms and _p99_ms(capture) is not None
    ]


def _comparison(capture: Capture, baseline: Baseline, published_ms: float) -> Comparison:
    measured_ms = _p99_ms(capture) or 0.0
    ratio = measured_ms / published_ms
    same = abs(ratio - 1) <= COMPARABLE_SHARE
    return Comparison(
        scenario=capture.scenario,
        system=f"{baseline.system} {baseline.version}",
        measured_p99_ms=measured_ms,
        published_p99_ms=published_ms,
        ratio=ratio,
        status="COMPARABLE" if same else "BETTER" if ratio < 1 else "WORSE",
        source=baseline.source,
        hardware=baseline.hardware,
    )


def _p99_ms(capture: Capture) -> float | None:
    if capture.result is None or capture.outcome.verdict == "failed":
        return None
    return float(capture.result["p99_latency_ms"])
