"""Which of doit's own options are refused, however they are written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from doit.task import Task

from compbench import __version__
from compbench.cli.options import refuse_unknown, refuse_unsupported, tasks_to_run
from compbench.model.errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("-n 2", r"-n 2 \(--process\): .* one at a time"),
        ("-n2 due", "one at a time"),
        ("--process=2", "one at a time"),
        ("--proc=2 due", "one at a time"),
        ("-cn2 due", "one at a time"),
        ("-cn 2 due", "one at a time"),
        ("-n -1", "one at a time"),
        ("port=1 run -cn2 due", "one at a time"),
        ("-f dodo.py run -n 2", "one at a time"),
        ("-f dodo.py -n 2", "one at a time"),
        ("-r zero", r"-r zero \(--reporter\): .* its own output"),
        ("--rep json due", "its own output"),
        ("-crjson due", "its own output"),
        ("-s run:x", r"-s \(--single\): "),
        ("--sing run:x", "without those it depends on"),
        ("-cs run:x", "without those it depends on"),
    ],
)
def test_options_that_would_spoil_a_measurement_are_refused(words: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        refuse_unsupported(words.split())


@pytest.mark.parametrize(
    "words",
    ["", "-n 0", "-c due", "-v 2 run:x", "clean -n", "list -s", "help run", "run:x new=1", "-v2 system=-n2", "--bogus"],
)
def test_options_of_other_commands_and_harmless_ones_are_left_to_doit(words: str) -> None:
    refuse_unsupported(words.split())


@pytest.mark.parametrize(
    "words", ["forget", "forget measure:x", "ignore pages:x", "-f dodo.py reset-dep", "port=1 forget"]
)
def test_commands_that_would_only_seem_to_do_something_are_refused_in_one_line(words: str) -> None:
    with pytest.raises(UserError, match="files are the state here"):
        refuse_unsupported(words.split())


def run_doit(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the real doit in the project's folder; nothing that it is asked here measures."""
    return subprocess.run([sys.executable, "-m", "doit", *words], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.process
@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("rnu:qdrant_ann_1m_768d", "run:qdrant_ann_1m_768d"),
        ("run:foo", "run:milvus_ann_10m_768d"),
        ("capacity:foo", "capacity:qdrant_ann_1m_768d"),
        ("prefligth", "preflight"),
        ("nonexist", "`doit list` shows all"),
        ("trend*x", "`doit list` shows all"),
    ],
)
def test_a_task_that_does_not_exist_ends_with_2_and_the_nearest_names(word: str, meant: str) -> None:
    done = run_doit(word, "run:qdrant_ann_1m_768d")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"compbench: {word}: unknown task")
    assert meant in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.process
@pytest.mark.parametrize("word", ["noise*", "*_1m_768d", "[dn]*:*"])
def test_a_pattern_that_leads_to_studies_among_others_is_refused(word: str) -> None:
    done = run_doit(word)
    assert (done.returncode, done.stdout) == (2, "")
    told = "it names studies among others: name a study alone, without a pattern before the colon"
    assert done.stderr == f"compbench: {word}: {told}\n"


def test_a_study_is_named_by_its_word_and_not_by_its_record() -> None:
    tasks = [Task("noise", []), Task("noise:alpha", [], targets=["x/alpha_noise.json"]), Task("run:alpha", [])]
    refuse_unknown(["noise", "noise:*", "noise:alpha", "run:*"], tasks)
    with pytest.raises(UserError, match="it names studies among others"):
        refuse_unknown(["x/alpha_noise.json"], tasks)


@pytest.mark.process
@pytest.mark.parametrize("words", ["list", "list plan", "info plan", "help", "help list", "help plan", "tabcompletion"])
def test_doits_own_commands_are_left_as_they_are(words: str) -> None:
    done = run_doit(*words.split())
    assert done.returncode == (1 if words == "info plan" else 0), done.stderr
    assert done.stdout


@pytest.mark.process
def test_the_page_of_commands_names_every_public_task_and_every_setting() -> None:
    done = run_doit("commands")
    assert done.returncode == 0, done.stderr
    listed = [line.split()[0] for line in run_doit("list").stdout.splitlines()]
    words = done.stdout.replace(",", " ").split()
    assert {name for name in listed if ":" not in name or name.startswith("run:")} <= set(words)
    assert {"clean", "cache_dir", "COMPBENCH_<NAME>"} <= set(words)
    assert f"compbench {__version__}, a benchmark suite as a task graph of doit 0.37" in done.stdout


def test_options_are_read_as_doit_reads_them() -> None:
    assert tasks_to_run(["-v", "2", "run:x", "port=1"]) == ["run:x"]
    assert tasks_to_run(["run", "a", "b"]) == ["a", "b"]
    assert tasks_to_run(["-f", "dodo.py", "a"]) == ["a"]
    assert tasks_to_run(["list", "a"]) == tasks_to_run(["help", "a"]) == tasks_to_run(["--bogus", "a"]) == []
