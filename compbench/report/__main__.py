"""`python -m compbench.report FOLDER SCENARIOS_DIR CACHE_DIR`: renders the report of one run, as a runner's child.

Exit code 0, or 1 with one line that says why.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from compbench.config.system_tables import KIND_KEY
from compbench.files.whole import write_whole
from compbench.model import file_names
from compbench.model.errors import UserError
from compbench.model.records import Manifest
from compbench.report import missing_extra, page
from compbench.report.export import junit, step_summary
from compbench.store import runs
from compbench.store.noise_records import read_noises
from compbench.store.record_files import read_record
from compbench.systems import discovery


def main() -> int:
    """Render the report of the folder that is named."""
    parser = argparse.ArgumentParser(prog="python -m compbench.report")
    parser.add_argument("folder", type=Path)
    parser.add_argument("scenarios_dir", type=Path)
    parser.add_argument("cache_dir", type=Path)
    parser.add_argument("--state", default="", help="the state to show; the manifest's if not given")
    parser.add_argument("--systems-dir", type=Path, help="where systems are that compbench does not bring")
    asked = parser.parse_args()
    try:
        discovery.look_into(asked.systems_dir)
        render_run(asked.folder, asked.scenarios_dir, asked.cache_dir, state=asked.state)
    except (UserError, OSError) as error:
        sys.stderr.write(f"compbench: {error}\n")
        return 1
    return 0


def render_run(folder: Path, scenarios_dir: Path, cache_dir: Path, *, state: str) -> None:
    """Render everything of a run that takes charts or statistics.

    Raises:
        OSError: a file could not be written.
        UserError: the manifest or a capture can't be read, or the baselines are wrong.
    """
    manifest = read_record(folder / file_names.MANIFEST, Manifest)
    _make_systems(folder, manifest)
    captures = runs.Run(folder, manifest).captures()
    noises, _ = read_noises(cache_dir)
    report = page.gather(folder, manifest, captures, scenarios_dir, state=state or manifest.state, noises=noises)
    markdown = page.write_report(folder, report, cache_dir)
    if not missing_extra():
        write_whole(folder / file_names.of_run(folder.name, "junit"), junit.junit_xml(manifest, captures))
    if state == "closed":
        step_summary.append_step_summary(os.environ, markdown)


def _make_systems(folder: Path, manifest: Manifest) -> None:
    """Let the run's settings make the systems that tables made in the runner's process."""
    tables = manifest.settings.get("system_tables", {})
    for name, own in tables.items() if isinstance(tables, dict) else ():
        if isinstance(own, dict) and KIND_KEY in own and name not in discovery.names():
            discovery.make(name, str(own[KIND_KEY]), str(folder / file_names.MANIFEST))


if __name__ == "__main__":
    # A page is no hurry: whatever is measured on this machine goes first.
    os.nice(10)
    raise SystemExit(main())
