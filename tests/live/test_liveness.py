"""Whether anybody is at work on a run: told without ever taking the suite's lock."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from compbench.live.liveness import LockHolder, life_of_run, lock_holder
from compbench.store import lock, page_mark
from tests.live.telling import NOON

HOLDER = LockHolder(123, NOON - 1)


def life(holder: LockHolder | None, *, silent_s: float, is_over: bool = False, opened_at: float = NOON) -> str:
    told_at = NOON + 100
    return life_of_run(
        is_over=is_over, holder=holder, opened_at=opened_at, last_at=told_at, now=told_at + silent_s
    ).life


def test_a_run_is_at_work_silent_gone_or_over() -> None:
    assert life(HOLDER, silent_s=2) == "at work"
    assert life(HOLDER, silent_s=90) == "silent"
    assert life(None, silent_s=90) == "gone"
    assert life(None, silent_s=1) == "at work", "its process may not be seen from here"
    assert life(None, silent_s=90, is_over=True) == "over"
    assert life(LockHolder(123, NOON + 50), silent_s=20) == "another", "who took the lock later has not opened this run"


def test_the_holder_is_told_while_it_lives_and_a_suite_can_begin_all_the_while(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert lock_holder(path) is None
    descriptor = lock.take(path)
    holder = lock_holder(path)
    assert holder
    assert holder.pid == os.getpid()
    os.close(descriptor)
    os.close(lock.take(path))  # looking does not hold it


def test_a_number_that_has_become_another_process_is_no_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text(f"pid {os.getpid()} since 2001-01-01T00:00:00Z\n")
    assert lock_holder(path) is None, "this process began later"
    ended = subprocess.Popen(["true"])
    ended.wait()
    path.write_text(f"pid {ended.pid} since {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}\n")
    assert lock_holder(path) is None
    path.write_bytes(b"\xff\x00nonsense")
    assert lock_holder(path) is None


def test_a_measurement_can_tell_that_a_page_is_open(tmp_path: Path) -> None:
    path = page_mark.mark_path(tmp_path)
    assert not page_mark.is_page_open(path)
    assert page_mark.leave_mark(path) == ""
    assert page_mark.is_page_open(path)
    assert page_mark.leave_mark(path) == "", "several pages may be open"
