"""Which place is best for server and driver: the embedded server's P99 and the driver's lag in several, in turn.

    python -m benchmarks.placements [quiet | crowded] [ROUNDS]

Beside nothing, or beside two endless loops and a niced shell that starts programs all the time, one server with 20,000
memories is asked by `hybrid_production_100k` for 6 s after 3 s of warm-up, from each place in turn, ROUNDS times
(3 unless told). Places that this user may not have are an error. Prints of each round the P99 of the response time, and
of the lag, in ms.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

from benchmarks.disturbed import crowded
from compbench.machine import process
from compbench.machine.output import Output
from compbench.machine.placement import Placement
from compbench.machine.process import Child
from compbench.machine.real_time import in_real_time
from compbench.measuring.server import child_environment
from compbench.systems.engram.server import start_argv
from compbench.systems.engram.settings import EngramSettings

ROOT = Path(__file__).resolve().parent.parent
SCENARIO = ROOT / "scenarios" / "competitive" / "hybrid_production_100k.toml"
PORT, ROUNDS = 7441, 3
CPUS = tuple(sorted(os.sched_getaffinity(0)))
FIRST, REST = CPUS[:1], CPUS[1:]


class Seats(NamedTuple):
    """The places of server and driver, and whether the server is in real time while it is asked."""

    server: Placement
    driver: Placement
    is_server_first: bool = False


SEATS = {
    "as they are": Seats(Placement(), Placement()),
    "niceness -15": Seats(Placement(-15), Placement(-15)),
    "a core each": Seats(Placement(cpus=REST), Placement(cpus=FIRST)),
    "a core each, niceness -15": Seats(Placement(-15, cpus=REST), Placement(-15, cpus=FIRST)),
    "server niceness -15, driver first": Seats(Placement(-15), Placement(-15, is_real_time=True, cpus=FIRST)),
    "a core each, driver first": Seats(Placement(-15, cpus=REST), Placement(-15, is_real_time=True, cpus=FIRST)),
    "both first, driver on one core": Seats(Placement(-15), Placement(-15, is_real_time=True, cpus=FIRST), True),
}


@contextmanager
def serving(folder: Path, place: Placement) -> Iterator[Child]:
    """Run the embedded server, with the data set loaded, until the block is left."""
    folder.mkdir()
    argv = start_argv([sys.executable, "-m", "compbench.embedded"], EngramSettings(), PORT)
    own = {"ENGRAM_DATA_DIR": str(folder / "data"), "ENGRAM_PID_PATH": str(folder / "pid")}
    environment, log = child_environment(ROOT, own), Output(folder / "server.log", 1_000_000)
    with process.running(argv, environment=environment, folder=folder, stdout=log, placement=place) as server:
        drive(folder, Placement(), "prepare")
        yield server


def drive(folder: Path, place: Placement, *words: str) -> None:
    """Run a driver to its end.

    Raises:
        SystemExit: it could not do its work at all; a missed target is no matter here.
    """
    common = ["--scenario", str(SCENARIO), "--rows", "20000", "--endpoint", f"http://127.0.0.1:{PORT}"]
    argv = [sys.executable, "-m", "compbench.loadtest", *words, *common, "--cache", str(folder.parent / "cache")]
    log = Output(folder / "driver.log", 1_000_000)
    environment = child_environment(ROOT)
    with process.running(argv, environment=environment, folder=folder, stdout=log, placement=place) as driver:
        ended = driver.wait(600)
    if ended is None or ended.code not in (0, 1):
        sys.exit(f"{words[0]}: {ended}: {(folder / 'driver.log').read_text()[-500:]}")


def measure(folder: Path, seats: Seats) -> tuple[float, float]:
    """Return the P99 of response time and lag, in ms, of one round."""
    report = folder / "report.json"
    with serving(folder, seats.server) as server, in_real_time(server.pid, wanted=seats.is_server_first):
        drive(folder, seats.driver, "run", "--duration", "6", "--warm-up", "3", "--output", str(report))
    told = json.loads(report.read_bytes())
    return told["p99_latency_ms"], told["compbench"]["driver_lag_ms"]["p99"]


def main() -> None:
    """Print the table."""
    beside, rounds = [*sys.argv[1:], *("quiet", str(ROUNDS))[len(sys.argv) - 1 :]]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in SEATS}
    with tempfile.TemporaryDirectory(prefix="compbench-placements-") as folder:
        for number in range(int(rounds)):
            for place, (name, seats) in enumerate(SEATS.items()):
                with crowded() if beside == "crowded" else nullcontext():
                    found[name].append(measure(Path(folder) / f"{number}-{place}", seats))
    print(f"{beside}: P99 of the response time, and of the lag, in ms")
    for name, figures in found.items():
        times = "  ".join(f"{response:8.2f} ({lag:.2f})" for response, lag in figures)
        print(f"{name:34} {times}")


if __name__ == "__main__":
    main()
