"""The check of the vectors that users bring themselves: whether their files are sets that can be searched in.

The first look at a file reads all of it; what it found is kept under the hash of the content.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from compbench.config.settings import Settings
from compbench.model.errors import UserError
from compbench.model.records import Finding
from compbench.model.scenario import OwnSet, Scenario
from compbench.preflight.findings import finding_of
from compbench.preflight.inputs import asked_scenarios
from compbench.systems import registry

_CHECK = "own_sets"


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
    if importlib.util.find_spec("numpy") is None:
        return finding_of(_CHECK, "not-judged", "ok", why="see the check of the driver, which reads them")
    return _judge(settings, _look_at(concerned, settings))


def _look_at(concerned: Sequence[Scenario], settings: Settings) -> _Seen:
    seen, offered = _Seen([], [], [], []), registry.server_of(settings).capabilities.metrics
    for scenario in concerned:
        try:
            described, metric, remark = _look(scenario, Path(settings.cache_dir))
        except (UserError, OSError) as error:
            seen.problems.append(str(error))
            continue
        seen.described.append(f"{scenario.name}: {described}")
        if metric not in offered:
            seen.odd.append(f"{scenario.name}: {metric}")
        if remark:
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


def _look(scenario: Scenario, cache: Path) -> tuple[str, str, str]:
    """Return what the set is, its metric, and what is remarkable about it.

    Raises:
        UserError: it can't be used.
    """
    from compbench.loadtest.workload import set_scan  # noqa: PLC0415 - NumPy, which other scenarios need not pay for

    vectors, facts = set_scan.examine(scenario, cache)
    among = f"{facts.compared:,} rows" + ("" if facts.compared == facts.count else f" compared, of {facts.count:,}")
    remark = f"{facts.repeats:,} of {among} repeat another one exactly" if facts.repeats else ""
    return vectors.described, vectors.metric, remark
