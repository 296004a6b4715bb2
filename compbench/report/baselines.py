"""Published figures of competitors, and how a measured result stands against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from compbench.config.toml_tables import convert_table, parse_toml
from compbench.model.metrics import P99, change_pct
from compbench.model.records import Capture
from compbench.report.groups import Group, group_captures
from compbench.systems import registry

# The least difference that counts; the report generator that reads our files uses the same tenth.
COMPARABLE_SHARE = 0.10
REMARK = "published figures come from other machines: a difference is a hint, not a finding"


class Baseline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One published figure; None where its source gives nothing."""

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


Status = Literal["BETTER", "WORSE", "COMPARABLE", "NOT_COMPARABLE", "NO_BASELINE"]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario's P99 (of several repeats: of the median one) beside one baseline's; a negative `delta_pct` is faster.

    With `NO_BASELINE` no figure is published for the scenario, and the published ones here are None. With
    `NOT_COMPARABLE` even the task was another one, and `caveat` says why: the figures are shown without a difference.
    """

    scenario: str
    status: Status
    measured_p99_ms: float
    measured_system: str = ""  # only where a run compares several
    system: str = ""
    published_p99_ms: float | None = None
    published_p99_high_ms: float | None = None
    ratio: float | None = None
    delta_pct: float | None = None
    source: str = ""
    accessed: str = ""
    hardware: str = ""
    caveat: str = ""

    @property
    def stands(self) -> str:
        """Return how the measured figure stands, in words: `-12.3 % better`, `not comparable: 20 of 99 memories`."""
        if self.delta_pct is None:
            return f"not comparable: {self.caveat}" if self.caveat else "no baseline"
        return f"{change_pct(self.delta_pct)} {self.status.lower()}"


class Priority(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario to optimise, and by how much its P99 must fall to reach `wanted_p99_ms`."""

    scenario: str
    against: str
    measured_p99_ms: float
    wanted_p99_ms: float
    gap_ms: float
    gap_pct: float


def load_baselines(path: Path) -> list[Baseline]:
    """Read the baselines; none if there is no such file.

    Raises:
        UserError: the file is not as it should be.
    """
    if not path.is_file():
        return []
    return convert_table(parse_toml(path.read_bytes(), path), _File, str(path)).baseline


def compare(captures: Sequence[Capture], baselines: Sequence[Baseline]) -> list[Comparison]:
    """Return each measured scenario's P99 beside every baseline of it, or beside none; a failed one has no P99."""
    found = []
    for group in group_captures(captures):
        if (measured_ms := P99.read(group.typical.result, None)) is not None and group.measured:
            own = [b for b in baselines if b.scenario == group.scenario and b.p99_low_ms]
            found += [_comparison(group, measured_ms, baseline) for baseline in own]
            if not own:
                found.append(
                    Comparison(
                        scenario=group.scenario,
                        status="NO_BASELINE",
                        measured_p99_ms=measured_ms,
                        measured_system=group.system,
                    )
                )
    return found


def of_subject(comparisons: Sequence[Comparison], systems: Sequence[str]) -> list[Comparison]:
    """Return the comparisons of the system that the run is about: all, or where it compares several, of the first."""
    return [c for c in comparisons if c.measured_system in ("", *systems[:1])]


def priorities(comparisons: Sequence[Comparison], targets_ms: Mapping[str, float]) -> list[Priority]:
    """Return the scenarios that are too slow for their target or a baseline, the largest gap first.

    Args:
        comparisons: as `compare` returns them.
        targets_ms: the P99 that a scenario asks for, by its name.
    """
    measured = {comparison.scenario: comparison.measured_p99_ms for comparison in comparisons}
    wanted = [(name, "its target", targets_ms[name]) for name in measured if name in targets_ms]
    wanted += [
        (comparison.scenario, comparison.system, comparison.published_p99_ms)
        for comparison in comparisons
        if comparison.status == "WORSE" and comparison.published_p99_ms is not None
    ]
    gaps = [
        Priority(
            scenario=name,
            against=against,
            measured_p99_ms=measured[name],
            wanted_p99_ms=wanted_ms,
            gap_ms=measured[name] - wanted_ms,
            gap_pct=100 * (1 - wanted_ms / measured[name]),
        )
        for name, against, wanted_ms in wanted
        if measured[name] > wanted_ms
    ]
    return sorted(gaps, key=lambda gap: -gap.gap_pct)


def _comparison(group: Group, measured_ms: float, baseline: Baseline) -> Comparison:
    capture = group.typical
    published_ms = baseline.p99_low_ms or 0.0
    ratio = measured_ms / published_ms
    same = abs(ratio - 1) <= COMPARABLE_SHARE
    status: Status = "COMPARABLE" if same else "BETTER" if ratio < 1 else "WORSE"
    caveat = caveat_of(capture)
    return Comparison(
        scenario=capture.scenario,
        measured_system=group.system,
        system=f"{baseline.system} {baseline.version}",
        measured_p99_ms=measured_ms,
        published_p99_ms=published_ms,
        published_p99_high_ms=baseline.p99_high_ms,
        ratio=None if caveat else ratio,
        delta_pct=None if caveat else 100 * (ratio - 1),
        status="NOT_COMPARABLE" if caveat else status,
        source=baseline.source,
        accessed=baseline.accessed,
        hardware=baseline.hardware,
        caveat=caveat,
    )


def caveat_of(capture: Capture) -> str:
    """Return why a capture's figures can't be compared with published ones, empty if they can."""
    data_set = capture.data_set
    titles = [kind.title for kind in registry.not_comparable([capture.system])]
    smaller = data_set is not None and data_set.wanted < data_set.nodes_in_scenario
    return ", ".join(titles + ([f"{data_set.share_alone} loaded"] if smaller and data_set else []))
