"""The newest run in OpenMetrics, for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from compbench.model import metrics
from compbench.model.measurement import measurement_named
from compbench.report.past.comparable import FoundCapacity
from compbench.report.past.history import Past

_FACTS = ("system", "profile")
# More digits than any measurement has, and few enough that dividing leaves no tail such as 0.0005250000000000001.
_DIGITS = 12


def openmetrics_text(past: Past, capacities: Mapping[str, FoundCapacity]) -> str:
    """Return a run as gauges, which OpenMetrics and the older text format write alike; of repeats the mean.

    Capacities, by scenario, come from other runs, which are searches. Where a run compared several systems, each has
    its own label; what a system does not offer has no gauge.
    """
    from prometheus_client import CollectorRegistry, Gauge  # noqa: PLC0415 - an optional library
    from prometheus_client.openmetrics.exposition import generate_latest  # noqa: PLC0415 - see above

    registry = CollectorRegistry()
    labels = ["scenario", *_FACTS]
    opened = Gauge("compbench_run_opened_timestamp_seconds", "When the newest closed run was opened", registry=registry)
    opened.set(past.opened_at)
    passed = Gauge("compbench_scenario_passed", "1 if the scenario passed", labels, registry=registry)
    for name, verdict in past.verdicts.items():
        if verdict != "not offered":
            passed.labels(*_labels(past, name)).set(verdict == "passed")
    for metric in metrics.ALL:
        if (exported := metric.gauge) is None:
            continue
        gauge = Gauge(exported.name, exported.text, labels, registry=registry)
        for name, value in _means(past, capacities, metric).items():
            gauge.labels(*_labels(past, name)).set(float(f"{value / exported.divisor:.{_DIGITS}g}"))
    return str(generate_latest(registry), "utf-8")  # type: ignore[no-untyped-call]


def _labels(past: Past, name: str) -> list[str]:
    """Return the labels of a scenario's figures, whose name has the system where the run compared several."""
    one = measurement_named(name)
    facts = {**past.fingerprint, **({"system": one.system} if one.system else {})}
    return [one.scenario, *(facts.get(fact, "") for fact in _FACTS)]


def _means(past: Past, capacities: Mapping[str, FoundCapacity], metric: metrics.Metric) -> dict[str, float]:
    found = {scenario: values[metric.name] for scenario, values in past.values.items() if values.get(metric.name)}
    if metric is metrics.CAPACITY:
        found |= {scenario: [capacity.facts.low_ops_s] for scenario, capacity in capacities.items()}
    return {scenario: statistics.fmean(values) for scenario, values in found.items()}
