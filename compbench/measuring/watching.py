"""Server and machine watched while the driver measures, and right after: samples, stacks, a snapshot."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from compbench.files.whole import write_whole
from compbench.machine import perf, process, snapshot, thresholds
from compbench.machine.output import Output
from compbench.machine.priority import niceness_of
from compbench.machine.probes import machine
from compbench.machine.process import Child
from compbench.machine.real_time import is_real_time
from compbench.machine.sampler import Sampler
from compbench.machine.server_metrics import ANSWER_LIMIT_S, MetricsReader
from compbench.machine.snapshot import OUT_OF_SIGHT
from compbench.machine.tiers import effective_cpus
from compbench.machine.tree_memory import tree_memory_bytes
from compbench.measuring import costing, drivers, server
from compbench.measuring.attempt import MEGABYTE, Attempt
from compbench.measuring.drivers import Job
from compbench.measuring.under_test import UnderTest
from compbench.model.partition import cpu_list
from compbench.store import page_mark
from compbench.systems import registry

_RECORDING = "perf.data"
_RECORDING_LOG = "perf.log"


@contextlib.contextmanager
def watching(
    attempt: Attempt, driver: Child, under_test: UnderTest, job: Job, work: Path
) -> Iterator[tuple[Callable[[float | None], None], Callable[[], None]]]:
    """Yield two functions: one begins to watch, once the driver measures, the other tells warnings so far.

    The first takes for how long the driver has measured by its own word; one that has none may have measured since it
    was started. Samples and warnings are kept in the attempt.
    """
    settings, duration_s = attempt.settings, job.duration_s
    monotonic = attempt.effects.monotonic
    started_at = monotonic()
    metrics = _metrics_reader(attempt)
    sampler = Sampler(under_test.pid, settings.sample_interval_s, metrics=metrics, duration_s=duration_s)
    is_here = not attempt.system_facts.is_elsewhere
    with (
        costing.counting_costs(attempt, driver, under_test, duration_s, work) as window,
        contextlib.ExitStack() as recording,
    ):

        def begin(elapsed_s: float | None) -> None:
            starts_at = started_at if elapsed_s is None else monotonic() - elapsed_s
            _note_open_page(attempt)
            sampler.start(driver_pid=driver.pid)
            window.begin(starts_at)
            own = under_test.pid
            real_time = None if own is None else is_real_time(own)
            attempt.server = msgspec.structs.replace(attempt.server, is_real_time=real_time)
            attempt.driver = msgspec.structs.replace(
                attempt.driver,
                niceness=niceness_of(driver.pid),
                cpus=cpu_list(effective_cpus(driver.pid)),
                is_real_time=is_real_time(driver.pid),
            )
            if settings.flamegraph and duration_s and attempt.measurement.kind == "load":
                if under_test.pid is None:
                    attempt.notice("no-flamegraph", why=OUT_OF_SIGHT)
                elif (why := perf.can_record()) is None:
                    recording.enter_context(_recording_stacks(attempt, under_test, duration_s, work))
                elif perf.is_installed():
                    attempt.notice("no-flamegraph", why=why)

        def tell_news() -> None:
            window.end_in_time()
            attempt.note_samples(sampler.samples())
            attempt.warn(thresholds.notices_so_far(attempt.samples, is_server_here=is_here))

        try:
            yield begin, tell_news
        finally:
            attempt.note_samples(sampler.stop())
            _note_open_page(attempt)
            driver_cores = drivers.cores(settings, attempt.driver_name)
            attempt.warn(thresholds.notices(attempt.samples, driver_cores=driver_cores, is_server_here=is_here))
            if metrics is not None and metrics.lost:
                attempt.notice(
                    "server-metrics-lost",
                    url=metrics.page.url,
                    lost=metrics.lost,
                    asked=metrics.asked,
                    problem=metrics.problem,
                )


def _metrics_reader(attempt: Attempt) -> MetricsReader | None:
    """Return what asks a server elsewhere for its metrics, if it told some when it was first asked."""
    page = registry.server_of(attempt.settings).metrics() if attempt.server.metrics_from else None
    # A sample that waited longer would come after the time of the next one.
    limit_s = min(ANSWER_LIMIT_S, attempt.settings.sample_interval_s / 2)
    return None if page is None else MetricsReader(page, limit_s)


def _note_open_page(attempt: Attempt) -> None:
    """Put it on record that somebody may have looked on: that costs this machine a little."""
    if page_mark.is_page_open(page_mark.mark_path(attempt.root)):
        attempt.notice("page-open")


def note_memory(attempt: Attempt, under_test: UnderTest) -> None:
    """Note what the server's processes occupy, once: outside of the measured time, since telling it costs some.

    It has then read what its searches need, and what processes share that serve connections is counted with them.
    """
    if attempt.data_set is not None and under_test.pid is not None:
        occupied = tree_memory_bytes(under_test.pid)
        attempt.data_set = msgspec.structs.replace(attempt.data_set, memory_bytes=occupied)


def take_snapshot(attempt: Attempt, under_test: UnderTest, work: Path) -> None:
    """Ask the live server and the machine for their diagnostics, and count open files and memories."""
    half = registry.server_of(attempt.settings)
    attempt.server = msgspec.structs.replace(
        attempt.server,
        open_files_after=None if under_test.pid is None else snapshot.count_open_files(under_test.pid),
        memories_after=half.count(),
    )
    script = half.diagnostics()
    attempt.snapshot |= snapshot.read_snapshot(
        under_test.pid,
        half.pages(),
        diagnostics=script and script.path,
        exit_note=script.exit_note if script else "",
        work_dir=work,
    )
    attempt.machine_after = machine.read_stability()


def keep_stacks(attempt: Attempt, work: Path) -> None:
    """Fold the recorded stacks, also if there are none: the picture says so then."""
    log = work / _RECORDING_LOG
    if (work / _RECORDING).exists():
        folded = perf.fold_recording(work / _RECORDING, attempt.server.pid or 0, work)
        write_whole(attempt.partial("stacks"), perf.format_folded(folded))
    elif log.exists():
        attempt.notice("no-flamegraph", why=" ".join(server.tail(log, 3)) or "perf left no recording")


@contextlib.contextmanager
def _recording_stacks(attempt: Attempt, under_test: UnderTest, duration_s: float, work: Path) -> Iterator[None]:
    """Record the server's stacks for a flame graph."""
    assert under_test.pid is not None  # noqa: S101 - of a server out of sight nothing is recorded
    with process.running(
        perf.record_argv(under_test.pid, duration_s, work / _RECORDING, whole_machine=perf.can_record_all()),
        environment=server.child_environment(attempt.root),
        folder=work,
        stdout=Output(work / _RECORDING_LOG, MEGABYTE),
    ):
        yield
