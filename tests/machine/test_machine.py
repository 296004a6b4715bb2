"""Readings of the machine: other servers and listeners by real processes, the rest from a /sys of our own."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from compbench.machine.probes import machine
from compbench.systems.registry import load_settings, server_of
from tests.project import eventually, free_port

ROOT = Path(__file__).resolve().parent.parent.parent


@contextlib.contextmanager
def running(argv: Sequence[str], folder: Path) -> Iterator[int]:
    """Run a program for a block and yield its pid."""
    child = subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE)
    try:
        yield child.pid
    finally:
        child.kill()
        child.communicate()


SETTINGS = load_settings(Path("/"), {}, {})
RECOGNISE = [server_of(SETTINGS, name).recognise for name in SETTINGS.system_tables]


def is_foreign(pid: int) -> bool:
    return any(line.startswith(f"process {pid} ") for line in machine.foreign_servers(RECOGNISE)[0])


@pytest.mark.parametrize(
    "argv",
    [
        ["tail", "-f", "engram.log"],
        [sys.executable, "-c", "import time; time.sleep(60)", "engram", "-m compbench.embedded"],
        [sys.executable, "-c", "import time; time.sleep(60)", "/home/u/engram/target/release/engram", "start"],
    ],
)
def test_a_process_whose_words_or_folder_name_engram_is_no_server(tmp_path: Path, argv: list[str]) -> None:
    folder = tmp_path / "engram"
    folder.mkdir()
    (folder / "engram.log").touch()
    with running(argv, folder) as pid:
        assert eventually(lambda: "engram" in " ".join(psutil.Process(pid).cmdline()))
        assert not is_foreign(pid)


def test_an_executable_named_engram_is_a_server_wherever_it_is_and_whatever_it_is_called(tmp_path: Path) -> None:
    shutil.copy("/bin/sleep", tmp_path / "engram")
    with running([str(tmp_path / "engram"), "60"], tmp_path) as pid:
        assert eventually(lambda: is_foreign(pid))
        (line,) = [line for line in machine.foreign_servers(RECOGNISE)[0] if line.startswith(f"process {pid} ")]
        assert str(tmp_path / "engram") in line


def test_an_executable_that_only_begins_like_it_is_none(tmp_path: Path) -> None:
    shutil.copy("/bin/sleep", tmp_path / "engram-cli-helper")
    with running([str(tmp_path / "engram-cli-helper"), "60"], tmp_path) as pid:
        assert eventually(lambda: "engram-cli-helper" in psutil.Process(pid).exe())
        assert not is_foreign(pid)


def test_an_embedded_server_is_known_by_its_two_words(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "compbench.embedded", "start", "--port", str(free_port())]
    with running(argv, ROOT) as pid:
        assert eventually(lambda: is_foreign(pid))


def test_a_listener_is_named_with_its_process() -> None:
    program = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True);"
    with subprocess.Popen([sys.executable, "-c", program + "time.sleep(60)"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        line = machine.listener(port)
        child.kill()
    assert line is not None
    assert line.startswith(f"process {child.pid} (")


def test_a_port_that_is_only_bound_or_free_has_no_listener() -> None:
    assert machine.listener(free_port()) is None
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert machine.listener(bound.getsockname()[1]) is None


def test_governors_are_read_once_each_and_absent_where_there_are_none(tmp_path: Path) -> None:
    assert machine.governors(tmp_path) is None
    for number, name in enumerate(["powersave", "performance", "performance"]):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{number}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{name}\n")
    assert machine.governors(tmp_path) == ["performance", "powersave"]


def test_a_virtual_machine_is_named_by_its_product(tmp_path: Path) -> None:
    assert machine.virtualization(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("flags : fpu\n")
    assert machine.virtualization(tmp_path) == "none seen"
    (tmp_path / "proc/cpuinfo").write_text("flags : fpu hypervisor\n")
    assert machine.virtualization(tmp_path) == "virtual machine"
    (tmp_path / "sys/class/dmi/id").mkdir(parents=True)
    (tmp_path / "sys/class/dmi/id/product_name").write_text("KVM\n")
    assert machine.virtualization(tmp_path) == "virtual machine (KVM)"


class Sensor:
    """A sensor as psutil gives it, with as much as is read of it."""

    def __init__(self, current: float) -> None:
        self.current = current


@pytest.mark.parametrize(
    ("chips", "heat"),
    [
        ({}, None),
        ({"nvme": [Sensor(85.0)]}, None),
        ({"nvme": [Sensor(85.0)], "coretemp": [Sensor(51.0), Sensor(64.0)]}, 64.0),
        ({"coretemp": [Sensor(0.0)]}, None),
    ],
)
def test_only_the_cpus_own_sensors_count(
    monkeypatch: pytest.MonkeyPatch, chips: dict[str, list[Sensor]], heat: float | None
) -> None:
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: chips, raising=False)
    assert machine.temperature_c() == heat


def test_a_platform_without_sensors_tells_no_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(psutil, "sensors_temperatures", raising=False)
    assert machine.temperature_c() is None


def test_free_disk_is_that_of_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    there, not_yet = machine.free_disk_bytes(tmp_path), machine.free_disk_bytes(tmp_path / "a" / "b")
    assert there > 0
    assert abs(there - not_yet) < there / 10


def test_loopback_is_tried_again_with_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    assert machine.loopback_answers(pauses.append)
    assert pauses == []

    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError("no loopback")

    monkeypatch.setattr(socket, "create_server", refuse)
    assert not machine.loopback_answers(pauses.append)
    assert pauses == [1.0, 2.0, 4.0]


def test_the_machines_identity_is_the_same_each_time() -> None:
    assert machine.identity() == machine.identity()
    assert len(machine.identity()) == 32


def test_a_boot_is_known_by_the_kernels_name_for_it_and_not_by_the_clock(tmp_path: Path) -> None:
    if sys.platform != "darwin":
        assert machine.boot_id(tmp_path) == ""
        name = tmp_path / "proc" / "sys" / "kernel" / "random" / "boot_id"
        name.parent.mkdir(parents=True)
        name.write_text("86f1a6e8-0b6e-4b1c-9d5b-1f4f0f0b5c11\n")
        assert machine.boot_id(tmp_path) == "86f1a6e8-0b6e-4b1c-9d5b-1f4f0f0b5c11"
    assert machine.boot_id() == machine.boot_id() != ""
