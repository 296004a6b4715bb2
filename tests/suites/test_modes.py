"""Servers that compbench does not start as programs: the user's own, and those in containers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from compbench.store.leftovers import work_prefix
from tests.helpers import STAND_INS
from tests.project import NAMES, PATH, Project, eventually, free_port, is_running
from tests.rival_programs import install_docker

# A busy machine spoils figures; that they were taken is all that matters here.
MEASURED = ("passed", "missed", "invalid")
KEY = "k3y-that-nobody-may-see"


def asked(port: int, request: bytes, key: str = "") -> bytes:
    """Return the flat server's answer to a request."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        whole = b"K" + bytes([len(key)]) + key.encode() + request if key else request
        connection.sendall(struct.pack("<I", len(whole)) + whole)
        stream = connection.makefile("rb")
        length, status = struct.unpack("<IB", stream.read(5))
        assert status == 0
        return stream.read(length - 1)


def held(port: int, key: str = "") -> int:
    """Return how many vectors the flat server holds."""
    return int(struct.unpack("<Q", asked(port, b"C", key))[0])


@contextlib.contextmanager
def users_server(key: str = "") -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a flat server that is not compbench's; yield its process and port."""
    port = free_port()
    environment = {**os.environ, **({"FLAT_SERVER_KEY": key} if key else {})}
    process = subprocess.Popen([sys.executable, str(STAND_INS / "flat_server.py"), str(port)], env=environment)
    try:
        assert eventually(lambda: can_be_asked(port, key))
        yield process, port
    finally:
        process.kill()
        process.wait()


def can_be_asked(port: int, key: str) -> bool:
    """Tell whether the server answers."""
    with contextlib.suppress(OSError):
        return bool(asked(port, b"P", key))
    return False


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of one scenario that measures the contender."""
    made = Project(tmp_path / "project", names=NAMES[:1])
    made.set(system="contender", systems_dir=str(STAND_INS / "systems"), driver="builtin")
    return made


def test_a_server_of_the_users_is_measured_as_it_is_and_left_as_it_was(project: Project) -> None:
    with users_server(KEY) as (process, port):
        own = [f"system.contender.endpoint=flat://127.0.0.1:{port}"]
        done = project.doit(*own, COMPBENCH_CONTENDER_API_KEY=KEY)
        assert done.returncode in (0, 1), done.stdout + done.stderr
        capture = project.capture("alpha")
        assert capture["outcome"]["verdict"] in MEASURED, capture["outcome"]
        server = capture["server"]
        assert (server["argv"], server["pid"], server["port"], server["exit_code"]) == ([], None, None, None)
        assert server["executable"] == f"flat://127.0.0.1:{port}"
        assert server["version"] == "flat-server 1.0"
        assert server["stopped_by"].startswith("not stopped")
        assert capture["data_set"]["stored"] == 5
        assert all(sample["memory_bytes"] is None for sample in capture["samples"])
        assert "can't be seen from here" in capture["snapshot"]["process"]
        assert [notice["code"] for notice in capture["notices"] if notice["code"] == "data-left"] == []
        assert process.poll() is None
        assert held(port, KEY) == 0
        told = [path for path in project.root.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
        assert told == []
        assert KEY not in done.stdout + done.stderr


def test_a_wrong_endpoint_or_key_is_one_line_and_nothing_is_measured(project: Project) -> None:
    with users_server(KEY) as (_, port):
        nobody = free_port()
        for endpoint, key, said in (
            (f"flat://127.0.0.1:{nobody}", KEY, f"no connection to port {nobody} of 127.0.0.1: Connection refused"),
            (f"flat://127.0.0.1:{port}", "wrong-key-too", "does not answer as the contender does"),
        ):
            done = project.doit(f"system.contender.endpoint={endpoint}", COMPBENCH_CONTENDER_API_KEY=key)
            assert done.returncode == 2, done.stdout + done.stderr
            assert endpoint in done.stdout + done.stderr
            assert said in done.stdout + done.stderr
            assert key not in done.stdout + done.stderr
        assert "COMPBENCH_CONTENDER_API_KEY" in done.stdout + done.stderr
        assert held(port, KEY) == 0


def test_data_of_others_is_neither_measured_nor_removed(project: Project) -> None:
    with users_server() as (_, port):
        foreign = struct.pack("<QQII", 0, 1, 1, 768) + struct.pack("<768f", *([1.0] + [0.0] * 767))
        asked(port, b"I" + foreign)
        done = project.doit(f"system.contender.endpoint=flat://127.0.0.1:{port}")
        assert done.returncode == 1, done.stdout + done.stderr
        assert "holds the data set of another seed" in project.capture("alpha")["outcome"]["reason"]
        assert held(port) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_after_an_interruption_what_was_loaded_is_removed(project: Project, number: signal.Signals) -> None:
    project.set(duration_s=60)
    with users_server() as (process, port):
        running = project.start(f"system.contender.endpoint=flat://127.0.0.1:{port}")
        work = project.root / "tmp" / "work"
        assert eventually(lambda: any(path.stat().st_size for path in work.rglob("measure.progress")), 40)
        assert held(port) > 0
        running.send_signal(number)
        out, err = running.communicate(timeout=60)
        assert "Traceback" not in out + err
        assert held(port) == 0
        assert process.poll() is None


@pytest.fixture
def contained(project: Project, tmp_path: Path) -> Project:
    """The project with a stand-in for docker on its PATH."""
    programs = tmp_path / "programs"
    install_docker(programs)
    project.environment["PATH"] = f"{programs}{os.pathsep}{PATH}"
    project.set(**{"system.contender.mode": "container"})
    return project


def command_lines(project: Project) -> list[list[str]]:
    """Return what docker was asked for."""
    return [json.loads(line) for line in (project.state / "docker.jsonl").read_text().splitlines()]


def test_a_server_in_a_container_is_run_by_digest_under_limits_and_is_gone_after(contained: Project) -> None:
    contained.set(**{"system.contender.container_cpus": "0-1", "system.contender.container_memory": "2g"})
    done = contained.doit()
    capture = contained.capture("alpha")
    assert capture["outcome"]["verdict"] in MEASURED, done.stdout + done.stderr + str(capture["outcome"])
    asked_for = command_lines(contained)
    started = next(line for line in asked_for if line[0] == "run")
    name = started[started.index("--name") + 1]
    assert name.startswith("compbench-")
    image = "registry.example/flat@sha256:" + "0123456789abcdef" * 4
    text = " ".join(started)
    assert text.startswith(f"run --rm --pull never --name {name} --network host --user {os.getuid()}:{os.getgid()}")
    assert "--cpuset-cpus 0-1 --memory 2g --memory-swap 2g --volume" in text
    assert text.endswith(f"/data:/data --env FLAT_MODE=container {image} {contained.port}")
    assert any(line[0] == "stop" and line[-1] == name for line in asked_for)
    server = capture["server"]
    assert (server["executable"], server["limits"]) == (image, "cores 0-1, memory 2g")
    assert (server["stopped_by"], server["port_freed"], server["version"]) == ("SIGTERM", True, "flat-server 1.0")
    assert any(sample["memory_bytes"] for sample in capture["samples"])
    assert not list(contained.state.glob("*.container"))
    assert contained.manifest()["fingerprint"]["binary:image"] == image


def test_a_container_is_gone_soon_after_compbench_was_killed(contained: Project) -> None:
    contained.set(duration_s=60)
    running = contained.start()
    assert eventually(lambda: list(contained.state.glob("*.container")), 40)
    assert eventually(lambda: next(contained.state.glob("*.container")).read_text())
    pid = int(next(contained.state.glob("*.container")).read_text())
    running.kill()
    running.communicate(timeout=30)
    assert eventually(lambda: not is_running(pid), 20)
    assert eventually(lambda: not list(contained.state.glob("*.container")), 20)


@pytest.mark.slow
def test_a_container_that_a_killed_run_has_left_is_removed_and_no_other_one(contained: Project) -> None:
    ours, anothers = (subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(2))
    try:
        (contained.state / f"{work_prefix(contained.root)}0123.container").write_text(str(ours.pid))
        (contained.state / "compbench-of-another.container").write_text(str(anothers.pid))
        contained.doit()
        assert contained.capture("alpha")["outcome"]["verdict"] in MEASURED
        assert ours.wait(timeout=10) == -signal.SIGKILL
        assert anothers.poll() is None
        assert [path.stem for path in contained.state.glob("*.container")] == ["compbench-of-another"]
    finally:
        for process in (ours, anothers):
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_tag_alone_or_an_image_that_is_not_here_is_one_line(contained: Project) -> None:
    done = contained.doit("plan", "system.contender.image=registry.example/flat:1.0")
    assert done.returncode == 2
    assert "image = 'registry.example/flat:1.0': a tag may be another image tomorrow: give its digest" in done.stderr
    done = contained.doit("plan", STAND_IN_DOCKER="no-image")
    assert done.returncode == 2
    assert "docker has no image registry.example/flat@sha256:" in done.stdout
    shutil.rmtree(Path(contained.environment["PATH"].partition(os.pathsep)[0]))
    done = contained.doit("plan")
    assert "neither docker nor podman is on the PATH" in done.stdout
