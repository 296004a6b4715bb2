"""`python -m compbench.live`: the page of a run, or how to install what it needs."""

from __future__ import annotations

import sys

try:
    from compbench.live.command_line import main
except ModuleNotFoundError as error:
    if (error.name or "").startswith("compbench"):
        raise
    sys.exit(f"Error: `python -m pip install '.[live]'`, in a checkout, brings what is missing: {error.name}")

if __name__ == "__main__":
    sys.exit(main())
