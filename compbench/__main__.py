"""`compbench` and `python -m compbench`: says what an installed package can do, and that the suite needs a checkout."""

from __future__ import annotations

import argparse
import sys

from compbench import __version__

USAGE = """\
The suite runs from a checkout: `git clone` compbench, then `make demo`, or `doit list` for its menu.
An installed package has, without a checkout (extras come with `pip install '.[loadtest,embedded,report]'` in one):
  python -m compbench.loadtest --help   the load generator (also compbench-loadtest; needs the extra `loadtest`)
  python -m compbench.report --help     renders the report of a run's folder (needs the extra `report`)
  python -m compbench.embedded --help   the embedded server (needs the extra `embedded`)
"""


def main() -> int:
    """Print what there is; anything but that is wrong usage, exit code 2."""
    parser = argparse.ArgumentParser(
        prog="compbench",
        description="Competitive benchmark suite runner for database servers.",
        epilog=USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"compbench {__version__}")
    _, others = parser.parse_known_args()
    sys.stdout.write(USAGE) if not others else sys.stderr.write(USAGE)
    return 2 if others else 0


if __name__ == "__main__":
    raise SystemExit(main())
