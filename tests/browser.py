"""Headless Chromium, spoken to in its DevTools protocol: what a page draws, asks for and complains of."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from tests.project import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass(frozen=True)
class Seen:
    """What a page did: shapes in each of its charts, how far it is too wide, errors, and what it asked for.

    Also the height of the tallest row of its tables, and on how many sheets it is printed.
    """

    marks: list[int]
    overflow_px: int
    errors: list[dict[str, Any]]
    urls: list[str]
    tallest_row_px: int = 0
    printed_pages: int = 0


def look_at(page: Path, width: int, profile: Path) -> Seen:
    """Open a page, wait until every chart is drawn, and return what was seen."""
    with browser(profile) as port, contextlib.ExitStack() as sockets:
        tab = Tab(port, sockets)
        open_page(tab, page, width)
        marks = tab.value("[...document.querySelectorAll('.chart')].map(c => c.querySelectorAll('path').length)")
        overflow_px = tab.value("document.documentElement.scrollWidth - window.innerWidth")
        tallest_px = tab.value("Math.max(0, ...[...document.querySelectorAll('tr')].map(r => r.offsetHeight))")
        printed = base64.b64decode(tab.call("Page.printToPDF")["data"])
        events = tab.events
    errors = [e for e in events if e["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
    errors += [e for e in events if e["method"] == "Runtime.consoleAPICalled" and e["params"]["type"] == "error"]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    sheets = len(re.findall(rb"/Type\s*/Page\b", printed))
    return Seen(marks, overflow_px, errors, urls, int(tallest_px), sheets)


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[int]:
    """Run headless Chromium and yield the port of its debugging interface."""
    port = free_port()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += [f"--user-data-dir={profile}", f"--remote-debugging-port={port}", "--remote-allow-origins=*"]
    process = subprocess.Popen([str(CHROMIUM), *flags, "about:blank"], stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(20)


class Tab:
    """One page of the browser, spoken to in its DevTools protocol over a WebSocket."""

    def __init__(self, port: int, sockets: contextlib.ExitStack) -> None:
        for _ in range(200):
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=1) as answer:
                    found = [page for page in json.load(answer) if page["type"] == "page"]
                if found:
                    break
            time.sleep(0.1)
        self.socket = sockets.enter_context(connect(found[0]["webSocketDebuggerUrl"], max_size=None))
        self.events: list[dict[str, Any]] = []
        self.number = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=60))
            if message.get("id") == self.number:
                return dict(message.get("result", {}))
            self.events.append(message)

    def value(self, expression: str) -> Any:
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        return found["result"].get("value")


def open_page(tab: Tab, path: Path, width: int) -> None:
    for domain in ("Page", "Runtime", "Log", "Network"):
        tab.call(f"{domain}.enable")
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600)
    tab.call("Page.navigate", url=path.as_uri())
    tab.value("new Promise(done => setTimeout(done, 300))")
    drawn = (
        "new Promise(done => { let left = 300; const look = () => {"
        "const all = [...document.querySelectorAll('.chart')];"
        "if (all.every(c => c.dataset.drawn) || --left === 0) done(all.filter(c => !c.dataset.drawn).map(c => c.id));"
        "else setTimeout(look, 100); }; look(); })"
    )
    assert tab.value(drawn) == []
