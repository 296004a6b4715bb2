"""perf's text folded into stacks, and a real recording where perf may record."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from compbench.machine import perf

# What `perf script -F comm,ip,sym,dso` prints: a head, the frames from leaf to root, an empty line.
SHORT = """\
engram
\t    55d0c0de1000 engram_core::search::h0123456789abcdef+0x1f (/opt/engram/target/release/engram)
\t    55d0c0de2000 main+0x10 (/opt/engram/target/release/engram)

engram
\t    55d0c0de1000 engram_core::search::hfedcba9876543210+0x2a (/opt/engram/target/release/engram)
\t    55d0c0de2000 main+0x10 (/opt/engram/target/release/engram)

tokio worker
\tffffffff81000000 do_syscall_64 ([kernel.kallsyms])
\t    7f0000000000 [unknown] (/usr/lib/libc.so.6 (deleted))
\t               1 [unknown] ([unknown])
\t               2 [unknown] ([unknown])

"""
# The same with all default fields.
FULL = """\
engram  4711/4712  [001]  1234.567890:   20408163 cpu-clock:pppH:
\t    55d0c0de2000 main+0x10 (/opt/engram/target/release/engram)

my program 4711 1234.567890: 20408163 cpu-clock:
\t    55d0c0de2000 main+0x10 (/opt/engram/target/release/engram)
"""


def test_stacks_are_folded_root_first_without_offsets_and_hashes() -> None:
    assert perf.fold(SHORT) == {
        "engram;main;engram_core::search": 2,
        "tokio worker;[unknown];[libc.so.6 (deleted)];do_syscall_64": 1,
    }


def test_full_heads_are_read_too() -> None:
    assert perf.fold(FULL) == {"engram;main": 1, "my program;main": 1}


def test_folded_stacks_survive_being_written_and_read() -> None:
    folded = {"a;b c;d 1": 3, "a": 1}
    assert perf.parse_folded(perf.format_folded(folded)) == folded
    assert perf.format_folded(folded) == perf.format_folded(dict(reversed(folded.items())))


def test_no_recording_folds_to_nothing(tmp_path: Path) -> None:
    assert perf.fold_recording(tmp_path / "absent", 1, tmp_path) == {}


def test_a_damaged_recording_folds_to_nothing_and_perf_says_why(tmp_path: Path) -> None:
    if (why := perf.can_record()) is not None:
        pytest.skip(why)
    (tmp_path / "perf.data").write_bytes(b"garbage" * 100)
    assert perf.fold_recording(tmp_path / "perf.data", 1, tmp_path) == {}
    assert (tmp_path / "perf_script.log").read_text()


@pytest.mark.process
@pytest.mark.parametrize("whole", [True, False])
def test_a_busy_process_is_recorded_for_real(tmp_path: Path, whole: bool) -> None:
    if (why := perf.can_record()) is not None:
        pytest.skip(why)
    if whole and not perf.can_record_all():
        pytest.skip("perf may not record the whole machine here")
    data = tmp_path / "perf.data"
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            done = subprocess.run(
                perf.record_argv(busy.pid, 1.0, data, whole_machine=whole),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        finally:
            busy.kill()
    assert data.exists(), done.stderr
    folded = perf.fold_recording(data, busy.pid, tmp_path)
    assert sum(folded.values()) > 5, "a process that does nothing else must be seen often in a second"
    assert all(stack.startswith("python") for stack in folded)


def test_without_perf_the_reason_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert perf.can_record() in ("perf is not installed", f"perf records on Linux only, this is {sys.platform}")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="perf records on Linux only")
def test_a_perf_that_may_not_record_says_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "perf"
    path.write_text("#!/bin/sh\necho 'No permission to enable cpu-clock event.' >&2\nexit 255\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    said = perf.can_record() or ""
    assert "No permission to enable cpu-clock event." in said
    assert "kernel.perf_event_paranoid" in said
