"""A run's events as a runner tells them, and the folder that they are told into."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOON = 1_780_000_000.0
NAMES = ["alpha", "beta"]


def event(kind: str, measurement: str = "", at: float = NOON, **fields: Any) -> dict[str, Any]:
    """Return an event as a line has it."""
    return {"event": kind, "at": at, "measurement": measurement, **fields}


def opened(at: float = NOON, invocation: int = 1) -> dict[str, Any]:
    return event("run-opened", at=at, run="r", selection=NAMES, invocation=invocation)


def begun(name: str = "alpha", at: float = NOON, **fields: Any) -> dict[str, Any]:
    place = NAMES.index(name) + 1
    return event("measurement-began", name, at, title=name.title(), place=place, of=2, **fields)


def phase(name: str, measurement: str = "alpha", limit_s: float | None = None, at: float = NOON) -> dict[str, Any]:
    return event("phase-began", measurement, at, phase=name, limit_s=limit_s)


def second(number: int, measurement: str = "alpha", **fields: Any) -> dict[str, Any]:
    told = {"offered": 100, "completed": 99, "errors": 1, "p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0, "max_ms": 9.0}
    return event("second-measured", measurement, NOON + number, second=number, **{**told, **fields})


def outcome(measurement: str = "alpha", verdict: str = "passed", **fields: Any) -> dict[str, Any]:
    figures = {"p99_latency_ms": 3.25, "throughput_ops_s": 100.0}
    return event("outcome-reached", measurement, outcome={"verdict": verdict}, figures=figures, **fields)


@dataclass
class ToldRun:
    """A run's folder with manifest and events, as far as they are told."""

    folder: Path
    opened_at: float = NOON

    def write_manifest(self, state: str = "open", **fields: Any) -> None:
        """Write the manifest as the runner does: whole, by a rename."""
        self.folder.mkdir(parents=True, exist_ok=True)
        manifest = {
            "schema": 1,
            "run": self.folder.name,
            "state": state,
            "opened_at": self.opened_at,
            "selection": NAMES,
            "fingerprint": {"system": "embedded"},
            "settings": {"system": "embedded", "driver": "builtin", "profile": "quick"},
        }
        path = self.folder / "manifest.json"
        path.with_suffix(".tmp").write_text(json.dumps({**manifest, **fields}))
        path.with_suffix(".tmp").replace(path)

    def tell(self, *events: dict[str, Any], torn: str = "") -> None:
        """Append events, and after them what a killed runner, or one that is still writing, leaves of another."""
        text = "".join(json.dumps(one) + "\n" for one in events) + torn
        with (self.folder / "events.jsonl").open("a") as file:
            file.write(text)

    def write_report(self, text: str = "<html><body>the report</body></html>") -> None:
        """Write what the run's report is to be."""
        (self.folder / f"{self.folder.name}_report.html").write_text(text)
