"""The check of the vectors that users bring themselves: whether their files are sets that can be searched in.

The first look at a file reads all of it; what it found is kept under the hash of the content.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

import compbench
from compbench.config.set_files import OwnSetSeen
from compbench.config.settings import Settings
from compbench.model.errors import UserError
from compbench.model.records import Finding
from compbench.model.scenario import OwnSet, Scenario
from compbench.preflight.findings import finding_of
from compbench.preflight.inputs import asked_scenarios
from compbench.systems import registry

_CHECK = "own_sets"
_CODE = Path(compbench.__file__).resolve().parent.parent


class _Seen(NamedTuple):
    """What was found in the own sets of several scenarios, each as a few words with the scenario's name."""

    problems: list[str]
    odd: list[str]
    remarks: list[str]
    described: list[str]


def check_own_sets(settings: Settings, names: Sequence[str]) -> Finding:
    """Check the own sets of the named scenarios, or of all."""
    try:
        concerned = [s for s in asked_scenarios(settings, names) if isinstance(s.data_set, OwnSet)]
    except UserError:
        return finding_of(_CHECK, "not-judged", "ok", why="see the check of the scenarios")
    if not concerned:
        return finding_of(_CHECK, "not-used", "ok", why="no scenario has vectors of its own")
    return _judge(settings, _look_at(concerned, settings))


def _look_at(concerned: Sequence[Scenario], settings: Settings) -> _Seen:
    seen, offered = _Seen([], [], [], []), registry.server_of(settings).capabilities.metrics
    for scenario in concerned:
        try:
            found = _look(scenario, Path(settings.cache_dir))
        except (UserError, OSError) as error:
            seen.problems.append(str(error))
            continue
        seen.described.append(f"{scenario.name}: {found.described}")
        if found.metric not in offered:
            seen.odd.append(f"{scenario.name}: {found.metric}")
        if remark := _remark(found):
            seen.remarks.append(f"{scenario.name}: {remark}")
    return seen


def _judge(settings: Settings, seen: _Seen) -> Finding:
    if seen.problems:
        return finding_of(_CHECK, "own-sets-refused", "critical", problems="; ".join(seen.problems))
    if seen.odd:
        title = registry.title_of(settings.system)
        offered = ", ".join(registry.server_of(settings).capabilities.metrics)
        return finding_of(_CHECK, "metric-refused", "critical", odd=", ".join(seen.odd), offered=offered, title=title)
    if seen.remarks:
        return finding_of(_CHECK, "own-sets-repeat", "note", remarks="; ".join(seen.remarks))
    return finding_of(_CHECK, "own-sets", "ok", described="; ".join(seen.described))


def _look(scenario: Scenario, cache: Path) -> OwnSetSeen:
    """Have the driver's program look at all of a set: a damaged file, or a large one, is no burden to the runner.

    Raises:
        UserError: the set can't be used, or can't be read.
    """
    argv = [sys.executable, "-m", "compbench.loadtest", "check-set"]
    argv += ["--scenario", str(scenario.path), "--cache", str(cache)]
    path = os.pathsep.join(filter(None, [str(_CODE), os.environ.get("PYTHONPATH", "")]))
    # As long as it takes: a set may be larger than any time limit foresees, and a person sees this check at work.
    done = subprocess.run(
        argv, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        said = done.stderr.strip().rpartition("\n")[2].removeprefix("Error: ")
        raise UserError(
            said or f"{scenario.path}: data_set: reading it ended the program that reads: {done.returncode}"
        )
    return msgspec.json.decode(done.stdout, type=OwnSetSeen)


def _remark(seen: OwnSetSeen) -> str:
    """Return what is remarkable about a set, or nothing."""
    among = f"{seen.compared:,} rows" + ("" if seen.compared == seen.rows else f" compared, of {seen.rows:,},")
    return f"{seen.repeats:,} of {among} repeat another one exactly" if seen.repeats else ""
