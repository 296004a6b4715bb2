"""What perf counts of processes: its output read, and real processes counted where perf may count."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from compbench.machine import perf_counts
from compbench.machine.perf_counts import Counting
from compbench.machine.perf_lines import EVENTS, PerfCounts, parse_counts
from compbench.machine.probes.process_tree import tree_pids

# Written by perf 6.1 in a virtual machine without counters, as root, of a process that ran and of one that slept.
IN_A_MACHINE_WITHOUT_COUNTERS = """\
# started on Fri Nov 27 08:44:36 2026

<not supported>;;cycles;0;100.00;;
<not supported>;;instructions;0;100.00;;
1576;;context-switches;26171205;100.00;;
2;;cpu-migrations;26171205;100.00;;
455;;page-faults;26171205;100.00;;
"""
OF_A_SLEEPER = """\
<not supported>;;cycles;0;100.00;;
<not supported>;;instructions;0;100.00;;
<not counted>;;context-switches;0;100.00;;
<not counted>;;cpu-migrations;0;100.00;;
<not counted>;;page-faults;0;100.00;;
"""
# There, by a user who may not look into the kernel: the process did switch, as it slept three times.
BY_AN_ORDINARY_USER = """\
<not supported>;;cycles:u;0;100.00;;
<not supported>;;instructions:u;0;100.00;;
0;;context-switches:u;4286744;100.00;;
0;;cpu-migrations:u;4286744;100.00;;
276;;page-faults:u;4286744;100.00;;
"""
# In the form that perf-stat(1) describes for a machine that has counters; the numbers are made up.
WITH_COUNTERS = """\
1000000;;cycles;500000;100.00;2.0;GHz
1420000;;instructions;500000;100.00;1.42;insn per cycle
3;;context-switches;500000;100.00;6.0;K/sec
0;;cpu-migrations;500000;100.00;0.0;/sec
41;;page-faults;500000;100.00;82.0;K/sec
"""


def test_a_machine_with_counters_gives_them_all_and_a_true_0_stays_one() -> None:
    found = parse_counts(WITH_COUNTERS)
    assert found.counts == dict(zip(EVENTS, (1_000_000, 1_420_000, 3, 0, 41), strict=True))
    assert (found.why_not, found.share_pct, found.is_user_only) == ({}, 100.0, False)


def test_what_perf_does_not_support_or_has_not_counted_has_a_reason_and_is_never_0() -> None:
    found = parse_counts(IN_A_MACHINE_WITHOUT_COUNTERS)
    assert found.counts == {"context-switches": 1576, "cpu-migrations": 2, "page-faults": 455}
    assert set(found.why_not) == {"cycles", "instructions"}
    assert "virtual machines" in found.why_not["cycles"]
    asleep = parse_counts(OF_A_SLEEPER)
    assert asleep.counts == {}
    assert "no part of it run" in asleep.why_not["context-switches"]
    assert set(parse_counts("perf: no such event\n").why_not) == set(EVENTS)


def test_the_0_switches_that_are_counted_in_user_space_alone_are_no_count() -> None:
    found = parse_counts(BY_AN_ORDINARY_USER)
    assert found.counts == {"page-faults": 276}
    assert "perf_event_paranoid" in found.why_not["context-switches"]
    assert parse_counts(WITH_COUNTERS.replace(";500000", ":u;500000")).is_user_only


def test_counters_that_were_shared_are_scaled_up_and_that_is_told() -> None:
    found = parse_counts(WITH_COUNTERS.replace("instructions;500000;100.00", "instructions;250000;50.00"))
    assert (found.counts["instructions"], found.share_pct) == (2_840_000, 50.0)


@pytest.mark.parametrize("modifier", ["", "u"])
def test_two_kinds_of_core_are_added_up_unscaled(modifier: str) -> None:
    """Their counters run in turn, as the process moves, and so for all of the time together."""
    lines = "600;;cpu_core/cycles/{0};6;60.00;;\n400;;cpu_atom/cycles/{0};4;40.00;;\n"
    found = parse_counts(lines.format(modifier))
    assert (found.counts, found.share_pct, found.is_user_only) == ({"cycles": 1000}, 100.0, modifier == "u")
    one = parse_counts("600;;cpu_core/cycles/;6;100.00;;\n<not counted>;;cpu_atom/cycles/;0;0.00;;\n")
    assert one.counts == {"cycles": 600}


# Sleeps a little a thousand times, in itself, in a child that was there before and in a thread and a child that come
# while it is counted.
BUSY = """
import subprocess, sys, threading, time
def rest(): [time.sleep(0.001) for _ in range(300)]
words = [sys.executable, "-S", "-c", "import time; input(); [time.sleep(0.001) for _ in range(300)]"]
early = subprocess.Popen(words, stdin=subprocess.PIPE)
print("ready", flush=True)
input()
early.communicate(b"go\\n")
thread = threading.Thread(target=rest); thread.start()
late = subprocess.Popen(words, stdin=subprocess.PIPE)
late.communicate(b"go\\n"); thread.join()
print("done", flush=True)
input()
"""


@pytest.mark.process
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="perf counts on Linux only")
def test_processes_are_counted_with_those_that_come_later_and_only_between_on_and_off(tmp_path: Path) -> None:
    trial = perf_counts.trial_counts()
    if "context-switches" in trial.why_not:
        pytest.skip(trial.why_not["context-switches"])
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-S", "-c", BUSY], text=True, **pipes) as busy:  # type: ignore[call-overload]
        try:
            assert busy.stdout.readline() == "ready\n"
            with perf_counts.counting("busy", lambda: tree_pids(busy.pid), tmp_path, os.environ) as counter:
                assert isinstance(counter, Counting), counter
                assert counter.on()
                busy.stdin.write("go\n")
                busy.stdin.flush()
                assert busy.stdout.readline() == "done\n"
                assert counter.off()
            counted = counter.counts
            assert counted.counts["context-switches"] >= 900, counted
            assert counted.counts["page-faults"] > 0
            with perf_counts.counting("idle", lambda: tree_pids(busy.pid), tmp_path, os.environ) as idle:
                assert isinstance(idle, Counting), idle
                assert idle.on()
                assert idle.off()
                time.sleep(0.05)
            assert idle.counts.counts.get("context-switches", 0) < 100
        finally:
            busy.kill()


@pytest.mark.process
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="perf counts on Linux only")
@pytest.mark.parametrize(
    ("script", "why"),
    [
        (
            "echo 'Error:'; echo 'No permission to count.'; exit 255",
            "perf may not count here (No permission to count): see the kernel setting kernel.perf_event_paranoid",
        ),
        (
            "echo ' Error: unknown option `control'\"'\"; exit 129",
            "perf can't count here: Error: unknown option `control'",
        ),
        ("exit 3", "perf can't count here: it said nothing"),
        ("exec sleep 60", "perf did not answer within 0.5 s"),
    ],
)
def test_a_perf_that_does_not_count_says_what_was_wrong_and_blames_the_kernels_setting_for_its_own_part_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    monkeypatch.setattr(perf_counts, "_ANSWER_S", 0.5)
    (tmp_path / "perf").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "perf").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with perf_counts.counting("x", lambda: [os.getpid()], tmp_path, os.environ) as counter:
        assert counter == why


def test_without_perf_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    whys = ("perf is not installed", f"perf counts on Linux only, this is {sys.platform}")
    assert perf_counts.cannot_count() in whys
    with perf_counts.counting("x", lambda: [1], tmp_path, os.environ) as counter:
        assert counter in whys
    assert perf_counts.trial_counts() == PerfCounts(why_not=dict.fromkeys(EVENTS, perf_counts.cannot_count()))
