"""What a load costs the machine: perf's word first, else that of /proc, each gap with its reason; a real window."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from compbench.machine.perf_counts import Counting
from compbench.machine.perf_lines import EVENTS, PerfCounts, none_counted, parse_counts
from compbench.machine.probes.task_counts import Rises
from compbench.measuring.costing import Counted, LoadTime, costs_of, counting_costs, not_counted
from compbench.model.costs import COUNTS
from compbench.systems.registry import load_settings
from tests.machine.test_perf_counts import BY_AN_ORDINARY_USER, WITH_COUNTERS
from tests.measuring.test_watching import begun

RISES = Rises(voluntary=90, involuntary=10, migrations=3, page_faults=200, ended=2)


def test_perfs_counts_go_first_and_proc_tells_which_switches_were_involuntary() -> None:
    found = costs_of(PerfCounts(counts=dict(zip(EVENTS, (10, 20, 30, 4, 5), strict=True)), share_pct=100.0), RISES, 9.5)
    assert (found.cycles, found.instructions, found.context_switches, found.migrations) == (10, 20, 30, 4)
    assert (found.voluntary_switches, found.involuntary_switches, found.page_faults) == (90, 10, 5)
    assert (found.source, found.why_not, found.counted_s) == ("perf stat", {}, 9.5)


def test_without_perf_proc_tells_what_it_has_and_the_rest_has_its_reason() -> None:
    found = costs_of(none_counted("perf is not installed"), RISES, 9.5)
    assert (found.context_switches, found.migrations, found.page_faults, found.ended_threads) == (100, 3, 200, 2)
    assert found.source == "/proc for context switches, migrations, page faults"
    assert found.why_not == dict.fromkeys(("cycles", "instructions"), "perf is not installed")


def test_the_0_switches_of_a_user_who_may_not_look_into_the_kernel_are_replaced_by_those_of_proc() -> None:
    found = costs_of(parse_counts(BY_AN_ORDINARY_USER), RISES, 9.5)
    assert (found.context_switches, found.migrations, found.page_faults) == (100, 3, 276)
    assert found.source == "perf stat; /proc for context switches, migrations"
    assert set(found.why_not) == {"cycles", "instructions"}


@pytest.mark.parametrize("rises", [Rises(), Rises(voluntary=1, involuntary=0)])
@pytest.mark.parametrize("counted", [parse_counts("1;;cycles;1;100.00;;\n"), none_counted("no")])
def test_each_count_is_there_or_has_its_reason(rises: Rises, counted: PerfCounts) -> None:
    found = costs_of(counted, rises, 1.0)
    for name in COUNTS:
        assert (getattr(found, name) is None) == bool(found.why_not.get(name)), name
    assert set(not_counted("why").why_not) == set(COUNTS)


@pytest.mark.process
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts are read on Linux only")
def test_server_and_driver_are_counted_for_the_time_that_is_measured_and_no_longer(tmp_path: Path) -> None:
    attempt = begun(load_settings(tmp_path, {}, {"system": "embedded"}), tmp_path)
    code = "import time\nwhile True: time.sleep(0.001)"
    processes = [subprocess.Popen([sys.executable, "-S", "-c", code]) for _ in range(2)]
    try:
        server, driver = (cast("Any", SimpleNamespace(pid=process.pid)) for process in processes)
        with counting_costs(attempt, driver, server, 1.5, tmp_path) as window:
            time.sleep(0.3)
            began = time.monotonic()
            window.begin(began)
            while time.monotonic() - began < 1.6:
                time.sleep(0.05)
                window.end_in_time()
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for costs in (attempt.server.costs, attempt.driver.costs):
        assert costs is not None
        assert costs.counted_s is not None
        assert 0.5 <= costs.counted_s <= 1.5, "it ends half a second before the schedule does"
        assert costs.context_switches is not None
        assert 100 < costs.context_switches <= 1100 * costs.counted_s, "what comes before and after is left out"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts are read on Linux only")
@pytest.mark.parametrize(
    ("begun_after_s", "ended_after_s", "why"),
    [
        (0.3, 9.6, ""),
        (3.0, 9.6, "counting began 3.0 s late"),
        (0.3, 12.0, "counting ended 2.0 s after the load"),
    ],
)
def test_the_drivers_schedule_bounds_what_counts_and_what_is_not_of_it_is_no_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun_after_s: float, ended_after_s: float, why: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no perf there: /proc alone is read
    attempt, now = begun(load_settings(tmp_path, {}, {"system": "embedded"}), tmp_path), [100.0]
    attempt.effects = dataclasses.replace(attempt.effects, monotonic=lambda: now[0])
    this = cast("Any", SimpleNamespace(pid=os.getpid()))
    with counting_costs(attempt, this, this, 10.0, tmp_path) as window:
        now[0] = 100.0 + begun_after_s
        window.begin(100.0)
        for after_s in (9.4, ended_after_s, 20.0):
            now[0] = 100.0 + after_s
            window.end_in_time()
    for costs in (attempt.server.costs, attempt.driver.costs):
        assert costs is not None
        assert costs.counted_s == (None if why else 9.3)
        assert costs.context_switches is None if why else costs.context_switches is not None
        assert costs.why_not["cycles"] == (why or "perf is not installed")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts are read on Linux only")
@pytest.mark.parametrize("late", ["on", "off"])
def test_a_perf_that_answers_late_has_counted_something_else_and_proc_is_asked(tmp_path: Path, late: str) -> None:
    now, load = [100.2], LoadTime(100.0, 110.0)

    def obeys(word: str, takes_s: float) -> bool:
        now[0] += takes_s if word == late else 0.0
        return True

    perf = object.__new__(Counting)
    perf.counts = parse_counts(WITH_COUNTERS)
    perf.on, perf.off = (lambda: obeys("on", 2.5)), (lambda: obeys("off", 0.6))  # type: ignore[method-assign]
    one = Counted(os.getpid(), perf, lambda: now[0])
    one.look()
    one.on()
    now[0] = 109.5
    one.off()
    now[0] = 109.9
    one.look_again()
    costs = one.costs(load)
    assert costs.cycles is None
    assert (
        costs.why_not["cycles"]
        == {"on": "counting began 2.7 s late", "off": "counting ended 0.1 s after the load"}[late]
    )
    assert costs.context_switches is not None
    assert (costs.counted_s, costs.source.partition(" ")[0]) == (9.7, "/proc")


def test_a_server_out_of_sight_and_counters_that_are_off_say_so(tmp_path: Path) -> None:
    driver, server = cast("Any", SimpleNamespace(pid=None)), cast("Any", SimpleNamespace(pid=None))
    attempt = begun(load_settings(tmp_path, {}, {"system": "embedded", "counters": "false"}), tmp_path)
    with counting_costs(attempt, driver, server, 10.0, tmp_path) as window:
        window.begin(time.monotonic())
        window.end_in_time()
    assert attempt.server.costs == attempt.driver.costs == not_counted("counters = false")
    attempt = begun(load_settings(tmp_path, {}, {"system": "embedded"}), tmp_path)
    with counting_costs(attempt, driver, server, None, tmp_path):
        pass
    assert attempt.server.costs is None, "a search for a capacity has no rate that a count could be of"
