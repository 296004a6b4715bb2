"""`python -m compbench.loadtest`: the load generator, or how to install what it needs."""

from __future__ import annotations

import os
import sys

# Read when NumPy is loaded. A core is left to the thread that draws rows: the threads of a BLAS wait for each other, so
# that all are as slow as one that shares its core. Cores that this process may not use don't count.
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
os.environ.setdefault("OPENBLAS_NUM_THREADS", str(max(1, _CORES - 1)))

try:
    from compbench.loadtest.command_line import main
except ModuleNotFoundError as error:
    if (error.name or "").startswith("compbench"):
        raise
    sys.exit(f"Error: `python -m pip install '.[loadtest]'`, in a checkout, brings what is missing: {error.name}")

if __name__ == "__main__":
    sys.exit(main())
