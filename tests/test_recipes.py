"""The recipes of CONTRIBUTING.md do what they say: their code is run as it stands there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compbench.preflight import checks, findings
from compbench.report import pages
from compbench.report.past import history
from tests import synthetic
from tests.project import ROOT, free_port
from tests.report.test_export import SCENARIOS, read

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def section_of(recipe: str) -> str:
    """Return the text below a heading."""
    (section,) = re.findall(rf"^## {recipe}\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    return str(section)


def code_of(recipe: str) -> list[str]:
    """Return the blocks of Python below a heading, in order."""
    return [textwrap.dedent(block) for block in re.findall(r"```python\n(.*?)```", section_of(recipe), re.DOTALL)]


def commands_of(recipe: str) -> list[str]:
    """Return the lines for a shell below a heading, in order: those of blocks, else those within the text."""
    section = section_of(recipe)
    blocks = re.findall(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return "".join(blocks).splitlines() or re.findall(r"`(doit [^`]*)`", section)


@pytest.mark.process
def test_the_system_of_the_recipe_is_known_by_being_there(tmp_path: Path) -> None:
    settings, server, client = code_of("Add a system")
    folder = tmp_path / "mydb"
    folder.mkdir()
    files = {"__init__": '"""MyDB."""\n', "settings": settings, "server": server, "client": client}
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    argv = [sys.executable, "-m", "doit", f"systems_dir={tmp_path}", "system=mydb", f"port={free_port()}", "plan"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert re.search(r"^  system +mydb \(system=mydb is set\)$", done.stdout, re.MULTILINE), done.stdout + done.stderr
    assert done.stderr == ""
    scenario = next((ROOT / "scenarios" / "competitive").glob("*.toml"))
    argv = [sys.executable, "-m", "compbench.loadtest", "prepare", "--scenario", str(scenario), "--system", "mydb"]
    argv += ["--systems-dir", str(tmp_path), "--endpoint", f"http://127.0.0.1:{free_port()}"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "is the server running there?" in done.stderr


@pytest.mark.parametrize(("used_pct", "level"), [(None, "ok"), (10.0, "ok"), (10.1, "warning")])
def test_the_check_of_the_recipe_judges(used_pct: float | None, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row, entry = code_of("Add a check")
    reading = SimpleNamespace(swap_memory=lambda: SimpleNamespace(percent=used_pct))
    names: dict[str, Any] = {**vars(findings), **vars(checks), "psutil": reading}
    monkeypatch.setitem(findings.FINDINGS, "swap", eval(f"{{{row}}}", names)["swap"])
    (check,) = eval(f"(\n{entry})", names)
    found = check.find(None)
    assert (found.check, found.level) == ("swap", level)
    assert (found.mend == "swapoff -a; swapon -a") == (level == "warning")


def test_the_exporter_of_the_recipe_writes_what_a_parser_reads(tmp_path: Path) -> None:
    module, _ = code_of("Add an exporter")
    folder = synthetic.make_run(tmp_path)
    manifest, captures = read(folder)
    pages.write_pages(folder, manifest, captures, interrupted=False, scenarios_dir=SCENARIOS, now=manifest.opened_at)
    names: dict[str, Any] = {}
    exec(module, names)
    past = history.read_past(folder)
    lines = [json.loads(line) for line in names["jsonl_text"]([past]).splitlines()]
    assert {line["run"] for line in lines} == {folder.name}
    assert all(line["p99_latency_ms"] > 0 for line in lines if line["outcome"] == "passed")
