"""Each second of measuring, told in the progress file as soon as it is over."""

from __future__ import annotations

import time
from collections.abc import Sequence

from compbench.loadtest.engine.totals import Second
from compbench.loadtest.progress import Progress
from compbench.model.events import SecondMeasured


class SecondTeller:
    """Tells the seconds of a run, or of one trial of a search for a capacity.

    Args:
        progress: where they are told.
        offered: how many operations are due in each second; in the seconds after these, the drain's, none are.
        rate_ops_s: the rate that is tried, in a search for a capacity.
    """

    def __init__(self, progress: Progress, offered: Sequence[int], rate_ops_s: float | None = None) -> None:
        self._progress, self._offered, self._rate = progress, offered, rate_ops_s

    def tell(self, number: int, second: Second) -> None:
        """Tell a second that is over; `number` counts from the start of measuring."""
        told = SecondMeasured(
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
            rate_ops_s=self._rate,
        )
        self._progress.write_second(told)
