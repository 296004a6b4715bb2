"""The driver's engine over every transport, against a server of known behaviour; and what must come out, computed."""

from __future__ import annotations

import contextlib
import heapq
import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compbench.loadtest.engine.openloop import Ended
from compbench.loadtest.engine.recorder import Part
from compbench.loadtest.engine.shards import Plan, keep_schedule
from compbench.loadtest.engine.totals import Totals
from compbench.loadtest.verdict import Measured, driver_fault
from compbench.loadtest.workload.arrivals import Schedule
from compbench.loadtest.workload.vector_sets import open_vectors, shape_of
from compbench.loadtest.workload.workload import Workload
from compbench.model.scenario import Constant
from compbench.systems.clients import ServerAddress, open_client, transport_maker
from compbench.systems.milvus.requests import TYPES
from compbench.transport.postgres_messages import message
from tests.helpers import STAND_INS
from tests.load import SEARCHES, scenario

FOUND = list(range(10))
WARM_UP_S = 1.0
_KEYS = b"".join(b"$11\r\ncompbench:%d\r\n" % number for number in FOUND)
_QDRANT_ANSWER = {"result": {"points": [{"id": number, "version": 1, "score": 0.5} for number in FOUND]}, "time": 0.1}
_NEO4J_ANSWER = {"data": {"fields": ["n.id"], "values": [[number] for number in FOUND]}, "bookmarks": ["x" * 90]}
_ROWS = b"".join(message(b"D", struct.pack(">hiq", 1, 8, number)) for number in FOUND)


class Carried(NamedTuple):
    """A transport: a system that is asked over it, what the server speaks, and an answer that holds `FOUND`."""

    system: str
    protocol: str
    scheme: str
    answer: bytes


TRANSPORTS = {
    "HTTP": Carried("qdrant", "http", "http", json.dumps(_QDRANT_ANSWER).encode()),
    "Cypher over HTTP": Carried("neo4j", "http", "http", json.dumps(_NEO4J_ANSWER).encode()),
    "PostgreSQL": Carried("pgvector", "postgresql", "postgresql", _ROWS),
    "RESP": Carried("redis", "resp", "redis", b"*11\r\n:10\r\n" + _KEYS),
    "gRPC": Carried(
        "milvus",
        "grpc",
        "grpc",
        TYPES["SearchResults"](results={"ids": {"int_id": {"data": FOUND}}}).SerializeToString(),
    ),
}


class Known(NamedTuple):
    """What the server does, and what it is asked."""

    delay_ms: float
    rate: int
    seconds: int
    connections: int
    stall_every_s: float = 0.0
    stall_for_s: float = 0.0

    @property
    def schedule(self) -> Schedule:
        """Return when requests are due."""
        return Schedule(Constant(rate=self.rate), 1, WARM_UP_S, self.seconds)

    def expected(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the response and service times in ms, sorted, of a driver and a machine that take no time at all."""
        free = [0.0] * self.connections
        times = []
        for _, due in self.schedule.shard(0, 1):
            sent = max(due, heapq.heappop(free))
            done = self._answered(sent)
            heapq.heappush(free, done)
            if due >= WARM_UP_S:
                times.append((done - due, done - sent))
        response, service = np.sort(1000 * np.array(times), axis=0).T
        return response, service

    def _answered(self, at_s: float) -> float:
        """Return when a request is answered that came then; the first one came at 0."""
        done = at_s + self.delay_ms / 1000
        into = done % self.stall_every_s if self.stall_every_s else self.stall_for_s
        is_stalled = self.stall_every_s and done >= self.stall_every_s and into < self.stall_for_s
        return done + self.stall_for_s - into if is_stalled else done


class Told(NamedTuple):
    """What the engine tells, the first answers that were kept, and why the driver is at fault, if it is."""

    part: Part
    totals: Totals
    ended: Ended
    found: list[list[int]]
    fault: str

    @property
    def cpu_us(self) -> float:
        """Return the driver's processor time for a request."""
        return 1e6 * self.ended.cpu_s / self.part.count


def percentile(times_ms: NDArray[np.float64], percent: float) -> float:
    """Return the time at the percentile's rank, as the histograms choose it."""
    return float(times_ms[max(1, int(percent * len(times_ms) / 100 + 0.5)) - 1])


@contextlib.contextmanager
def known_server(carried: Carried, known: Known) -> Iterator[str]:
    """Run the server; yield its URL."""
    argv = [sys.executable, str(STAND_INS / "known_server.py"), carried.protocol, "--answer", carried.answer.hex()]
    argv += ["--delay-ms", str(known.delay_ms)]
    argv += ["--stall-every-s", str(known.stall_every_s), "--stall-for-s", str(known.stall_for_s)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        port = process.stdout.readline().strip()
        assert port, "the stand-in server did not start"
        try:
            yield f"{carried.scheme}://127.0.0.1:{port}"
        finally:
            process.stdin.close()


def told_of(carried: Carried, known: Known) -> Told:
    """Search with vectors of 768 dimensions, each a real request of the system's client; return what is told of it."""
    made = scenario(SEARCHES)
    shape = shape_of(made, open_vectors(made, made.seed))
    schedule, totals = known.schedule, Totals()
    count = int(known.rate * schedule.end_s)
    with known_server(carried, known) as url:
        address = ServerAddress(url, carried.system)
        client = open_client(address, shape)
        make = partial(
            Workload,
            made,
            made.seed,
            client,
            prepared=made.data.num_nodes,
            count=count,
            warm_up=int(known.rate * WARM_UP_S),
        )
        plan = Plan(transport_maker(address, shape), schedule, known.connections, 1, make)
        workload = make()
        ended = keep_schedule(plan, workload, lambda _: None, lambda second: totals.take(second, second.pooled()))
    part = totals.pooled()
    fault = driver_fault(Measured(known.seconds, schedule.offered()[1], totals, part, ended))
    return Told(part, totals, ended, [client.ids(body) for body in workload.kept.values()], fault)
