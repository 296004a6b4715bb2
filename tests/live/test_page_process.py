"""The page's real process over loopback: what it answers, what it refuses, and that readers lose nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from compbench.live.page_app import MOST_READERS
from compbench.store import lock
from tests.live.paging import Reader, ServedHere, page_of, reading
from tests.live.telling import ToldRun, begun, opened, outcome, phase, second

pytestmark = pytest.mark.process

PATHS = ("/", "/report", "/live.js", "/following.js", "/vega.js", "/events")


@pytest.fixture
def run(tmp_path: Path) -> ToldRun:
    """A run with a measurement under way."""
    made = ToldRun(tmp_path / "2026-05-28_12-00-00")
    made.write_manifest()
    made.tell(opened(), begun(), phase("measure", limit_s=60))
    return made


@pytest.fixture
def page(run: ToldRun) -> Iterator[ServedHere]:
    """The page of the runs beside that one."""
    with page_of(run.folder.parent) as served:
        yield served


def read_seconds(reader: Reader, count: int) -> list[float]:
    reader.read_until(lambda it: len(it.rows) >= count)
    return [row["s"] for row in reader.rows]


def test_every_path_shuts_out_other_sites_and_is_kept_nowhere(page: ServedHere) -> None:
    for path in (*PATHS, "/no-such-path"):
        _, headers, _ = page.ask(path, "HEAD")
        assert headers["cache-control"] == "no-store", path
        assert headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
    policy = page.ask("/")[1]["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe-eval" not in policy


def test_what_does_not_read_from_here_is_refused_on_every_path(page: ServedHere) -> None:
    for path in PATHS:
        assert page.ask(path, Host="evil.example")[0] == 421
        assert page.ask(path, Host=f"evil.example:{page.port}")[0] == 421
        status, headers, _ = page.ask(path, "POST")
        assert (status, headers["allow"]) == (405, "GET, HEAD")
        assert page.ask(path, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="cors")[0] == 403
    for name in ("localhost", "127.0.0.1", "[::1]"):
        assert page.ask("/", Host=f"{name}:{page.port}")[0] == 200


def test_only_its_own_few_paths_are_served(page: ServedHere, run: ToldRun) -> None:
    for path in (f"/{run.folder.name}/manifest.json", "/manifest.json", "/../manifest.json", "/%2e%2e/lock", "/report"):
        assert page.ask(path)[0] == 404


def test_a_reader_that_comes_back_gets_what_it_missed_and_nothing_twice(page: ServedHere, run: ToldRun) -> None:
    run.tell(second(0), second(1), torn='{"event": "second-mea')
    with reading(page) as reader:
        assert read_seconds(reader, 2) == [0, 1]
        seen = reader.last_id
    with (run.folder / "events.jsonl").open("a") as file:
        file.write('sured", "measurement": "alpha", "second": 2}\n')
    run.tell(second(3))
    with reading(page, seen) as back:
        assert read_seconds(back, 2) == [2, 3]
        assert not back.patches[0]["whole"]
    with reading(page, "another-5") as stranger:
        read_seconds(stranger, 4)
        assert stranger.patches[0]["whole"], "who has seen another process' page gets everything"
    with reading(page, seen + 5000 * "0") as absurd:
        read_seconds(absurd, 4)
        assert absurd.patches[0]["whole"], "so have those whose number nobody can have seen"


def test_seconds_come_as_they_are_told(page: ServedHere, run: ToldRun) -> None:
    with reading(page) as reader:
        reader.read_until(lambda it: it.parts["now"]["phase"] == "measuring")
        for number in range(3):
            run.tell(second(number))
            assert read_seconds(reader, number + 1)[-1] == number
        run.tell(outcome())
        reader.read_until(lambda it: bool(it.parts["results"]["rows"]))
        assert reader.parts["results"]["rows"][0]["verdict"] == "passed"


def test_the_page_waits_for_a_run_follows_the_next_one_and_bears_that_one_is_deleted(tmp_path: Path) -> None:
    with page_of(tmp_path / "runs") as page, reading(page) as reader:
        reader.read_until(lambda it: "waits for one" in it.parts["told"]["text"])
        first = ToldRun(tmp_path / "runs" / "2026-05-28_12-00-00")
        first.write_manifest()
        first.tell(opened(), begun(), phase("measure"), second(0))
        reader.read_until(lambda it: it.parts["run"]["name"] == first.folder.name and len(it.rows) == 1)
        other = ToldRun(tmp_path / "runs" / "2026-05-28_13-00-00")
        other.write_manifest()
        other.tell(opened())
        reader.read_until(lambda it: it.parts["run"]["name"] == other.folder.name)
        assert reader.rows == [], "the seconds of another run are gone"
        shutil.rmtree(other.folder)
        reader.read_until(lambda it: it.parts["run"]["name"] == first.folder.name)
        shutil.rmtree(first.folder)
        reader.read_until(lambda it: it.parts["run"]["state"] == "none")


def test_a_run_that_is_named_is_followed_though_another_one_begins(run: ToldRun) -> None:
    with page_of(run.folder.parent, run.folder.name) as page, reading(page) as reader:
        other = ToldRun(run.folder.with_name("2026-05-28_13-00-00"))
        other.write_manifest()
        run.tell(second(0))
        assert read_seconds(reader, 1) == [0]
        assert reader.parts["run"]["name"] == run.folder.name


def test_the_page_says_that_the_runner_is_gone_and_that_another_goes_on(page: ServedHere, run: ToldRun) -> None:
    with reading(page) as reader:
        reader.read_until(lambda it: it.parts["told"]["life"] == "gone")
        assert "runner is gone" in reader.parts["told"]["text"]
        held = lock.take(run.folder.parent / "lock")
        reader.read_until(lambda it: it.parts["told"]["life"] == "another")
        run.tell({**opened(invocation=2), "at": 4e9})
        reader.read_until(lambda it: it.parts["told"]["life"] == "at work")
        os.close(held)


def test_when_the_run_ends_the_page_becomes_its_report_and_the_living_page_when_it_goes_on(
    page: ServedHere, run: ToldRun
) -> None:
    run.write_report("<html><body>so far</body></html>")
    assert b'id="sentence"' in page.ask("/")[2]
    assert page.ask("/report")[2] == b"<html><body>so far</body></html>", "it follows nothing: it stays"
    with reading(page) as reader:
        reader.read_until(lambda it: it.parts["report_so_far"])
        run.write_report()
        run.write_manifest("closed", closed_at=run.opened_at + 60)
        reader.read_until(lambda it: it.parts["report"])
        status, headers, body = page.ask("/")
        following = f'src="/following.js" data-run="{run.folder.name}"'.encode()
        assert (status, b"the report" in body, following in body) == (200, True, True)
        assert "connect-src 'self'" in headers["content-security-policy"]
        run.write_manifest("open")
        reader.read_until(lambda it: not it.parts["report"])
    assert b'id="sentence"' in page.ask("/")[2]


def test_a_report_that_is_a_link_is_not_shown(page: ServedHere, run: ToldRun, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a key")
    (run.folder / f"{run.folder.name}_report.html").symlink_to(tmp_path / "secret")
    run.write_manifest("closed", closed_at=1.0)
    assert page.ask("/report")[0] == 404
    assert b"a key" not in page.ask("/")[2]


def test_a_report_from_before_the_end_is_not_taken_for_the_last_one(page: ServedHere, run: ToldRun) -> None:
    run.write_report()
    os.utime(next(run.folder.glob("*_report.html")), (run.opened_at, run.opened_at))
    run.write_manifest("closed", closed_at=run.opened_at + 60)
    with reading(page) as reader:
        reader.read_until(lambda it: it.parts["told"]["life"] == "over")
        assert not reader.parts["report"]
        assert "doit report run=" in reader.parts["told"]["text"]


def test_nothing_is_written_into_the_run_and_no_file_of_it_is_held_open(page: ServedHere, run: ToldRun) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    with reading(page) as reader:
        reader.read_until(lambda it: it.parts["run"]["name"] == run.folder.name)
        held = [str(link.readlink()) for link in Path(f"/proc/{page.process.pid}/fd").iterdir()]
    assert not [path for path in held if str(run.folder) in path or path.endswith("/lock")]
    assert {path: path.stat().st_mtime_ns for path in run.folder.iterdir()} == before


def test_too_many_readers_are_refused_and_places_become_free(page: ServedHere, run: ToldRun) -> None:
    with contextlib.ExitStack() as readers:
        for _ in range(MOST_READERS):
            readers.enter_context(reading(page)).read_until(lambda it: True)
        assert page.ask("/events")[0] == 503
        assert page.ask("/")[0] == 200


def test_a_page_that_is_told_to_end_tells_its_readers_the_end_first(run: ToldRun) -> None:
    with page_of(run.folder.parent) as page, reading(page) as reader:
        reader.read_until(lambda it: True)
        run.tell(outcome())
        run.write_report()
        run.write_manifest("closed", closed_at=run.opened_at + 60)
        page.process.send_signal(signal.SIGTERM)
        reader.read_until(lambda it: it.parts["report"])
        assert b"the report" in page.ask("/")[2], "it still answers, until its reader has the report"


def test_a_port_that_is_taken_is_said_in_one_line(page: ServedHere, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "compbench.live", "--output-dir", str(tmp_path), "--lock", str(tmp_path / "lock")]
    done = subprocess.run([*argv, "--port", str(page.port)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"Error: 127.0.0.1:{page.port} can't be listened on: Address already in use"]
