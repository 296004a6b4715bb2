"""Which runs put off the next full one, and for how long."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compbench.cli import looking_back
from tests.past_runs import DAY_S, QDRANT, add_run
from tests.rendering import SCENARIOS
from tests.synthetic import NOON


@pytest.fixture
def only_qdrant(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the settings of a suite of one scenario on Engram."""
    folder = tmp_path_factory.mktemp("one") / "scenarios"
    folder.mkdir()
    (folder / f"{QDRANT}.toml").write_bytes((SCENARIOS / f"{QDRANT}.toml").read_bytes())
    return {"scenarios_dir": str(folder), "system": "engram"}


def test_a_full_run_is_due_after_ninety_days(
    tmp_path: Path, run: Callable[..., tuple[int, str]], only_qdrant: dict[str, str]
) -> None:
    assert run(looking_back.show_due, now=NOON, **only_qdrant)[0] == 1
    add_run(tmp_path, 1, [10.0])
    told = [run(looking_back.show_due, now=NOON + days * DAY_S, **only_qdrant) for days in (2, 76, 78, 90, 92)]
    assert [code for code, _ in told] == [0, 0, 0, 0, 1]
    assert ["due soon" in text for _, text in told] == [False, False, True, True, False]
    code, text = run(looking_back.show_due, now=NOON - 40 * DAY_S, **only_qdrant)
    assert code == 1, "the clock may have been wrong then, or be wrong now"
    assert "of the future" in text


@pytest.mark.parametrize(
    ("facts", "fingerprint", "reason"),
    [
        ({"profile": "quick"}, {}, "profile quick"),
        ({}, {"duration_s": "1"}, "1 s a scenario in place of the scenario's own duration"),
        ({"system": "embedded"}, {}, "of the system embedded"),
        ({"scale": 0.001}, {}, "data scale 0.001 and not auto/600s"),
        ({"verdict": "invalid"}, {}, f"{QDRANT} invalid"),
        ({"verdict": "failed"}, {}, f"{QDRANT} failed"),
    ],
)
def test_a_run_that_says_too_little_does_not_put_off_the_next_one(
    tmp_path: Path,
    run: Callable[..., tuple[int, str]],
    only_qdrant: dict[str, str],
    facts: dict[str, Any],
    fingerprint: dict[str, str],
    reason: str,
) -> None:
    whole, name = add_run(tmp_path, 0, [10.0]), add_run(tmp_path, 60, [10.0], **facts)
    path = tmp_path / name / "results.json"
    results = json.loads(path.read_text())
    results["fingerprint"] |= fingerprint
    path.write_text(json.dumps(results))
    code, text = run(looking_back.show_due, now=NOON + 91 * DAY_S, **only_qdrant)
    assert code == 1, "by the run of day 60 it would not be due"
    assert f"{whole}, is 91 days old" in text
    assert f"(not counted: {name}: {reason})" in text


def test_a_run_that_lacks_a_scenario_or_is_of_an_unnamed_toy_does_not_count(
    tmp_path: Path, run: Callable[..., tuple[int, str]], only_qdrant: dict[str, str]
) -> None:
    name = add_run(tmp_path, 0, [10.0], system="embedded", scale=0.001)
    code, text = run(looking_back.show_due, now=NOON + DAY_S)
    assert code == 1
    assert f"{name}: of the system embedded, without hybrid_production_100k" in text
    asked = {**only_qdrant, "system": "embedded", "scale": "0.001"}
    assert run(looking_back.show_due, now=NOON + DAY_S, **asked)[0] == 0, "it is what was asked for"
