"""The efforts that are tried to find a system's recall against its speed, and which one is chosen. Pure.

Every system is asked with the same efforts, for as long each, so that none gets a finer or a longer look than another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from compbench.model.result import FrontierPoint
from compbench.model.scenario import Operations, Scenario, mean_rate

# Two steps an octave, from 16 to 1024, so that the chosen effort is at most half as much again as would do. From fewer
# candidates than a search's largest limit (50; a smaller effort is raised to the limit) to where a graph finds nearly
# all there is.
LADDER = (16, *(part << octave for octave in range(6) for part in (24, 32)))
# The effort that stands for the only way in which a system without a knob searches.
NO_KNOB = 0
# The recall at which systems are compared where the scenario expects none.
DEFAULT_GOAL = 0.95
RECALLS = (0.9, 0.95, 0.99)
# Recall is told by so many searches at least where the longest step has them: at 0.95 its 95 % interval is then about
# 0.02 wide on either side or less.
FEWEST_SEARCHES = 500
LONGEST_STEP_S = 30
# Before each step counts: its connections are open, and what the step before has left is worked off.
SETTLE_S = 0.5
WARM_UP_S = 1.0


def has_vector_searches(scenario: Scenario) -> bool:
    """Tell whether a scenario searches for vectors, if its server can't follow the edges that it may have."""
    return scenario.operations.recall_weight + scenario.operations.embedding_search_weight > 0


def searches_of(scenario: Scenario) -> Scenario:
    """Return the scenario with its vector searches alone: limits, thresholds, rate and vectors are the same."""
    weights = scenario.operations
    searches = Operations(
        store_weight=0,
        recall_weight=weights.recall_weight,
        embedding_search_weight=weights.embedding_search_weight,
    )
    return msgspec.structs.replace(scenario, operations=searches, graph=None)


def goal_of(scenario: Scenario) -> float:
    """Return the recall at which systems are compared."""
    expected = scenario.validation.expected_recall
    return DEFAULT_GOAL if expected is None else expected


def step_length_s(scenario: Scenario, step_s: int) -> int:
    """Return how long each step takes: longer than asked for where too few searches would be sent in that time."""
    needed_s = math.ceil(FEWEST_SEARCHES / mean_rate(scenario.arrival))
    return max(step_s, min(LONGEST_STEP_S, needed_s))


def least_effort(points: Iterable[FrontierPoint], recall: float) -> int | None:
    """Return the least effort whose mean recall is that or more, None if there is none."""
    return min((one.effort for one in points if one.recall is not None and one.recall >= recall), default=None)


def best_effort(points: Sequence[FrontierPoint]) -> int | None:
    """Return the effort of the highest recall, the least of several; None if no recall is known."""
    known = [point for point in points if point.recall is not None]
    return max(known, key=lambda point: (point.recall or 0.0, -point.effort)).effort if known else None
