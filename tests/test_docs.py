"""What the documentation says is what the product does: settings and their defaults, tasks, commands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
import tomli

from compbench.cli import looking_back
from compbench.config.scenarios import load_scenario
from compbench.config.settings import (
    FOUND_KEYS,
    INVOCATION_KEYS,
    PROFILES,
    SPECIFIED_LIMITS,
    SPECIFIED_SCENARIOS,
    Settings,
)
from compbench.config.system_tables import RivalSettings
from compbench.loadtest.driver_parser import CONNECTIONS_LIMIT
from compbench.model import file_names, scenario
from compbench.report import baselines
from compbench.systems.embedded.settings import KIND as EMBEDDED
from compbench.systems.registry import find_kinds

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEFAULTS = msgspec.json.decode(msgspec.json.encode(Settings()))
KEYS = [key for key in DEFAULTS if key not in (*INVOCATION_KEYS, *FOUND_KEYS)]
SYSTEMS = {name: msgspec.to_builtins(kind.settings()) for name, kind in find_kinds(None).items()}
# The keys of every rival are told once, where no rival has another default.
COMMON = msgspec.to_builtins(RivalSettings())
LIMITS = msgspec.to_builtins(SPECIFIED_LIMITS)
# Keys whose default depends on profile or target: the numbers that their row must give, in this order.
DEPENDENT = {
    "systems_dir": [],
    "scheduler": [],
    "loading_s": [PROFILES["quick"]["loading_s"]],
    "expected_scenarios": [SPECIFIED_SCENARIOS],
    "duration_s": [PROFILES["quick"]["duration_s"]],
    "cooldown_s": [PROFILES["full"]["cooldown_s"], PROFILES["quick"]["cooldown_s"]],
    "sample_interval_s": [PROFILES["full"]["sample_interval_s"], PROFILES["quick"]["sample_interval_s"]],
    "frontier_step_s": [Settings().frontier_step_s, PROFILES["quick"]["frontier_step_s"]],
    "frontier_capacity": [],
    **{key: [limit] for key, limit in LIMITS.items()},
}


def table(text: str) -> dict[str, list[str]]:
    """Return the rows of the tables of a Markdown text, by their first cell without its marks."""
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line.startswith("| `")
    ]
    return {row[0].strip("`"): row[1:] for row in rows}


SETTINGS_ROWS = table((ROOT / "docs" / "settings.md").read_text(encoding="utf-8"))


def test_the_table_of_settings_has_every_key_and_no_other() -> None:
    assert sorted(SETTINGS_ROWS) == sorted(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_the_table_of_settings_gives_the_right_default(key: str) -> None:
    default, meaning = SETTINGS_ROWS[key]
    assert meaning
    if key in DEPENDENT:
        assert [float(number) for number in re.findall(r"\d+(?:\.\d+)?", default)] == DEPENDENT[key]
    elif isinstance(DEFAULTS[key], str):
        assert default == f"`{DEFAULTS[key]}`"
    else:
        assert tomli.loads(f"value = {default}")["value"] == DEFAULTS[key]


def test_the_settings_file_gives_the_right_defaults_in_its_comments_too() -> None:
    text = (ROOT / "compbench.toml").read_text(encoding="utf-8")
    said = tomli.loads(re.sub(r"^# ([A-Za-z_.]+ = )", r"\1", text, flags=re.MULTILINE))
    # TOML has no word for a key that is not set, which only a sentence can tell.
    given = {name: keys for name, own in SYSTEMS.items() if (keys := own_keys(own))}
    common = {key: value for key, value in COMMON.items() if value is not None}
    assert said.pop("system") == {"use": "auto", "RIVAL": common, **given}
    right = {
        **DEFAULTS,
        **LIMITS,
        **PROFILES["full"],
        "loading_s": DEFAULTS["prepare_timeout_s"],
        "duration_s": 60,
        "systems_dir": "systems",
        "scheduler": "tcp://10.0.0.1:8786",
        "expected_scenarios": SPECIFIED_SCENARIOS,
    }
    assert said == {key: right[key] for key in KEYS if key != "system"}


def own_keys(own: dict[str, object]) -> dict[str, object]:
    """Return a system's keys without those that every rival has, unless its default is another."""
    return {key: value for key, value in own.items() if key not in COMMON or value != COMMON[key]}


@pytest.mark.parametrize("name", ["RIVAL", *SYSTEMS])
def test_every_setting_of_a_system_is_documented_with_its_default(name: str) -> None:
    rows = table((ROOT / "docs" / "systems.md").read_text(encoding="utf-8"))
    for key, default in COMMON.items() if name == "RIVAL" else own_keys(SYSTEMS[name]).items():
        shown = f"`{default}`" if isinstance(default, str) else "none" if default is None else str(default)
        assert rows[f"system.{name}.{key}"][0] == shown


def test_the_limits_of_the_quick_profile_are_the_documented_ones() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    (sentence,) = re.findall(
        r"For `profile=quick` on the embedded server the memory and disk limits are (.*) GB\.", text
    )
    small = msgspec.to_builtins(EMBEDDED.quick_limits)
    in_table_order = [small[key] for key in SETTINGS_ROWS if key in small]
    assert [float(number) for number in re.findall(r"[\d.]+", sentence)] == in_table_order


def menu() -> dict[str, str]:
    """Return what `doit list` shows: each task's name and its line."""
    argv = [sys.executable, "-B", "-m", "doit", "list"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return {name: line.strip() for name, _, line in (row.partition(" ") for row in done.stdout.splitlines())}


def test_doit_list_reads_like_a_menu() -> None:
    shown = menu()
    assert [name for name, line in shown.items() if not line] == []
    assert len(set(shown.values())) == len(shown)
    assert not any(name.startswith("_") for name in shown)
    scenarios = {f"run:{path.stem}" for path in (ROOT / "scenarios" / "competitive").glob("*.toml")}
    assert set(list(shown)[: len(scenarios)]) == scenarios, "what a user wants most stands first"


def test_every_command_of_the_readme_is_there() -> None:
    commands = re.findall(r"`doit ?([^`]*)`", README) + re.findall(r"^doit ?(.*)$", README, re.MULTILINE)
    words = [word for command in commands for word in command.split() if not word.startswith("-")]
    variables = {re.split("[=.]", word)[0] for word in words if "=" in word}
    assert variables <= {*KEYS, *INVOCATION_KEYS}
    tasks = {word for word in words if "=" not in word}
    assert len(tasks) > 4
    known = {*menu(), "list", "clean"}
    assert [task for task in tasks if task not in known and task.partition(":")[0] not in known] == []


def test_the_recipes_for_schedules_name_the_system_and_go_on_where_they_were() -> None:
    text = (ROOT / "docs" / "scheduling.md").read_text(encoding="utf-8")
    recipes = "".join(re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL))
    calls = re.findall(r"\.venv/bin/doit\b(.*)", recipes)
    assert len(calls) == 5
    assert all(re.search(r" system=engram\b", call) for call in calls)
    assert [call for call in calls if "new=1" in call] == [], "a measurement is costly: what is measured is kept"
    assert "ExecStartPost=" not in recipes, "systemd runs it only after success"
    assert recipes.index("make -C /srv/compbench install") < recipes.rindex("system=engram compare")
    (allowed,) = re.findall(r"compare \|\| \[ \$\? -eq (\d) \]", recipes)
    assert int(allowed) == looking_back.NOT_COMPARED, "the first run has nothing to be compared with"


def test_the_table_of_baselines_has_every_key_and_the_shipped_file_names_it() -> None:
    text = (ROOT / "docs" / "baselines.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    keys = [key for row in rows for key in re.findall(r"`(\w+)`", row[0])]
    assert sorted(keys) == sorted(field.encode_name for field in msgspec.structs.fields(baselines.Baseline))
    required = {field.encode_name for field in msgspec.structs.fields(baselines.Baseline) if field.required}
    assert {key for row in rows for key in re.findall(r"`(\w+)`", row[0]) if row[2] == "required"} == required
    assert "Keys: docs/baselines.md." in (ROOT / "scenarios" / "baselines.toml").read_text(encoding="utf-8")


def test_no_baseline_denies_what_its_scenario_does() -> None:
    for baseline in baselines.load_baselines(ROOT / "scenarios" / "baselines.toml"):
        path = ROOT / "scenarios" / "competitive" / f"{baseline.scenario}.toml"
        if baseline.scenario and load_scenario(path).graph is not None:
            assert "no edges" not in (baseline.note or "")
            assert "hop" in (baseline.note or "")


def test_the_readme_names_every_file_of_a_run() -> None:
    left = README.partition("## What a run leaves")[2].partition("\n## ")[0]
    said = {*re.findall(r"`([^`]+)`", left)}
    pages = (*file_names.LIGHT_PAGES.values(), *file_names.REPORT_PAGES.values())
    assert {f"_{name}" for name in pages} <= said
    own = (*file_names.MEASURED.values(), *file_names.RENDERED.values())
    assert {name for name in own if not {name, f"_<scenario>{name}"} & said} <= {"_stacks.log"}
    plain = {file_names.MANIFEST, file_names.RESULTS, file_names.EVENTS, file_names.flat_result("<scenario>")}
    assert plain <= said, "these have no timestamp in front"
    assert {file_names.PARTIAL, file_names.INVALID} <= said


def test_the_limit_of_connections_is_the_same_everywhere_and_documented() -> None:
    text = (ROOT / "docs" / "driver.md").read_text(encoding="utf-8")
    assert f"At most {CONNECTIONS_LIMIT} connections" in text
    (meta,) = get_type_hints(Settings, include_extras=True)["connections"].__metadata__
    assert meta.le == CONNECTIONS_LIMIT


def test_no_text_advises_a_package_that_no_index_has() -> None:
    folders = {"compbench": "*.py", "templates": "*.j2", "docs": "*.md"}
    paths = [path for folder, pattern in folders.items() for path in (ROOT / folder).rglob(pattern)]
    advice = re.compile(r"pip3? install [^\n`]*\bcompbench\b")
    assert [str(path) for path in (*paths, ROOT / "README.md") if advice.search(path.read_text(encoding="utf-8"))] == []


def test_every_make_target_of_the_documentation_is_there() -> None:
    texts = [README, *(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))]
    named = {name for text in texts for name in re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE)}
    assert named >= {"demo", "test"}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert named <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def test_every_test_that_the_documentation_names_is_there() -> None:
    text = (ROOT / "docs" / "specification.md").read_text(encoding="utf-8")
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in re.findall(r"`(test_\w+)`", text) if f"def {name}(" not in tests] == []
    assert [name for name in re.findall(r"`(tests/\w+\.py)`", text) if not (ROOT / name).is_file()] == []


def test_every_point_of_the_specification_names_its_test() -> None:
    text = (ROOT / "docs" / "specification.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d)\.(\d+) \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE)
    assert {int(section) for section, _, _ in rows} == set(range(1, 9))
    for section in range(1, 9):
        numbers = [int(number) for own, number, _ in rows if int(own) == section]
        assert numbers == list(range(1, len(numbers) + 1)), f"section {section}: no point is left out"
    assert [f"{section}.{number}" for section, number, tests in rows if "`test_" not in tests] == []
    assert len(rows) == 64


def test_the_folder_of_the_runs_is_kept_and_what_is_in_it_is_not() -> None:
    assert (ROOT / DEFAULTS["output_dir"] / ".gitkeep").is_file()
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8")
    assert "!/tmp/competitive_benchmarks/.gitkeep" in ignored or "!tmp/competitive_benchmarks/.gitkeep" in ignored


def scenario_keys(kind: Any, prefix: str = "") -> set[str]:
    """Return every key that a table of a scenario file may have, with the names of its tables in front."""
    config = kind.__struct_config__
    found = {prefix + config.tag_field} if config.tag_field else set()
    for field in msgspec.structs.fields(kind):
        tables = [part for part in (get_args(field.type) or (field.type,)) if hasattr(part, "__struct_config__")]
        inner = {key for table in tables for key in scenario_keys(table, f"{prefix}{field.encode_name}.")}
        found |= inner or {prefix + field.encode_name}
    return found


def test_the_table_of_scenarios_has_every_key_and_no_other() -> None:
    rows = table((ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8"))
    assert set(rows) == scenario_keys(scenario.ScenarioFile)
    assert [key for key, cells in rows.items() if len(cells) != 3 or not all(cells)] == []


def test_the_table_of_scenarios_gives_the_right_defaults() -> None:
    rows = table((ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8"))
    shown = {key: float(cells[1]) for key, cells in rows.items() if re.fullmatch(r"[\d.]+", cells[1])}
    assert shown == {
        "seed": 0,
        "duration.total_seconds": 300,
        "operations.pattern_completion_weight": scenario.Operations(
            store_weight=1, recall_weight=1, embedding_search_weight=1
        ).pattern_completion_weight,
        "data.embedding_distribution.num_clusters": scenario.Clustered().num_clusters,
        "data.embedding_distribution.std_dev": scenario.Clustered().std_dev,
        "data_set.near_duplicates": scenario.GeneratedSet(seed=1).near_duplicates,
        "graph.recall_hops": scenario.Graph(average_degree=1).recall_hops,
        "graph.search_hops": scenario.Graph(average_degree=1).search_hops,
    }


ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_map_has_every_room_and_no_other() -> None:
    rooms = {f"{path.parent.name}/" for path in (ROOT / "compbench").glob("*/__init__.py")}
    assert {row for row in table(ARCHITECTURE) if row.endswith("/")} == rooms


def test_every_file_that_map_and_recipes_name_is_there() -> None:
    named = set(re.findall(r"`((?:[\w.]+/)+[\w.]+\.(?:py|toml|md|yml)|(?:[\w.]+/)+)`", ARCHITECTURE + CONTRIBUTING))
    assert len(named) > 30
    examples = {"compbench/report/export/runs_jsonl.py", "systems/mydb/settings.py", "systems/mydb/server.py"}
    examples |= {"systems/mydb/__init__.py", "systems/mydb/client.py"}
    places = (ROOT, ROOT / "compbench", ROOT / "compbench" / "loadtest", ROOT / "compbench" / "report")
    assert sorted(name for name in named - examples if not any((place / name).exists() for place in places)) == []
