"""A run as JUnit XML, which every CI server shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compbench.model.measurement import STUDIES
from compbench.model.records import Capture, Manifest
from compbench.model.times import iso_utc


def junit_xml(manifest: Manifest, captures: Sequence[Capture]) -> bytes:
    """Return a run as JUnit XML, a test case per scenario and repeat: a missed one is a failure, others an error.

    In a study a missed target says nothing: its rounds are compared with each other. A selected scenario that was not
    measured, or that the system does not offer, is skipped.
    """
    from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite  # noqa: PLC0415 - optional

    suite = TestSuite("compbench")
    suite.timestamp = iso_utc(manifest.opened_at).removesuffix("Z")
    for name, value in _properties(manifest):
        suite.add_property(name, value)
    known = {capture.measurement: capture for capture in captures}
    for unit in manifest.selection:
        case = TestCase(unit, "compbench", 0.0)
        capture = known.get(unit)
        if capture is None:
            case.result = [Skipped("not measured")]
        else:
            case.time = capture.ended_at - capture.started_at
            kinds = {"missed": Failure, "failed": Error, "invalid": Error, "not offered": Skipped}
            is_told = not (manifest.kind in STUDIES and capture.outcome.is_measurement)
            kind = kinds.get(capture.outcome.verdict) if is_told else None
            case.result = [kind(capture.outcome.reason, capture.outcome.code)] if kind else []
        suite.add_testcase(case)
    whole = JUnitXml("compbench")
    whole.add_testsuite(suite)
    whole.update_statistics()  # type: ignore[no-untyped-call]
    return bytes(whole.tostring())  # type: ignore[no-untyped-call]


def _properties(manifest: Manifest) -> Iterator[tuple[str, str]]:
    git = manifest.provenance.git
    yield "commit", (git and git.commit) or "unknown"
    for name in ("system", "driver", "profile", "scale", "machine"):
        if name in manifest.fingerprint:
            yield name, manifest.fingerprint[name]
