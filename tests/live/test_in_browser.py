"""What the page does in a browser, beside runs that are told: how often it loads, and what it says of itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from compbench.live.page_app import MOST_READERS
from tests.browser import CHROMIUM, Tab, browser
from tests.live.paging import ServedHere, page_of, reading
from tests.live.telling import ToldRun, opened
from tests.project import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.process,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]
TEXT = "document.body.innerText"


@pytest.fixture
def run(tmp_path: Path) -> ToldRun:
    """A run that is open and has a report of what it has measured so far."""
    made = ToldRun(tmp_path / "runs" / "2026-05-28_12-00-00")
    made.write_manifest()
    made.tell(opened())
    made.write_report()
    return made


@contextlib.contextmanager
def looking_at(page: ServedHere, path: str, profile: Path) -> Iterator[Tab]:
    """Open a path of the page in a browser."""
    with browser(profile) as port, contextlib.ExitStack() as sockets:
        tab = Tab(port, sockets)
        tab.call("Page.enable")
        tab.call("Page.navigate", url=f"http://127.0.0.1:{page.port}{path}")
        yield tab


def loads(tab: Tab) -> int:
    """Return how often the tab has loaded a page, up to now."""
    tab.value("1")
    return sum(event["method"] == "Page.loadEventFired" for event in tab.events)


def test_the_report_so_far_is_loaded_once_and_stays(run: ToldRun, tmp_path: Path) -> None:
    with page_of(run.folder.parent) as page, looking_at(page, "/report", tmp_path / "profile") as tab:
        assert eventually(lambda: loads(tab) > 0)
        tab.value("new Promise(done => setTimeout(done, 4000))")
        assert loads(tab) == 1
        assert "the report" in tab.value(TEXT)


def test_the_report_of_a_run_gives_its_place_to_that_of_the_next_and_to_the_living_page(
    run: ToldRun, tmp_path: Path
) -> None:
    run.write_manifest("closed", closed_at=run.opened_at)
    with page_of(run.folder.parent) as page, looking_at(page, "/", tmp_path / "profile") as tab:
        assert eventually(lambda: "the report" in str(tab.value(TEXT)))
        other = ToldRun(run.folder.with_name("2026-05-28_13-00-00"))
        other.folder.mkdir()
        other.write_report("<html><body>that of the next</body></html>")
        other.write_manifest("closed", closed_at=run.opened_at)  # all of it between two looks, as in a laptop's sleep
        assert eventually(lambda: "that of the next" in str(tab.value(TEXT)))
        other.write_manifest("open")
        assert eventually(lambda: tab.value("document.getElementById('sentence') !== null"))
        tab.value("new Promise(done => setTimeout(done, 2000))")
        assert loads(tab) == 3, "one of each: nothing loads itself again"


def test_a_page_too_many_says_so_and_draws_as_soon_as_there_is_a_place(run: ToldRun, tmp_path: Path) -> None:
    with page_of(run.folder.parent) as page, contextlib.ExitStack() as readers:
        for _ in range(MOST_READERS):
            readers.enter_context(reading(page)).read_until(lambda it: True)
        with looking_at(page, "/", tmp_path / "profile") as tab:
            said = "document.getElementById('lost').textContent"
            assert eventually(lambda: f"{MOST_READERS} pages are open already" in str(tab.value(said)))
            readers.close()
            assert eventually(lambda: tab.value(f"{said} === ''") is True)
            assert run.folder.name in tab.value("document.title")
