"""The end of a duet: the pairs are judged, the record is written into the run's folder, and the verdict is printed.

Loaded only when the pairs are measured: its tests take a second to import.
"""

from __future__ import annotations

from compbench.cli.display import Display
from compbench.cli.suite import Suite
from compbench.model import file_names
from compbench.report import render
from compbench.report.builds_compared import SLOWER, compare_builds
from compbench.store.record_files import write_record


def conclude(suite: Suite, display: Display, scenario: str) -> None:
    """Compare the two builds on a scenario that the invocation's run has measured; the exit code is the verdict.

    Raises:
        OSError: the record could not be written.
    """
    if suite.in_progress is None:
        raise AssertionError("a duet's task comes after its measurements, for which a run is open")
    run = suite.in_progress.run
    record = compare_builds(run.manifest, suite.in_progress.captures, scenario)
    write_record(run.folder / file_names.of_study(run.name, scenario, "duet"), record)
    display.line("")
    for line in render("duet.txt.j2", record=record).splitlines():
        display.line(line, ("failed" if record.code == SLOWER else None) if line == record.verdict else None)
    suite.judge(record.code)
