"""The floor: what protocol and client cost by themselves, measured after a run with the smallest request there is.

A system of a costly protocol, or with a costly client, answers slowly however fast its index is. So that a reader can
tell the two apart, the smallest request that the server answers is sent once more at the scenario's mean rate, by the
same engine, over as many connections of the same transport, from as many processes. The measured figures are complete
by then, and nothing of this enters them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from compbench.loadtest import verdict
from compbench.loadtest.engine.openloop import NO_ANSWER, Ended
from compbench.loadtest.engine.recorder import Interval, Part
from compbench.loadtest.engine.shards import Plan
from compbench.loadtest.engine.totals import Totals
from compbench.loadtest.workload.arrivals import Schedule
from compbench.model.errors import UserError
from compbench.model.result import Floor
from compbench.model.scenario import Arrival, Constant, mean_rate
from compbench.systems.clients import ServerAddress, open_client, transport_maker

if TYPE_CHECKING:
    from compbench.systems.api import Shape

# A tenth of the measured time, within these: at 1000 requests a second the longest has 2000, whose P99 is that of 20.
SHORTEST_S, LONGEST_S = 0.5, 2.0
# The first request of each connection finds nothing warm.
WARM_UP_S = 0.25


class FloorOptions(NamedTuple):
    """How the smallest requests are sent: where to, the shape of the data, and all else as in the run before."""

    address: ServerAddress
    shape: Shape
    arrival: Arrival
    connections: int
    processes: int
    run_s: float


class FloorRequests:
    """The smallest request of a system, again and again."""

    def __init__(self, address: ServerAddress, shape: Shape) -> None:
        self._call = open_client(address, shape).floor()

    def build(self, _index: int, /) -> Any:
        """Return the request."""
        return self._call

    def operation(self, _index: int, /) -> int:
        """Return the only kind that there is."""
        return 0

    def keeps(self, _index: int, /) -> bool:
        """Tell that no answer is wanted."""
        return False

    def answered(self, _index: int, _body: bytes, /) -> None:
        """Take no answer."""

    def digest(self) -> str:
        """Return nothing: it is no part of the work that a run's digest is about."""
        return ""


def measure_floor(options: FloorOptions, run: verdict.Measured, keep: Callable[..., Ended]) -> Floor:
    """Send the smallest request for a moment, by the function that has kept the run's schedule.

    Raises:
        UserError: it can't be told; says why.
    """
    if run.ended.fault:
        raise UserError("a host is missing")
    if run.pooled.never_sent or run.totals.reasons[NO_ANSWER]:
        raise UserError("the server was still at work on the run's requests")
    duration_s = min(LONGEST_S, max(SHORTEST_S, options.run_s / 10))
    # Requests at equal distances draw nothing, so that any seed is the same.
    schedule = Schedule(Constant(rate=mean_rate(options.arrival)), 0, WARM_UP_S, duration_s)
    make = partial(FloorRequests, options.address, options.shape)
    plan = Plan(transport_maker(options.address, options.shape), schedule, options.connections, options.processes, make)
    totals = Totals()

    def take(interval: Interval) -> Iterator[None]:
        yield from totals.take(interval, interval.pooled())

    ended = keep(plan, make(), lambda _in_s: None, take)
    return _floor_of(
        verdict.Measured(duration_s, schedule.offered()[1], totals, totals.pooled(), ended, options.processes)
    )


def _floor_of(measured: verdict.Measured) -> Floor:
    if measured.errors:
        reasons = ", ".join(problem for problem, _ in measured.totals.reasons.most_common(2))
        raise UserError(f"{measured.errors} of {measured.pooled.count} of the smallest requests failed ({reasons})")
    if reason := verdict.invalid_reason(measured):
        raise UserError(reason)
    response = measured.pooled.times.response
    return Floor(
        count=measured.pooled.count,
        p50_ms=response.percentile_ms(50),
        p99_ms=response.percentile_ms(99),
        client_cpu_us=round(measured.client_cpu_us or 0.0, 1),
        hosts={name: _p50_p99_ms(part) for name, part in measured.totals.hosts.items()},
    )


def _p50_p99_ms(part: Part) -> tuple[float, float]:
    return part.times.response.percentile_ms(50), part.times.response.percentile_ms(99)
