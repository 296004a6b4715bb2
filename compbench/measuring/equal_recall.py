"""Recall against speed over the ladder of efforts: made once, before a scenario is measured, and kept.

The driver asks a server that holds the scenario's data set and does nothing else. What is measured later, by another
start of the server, only takes the effort from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from compbench.files.regular import read_regular
from compbench.machine import isolation
from compbench.machine.output import Output
from compbench.measuring import data_sets, drivers, modes, server
from compbench.measuring.attempt import MEGABYTE, Attempt
from compbench.measuring.data_sets import Making
from compbench.measuring.drivers import DriverFiles
from compbench.measuring.under_test import StartError
from compbench.model import efforts
from compbench.model.errors import UserError
from compbench.model.records import Capture
from compbench.model.result import Frontier
from compbench.model.scenario import Scenario
from compbench.store import frontiers, kept_data
from compbench.systems import registry


def make_frontier(making: Making, scenario: Scenario, memories: int) -> None:
    """Find the scenario's record and keep it.

    Raises:
        UserError: the server did not start or did not take the data, or the driver failed; has its last lines.
        OSError: a disk refused it.
    """
    settings = making.settings
    path = frontiers.frontier_file(settings, scenario)
    if path is None:
        return
    with server.work_folder(settings, making.root) as work:
        data_sets.hand_over_for(settings, kept_data.data_set_folder(settings, scenario), work / "data")
        try:
            output = Output(work / "server.log", MEGABYTE)
            with modes.started_server(settings, work, output, making.root, scenario) as under_test:
                under_test.wait_until_ready(settings.ready_timeout_s)
                files = DriverFiles(work / "prepare.json", work / "prepare.progress")
                entry = under_test.entry
                argv = drivers.prepare_argv(settings, scenario, files, memories, settings.prepare_limit_s)
                log = work / "prepare.log"
                data_sets.run_driver(
                    making,
                    [*entry, *argv, "--no-edges"],
                    files.progress,
                    log,
                    settings.prepare_limit_s,
                    lambda: None,
                    isolation.reached_by(settings).of_loader(0),
                )
                files = DriverFiles(work / "frontier.json", work / "progress")
                found = _climbed(making, scenario, memories, files, entry)
        except StartError as error:
            raise UserError(f"no server to find the effort with: {error}") from None
    frontiers.write_frontier(path, found)


def _climbed(making: Making, scenario: Scenario, memories: int, files: DriverFiles, entry: list[str]) -> Frontier:
    settings = making.settings
    with_capacity = frontiers.searches_capacities(settings, scenario)
    argv = [*entry, *drivers.frontier_argv(settings, scenario, files, memories, with_capacity=with_capacity)]
    data_sets.run_driver(
        making,
        argv,
        files.progress,
        files.report.with_suffix(".log"),
        settings.frontier_limit_s,
        lambda: None,
        isolation.reached_by(settings).of_driver(settings.niceness),
        limit_setting="frontier_limit_s",
    )
    try:
        return msgspec.json.decode(read_regular(files.report), type=Frontier)
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(f"the driver that looked for the effort left no report: {error}") from None


def choose_effort(attempt: Attempt) -> int | None:
    """Return the effort of the searches that are about to be measured, None to leave it to settings and system.

    What it was chosen by is noted in the attempt; a system that is asked with another effort than the goal wants is a
    notice.
    """
    settings, scenario = attempt.settings, attempt.scenario
    if not frontiers.chooses_effort(settings, scenario):
        return None
    title, goal = registry.title_of(settings.system), efforts.goal_of(scenario)
    chosen = _chosen_before(attempt.run.captures(), settings.system, scenario.name) or _chosen_now(attempt)
    attempt.frontier = chosen.frontier
    if chosen.frontier is None:
        attempt.notice("effort-not-found", system=title, goal=goal, scenario=scenario.name)
    elif chosen.frontier.chosen is None:
        attempt.notice("recall-out-of-reach", system=title, goal=goal, effort=chosen.effort)
    return chosen.effort


class _Choice(NamedTuple):
    """An effort, None for the system's own, and the record by which it was chosen, if there is one."""

    effort: int | None
    frontier: Frontier | None


def _chosen_before(captures: Iterable[Capture], system: str, scenario: str) -> _Choice | None:
    """Return the choice of the system's earlier repeats: figures of different efforts are no repeats of one."""
    for capture in captures:
        details = capture.result.details if capture.result else None
        if details is not None and (capture.system, capture.scenario) == (system, scenario):
            return _Choice(details.effort, capture.frontier)
    return None


def _chosen_now(attempt: Attempt) -> _Choice:
    try:
        found = frontiers.read_frontier(attempt.settings, attempt.scenario)
    except UserError:
        found = None  # as is said where the data set is loaded
    if found is None:
        return _Choice(None, None)
    return _Choice(found.best if found.chosen is None else found.chosen, found)
