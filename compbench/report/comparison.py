"""Two runs side by side: the changes, their size, and whether these measurements can tell them at all.

Pure. A regression is a change for the worse that `statistics.judge_change` calls a change: large enough to matter,
and more than noise. Runs that are not comparable are shown beside each other, and nothing is said of them.
"""

from __future__ import annotations

import statistics as basic
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from compbench.model.metrics import FOLLOWED, P99, Metric
from compbench.model.noise import NoiseRecord
from compbench.report.baselines import COMPARABLE_SHARE, Comparison
from compbench.report.known_noise import known_noise
from compbench.report.past import comparable
from compbench.report.past.history import Past
from compbench.report.statistics import judge_change

ChangeVerdict = Literal["regression", "improvement", "same", "can't tell", "not comparable", "no figure"]


# Said wherever rows are shown: a run's own page shows the median repeat.
MEANS = "of repeats, figures are means"


@dataclass(frozen=True)
class Row:
    """One figure of one scenario in two runs; with repeats, `base` and `head` are means."""

    scenario: str
    metric: Metric
    base: float | None
    head: float | None
    delta_pct: float | None
    verdict: ChangeVerdict
    remark: str = ""
    least_pct: float | None = None


@dataclass(frozen=True)
class RunComparison:
    """Two runs, the differences that make them incomparable as a whole, and a row for each figure that either has."""

    base: Past
    head: Past
    differences: list[str]
    rows: list[Row]

    @property
    def has_repeats(self) -> bool:
        """Tell whether a figure of either run stands for several."""
        runs = (self.base, self.head)
        return any(len(v) > 1 for past in runs for figures in past.values.values() for v in figures.values())

    @property
    def regressions(self) -> list[Row]:
        """Return the rows that are worse."""
        return [row for row in self.rows if row.verdict == "regression"]

    @property
    def compared(self) -> bool:
        """Tell whether anything was compared."""
        return any(row.verdict in ("regression", "improvement", "same", "can't tell") for row in self.rows)

    @property
    def telling(self) -> list[Row]:
        """Return the rows that a reader wants first: latency always, any other figure only if it changed."""
        changed = ("regression", "improvement", "can't tell")
        return [
            row
            for row in self.rows
            if row.verdict in changed or (row.metric is P99 and row.verdict != "not comparable")
        ]

    @property
    def summary(self) -> str:
        """Return the result in a few words."""
        if not self.compared and not self.regressions:
            return "nothing could be compared"
        if worse := dict.fromkeys(f"{row.scenario} ({row.metric.title})" for row in self.regressions):
            return f"regression: {', '.join(worse)}"
        return "no regression that these measurements can tell"


@dataclass(frozen=True)
class _Grounds:
    """The runs and studies that tell how much single runs differ by chance."""

    known: Sequence[Past]
    noises: Sequence[NoiseRecord]


def compare_runs(base: Past, head: Past, known: Sequence[Past], noises: Sequence[NoiseRecord] = ()) -> RunComparison:
    """Compare two runs; the history (`known`), or else a study (`noises`), tells how much single runs differ."""
    grounds, names = _Grounds(known, noises), dict.fromkeys([*head.scenarios, *base.scenarios])
    rows = [row for name in names for metric in FOLLOWED if (row := _row(base, head, name, metric, grounds))]
    return RunComparison(base, head, comparable.differences(base, head), rows)


def against_published(comparisons: Sequence[Comparison]) -> list[Row]:
    """Return each measured P99 as a row against its published baseline; worse by over a tenth is a regression."""
    words: dict[str, ChangeVerdict] = {
        "BETTER": "improvement",
        "WORSE": "regression",
        "COMPARABLE": "same",
        "NOT_COMPARABLE": "not comparable",
    }
    return [
        Row(
            scenario=c.scenario,
            metric=P99,
            base=c.published_p99_ms,
            head=c.measured_p99_ms,
            delta_pct=c.delta_pct,
            verdict=words.get(c.status, "no figure"),
            remark=_published_remark(c),
        )
        for c in comparisons
    ]


def _published_remark(comparison: Comparison) -> str:
    if comparison.published_p99_ms is None:
        return "no baseline"
    limit = f"limit {100 * COMPARABLE_SHARE:g} %, published by {comparison.system} from another machine"
    return f"{comparison.caveat}; published by {comparison.system}" if comparison.caveat else limit


def _row(base: Past, head: Past, scenario: str, metric: Metric, grounds: _Grounds) -> Row | None:
    row = _judged(base, head, scenario, metric, grounds)
    efforts = [past.efforts.get(scenario, "none") for past in (base, head)]
    if row is None or row.base is None or row.head is None or efforts[0] == efforts[1]:
        return row
    # An effort that was found anew moves every figure: that is no regression by itself, and explains one.
    return replace(row, remark="; ".join(filter(None, (row.remark, f"effort {efforts[0]} -> {efforts[1]}"))))


def _judged(base: Past, head: Past, scenario: str, metric: Metric, grounds: _Grounds) -> Row | None:
    before, after = (past.values.get(scenario, {}).get(metric.name, []) for past in (base, head))
    if not before and not after:
        return None
    means = tuple(basic.fmean(values) if values else None for values in (before, after))
    place = (scenario, metric, means[0], means[1])
    if differing := comparable.differences(base, head, scenario):
        return Row(*place, None, "not comparable", "; ".join(differing))
    if not before or not after:
        side, past = ("then", base) if not before else ("now", head)
        remark = f"no figure {side}: {past.verdicts.get(scenario, 'not measured')}"
        lost = not after and past.verdicts.get(scenario) == "failed" and metric is P99
        return Row(*place, None, "regression" if lost else "no figure", remark)
    if metric.absolute or min(*before, *after) <= 0:
        return _absolute_row(scenario, metric, basic.fmean(before), basic.fmean(after))
    earlier = comparable.earlier_values(grounds.known, head, scenario, metric.name)
    noise = known_noise(grounds.noises, head, scenario, metric.name)
    change = judge_change(before, after, least_effect_pct=metric.least_effect_pct, history=earlier, noise=noise)
    untold = not change.changed and abs(change.delta_pct) > metric.least_effect_pct
    verdict: ChangeVerdict = "can't tell" if untold else "same"
    if change.changed:
        verdict = "regression" if metric.is_worse(change.delta_pct) else "improvement"
    remark = f"less than {change.least_pct:.0f} % can't be told ({change.basis})" if untold else change.basis
    return Row(*place, change.delta_pct, verdict, remark, change.least_pct)


def _absolute_row(scenario: str, metric: Metric, before: float, after: float) -> Row:
    """Judge a figure by its difference in its own unit: a percentage, or one without a ratio, being zero."""
    difference = after - before
    least, unit = (metric.least_effect_pct, "percentage points") if metric.absolute else (0.0, metric.unit)
    changed: ChangeVerdict = "regression" if metric.is_worse(difference) else "improvement"
    verdict = changed if abs(difference) > least else "same"
    relative = 100 * difference / before if before else None
    return Row(scenario, metric, before, after, relative, verdict, f"{difference:+.2f} {unit}")
