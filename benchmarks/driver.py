"""How fast the built-in driver is and how exact, against the tools people know, on one local nginx.

Speed: requests a second with small requests over the same connections, each tool in turn, several rounds; printed are
the medians, the median of each round's ratio to wrk, and what a request costs the tool in processor time, which other
work on the machine changes little. wrk, hey and locust send the next request when an answer is
there; so does this driver when it is offered twice what wrk reaches: all connections are busy all the time, and every
request is timed and recorded as in any run. Lag: how late requests are sent at fixed rates, with small requests and
with vectors of 768 dimensions; in the first second too, in which the driver's code would run for the first time. What
is not installed is left out, and said so.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from compbench.config.scenarios import load_scenario
from compbench.loadtest.engine.openloop import NO_ANSWER, RequestSource
from compbench.loadtest.engine.recorder import NEVER_SENT, Part
from compbench.loadtest.engine.shards import Plan, keep_schedule
from compbench.loadtest.engine.totals import Totals
from compbench.loadtest.workload.arrivals import Schedule
from compbench.loadtest.workload.vector_sets import open_vectors, shape_of
from compbench.loadtest.workload.workload import Workload as ScenarioWorkload
from compbench.model.scenario import Constant
from compbench.systems.engram.client import Client
from compbench.transport.http_pool import Endpoint, Pool

ROOT = Path(__file__).resolve().parent.parent
SCENARIO = ROOT / "scenarios" / "competitive" / "qdrant_ann_1m_768d.toml"
LAG_RATES = (500, 1000, 5000)
NGINX = """\
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000000;
  large_client_header_buffers 4 64k;
  server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '{{"memories":[]}}'; }} }}
}}
"""
LOCUST = """\
from locust import FastHttpUser, constant, task
class Small(FastHttpUser):
    wait_time = constant(0)
    @task
    def get(self):
        self.client.get("/")
"""


class Speed(NamedTuple):
    """Requests a second, and the processor time of the tool for each."""

    rate: float
    cpu_us: float


class Bare:
    """A workload of the same small request again and again."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._request = endpoint.get(b"/")

    def build(self, _index: int) -> bytes:
        """Return the request."""
        return self._request

    def operation(self, _index: int) -> int:
        """Return the only kind there is."""
        return 0

    def keeps(self, _index: int) -> bool:
        """Want no answer."""
        return False

    def answered(self, index: int, body: bytes) -> None:
        """Never called."""

    def digest(self) -> str:
        """Return the SHA-256 of the request."""
        return hashlib.sha256(self._request).hexdigest()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--locust", default="locust", help="the locust program, where it is not on the PATH")
    options = parser.parse_args()
    if shutil.which("nginx") is None:
        sys.exit("nginx is not installed: nothing to measure against")
    with nginx() as url:
        compare_speed(url, options)
        compare_lag(url, options.seconds)


@contextlib.contextmanager
def nginx() -> Iterator[str]:
    """Run nginx on a free port; yield its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
        argv = ["nginx", "-p", folder, "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
        with subprocess.Popen(argv) as process:
            try:
                for _ in range(100):
                    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                        break
                    time.sleep(0.05)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


def compare_speed(url: str, options: argparse.Namespace) -> None:
    """Print requests a second of each tool."""
    connections, seconds = str(options.connections), str(options.seconds)
    tools: dict[str, Callable[[], Speed]] = {}
    commands = {
        "wrk": ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url],
        "hey": ["hey", "-z", f"{seconds}s", "-c", connections, f"{url}/"],
    }
    for name, argv in commands.items():
        if shutil.which(name):
            tools[name] = partial(speed_of, argv, options.seconds)
        else:
            print(f"{name}: not installed, left out")
    if shutil.which(options.locust):
        tools["locust (FastHttpUser)"] = partial(locust_speed, url, options)
    else:
        print("locust: not installed, left out")
    offered = 2 * tools["wrk"]().rate if "wrk" in tools else 100_000.0
    small = partial(Bare, Endpoint(url))
    tools["compbench, 1 process"] = partial(own_speed, url, options, offered, 1, small)
    tools["compbench, 2 processes"] = partial(own_speed, url, options, offered, 2, small)
    searches = vector_searches(url, int(offered) * options.seconds)
    tools["1 process, 768-d search"] = partial(own_speed, url, options, offered, 1, searches)
    rounds = [{name: measure() for name, measure in tools.items()} for _ in range(options.rounds)]
    print(f"\n{connections} connections, {seconds} s, {options.rounds} rounds, one nginx worker")
    print(f"{'':24} {'requests/s':>11} {'of wrk':>8} {'CPU us each':>12}")
    for name in tools:
        ratio = statistics.median(r[name].rate / r["wrk"].rate for r in rounds) if "wrk" in tools else float("nan")
        rate, cpu_us = (statistics.median(column) for column in zip(*(r[name] for r in rounds), strict=True))
        print(f"{name:24} {rate:11.0f} {ratio:8.2f} {cpu_us:12.1f}")


def speed_of(argv: list[str], seconds: int) -> Speed:
    """Return the rate that wrk or hey prints."""
    before = cpu_s()
    output = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    match = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert match, output
    rate = float(match[1])
    return Speed(rate, 1e6 * (cpu_s() - before) / (rate * seconds))


def locust_speed(url: str, options: argparse.Namespace) -> Speed:
    """Return the rate of locust's fastest client in one process, from its first request to its last."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "locustfile.py"
        file.write_text(LOCUST)
        users = str(options.connections)
        argv = [options.locust, "-f", str(file), "--headless", "-u", users, "-r", users, "--host", url, "--json"]
        before = cpu_s()
        ended = subprocess.run(
            [*argv, "-t", f"{options.seconds + 1}s", "--reset-stats"], capture_output=True, text=True, check=True
        )
        stats = json.loads(ended.stdout)[0]
        count = float(stats["num_requests"])
        seconds = float(stats["last_request_timestamp"] - stats["start_time"])
        return Speed(count / seconds, 1e6 * (cpu_s() - before) / count)


def own_speed(
    url: str, options: argparse.Namespace, offered: float, processes: int, make: Callable[[], RequestSource]
) -> Speed:
    """Return the requests a second that were answered, the schedule being twice as fast as wrk."""
    seconds = int(options.seconds)
    before = cpu_s()
    totals, pooled = send(url, make, offered, seconds, options.connections, processes)
    assert set(totals.reasons) <= {NEVER_SENT, NO_ANSWER}, totals.reasons
    rate = sum(second.completed for second in totals.series[1:seconds]) / (seconds - 1)
    return Speed(rate, 1e6 * (cpu_s() - before) / (pooled.count - pooled.never_sent))


def cpu_s() -> float:
    """Return the processor time that this process and its ended children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def compare_lag(url: str, seconds: int) -> None:
    """Print how late requests are sent."""
    columns = f"{'P50':>8} {'P99':>8} {'P99.9':>8} {'max':>8}  P99 of the first second"
    print(f"\nlag of one process in ms, {seconds} s{'':8} {columns}")
    for rate in LAG_RATES:
        searches = vector_searches(url, rate * seconds)
        makers: dict[str, Callable[[], RequestSource]] = {"small": partial(Bare, Endpoint(url)), "768-d": searches}
        for name, make in makers.items():
            totals, pooled = send(url, make, rate, seconds, 32, 1)
            lag = pooled.times.lag.summary()
            figures = (lag.p50, lag.p99, lag.p999, lag.max, totals.series[0].lag_p99_ms)
            print(f"{rate:6} requests/s, {name:16} {' '.join(f'{figure:8.3f}' for figure in figures)}")


def vector_searches(url: str, count: int) -> Callable[[], RequestSource]:
    """Return the maker of a workload of nothing but searches with vectors of 768 dimensions."""
    scenario = load_scenario(SCENARIO)
    prepared = scenario.data.num_nodes
    client = Client(None, url, shape_of(scenario, open_vectors(scenario, scenario.data_seed)))
    return partial(ScenarioWorkload, scenario, scenario.seed, client, prepared=prepared, count=count)


def send(
    url: str, make: Callable[[], RequestSource], rate: float, seconds: int, connections: int, processes: int
) -> tuple[Totals, Part]:
    """Keep a constant schedule; return what was measured."""
    totals = Totals()
    plan = Plan(
        partial(Pool, Endpoint(url)), Schedule(Constant(rate=rate), 1, 0, seconds), connections, processes, make
    )
    keep_schedule(plan, make(), lambda _: None, lambda interval: totals.take(interval, interval.pooled()))
    return totals, totals.pooled()


if __name__ == "__main__":
    main()
