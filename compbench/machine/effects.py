"""The clock, and what touches the whole machine, as values that a test can replace."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compbench.machine.probes import machine
from compbench.machine.probes.busy_processes import ProcessReading, read_processes
from compbench.machine.probes.counters import MachineCounters, read_machine_counters


def drop_page_cache() -> str:
    """Drop the machine's page cache; return why it was not done, or an empty text."""
    if os.geteuid() != 0:
        return "that needs root"
    os.sync()
    try:
        if sys.platform == "darwin":
            subprocess.run(["purge"], check=True, capture_output=True, timeout=60)
        else:
            Path("/proc/sys/vm/drop_caches").write_text("3\n", encoding="ascii")
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return ""


@dataclass(frozen=True)
class Effects:
    """The clock, and what touches the whole machine; a test hands in others."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    drop_page_cache: Callable[[], str] = drop_page_cache
    read_machine: Callable[[], MachineCounters] = read_machine_counters
    read_processes: Callable[[], ProcessReading] = read_processes
    read_temperature: Callable[[], float | None] = machine.temperature_c
