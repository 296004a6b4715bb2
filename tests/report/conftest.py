"""What the tests of several modules here call."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from compbench.cli.display import Display
from compbench.systems.registry import load_settings
from tests.project import ROOT


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Call a task that looks back, on the runs of `tmp_path`; gives its exit code and what it printed."""

    def call(show: Callable[..., int], now: float | None = None, **variables: str) -> tuple[int, str]:
        settings = load_settings(ROOT, {}, {"output_dir": str(tmp_path), **variables})
        out = io.StringIO()
        code = show(settings, Display(out)) if now is None else show(settings, Display(out), lambda: now)
        return code, out.getvalue()

    return call
