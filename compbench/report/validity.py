"""The validity box of a scenario: everything that could make its figures wrong, each with its number.

Pure. Nothing is left out because it was not recorded: that is said instead. The limits are those of the modules that
judge by them. Here stands what the driver tells of the measurement; `circumstances` tells of machine and build.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compbench.measuring.cautions import CENSORED_FROM_MS
from compbench.model.catalogue import OUTCOMES
from compbench.model.metrics import ERRORS, OFFERED, P99, RECALL, RECALL_BELOW, RECALL_P5, THROUGHPUT
from compbench.model.records import Capture, Manifest
from compbench.model.result import Details, HostFigures, Recall
from compbench.report import circumstances
from compbench.report.circumstances import NOT_RECORDED, Doubt, DoubtLevel
from compbench.report.groups import Group
from compbench.report.statistics import ACCEPTABLE_CV_PCT, Spread

# A percentile of fewer operations than this above it is the luck of a few.
FEW_ABOVE = 10
FIXED_RATE = (
    "throughput is that of a fixed rate and no capacity, while published throughputs are capacities; only a"
    " capacity search (`doit capacity:<scenario>`) can be set beside them"
)


def doubts(group: Group, manifest: Manifest, p99: Spread | None) -> list[Doubt]:
    """Return the validity box of the capture that stands for a scenario."""
    capture = group.typical
    details = capture.result.details if capture.result else None
    known = details or Details()
    if capture.is_capacity:
        notices = circumstances.of_notices(capture)
        machine, build = circumstances.of_machine(capture), circumstances.of_build(capture, manifest)
        ranks = [circumstances.of_priority(capture, manifest), circumstances.of_isolation(capture, manifest)]
        return [_data(capture), *machine, *notices, *ranks, build]
    return [
        _measurement(known),
        *_attempts(capture),
        *_hosts(known.hosts or []),
        _clock(capture, is_open_loop=details is not None),
        _load(capture, known),
        _tail(capture, known),
        _answers(known.recall),
        *_traversal(known),
        _data(capture),
        *circumstances.of_machine(capture),
        *circumstances.of_notices(capture),
        circumstances.of_driver(capture, known),
        circumstances.of_priority(capture, manifest),
        circumstances.of_isolation(capture, manifest),
        circumstances.of_build(capture, manifest),
        _repeats(group, p99),
        Doubt("capacity", "ok", FIXED_RATE),
    ]


def _measurement(details: Details) -> Doubt:
    if details.valid is None:
        return Doubt("driver's lag", "unknown", f"{NOT_RECORDED}: whether it kept to its schedule is not known")
    lag, response, late = details.driver_lag_ms, details.response_time_ms, details.late_over_1s_fraction
    lags = "P99 not recorded"
    if lag and response:
        lags = f"{P99.in_words(lag.p99)} beside a P99 response time of {P99.shown(response.p99)}"
    lates = "" if late is None else f"; sent over 1 s late: {100 * late:.2f} % (limit 5 %)"
    if details.valid:
        return Doubt("driver's lag", "ok", f"{lags}{lates}")
    return Doubt("driver's lag", "bad", f"not a measurement of the server: {details.invalid_reason}; {lags}{lates}")


def _attempts(capture: Capture) -> list[Doubt]:
    if not capture.spoiled_attempts:
        return []
    text = (
        f"{capture.spoiled_attempts} before this one: driver or machine spoiled them; kept, and no part of the figures"
    )
    return [Doubt("spoiled attempts", "warning", text)]


def _hosts(hosts: Sequence[HostFigures]) -> Iterator[Doubt]:
    """Say how well several hosts sent one load together."""
    if not hosts:
        return
    worst = max(hosts, key=lambda host: host.uncertainty_ms)
    drifts = [abs(host.drift_ms) for host in hosts if host.drift_ms is not None]
    drift = f", and went off by {max(drifts):.2g} ms at most meanwhile" if drifts else ""
    step = f"each latency is of one host's clock; clocks were known to {worst.uncertainty_ms:.2g} ms{drift}"
    odd = "".join(f"; {host.name} has {host.differs}" for host in hosts if host.differs)
    yield Doubt("hosts", "warning" if odd else "ok", f"sent from {len(hosts)}: {step}{odd}")


def _clock(capture: Capture, *, is_open_loop: bool) -> Doubt:
    if is_open_loop:
        text = "a response time counts from when its request was due, failed requests included (open loop)"
        return Doubt("clock", "ok", text)
    if capture.driver != "loadtest" or capture.result is None:
        return Doubt("clock", "unknown", NOT_RECORDED)
    text = (
        "closed loop: the next request waits for the answer, so a stall of the server hides itself; latencies over"
        f" {CENSORED_FROM_MS:g} ms are not recorded at all"
    )
    return Doubt("clock", "warning", text)


def _load(capture: Capture, details: Details) -> Doubt:
    result = capture.result
    if result is None:
        return Doubt("load", "bad", "there are no figures")
    offered, achieved = details.offered_ops_s, result.throughput_ops_s
    if offered is None:
        return Doubt("load", "unknown", f"{THROUGHPUT.shown(achieved)} answered; the offered rate was {NOT_RECORDED}")
    lost = details.never_sent or 0
    unsent = f", {lost} never sent" if lost else ""
    if details.connections and (details.in_flight_max or 0) >= details.connections:
        unsent += f", all {details.connections} connections in use at times (waiting for one is response time)"
    errors = f"{result.total_errors} of {result.total_operations} failed ({ERRORS.shown(100 * result.error_fraction)})"
    short = lost > 0 or achieved < 0.99 * offered * (1 - result.error_fraction)
    level: DoubtLevel = "warning" if short or result.total_errors else "ok"
    return Doubt("load", level, f"{OFFERED.in_words(offered)}, {THROUGHPUT.shown(achieved)} answered{unsent}; {errors}")


def _tail(capture: Capture, details: Details) -> Doubt:
    total = capture.result.total_operations if capture.result else 0
    above = {name: total * share for name, share in (("P99", 0.01), ("P99.9", 0.001))}
    text = ", ".join(f"{name} rests on the {count:.0f} slowest" for name, count in above.items())
    level: DoubtLevel = "warning" if above["P99"] < FEW_ABOVE else "ok"
    intervals = details.response_time_ms_ci
    low, high = (intervals.p99 if intervals else None) or (None, None)
    within = ""
    if low is not None:
        until = "any height: too few for an upper bound" if high is None else P99.shown(high)
        within = f"; as far as this measurement alone tells, P99 is from {P99.shown(low)} to {until} (95 %)"
    return Doubt("operations", level, f"{total} in {capture.duration_s} s: {text}{within}")


def _answers(recall: Recall | None) -> Doubt:
    if recall is None:
        return Doubt("answers", "unknown", f"{NOT_RECORDED}: whether they were right is not known")
    note = f"; {recall.note}" if recall.note else ""
    if wrong := OUTCOMES.get(recall.answers or ""):  # what is wrong with them is an outcome of the same code
        return Doubt("answers", "bad", f"{wrong.meaning}: the figures mean nothing{note}")
    if recall.mean is None and recall.exact_traversals is not None:
        right = RECALL.shown(100 * recall.exact_traversals)
        return Doubt("answers", "ok", f"{right} of {recall.traversals} checked traversals exactly right{note}")
    if recall.mean is None:
        return Doubt("answers", "unknown", f"recall is not known ({recall.checked} answers checked){note}")
    bounds = ""
    if recall.low is not None and recall.high is not None:
        bounds = f" (95 %: {RECALL.number(100 * recall.low)} to {RECALL.number(100 * min(1, recall.high))})"
    text = f"{RECALL.in_words(100 * recall.mean)}{bounds} over {recall.checked} answers{_tail_of(recall)}{note}"
    return Doubt("answers", "ok", text)


def _tail_of(recall: Recall) -> str:
    """Return the recall of the worst answers as further words, empty if that was not recorded."""
    told = ((RECALL_P5, recall.p5), (RECALL_BELOW, recall.below_080))
    return "".join(f", {metric.in_words(100 * share)}" for metric, share in told if share is not None)


def _traversal(details: Details) -> Iterator[Doubt]:
    facts = details.traversal
    if facts and facts.asked:
        note = f": {facts.note}" if facts.note else ""
        measured = "measured" if facts.measured else "asked for by the scenario, and not measured"
        yield Doubt("traversals", "ok" if facts.measured else "warning", f"{measured}{note}")


def _data(capture: Capture) -> Doubt:
    data = capture.data_set
    if data is None:
        return Doubt("data set", "unknown", NOT_RECORDED)
    held = "an unknown number" if data.stored is None else f"{data.stored:,}"
    text = f"{held} stored; wanted were {data.share}"
    if data.stored == 0:
        return Doubt("data set", "bad", f"empty: searches have nothing to find; {text}")
    whole = data.wanted >= data.nodes_in_scenario and data.stored is not None and data.stored >= data.wanted
    return Doubt("data set", "ok" if whole else "warning", f"{text}{'; ' if data.note else ''}{data.note}")


def _repeats(group: Group, p99: Spread | None) -> Doubt:
    if p99 is None:
        return Doubt("repeats", "unknown", "none of them is a measurement")
    if p99.cv_pct is None:
        asked = len(group.captures)
        once = "measured once" if asked == 1 else f"only one of {asked} repeats has figures"
        text = f"{once}: how much the figures vary by chance is not known; `repeat=3` or more tells"
        return Doubt("repeats", "warning", text)
    mean = P99.shown(p99.mean)
    interval = "" if p99.low is None else f", 95 % interval {P99.number(p99.low)} to {P99.shown(p99.high)}"
    far = ", ".join(str(group.measured[place].repeat) for place in p99.outliers)
    outliers = f"; outliers: repeat {far}" if far else ""
    text = f"{p99.count}: P99 varies by {p99.cv_pct:.1f} % ({p99.grade}), mean {mean}{interval}{outliers}"
    return Doubt("repeats", "warning" if p99.cv_pct > ACCEPTABLE_CV_PCT or far else "ok", text)
