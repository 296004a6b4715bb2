"""The list of the checks before anything is measured: each a judgement of readings that are taken when it is made.

No check changes the machine, and none raises for a bad one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from compbench.config.settings import Settings
from compbench.machine import priority
from compbench.machine.probes import machine
from compbench.model.records import Finding
from compbench.preflight import environment, inputs, own_vectors, sending_hosts
from compbench.preflight.findings import joined
from compbench.preflight.judgement import judge_governors, judge_most, judge_priority


class Asked(NamedTuple):
    """What the checks are made for; `scenarios` are those about to be measured, all if it is empty."""

    settings: Settings
    root: Path
    scenarios: Sequence[str] = ()


class Check(NamedTuple):
    """One check: its name, what it is for, how it finds out, and whether it is made for each system by itself."""

    name: str
    doc: str
    find: Callable[[Asked], Finding]
    of_each: bool = False


def run_check(name: str, settings: Settings, root: Path, scenarios: Sequence[str] = ()) -> Finding:
    """Make one check now; a name that is not in `CHECKS` is a KeyError.

    What is critical for a rival alone is a warning: it costs that rival's measurements, never the run. Variants of one
    system are nothing without each other.
    """
    check = CHECKS[name]
    if not (check.of_each and settings.compared):
        return check.find(Asked(settings, root, scenarios))
    findings = {each.contender: check.find(Asked(each, root, scenarios)) for each in settings.of_each}
    return joined(findings, of_rivals=bool(settings.systems))


# In the order in which they are made.
_LIST = [
    Check("system", "the system that is measured is the one that was meant", lambda a: inputs.check_system(a.settings)),
    Check("binary_driver", "the driver is there, and a release build", lambda a: inputs.check_driver(a.settings)),
    Check(
        "binary_server",
        "the server is there, and a release build",
        lambda a: inputs.check_server(a.settings),
        of_each=True,
    ),
    Check(
        "versions",
        "the binaries' versions are those of the checkout",
        lambda a: inputs.check_versions(a.settings),
        of_each=True,
    ),
    Check(
        "scenarios", "all scenario files are there, valid and distinct", lambda a: inputs.check_scenarios(a.settings)
    ),
    Check(
        "own_sets",
        "vectors of your own can be searched in",
        lambda a: own_vectors.check_own_sets(a.settings, a.scenarios),
    ),
    Check("output_dir", "results can be written", lambda a: environment.check_output_dir(a.settings)),
    Check(
        "work_dir",
        "the server's data can be written",
        lambda a: environment.check_folder("work_dir", a.settings.work_dir),
    ),
    Check(
        "cache_dir",
        "what is kept can be written",
        lambda a: environment.check_folder("cache_dir", a.settings.cache_dir),
    ),
    Check("disk", "disk space", lambda a: environment.check_disk(a.settings)),
    Check("leftovers", "what interrupted runs have left", lambda a: environment.check_leftovers(a.settings, a.root)),
    Check("memory", "memory", lambda a: environment.check_memory(a.settings)),
    Check("scale", "the data scale leaves something to search", lambda a: inputs.check_scale(a.settings, a.scenarios)),
    Check(
        "data_set",
        "the data sets fit into this machine",
        lambda a: inputs.check_data_set(a.settings, a.scenarios),
        of_each=True,
    ),
    Check("cpu_governor", "CPU frequency scaling", lambda _: judge_governors(machine.governors())),
    Check(
        "temperature",
        "CPU temperature",
        lambda a: judge_most("temperature", machine.temperature_c(), a.settings.warn_temperature_c, "no sensor"),
    ),
    Check("load", "background load", lambda a: judge_most("load", machine.load_1min(), a.settings.warn_load)),
    Check(
        "priority",
        "server and driver go before other programs",
        lambda a: judge_priority(priority.attainable(a.settings.niceness), a.settings.niceness),
    ),
    Check("isolation", "server and driver are kept apart", lambda a: environment.check_isolation(a.settings)),
    Check("hosts", "the hosts that send are there", lambda a: sending_hosts.check_hosts(a.settings)),
    Check("processes", "no other server of the kind is running", lambda a: environment.check_processes(a.settings)),
    Check("port", "the server's port is free", lambda a: environment.check_port(a.settings)),
    Check("network", "loopback answers", lambda _: environment.check_network()),
    Check("open_files", "the limit of open files", lambda a: environment.check_open_files(a.settings)),
    Check(
        "tools_required",
        "tools that the system's scripts require",
        lambda a: environment.check_script_tools(a.settings),
        of_each=True,
    ),
    Check("tools_optional", "tools that give more", lambda a: environment.check_optional_tools(a.settings)),
    Check("counters", "what a request costs can be counted", lambda a: environment.check_counters(a.settings)),
    Check("suite", "no other suite is running", lambda a: environment.check_suite(a.root)),
]
CHECKS = {check.name: check for check in _LIST}
