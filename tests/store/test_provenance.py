"""Where a measurement comes from: a real repository, a fake cargo, a /sys of our own, and the fingerprint."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from compbench.config.scenarios import load_scenarios
from compbench.config.settings import Settings
from compbench.machine import priority
from compbench.store import provenance
from compbench.systems.engram import server as engram
from compbench.systems.engram.server import cargo_versions
from compbench.systems.registry import load_settings
from tests.helpers import install

ROOT = Path(__file__).resolve().parent.parent.parent


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository on the branch `topic`, with one commit."""
    if shutil.which("git") is None:
        pytest.skip("no git here")
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "topic")
    (folder / "kept").write_text("1")
    git(folder, "add", "kept")
    git(folder, "commit", "-q", "-m", "Subject\n\nBody, over\ntwo lines")
    return folder


def test_a_clean_repository_gives_commit_branch_and_the_whole_message(repository: Path) -> None:
    assert provenance.repository_state(repository) == {
        "commit": git(repository, "rev-parse", "HEAD"),
        "branch": "topic",
        "dirty": [],
        "message": "Subject\n\nBody, over\ntwo lines",
    }


def test_a_message_that_is_no_text_is_marked(repository: Path) -> None:
    message = repository.parent / "message"
    message.write_bytes(b"caf\xe9 \xff\n")
    git(repository, "-c", "i18n.logOutputEncoding=latin1", "commit", "-q", "--allow-empty", "-F", str(message))
    git(repository, "config", "i18n.logOutputEncoding", "latin1")
    state = provenance.repository_state(repository)
    assert state is not None
    assert state["message"].startswith("caf")


def test_uncommitted_changes_are_listed_each(repository: Path) -> None:
    (repository / "kept").write_text("2")
    (repository / "new").touch()
    (repository / "staged").touch()
    git(repository, "add", "staged")
    state = provenance.repository_state(repository)
    assert state is not None
    assert sorted(state["dirty"]) == [" M kept", "?? new", "A  staged"]


def test_reading_the_state_does_not_touch_the_repository(repository: Path) -> None:
    (repository / "kept").touch()  # git would refresh its index, and hold the lock of it, at this occasion
    index = repository / ".git" / "index"
    before = index.stat()
    assert provenance.repository_state(repository) is not None
    after = index.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_repository_without_a_commit_and_a_folder_without_repository(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("no git here")
    assert provenance.repository_state(tmp_path) is None
    git(tmp_path, "init", "-q")
    state = provenance.repository_state(tmp_path)
    assert state is not None
    assert (state["commit"], state["message"]) == (None, None)


def test_without_git_nothing_is_made_up(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert provenance.repository_state(repository) is None


def workspace(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> Path:
    """Make a folder with a Cargo.toml, and put a `cargo` of these lines first on the PATH."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "cargo").write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    (programs / "cargo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    (folder / "Cargo.toml").touch()
    return folder


def test_versions_are_those_that_cargo_tells_in_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = [{"name": "engram-core", "version": "0.2.0"}, {"name": "loadtest", "version": "0.1.3"}]
    (tmp_path / "said.json").write_text(json.dumps({"packages": packages}))
    root = workspace(tmp_path, monkeypatch, f'echo "$PWD $*" > {tmp_path}/asked', "cat said.json")
    assert cargo_versions(root) == {"engram-core": "0.2.0", "loadtest": "0.1.3"}
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith(f"{tmp_path} metadata ")
    assert "--offline" in asked
    assert "--no-deps" in asked


@pytest.mark.parametrize("lines", [["exit 101"], ["echo not JSON"], ["echo '{}'"], ["echo '[]'"]])
def test_a_cargo_that_fails_or_talks_nonsense_tells_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    assert cargo_versions(workspace(tmp_path, monkeypatch, *lines)) == {}


def test_a_cargo_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engram, "_CARGO_TIME_LIMIT_S", 0.3)
    assert cargo_versions(workspace(tmp_path, monkeypatch, "exec sleep 60")) == {}


def test_without_a_workspace_cargo_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = workspace(tmp_path, monkeypatch, f"touch {tmp_path}/asked")
    (root / "Cargo.toml").unlink()
    assert cargo_versions(root) == {}
    assert not (tmp_path / "asked").exists()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no /sys")
@pytest.mark.parametrize(("rotational", "kind"), [("0\n", "SSD"), ("1\n", "HDD")])
@pytest.mark.parametrize("is_partition", [False, True])
def test_a_disk_is_known_by_what_the_kernel_says_of_it_or_of_the_disk_that_it_is_part_of(
    tmp_path: Path, rotational: str, kind: str, is_partition: bool
) -> None:
    disk = tmp_path / "sys/devices/disk"
    (disk / "queue").mkdir(parents=True)
    (disk / "queue/rotational").write_text(rotational)
    (disk / "part1").mkdir()
    device = tmp_path.stat().st_dev
    link = tmp_path / f"sys/dev/block/{os.major(device)}:{os.minor(device)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(disk / "part1" if is_partition else disk)
    assert provenance.disk_type(tmp_path / "not" / "yet", root=tmp_path) == kind


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no /sys")
@pytest.mark.parametrize(
    ("device", "flags", "rotational", "kind"),
    [
        ("virtio2/block/vda", "fpu vme", "1\n", None),
        ("ata1/block/sda", "fpu hypervisor vme", "1\n", None),
        ("ata1/block/sda", "fpu vme", "1\n", "HDD"),
        ("virtio2/block/vda", "fpu hypervisor", "0\n", "SSD"),
    ],
)
def test_a_virtual_disk_that_is_called_rotating_is_of_no_known_type(
    tmp_path: Path, device: str, flags: str, rotational: str, kind: str | None
) -> None:
    disk = tmp_path / "sys/devices" / device
    (disk / "queue").mkdir(parents=True)
    (disk / "queue/rotational").write_text(rotational)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"flags\t\t: {flags}\n")
    number = tmp_path.stat().st_dev
    link = tmp_path / f"sys/dev/block/{os.major(number)}:{os.minor(number)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(disk)
    assert provenance.disk_type(tmp_path, root=tmp_path) == kind


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no /sys")
def test_a_folder_on_no_disk_has_no_disk_type(tmp_path: Path) -> None:
    assert provenance.disk_type(tmp_path, root=tmp_path) is None


def told(**variables: str) -> Settings:
    return load_settings(ROOT, {}, {"system": "embedded", **variables})


def test_the_fingerprint_changes_with_what_changes_a_number_and_with_nothing_else() -> None:
    scenarios = load_scenarios(ROOT / "scenarios" / "competitive", 4)
    plain = provenance.fingerprint(told(), scenarios)
    same = provenance.fingerprint(told(port="7999", ready_timeout_s="5", work_dir="x"), scenarios)
    assert same == plain
    for change in ({"duration_s": "7"}, {"scale": "0.5"}, {"driver": "loadtest"}, {"cooldown_s": "3"}):
        assert provenance.fingerprint(told(**change), scenarios) != plain, change


def test_the_niceness_that_is_given_is_in_the_fingerprint_unless_it_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority, "attainable", lambda asked: max(asked, -10))
    assert provenance.fingerprint(told(), [])["niceness"] == "-10"
    assert "niceness" not in provenance.fingerprint(told(priority="off"), [])


def test_a_rebuilt_binary_changes_the_fingerprint(tmp_path: Path) -> None:
    engram = install(tmp_path / "engram")
    asked = load_settings(tmp_path, {}, {"engram_root": str(engram)})
    before = provenance.fingerprint(asked, [])
    with (engram / "target" / "release" / "engram").open("a") as file:
        file.write("# rebuilt\n")
    after = provenance.fingerprint(asked, [])
    assert [name for name in after if after[name] != before[name]] == ["binary:engram"]


def test_what_was_not_readable_is_none_and_never_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = provenance.read_provenance(load_settings(tmp_path, {}, {"engram_root": str(tmp_path)}), tmp_path)
    assert said["git"] is None
    assert said["versions"]["engram_core"] is None
    assert said["versions"]["rust"] is None
    assert said["binaries"] == {}
    assert {"os", "cpu_model", "physical_cores", "ram_bytes", "disk_type", "governor"} <= set(said["system"])


def test_every_setting_of_a_system_is_in_the_fingerprint_unless_its_folder_excepts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from compbench.systems.embedded import settings as embedded  # noqa: PLC0415 - its KIND is replaced here

    class More(embedded.EmbeddedSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
        effort: int = 64

    before = provenance.fingerprint(told(), [])
    monkeypatch.setattr(embedded, "KIND", dataclasses.replace(embedded.KIND, settings=More))
    after = provenance.fingerprint(told(), [])
    assert after == {**before, "system.effort": "64"}
    excepted = dataclasses.replace(embedded.KIND, unmeasured=frozenset({"effort", "grpc_port"}))
    monkeypatch.setattr(embedded, "KIND", excepted)
    assert provenance.fingerprint(told(), []) == before


def test_the_fingerprint_of_a_study_holds_both_builds_and_what_else_its_variants_differ_in(tmp_path: Path) -> None:
    for name in ("old", "new"):
        install(tmp_path / name)
    (tmp_path / "new" / "target" / "release" / "engram").open("a").write("# rebuilt\n")
    duet = load_settings(tmp_path, {}, {"base": "old", "head": "new"}, run_kind="duet")
    told = provenance.fingerprint(duet, [])
    assert told["binary:base:engram"] != told["binary:head:engram"]
    assert told["system.base.log_level"] == told["system.head.log_level"] == "warn"
    noise = provenance.setting_inputs(load_settings(tmp_path, {}, {"system": "embedded"}, run_kind="noise"))
    assert (noise["variant:off"], noise["variant:auto"]) == ("isolation=off", "isolation=auto")
