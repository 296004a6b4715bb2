"""Imports point downwards only, and loading `dodo.py` is cheap and blind."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "compbench"

# The rooms, from the top; in each its modules, from the top. A module may import what stands below it, nothing else.
ROOMS = {
    "cli": "reporter command_tasks study_tasks tasks actions options commands duet_end noise_end suite run_opener"
    " run_in_progress preparation estimate live_page project exit_codes selection fault_log file_state looking_back"
    " known_systems telling display living sparkline invocation installing",
    "live": "__main__ command_line page_app refusal following earlier liveness tail wording drawn state told board",
    "report": "notify __main__ diagnostics flamegraph trend page rival_charts view scenario_charts distributions"
    " validity circumstances pages summary versus standing_words unequal side_table duels contenders loaded_data"
    " comparison builds_compared build_pairs pairing known_noise noise_study statistics capacities baselines groups"
    " server_versions machine_costs elsewhere",
    "report/export": "history_files step_summary junit openmetrics runs_csv",
    "report/past": "due comparable history",
    "report/charts": "rivals overview latency vega drawing",
    "measuring": "session serving admission phases watching costing quiet quietness retries outcomes cautions"
    " equal_recall data_sets modes container remote driver_wait server under_test attempt drivers driver_report",
    "preflight": "checks endpoint_checks sending_hosts environment own_vectors inputs modes_here endpoint_judgement"
    " memory_needs data_scale judgement findings",
    "store": "resume resume_rules attempts lock page_mark leftovers event_log noise_records runs frontiers kept_data"
    " data_set_sizes record_files provenance",
    "loadtest": "__main__ command_line driver_parser option_types prepare sizing frontier_run capacity_run run"
    " second_teller floor_run rehearsal request_sizes report host_figures verdict asking progress",
    "loadtest/cluster": "spread part host_driver hub host_tasks looking opening dask_calls agent same_work connections"
    " leases",
    "loadtest/engine": "shards dry_run gathering openloop offsets totals hlog recorder confidence histogram clock"
    " capacity",
    "loadtest/truth": "recall_so_far recall traversals ties ground_truth listed row_blocks neighbour_files nearest"
    " best_lists spans answers",
    "loadtest/workload": "workload batches vector_sets set_scan own_sets set_identity operations edges arrivals"
    " vector_files vectors embeddings streams",
    "systems/embedded": "server client settings",
    "systems/pgvector": "server client values statements pages_needed install settings",
    "systems/engram": "server client requests settings",
    "systems/chroma": "server client settings install",
    "systems/falkordb": "server client install settings",
    "systems/http": "server client settings templates",
    "systems/milvus": "server client requests install settings",
    "systems/neo4j": "server client install settings",
    "systems/qdrant": "server client settings",
    "systems/redis": "server client install settings",
    "systems/weaviate": "server client channels requests counting install settings",
    "systems": "apart_server rest_server rest_client resp_client rival_client redis_process rival registry clients"
    " discovery installation api",
    "transport": "resp_pool postgres_pool postgres_connection postgres_messages http_pool grpc_calls tls"
    " resp_connection http_connection connection messages addresses exchange",
    "embedded": "__main__ command_line app state_files loading wire memories turns vector_index rows graph",
    "machine": "version_line unprivileged tree_memory thresholds standard_streams snapshot sampler server_metrics"
    " resting sampling priority isolation tiers real_time perf_counts process output perf perf_lines interrupts"
    " namespaces guard effects containers ask control_groups placement",
    "machine/probes": "cores busy_processes reach process_counters told_counters task_counts process_tree sockets"
    " machine counters pressure binaries",
    "config": "sources studies settings scenarios set_files system_tables toml_tables folders hosts credentials",
    "files": "cloned content_hashes regular whole",
    "model": "events seen_hosts efforts scenario sizes costs records sample notices catalogue noise metrics result"
    " file_names measurement texts times partition errors",
}
# Programs of their own, which a run only starts: the rooms of each, and which rooms below them they may enter.
PROGRAMS = {
    "loadtest": {"systems", "transport", "config", "files", "model"},
    "embedded": set[str](),
    "live": {"report", "report/charts", "report/past", "store", "files", "model"},
}
# Who else may import a program: only what needs to know where the files that it makes are kept, and in which format.
FILES_OF_PROGRAMS = {
    "store/frontiers.py": {"loadtest/workload"},
    "store/kept_data.py": {"loadtest/workload", "loadtest/truth"},
    "store/data_set_sizes.py": {"loadtest/workload"},
    "systems/embedded/server.py": {"embedded"},
}
# What every doit command may load besides the standard library; all else waits until a task needs it. doit itself loads
# cloudpickle wherever that is installed, as it is with the extra `distributed`.
LIGHT = {"cloudpickle", "doit", "msgspec", "psutil", "tomli", "typing_extensions"}


PLACES = {
    f"{room}/{module}.py": (level, depth)
    for level, (room, modules) in enumerate(ROOMS.items())
    for depth, module in enumerate(modules.split())
}


def place_of(file: str) -> tuple[int, int]:
    """Return room and place in it of a file below compbench/, counted from the top; `__init__.py` is a room's floor."""
    room, _, name = file.rpartition("/")
    return (list(ROOMS).index(room), len(ROOMS[room].split())) if name == "__init__.py" else PLACES[file]


def file_of(dotted: str, name: str) -> str:
    """Return the file below compbench/ that `from <dotted> import <name>` loads; empty for compbench itself."""
    path = PACKAGE.joinpath(*dotted.split(".")[1:])
    for candidate in (path / name / "__init__.py", path / f"{name}.py", path / "__init__.py", path.with_suffix(".py")):
        if candidate.is_file():
            return "" if candidate.parent == PACKAGE else str(candidate.relative_to(PACKAGE))
    raise AssertionError(f"{dotted}: no such module")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and file of each import of compbench's own, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            pairs = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides where it points"
            pairs = [(node.module or "", alias.name) for alias in node.names]
        else:
            continue
        files = {file_of(*pair) for pair in pairs if pair[0].partition(".")[0] == "compbench"}
        yield from ((node.lineno, file) for file in sorted(files - {""}))


def program_of(file: str) -> str:
    """Return the program that a file belongs to; empty for the runner's own."""
    first = file.partition("/")[0]
    return first if first in PROGRAMS else ""


def is_allowed(importer: str, file: str) -> bool:
    """Tell whether a file may import another, both named below compbench/."""
    room, program = file.rpartition("/")[0], program_of(importer)
    if program and program_of(file) != program:
        return room in PROGRAMS[program]
    if program_of(file) != program:
        return room in FILES_OF_PROGRAMS.get(importer, ())
    return place_of(file) > place_of(importer)


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)
NAMES = [str(path.relative_to(PACKAGE)) for path in FILES]


def test_every_module_has_its_place_and_every_place_its_module() -> None:
    assert sorted(PLACES) == sorted(name for name in NAMES if not name.endswith("__init__.py"))


def test_no_room_and_no_module_is_listed_twice() -> None:
    assert len(PLACES) == sum(len(modules.split()) for modules in ROOMS.values())


def test_imports_point_downwards_only() -> None:
    upwards = [
        f"{name}:{line} imports {file}"
        for name, path in zip(NAMES, FILES, strict=True)
        for line, file in imported(path)
        if not is_allowed(name, file)
    ]
    assert upwards == []


def test_the_tests_of_imports_see_an_import_that_points_upwards(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("def f():\n    from compbench.cli import suite\n    import compbench.report.pages\n")
    assert list(imported(path)) == [(2, "cli/suite.py"), (3, "report/pages.py")]
    assert not is_allowed("store/runs.py", "cli/suite.py")
    assert not is_allowed("store/runs.py", "store/lock.py")
    assert is_allowed("store/lock.py", "store/runs.py")
    assert not is_allowed("embedded/app.py", "model/errors.py")


# An audit hook sees every start of a process and every file opened for writing, whoever asks for it.
LOAD = """
import importlib.metadata, json, os, sys
acts = []
CHANGES = {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec", "os.system", "os.mkdir",
    "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.utime", "os.chmod",
    "shutil.rmtree", "socket.connect", "socket.bind"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
def hook(event, arguments):
    if event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING):
        acts.append(f"{event} {arguments}"[:200])
sys.addaudithook(hook)
before = set(sys.modules)
sys.argv = ["doit", *sys.argv[1:]]
sys.path.insert(0, os.getcwd())
if sys.argv[1:] == ["check the hook"]:
    open("written", "w").close()
    import numpy
else:
    import dodo
    list(dodo.task_scenarios()), list(dodo.task_measure()), list(dodo.task_render()), list(dodo.task_preflight())
known = importlib.metadata.packages_distributions()
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps({"acts": acts, "packages": sorted({package for name in loaded for package in known.get(name, [])})}))
"""


def load(folder: Path, *words: str) -> tuple[list[str], set[str]]:
    """Load `dodo.py` of the folder as doit would; return what it did and which packages it loaded."""
    done = subprocess.run(
        [sys.executable, "-B", "-P", "-c", LOAD, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    return said["acts"], set(said["packages"])


@pytest.mark.process
@pytest.mark.parametrize("words", [["list"], [], ["run:qdrant_ann_1m_768d"], ["clean", "-n"]])
def test_loading_starts_nothing_writes_nothing_and_is_light(words: list[str]) -> None:
    acts, packages = load(ROOT, *words)
    assert acts == []
    assert packages - {"compbench"} <= LIGHT


def test_the_test_of_loading_would_see_a_write_and_a_heavy_import(tmp_path: Path) -> None:
    acts, packages = load(tmp_path, "check the hook")
    assert any("written" in act for act in acts)
    assert "numpy" in packages
