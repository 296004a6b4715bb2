"""What readings of the machine and of binaries mean before anything is measured. Pure: `checks` takes the readings.

Each judgement is one line for a person: what was found, what is wanted, how to mend it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from compbench.config.settings import Settings
from compbench.config.system_tables import MachineLimits
from compbench.machine.probes import binaries
from compbench.machine.version_line import version_number
from compbench.model.notices import Notice, Outcome, notice_of, outcome_of
from compbench.model.records import Finding, Level

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
    return Finding(
        check="memory",
        level=level,
        found=f"{available_bytes / GB:.1f} GB available of {total_bytes / GB:.1f} GB",
        wanted=f"at least {limits.min_available_memory_gb:g} GB available, {limits.warn_total_memory_gb:g} GB in all",
        mend="" if level == "ok" else "end what uses memory",
    )


def judge_disk(free_bytes: int, folder: Path, limits: MachineLimits) -> Finding:
    """Judge the free space where results go."""
    found = f"{free_bytes / GB:.1f} GB free for {folder}"
    level: Level = "ok"
    if free_bytes < limits.min_free_disk_gb * GB:
        level, found = "critical", f"Insufficient disk space: {found}"
    elif free_bytes < limits.warn_free_disk_gb * GB:
        level = "warning"
    wanted = f"at least {limits.min_free_disk_gb:g} GB, better {limits.warn_free_disk_gb:g} GB"
    return Finding(check="disk", level=level, found=found, wanted=wanted, mend="" if level == "ok" else "free space")


def judge_load(load_1min: float | None, limit: float) -> Finding:
    """Judge the load average over one minute."""
    if load_1min is None:
        return Finding(check="load", level="ok", found="not readable here")
    high = load_1min > limit
    return Finding(
        check="load",
        level="warning" if high else "ok",
        found=f"load average {load_1min:.2f} over 1 min",
        wanted=f"at most {limit:g}",
        mend="wait, or end what is busy" if high else "",
    )


def judge_governors(governors: Sequence[str] | None) -> Finding:
    """Judge the CPU frequency governors."""
    if governors is None:
        return Finding(check="cpu_governor", level="ok", found="not readable here: no frequency scaling is shown")
    other = [name for name in governors if name != "performance"]
    return Finding(
        check="cpu_governor",
        level="warning" if other else "ok",
        found=f"governor {', '.join(governors)}",
        wanted="performance",
        mend="sudo cpupower frequency-set -g performance" if other else "",
    )


def judge_temperature(temperature_c: float | None, limit_c: float) -> Finding:
    """Judge the CPU's temperature."""
    if temperature_c is None:
        return Finding(check="temperature", level="ok", found="not readable here: no sensor")
    hot = temperature_c > limit_c
    return Finding(
        check="temperature",
        level="warning" if hot else "ok",
        found=f"{temperature_c:.0f} C",
        wanted=f"at most {limit_c:g} C",
        mend="let the machine cool down" if hot else "",
    )


def judge_processes(found: Sequence[str], unreadable: int) -> Finding:
    """Judge other servers; they are named, never ended."""
    if found:
        text, mend = f"running: {', '.join(found)}", "stop it yourself: compbench ends no process that it did not start"
        return Finding(check="processes", level="critical", found=text, wanted="no other server", mend=mend)
    if unreadable:
        text = f"{unreadable} process(es) that may be a server, whose executable is not readable here"
        return Finding(check="processes", level="warning", found=text, wanted="no other server", mend="look with `ps`")
    return Finding(check="processes", level="ok", found="no other server is running", wanted="none")


def judge_port(port: int, owners: Sequence[str]) -> Finding:
    """Judge whether the server's port is free."""
    if owners:
        text = f"port {port} is in use by {owners[0]}"
        return Finding(
            check="port", level="critical", found=text, wanted="a free port", mend="stop it, or set port = N"
        )
    return Finding(check="port", level="ok", found=f"port {port} is free", wanted="a free port")


def judge_binary(
    check: str, path: Path, facts: binaries.Binary | None, release: tuple[binaries.Release, str] | None, build: str
) -> Finding:
    """Judge a program that `build` makes; what is not native or not told is a warning, never silently right."""
    wanted = "an executable release build"
    if facts is None:
        return Finding(check=check, level="critical", found=f"{path} is missing", wanted=wanted, mend=build)
    if not os.access(path, os.X_OK):
        return Finding(check=check, level="critical", found=f"{path} is not executable", wanted=wanted, mend=build)
    answer, why = release or ("unknown", "not asked")
    level: Level = {"yes": "ok", "no": "critical", "unknown": "warning"}[answer]  # type: ignore[assignment]
    kind = {"yes": "release build", "no": "debug build", "unknown": "release build or not is not readable here"}[answer]
    mend = "" if answer == "yes" else build
    return Finding(check=check, level=level, found=f"{path.name}: {kind} ({why})", wanted=wanted, mend=mend)


def judge_versions(said: Mapping[str, str], expected: Mapping[str, str], unasked: Sequence[str] = ()) -> Finding:
    """Compare the versions in the lines that binaries print with those of the checkout's manifests.

    `unasked` are binaries that tell no version to anybody.
    """
    known = "".join(f"; {name}: cannot be asked, known by its hash" for name in unasked)
    if not expected:
        text = f"{', '.join(said)}: can't be compared: no cargo, or no workspace of it, is readable here{known}"
        mend = "install cargo, or see for yourself that the binaries are those of the checkout"
        return Finding(check="versions", level="warning", found=text, wanted="the checkout's versions", mend=mend)
    found = {name: (version_number(line), line) for name, line in said.items() if name in expected}
    wrong = [
        f"{name} is {version}, not {expected[name]}" if version else f"{name} tells no version ({line})"
        for name, (version, line) in found.items()
        if version != expected[name]
    ]
    told = ", ".join(f"{name} {version}" for name, version in expected.items() if name in found)
    if wrong:
        mend = "build again: the binaries are not those of the checkout"
        return Finding(check="versions", level="critical", found="; ".join(wrong), wanted=told, mend=mend)
    named = told or "no package of Engram in the workspace"
    return Finding(check="versions", level="ok", found=f"{named}{known}", wanted=told)


def judge_tools(check: str, missing: Mapping[str, str], *, needed: bool = False, replaced: bool = False) -> Finding:
    """Judge programs that are not on the PATH, each with what it is for.

    Args:
        check: the check's name.
        missing: the programs.
        needed: what will be run needs them.
        replaced: nothing of what was asked for will be missing without them.
    """
    if not missing:
        return Finding(check=check, level="ok", found="all there", wanted="on the PATH")
    level: Level = "critical" if needed else "note" if replaced else "warning"
    text = f"missing: {'; '.join(f'{name} ({why})' for name, why in missing.items())}"
    mend = "install them" if needed else "install them if you want that"
    return Finding(check=check, level=level, found=text, wanted="on the PATH", mend=mend)


def judge_open_files(limit: int, needed: int) -> Finding:
    """Judge how many files a process may have open; every connection is one."""
    is_enough = limit >= needed or limit == _UNLIMITED
    return Finding(
        check="open_files",
        level="ok" if is_enough else "critical",
        found=f"{'any number of' if limit == _UNLIMITED else limit} open files are allowed to a process",
        wanted=f"at least {needed}",
        mend="" if is_enough else f"ulimit -n {needed}, or fewer connections",
    )


def judge_stability(
    readings: Mapping[str, Any], limits: MachineLimits, settings: Settings
) -> tuple[list[Notice], Outcome | None]:
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
    if (wanted_gb := limits.min_scenario_memory_gb) * GB <= available:
        return notices, None
    return notices, outcome_of("insufficient-memory", available_gb=available / GB, wanted_gb=wanted_gb)
