"""The results of a run in words: the summary page and the last lines on the screen."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec

from compbench.files.regular import read_regular
from compbench.machine.real_time import rank
from compbench.model import file_names
from compbench.model.catalogue import NOTICES
from compbench.model.measurement import STUDIES, measurement_named
from compbench.model.metrics import P99
from compbench.model.records import Capture, Manifest
from compbench.report import capacities, counted, render
from compbench.report.baselines import Baseline, Comparison
from compbench.report.elsewhere import passages, round_trip_told
from compbench.report.groups import group_captures
from compbench.report.loaded_data import data_lines
from compbench.report.versus import Versus, plain_table
from compbench.systems import registry

# How a user comes to go before other programs.
GO_FIRST = "run doit as root, or give this user `nice -15` and `rtprio 2` in /etc/security/limits.conf"
_OTHERS = "other-processes"
_STUDY_TITLES = {"noise": "Study of noise", "duet": "Duet of two builds"}
# So many names of measurements are told on the screen, and of more the first few.
_MANY, _FIRST = 6, 3


def final_message(manifest: Manifest, captures: Sequence[Capture], folder: Path, *, interrupted: bool) -> str:
    """Return the last lines on the screen (specification 7), with the reason of each failure and the next step."""
    return render(
        "final.txt.j2",
        **_facts(manifest, captures, interrupted=interrupted),
        names_of=names_of,
        folder=shown_folder(folder),
        report=_shown_report(folder),
        manifest=manifest,
        captures=captures,
        repeats=repeats_of(captures),
        busy=what_is_busy(manifest, captures),
        answers=_answers(folder) if manifest.systems else [],
    )


def render_summary(
    manifest: Manifest,
    captures: Sequence[Capture],
    folder: Path,
    comparisons: Sequence[Comparison],
    published: Sequence[Baseline] = (),
    versus: Versus | None = None,
    *,
    interrupted: bool,
) -> str:
    """Return the text of `_summary.txt`.

    `published` has the throughputs that a capacity is set beside, `versus` how systems stand that were compared.
    """
    return render(
        "summary.txt.j2",
        **_facts(manifest, captures, interrupted=interrupted),
        folder=shown_folder(folder),
        manifest=manifest,
        captures=captures,
        comparisons=comparisons,
        duration_s=sum(manifest.spent_s),
        repeats=repeats_of(captures),
        describe=capacities.describe_capacity,
        data=data_lines(captures),
        elsewhere=passages(captures),
        round_trip_told=round_trip_told,
        versus=versus,
        versus_table=plain_table(versus) if versus else [],
        not_comparable=registry.not_comparable(capture.system for capture in captures),
        capacities=[x for c in captures for x in capacities.beside_published(c, c.capacity, published)],
    )


def rounds_of(manifest: Manifest, captures: Sequence[Capture]) -> str:
    """Return how many rounds a study has and what became of them; empty if the run is none.

    There a target that is missed says nothing: the rounds are compared with each other.
    """
    if manifest.kind not in STUDIES:
        return ""
    others = [capture.outcome.verdict for capture in captures if not capture.outcome.is_measurement]
    told = [f"{len(captures) - len(others)} measured"]
    told += [f"{others.count(verdict)} {verdict}" for verdict in dict.fromkeys(others)]
    if left := len(manifest.selection) - len(captures):
        told.append(f"{left} not measured")
    return f"{counted(len(manifest.selection), 'round')}: {', '.join(told)}"


def what_is_busy(manifest: Manifest, captures: Sequence[Capture]) -> str:
    """Return one sentence on the programs that took the cores from what did not pass, and what to do; empty if none."""
    told = [(c.measurement, _busy_in(c)) for c in captures if c.outcome.verdict in ("invalid", "missed")]
    disturbed = [busy for _, busy in told if busy]
    if not disturbed:
        return ""
    # Niceness 0 or above: server and driver wait for their turn like any program.
    apart = manifest.fingerprint.get("isolation", "")
    goes_first = int(manifest.fingerprint.get("niceness", "0")) < 0 and (not apart or rank(True) in apart)
    remedy = "" if goes_first else f", or let server and driver go before them ({GO_FIRST})"
    count = len(disturbed)
    what = "one measurement" if count == 1 else f"{count} measurements"
    return f"This machine is busy with other work, which took the cores from {what}: {disturbed[-1]}; end that{remedy}."


def _busy_in(capture: Capture) -> str:
    """Return which other processes a capture's notice names, empty if it has none."""
    before, _, _ = NOTICES[_OTHERS].text.partition("{")
    texts = [notice.text.removeprefix(before) for notice in capture.notices if notice.code == _OTHERS]
    return texts[0].removesuffix(f"; {NOTICES[_OTHERS].advice}") if texts else ""


def names_of(names: Sequence[str]) -> str:
    """Return names of measurements in a line: of many, how many of each system, and the first few.

    A verdict may follow a name (`alpha@qdrant_run1: failed`).
    """
    if len(names) <= _MANY:
        return ", ".join(names)
    systems = [measurement_named(name.partition(":")[0]).system for name in names]
    counted = ", ".join(f"{systems.count(system)} of {system}" for system in dict.fromkeys(systems) if system)
    return f"{counted}{': ' if counted else ''}{', '.join(names[:_FIRST])}, ..."


def command_again(manifest: Manifest, *, resume: bool) -> str:
    """Return the command, to be pasted, that goes on with a run, or that resumes it by its name.

    It has every setting that the run was called with, so that it also works after `make demo`.
    """
    words = manifest.settings.get("invocation") or ["doit"]
    return shlex.join([*map(str, words), *([f"resume={manifest.run}"] if resume else [])])


def repeats_of(captures: Sequence[Capture]) -> list[str]:
    """Return a line for each scenario that was measured several times: median, range and variation of its P99."""
    lines = []
    for group in group_captures(captures):
        values = group.values(P99)
        if len(group.captures) == 1 or group.verdict == "not offered":
            continue
        counted = f"{len(values)} of {len(group.captures)} repeats"
        if not values:
            lines.append(f"{group.name}: {counted} have figures")
            continue
        # Not by `statistics.spread`: this is rendered beside measurements, and that loads scipy.
        cv_pct = 100 * statistics.stdev(values) / statistics.fmean(values) if len(values) > 1 else None
        lines.append(
            f"{group.name}: P99 median {P99.shown(statistics.median(values))},"
            f" {P99.number(min(values))} to {P99.shown(max(values))} over {counted}"
            + ("" if cv_pct is None else f", coefficient of variation {cv_pct:.1f} %")
        )
    return lines


def shown_folder(folder: Path) -> str:
    """Return the folder as a person would type it from here, with a slash at its end."""
    here = Path.cwd()
    return f"{folder.relative_to(here) if folder.is_relative_to(here) else folder}/"


def _shown_report(folder: Path) -> str:
    """Return the report's page as a person would open it from here, empty if there is none."""
    name = file_names.of_run(folder.name, "report")
    return f"{shown_folder(folder)}{name}" if (folder / name).is_file() else ""


class _Standing(msgspec.Struct, frozen=True):
    scenario: str
    leader: str | None
    answer: str


class _Standings(msgspec.Struct, frozen=True):
    standings: list[_Standing] = []
    demonstration: str = ""


def _answers(folder: Path) -> list[str]:
    """Return who is ahead on each scenario as `results.json` has it, which tells it without scipy; none before that."""
    try:
        found = msgspec.json.decode(read_regular(folder / file_names.RESULTS), type=_Standings)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return []  # what stopped it from being written is told besides
    if found.demonstration:
        return [found.demonstration]
    return [f"{standing.scenario}: {standing.answer}" for standing in found.standings]


def _facts(manifest: Manifest, captures: Sequence[Capture], *, interrupted: bool) -> dict[str, object]:
    done = {capture.measurement for capture in captures}
    state = "interrupted" if interrupted else "complete" if done >= set(manifest.selection) else "not complete yet"
    return {
        "state": state,
        "rounds": rounds_of(manifest, captures),
        "study": _STUDY_TITLES.get(manifest.kind, ""),
        "passed": sum(capture.outcome.verdict == "passed" for capture in captures),
        # Readers of the specified lines count all that did not pass as failed, so each is listed with its verdict.
        "not_passed": [
            f"{c.measurement}: {c.outcome.verdict}"
            for c in captures
            if c.outcome.verdict not in ("passed", "not offered")
        ],
        "not_offered": [c.measurement for c in captures if c.outcome.verdict == "not offered"],
        "again": any(not c.outcome.is_measurement and c.outcome.verdict != "not offered" for c in captures),
        "total": len(manifest.selection),
        "go_on": command_again(manifest, resume=False),
        "resume": command_again(manifest, resume=True),
        "not_run": [name for name in manifest.selection if name not in done],
    }
