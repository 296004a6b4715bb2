"""Recall while it is measured, for the eye: a few answers of each second are judged as soon as they are there.

The report's recall is computed after the run, from all kept answers (`recall.check`), and nothing here enters it.

To judge an answer takes some 30 us (25 us of NumPy, and 1 to 7 us to read it, of each system's client), with up to
0.2 ms seen where another program took the core meanwhile. Each is a step of its own between sending and receiving. So
that no figure changes, the processor time of a request in particular, one in a hundred requests pays for one at most:
0.3 us of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from compbench.loadtest.truth import ground_truth
from compbench.loadtest.truth.answers import NotCheckableError, numbers_in
from compbench.loadtest.truth.nearest import Truth
from compbench.loadtest.truth.recall import share_of
from compbench.loadtest.workload.operations import SEARCH_LIMITS
from compbench.loadtest.workload.workload import Query, Workload
from compbench.model.errors import UserError
from compbench.systems.api import NO_THRESHOLD

_MOST_A_SECOND = 10
_REQUESTS_FOR_ONE = 100


class RecallSoFar:
    """The mean recall of the answers judged so far; `mean` is None until there is one, or where it can't be told."""

    def __init__(self, workload: Workload, truth: Truth) -> None:
        self._workload, self._truth = workload, truth
        self._sum, self._allowed = 0.0, 0.0
        self._seen = 0
        self._can_be_told = True
        self.checked = 0
        # What NumPy does for the first time takes 8 ms: now, before anything is measured.
        right = [number for number in truth.numbers[0].tolist() if number >= 0]
        share_of(truth, Query(0, SEARCH_LIMITS[1], NO_THRESHOLD), right, workload.prepared)

    @property
    def mean(self) -> float | None:
        """Return the mean recall of the `checked` answers."""
        return self._sum / self.checked if self.checked and self._can_be_told else None

    def take(self, ended: int) -> Iterator[None]:
        """Judge some of the answers of a second in which so many operations ended, one a step.

        The newest ones, since what they are judged by, the numbers drawn for their requests, is still in memory.
        """
        kept = self._workload.kept
        self._allowed = min(_MOST_A_SECOND, self._allowed + ended / _REQUESTS_FOR_ONE)
        newest = list(islice(reversed(kept), min(len(kept) - self._seen, int(self._allowed))))
        self._seen = len(kept)
        self._allowed -= len(newest)
        for index in newest:
            yield
            self._judge(index, kept[index])

    def _judge(self, index: int, body: bytes) -> None:
        try:
            numbers = numbers_in(self._workload.client, body)
            share = share_of(self._truth, self._workload.query(index), numbers, self._workload.prepared)
        except NotCheckableError:  # after the run this is the reason why recall can't be told
            self._can_be_told = False
            return
        if share is not None:
            self._sum += share
            self.checked += 1


def recall_so_far(workload: Workload, cache: Path) -> RecallSoFar | None:
    """Return what judges a workload's answers meanwhile; None where the exact neighbours are not in the cache."""
    if workload.traverses:
        return None
    try:
        path = ground_truth.path_of(cache, workload.scenario, workload.prepared, workload.data_seed)
    except UserError:  # a file of the set can't be read: after the run that is told, and costs no measurement
        return None
    truth = ground_truth.load(path)
    return None if truth is None else RecallSoFar(workload, truth)
