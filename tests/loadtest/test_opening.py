"""Opening a cluster of Dask, and closing it, where something is wrong with it: one line, and never a hang."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from compbench.config.hosts import read_hosts
from compbench.loadtest.cluster import dask_calls, opening, spread
from compbench.loadtest.cluster.opening import Cluster, opened_cluster
from compbench.model.errors import UserError
from tests.drive import loadtest
from tests.project import ROOT, eventually

pytestmark = pytest.mark.process

# Far more than closing takes, and far less than Dask waits for what is frozen.
HANG_S = 25.0


@contextlib.contextmanager
def scheduler_with_a_worker(folder: Path) -> Iterator[tuple[str, psutil.Popen]]:
    """Start a scheduler and a worker, as a user does; yield the scheduler's address and its process."""
    log, file = (folder / "log").open("w"), folder / "scheduler.json"
    words = [["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]]
    words.append(["worker", "--scheduler-file", str(file), "--name", "a", "--nthreads", "1", "--no-dashboard"])
    words[1] += ["--no-nanny", "--local-directory", str(folder)]
    running = [
        psutil.Popen([sys.executable, "-m", f"distributed.cli.dask_{command}", *more], cwd=ROOT, stdout=log, stderr=log)
        for command, *more in words
    ]
    try:
        assert eventually(lambda: "Registered to:" in (folder / "log").read_text(), 30)
        yield json.loads(file.read_text())["address"], running[0]
    finally:
        for process in running:
            process.kill()
            process.wait()
        log.close()


def test_a_scheduler_that_freezes_keeps_nobody_from_closing_nor_from_telling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "ANSWER_LIMIT_S", 1.0)
    with scheduler_with_a_worker(tmp_path) as (address, scheduler):
        with opened_cluster(read_hosts(address), tmp_path) as cluster:
            assert [host.name for host in cluster.hosts] == ["a"]
            scheduler.suspend()
            with pytest.raises(UserError, match="the Dask scheduler is gone"):
                spread.threads_of(cluster)
            began_s = time.monotonic()
        assert time.monotonic() - began_s < HANG_S
        monkeypatch.setattr(dask_calls, "CONNECT_LIMIT_S", 1.0)
        with (
            pytest.raises(UserError, match=rf"hosts {address}: .*whether it runs"),
            opened_cluster(read_hosts(address), tmp_path),
        ):
            pass


def test_a_scheduler_that_freezes_while_it_is_asked_for_its_workers_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_calls, "ANSWER_LIMIT_S", 1.0)
    with scheduler_with_a_worker(tmp_path) as (address, scheduler):
        known = dask_calls.workers_of

        def frozen(client: object, wanted: int) -> object:
            scheduler.suspend()
            return known(client, wanted)

        monkeypatch.setattr(opening, "workers_of", frozen)
        with pytest.raises(UserError, match=f"hosts {address}: "), opened_cluster(read_hosts(address), tmp_path):
            pass


OPEN_AND_WAIT = """
import sys
from pathlib import Path
from compbench.config.hosts import read_hosts
from compbench.loadtest.cluster.opening import opened_cluster

if __name__ == "__main__":
    with opened_cluster(read_hosts("local:2"), Path(sys.argv[1])):
        print("open", flush=True)
        sys.stdin.readline()
    print("closed", flush=True)
"""


def test_a_frozen_worker_of_this_machine_ends_with_the_cluster(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(OPEN_AND_WAIT)
    argv = [sys.executable, str(program), str(tmp_path)]
    child = psutil.Popen(
        argv, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "open\n"
    family = child.children(recursive=True)
    next(one for one in family if "spawn_main" in " ".join(one.cmdline())).suspend()
    try:
        said, _ = child.communicate("\n", timeout=HANG_S)
    finally:
        for one in [child, *family]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    assert (child.returncode, said) == (0, "closed\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("tls://127.0.0.1:1", "no certificates"),
        ("ssh:nosuch.invalid", "hosts ssh:nosuch.invalid: "),
    ],
)
def test_what_can_not_be_opened_is_one_line(words: str, told: str) -> None:
    ended = loadtest("check-hosts", "--hosts", words)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert told in ended.stderr


@pytest.mark.parametrize(
    ("name", "told"),
    [("HostKeyNotVerifiable", "known_hosts"), ("PermissionDenied", "without a password"), ("ImportError", "extra")],
)
def test_whatever_ssh_says_against_it_is_one_line_with_a_mend(
    name: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> Cluster:
        raise type(name, (Exception,), {})("so it is")

    monkeypatch.setattr(opening, "_over_ssh", refused)
    with (
        pytest.raises(UserError, match=f"hosts ssh:a: so it is: .*{told}"),
        opened_cluster(read_hosts("ssh:a"), tmp_path),
    ):
        pass


def test_what_is_no_order_for_a_host_is_one_line() -> None:
    argv = [sys.executable, "-m", "compbench.loadtest", "host"]
    ended = subprocess.run(argv, cwd=ROOT, input="foo\n", capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert ended.stderr.startswith("Error: what standard input has is no order")
