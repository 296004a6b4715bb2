"""What is kept of how a data set was loaded, and when its times say nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from compbench.config.scenarios import load_scenario
from compbench.machine import isolation
from compbench.store import kept_data
from compbench.store.kept_data import KeptFacts
from compbench.store.record_files import write_record
from compbench.systems.registry import load_settings
from tests.project import SCENARIO


def test_load_times_of_another_isolation_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "alpha.toml"
    path.write_text(SCENARIO.format(name="alpha", seed=1))
    words = {"system": "embedded", "scale": "1", "isolation": "off", "cache_dir": str(tmp_path / "cache")}
    settings, scenario = load_settings(tmp_path, {}, words), load_scenario(path)
    folder = tmp_path / "cache" / "kept"
    monkeypatch.setattr(kept_data, "data_set_folder", lambda *_: folder)
    facts = KeptFacts(load_s=2.0, index_s=1.0, disk_bytes=9, isolation=isolation.reached_by(settings).told)
    kept_data.facts_file(folder).parent.mkdir(parents=True)
    write_record(kept_data.facts_file(folder), facts)
    assert kept_data.read_kept_facts(settings, scenario) == facts
    write_record(kept_data.facts_file(folder), msgspec.structs.replace(facts, isolation="server on CPUs 1 (affinity)"))
    other = kept_data.read_kept_facts(settings, scenario)
    assert other is not None
    assert (other.load_s, other.index_s, other.disk_bytes) == (None, None, 9)
    write_record(kept_data.facts_file(folder), msgspec.structs.replace(facts, isolation=None))
    assert kept_data.read_kept_facts(settings, scenario) == msgspec.structs.replace(facts, isolation=None)
