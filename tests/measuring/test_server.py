"""The server under test, without one: the port, the pid file, the log's end, the page cache."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from compbench.machine import effects, process
from compbench.machine.output import Output
from compbench.measuring import server
from compbench.measuring.under_test import StartError
from compbench.model.notices import notice_of
from compbench.systems import registry
from compbench.systems.api import Launch, Look
from compbench.systems.engram.server import read_pid_file
from compbench.systems.registry import load_settings
from tests.project import eventually, free_port


def test_a_port_is_free_until_somebody_listens_and_after_that_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not server.is_free(port)
        assert f"process {os.getpid()} (" in server.describe_listener(port)
        assert not server.wait_until_free(port, 0.1)
    assert server.wait_until_free(port, 10.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4711:7432", (4711, 7432)),
        ("4711:7432\n", (4711, 7432)),
        ("4711", None),
        ("4711:", None),
        ("", None),
        ("a:b", None),
    ],
)
def test_a_pid_file_says_pid_and_port_or_is_not_whole_yet(
    tmp_path: Path, text: str, said: tuple[int, int] | None
) -> None:
    (tmp_path / "engram.pid").write_text(text)
    assert read_pid_file(tmp_path / "engram.pid") == said
    assert read_pid_file(tmp_path / "absent") is None


def test_the_end_of_a_log_is_read_without_reading_all_of_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 1_000_000 + b"\nfirst\n\xff\nlast\n")
    assert server.tail(log, 3) == ["first", "\ufffd", "last"]
    assert server.tail(tmp_path / "absent", 3) == []


def test_without_root_the_page_cache_stays_and_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    notice = notice_of("page-cache-kept", why=effects.drop_page_cache())
    assert notice.text == "the page cache was not dropped: that needs root"


def test_a_child_finds_compbench_but_not_the_variables_that_are_foreign_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGRAM_PORT", "1")
    monkeypatch.setenv("KEPT", "1")
    given = server.child_environment(tmp_path, {"OWN": "1"}, lambda name: name.startswith("ENGRAM_"))
    assert "ENGRAM_PORT" not in given
    assert (given["KEPT"], given["OWN"], given["NO_COLOR"]) == ("1", "1", "1")
    assert given["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path)


def test_a_work_folder_is_fresh_and_gone_afterwards(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {}, {"work_dir": "work"})
    seen = []
    for _ in range(2):
        with server.work_folder(settings, tmp_path) as work:
            assert list((work / "data").iterdir()) == []
            (work / "data" / "left").touch()
            seen.append(work)
    assert seen[0] != seen[1]
    assert list((tmp_path / "work").iterdir()) == []


def test_a_port_that_is_taken_is_named_with_its_holder_and_the_advice_of_its_own_code(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        settings = load_settings(tmp_path, {}, {"port": str(port)})
        log = Output(tmp_path / "log", 1000)
        with pytest.raises(StartError) as caught, server.started(settings, tmp_path, log, tmp_path):
            pass
    outcome = caught.value.outcome
    assert (outcome.code, outcome.verdict, caught.value.transient) == ("port-in-use", "failed", True)
    assert f"port {port} is in use by process {os.getpid()}" in outcome.reason
    assert outcome.advice == "end that, or choose another port"


def test_the_last_look_at_a_server_is_not_cut_off_by_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed: list[float] = []

    class Unhealthy:
        def look(self, _work: Path, _pid: int, timeout_s: float) -> Look:
            allowed.append(timeout_s)
            return Look(False, "GET /health answered 503")

    monkeypatch.setattr(registry, "server_of", lambda _: Unhealthy())
    settings = load_settings(tmp_path, {}, {})
    log = Output(tmp_path / "log", 1000)
    with process.running(
        [sys.executable, "-c", "import time; time.sleep(60)"], environment={}, folder=tmp_path, stdout=log
    ) as child:
        started = server.ServerProcess(settings, child, Launch([], {}), tmp_path, log)
        with pytest.raises(StartError, match=r"not ready after 0\.3 s .GET /health answered 503"):
            server.wait_until_ready(started, 0.3)
    assert len(allowed) > 1
    assert min(allowed) == 1.0


def test_a_server_that_had_to_be_killed_says_so_after_its_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = [
        sys.executable,
        "-c",
        "import signal, time; signal.signal(15, signal.SIG_IGN); open('up', 'w'); time.sleep(60)",
    ]
    half = SimpleNamespace(launch=lambda _work: Launch(stubborn, {}), entry=lambda _pid: [], mode="managed")
    monkeypatch.setattr(registry, "server_of", lambda *_: half)
    settings = load_settings(tmp_path, {}, {"port": str(free_port()), "stop_grace_s": "0.1"})
    (tmp_path / "cwd").mkdir()
    log = Output(tmp_path / "log", 1000)
    with server.started(settings, tmp_path, log, tmp_path) as started:
        assert eventually((tmp_path / "cwd" / "up").exists, 30.0), started.last_log_lines()
    assert (started.stopped_by, started.grace_s) == ("SIGKILL", 0.1)
