"""The living page beside real suites: while a run is measured, as its report, and when the runner is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import CHROMIUM, Tab, browser
from tests.live.paging import ServedHere, reading
from tests.project import Project, eventually, free_port

NAMES = ("alpha", "beta")
# On a busy machine a measurement may be spoiled, which is told by the exit code and is no matter here.
ANY_VERDICT = (0, 1)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of two small scenarios, measured on the embedded server, with their report."""
    made = Project(tmp_path / "project", names=NAMES)
    made.set(system="embedded", driver="builtin", expected_scenarios=2, report=True, duration_s=3, invalid_retries=0)
    return made


@contextlib.contextmanager
def living(project: Project) -> Iterator[int]:
    """Run `doit live` and yield its port; Ctrl-C ends it with exit code 0 and leaves nothing running."""
    port = free_port()
    process = project.start("live", f"live_port={port}")
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line == f"live: http://127.0.0.1:{port}/ shows the newest run; Ctrl-C ends it\n"
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def wait_for(tab: Tab, expression: str, timeout_s: float = 60.0) -> None:
    """Wait until an expression is true in the page; one that is being loaded has no value yet."""
    guarded = f"(() => {{ try {{ return {expression} }} catch {{ return false }} }})()"
    met = eventually(lambda: tab.value(guarded), timeout_s)
    assert met, f"never came true: {expression}; {complaints_of(tab)}; {tab.value('document.body.innerText')[:2000]}"


def complaints_of(tab: Tab) -> list[dict[str, Any]]:
    """Return what went wrong in the browser, and what the page's security policy has kept from it."""
    return [event for event in tab.events if event["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]


def has_text(place: str, text: str) -> str:
    return f"document.getElementById('{place}').textContent.includes({json.dumps(text)})"


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_a_browser_sees_a_run_under_way_its_results_its_report_and_that_the_next_runner_was_killed(
    project: Project, tmp_path: Path
) -> None:
    with living(project) as port, browser(tmp_path / "profile") as debugging, contextlib.ExitStack() as sockets:
        tab = Tab(debugging, sockets)
        for domain in ("Page", "Runtime", "Log"):
            tab.call(f"{domain}.enable")
        tab.call("Emulation.setDeviceMetricsOverride", width=390, height=2400, deviceScaleFactor=1, mobile=True)
        tab.call("Page.navigate", url=f"http://127.0.0.1:{port}/")
        wait_for(tab, has_text("told", "waits for one"))

        suite = project.start()
        wait_for(tab, has_text("sentence", "1 of 2: alpha \u2013 measuring"))
        wait_for(tab, "document.querySelectorAll('#chart-throughput path').length > 3")
        wait_for(tab, "document.querySelectorAll('#machine-body tr').length > 3")
        assert tab.value("document.documentElement.scrollWidth - window.innerWidth") <= 0
        wait_for(tab, "/alpha(passed|missed|invalid)/.test(document.getElementById('results-body').textContent)")
        wait_for(tab, has_text("rail", "betaunder way"))
        wait_for(tab, f"document.title === 'compbench {project.run().name}'")
        wait_for(
            tab, "[...document.querySelectorAll('.chart')].filter(c => !c.dataset.drawn).map(c => c.id).join() === ''"
        )
        out, err = suite.communicate(timeout=60)
        assert suite.returncode in ANY_VERDICT, out + err

        runner = project.start("new=1")
        wait_for(tab, has_text("sentence", "measuring"))
        assert eventually(lambda: len(project.runs()) == 2)
        runner.kill()
        runner.communicate(timeout=30)
        wait_for(tab, has_text("told", "The runner is gone"))
        assert tab.value("document.getElementById('told').hidden") is False
        assert complaints_of(tab) == []
    assert eventually(lambda: not project.orphans())


def test_a_suite_brings_its_page_which_tells_the_end_and_ends_with_it(project: Project) -> None:
    port = free_port()
    project.set(duration_s=2, live=True, live_port=port)
    suite = project.start()
    page = ServedHere(suite, port)
    assert eventually(lambda: answers(page), 60.0)
    with reading(page) as reader:
        reader.read_until(lambda it: bool(it.parts["results"]["rows"]))
        reader.read_until(lambda it: it.parts["report"])
    out, err = suite.communicate(timeout=60)
    assert suite.returncode in ANY_VERDICT, out + err
    assert f"a page of this run: http://127.0.0.1:{port}/" in out
    assert "page-open" in [notice["code"] for notice in project.capture("beta")["notices"]]
    assert not answers(page)
    assert not any(key.startswith("live") for key in project.manifest()["fingerprint"])


@pytest.mark.slow
def test_a_page_that_a_suite_brings_ends_though_its_runner_is_killed(project: Project) -> None:
    port = free_port()
    project.set(duration_s=30, live=True, live_port=port)
    suite = project.start("run:beta")
    page = ServedHere(suite, port)
    assert eventually(lambda: answers(page), 60.0)
    os.killpg(suite.pid, signal.SIGKILL)
    suite.communicate(timeout=30)
    assert eventually(lambda: not answers(page))
    assert eventually(lambda: not project.orphans())


def answers(page: ServedHere) -> bool:
    """Tell whether the page answers."""
    with contextlib.suppress(OSError):
        return page.ask("/")[0] == 200
    return False
