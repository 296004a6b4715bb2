"""The thread that watches a measurement: machine, server and driver, on a schedule that neither drifts nor bunches.

Takes readings and turns each pair into a sample; `compbench.machine.thresholds` judges them.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Self

import msgspec
import psutil

from compbench.machine.probes.counters import MachineCounters, read_machine_counters
from compbench.machine.probes.process_counters import ProcessCounters, read_process_counters
from compbench.machine.probes.told_counters import ToldCounters
from compbench.machine.sampling import Reading, interval
from compbench.machine.server_metrics import MetricsReader
from compbench.model.sample import Sample


class Sampler:
    """A thread that takes a sample at every multiple of `interval_s` after `start`, until `stop`.

    A late sample (the machine slept, or was overloaded) covers the time since the one before; boundaries that have
    passed meanwhile, or are nearer than half an interval, are skipped. `stop` takes one last sample if a boundary was
    less than half an interval away, so that 60 s at 5 s give 12 samples, whether they took 59.9 or 60.1 s.

    Args:
        server_pid: the server; its descendants are counted with it. None if it can't be seen from here.
        interval_s: the distance of the samples.
        metrics: asks a server for its own metrics that can't be seen from here; None if it has none.
        duration_s: how long the measurement is meant to take; no last sample is added beyond it.
        on_sample: called in the sampler's thread after each sample, as for live warnings.
        clock: a monotonic clock in seconds.
        wait: waits so many seconds of that clock, or until `stop`; returns whether it was `stop`.
        read_machine: takes one reading of the machine's counters.
        read_process: takes one reading of a process and its descendants.
    """

    def __init__(
        self,
        server_pid: int | None,
        interval_s: float,
        *,
        metrics: MetricsReader | None = None,
        duration_s: float | None = None,
        on_sample: Callable[[Sample], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
        read_machine: Callable[[], MachineCounters] = read_machine_counters,
        read_process: Callable[[psutil.Process], ProcessCounters | None] = read_process_counters,
    ) -> None:
        self._server = _process(server_pid)
        self._driver: psutil.Process | None = None
        self._metrics = metrics
        self._interval_s, self._duration_s = interval_s, duration_s
        self._on_sample, self._clock = on_sample, clock
        self._read_machine, self._read_process = read_machine, read_process
        self._samples: list[Sample] = []
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._wait = wait or self._ending.wait
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, driver_pid: int | None = None) -> None:
        """Take the first reading, from which the time counts, and begin to sample.

        The server's own metrics of that moment are waited for by the thread, since the caller has no time to lose.
        """
        self._driver = _process(driver_pid)
        self._started_s = self._clock()
        self._last = self._read()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def stop(self) -> list[Sample]:
        """End sampling, with a last sample if one is due; return all samples. Does nothing if not running.

        Raises:
            Exception: the one that ended the sampler's thread early: a bug, or a broken callback.
        """
        if self._thread is None:
            return self.samples()
        self._ending.set()
        self._thread.join()
        self._thread = None
        if self._failure is not None:
            raise self._failure
        awaited = next_boundary(self._last.elapsed_s, self._interval_s)
        reached = next_boundary(self._clock() - self._started_s, self._interval_s) > awaited
        if reached and (self._duration_s is None or awaited * self._interval_s <= self._duration_s):
            self._take()
        return self.samples()

    def samples(self) -> list[Sample]:
        """Return the samples so far; safe to call from any thread."""
        with self._lock:
            return list(self._samples)

    def _run(self) -> None:
        try:
            self._last = msgspec.structs.replace(self._last, server=self._last.server or self._told())
            while not self._wait(self._time_to_wait_s()):
                self._take()
        except BaseException as error:  # noqa: BLE001 - `stop` raises it again, in the thread that can act on it
            self._failure = error

    def _time_to_wait_s(self) -> float:
        due_s = self._started_s + next_boundary(self._last.elapsed_s, self._interval_s) * self._interval_s
        return max(0.0, due_s - self._clock())

    def _take(self) -> None:
        reading = self._read()
        reading = msgspec.structs.replace(reading, server=reading.server or self._told())
        sample = interval(self._last, reading)
        self._last = reading
        with self._lock:
            self._samples.append(sample)
        if self._on_sample is not None:
            self._on_sample(sample)

    def _told(self) -> ToldCounters | None:
        """Return what the server tells of itself, once everything else has been read."""
        return None if self._metrics is None else self._metrics.end()

    def _read(self) -> Reading:
        if self._metrics is not None:
            self._metrics.begin()
        return Reading(
            elapsed_s=self._clock() - self._started_s,
            machine=self._read_machine(),
            server=self._read_if_there(self._server),
            driver=self._read_if_there(self._driver),
        )

    def _read_if_there(self, process: psutil.Process | None) -> ProcessCounters | None:
        return None if process is None else self._read_process(process)


def next_boundary(elapsed_s: float, interval_s: float) -> int:
    """Return the number of the first boundary that is more than half an interval after `elapsed_s`."""
    return math.floor(elapsed_s / interval_s + 0.5) + 1


def _process(pid: int | None) -> psutil.Process | None:
    """Return a handle that stays with this very process, even if its number is given to another one later."""
    try:
        return None if pid is None else psutil.Process(pid)
    except psutil.Error:
        return None
