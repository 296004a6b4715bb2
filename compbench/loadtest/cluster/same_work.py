"""Whether a host has the same work: the vectors that it searches for, and the client of an own system.

Compbench's own code is compared by its hash; vectors come from files, or from a generator whose sums processors round
differently, and clients from a folder of the user's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from compbench.loadtest.cluster.leases import code_in
from compbench.loadtest.workload.workload import Workload
from compbench.model.errors import UserError

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

# So many queries are compared, spread evenly over the pool.
_SAMPLED = 16
# Two processors round sums in single precision differently; other vectors differ by far more.
_SAME_WITHIN = 1e-5


class WorkSample(NamedTuple):
    """Some of the vectors that are searched for, shape (n, dimension), and the hash of the folder of own systems."""

    queries: Vectors
    systems: str


def sample_of(workload: Workload, systems_dir: str | None) -> WorkSample:
    """Return a sample of this process' work."""
    pool = workload.pool
    return WorkSample(pool[:: max(1, len(pool) // _SAMPLED)], code_in(Path(systems_dir)) if systems_dir else "")


def same_workload(make: Callable[[], Workload], systems_dir: str | None, wanted: WorkSample) -> Workload:
    """Make the workload on a host, and see that it is the one that is wanted.

    Raises:
        UserError: it is another one.
    """
    if systems_dir and code_in(Path(systems_dir)) != wanted.systems:
        raise UserError(f"other systems are in {systems_dir} than on the driver's machine: copy the same files there")
    workload = make()
    if not are_same_vectors(sample_of(workload, None).queries, wanted.queries):
        raise UserError("other vectors than are here: install the same versions there, or copy the same files")
    return workload


def are_same_vectors(own: Vectors, wanted: Vectors) -> bool:
    """Tell whether vectors of two machines are the same but for rounding."""
    limit = _SAME_WITHIN * np.abs(wanted).max(initial=0)
    return own.shape == wanted.shape and bool(np.allclose(own, wanted, rtol=_SAME_WITHIN, atol=limit))
