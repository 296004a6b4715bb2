"""Each second of measuring, told in the progress file as soon as it is over."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from compbench.loadtest.engine.totals import Second
from compbench.loadtest.progress import Progress
from compbench.loadtest.truth.recall_so_far import RecallSoFar
from compbench.model.events import HostSecond, SecondMeasured


class SecondTeller:
    """Tells the seconds of a run, or of one trial of a search for a capacity.

    Args:
        progress: where they are told.
        offered: how many operations are due in each second; in the seconds after these, the drain's, none are.
        rate_ops_s: the rate that is tried, in a search for a capacity.
        known: judges answers meanwhile, where that can be done.
    """

    def __init__(
        self,
        progress: Progress,
        offered: Sequence[int],
        rate_ops_s: float | None = None,
        known: RecallSoFar | None = None,
    ) -> None:
        self._progress, self._offered, self._rate, self._known = progress, offered, rate_ops_s, known

    def take(self, number: int, second: Second, hosts: Mapping[str, Second]) -> Iterator[None]:
        """Tell a second that is over, and each host's own where several send, in steps of a fraction of a millisecond.

        `number` counts from the start of measuring; those of a warm-up, which are below 0, are not told.
        """
        if number < 0:
            return
        if self._known is not None:
            yield from self._known.take(second.completed + second.errors)
        yield
        self._progress.write_second(self._told(number, second, hosts))
        yield

    def _told(self, number: int, second: Second, hosts: Mapping[str, Second]) -> SecondMeasured:
        mean = None if self._known is None else self._known.mean
        return SecondMeasured(
            at=time.time(),
            second=number,
            offered=self._offered[number] if number < len(self._offered) else 0,
            completed=second.completed,
            errors=second.errors,
            p50_ms=second.response_p50_ms,
            p95_ms=second.response_p95_ms,
            p99_ms=second.response_p99_ms,
            max_ms=second.response_max_ms,
            lag_p99_ms=second.lag_p99_ms,
            recall=None if mean is None else round(mean, 4),
            checked=0 if mean is None or self._known is None else self._known.checked,
            rate_ops_s=self._rate,
            hosts={name: _of_host(own) for name, own in hosts.items()},
        )


def _of_host(own: Second) -> HostSecond:
    return HostSecond(
        completed=own.completed,
        errors=own.errors,
        p50_ms=own.response_p50_ms,
        p99_ms=own.response_p99_ms,
        lag_p99_ms=own.lag_p99_ms,
    )
