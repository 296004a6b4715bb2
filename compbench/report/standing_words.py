"""Who is ahead, in words: a sentence of a whole run, and an answer of each scenario. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from compbench.model.metrics import given
from compbench.report import counted as counted_things
from compbench.report.duels import NO_DIFFERENCE, Contest
from compbench.report.statistics import Ratio

_PAIR = 2


def answer(contest: Contest) -> str:
    """Return who is ahead on a scenario and by how much, or that it can't be told and why."""
    if len(contest.compared) < _PAIR:
        reasons = "; ".join(f"{e.title}: {e.why_not}" for e in contest.entries if e.why_not)
        return f"can't be told, for lack of two systems that can be compared ({reasons})"
    if contest.nearest is None or contest.nearest.ratio is None:
        causes = list(dict.fromkeys(duel.reason for duel in contest.against if duel.reason))
        others = f", and so with {len(causes) - 1} more" if len(causes) > 1 else ""
        return f"can't be told: {next(iter(causes), '')}{others}"
    return _standing(contest, contest.nearest.ratio) + _recalls(contest) + _left_out(contest)


def run_sentence(contests: Sequence[Contest], not_measured: int = 0) -> str:
    """Return how often who has the lower P99, in one sentence; `not_measured` measurements are still to be made."""
    titles = [entry.title for entry in contests[0].entries]
    led = [contest for contest in contests if contest.leader]
    leaders = [contest.leader.title for contest in led if contest.leader]
    counted = {title: leaders.count(title) for title in titles if title in leaders}
    of_all = f"of {counted_things(len(contests), 'scenario')}"
    later = f"; {counted_things(not_measured, 'measurement')} not made yet" if not_measured else ""
    open_ones = [candidates for contest in contests if (candidates := _candidates(contest))]
    between = f" ({'; '.join(open_ones)})" if open_ones else ""
    if not counted:
        in_any = f" in any {of_all}" if len(contests) > 1 else ""
        return f"Who is ahead can't be told{in_any}{between}{later}."
    (first, count), *others = counted.items()
    of_those = " of those compared" if any(len(c.rated) < len(c.entries) for c in led) else ""
    parts = [f"{_at_recall(led)}, {first} has the lowest P99{of_those} in {count} {of_all}"]
    parts += [f"{title} in {count}" for title, count in others]
    alike = sum(_is_alike(contest) for contest in contests)
    untold = len(contests) - len(leaders) - alike
    rest = f"; in {alike} no difference matters" if alike else ""
    rest += f"; in {untold} who is ahead can't be told{between}" if untold else ""
    return f"{', '.join(parts)}{rest}{later}."


def times(ratio: Ratio) -> str:
    """Return a ratio with its interval: `2.10 times as high (95 % interval 1.80 to 2.45)`."""
    return f"{ratio.ratio:.2f} times as high (95 % interval {ratio.low:.2f} to {ratio.high:.2f})"


def span_of(ratio: Ratio) -> str:
    """Return a ratio with its interval where a heading says what it is: `2.10 (1.80 to 2.45)`."""
    return f"{ratio.ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _standing(contest: Contest, ratio: Ratio) -> str:
    """Return how the system with the lowest P99 stands against the others that it was compared with."""
    duels = [duel for duel in contest.against if duel.ratio]
    first = duels[0].first.title
    beaten = [duel.other.title for duel in duels if duel.told == "ahead"]
    next_one = contest.nearest.other.title if contest.nearest else ""
    if contest.leader:
        of_whom = "" if len(duels) == len(contest.entries) - 1 else f" of {', '.join(beaten)}"
        rest = f", the next of {len(duels)}," if len(duels) > 1 else ""
        return f"{first} is ahead{of_whom}: the P99 of {next_one}{rest} is {times(ratio)}"
    rest = f"; {first} is ahead of {', '.join(beaten)}" if beaten else ""
    if _is_alike(contest):
        return f"{first} and {next_one} are {NO_DIFFERENCE}; the P99 of {next_one} is {times(ratio)}{rest}"
    return f"can't be told between {first} and {next_one}, whose P99 is {times(ratio)}{rest}"


def _candidates(contest: Contest) -> str:
    """Return who may be ahead where others are surely not, as `A or B in the scenario`; else nothing.

    Who was not compared at all is told with the scenario's answer.
    """
    duels = [duel for duel in contest.against if duel.ratio]
    open_duels = [duel for duel in duels if duel.told == "can't tell"]
    if contest.leader or not open_duels or {duel.told for duel in duels} != {"ahead", "can't tell"}:
        return ""
    of_those = " of those compared" if len(contest.rated) < len(contest.entries) else ""
    names = [duels[0].first.title, *(duel.other.title for duel in open_duels)]
    return f"{' or '.join(names)}{of_those} in {contest.scenario}"


def _is_alike(contest: Contest) -> bool:
    return contest.nearest is not None and contest.nearest.told == "no difference"


def _at_recall(contests: Sequence[Contest]) -> str:
    """Return at which recall systems were compared: equal ones are called so only where they are."""
    if all(contest.has_equal_recall for contest in contests):
        return "At equal recall"
    if any(contest.has_equal_recall is None for contest in contests):
        return "With answers whose recall was not checked everywhere"
    goals = [goal for contest in contests if (goal := contest.entries[0].goal) is not None]
    at_least = f"a recall of at least {given(min(goals))}"
    return f"At {at_least}" if len(goals) == len(contests) else f"At equal recall, or {at_least}"


def _recalls(contest: Contest) -> str:
    """Return the recalls of those that were compared, where they differ by one that matters."""
    if contest.has_equal_recall is not False:
        return ""
    told = ", ".join(f"{e.title} {100 * e.recall:.2f} %" for e in contest.rated if e.recall is not None)
    goal = contest.entries[0].goal
    return f"; at a recall of at least {given(goal)}, and not at an equal one: {told}"


def _left_out(contest: Contest) -> str:
    """Return who has no part in the answer: with the reason where its figures count; the table has the others'."""
    reasons = {duel.other.title: duel.reason for duel in contest.against if not duel.ratio}
    told = [f"; {title} was not compared: {reason}" for title, reason in reasons.items()]
    others = [entry.title for entry in contest.entries if entry.why_not]
    return "".join(told) + (f"; not compared: {', '.join(others)}" if others else "")
