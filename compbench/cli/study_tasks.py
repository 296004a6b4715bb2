"""The doit tasks of studies, which measure variants of one system in turn and compare them: `<study>:<scenario>`.

Naming one makes the run a study (`compbench.cli.selection`); to all other invocations they are only words of the menu.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from compbench.cli.actions import succeed_or_fail
from compbench.cli.file_state import never
from compbench.cli.selection import studied_scenario
from compbench.cli.suite import Suite
from compbench.cli.tasks import Task
from compbench.config.scenarios import scenario_title
from compbench.model import file_names
from compbench.model.errors import UserError
from compbench.model.measurement import RunKind, of_scenarios
from compbench.report import missing_extra


class Study(NamedTuple):
    """One kind of study: its name, what it is for, what judges a measured scenario, and whether it keeps its words."""

    kind: RunKind
    doc: str
    conclude: Callable[[str], None]
    has_text: bool = False


def duet(suite: Suite, conclude: Callable[[str], None]) -> Iterator[Task]:
    """Yield the tasks that measure two builds of one system against each other.

    Raises:
        UserError: one is asked for, and a package that judges it is missing.
    """
    if suite.project.settings.run_kind == "duet" and (line := missing_extra("scipy")):
        raise UserError(f"duet: {line}")
    doc = "measure two builds in alternating rounds (base=, head=: their roots); exit code 1 if head is slower"
    yield from studies(suite, Study("duet", doc, conclude))


def noise(suite: Suite, conclude: Callable[[str], None]) -> Iterator[Task]:
    """Yield the tasks that measure how far figures of the same thing differ on this machine, isolated and not.

    Raises:
        UserError: one is asked for, and a package that calculates is missing.
    """
    if suite.project.settings.run_kind == "noise" and (line := missing_extra("scipy")):
        raise UserError(f"noise: {line}")
    doc = "measure this machine's noise for `compare`: the same thing repeat= times, isolated and not"
    yield from studies(suite, Study("noise", doc, conclude, has_text=True))


def studies(suite: Suite, study: Study) -> Iterator[Task]:
    """Yield the study of the first scenario, and that of each by its name; its record is in the run's folder."""
    project = suite.project
    first = studied_scenario(project.measurements)
    naming = [file_names.of_study, *([file_names.of_study_text] if study.has_text else [])]
    yield {
        "basename": study.kind,
        "doc": study.doc,
        "actions": [],
        "task_dep": [f"{study.kind}:{first}"] if first else [],
    }
    for scenario in project.scenarios:
        # Another kind of run has other measurements.
        is_asked = project.settings.run_kind == study.kind
        names = of_scenarios(project.measurements, [scenario]) if is_asked else []
        captures = [str(project.file_of(name, "capture")) for name in names]
        folder = Path(captures[0]).parent if captures else project.output_dir / project.new_names[0]
        yield {
            "basename": f"{study.kind}:{scenario}",
            "doc": f"{study.kind} of {scenario_title(project.scenario_path(scenario))}",
            "actions": [succeed_or_fail(study.conclude, scenario)],
            "task_dep": [f"pages:{name}" for name in names],
            "file_dep": captures or [str(project.scenario_path(scenario))],
            "targets": [str(folder / name(folder.name, scenario, study.kind)) for name in naming],
            "uptodate": [never("what was measured is judged anew")],
        }
