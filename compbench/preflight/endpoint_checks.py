"""Checks of a server that the user runs and of the way to it: clock, round trip, bandwidth for the offered load.

Each does little to the server: one question, some connections, and nothing that would load its network.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

import compbench
from compbench.config.settings import Settings
from compbench.machine.ask import AskError, ask
from compbench.machine.probes import reach
from compbench.model.errors import UserError
from compbench.model.records import ELSEWHERE, Finding
from compbench.model.result import RequestSizes
from compbench.model.scenario import Scenario, mean_rate, peak_rate
from compbench.preflight.endpoint_judgement import (
    ANSWER_BYTES,
    ANSWER_BYTES_A_HIT,
    Offer,
    judge_bandwidth,
    judge_clock,
    judge_round_trip,
)
from compbench.preflight.findings import finding_of
from compbench.preflight.inputs import asked_scenarios
from compbench.systems import registry
from compbench.systems.api import Server

CONNECTIONS = 20
_MOST_LOST = 3
_ANSWER_LIMIT_S = 2.0
_SIZES_LIMIT_S = 120.0
_CODE = Path(compbench.__file__).resolve().parent.parent


def check_clock(settings: Settings) -> Finding:
    """Compare the server's clock with ours, if it tells it by HTTP."""
    half = registry.server_of(settings)
    if half.mode != ELSEWHERE:
        return _not_elsewhere("clock")
    page = half.metrics()
    pages = [half.endpoint, page.url if page else ""]
    url = next((one for one in pages if urlsplit(one).scheme in ("http", "https")), "")
    if not url:
        return finding_of("clock", "not-judged", "ok", why=f"{half.endpoint} is not asked over HTTP")
    try:
        before_s = time.time()
        answer = ask(url, _ANSWER_LIMIT_S)
    except AskError as error:
        return finding_of("clock", "not-judged", "ok", why=f"{url}: {error}")
    return judge_clock(url, answer.date, before_s, time.time())


def check_round_trip(settings: Settings, names: Sequence[str]) -> Finding:
    """Connect to the server some times, one after the other."""
    half = registry.server_of(settings)
    if half.mode != ELSEWHERE:
        return _not_elsewhere("round_trip")
    place = _place(half)
    if place is None:
        return finding_of("round_trip", "not-judged", "ok", why=f"{half.endpoint} names no port")
    took_s, tried = _connect(*place)
    return judge_round_trip(f"{place[0]}:{place[1]}", took_s, tried, _tightest(settings, names))


def check_bandwidth(settings: Settings, names: Sequence[str]) -> Finding:
    """Set what the scenarios send against what the interface on the way there carries."""
    half = registry.server_of(settings)
    if half.mode != ELSEWHERE:
        return _not_elsewhere("bandwidth")
    place = _place(half)
    try:
        offers = [_offer(settings, half, scenario) for scenario in asked_scenarios(settings, names)]
    except (UserError, OSError, msgspec.DecodeError, subprocess.TimeoutExpired) as error:
        return finding_of("bandwidth", "not-judged", "ok", why=error)
    if not offers or place is None:
        return finding_of("bandwidth", "not-judged", "ok", why="nothing is to be sent, or no port is named")
    return judge_bandwidth(offers, reach.link_to(*place))


def _connect(host: str, port: int) -> tuple[list[float], int]:
    """Return how long each connection took, and how many were tried: not all where several fail, which takes long."""
    took_s: list[float] = []
    for tried in range(1, CONNECTIONS + 1):
        try:
            took_s.append(reach.connect_s(host, port))
        except OSError:
            if tried - len(took_s) == _MOST_LOST:
                return took_s, tried
    return took_s, CONNECTIONS


def _not_elsewhere(check: str) -> Finding:
    return finding_of(check, "not-used", "ok", why="the server runs on this machine")


def _place(half: Server) -> tuple[str, int] | None:
    host, ports = urlsplit(half.endpoint).hostname, half.ports()
    return (host, ports[0]) if host and ports else None


def _tightest(settings: Settings, names: Sequence[str]) -> tuple[str, float] | None:
    """Return the scenario with the tightest P99, and that, in ms."""
    found = []
    with contextlib.suppress(UserError):  # the check of the scenarios says what is wrong with them
        for scenario in asked_scenarios(settings, names):
            if (limit_ms := scenario.validation.expected_p99_latency_ms) is not None:
                found.append((scenario.name, limit_ms))
    return min(found, key=lambda pair: pair[1], default=None)


def _offer(settings: Settings, half: Server, scenario: Scenario) -> Offer:
    """Return what a scenario sends, by its requests as the system's client encodes them.

    Raises:
        UserError: they can't be encoded; says why.
    """
    sizes, peak = _sizes(settings, half, scenario), peak_rate(scenario.arrival)
    return Offer(
        scenario=scenario.name,
        mean_bytes_s=mean_rate(scenario.arrival) * sizes.mean_bytes,
        peak_bytes_s=peak * sizes.mean_bytes,
        back_bytes_s=peak * (ANSWER_BYTES + ANSWER_BYTES_A_HIT * sizes.mean_limit),
    )


def _sizes(settings: Settings, half: Server, scenario: Scenario) -> RequestSizes:
    """Have the driver's program encode requests, with all that this takes of memory.

    Raises:
        UserError: it could not; says why.
    """
    own = msgspec.json.encode(msgspec.to_builtins(registry.own_settings(settings))).decode()
    argv = [sys.executable, "-m", "compbench.loadtest", "sizes", "--scenario", str(scenario.path)]
    argv += ["--endpoint", half.endpoint, "--system", settings.system, "--system-settings", own]
    argv += ["--systems-dir", settings.systems_dir] if settings.systems_dir else []
    path = os.pathsep.join(filter(None, [str(_CODE), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        argv, env=environment, capture_output=True, text=True, errors="replace", check=False, timeout=_SIZES_LIMIT_S
    )
    if done.returncode != 0:
        said = done.stderr.strip().rpartition("\n")[2].removeprefix("Error: ")
        raise UserError(said or f"{scenario.name}: the driver's program ended with {done.returncode}")
    return msgspec.json.decode(done.stdout, type=RequestSizes)
