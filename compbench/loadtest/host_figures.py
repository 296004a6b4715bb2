"""The figures of each host that sent, and which of them is not like the others."""

from __future__ import annotations

from compbench.loadtest.engine.confidence import percentile_interval
from compbench.loadtest.engine.openloop import HostShare
from compbench.loadtest.engine.recorder import Part
from compbench.loadtest.engine.totals import columns_of
from compbench.loadtest.verdict import LAG_FLOOR_MS, Measured
from compbench.model.result import Histograms, HostFigures, TimeSeries

# All hosts send shares of one schedule to one server, so that their times differ by host and network alone. Intervals
# take operations as independent, which those that are slow together are not: a difference has to be this large, too.
DIFFERENT_SHARE, DIFFERENT_MS = 0.25, 0.2


def host_figures(measured: Measured) -> list[HostFigures]:
    """Return each host's own figures; none where one driver has sent all."""
    parts = measured.totals.hosts
    return [_figures(share, measured, parts[share.name]) for share in measured.ended.hosts if share.name in parts]


def difference(own: Part, others: Part) -> str:
    """Say how a host's P99 of response time or lag differs from that of the others together; empty if it does not."""
    told = [
        _differs(f"a P99 {name} of", percentile_interval(mine, 99), percentile_interval(theirs, 99), least_ms)
        for name, mine, theirs, least_ms in (
            ("response time", own.times.response, others.times.response, DIFFERENT_MS),
            ("driver lag", own.times.lag, others.times.lag, LAG_FLOOR_MS),
        )
    ]
    return " and ".join(filter(None, told))


def _differs(
    what: str, own: tuple[float | None, float | None], others: tuple[float | None, float | None], least_ms: float
) -> str:
    (low, high), (others_low, others_high) = own, others
    # Of few operations an interval has no upper end, which the one that lies above does not need.
    if _is_above(low, others_high, least_ms):
        return f"{what} {low:.2f} ms or more, the others {others_high:.2f} ms or less"
    if _is_above(others_low, high, least_ms):
        return f"{what} {high:.2f} ms or less, the others {others_low:.2f} ms or more"
    return ""


def _is_above(low: float | None, high: float | None, least_ms: float) -> bool:
    """Tell whether the low end of one interval is above the high end of another by enough."""
    if low is None or high is None:
        return False
    return low - high > max(least_ms, DIFFERENT_SHARE * high)


def _figures(share: HostShare, measured: Measured, own: Part) -> HostFigures:
    others = Part()
    for name, part in measured.totals.hosts.items():
        if name != share.name:
            others.add(part)
    length, times = len(measured.totals.series), own.times
    sent = own.count - own.never_sent
    return HostFigures(
        name=share.name,
        address=share.address,
        cores=share.cores,
        processes=share.processes,
        count=own.count,
        errors=own.errors + own.never_sent,
        driver_cpu_pct=round(share.cpu_pct, 1),
        client_cpu_us=round(1e6 * share.cpu_s / sent, 1) if sent else None,
        response_time_ms=times.response.summary(),
        service_time_ms=times.service.summary(),
        driver_lag_ms=times.lag.summary(),
        offset_s=share.clock.offset_s,
        uncertainty_ms=round(share.clock.uncertainty_ms, 4),
        round_trip_ms=round(share.clock.round_trip_ms, 4),
        drift_ms=None if share.drift_ms is None else round(share.drift_ms, 4),
        differs=difference(own, others),
        time_series=TimeSeries(interval_s=1, **columns_of(measured.totals.host_series[share.name], length)),
        histograms=Histograms(
            response_time=times.response.encode(), service_time=times.service.encode(), driver_lag=times.lag.encode()
        ),
    )
