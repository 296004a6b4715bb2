"""Every closed run, read back from its `results.json`: there is no second store that could disagree.

A folder that can't be read is named, never guessed at and never in the way. `comparable` says which runs may stand side
by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from compbench.files.regular import read_regular
from compbench.model import file_names
from compbench.model.errors import UserError
from compbench.model.file_names import TIMESTAMP
from compbench.model.measurement import STUDIES, Measurement
from compbench.model.notices import Outcome, Verdict, worst
from compbench.model.records import RESULTS_SCHEMA, Git, Machine, Provenance
from compbench.model.result import Capacity

# Names in older runs.
_RENAMED = {"target": "system", "engram_log_level": "system.log_level"}
_Told = TypeVar("_Told", int, str)
# Of the words of `uname`.
_RELEASE = 2
# The year 9999, the last that a date can have.
_LATEST_S = 253_370_000_000


class _DataSet(msgspec.Struct, frozen=True):
    stored: int | None = None
    wanted: int | None = None


def amount(stored: int | None, loaded: int | None) -> str:
    """Return how many vectors a scenario was measured on, as its server tells, or else as they were loaded."""
    if stored is not None:
        return str(stored)
    return "not told" if loaded is None else f"{loaded} loaded"


class _Details(msgspec.Struct, frozen=True):
    effort: int | None = None


class _Result(msgspec.Struct, frozen=True):
    details: _Details | None = None


class _Scenario(msgspec.Struct, frozen=True):
    scenario: str
    outcome: Outcome
    metrics: dict[str, Annotated[float, msgspec.Meta(ge=0)] | None]
    repeat: int | None = None
    data_set: _DataSet | None = None
    capacity: Capacity | None = None
    duration_s: float | None = None
    system: str = ""
    is_compared: bool = False
    variant: str = ""
    result: _Result | None = None

    @property
    def contender(self) -> str:
        return self.variant or (self.system if self.is_compared else "")

    @property
    def effort(self) -> int | None:
        return self.result.details.effort if self.result and self.result.details else None

    @property
    def name(self) -> str:
        return Measurement(self.scenario, system=self.contender).name


class _Head(msgspec.Struct, frozen=True):
    schema: int


class _Results(msgspec.Struct, frozen=True):
    schema: int
    run: str
    state: str
    opened_at: Annotated[float, msgspec.Meta(ge=0, le=_LATEST_S)]
    fingerprint: dict[str, str]
    scenarios: list[_Scenario]
    kind: str = "suite"
    systems: list[str] = []
    settings: dict[str, Any] = {}
    provenance: Provenance = Provenance()


@dataclass(frozen=True)
class PastMeasurement:
    """One measurement of a closed run; a failed or invalid one has no figures.

    `system` is its name where the run compared several, or that of a variant; empty where it measured one.
    """

    scenario: str
    repeat: int
    verdict: Verdict
    figures: Mapping[str, float]
    duration_s: float | None = None
    system: str = ""

    @property
    def name(self) -> str:
        """Return the name under which its figures stand: `alpha`, or with a system `alpha@qdrant`."""
        return Measurement(self.scenario, system=self.system).name


@dataclass(frozen=True)
class Past:
    """One closed run: build, machine, figures and verdicts.

    `values` has the figures by scenario and metric, of each repeat that passed or missed; `measured`
    says which is which. Where a run compared `systems` (the subject first), `alpha@qdrant` stands for a scenario
    everywhere, so that figures of different systems never meet. `efforts` tells what its timed searches had, if any.
    `kernel` is the release of the machine's kernel, empty if it is not known.
    """

    run: str
    opened_at: float
    fingerprint: Mapping[str, str]
    commit: str
    dirty: bool
    machine: str
    values: Mapping[str, Mapping[str, list[float]]]
    verdicts: Mapping[str, Verdict]
    measured: Sequence[PastMeasurement] = ()
    kind: str = "suite"
    capacities: Mapping[str, Capacity] = field(default_factory=dict)
    systems: Sequence[str] = ()
    efforts: Mapping[str, str] = field(default_factory=dict)
    kernel: str = ""

    @property
    def scenarios(self) -> list[str]:
        """Return the scenarios that have a capture, failed ones too; with their systems where it compared several."""
        return list(self.verdicts)

    @property
    def is_study(self) -> bool:
        """Tell whether it measured variants of a system in turn, so that its figures belong in no row of others."""
        return self.kind in STUDIES


def read_history(output_dir: Path) -> tuple[list[Past], list[str]]:
    """Return every closed run, oldest first, and a line for each folder that is none and why."""
    found, skipped = [], []
    folders = sorted(path for path in output_dir.iterdir() if path.is_dir()) if output_dir.is_dir() else []
    for folder in folders:
        if folder.name.startswith("."):
            continue
        try:
            past = read_past(folder)
        except UserError as error:
            skipped.append(str(error))
            continue
        if past is not None:
            found.append(past)
    return found, skipped


def read_past(folder: Path) -> Past | None:
    """Return a run as its `results.json` tells it, None if it is not closed.

    Raises:
        UserError: the folder is not a run's, or its results can't be read.
    """
    if not TIMESTAMP.fullmatch(folder.name):
        raise UserError(f"{folder.name}: skipped: not the folder of a run")
    try:
        content = read_regular(folder / file_names.RESULTS)
        if (schema := msgspec.json.decode(content, type=_Head).schema) != RESULTS_SCHEMA:
            raise UserError(
                f"{folder.name}: skipped: its results.json is of schema {schema}, this compbench reads {RESULTS_SCHEMA}"
            )
        results = msgspec.json.decode(content, type=_Results)
    except FileNotFoundError:
        raise UserError(f"{folder.name}: skipped: no results.json (the run was not finished)") from None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{folder.name}: skipped: results.json can't be read ({error})") from None
    if results.run != folder.name:
        raise UserError(f"{folder.name}: skipped: its results.json is of run {results.run}")
    return _past(results) if results.state == "closed" else None


def kernel_of(system: Machine) -> str:
    """Return the kernel's release, as a run has recorded it (system, host, release ...); empty if it is not told."""
    words = (system.os or "").split()
    return words[_RELEASE] if len(words) > _RELEASE else ""


def named(history: Iterable[Past], run: str) -> Past:
    """Return the closed run of that timestamp.

    Raises:
        UserError: there is none; names the newest ones.
    """
    known = {past.run: past for past in history}
    if run in known:
        return known[run]
    raise UserError(f"no closed run {run!r}: the newest are {', '.join(list(known)[-3:]) or 'none yet'}")


def _past(results: _Results) -> Past:
    git, system = results.provenance.git or Git(), results.provenance.system or Machine()
    values: dict[str, dict[str, list[float]]] = {}
    verdicts: dict[str, Verdict] = {}
    measured = [_measured(scenario) for scenario in results.scenarios]
    for one in measured:
        verdicts[one.name] = worst((one.verdict, verdicts.get(one.name, one.verdict)))
        own = values.setdefault(one.name, {})
        for name, value in one.figures.items():
            own.setdefault(name, []).append(value)
    return Past(
        run=results.run,
        opened_at=results.opened_at,
        fingerprint=_inputs(results),
        kind=results.kind,
        capacities={s.name: s.capacity for s in results.scenarios if s.capacity},
        commit=git.commit or "",
        dirty=bool(git.dirty),
        machine=f"{system.cpu_model or 'machine'} ({results.fingerprint.get('machine', '')[:6]})",
        values=values,
        verdicts=verdicts,
        measured=measured,
        systems=results.systems,
        efforts=_efforts(results),
        kernel=kernel_of(system),
    )


def _efforts(results: _Results) -> dict[str, str]:
    """Return the efforts of each scenario's searches, where they have a knob for that: one, or several of repeats."""
    found: dict[str, list[int]] = {}
    for one in results.scenarios:
        if one.effort:
            found.setdefault(one.name, []).append(one.effort)
    return {name: each_once(efforts) for name, efforts in found.items()}


def each_once(values: Iterable[_Told]) -> str:
    """Return the efforts, or amounts, of several repeats as one text: each once, in their order."""
    return ", ".join(map(str, sorted(set(values))))


def told_inputs(fingerprint: Mapping[str, str]) -> dict[str, str]:
    """Return a fingerprint under the names of today, with the system's settings as one text."""
    found = {_RENAMED.get(name, name): value for name, value in fingerprint.items()}
    own = {name: value for name, value in found.items() if name.startswith("system.")}
    found["system settings"] = ", ".join(f"{name.removeprefix('system.')}={own[name]}" for name in sorted(own))
    return found


def _inputs(results: _Results) -> dict[str, str]:
    """Return the fingerprint as runs are compared by it, and how many vectors each scenario had."""
    found = told_inputs(results.fingerprint)
    for name in dict.fromkeys(one.name for one in results.scenarios):
        sets = [one.data_set for one in results.scenarios if one.name == name and one.data_set]
        if sets:
            found[f"stored:{name}"] = each_once(amount(data_set.stored, data_set.wanted) for data_set in sets)
    return found


def _measured(scenario: _Scenario) -> PastMeasurement:
    figures = scenario.metrics if scenario.outcome.is_measurement else {}
    known = {name: value for name, value in figures.items() if value is not None}
    return PastMeasurement(
        scenario=scenario.scenario,
        repeat=scenario.repeat or 1,
        verdict=scenario.outcome.verdict,
        figures=known,
        duration_s=scenario.duration_s,
        system=scenario.contender,
    )
