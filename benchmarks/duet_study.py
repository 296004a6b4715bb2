"""How often `doit duet` alarms for identical builds, and how often it finds one that is 10 % slower: on real runs.

    python -m benchmarks.duet_study FOLDER [PAIRS [SHARE]] [SETTING=VALUE ...]

measures two duets of PAIRS pairs (40 unless told) into FOLDER with stand-in builds of Engram, which are the embedded
server: `same`, whose two builds differ in a comment, and `slower`, whose head takes longer for each search, by SHARE of
the time that the server has for it. What is measured stays in FOLDER: interrupted, the same command goes on where it
was, and with everything measured it only judges again. Further words are settings of `doit duet`.

Then it draws duets of 8 to 20 pairs from those that were measured, none twice, and counts which alarm. Few pairs that
are drawn again and again say too little of chance, so each keeps its distance from the change that all of them show
(from none, for identical builds), but on which side of it is tossed anew: which of two identical builds is called head
is arbitrary. So for identical builds that share can hardly be another than the tests promise: it only shows that the
tests keep to that for pairs that are spread as these. What carries the claim is what nothing was done to: the duets as
they came, of so many pairs in a row, those that have no pair in common (`apart`) and all of them, which overlap; and
what all pairs show together, whose interval says whether the order or the place of a build made a difference by itself.
"""

from __future__ import annotations

import contextlib
import json
import math
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from compbench.model.records import Capture
from compbench.report.build_pairs import whole_pairs
from compbench.report.builds_compared import PRIMARY, SLOWER, changes_of, code_of, name_of_figure
from compbench.report.pairing import PairedChange, change_in_pairs, power
from compbench.store.runs import Run, read_run
from tests.builds import lay_out

ROOT = Path(__file__).resolve().parent.parent
SCENARIO = "qdrant_ann_1m_768d"
PAIRS, SIZES, DRAWS = 40, (8, 10, 12, 16, 20), 500
# More than a tenth: part of what a client calls a search's time is spent in the socket and in reading HTTP. What it
# comes to is told by the figures of `slower`; another share makes it more or less.
SHARE = 0.2
# Small enough that a round is mostly measuring; port and folders of its own.
SETTINGS = ("system=engram", "scale=0.005", "port=7439", "resume_max_age_h=1000", "report=0")


def make_builds(folder: Path, share: float) -> dict[str, tuple[Path, Path]]:
    """Return the two builds of each duet, laid out if they are not there."""
    wanted = {"base": (0.0, "a"), "same": (0.0, "b"), "slower": (share, "c")}
    for name, (own, comment) in wanted.items():
        if not (folder / "builds" / name).is_dir():
            lay_out(folder / "builds" / name, own, comment)
    base = folder / "builds" / "base"
    return {name: (base, folder / "builds" / name) for name in ("same", "slower")}


def measured(folder: Path, name: str, builds: tuple[Path, Path], pairs: int, settings: Sequence[str]) -> Run:
    """Return the run of a duet: measured, gone on with, or found closed."""
    output = folder / name
    closed = closed_runs(output)
    if not closed:
        words = [f"duet:{SCENARIO}", f"base={builds[0]}", f"head={builds[1]}", f"repeat={pairs}"]
        folders = [f"output_dir={output}", f"work_dir={folder / 'work'}", f"cache_dir={folder / 'cache'}"]
        argv = [sys.executable, "-m", "doit", *words, *folders, *SETTINGS, *settings]
        code = run_whole(argv)
        closed = closed_runs(output)
        if not closed:
            sys.exit(f"{name}: doit ended with {code} before the duet was whole: the same command goes on with it")
    return closed[-1]


def closed_runs(output: Path) -> list[Run]:
    """Return the runs that were closed, oldest first: one that was abandoned has ended too."""
    ended = [read_run(path.parent) for path in sorted(output.glob("*/.ended"))]
    return [run for run in ended if run.manifest.state == "closed"]


def run_whole(argv: Sequence[str]) -> int:
    """Return the exit code of a program; an interruption of this one is one of that, which ends in its own time."""
    process = subprocess.Popen(argv, cwd=ROOT)
    try:
        return process.wait()
    except BaseException:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)  # a terminal has told it already
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait()
        raise


def logs_of(pairs: Sequence[tuple[Capture, Capture]], times: str, figure: str) -> list[float]:
    """Return the logarithm of a figure's ratio, head to base, of each pair."""
    found = []
    for pair in pairs:
        base, head = (float(getattr(getattr(side.result and side.result.details, times), figure)) for side in pair)
        found.append(math.log(head / base))
    return found


def alarms(logs: Sequence[float], centre: float, size: int) -> tuple[float, float]:
    """Return, in per cent of duets drawn from these pairs, how many say that head is slower, and that it differs."""
    random = np.random.default_rng(size)
    slower = differs = 0
    for _ in range(DRAWS):
        far = random.choice(np.asarray(logs) - centre, size, replace=False) * random.choice((-1, 1), size)
        change = change_of(far + centre)
        slower += code_of(change) == SLOWER
        differs += change.differs
    return 100 * slower / DRAWS, 100 * differs / DRAWS


def in_a_row(logs: Sequence[float], size: int, step: int) -> tuple[int, int]:
    """Return how many duets of so many pairs in a row differ, as they were measured, and how many there are.

    One begins every `step` pairs: with `size` they have no pair in common.
    """
    found = [change_of(logs[start : start + size]).differs for start in range(0, len(logs) - size + 1, step)]
    return sum(found), len(found)


def change_of(logs: Iterable[float]) -> PairedChange:
    """Return the change of pairs from the logarithms of their ratios."""
    change = change_in_pairs([(1.0, math.exp(log)) for log in logs])
    if change is None:
        raise ValueError("a duet takes two pairs")
    return change


def tell(name: str, run: Run, sizes: Sequence[int], *, has_change: bool) -> dict[str, object]:
    """Print what a duet has found, and what duets of fewer of its pairs find; return it as plain values."""
    captures = run.captures()
    pairs, left_out = whole_pairs(captures)
    minutes = sum(run.manifest.spent_s) / 60 / (len(pairs) + len(left_out))
    print(f"\n{name}: {len(pairs)} pairs, {len(left_out)} left out, {minutes:.2f} min a pair, run {run.name}")
    found: dict[str, object] = {"pairs": len(pairs), "left_out": left_out, "minutes_a_pair": minutes}
    for figure, (_, change) in changes_of(pairs).items():
        print(
            f"  {figure:24} all {change.pairs} pairs {change.delta_pct:+6.2f} % ({change.low_pct:+.2f} to"
            f" {change.high_pct:+.2f}), noise of a pair {change.noise_pct:.2f} %, p {change.p_value:.2g}, ranks"
            f" {change.rank_p_value:.2g}"
        )
        logs = logs_of(pairs, figure.partition("_")[2], figure.partition("_")[0])
        mark = " <- decides" if figure == name_of_figure(*PRIMARY) else ""
        told: dict[int, dict[str, object]] = {}
        for size in (size for size in sizes if size < len(pairs)):
            slower, differs = alarms(logs, statistics.fmean(logs) if has_change else 0.0, size)
            (apart, aparts), (row, rows) = in_a_row(logs, size, size), in_a_row(logs, size, 1)
            found_pct = 100 * power(size, change.noise_pct)
            told[size] = {"slower_pct": slower, "differs_pct": differs, "power_pct": found_pct}
            told[size] |= {"apart": (apart, aparts), "in_a_row": (row, rows)}
            print(
                f"    {size:3} pairs: apart {apart} of {aparts} differ, overlapping {row} of {rows}; drawn"
                f" {slower:5.1f} % say slower, {differs:5.1f} % differ; power at 10 % {found_pct:.1f} %{mark}"
            )
        found[figure] = {**msgspec.to_builtins(change), "duets": told}
    return found


def main() -> None:
    """Measure what is not measured yet, and print the shares of alarms."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    words = sys.argv[1:]
    settings = [word for word in words if "=" in word]
    plain = [word for word in words if "=" not in word]
    if not plain:
        sys.exit((__doc__ or "").strip())
    folder = Path(plain[0]).resolve()
    pairs = int(plain[1]) if len(plain) > 1 else PAIRS
    share = float(plain[2]) if len(plain) > 2 else SHARE  # noqa: PLR2004 - the third word
    folder.mkdir(parents=True, exist_ok=True)
    duets = {name: measured(folder, name, both, pairs, settings) for name, both in make_builds(folder, share).items()}
    print(f"duets drawn from the measured pairs, {DRAWS} of each size")
    found = {name: tell(name, run, SIZES, has_change=name != "same") for name, run in duets.items()}
    (folder / "study.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
