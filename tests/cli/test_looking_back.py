"""The tasks that look back, through the real doit and without what they need."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from compbench import report
from compbench.cli import looking_back
from compbench.cli.display import Display
from compbench.model.errors import UserError
from compbench.systems.registry import load_settings
from tests.past_runs import add_run
from tests.project import ROOT, Project


def test_without_the_extra_each_task_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_run(tmp_path, 0, [10.0, 10.1])
    settings, display = load_settings(ROOT, {}, {"output_dir": str(tmp_path)}), Display(io.StringIO())
    monkeypatch.setattr(report, "_EXTRA", ("scipy", "no_such_library"))
    for show in (looking_back.show_trend, looking_back.show_comparison, looking_back.show_export):
        with pytest.raises(UserError, match=r"pip install '\.\[report\]'.*no_such_library"):
            show(settings, display)
    assert looking_back.show_due(settings, display) == 1


def test_doit_ends_with_the_exit_codes_that_ci_wants(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=("alpha",))
    assert project.doit("due").returncode == 1
    assert project.doit("compare").returncode == 2
    add_run(project.output, 0, [10.0, 10.1, 9.9])
    add_run(project.output, 1, [10.0, 10.1, 9.9])
    done = project.doit("compare")
    assert (done.returncode, "no regression" in done.stdout) == (0, True), done.stdout + done.stderr
    add_run(project.output, 2, [12.0, 12.1, 11.9])
    assert project.doit("compare").returncode == 1
    assert project.doit("trend").returncode == 0
    assert project.doit("export").returncode == 0
    assert {"trend.html", "runs.csv", "compbench.prom"} <= {path.name for path in project.output.iterdir()}
    refused = project.doit("compare", "base=yesterday")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    (project.root / "tmp" / "lock").unlink(missing_ok=True)
    (project.root / "tmp" / "lock").mkdir(parents=True)
    refused = project.doit("clean")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "can't be the suite's lock" in refused.stderr
