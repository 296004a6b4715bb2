"""The exit code of an invocation, told from the question and the outcomes: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from compbench.cli.selection import Selection
from compbench.machine.interrupts import INTERRUPTED_EXIT_CODE
from compbench.model.records import Capture, Finding
from compbench.preflight.judgement import preflight_exit_code

PASSED, FAILED, NOT_STARTED = 0, 1, 2


def gate_is_open(findings: Iterable[Finding]) -> bool:
    """Tell whether a suite may start: no finding is critical."""
    return all(finding.level != "critical" for finding in findings)


def exit_code(
    selection: Selection,
    findings: Sequence[Finding],
    captures: Iterable[Capture],
    given: Iterable[int],
    *,
    gate_failed: bool,
) -> int:
    """Return the exit code of an invocation that came to its end: the worst that is true of it.

    2 means that nothing started, 1 that not all passed or a task failed, 0 that all is well; the checks alone, and the
    tasks that look back, have codes of their own. What a system does not offer is no failure, and no success either:
    if nothing else was asked for, nothing has passed. A study's code is its own verdict, given by its task: 2 if
    there is none, since 1 would say that a build is slower; that it is slower on one scenario is not hidden by another
    scenario's lack of a verdict.

    Args:
        selection: the measurements that were asked for.
        findings: of the checks that were made.
        captures: of the runs that were worked on, made now or before.
        given: the verdicts that tasks have given.
        gate_failed: whether the suite was refused.
    """
    codes = list(given)
    if gate_failed:
        codes.append(NOT_STARTED)
    elif selection.is_preflight:
        codes.append(preflight_exit_code(findings))
    elif selection.is_study:
        return FAILED if FAILED in codes else max(codes, default=NOT_STARTED)
    elif selection.is_measuring:
        codes.append(PASSED if _all_passed(selection.wanted, captures) else FAILED)
    return max(codes, default=PASSED)


def code_of_failure(selection: Selection) -> int:
    """Return the verdict on a task that failed: 1; in a study 2, since there 1 says that a build is slower."""
    return NOT_STARTED if selection.is_study else FAILED


def exit_code_of(error: BaseException) -> int | str | None:
    """Return the exit code of an invocation that an exception has cut short."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED_EXIT_CODE
    return error.code if isinstance(error, SystemExit) else FAILED


def _all_passed(wanted: Iterable[str], captures: Iterable[Capture]) -> bool:
    verdicts: Mapping[str, str] = {capture.measurement: capture.outcome.verdict for capture in captures}
    told = [verdicts.get(name) for name in wanted]
    asked = [verdict for verdict in told if verdict != "not offered"]
    return all(verdict == "passed" for verdict in asked) and bool(asked or not told)
