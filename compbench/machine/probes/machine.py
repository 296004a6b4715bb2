"""Readings of the machine as it is now: memory, disk, load, governor, heat, loopback, other processes, ports, tools.

A reading that the machine does not offer is None. `compbench.preflight.judgement` judges them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from compbench.machine.probes.counters import ROOT, read_machine_counters

# Long enough for fifty clock ticks a core, so that the share is good to a few percent.
BUSY_INTERVAL_S = 0.5
LOOPBACK_RETRIES_S = (1.0, 2.0, 4.0)  # specification 5: exponential backoff
_CONNECT_TIMEOUT_S = 2.0
VIRTUAL = "virtual machine"
# Says of a process' executable, arguments and name what server it is; this, if it may be one and can't be read.
UNREADABLE = "?"
Recognise = Callable[[str | None, list[str], str], str]
# The Linux drivers of sensors in or at the CPU; another chip's heat (a disk's, a radio's) says nothing of it.
_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "acpitz")


def read_stability() -> dict[str, Any]:
    """Return the readings that must be steady around a measurement: load, memory, throttling, heat, governor."""
    return {
        "load_1min": load_1min(),
        "available_memory_bytes": psutil.virtual_memory().available,
        "swap_used_bytes": psutil.swap_memory().used,
        "throttle_events": read_machine_counters().throttle_events,
        "temperature_c": temperature_c(),
        "governors": governors(),
    }


def busy_pct() -> float:
    """Return the share of all cores' time that is in use during half a second from now, in percent."""
    return psutil.cpu_percent(BUSY_INTERVAL_S)


def load_1min() -> float | None:
    """Return the load average over one minute."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def free_disk_bytes(folder: Path) -> int:
    """Return the free bytes for this user on the file system of a folder, or of its nearest parent that exists."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def governors(root: Path = ROOT) -> list[str] | None:
    """Return the distinct CPU frequency governors, or None where the machine has or shows none."""
    found = set()
    for path in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor"):
        with contextlib.suppress(OSError):
            found.add(path.read_text(encoding="ascii").strip())
    return sorted(found) or None


def temperature_c() -> float | None:
    """Return the highest CPU temperature in degrees Celsius, or None without a sensor."""
    read = getattr(psutil, "sensors_temperatures", None)
    if read is None:
        return None
    chips = read()
    values = [reading.current for name in _CPU_SENSORS for reading in chips.get(name, []) if reading.current]
    return max(values, default=None)


def virtualization(root: Path = ROOT) -> str | None:
    """Return `virtual machine` with what names it, `none seen`, or None where the machine doesn't tell."""
    with contextlib.suppress(OSError):
        if " hypervisor" in (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace"):
            product = root / "sys/class/dmi/id/product_name"
            name = product.read_text(encoding="utf-8").strip() if product.is_file() else ""
            return f"{VIRTUAL}{f' ({name})' if name else ''}"
        return "none seen"
    return None


def boot_id(root: Path = ROOT) -> str:
    """Return the kernel's own name for this boot, which no step of the clock changes; empty if it has none."""
    if sys.platform == "darwin":
        argv = ["sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10).stdout.strip()
    try:
        return (root / "proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def boot_at() -> float:
    """Return when the machine was booted, in Unix seconds; wanders a little with the clock."""
    return psutil.boot_time()


def identity() -> str:
    """Return a hash that stays the same for this machine: its id if it has one, CPU model, cores and memory."""
    parts = [sys.platform, cpu_model() or "", str(psutil.cpu_count()), str(psutil.virtual_memory().total)]
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        with contextlib.suppress(OSError):
            parts.append(Path(path).read_text(encoding="ascii").strip())
            break
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def cpu_model() -> str | None:
    """Return the CPU's model name."""
    if sys.platform == "darwin":
        done = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, timeout=5, check=False
        )
        return done.stdout.strip() or None
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("model name", "Model", "Hardware")):
                return line.partition(":")[2].strip()
    return None


def loopback_answers(sleep: Callable[[float], None] = time.sleep) -> bool:
    """Tell whether a TCP connection over 127.0.0.1 works, retried after 1, 2 and 4 s."""
    for pause_s in (*LOOPBACK_RETRIES_S, None):
        if _loopback_connects():
            return True
        if pause_s is not None:
            sleep(pause_s)
    return False


def _loopback_connects() -> bool:
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            socket.create_connection(listener.getsockname(), timeout=_CONNECT_TIMEOUT_S),
        ):
            return True
    except OSError:
        return False


def foreign_servers(recognise: Sequence[Recognise]) -> tuple[list[str], int]:
    """Return the running servers that would disturb a measurement, and how many executables were not readable."""
    found, unreadable = [], 0
    for process in psutil.process_iter(["pid", "exe", "cmdline", "name"]):
        facts = process.info["exe"], process.info["cmdline"] or [], process.info["name"] or ""
        if what := next(filter(None, (tell(*facts) for tell in recognise)), ""):
            if what == UNREADABLE:
                unreadable += 1
            else:
                found.append(f"process {process.info['pid']} ({what})")
    return found, unreadable


def processes_in(folder: Path) -> list[int]:
    """Return the processes whose working directory is the folder or inside it, as far as this user may know."""
    found = []
    for process in psutil.process_iter(["pid", "cwd"]):
        where = process.info["cwd"]
        if where and Path(where).is_relative_to(folder):
            found.append(process.info["pid"])
    return found


def listener(port: int) -> str | None:
    """Return a description of the process that accepts connections on the loopback port, None if there is none."""
    with socket.socket() as probe:
        probe.settimeout(_CONNECT_TIMEOUT_S)
        if probe.connect_ex(("127.0.0.1", port)) != 0:
            return None
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:2] == (port,)
            if listens and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return "a process that is not readable here"


def has_tool(*names: str) -> bool:
    """Tell whether one of the programs is on the PATH."""
    return any(shutil.which(name) for name in names)
