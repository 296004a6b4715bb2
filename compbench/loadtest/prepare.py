"""`prepare`: load a scenario's data set, watch whether the server takes it, and say early if it doesn't."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from compbench.errors import UserError
from compbench.loadtest import vectors
from compbench.loadtest.client import Endpoint, Exchange, Pool
from compbench.loadtest.clock import run_in_precise_loop
from compbench.loadtest.operations import PREPARED_PREFIX, space_names, store_request
from compbench.loadtest.progress import Progress
from compbench.loadtest.run import memories_stored
from compbench.scenarios import Scenario

IN_FLIGHT = 16
LOOK_EVERY_S = 1.0
# The rate is that of the last few looks: an insert that grows slower with every memory must be seen.
RATE_WINDOW = 6
RATE_AFTER_S = 5.0
# A server that has kept less than half of so many acknowledged memories drops or merges them.
STORED_AFTER = 200
STORED_SHARE = 0.5


class PrepareOptions(NamedTuple):
    """What the command line asks of `prepare`."""

    scenario: Scenario
    seed: int
    endpoint: Endpoint
    scale: float
    time_limit_s: float


class Prepared(NamedTuple):
    """How loading ended: `stored` is the server's own count (all spaces), None if it gives none."""

    wanted: int
    sent: int
    stored: int | None
    elapsed_s: float
    complete: bool
    note: str


class Look(NamedTuple):
    """What one look at the loading saw."""

    elapsed_s: float
    acknowledged: int
    stored: int | None


def prepare(options: PrepareOptions, progress: Progress) -> Prepared:
    """Load round(num_nodes x scale) memories, at least one, as `node-<i>`; stop early where that can't succeed.

    Raises:
        UserError: the server can't be reached.
    """
    return run_in_precise_loop(_Loading(options, progress).run())


def why_stop(looks: deque[Look], wanted: int, limit_s: float) -> str:
    """Say why going on is useless, judging by the last looks (oldest first); empty to go on."""
    first, last = looks[0], looks[-1]
    stored = last.acknowledged if last.stored is None else last.stored
    if last.acknowledged >= STORED_AFTER and stored < STORED_SHARE * last.acknowledged:
        return _not_kept(stored, last.acknowledged)
    if last.elapsed_s > limit_s:
        return f"{last.acknowledged} of {wanted} memories were in when the time limit of {limit_s:.0f} s was reached"
    gained, took_s = last.acknowledged - first.acknowledged, last.elapsed_s - first.elapsed_s
    if last.elapsed_s < RATE_AFTER_S or took_s <= 0:
        return ""
    rate = gained / took_s
    if last.elapsed_s + (wanted - last.acknowledged) / max(rate, 1e-9) > limit_s:
        needed = f"another {(wanted - last.acknowledged) / rate:.0f} s" if rate else "forever"
        return (
            f"at {rate:.0f} memories/s the rest of {wanted} takes {needed}, over the time limit of {limit_s:.0f} s:"
            " lower --scale or raise --time-limit"
        )
    return ""


def _not_kept(stored: int, acknowledged: int) -> str:
    return f"the server keeps {stored} of {acknowledged} acknowledged memories: it merges similar ones, or evicts"


class _Loading:
    """Keeps a fixed number of inserts in flight until all are acknowledged, or something says stop."""

    def __init__(self, options: PrepareOptions, progress: Progress) -> None:
        self._options, self._progress = options, progress
        self._wanted = vectors.prepared_count(options.scenario.data, options.scale)
        self._requests = self._build()
        self._sent = self._acknowledged = 0
        self._note = ""
        self._ended = asyncio.Event()

    async def run(self) -> Prepared:
        pool = Pool(self._options.endpoint, IN_FLIGHT + 1)  # one more for the questions about its count
        await pool.open()
        began = time.monotonic()
        for _ in range(IN_FLIGHT):
            self._send_next(pool)
        await self._watch(pool, began)
        stored = await self._stored(pool)
        pool.close()
        if not self._note and stored is not None and stored < self._wanted:
            self._note = _not_kept(stored, self._wanted)
        elapsed_s = round(time.monotonic() - began, 3)
        return Prepared(self._wanted, self._sent, stored, elapsed_s, not self._note, self._note)

    def _build(self) -> Iterator[bytes]:
        data = self._options.scenario.data
        names = space_names(data.memory_spaces)
        for first, chunk in vectors.prepared_vectors(data, self._wanted, self._options.seed):
            for number, vector in enumerate(chunk, first):
                space = names[number % len(names)]
                yield store_request(self._options.endpoint, f"{PREPARED_PREFIX}{number}", vector, space)

    def _send_next(self, pool: Pool) -> None:
        payload = next(self._requests, None)
        if payload is None or self._note:
            return

        def done(exchange: Exchange) -> None:
            if exchange.failed:
                self._note = self._note or f"{PREPARED_PREFIX}{exchange.index} was refused: {exchange.explain()}"
            else:
                self._acknowledged += 1
            if self._note or self._acknowledged == self._wanted:
                self._ended.set()
            self._send_next(pool)

        exchange = Exchange(self._sent, time.monotonic(), payload, done)
        self._sent += 1
        pool.submit(exchange)

    async def _watch(self, pool: Pool, began: float) -> None:
        looks: deque[Look] = deque([Look(0.0, 0, None)], maxlen=RATE_WINDOW)
        while not self._ended.is_set():
            try:
                await asyncio.wait_for(self._ended.wait(), LOOK_EVERY_S)
            except TimeoutError:
                pool.expire()
            stored = await self._stored(pool)
            looks.append(Look(time.monotonic() - began, self._acknowledged, stored))
            self._report(looks[-1])
            if not self._ended.is_set() and (reason := why_stop(looks, self._wanted, self._options.time_limit_s)):
                self._note = reason
                self._ended.set()

    async def _stored(self, pool: Pool) -> int | None:
        """Return the server's count; a server that is gone is a reason to stop, with what was loaded till then."""
        try:
            return await memories_stored(pool, self._options.endpoint)
        except UserError as error:
            self._note = self._note or str(error)
            self._ended.set()
            return None

    def _report(self, look: Look) -> None:
        self._progress.write(
            "prepare",
            elapsed_s=look.elapsed_s,
            total_s=None,
            offered_ops_s=None,
            operations=look.acknowledged,
            errors=0,
            wanted=self._wanted,
        )
