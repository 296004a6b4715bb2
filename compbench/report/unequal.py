"""What is not equal between systems that are compared, in the open, and what is equal in a line. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compbench.model.records import ELSEWHERE, Capture, Manifest, SystemFacts
from compbench.model.texts import BYTES_A_GB
from compbench.report.contenders import Contender
from compbench.report.duels import Contest
from compbench.report.server_versions import versions_of_servers

NOT_TOLD = "not told"
NOT_READABLE = "not readable here"
_UNKNOWN = (NOT_TOLD, NOT_READABLE)
_ASPECTS = {
    "protocol": "protocol",
    "index_definition": "index",
    "durability": "an acknowledged insert survives",
    "inserts": "a search sees an insert",
    "caches": "caches",
    "mode": "mode",
}


@dataclass(frozen=True)
class Differences:
    """Aspects in which systems differ, with what each has, by system; and in words what is equal for all.

    `unknown` are aspects that no system tells of, `proofs` say whether each index answers, and `absent` are rivals that
    are not here, with how to get them.
    """

    aspects: dict[str, dict[str, str]]
    equal: list[str]
    unknown: list[str]
    proofs: list[tuple[str, str]]
    absent: list[str]


def differences_of(manifest: Manifest, captures: Sequence[Capture], contests: Sequence[Contest]) -> Differences:
    """Return what differs between the systems of a run, by what each tells of itself and by what was measured."""
    entries = {contest.scenario: contest.entries for contest in contests}
    facts = {c.system: c.system_facts for c in captures if c.system_facts != SystemFacts()}
    versions = versions_of_servers(captures)
    found = {"version": {system: versions.get(system, NOT_TOLD) for system in manifest.systems}}
    for name, title in _ASPECTS.items():
        found[title] = {s: getattr(facts.get(s, SystemFacts()), name) or NOT_TOLD for s in manifest.systems}
    found["memory limit and CPU set"] = {s: _limits(captures, s) for s in manifest.systems}
    found["effort of searches"] = {s: _efforts(entries, s) for s in manifest.systems}
    if unequal := [c.scenario for c in contests if c.has_equal_recall is False]:
        found["recall of the timed answers"] = {s: _recalls(entries, s, unequal) for s in manifest.systems}
    alike = {title: next(iter(own.values())) for title, own in found.items() if len(set(own.values())) == 1}
    equal = [f"{title}: {told}" for title, told in alike.items() if told not in _UNKNOWN]
    unknown = [title for title, told in alike.items() if told in _UNKNOWN]
    differing = {title: own for title, own in found.items() if len(set(own.values())) > 1}
    absent = [f"{name} ({how})" for name, how in manifest.settings.get("absent") or []]
    return Differences(differing, equal, unknown, _proofs(entries), absent)


def _limits(captures: Sequence[Capture], system: str) -> str:
    """Return which memory and cores a system's server is held to: of one that runs elsewhere nobody here knows."""
    told = [c for c in captures if c.system == system and c.system_facts.mode]
    if not told:
        return NOT_TOLD
    mode, limits, server = told[-1].system_facts.mode, told[-1].server.limits, told[-1].server
    if server.cpus:
        limit = server.memory_limit_bytes
        return f"CPUs {server.cpus}, memory {'not limited' if limit is None else f'{limit / BYTES_A_GB:.3g} GB'}"
    if all(part.endswith(" none") for part in limits.split(", ")):
        limits = ""  # as a container without any says it
    return limits or (NOT_READABLE if mode == ELSEWHERE else "none")


def _recalls(entries: Mapping[str, Sequence[Contender]], system: str, scenarios: Sequence[str]) -> str:
    """Return the recall of a system's timed answers, of each scenario where systems do not have an equal one."""
    own = {name: next(one for one in entries[name] if one.system == system).recall for name in scenarios}
    told = [f"{100 * recall:.2f} % in {name}" for name, recall in own.items() if recall is not None]
    return ", ".join(told) or NOT_TOLD


def _efforts(entries: Mapping[str, Sequence[Contender]], system: str) -> str:
    """Return the efforts that a system's timed searches had, in its own word; by scenario where they differ."""
    found: dict[str, list[str]] = {}
    for scenario, own in entries.items():
        entry = next(one for one in own if one.system == system)
        if entry.effort is not None:
            knob = (entry.frontier.knob if entry.frontier else "") or "effort"
            found.setdefault(f"{knob} {entry.effort}", []).append(scenario)
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"{told} in {', '.join(scenarios)}" for told, scenarios in found.items()) or "no knob is set"


def _proofs(entries: Mapping[str, Sequence[Contender]]) -> list[tuple[str, str]]:
    """Return (level, text) of each system whose index was not proven to answer, and of those where it was."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for scenario, own in entries.items():
        for entry in own:
            if entry.data is None or (not entry.data.index_proof and entry.frontier is None):
                continue  # nothing with an index, or nothing loaded
            proof = entry.data.index_proof
            level = {True: "ok", False: "bad", None: "unknown"}[proof.is_used if proof else None]
            said = proof.said if proof and proof.said else "nothing was told"
            found.setdefault((entry.title, level, said), []).append(scenario)
    words = {
        "ok": "the index answers",
        "bad": "the index does NOT answer: nothing is claimed of these figures",
        "unknown": "whether the index answers is not known",
    }
    return [(level, f"{title}: {words[level]} ({said}; {', '.join(s)})") for (title, level, said), s in found.items()]
