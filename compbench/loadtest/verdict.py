"""The measured run, and its verdict: is it a measurement of the server at all, and are the scenario's targets met."""

from __future__ import annotations

from typing import NamedTuple

from compbench.loadtest.engine.confidence import percentile_interval
from compbench.loadtest.engine.openloop import Ended
from compbench.loadtest.engine.recorder import LATE_S, Part
from compbench.loadtest.engine.totals import Totals
from compbench.model.scenario import Validation

# The LDBC rule: at most one operation in twenty may be sent more than a second late.
LATE_FRACTION_LIMIT = 0.05
# A driver that is late is noise in the response time, but below a millisecond it hardly matters (docs/driver.md).
LAG_FLOOR_MS = 1.0
LAG_SHARE_LIMIT = 0.1
# A driver without a free moment reads answers late, and shows its own limit as the server's.
CPU_LIMIT_PCT = 95.0
# Without anything to send a driver uses less of a core than this.
IDLE_CPU_PCT = 1.0
# A driver at ease spends up to twice as much processor time on a request as a pressed one does, so an estimate of up to
# two cores may still be one core in truth; three can't be.
NEEDED_LIMIT_PCT = 300.0
# That is what waking up for each request takes, up to so much; what goes beyond is the cost of the client itself.
EASE_US = 300.0
# Of fewer than one in ten requests the processor time says little: a driver that waits uses some, too.
TELLING_SHARE = 0.1


class Measured(NamedTuple):
    """The measured part of a run: the operations due in each second, their outcome, and the driver's own use of CPU.

    Every operation that was due is one of completed, failed or never sent. Each of `senders` processes sends the same
    share of them, here or on several hosts.
    """

    duration_s: float
    offered: list[int]
    totals: Totals
    pooled: Part
    ended: Ended
    senders: int = 1

    @property
    def elapsed_s(self) -> float:
        """Return the duration of the schedule, or until the last answer if that came later."""
        return max(float(self.duration_s), self.totals.last_s)

    @property
    def errors(self) -> int:
        """Return how many operations failed or were never sent."""
        return self.pooled.errors + self.pooled.never_sent

    @property
    def completed(self) -> int:
        """Return how many operations succeeded."""
        return self.pooled.count - self.errors

    @property
    def throughput(self) -> float:
        """Return how many operations a second succeeded before the schedule ended."""
        return sum(second.completed for second in self.totals.series[: len(self.offered)]) / self.duration_s

    @property
    def needed_cpu_pct(self) -> float:
        """Return how much of a core each process would have used to send all that was due when it was due.

        The CPU time for one request is the average of those that were sent.
        """
        sent = self.pooled.count - self.pooled.never_sent
        busy_pct = max(0.0, self.ended.cpu_pct - IDLE_CPU_PCT)
        return busy_pct * self.elapsed_s / self.duration_s * self.pooled.count / sent if sent else 0.0

    @property
    def costly_client_pct(self) -> float:
        """Return how much of a core each process would have needed at least for its client's work alone.

        0 where too few requests were sent to tell.
        """
        sent = self.pooled.count - self.pooled.never_sent
        if sent < TELLING_SHARE * self.pooled.count:
            return 0.0
        at_ease_pct = self.pooled.count / self.senders / self.duration_s * EASE_US / 1e4
        return max(0.0, self.needed_cpu_pct - at_ease_pct)

    @property
    def client_cpu_us(self) -> float | None:
        """Return the CPU time of the sending processes for one measured request; None if none was sent."""
        sent = self.pooled.count - self.pooled.never_sent
        return 1e6 * self.ended.cpu_s / sent if sent else None

    @property
    def error_rate(self) -> float:
        """Return the fraction of operations that failed or were never sent."""
        return self.errors / self.pooled.count if self.pooled.count else 0.0

    @property
    def late_fraction(self) -> float:
        """Return the fraction of operations that the driver sent more than a second late."""
        return self.pooled.late / self.pooled.count if self.pooled.count else 0.0


def invalid_reason(measured: Measured) -> str:
    """Say why this is no measurement of the server; empty if it is one."""
    if measured.ended.fault:
        return measured.ended.fault
    if not measured.pooled.count:
        return "no operation was due"
    if measured.errors == measured.pooled.count:
        return "every operation failed"
    return driver_fault(measured)


def driver_fault(measured: Measured) -> str:
    """Say how the driver itself, or one of its hosts, has spoiled the measurement; empty if it has not."""
    return measured.ended.fault or _lateness(measured) or _lack_of_cpu(measured)


def _lateness(measured: Measured) -> str:
    if measured.late_fraction > LATE_FRACTION_LIMIT:
        return f"{measured.late_fraction:.1%} of the operations were sent over {LATE_S:.0f} s late by the driver"
    # Among many hosts, one in a hundred operations may be none of the one that lags.
    lags = [_lag_fault(part, f"host {host}") for host, part in measured.totals.hosts.items()]
    return next(filter(None, [_lag_fault(measured.pooled, "the driver"), *lags]), "")


def _lack_of_cpu(measured: Measured) -> str:
    pooled = measured.pooled
    if measured.ended.cpu_pct > CPU_LIMIT_PCT:
        return (
            f"the driver used {measured.ended.cpu_pct:.0f}% of a core, over {CPU_LIMIT_PCT:.0f}%: the rate is its own"
            " limit, not the server's (more --processes, or a lower rate)"
        )
    if measured.costly_client_pct > CPU_LIMIT_PCT:
        return (
            f"the client's own work on {pooled.count / measured.senders / measured.duration_s:.0f} ops/sec takes"
            f" {measured.costly_client_pct:.0f}% of a core, over {CPU_LIMIT_PCT:.0f}%: answers were read late by the"
            " driver (more --processes, or a lower rate)"
        )
    if pooled.never_sent and measured.needed_cpu_pct > NEEDED_LIMIT_PCT:
        offered = sum(measured.offered) / measured.duration_s
        return (
            f"{offered:.0f} ops/sec are more than the driver can send to any server: it would need"
            f" {measured.needed_cpu_pct:.0f}% of a core (a lower rate, or more --processes)"
        )
    return ""


def _lag_fault(part: Part, who: str) -> str:
    """Say that one who sends was itself late; empty if it was not."""
    # The lower end: of few operations a single late one says nothing about one in a hundred.
    lag_ms = percentile_interval(part.times.lag, 99)[0] or 0.0
    response_ms = part.times.response.percentile_ms(99)
    if lag_ms <= LAG_FLOOR_MS or lag_ms <= LAG_SHARE_LIMIT * response_ms:
        return ""
    return (
        f"{who}'s own lag has a P99 of {lag_ms:.2f}ms or more, over {LAG_FLOOR_MS:.0f}ms and over"
        f" {LAG_SHARE_LIMIT:.0%} of the P99 response time of {response_ms:.2f}ms: {who} lacked CPU time"
    )


def missed_in_words(measured: Measured, targets: Validation) -> list[str]:
    """Return a line for each target of the scenario that was not met."""
    lines = []
    p99_ms = measured.pooled.times.response.percentile_ms(99)
    if targets.expected_p99_latency_ms is not None and p99_ms > targets.expected_p99_latency_ms:
        lines.append(f"P99 latency {p99_ms:.2f}ms exceeds target {targets.expected_p99_latency_ms:.2f}ms")
    expected = targets.expected_throughput_ops_sec
    if expected is not None and measured.throughput < expected:
        lines.append(f"Throughput {measured.throughput:.0f} ops/sec below target {expected:.0f} ops/sec")
    if targets.max_error_rate is not None and measured.error_rate > targets.max_error_rate:
        lines.append(f"Error rate {measured.error_rate:.2%} exceeds maximum {targets.max_error_rate:.2%}")
    return lines
