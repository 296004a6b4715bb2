"""The names of everything that a run's folder holds (specification 4), in one place; pure naming."""

from __future__ import annotations

import re

from compbench.model.measurement import STUDIES, measurement_named

TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}")
MANIFEST = "manifest.json"
RESULTS = "results.json"
EVENTS = "events.jsonl"
# Of all runs, and beside them.
TREND, RUNS_CSV, OPENMETRICS = "trend.html", "runs.csv", "compbench.prom"
# Empty, and there as soon as the run is closed or abandoned: its manifest need not be read to know that.
ENDED = ".ended"
# Where what an abandoned run left half is kept, inside its folder.
LEFTOVERS = "leftovers"

# Under way, or of something that did not run whole.
PARTIAL = ".partial"
# A whole output of something that is no measurement.
INVALID = ".invalid"

# The driver's and the server's own records of one measurement; `capture` is always written last.
MEASURED = {
    "stdout": ".txt",
    "stderr": "_stderr.txt",
    "driver_json": ".json",
    "hlog": ".hlog",
    "server_log": "_server.log",
    "stacks": "_stacks.log",
    "capture": "_capture.json",
}
RENDERED = {"diagnostics": "_diag.txt", "system": "_sys.txt", "flamegraph": "_flamegraph.svg"}
# What is rendered of the whole run; `light` after every measurement, the others when it ends.
LIGHT_PAGES = {"metadata": "metadata.txt", "summary": "summary.txt"}
REPORT_PAGES = {"report": "report.html", "markdown": "report.md", "junit": "junit.xml"}

# Readers of a run's folder take these endings for other kinds of files than a scenario's own output.
RESERVED_ENDINGS = (
    *(re.split(r"[_.]", ending)[1] for ending in (*MEASURED.values(), *RENDERED.values()) if ending.startswith("_")),
    *(name.partition(".")[0] for name in (*LIGHT_PAGES.values(), *REPORT_PAGES.values())),
    *("capacity", "progress", *STUDIES),
)  # fmt: skip


def of_measurement(run: str, measurement: str, kind: str) -> str:
    """Return the name of one of a measurement's files; `kind` is a key of `MEASURED` or `RENDERED`."""
    ending = MEASURED.get(kind) or RENDERED[kind]
    if kind == "stdout" and measurement_named(measurement).kind == "capacity":
        ending = ".log"  # readers of a run take every other `.txt` for a scenario's report
    return f"{run}_{measurement}{ending}"


def of_run(run: str, kind: str) -> str:
    """Return the name of one of a run's own pages; `kind` is a key of `LIGHT_PAGES` or `REPORT_PAGES`."""
    return f"{run}_{LIGHT_PAGES.get(kind) or REPORT_PAGES[kind]}"


def of_study(run: str, scenario: str, kind: str) -> str:
    """Return the name of the record of what a study, one of `STUDIES`, has found."""
    return f"{run}_{scenario}_{kind}.json"


def of_study_text(run: str, scenario: str, kind: str) -> str:
    """Return the name of what a study has found, as it is told on the terminal."""
    return f"{run}_{scenario}_{kind}.log"  # readers of a run take every other `.txt` for a scenario's report


def flat_result(measurement: str) -> str:
    """Return the name of the five figures that validators of a result read."""
    return f"{measurement}_loadtest.json"
