"""The summary of a step of GitHub Actions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "GITHUB_STEP_SUMMARY"


def append_step_summary(environment: Mapping[str, str], markdown: str) -> None:
    """Add the report, without its pictures, to the summary of a step of GitHub Actions, if this is one.

    Raises:
        OSError: the file that the environment names can't be written.
    """
    name = environment.get(VARIABLE)
    if not name:
        return
    lines = [line for line in markdown.splitlines() if not line.startswith("![")]
    with Path(name).open("a", encoding="utf-8") as summary:
        summary.write("\n".join(lines) + os.linesep)
