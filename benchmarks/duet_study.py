"""How often `doit duet` alarms for identical builds, and how often it finds one that is 10 % slower: on real runs.

    python -m benchmarks.duet_study FOLDER [PAIRS [SHARE]] [SETTING=VALUE ...]

measures two duets of PAIRS pairs (40 unless told) into FOLDER with stand-in builds of Engram, which are the embedded
server: `same`, whose two builds differ in a comment, and `slower`, whose head takes longer for each search, by SHARE of
the time that the server has for it. What is measured stays in FOLDER: interrupted, the same command goes on where it
was, and with everything measured it only judges again. Further words are settings of `doit duet`.

Then it draws duets of 6 to 20 pairs from the pairs that were measured, without putting any back, and counts those that
alarm. The share of alarms so is of one sequence of pairs on one machine, and no more certain than its pairs: beside it
stands how often it would be found by the t-test's own power at the noise that was seen.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from compbench.model.records import Capture
from compbench.report.builds_compared import PRIMARY, changes_of, code_of, name_of_figure, whole_pairs
from compbench.report.pairing import change_in_pairs, power
from compbench.store.runs import Run, read_run
from tests.builds import lay_out

ROOT = Path(__file__).resolve().parent.parent
SCENARIO = "qdrant_ann_1m_768d"
PAIRS, SIZES, DRAWS = 40, (6, 8, 10, 12, 16, 20), 500
# Seen to make the service time of a search 10 % longer: the rest of it is spent in the socket and in reading HTTP.
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
    closed = [path for path in sorted(output.glob("*/.ended")) if read_run(path.parent).manifest.state == "closed"]
    if not closed:
        words = [f"duet:{SCENARIO}", f"base={builds[0]}", f"head={builds[1]}", f"repeat={pairs}"]
        folders = [f"output_dir={output}", f"work_dir={folder / 'work'}", f"cache_dir={folder / 'cache'}"]
        argv = [sys.executable, "-m", "doit", *words, *folders, *SETTINGS, *settings]
        code = run_whole(argv)
        closed = sorted(output.glob("*/.ended"))
        if not closed:
            sys.exit(f"{name}: doit ended with {code} before the duet was whole: the same command goes on with it")
    return read_run(closed[-1].parent)


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


def ratios(pairs: Sequence[tuple[Capture, Capture]], times: str, figure: str) -> list[tuple[float, float]]:
    """Return a figure of both sides of each pair."""
    found = []
    for pair in pairs:
        details = [side.result.details for side in pair if side.result]
        base, head = (float(getattr(getattr(one, times), figure)) for one in details)
        found.append((base, head))
    return found


def alarms(values: Sequence[tuple[float, float]], size: int, seed: int) -> tuple[float, float]:
    """Return, in per cent of duets drawn from these pairs, how many say that head is slower, and that it differs."""
    random = np.random.default_rng(seed)
    slower = differs = 0
    for _ in range(DRAWS):
        drawn = [values[place] for place in random.choice(len(values), size, replace=False)]
        change = change_in_pairs(drawn)
        slower += code_of(change) == 1
        differs += bool(change and change.differs)
    return 100 * slower / DRAWS, 100 * differs / DRAWS


def tell(name: str, run: Run, sizes: Sequence[int]) -> dict[str, object]:
    """Print what a duet has found, and what duets of fewer of its pairs find; return it as plain values."""
    captures = run.captures()
    pairs, left_out = whole_pairs(captures)
    minutes = sum(run.manifest.spent_s) / 60 / (len(pairs) + len(left_out))
    print(f"\n{name}: {len(pairs)} pairs, {len(left_out)} left out, {minutes:.2f} min a pair, run {run.name}")
    found: dict[str, object] = {"pairs": len(pairs), "left_out": left_out, "minutes_a_pair": minutes}
    for figure, (_, change) in changes_of(pairs).items():
        print(
            f"  {figure:24} {change.delta_pct:+6.2f} % ({change.low_pct:+.2f} to {change.high_pct:+.2f}), noise of a"
            f" pair {change.noise_pct:.2f} %, p {change.p_value:.2g}, ranks {change.rank_p_value:.2g}"
        )
        values = ratios(pairs, figure.partition("_")[2], figure.partition("_")[0])
        mark = " <- decides" if figure == name_of_figure(*PRIMARY) else ""
        told = {}
        for size in (size for size in sizes if size < len(pairs)):
            slower, differs = alarms(values, size, seed=size)
            told[size] = {
                "slower_pct": slower,
                "differs_pct": differs,
                "power_pct": 100 * power(size, change.noise_pct),
            }
        shares = ", ".join(f"{n}: {t['slower_pct']:.1f}/{t['differs_pct']:.1f}" for n, t in told.items())
        print(f"    duets of n pairs that say slower/different, in %: {shares}{mark}")
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
    print(f"duets drawn from the measured pairs without putting back, {DRAWS} of each size")
    found = {name: tell(name, run, SIZES) for name, run in duets.items()}
    (folder / "study.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
