"""Which closed runs may be set side by side, and the differences between those that may not. Pure.

Runs are comparable, scenario by scenario, if workload, settings and machine are the same; the build may differ. Where
runs compared several systems, the names of scenarios here have theirs (`alpha@qdrant`): which others were measured
besides makes no difference to a system's figures, only its own settings do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from compbench.model.errors import UserError
from compbench.model.measurement import measurement_named
from compbench.model.result import Capacity
from compbench.report.past.history import Past

# The parts of a fingerprint that must be equal. The server's hash is left out, since builds are compared, and so are
# the number and order of measurements.
SAME = (
    *("system", "driver", "profile", "scale", "machine", "duration_s", "warm_up_s", "connections", "processes"),
    *("system settings", "niceness", "isolation", "memory_limit_gb", "flamegraph", "counters", "compbench"),
    "binary:loadtest",
)


@dataclass(frozen=True)
class FoundCapacity:
    """The result of a search for a scenario's capacity, and its run."""

    run: str
    facts: Capacity


def differences(base: Past, head: Past, scenario: str = "") -> list[str]:
    """Return the differences that make two runs incomparable, each as `name: base -> head`."""
    names = [*SAME, *(_own(scenario) if scenario else ())]
    both = [_facts(past, scenario or _any_compared(base, head)) for past in (base, head)]
    return [
        f"{name}: {_short(both[0], name)} -> {_short(both[1], name)}"
        for name in names
        if both[0].get(name) != both[1].get(name)
    ]


def latest_pair(history: Sequence[Past]) -> tuple[Past, Past]:
    """Return the newest run and the newest one before it that is comparable with it in at least one figure.

    Raises:
        UserError: there is no such pair; names the differences.
    """
    if len(history) < 2:  # noqa: PLR2004 - a comparison takes two
        raise UserError(f"a comparison takes two closed runs, and there {_are(len(history))}: `doit` measures one")
    head = history[-1]
    for base in reversed(history[:-1]):
        if any(set(base.values.get(name, {})) & set(head.values.get(name, {})) for name in _comparable(base, head)):
            return base, head
    last = history[-2]
    reasons = differences(last, head) or [d for name in head.scenarios for d in differences(last, head, name)]
    raise UserError(
        f"no run before {head.run} is comparable with it ({last.run}: {'; '.join(reasons) or 'no figure is in both'}):"
        " name two runs with base= and head="
    )


def earlier_values(history: Sequence[Past], before: Past, scenario: str, metric: str) -> list[float]:
    """Return a figure of each run before one that is comparable with it, of the same effort: of repeats the mean.

    Zero is left out, since no change can be told in relation to it.
    """
    key = series_key(before, scenario)
    found = []
    for past in history:
        values = past.values.get(scenario, {}).get(metric, [])
        same = series_key(past, scenario) == key and past.efforts.get(scenario) == before.efforts.get(scenario)
        if past.run < before.run and any(values) and same:
            found.append(sum(values) / len(values))
    return found


def find_capacities(history: Sequence[Past], fingerprint: Mapping[str, str]) -> dict[str, FoundCapacity]:
    """Return the newest search for each scenario's capacity on the same machine, system, scenario and amount of data.

    `fingerprint` may have the amounts that the scenarios were measured on besides (`stored:<scenario>`).
    """
    found = {}
    for past in history:
        for scenario, facts in past.capacities.items():
            plain = measurement_named(scenario).scenario
            same_system = () if plain != scenario else ("system",)
            names = ("machine", *same_system, "scale", f"scenario:{plain}", f"set:{plain}")
            told = past.fingerprint.get(f"stored:{scenario}")
            same_amount = told in (None, fingerprint.get(f"stored:{scenario}", told))
            if same_amount and all(past.fingerprint.get(name) == fingerprint.get(name) for name in names):
                found[scenario] = FoundCapacity(past.run, facts)
    return found


def noise_facts(past: Past, scenario: str) -> dict[str, str]:
    """Return what a scenario's noise depends on in a run, as `facts_of_noise` does."""
    return facts_of_noise(_facts(past, scenario), scenario, past.efforts.get(scenario, ""))


def facts_of_noise(facts: Mapping[str, str], scenario: str, effort: str) -> dict[str, str]:
    """Return what a scenario's noise depends on, by name: all that comparable runs have in common, and the effort.

    But not compbench's version, by which the noise changes rarely: `known_noise` tells where it is another. The names
    are the same whichever scenario, and whether or not several systems were compared.

    Args:
        facts: a fingerprint as runs are compared by it (`history.told_inputs`), with the amount that was stored.
        scenario: its name, with that of the system where the facts have it.
        effort: of its timed searches, as `Past.efforts` tells it; empty if they have no knob for that.
    """
    found = {name: facts[name] for name in SAME if name in facts and name != "compbench"}
    found |= {name.partition(":")[0]: facts[name] for name in _own(scenario) if name in facts}
    return found | ({"effort": effort} if effort else {})


def series_key(past: Past, scenario: str) -> tuple[str | None, ...]:
    """Return the facts that a scenario's comparable runs have in common."""
    facts = _facts(past, scenario)
    return tuple(facts.get(name) for name in (*SAME, *_own(scenario)))


def series_names(points: Iterable[Past], scenario: str) -> dict[tuple[str | None, ...], str]:
    """Return how a reader knows each series of a scenario's comparable runs, by its key; no two have one name."""
    series = {series_key(past, scenario): past for past in points}
    names = {key: _series_name(past, scenario) for key, past in series.items()}
    fields = (*SAME, "scenario's file", "its own vectors", "vectors stored")
    for name in {name for name in names.values() if list(names.values()).count(name) > 1}:
        alike = [key for key in names if names[key] == name]
        telling = [place for place in range(len(fields)) if len({key[place] for key in alike}) > 1]
        for key in alike:
            names[key] += "".join(f", {fields[place]} {(key[place] or '(absent)')[:12]}" for place in telling)
    return names


def _own(scenario: str) -> tuple[str, ...]:
    """Return the names of the parts of a fingerprint that are about a scenario."""
    plain = measurement_named(scenario).scenario
    return f"scenario:{plain}", f"set:{plain}", f"stored:{scenario}"


def _facts(past: Past, scenario: str) -> Mapping[str, str]:
    """Return the fingerprint as it is about a scenario: where systems were compared, only this one's settings."""
    system = measurement_named(scenario).system
    if not (system and past.systems):  # a study's variants are of one system, and its settings
        return past.fingerprint
    prefix = f"system.{system}."
    own = {name.removeprefix(prefix): v for name, v in past.fingerprint.items() if name.startswith(prefix)}
    told = ", ".join(f"{name}={own[name]}" for name in sorted(own))
    return {**past.fingerprint, "system": system, "system settings": told}


def _any_compared(base: Past, head: Past) -> str:
    """Return a name with a system that both runs compared, by which their common facts are told; empty if none is."""
    return next((name for name in head.scenarios if name in base.verdicts and measurement_named(name).system), "")


def _series_name(past: Past, scenario: str) -> str:
    facts = _facts(past, scenario)
    system, scale, driver, profile = (facts.get(name) for name in ("system", "scale", "driver", "profile"))
    return f"{past.machine}, {system} at scale {scale}, {driver}, {profile}"


def _comparable(base: Past, head: Past) -> list[str]:
    return [name for name in head.scenarios if name in base.verdicts and not differences(base, head, name)]


def _short(facts: Mapping[str, str], name: str) -> str:
    value = facts.get(name, "(absent)")
    return value if len(value) <= 16 else f"{value[:12]}..."  # noqa: PLR2004 - a hash is longer than any other value


def _are(count: int) -> str:
    return "is one" if count == 1 else "are none"
