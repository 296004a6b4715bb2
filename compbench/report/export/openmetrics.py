"""The newest run in OpenMetrics, for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from compbench.model import metrics
from compbench.report.past.comparable import FoundCapacity
from compbench.report.past.history import Past

_FACTS = ("system", "profile")
# More digits than any measurement has, and few enough that dividing leaves no tail such as 0.0005250000000000001.
_DIGITS = 12


def openmetrics_text(past: Past, capacities: Mapping[str, FoundCapacity]) -> str:
    """Return a run as gauges, which OpenMetrics and the older text format write alike; of repeats the mean.

    Capacities, by scenario, come from other runs, which are searches.
    """
    from prometheus_client import CollectorRegistry, Gauge  # noqa: PLC0415 - an optional library
    from prometheus_client.openmetrics.exposition import generate_latest  # noqa: PLC0415 - see above

    registry = CollectorRegistry()
    labels = ["scenario", *_FACTS]
    facts = [past.fingerprint.get(name, "") for name in _FACTS]
    opened = Gauge("compbench_run_opened_timestamp_seconds", "When the newest closed run was opened", registry=registry)
    opened.set(past.opened_at)
    passed = Gauge("compbench_scenario_passed", "1 if the scenario passed", labels, registry=registry)
    for scenario, verdict in past.verdicts.items():
        passed.labels(scenario, *facts).set(verdict == "passed")
    for metric in metrics.ALL:
        if (exported := metric.gauge) is None:
            continue
        gauge = Gauge(exported.name, exported.text, labels, registry=registry)
        for scenario, value in _means(past, capacities, metric).items():
            gauge.labels(scenario, *facts).set(float(f"{value / exported.divisor:.{_DIGITS}g}"))
    return str(generate_latest(registry), "utf-8")  # type: ignore[no-untyped-call]


def _means(past: Past, capacities: Mapping[str, FoundCapacity], metric: metrics.Metric) -> dict[str, float]:
    found = {scenario: values[metric.name] for scenario, values in past.values.items() if values.get(metric.name)}
    if metric is metrics.CAPACITY:
        found |= {scenario: [capacity.facts.low_ops_s] for scenario, capacity in capacities.items()}
    return {scenario: statistics.fmean(values) for scenario, values in found.items()}
