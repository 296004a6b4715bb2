"""The server of an attempt: started, once more if that failed for now, stopped, and its facts noted on the way."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from compbench.machine import snapshot
from compbench.machine.control_groups import memory_limit_bytes
from compbench.machine.output import Output
from compbench.machine.priority import niceness_of
from compbench.machine.server_metrics import MetricsError, MetricsPage, ask_for_metrics
from compbench.machine.tiers import effective_cpus
from compbench.measuring import modes, server
from compbench.measuring.attempt import Attempt, ScenarioFailed
from compbench.measuring.under_test import StartError, UnderTest
from compbench.model.notices import outcome_of
from compbench.model.partition import cpu_list
from compbench.model.records import ELSEWHERE
from compbench.systems import registry

START_ATTEMPTS = 2


def start_server(attempt: Attempt, work: Path, log: Output, stack: contextlib.ExitStack) -> UnderTest:
    """Start the server and wait until it is ready; a start-up that fails for now is tried again (specification 5)."""
    settings = attempt.settings
    with attempt.phase("start", settings.ready_timeout_s):
        for number in range(1, START_ATTEMPTS + 1):
            with contextlib.ExitStack() as trial:
                try:
                    under_test = trial.enter_context(
                        modes.started_server(settings, work, log, attempt.root, attempt.scenario)
                    )
                    attempt.server = msgspec.structs.replace(
                        attempt.server,
                        argv=under_test.argv,
                        executable=under_test.program,
                        pid=under_test.pid,
                        start_attempts=number,
                    )
                    under_test.wait_until_ready(settings.ready_timeout_s)
                except StartError as error:
                    _refuse_missing_program(attempt)
                    if not error.transient or number == START_ATTEMPTS:
                        raise _start_failure(attempt, error, log) from None
                    attempt.notice("start-retried", problem=error, delay_s=settings.start_retry_delay_s)
                else:
                    stack.push(trial.pop_all())
                    _note_ready(attempt, under_test)
                    return under_test
            attempt.effects.sleep(settings.start_retry_delay_s)
    raise AssertionError("unreachable: the last attempt either returns or raises")


def stop(attempt: Attempt, under_test: UnderTest) -> None:
    """Stop the server, and note how it ended; the phase that failed, if one has, stays the current one."""
    failed_in = attempt.current
    with attempt.phase("stop", under_test.grace_s):
        under_test.stop()
        ended = under_test.exit
        attempt.server = msgspec.structs.replace(
            attempt.server,
            exit_code=ended.code if ended else None,
            signal=ended.signal if ended else None,
            stopped_by=under_test.stopped_by,
            zombie_left=under_test.zombie_left,
            port_freed=under_test.port_freed,
            oom_kills=under_test.oom_kills,
        )
        if under_test.oom_kills and not attempt.server.crashed:
            limit_gb = attempt.settings.memory_limit_gb
            attempt.notice("memory-limit-reached", count=under_test.oom_kills, limit_gb=limit_gb)
        if under_test.stopped_by == "SIGKILL":
            attempt.notice("server-killed", grace_s=under_test.grace_s)
        if under_test.port_freed is False:
            attempt.notice("port-not-freed", port=attempt.settings.port)
        if under_test.left:
            endpoint = registry.server_of(attempt.settings).endpoint
            attempt.notice("data-left", endpoint=endpoint, problem=under_test.left)
        if under_test.argv and (why := attempt.effects.drop_page_cache()):
            attempt.notice("page-cache-kept", why=why)
    if failed_in is not None:
        attempt.current = failed_in


def _refuse_missing_program(attempt: Attempt) -> None:
    """Tell a server that can't be started any more from one that did not start for now.

    Raises:
        ScenarioFailed: its program is not there.
    """
    program = attempt.server.executable
    is_started_here = registry.server_of(attempt.settings).mode == "managed"
    if is_started_here and program and not os.access(program, os.X_OK):
        raise ScenarioFailed(outcome_of("binary-missing", program=program))


def _start_failure(attempt: Attempt, error: StartError, log: Output) -> ScenarioFailed:
    attempt.server = msgspec.structs.replace(
        attempt.server, last_log_lines=server.tail(log.path, server.LAST_LOG_LINES)
    )
    return ScenarioFailed(error.outcome)


def _version_installed(attempt: Attempt) -> str:
    """Return what the programs tell of a server that tells no version while it runs."""
    is_managed = registry.server_of(attempt.settings).mode == "managed"
    return server.version_of(attempt.settings, attempt.root) if is_managed else "not told"


def _note_ready(attempt: Attempt, under_test: UnderTest) -> None:
    half, pid = registry.server_of(attempt.settings), under_test.pid
    attempt.server = msgspec.structs.replace(
        attempt.server,
        pid=pid,
        port=attempt.settings.port if under_test.argv else None,
        version=half.version_told() or _version_installed(attempt),
        limits=under_test.limits,
        ready_after_s=None if under_test.ready_after_s is None else round(under_test.ready_after_s, 3),
        niceness=None if pid is None else niceness_of(pid),
        tier=under_test.tier,
        cpus="" if pid is None else cpu_list(effective_cpus(pid)),
        memory_limit_bytes=None if pid is None else memory_limit_bytes(pid),
        open_files_before=None if pid is None else snapshot.count_open_files(pid),
        memories_before=half.count(),
    )
    if half.mode == ELSEWHERE:
        _find_metrics(attempt, half.metrics())


def _find_metrics(attempt: Attempt, page: MetricsPage | None) -> None:
    """Note whether a server that can't be seen tells of itself, so that it need not be found out beside the load."""
    if page is None:
        attempt.server = msgspec.structs.replace(attempt.server, metrics_problem="no page is known or named")
        return
    try:
        told = ask_for_metrics(page)
    except MetricsError as error:
        attempt.server = msgspec.structs.replace(attempt.server, metrics_problem=f"{page.url}: {error}")
    else:
        remark = page.remark if told.by_own else ""
        attempt.server = msgspec.structs.replace(attempt.server, metrics_from=page.url, metrics_remark=remark)
