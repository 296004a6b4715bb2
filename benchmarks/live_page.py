"""What the living page costs a measurement: the same load with no page open and with one, in turn.

    python -m benchmarks.live_page [ROUNDS] [SECONDS] [reader | browser]

The embedded server with 20,000 memories is asked by `hybrid_production_100k` for SECONDS (20) after 3 s of warm-up,
ROUNDS (6) times without a page and as often with one, in the order off on, on off, ...; server, driver and page have
the places that a suite gives them. Events are told once a second all the while, as a runner tells them. The page is
read by one `reader` that takes its stream and draws nothing, or by a headless `browser` on this machine. Prints of each
measurement P50 and P99 of the response time and P99 of the lag, the median ratios of on to off, and the CPU of the
page's process in ms a second.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil

from benchmarks.placements import drive, serving
from compbench.cli.live_page import ServedPage, served
from compbench.cli.project import Project
from compbench.config.settings import Settings
from compbench.machine import isolation
from compbench.machine.real_time import in_real_time
from tests.browser import CHROMIUM, Tab, browser

WARM_UP_S = 3
RUN = "2026-01-01_00-00-00"
NAMES = ["alpha", "beta"]


class Cost(NamedTuple):
    """The figures of one measurement; the page's CPU is None where none was open."""

    p50_ms: float
    p99_ms: float
    lag_p99_ms: float
    page_ms_s: float | None


def line(kind: str, **fields: Any) -> str:
    """Return an event as the run's record has it."""
    return json.dumps({"event": kind, "at": time.time(), "measurement": "alpha", **fields}) + "\n"


def told_second(number: int) -> str:
    """Return what a runner tells in a second of measuring, with four hosts: the most there is."""
    times = {"p50_ms": 0.6, "p95_ms": 1.1, "p99_ms": 1.4 + number % 7, "lag_p99_ms": 0.2}
    hosts = {name: {"completed": 250, "errors": 0, **times} for name in "abcd"}
    second = {"second": number, "offered": 1000, "completed": 999, "errors": 0, "max_ms": 9.0, "hosts": hosts, **times}
    sample = {"elapsed_s": number, "cpu_pct": 60.0, "driver_cpu_pct": 30.0, "memory_bytes": 4e8, "io_wait_pct": 1.0}
    progress = line("progress-made", elapsed_s=number, offered_ops_s=1000.0, achieved_ops_s=999.0)
    return (
        line("second-measured", **second, recall=0.95, checked=number) + progress + line("sample-taken", sample=sample)
    )


@contextlib.contextmanager
def telling(folder: Path, seconds: int) -> Iterator[None]:
    """Tell a run's events, once a second, until the block is left."""
    run = folder / "runs" / RUN
    run.mkdir(parents=True, exist_ok=True)
    settings = {"system": "embedded", "driver": "builtin", "profile": "full"}
    manifest = {"run": RUN, "state": "open", "opened_at": time.time(), "selection": NAMES, "settings": settings}
    (run / "manifest.json").write_text(json.dumps(manifest))
    ended = threading.Event()

    def tell() -> None:
        with (run / "events.jsonl").open("w") as file:
            file.write(line("run-opened", run=RUN, selection=NAMES))
            file.write(line("measurement-began", title="Alpha", place=1, of=2, left_s=2.0 * seconds))
            file.write(line("phase-began", phase="measure", limit_s=seconds))
            for number in range(10_000):
                file.write(told_second(number))
                file.flush()
                if ended.wait(1.0):
                    return

    thread = threading.Thread(target=tell)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def reader(page: ServedPage) -> Iterator[None]:
    """Take the page's stream as a browser does, and draw nothing."""
    connection = http.client.HTTPConnection(page.address.removeprefix("http://").rstrip("/"), timeout=30)
    connection.request("GET", "/events")
    answer = connection.getresponse()

    def take() -> None:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException, AttributeError):
            while answer.readline():
                pass

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    try:
        yield
    finally:
        if connection.sock:
            connection.sock.shutdown(2)
        thread.join(10)


@contextlib.contextmanager
def watching_browser(page: ServedPage) -> Iterator[None]:
    """Let a headless browser show the page."""
    with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as port, contextlib.ExitStack() as sockets:
        tab = Tab(port, sockets)
        tab.call("Page.enable")
        tab.call("Page.navigate", url=page.address)
        time.sleep(5)  # what it takes to start is no part of what it takes to watch
        if "compbench live: Run" not in str(tab.value("document.title")):
            sys.exit("the browser does not show the page")
        yield


def measure(folder: Path, project: Project, seconds: int, viewer: str) -> Cost:
    """Return the cost of one measurement, with a page and its viewer, or with none where `viewer` is empty."""
    report = folder / "report.json"
    place = isolation.reached_by(project.settings).of_driver(project.settings.niceness)
    with telling(folder, seconds), served(project) if viewer else nullcontext() as page, seen(page, viewer):
        used_before, began = cpu_ms(page), time.monotonic()
        words = ("--duration", str(seconds), "--warm-up", str(WARM_UP_S), "--output", str(report))
        drive(folder, place, "run", *words)
        used, lasted_s = cpu_ms(page) - used_before, time.monotonic() - began
    told = json.loads(report.read_bytes())
    lag_ms = told["compbench"]["driver_lag_ms"]["p99"]
    return Cost(told["p50_latency_ms"], told["p99_latency_ms"], lag_ms, used / lasted_s if page else None)


def seen(page: ServedPage | None, viewer: str) -> AbstractContextManager[None]:
    """Return who looks at the page."""
    if page is None:
        return nullcontext()
    return reader(page) if viewer == "reader" else watching_browser(page)


def cpu_ms(page: ServedPage | None) -> float:
    """Return the CPU time that the page's process has used; 0 where there is none."""
    times = psutil.Process(page.child.pid).cpu_times() if page else None
    return 1000 * (times.user + times.system) if times else 0.0


def main() -> None:
    """Print the table."""
    rounds, seconds, viewer = [*sys.argv[1:], *("6", "20", "reader")[len(sys.argv) - 1 :]]
    if viewer not in ("reader", "browser") or (viewer == "browser" and CHROMIUM is None):
        sys.exit("the page is read by a `reader`, or by a `browser` where Chromium is installed")
    found: dict[str, list[Cost]] = {"off": [], "on": []}
    with tempfile.TemporaryDirectory(prefix="compbench-live-page-") as name:
        folder = Path(name) / "work"
        places = {"output_dir": str(folder / "runs"), "cache_dir": str(Path(name) / "cache")}
        settings = msgspec.convert({"driver": "builtin", "live_port": 0, **places}, Settings)
        project, reached = Project(Path(name), settings, []), isolation.reached_by(settings)
        print(f"isolation: {reached.told or 'none'}; a page read by a {viewer}", flush=True)
        with (
            serving(folder, reached.of_server("live-page", settings.niceness)) as server,
            in_real_time(server.pid, wanted=reached.is_server_real_time),
        ):
            for number in range(int(rounds)):
                for state in ("off", "on") if number % 2 == 0 else ("on", "off"):
                    cost = measure(folder, project, int(seconds), viewer if state == "on" else "")
                    found[state].append(cost)
                    page = "" if cost.page_ms_s is None else f"  page {cost.page_ms_s:.1f} ms/s"
                    times = f"P50 {cost.p50_ms:7.3f}  P99 {cost.p99_ms:7.3f}  lag P99 {cost.lag_p99_ms:6.3f} ms"
                    print(f"{number + 1} {state:3}  {times}{page}", flush=True)
    show_ratios(found)


def show_ratios(found: dict[str, list[Cost]]) -> None:
    """Print the median of the rounds' ratios of on to off, with the least and the largest."""
    for title, field in (("P50", "p50_ms"), ("P99", "p99_ms"), ("lag P99", "lag_p99_ms")):
        pairs = zip(found["on"], found["off"], strict=True)
        ratios = [getattr(on, field) / max(getattr(off, field), 0.001) for on, off in pairs]
        print(f"{title:8} on / off: median {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    used = [cost.page_ms_s for cost in found["on"] if cost.page_ms_s is not None]
    print(f"CPU of the page: {statistics.median(used):.1f} ms a second ({min(used):.1f} to {max(used):.1f})")


if __name__ == "__main__":
    main()
