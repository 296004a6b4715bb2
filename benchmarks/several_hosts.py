"""Several hosts against one, on this machine: equal figures of a server of known latency, more of a costly client.

`agree`: a server that answers after 5 ms is sent the same requests by this machine's driver and by 1, 2 and 3 workers
of a local cluster, in turn; printed are P50 and P99 with their confidence intervals, and whether these meet the
driver's own. `capacity`: a client that computes a millisecond for each request can't be served by one core faster than
that, whatever the server can; printed is the capacity that each number of workers finds, and what bounded it. Of more
workers than this machine has cores nothing is to be had.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.drive import constant, loadtest, scenario_file, serving
from tests.flat import flat_server

HOSTS = ("", "local:1", "local:2", "local:3")
RATE, SECONDS, ROUNDS = 400.0, 10, 3
ENCODE_MS = 1.0


def main() -> None:
    """Run what the first argument names; both without one."""
    asked = sys.argv[1:] or ["agree", "capacity"]
    with tempfile.TemporaryDirectory() as folder:
        if "agree" in asked:
            compare_figures(Path(folder))
        if "capacity" in asked:
            compare_capacities(Path(folder))


def compare_figures(folder: Path) -> None:
    """Print the figures of each number of workers, in several rounds."""
    print(f"A server that answers after 5 ms, {RATE:g} requests a second, {SECONDS} s each, {ROUNDS} rounds")
    print(f"{'from':>10} {'P50 ms (95 %)':>24} {'P99 ms (95 %)':>24} {'lag P99':>8}  meets the driver's own; valid")
    made = scenario_file(folder, constant(RATE))
    with serving("--delay-ms", "5") as url:
        for _ in range(ROUNDS):
            alone: dict[str, Any] = {}
            for hosts in HOSTS:
                own = measured(folder, made, url, hosts)
                alone = alone or own
                print(row_of(hosts, own, alone), flush=True)


def measured(folder: Path, made: Path, url: str, hosts: str) -> dict[str, Any]:
    """Return what the driver reports of a run."""
    output = folder / "report.json"
    options: list[str | Path] = ["--hosts", hosts] if hosts else []
    ended = loadtest(
        "run",
        *("--scenario", made, "--endpoint", url, "--duration", str(SECONDS), "--warm-up", "1"),
        *("--output", output, "--cache", folder, *options),
    )
    assert output.exists(), ended.stderr
    return dict(json.loads(output.read_text())["compbench"])


def row_of(hosts: str, own: dict[str, Any], alone: dict[str, Any]) -> str:
    """Return a line of the table."""
    cells, meets = [], []
    for name in ("p50", "p99"):
        low, high = own["response_time_ms_ci"][name]
        other_low, other_high = alone["response_time_ms_ci"][name]
        cells.append(f"{own['response_time_ms'][name]:.3f} ({low:.3f} to {high:.3f})")
        meets.append(low <= other_high and other_low <= high)
    return (
        f"{hosts or 'the driver':>10} {cells[0]:>24} {cells[1]:>24} {own['driver_lag_ms']['p99']:8.3f}"
        f"  P50 {meets[0]}, P99 {meets[1]}; {own['valid']}"
    )


def compare_capacities(folder: Path) -> None:
    """Print what each number of workers finds."""
    print(f"\nA client that computes {ENCODE_MS:g} ms for each request, P99 up to 50 ms")
    print(f"{'from':>10} {'capacity/s':>10} {'ratio':>6}  bound")
    alone = 0.0
    with flat_server(folder, rate=200) as flat:
        for hosts in HOSTS:
            options = ["--hosts", hosts] if hosts else []
            ended = flat.ask(
                "capacity",
                *("--p99", "50", "--step-duration", "3", "--repeats", "1", "--precision", "10", *options),
                system="costly",
                encode_ms=ENCODE_MS,
            )
            found = flat.report("capacity")
            assert ended.returncode in (0, 1), ended.stderr
            alone = alone or found["low_ops_s"]
            ratio = found["low_ops_s"] / alone
            print(f"{hosts or 'the driver':>10} {found['low_ops_s']:10.0f} {ratio:6.2f}  {found['bound']}", flush=True)


if __name__ == "__main__":
    main()
