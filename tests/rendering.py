"""Renders run folders as doit does: the light pages in this process, the report in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from compbench.model import file_names
from compbench.model.records import Capture, Manifest
from compbench.report import pages
from compbench.store import runs
from compbench.store.record_files import read_record
from tests.project import ROOT

# Keeps the script of the charts for all tests: it is always the same, and making it takes a second.
CACHE = tempfile.TemporaryDirectory(prefix="compbench-charts-")
SCENARIOS = ROOT / "scenarios" / "competitive"


def render(
    folder: Path, state: str = "closed", systems_dir: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Render the report of a run."""
    argv = [sys.executable, "-m", "compbench.report", str(folder), str(SCENARIOS), CACHE.name]
    argv += ["--state", state, *(["--systems-dir", str(systems_dir)] if systems_dir else [])]
    done = subprocess.run(
        argv, check=False, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done


def records_of(folder: Path) -> tuple[Manifest, list[Capture]]:
    """Return what is recorded of a run."""
    manifest = read_record(folder / file_names.MANIFEST, Manifest)
    return manifest, runs.Run(folder, manifest).captures()


def write_pages(folder: Path, scenarios_dir: Path = SCENARIOS) -> None:
    """Render the summary, the metadata and `results.json` of a run."""
    manifest, captures = records_of(folder)
    pages.write_pages(
        folder, manifest, captures, interrupted=False, scenarios_dir=scenarios_dir, now=manifest.opened_at
    )


def text_of(folder: Path, ending: str) -> str:
    """Return what stands in one of a run's pages."""
    return (folder / f"{folder.name}_{ending}").read_text()
