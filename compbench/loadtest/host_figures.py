"""The figures of each host that sent, and which of them is not like the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compbench.loadtest.engine.confidence import percentile_interval
from compbench.loadtest.engine.histogram import Histogram
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


def difference(own: Part, *others: Part) -> str:
    """Say how a host's response times or lag differ from those of each of the others; empty if they do not.

    It has to lie on the same side of each of them: beside one that is sick the healthy ones differ from that alone.
    """
    if not others:
        return ""
    told = [_response_differs(own, others), _differs("a P99 driver lag of", own, others, 99, _lag_of, LAG_FLOOR_MS)]
    return " and ".join(filter(None, told))


def _response_differs(own: Part, others: Sequence[Part]) -> str:
    """Compare the P99, or the P50 where that tells nothing, as it does of a few hundred operations."""
    told = (
        _differs(f"a P{percent} response time of", own, others, percent, _response_of, DIFFERENT_MS)
        for percent in (99, 50)
    )
    return next(filter(None, told), "")


def _response_of(part: Part) -> Histogram:
    return part.times.response


def _lag_of(part: Part) -> Histogram:
    return part.times.lag


def _differs(
    what: str,
    own: Part,
    others: Sequence[Part],
    percent: int,
    times_of: Callable[[Part], Histogram],
    least_ms: float,
) -> str:
    low, high = percentile_interval(times_of(own), percent)
    lows, highs = zip(*(percentile_interval(times_of(other), percent) for other in others), strict=True)
    others_low, others_high = _if_all_known(min, lows), _if_all_known(max, highs)
    # Of few operations an interval has no upper end, which the one that lies above does not need.
    if low is not None and others_high is not None and _is_above(low, others_high, least_ms):
        return f"{what} {low:.2f} ms or more, the others {others_high:.2f} ms or less"
    if high is not None and others_low is not None and _is_above(others_low, high, least_ms):
        return f"{what} {high:.2f} ms or less, the others {others_low:.2f} ms or more"
    return ""


def _if_all_known(choose: Callable[[list[float]], float], values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return choose(known) if len(known) == len(values) else None


def _is_above(low: float, high: float, least_ms: float) -> bool:
    """Tell whether the low end of one interval is above the high end of another by enough."""
    return low - high > max(least_ms, DIFFERENT_SHARE * high)


def _figures(share: HostShare, measured: Measured, own: Part) -> HostFigures:
    others = [part for name, part in measured.totals.hosts.items() if name != share.name]
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
        differs=difference(own, *others) if others else "",
        time_series=TimeSeries(interval_s=1, **columns_of(measured.totals.host_series[share.name], length)),
        histograms=Histograms(
            response_time=times.response.encode(), service_time=times.service.encode(), driver_lag=times.lag.encode()
        ),
    )
