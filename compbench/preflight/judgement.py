"""What readings of the machine and of programs mean before anything is measured. Pure: the checks take the readings.

Each judgement is a finding of the catalogue beside it, with a level.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from compbench.config.settings import Settings
from compbench.config.system_tables import MachineLimits
from compbench.machine.isolation import REAL_TIME, Isolation
from compbench.machine.perf_lines import HARDWARE, PerfCounts
from compbench.machine.probes import binaries
from compbench.machine.version_line import version_number
from compbench.model.notices import Notice, Outcome, notice_of, outcome_of
from compbench.model.partition import AUTO, OFF
from compbench.model.records import Finding, Level
from compbench.model.texts import rank_of
from compbench.preflight.findings import finding_of

GB = 1_000_000_000
_UNLIMITED = -1

# The load average still holds the scenario before; only together with cores that are busy now does it tell of others.
BUSY_PCT = 10.0


def preflight_exit_code(findings: Iterable[Finding]) -> int:
    """Return 1 if a check is critical, 2 if there are only warnings, 0 if all is well (specification 1)."""
    levels = {finding.level for finding in findings}
    return 1 if "critical" in levels else 2 if "warning" in levels else 0


def judge_memory(total_bytes: int, available_bytes: int, limits: MachineLimits) -> Finding:
    """Judge total and available memory."""
    level: Level = "ok"
    if available_bytes < limits.min_available_memory_gb * GB:
        level = "critical"
    elif total_bytes < limits.warn_total_memory_gb * GB:
        level = "warning"
    return finding_of(
        "memory",
        "memory",
        level,
        available_gb=available_bytes / GB,
        total_gb=total_bytes / GB,
        least_gb=limits.min_available_memory_gb,
        better_gb=limits.warn_total_memory_gb,
    )


def judge_disk(free_bytes: int, folder: Path, limits: MachineLimits) -> Finding:
    """Judge the free space where results go."""
    level: Level = "ok"
    if free_bytes < limits.min_free_disk_gb * GB:
        level = "critical"
    elif free_bytes < limits.warn_free_disk_gb * GB:
        level = "warning"
    return finding_of(
        "disk",
        "disk-full" if level == "critical" else "disk",
        level,
        free_gb=free_bytes / GB,
        folder=folder,
        least_gb=limits.min_free_disk_gb,
        better_gb=limits.warn_free_disk_gb,
    )


def judge_most(check: str, value: float | None, limit: float, unreadable: str = "") -> Finding:
    """Warn of a reading that is above its limit, by the code that is named as the check.

    Args:
        check: the check's name.
        value: the reading; None where the machine does not give it.
        limit: the highest that is well.
        unreadable: why it may not be given, if that can be told.
    """
    if value is None:
        return finding_of(check, "not-readable", "ok", why=unreadable)
    return finding_of(check, check, "warning" if value > limit else "ok", value=value, limit=limit)


def judge_governors(governors: Sequence[str] | None) -> Finding:
    """Judge the CPU frequency governors."""
    if governors is None:
        return finding_of("cpu_governor", "not-readable", "ok", why="no frequency scaling is shown")
    level: Level = "ok" if all(name == "performance" for name in governors) else "warning"
    return finding_of("cpu_governor", "governors", level, governors=", ".join(governors))


def judge_priority(niceness: int, wanted: int) -> Finding:
    """Judge how server and driver will rank beside other programs, against what the settings ask for."""
    rank = rank_of(niceness)
    if niceness > 0:
        return finding_of("priority", "priority-behind", "warning", rank=rank, niceness=niceness, wanted=wanted)
    level: Level = "note" if niceness > wanted else "ok"
    return finding_of("priority", "priority", level, rank=rank, niceness=niceness, wanted=wanted)


def judge_isolation(asked: str, reached: Isolation, memory_limit_gb: float, *, is_started_here: bool) -> Finding:
    """Judge how far server, driver and everything else are kept apart, and the server's memory limited."""
    why = "; ".join(reached.missing)
    if memory_limit_gb and reached.memory_bytes is None and is_started_here:
        return finding_of("isolation", "memory-limit-refused", "critical", limit_gb=memory_limit_gb, why=why)
    if asked == OFF:
        return finding_of("isolation", "isolation-off", "ok", limits=reached.told or "no memory limit")
    if reached.partition is not None:
        lacks = any(line.startswith(REAL_TIME) for line in reached.missing)
        level: Level = "note" if lacks else "ok"
        return finding_of("isolation", "isolation", level, told=reached.told, why=why or "nothing is missing")
    if asked != AUTO:
        return finding_of("isolation", "isolation-refused", "critical", asked=asked, why=why)
    return finding_of("isolation", "isolation-none", "note", why=why or "one core, or its cores are not told")


def judge_processes(found: Sequence[str], unreadable: int) -> Finding:
    """Judge other servers; they are named, never ended."""
    if found:
        return finding_of("processes", "servers-running", "critical", running=", ".join(found))
    if unreadable:
        return finding_of("processes", "servers-hidden", "warning", count=unreadable)
    return finding_of("processes", "servers-none", "ok")


def judge_port(port: int, owner: str | None) -> Finding:
    """Judge whether the server's port is free."""
    if owner:
        return finding_of("port", "port-taken", "critical", port=port, owner=owner)
    return finding_of("port", "port-free", "ok", port=port)


def judge_program(
    check: str, path: Path, build: str, *, is_executable: bool | None, release: tuple[binaries.Release, str] | None
) -> Finding:
    """Judge a program that `build` makes; one that is not native, or does not tell, is a warning, never silently right.

    Args:
        check: the check's name.
        path: the program.
        build: the command that makes it.
        is_executable: None if there is no such file.
        release: whether it is a release build, and how that is known; None if it was not asked.
    """
    if is_executable is None:
        return finding_of(check, "program-missing", "critical", path=path, build=build)
    if not is_executable:
        return finding_of(check, "program-not-executable", "critical", path=path, build=build)
    answer, why = release or ("unknown", "not asked")
    levels: dict[str, Level] = {"yes": "ok", "no": "critical", "unknown": "warning"}
    kind = {"yes": "release build", "no": "debug build", "unknown": "release build or not is not readable here"}[answer]
    return finding_of(check, "program", levels[answer], name=path.name, kind=kind, why=why, build=build)


def judge_versions(said: Mapping[str, str], expected: Mapping[str, str], unasked: Sequence[str] = ()) -> Finding:
    """Compare the versions in the lines that binaries print with those of the checkout's manifests.

    `unasked` are binaries that tell no version to anybody.
    """
    known = "".join(f"; {name}: cannot be asked, known by its hash" for name in unasked)
    if not expected:
        return finding_of("versions", "versions-incomparable", "warning", names=", ".join(said), known=known)
    found = {name: (version_number(line), line) for name, line in said.items() if name in expected}
    wrong = [
        f"{name} is {version}, not {expected[name]}" if version else f"{name} tells no version ({line})"
        for name, (version, line) in found.items()
        if version != expected[name]
    ]
    right = ", ".join(f"{name} {version}" for name, version in expected.items() if name in found)
    if wrong:
        return finding_of("versions", "versions-differ", "critical", wrong="; ".join(wrong), expected=right)
    told = f"{right or 'none of them in the workspace'}{known}"
    return finding_of("versions", "versions", "ok", told=told, expected=right)


def judge_tools(check: str, missing: Mapping[str, str], *, needed: bool = False, replaced: bool = False) -> Finding:
    """Judge programs that are not on the PATH, each with what it is for.

    Args:
        check: the check's name.
        missing: the programs.
        needed: the selected system needs them.
        replaced: nothing that was asked for will be missing without them.
    """
    if not missing:
        return finding_of(check, "tools", "ok")
    named = "; ".join(f"{name} ({why})" for name, why in missing.items())
    if needed:
        return finding_of(check, "tools-needed", "critical", missing=named)
    return finding_of(check, "tools-missing", "note" if replaced else "warning", missing=named)


def judge_counters(counted: PerfCounts, *, has_proc: bool) -> Finding:
    """Tell what can't be counted of a process; /proc has the switches, migrations and faults that perf does not."""
    lacking = {event: why for event, why in counted.why_not.items() if event in HARDWARE or not has_proc}
    if not lacking:
        kernel = " of user space alone" if counted.is_user_only else ""
        return finding_of("counters", "counters", "ok", kernel=kernel)
    reasons = dict.fromkeys(lacking.values())
    told = "; ".join(f"{', '.join(e for e, own in lacking.items() if own == why)} ({why})" for why in reasons)
    return finding_of("counters", "counters-missing", "note", missing=told)


def judge_open_files(limit: int, needed: int) -> Finding:
    """Judge how many files a process may have open; every connection is one."""
    level: Level = "ok" if limit >= needed or limit == _UNLIMITED else "critical"
    allowed = "any number of" if limit == _UNLIMITED else limit
    return finding_of("open_files", "open-files", level, limit=allowed, needed=needed)


def judge_stability(readings: Mapping[str, Any], settings: Settings) -> tuple[list[Notice], Outcome | None]:
    """Judge the machine right before a scenario (specification 2): warnings, and why it must not begin, if so."""
    notices = []
    available = readings["available_memory_bytes"]
    load, busy_pct = readings["load_1min"], readings.get("busy_pct", 0.0)
    if load is not None and load > settings.warn_load and busy_pct > BUSY_PCT:
        busy = readings.get("busy_processes") or "no process of this user"
        notices.append(notice_of("busy-machine", load=load, busy_pct=busy_pct, busy=busy))
    if (heat := readings["temperature_c"]) is not None and heat > settings.warn_temperature_c:
        notices.append(notice_of("hot-machine", heat_c=heat))
    if throttled := readings.get("throttled_since"):
        notices.append(notice_of("throttled-machine", times=throttled))
    if (wanted_gb := settings.limits.min_scenario_memory_gb) * GB <= available:
        return notices, None
    return notices, outcome_of("insufficient-memory", available_gb=available / GB, wanted_gb=wanted_gb)
