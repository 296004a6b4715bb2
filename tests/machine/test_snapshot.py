"""Snapshots of live processes, the kernel's log, and Engram's own diagnostics script with its quirks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from compbench.machine import snapshot
from tests.project import eventually, is_running

NOTE = "it always says so"
PAGES = {"health": "http://127.0.0.1:1/health"}


def fake_dmesg(folder: Path, monkeypatch: pytest.MonkeyPatch, log: str, exit_code: int = 0) -> None:
    """Put a `dmesg` first on the PATH that prints this log."""
    (folder / "log").write_text(log)
    path = folder / "dmesg"
    path.write_text(f"#!/bin/sh\ncat '{folder}/log'\nexit {exit_code}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def stamp(at_s: float) -> str:
    """Return a time of the monotonic clock as the kernel's log shows it."""
    return f"[{at_s:12.6f}]"


KILLED = "Out of memory: Killed process {pid} (engram) total-vm:9000kB, anon-rss:8000kB"
KILLED_IN_GROUP = "Memory cgroup out of memory: Killed process {pid} (engram) total-vm:9000kB, UID:0 pgtables:70kB"
KILLED_BEFORE_4_19 = "Killed process {pid} (engram) total-vm:9000kB, anon-rss:8000kB, file-rss:0kB"


@pytest.mark.parametrize("line", [KILLED, KILLED_IN_GROUP, KILLED_BEFORE_4_19])
@pytest.mark.parametrize(
    ("pid", "began_s", "is_killed"),
    [(4711, -60.0, True), (47110, -60.0, False), (471, -60.0, False), (4711, 60.0, False)],
)
def test_the_kernels_log_tells_who_was_killed_for_lack_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, pid: int, began_s: float, is_killed: bool
) -> None:
    now = time.monotonic()
    log = f"{stamp(0)} Linux version 6.1\n{stamp(now)} {line.format(pid=pid)}\n{stamp(now)} drop_caches: 3\n"
    fake_dmesg(tmp_path, monkeypatch, log)
    assert snapshot.was_oom_killed(4711, time.time() + began_s) is is_killed


def test_a_log_without_times_counts_and_an_unreadable_one_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_dmesg(tmp_path, monkeypatch, f"{KILLED.format(pid=4711)}\n")
    assert snapshot.was_oom_killed(4711, time.time()) is True
    fake_dmesg(tmp_path, monkeypatch, "dmesg: read kernel buffer failed: Operation not permitted\n", exit_code=1)
    assert snapshot.was_oom_killed(4711, time.time()) is None
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert snapshot.was_oom_killed(4711, time.time()) is None


def script(folder: Path, *lines: str) -> Path:
    """Make a diagnostics script of these lines; return it."""
    path = folder / "checkout" / "scripts" / "engram_diagnostics.sh"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(["#!/usr/bin/env bash", "set -euo pipefail", *lines]) + "\n")
    return path


def read(root: Path | None, work: Path, pid: int = 0, timeout_s: float = 15.0) -> dict[str, str]:
    work.mkdir(exist_ok=True)
    return snapshot.read_snapshot(
        pid or os.getpid(), PAGES, diagnostics=root, work_dir=work, exit_note=NOTE, diagnostics_timeout_s=timeout_s
    )


def test_the_external_diagnostics_lose_their_colours_and_write_into_the_working_folder(tmp_path: Path) -> None:
    root = script(
        tmp_path,
        r'printf "\033[1;31m=== Engram Diagnostics ===\033[0m\n"',
        'mkdir -p "$PWD/tmp"; echo kept >> "$PWD/tmp/engram_diagnostics.log"',
        "echo to stderr >&2",
        "cat",
        "exit 1",
    )
    text = read(root, tmp_path / "work")["engram_diagnostics.sh"]
    assert text.startswith(f"exit code 1 ({NOTE})\n")
    assert "\n=== Engram Diagnostics ===\n" in text
    assert "to stderr" in text
    assert "\x1b" not in text
    assert (tmp_path / "work/tmp/engram_diagnostics.log").read_text() == "kept\n"
    assert sorted(path.name for path in root.parent.parent.rglob("*") if path.is_file()) == ["engram_diagnostics.sh"]


@pytest.mark.process
def test_external_diagnostics_that_hang_are_ended_with_their_children_and_what_they_said_is_kept(
    tmp_path: Path,
) -> None:
    root = script(tmp_path, "echo begun", f'sleep 300 & echo $! > "{tmp_path}/pid"', "wait")
    began = time.monotonic()
    text = read(root, tmp_path / "work", timeout_s=4.0)["engram_diagnostics.sh"]
    assert time.monotonic() - began < 60, "the time limit does not hold"
    assert text == "ended after 4 s, because it was still running\nbegun"
    pid = int((tmp_path / "pid").read_text())
    assert eventually(lambda: not is_running(pid)), "a child of the script is left"


def test_external_diagnostics_that_flood_are_cut(tmp_path: Path) -> None:
    text = read(script(tmp_path, "head -c 3000000 /dev/zero | tr '\\0' x"), tmp_path / "work")["engram_diagnostics.sh"]
    assert len(text) < 2_000_000
    assert "bytes left out here" in text


def test_without_the_script_nothing_is_said_of_it(tmp_path: Path) -> None:
    assert "engram_diagnostics.sh" not in read(tmp_path, tmp_path / "work")
    assert "engram_diagnostics.sh" not in read(None, tmp_path / "work")


def test_a_live_process_is_described(tmp_path: Path) -> None:
    program = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True);"
    argv = [sys.executable, "-c", program + "time.sleep(60)"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        texts = read(None, tmp_path / "work", child.pid)
        count = snapshot.count_open_files(child.pid)
        child.kill()
    assert "threads: 1" in texts["process"]
    assert f"LISTEN on port {port}: 1" in texts["sockets"]
    if sys.platform.startswith("linux"):
        assert texts["open files"].splitlines()[0] == f"{count} open"
        assert "socket: 1" in texts["open files"]
        assert "Max open files" in texts["limits"]
    assert texts["health"].startswith("not readable here: ")


def test_a_process_that_has_vanished_is_not_readable_and_never_an_exception(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    texts = read(None, tmp_path / "work", gone.pid)
    for name in ("process", "open files", "memory maps", "limits", "sockets", "health"):
        assert texts[name].startswith("not readable here: "), name
    assert snapshot.count_open_files(gone.pid) is None


def test_a_zombie_is_not_an_exception_either(tmp_path: Path) -> None:
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    assert eventually(lambda: psutil.Process(zombie.pid).status() == psutil.STATUS_ZOMBIE)
    texts = read(None, tmp_path / "work", zombie.pid)
    zombie.wait()
    assert texts["memory maps"].startswith(("not readable here: ", "nothing"))
