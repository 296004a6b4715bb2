"""A host that is lost while a capacity or an effort is searched for: the search ends there, and nothing is found."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.drive import constant, lose_a_host, scenario_file, serving
from tests.flat import flat_server
from tests.helpers import STAND_INS
from tests.project import eventually

pytestmark = pytest.mark.process


class Searching:
    """A search over two hosts under way, of which one can be killed."""

    def __init__(self, folder: Path, command: str, *more: str) -> None:
        self.output = folder / f"{command}-over-hosts.json"
        self._said = folder / f"{command}.out"
        argv = [sys.executable, "-m", "compbench.loadtest", command, *more, "--hosts", "local:2"]
        argv += ["--output", str(self.output), "--cache", str(folder / "cache")]
        with self._said.open("w") as said:
            self._process = subprocess.Popen(argv, stdout=said, stderr=subprocess.STDOUT, text=True)

    def lose_one(self, after: str) -> None:
        """Kill a worker while the trial is sent that comes after a word of the search."""
        assert eventually(lambda: after in self._said.read_text(), 60), self._said.read_text()
        lose_a_host(self._process.pid)

    def ended(self) -> tuple[int, str]:
        """Return the exit code and what was said."""
        code = self._process.wait(timeout=60)
        return code, self._said.read_text()


def test_a_capacity_is_not_searched_for_any_further_and_the_record_says_which_host_was_lost(tmp_path: Path) -> None:
    words = ("--p99", "5000", "--step-duration", "5", "--repeats", "1")
    with serving("--delay-ms", "1") as url:
        made = str(scenario_file(tmp_path, constant(10)))
        search = Searching(tmp_path, "capacity", "--scenario", made, "--endpoint", url, *words)
        search.lose_one(after="yes\n")
        code, said = search.ended()
    found = json.loads(search.output.read_text())
    assert code == 1
    assert found["fault"].startswith("host local-")
    assert f"Capacity: not found; {found['fault']}" in said
    assert [tried["sustained"] for tried in found["curve"]] == [True, None], "none was tried after it"


@pytest.mark.slow
def test_the_ladder_leaves_no_record_and_one_line_names_the_host(tmp_path: Path) -> None:
    limits = "expected_p99_latency_ms = 5000.0\nexpected_recall = 0.95"
    with flat_server(tmp_path, 500, limits) as flat:
        words = ["--scenario", str(tmp_path / "made.toml"), "--endpoint", f"flat://127.0.0.1:{flat.port}"]
        words += ["--system", "flat", "--systems-dir", str(STAND_INS / "systems"), "--knob", "share", "--no-capacity"]
        search = Searching(tmp_path, "frontier", *words, "--recalls", "0.95", "--step-duration", "5")
        search.lose_one(after="recall is")
        code, said = search.ended()
    assert code == 1
    assert re.match(r"Error: effort \d+: host local-", said.splitlines()[-1]), said
    assert not search.output.exists(), "what was found until then would be taken for the best there is"
