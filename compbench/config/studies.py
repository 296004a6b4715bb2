"""Studies: runs that measure variants of one system in turn; what is their default, and what their variants are.

`noise` measures the same thing with and without isolation, `duet` two builds. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from compbench.config.folders import absolute_folder
from compbench.config.settings import Settings
from compbench.config.system_tables import AUTO, SystemKind
from compbench.model.errors import UserError
from compbench.model.measurement import FEWEST_PAIRS, RunKind
from compbench.model.noise import LEAST_COUNT
from compbench.model.partition import AUTO as AUTO_ISOLATION
from compbench.model.partition import OFF

# The defaults of a study, in place of the profile's.
STUDY_DEFAULTS: dict[RunKind, dict[str, Any]] = {
    # All else is as in the runs whose noise it is.
    "noise": {"repeat": 10},
    # Many short rounds tell more than a few long ones: what differs between rounds is what hides a change.
    "duet": {
        "duration_s": 5,
        "warm_up_s": 1.0,
        "cooldown_s": 1.0,
        "sample_interval_s": 1.0,
        "loading_s": 10.0,
        "repeat": 12,
        "flamegraph": False,
    },
}
# The variants of `noise` by the setting that makes them.
ISOLATIONS = (OFF, AUTO_ISOLATION)
BUILDS = ("base", "head")


def study_system(settings: Settings, run_kind: RunKind, known: Mapping[str, SystemKind]) -> Settings:
    """Return the settings with the system that a duet is about where none is named: the first that has builds.

    Raises:
        UserError: several systems are named.
    """
    if run_kind == "suite":
        return settings
    if "," in settings.system:
        raise UserError(f"{run_kind}: it is about one system, and system = {settings.system!r} names several")
    if run_kind == "duet" and settings.system == AUTO:
        return msgspec.structs.replace(settings, system=next((n for n, kind in known.items() if kind.build), AUTO))
    return settings


def refuse_isolation_in_noise(run_kind: RunKind, isolation: str, where: str) -> None:
    """Refuse an isolation that a study of noise would not measure with, since it sets that itself.

    Raises:
        UserError: names the source that sets it, and how to do without.
    """
    if run_kind == "noise" and isolation != AUTO_ISOLATION:
        raise UserError(
            f"{where}: isolation = {isolation!r}: noise is measured with {' and '.join(ISOLATIONS)} in turn: leave it"
            " out, or say isolation=auto"
        )


def variants_of(run_kind: RunKind, settings: Settings, root: Path, kind: SystemKind) -> dict[str, dict[str, Any]]:
    """Return the variants that a study measures, each with the settings in which it differs; none of a suite.

    Raises:
        UserError: a study has too few repeats; a duet lacks a build, or the system has none that could be named.
    """
    if run_kind == "noise":
        if settings.repeat < LEAST_COUNT:
            raise UserError(
                f"noise: repeat = {settings.repeat}: so few tell nothing of a spread: at least {LEAST_COUNT} (10 unless"
                " it is set)"
            )
        return {name: {"isolation": name} for name in ISOLATIONS}
    if run_kind != "duet":
        return {}
    if not kind.build:
        raise UserError(
            f"duet: no setting of {kind.title} says which build of it is measured: name a system of which two builds"
            " are here (system=)"
        )
    asked = {name: getattr(settings, name) for name in BUILDS}
    if missing := [name for name, folder in asked.items() if not folder]:
        raise UserError(
            f"duet: without {' and '.join(f'{name}=' for name in missing)} there are no two builds: `doit duet"
            f" base=<{kind.build} of one build> head=<{kind.build} of the other>`"
        )
    if settings.repeat < FEWEST_PAIRS:
        raise UserError(
            f"duet: repeat = {settings.repeat}: so few pairs never tell builds apart: at least {FEWEST_PAIRS} (12"
            " unless it is set)"
        )
    folders = {name: str(absolute_folder(root, name, folder, "command line")) for name, folder in asked.items()}
    return {name: {f"system.{settings.system}.{kind.build}": folder} for name, folder in folders.items()}
