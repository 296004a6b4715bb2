"""The circumstances of a measurement that could make its figures wrong: machine, driver's CPU, build. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from compbench.machine.real_time import rank
from compbench.model.partition import OFF
from compbench.model.records import Capture, Git, Manifest
from compbench.model.result import Details
from compbench.model.texts import BYTES_A_GB, rank_of
from compbench.report import counted
from compbench.report.elsewhere import NOT_KNOWN, UNKNOWN_THERE, floor_of, own_metrics, round_trip_told, whose_machine
from compbench.systems import registry

DoubtLevel = Literal["ok", "warning", "bad", "unknown"]
NOT_READABLE = "not readable here"
NOT_RECORDED = "not recorded by this driver"


@dataclass(frozen=True)
class Doubt:
    """One possible flaw of the figures, and the finding."""

    name: str
    level: DoubtLevel
    text: str


def of_machine(capture: Capture) -> Iterator[Doubt]:
    """Yield a line for each reading of the machine while it was measured; only the driver's can be read.

    The lines say whose it is where the server had another.
    """
    whose = whose_machine(capture)
    if whose:
        yield from _of_server_elsewhere(capture)
    for doubt in _of_this_machine(capture):
        yield replace(doubt, name=f"{whose}{doubt.name}")


def _of_server_elsewhere(capture: Capture) -> Iterator[Doubt]:
    yield Doubt("server's machine", "unknown", f"{NOT_KNOWN} are not known. {own_metrics(capture)}")
    if capture.is_capacity:
        yield Doubt(
            "limit", "unknown", "of server and network together: which of them gave way can't be seen from here"
        )
    codes = {notice.code: notice.text for notice in capture.notices}
    if told := round_trip_told(capture):
        level: DoubtLevel = "unknown" if floor_of(capture) is None else "ok"
        text = f"{told}, right after the load, at its rate: the network's and the protocol's part of every latency"
        mostly = codes.get("network-mostly")
        yield Doubt("round trip", "warning" if mostly else level, mostly or (told if level == "unknown" else text))


def _of_this_machine(capture: Capture) -> Iterator[Doubt]:
    samples = capture.samples
    if not samples:
        yield Doubt("machine", "unknown", "no samples were taken")
        return
    codes = {notice.code: notice.text for notice in capture.notices}
    for reading in _READINGS:
        values = [value for s in samples if (value := getattr(s, reading.attribute)) is not None]
        if not values:
            yield Doubt(reading.name, "unknown", "not readable here")
        elif reading.code in codes:
            yield Doubt(reading.name, "warning", codes[reading.code])
        else:
            yield Doubt(reading.name, "ok", reading.told(values))
    load = capture.machine_before.get("load_1min")
    if load is not None:
        busy = next((n.text for n in capture.notices if n.code == "busy-machine"), "")
        yield Doubt("other work", "warning" if busy else "ok", busy or f"load average {load:.2f} before the scenario")
    for phase in capture.phases:
        if phase.name == "quiet" and phase.note:
            yield Doubt("waiting for quiet", "ok", f"{phase.duration_s:.0f} s before the scenario: {phase.note}")


def of_notices(capture: Capture) -> Iterator[Doubt]:
    """Yield a line for each notice that no other line tells."""
    told = _TOLD_BESIDES | ({reading.code for reading in _READINGS} if capture.samples else set())
    for notice in capture.notices:
        if notice.code not in told:
            level: DoubtLevel = "bad" if notice.code == "oom-kill" else "warning"
            yield Doubt(notice.code.replace("-", " "), level, notice.text)


def of_driver(capture: Capture, details: Details) -> Doubt:
    """Return whether the driver had CPU time enough."""
    used = details.driver_cpu_pct
    if (text := next((n.text for n in capture.notices if n.code == "driver-saturated"), None)) is not None:
        return Doubt("driver's CPU", "warning", text)
    if used is None:
        known = [s.driver_cpu_pct for s in capture.samples if s.driver_cpu_pct is not None]
        used = sum(known) / len(known) if known else None
    return (
        Doubt("driver's CPU", "unknown", NOT_RECORDED)
        if used is None
        else Doubt("driver's CPU", "ok", f"{used:.0f} % of a core")
    )


def of_priority(capture: Capture, manifest: Manifest) -> Doubt:
    """Return how server and driver ranked beside the other programs, and whether that is as in the run's others."""
    server, driver = capture.server.niceness, capture.driver_process.niceness
    if capture.system_facts.is_elsewhere and driver is not None:
        told = f"server: {UNKNOWN_THERE}; the driver ran {rank_of(driver)} (niceness {driver})"
        return Doubt("priority", "unknown", told)
    if server is None or driver is None:
        return Doubt("priority", "unknown", "not recorded")
    told = f"the server ran {rank_of(server)} (niceness {server}), the driver {rank_of(driver)} (niceness {driver})"
    expected = int(manifest.fingerprint.get("niceness", "0"))
    if server == driver == expected:
        return Doubt("priority", "warning" if expected > 0 else "ok", told)
    return Doubt("priority", "warning", f"{told}; this run's are to have {expected}")


def of_build(capture: Capture, manifest: Manifest) -> Doubt:
    """Return which build was measured, and whether its figures may stand for that commit, or for anything.

    Of a server that ran elsewhere its own word is all that is known, and no commit of a repository here.
    """
    for kind in registry.not_comparable([capture.system]):
        return Doubt("build", "warning", f"these are figures of {kind.title}: {kind.not_comparable}")
    if capture.system_facts.is_elsewhere:
        version = capture.server.version
        is_told = version not in ("", "not told")
        return Doubt("build", "ok" if is_told else "unknown", version if is_told else f"version {UNKNOWN_THERE}")
    git = manifest.provenance.git or Git()
    dirty = git.dirty
    debug = [f.found for f in manifest.findings if f.check.startswith("binary_") and f.level != "ok"]
    text = f"commit {(git.commit or 'unknown')[:12]}"
    if dirty:
        text += f", with {counted(len(dirty), 'uncommitted change')}: the figures are not of the commit alone"
    return Doubt("build", "warning" if dirty or debug or dirty is None else "ok", "; ".join([text, *debug]))


def of_isolation(capture: Capture, manifest: Manifest) -> Doubt:
    """Return which CPUs server and driver really had, how they were scheduled, and what limited the memory."""
    server, driver = capture.server, capture.driver_process
    if not server.cpus and not driver.cpus:
        return Doubt("isolation", "unknown", "not recorded")
    had = [f"driver on {driver.cpus or NOT_READABLE}{rank(driver.is_real_time)}"]
    if server.cpus:
        had.insert(0, f"server on CPUs {server.cpus}{rank(server.is_real_time)}")
        had.append(_memory(server.memory_limit_bytes))
    tier = f" ({server.tier})" if server.tier not in ("", "none") else ""
    unknown = UNKNOWN_THERE if capture.system_facts.is_elsewhere else NOT_READABLE
    told = f"{', '.join(had)}{tier}" if server.cpus else f"server: {unknown}; {had[0]}"
    # A server that runs elsewhere keeps no promise, and a search for a capacity is not made in real time.
    broken = [part for part in _promised(capture, manifest) if part not in had and (server.cpus or "driver" in part)]
    if broken:
        return Doubt("isolation", "warning", f"{told}; it was to have: {', '.join(broken)}")
    return Doubt("isolation", "unknown" if capture.system_facts.is_elsewhere else "ok", told)


def _memory(limit_bytes: int | None) -> str:
    return "no memory limit" if limit_bytes is None else f"server within {limit_bytes / BYTES_A_GB:.3g} GB"


def _promised(capture: Capture, manifest: Manifest) -> list[str]:
    """Return what the run's fingerprint says of where server and driver are kept, a part each."""
    variants = manifest.settings.get("variants") or {}
    if variants.get(capture.variant, {}).get("isolation") == OFF:
        return []
    parts = manifest.fingerprint.get("isolation", "").rpartition(" (")[0].split(", ")
    if capture.is_capacity:
        parts = [part.removesuffix(rank(True)) if part.startswith("server") else part for part in parts]
    return [part for part in parts if part and not part.startswith("server within")]


class _Reading(NamedTuple):
    """A reading of the machine: its name, where a sample has it, the notice of too much, and how it is told."""

    name: str
    attribute: str
    code: str
    told: Callable[[Sequence[float]], str]


def _share(values: Sequence[float]) -> str:
    return f"average {sum(values) / len(values):.1f} %, peak {max(values):.1f} %"


def _times(values: Sequence[float]) -> str:
    return f"{sum(values):.0f} times" if any(values) else "never"


def _amount(values: Sequence[float]) -> str:
    return f"at most {max(values) / 1e6:.0f} MB" if any(values) else "none"


# By the lines of data set, clock, driver's CPU and other work.
_TOLD_BESIDES = {
    *("empty-data-set", "incomplete-data-set", "closed-loop", "censored"),
    *("driver-saturated", "busy-machine", "network-mostly", "round-trip-unknown"),
}
_READINGS = (
    _Reading("stolen time", "steal_pct", "steal", _share),
    _Reading("I/O wait", "io_wait_pct", "io-wait", _share),
    _Reading("heat throttling", "throttle_events", "thermal-throttling", _times),
    _Reading("stopped by a CPU quota", "quota_throttles", "quota-throttling", _times),
    _Reading("swap in use", "swap_used_bytes", "swap-used", _amount),
)
