"""Notices of doubts: a measurement's figures may be wrong, or mean something else than they seem to.

Pure functions of report, data set and exit; the warnings of samples are in `compbench.machine.thresholds`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compbench.machine.probes.busy_processes import BusyProcess, describe_busy
from compbench.machine.process import Exit
from compbench.model.notices import Notice, Outcome, notice_of
from compbench.model.records import DataSet, ServerFacts
from compbench.model.result import Details, Result
from compbench.model.scenario import Scenario, mean_rate

# Engram's loadtest records microseconds in a histogram that ends here, and drops slower answers.
CENSORED_FROM_MS = 65.0
# Half a core that others use is worth a word even if the measurement stood it.
BUSY_CORE_PCT = 50.0
# A run that took so much longer than planned was held up by single requests.
OVERRUN_SHARE, OVERRUN_S = 1.1, 5.0
# An empty request that takes more than this share of the median leaves less than half of it to the server.
NETWORK_SHARE = 0.5
# The driver and its connections are gone when the server's descriptors are counted; so many more than before the load
# are no cache or log file that it opened meanwhile.
PILED_UP_FILES = 100


def of_result(result: Result | None, driver: str, duration_s: float, scenario: Scenario) -> list[Notice]:
    """Return the doubts that a driver's report, or the driver itself, leaves."""
    if result is None:
        return []
    of_driver = _of_loadtest(result, scenario) if driver == "loadtest" else ()
    of_all = [*_of_traversals(result), *_of_neighbours(result), *_of_overrun(result, duration_s), *_of_hosts(result)]
    return [*of_all, *of_driver]


def of_round_trip(result: Result | None) -> Iterator[Notice]:
    """Warn if the latencies of a server elsewhere are mostly the network's, or if that can't be told.

    The two medians are set beside each other, never subtracted: no request of the load was an empty one.
    """
    if result is None:
        return
    details = result.details or Details()
    if details.floor is None:
        yield notice_of("round-trip-unknown", why=details.floor_missing or "this driver does not tell it")
    elif details.floor.p50_ms > NETWORK_SHARE * result.p50_latency_ms:
        yield notice_of("network-mostly", round_trip_ms=details.floor.p50_ms, p50_ms=result.p50_latency_ms)


def of_data_set(data_set: DataSet) -> Iterator[Notice]:
    """Yield each difference of the data set from the one that the scenario asks for."""
    if data_set.stored == 0:
        yield notice_of("empty-data-set")
    elif not data_set.prepared or (data_set.stored is not None and data_set.stored < data_set.wanted):
        yield notice_of("incomplete-data-set", held=data_set.held, wanted=data_set.wanted, note=data_set.note)


def of_exit(outcome: Outcome, ended: Exit) -> Iterator[Notice]:
    """Warn if the driver's exit says otherwise than its own report, by which the scenario is judged.

    `loadtest` ends with 1 if a target of the scenario is missed, else with 0.
    """
    if outcome.is_measurement and ended.code != (1 if outcome.verdict == "missed" else 0):
        said = "misses a target" if outcome.verdict == "missed" else "meets every target"
        yield notice_of("driver-disagrees", ended=ended, said=said)


def of_others(busy: Sequence[BusyProcess], outcome: Outcome) -> Iterator[Notice]:
    """Warn of other processes that took cores from the measurement, if they were many or it is spoiled."""
    if busy and (outcome.verdict == "invalid" or sum(process.pct for process in busy) >= BUSY_CORE_PCT):
        yield notice_of("other-processes", busy=describe_busy(busy))


def of_descriptors(facts: ServerFacts) -> Iterator[Notice]:
    """Warn of descriptors that server or runner left open (specification 2)."""
    before, after = facts.open_files_before, facts.open_files_after
    leaks = []
    if before is not None and after is not None and after - before > PILED_UP_FILES:
        leaks.append(f"the server had {after} files and sockets open after the load, {before} before it")
    if facts.leaked_runner_files:
        leaks.append(f"compbench itself left {facts.leaked_runner_files} open")
    if leaks:
        yield notice_of("descriptors-leaked", leaks="; ".join(leaks))


def _of_traversals(result: Result) -> Iterator[Notice]:
    traversal = result.details.traversal if result.details else None
    if traversal and traversal.note:
        yield notice_of("no-traversal", note=traversal.note)


def _of_neighbours(result: Result) -> Iterator[Notice]:
    if result.recall and result.recall.not_kept:
        yield notice_of("neighbours-not-kept", problem=result.recall.not_kept)


def _of_hosts(result: Result) -> Iterator[Notice]:
    hosts = result.details.hosts if result.details else None
    if odd := [f"host {host.name} has {host.differs}" for host in hosts or [] if host.differs]:
        yield notice_of("host-differs", told="; ".join(odd))


def _of_overrun(result: Result, duration_s: float) -> Iterator[Notice]:
    if result.elapsed_s > max(duration_s * OVERRUN_SHARE, duration_s + OVERRUN_S):
        yield notice_of("overran", took_s=result.elapsed_s, planned_s=duration_s)


def _of_loadtest(result: Result, scenario: Scenario) -> Iterator[Notice]:
    yield notice_of("closed-loop")
    if result.p99_latency_ms >= CENSORED_FROM_MS or result.throughput_ops_s < mean_rate(scenario.arrival) / 2:
        yield notice_of("censored", limit_ms=CENSORED_FROM_MS)
    if scenario.operations.embedding_search_weight > 0:
        yield notice_of("text-search")
    if scenario.graph is not None:
        yield notice_of("no-traversal", note="Engram's loadtest follows no edges: its recalls go by similarity")
    if scenario.validation.expected_recall is not None:
        yield notice_of("recall-not-checked")
