"""Whether an open run may be continued: pure rules over its manifest and the present state."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from compbench.model.measurement import measurement_named
from compbench.model.records import Manifest

_SCENARIO_KEY = "scenario:"


def refusal_to_resume(
    manifest: Manifest, fingerprint: Mapping[str, str], *, now_s: float, boot_id: str, max_age_h: float
) -> str:
    """Say why an open run can't be continued, or return an empty text if it can."""
    if changes := fingerprint_changes(manifest.fingerprint, fingerprint):
        return "its inputs have changed: " + "; ".join(changes)
    if manifest.boot_id != boot_id:
        return "the machine has been rebooted since"
    if (age_h := (now_s - manifest.opened_at) / 3600) > max_age_h:
        return f"it was opened {age_h:.1f} h ago (resume_max_age_h = {max_age_h:g})"
    return ""


def serves(selection: Iterable[str], asked: Iterable[str]) -> bool:
    """Tell whether a run of this selection has every measurement that is asked for, measured already or not."""
    return set(asked) <= set(selection)


def is_whole(manifest: Manifest) -> bool:
    """Tell whether a run is a whole suite: its fingerprint names every scenario that there was when it opened."""
    known = {key.removeprefix(_SCENARIO_KEY) for key in manifest.fingerprint if key.startswith(_SCENARIO_KEY)}
    selected = {measurement_named(name).scenario for name in manifest.selection}
    return manifest.kind != "capacity" and known <= selected


def is_replaced(manifest: Manifest, *, selection: Sequence[str], whole: bool) -> bool:
    """Tell whether a new run of this selection takes the place of an open one.

    Only another whole suite takes the place of a suite; a run of some scenarios takes that of one of the same. Both are
    of one kind, suites or studies.
    """
    if manifest.kind == "capacity":
        return False
    return whole if is_whole(manifest) else not whole and set(manifest.selection) == set(selection)


def fingerprint_changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return the differences of two fingerprints, each as `name: old -> new`, hashes shortened."""
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return [f"{name}: {_short(old.get(name))} -> {_short(new.get(name))}" for name in names]


def input_changes(fingerprint: Mapping[str, str], scenario: str, now: Mapping[str, str], system: str = "") -> list[str]:
    """Return the changes of one measurement's files since its run was opened, as `fingerprint_changes` does.

    Of several systems that are compared, only the programs of the measured one, `system`, count.
    """
    own = (f"{_SCENARIO_KEY}{scenario}", f"set:{scenario}")
    programs = f"binary:{system}:" if system else "binary:"
    names = [name for name in fingerprint if name.startswith(programs) or name in own]
    return fingerprint_changes({name: fingerprint[name] for name in names}, now)


def _short(value: str | None) -> str:
    if value is None:
        return "(absent)"
    return f"{value[:12]}..." if re.fullmatch(r"[0-9a-f]{40,}", value) else value
