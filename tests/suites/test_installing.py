"""Systems installed from a registry, which a stand-in's commands take the place of."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.helpers import STAND_INS
from tests.project import NAMES, Project, eventually


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of one scenario that knows the stand-ins, one of which can be installed."""
    made = Project(tmp_path / "project", names=NAMES[:1])
    made.set(system="contender", systems_dir=str(STAND_INS / "systems"), driver="builtin")
    return made


def installed(project: Project) -> Path:
    """Return the folder of the installed system."""
    return project.root / "tmp" / "cache" / "systems" / "contender-1.0"


def test_a_system_is_installed_once_measured_and_spared_by_clean(project: Project) -> None:
    assert "missing" in project.doit("systems").stdout
    refused = project.doit()
    assert refused.returncode == 2
    assert "doit install:contender" in refused.stdout
    done = project.doit("install:contender")
    assert done.returncode == 0, done.stdout + done.stderr
    packaged = "the contender 1.0, licence Apache-2.0"
    said = f"install:contender: {packaged}, about 3 MB from a package registry, into "
    assert f"{said}{installed(project)}" in done.stdout
    assert "note: it is a stand-in" in done.stdout
    assert sorted(path.name for path in installed(project).parent.iterdir()) == [".lock", "contender-1.0"]
    stamp = (installed(project) / "flat_server.py").stat().st_mtime_ns
    assert project.doit("install:contender").returncode == 0
    assert (installed(project) / "flat_server.py").stat().st_mtime_ns == stamp
    assert project.doit().returncode in (0, 1)
    assert project.capture("alpha")["server"]["version"] == "flat-server 1.0"
    assert "install:contender (installed)" in project.doit("install").stdout
    cleaned = project.doit("clean")
    assert "kept tmp/cache/systems/contender-1.0 (installed; `rm -r` removes it)" in cleaned.stdout
    assert (installed(project) / "flat_server.py").is_file()


def test_a_failed_installation_shows_its_last_lines_and_leaves_nothing(project: Project) -> None:
    done = project.doit("install:contender", STAND_IN_INSTALL="fails")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "| no such package: flat-server==1.0" in done.stdout
    assert "install:contender: python" in done.stdout + done.stderr
    assert "nothing is installed" in done.stdout + done.stderr
    assert not installed(project).exists()
    project.environment["PATH"] = str(Path(shutil.which("env") or "").parent / "none")
    done = project.doit("install:contender")
    assert "install:contender: not on the PATH: sh (the copying needs a shell)" in done.stdout + done.stderr


def test_a_killed_installation_does_not_count_and_is_begun_anew(project: Project) -> None:
    running = project.start("install:contender", STAND_IN_INSTALL="hangs")
    assert eventually((installed(project) / "half").exists)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate(timeout=30)
    shutil.copy(STAND_INS / "flat_server.py", installed(project))  # its result may be there before it is whole
    assert eventually(lambda: not project.orphans(), 10.0)
    assert "missing" in project.doit("systems").stdout
    assert project.doit("install:contender").returncode == 0
    assert "missing: " not in project.doit("systems").stdout.partition("contrary:")[0]
    shutil.rmtree(installed(project))
    running = project.start("install:contender", STAND_IN_INSTALL="hangs")
    assert eventually((installed(project) / "half").exists)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=30)
    assert eventually(lambda: not project.orphans(), 10.0)
    assert project.doit("clean").returncode == 0
    assert [path.name for path in installed(project).parent.iterdir()] == [".lock"]
