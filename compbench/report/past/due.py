"""Which closed runs count for the quarterly habit: whole ones, at full length, of the system that is asked for.

Decides from the `results.json` of each run and the declarations of its system.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compbench.model.measurement import Measurement
from compbench.report.past.history import Past
from compbench.systems import registry

# Verdicts that come with figures; a target that was missed is a result too.
_WITH_FIGURES = ("passed", "missed")

# A run of whole data sets tells no less than one of as much as loads in time.
_WHOLE = ("1", "1.0")


@dataclass(frozen=True)
class Wanted:
    """The conditions for a run to count: of this system at this data scale, with these scenarios.

    `scale` is as a run's fingerprint has it. An empty `system` means that nobody has named one: then any counts, at any
    scale, whose figures may be compared with those of competitors.
    """

    system: str
    scale: str
    scenarios: Sequence[str]


def newest_full(known: Sequence[Past], wanted: Wanted) -> tuple[Past | None, list[str]]:
    """Return the newest run that counts, and for each newer suite, the newest first, why it does not.

    Args:
        known: closed runs, oldest first.
        wanted: the conditions.
    """
    reasons: list[str] = []
    for past in reversed([past for past in known if past.kind == "suite"]):
        reason = why_not(past, wanted)
        if not reason:
            return past, reasons
        reasons.append(f"{past.run}: {reason}")
    return None, reasons


def why_not(past: Past, wanted: Wanted) -> str:
    """Return why a run does not count, empty if it does."""
    facts = past.fingerprint
    reasons: list[str] = []
    if facts.get("profile") != "full":
        reasons.append(f"profile {facts.get('profile')}")
    if (duration_s := facts.get("duration_s", "None")) != "None":
        reasons.append(f"{duration_s} s a scenario in place of the scenario's own duration")
    reasons += _of_another_system(past, wanted)
    system = _system_of(past, wanted)
    names = {
        scenario: Measurement(scenario, system=system if past.systems else "").name for scenario in wanted.scenarios
    }
    if missing := [scenario for scenario, name in names.items() if name not in past.verdicts]:
        reasons.append(f"without {', '.join(missing)}")
    for verdict in dict.fromkeys(past.verdicts.values()):
        without = [s for s, n in names.items() if past.verdicts.get(n) == verdict and not _has_figures(past, n)]
        if without:
            reasons.append(f"{', '.join(without)} {verdict}")
    return ", ".join(reasons)


def _system_of(past: Past, wanted: Wanted) -> str:
    """Return the system by which a run counts: where it compared several, the one that is asked for, or the subject."""
    if not past.systems:
        return past.fingerprint.get("system", "unknown")
    return wanted.system if wanted.system in past.systems else past.systems[0]


def _of_another_system(past: Past, wanted: Wanted) -> list[str]:
    system, scale = _system_of(past, wanted), past.fingerprint.get("scale", "")
    if system != wanted.system and (wanted.system or registry.kind_of(system).not_comparable):
        return [f"of the system {system}"]
    whole = ("", wanted.scale, *(_WHOLE if wanted.scale.startswith("auto") else ()))
    if wanted.system and scale not in whole:
        return [f"data scale {scale} and not {wanted.scale}"]
    return []


def _has_figures(past: Past, name: str) -> bool:
    return any(one.name == name and one.verdict in _WITH_FIGURES for one in past.measured)
