"""Files of nearest rows: those of a whole data set, and the state of a computation that is under way."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from compbench.files.whole import write_whole_by
from compbench.loadtest.truth.nearest import Truth
from compbench.loadtest.truth.spans import Span, are_apart
from compbench.model.scenario import SimilarityMetric


class Begun(NamedTuple):
    """The nearest of the rows of some spans; before the first none are known."""

    truth: Truth | None = None
    spans: tuple[Span, ...] = ()


def read_truth(path: Path) -> Truth | None:
    """Return neighbours, None if there is no whole file of them."""
    try:
        with np.load(path, allow_pickle=False) as file:
            metric = msgspec.convert(str(file["metric"]), SimilarityMetric)
            return Truth(file["numbers"], file["similarities"], metric)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, msgspec.ValidationError):
        return None


def write_truth(path: Path, truth: Truth) -> None:
    """Write neighbours whole, into a folder that is there.

    Raises:
        OSError: they can't be written.
    """
    _write(path, truth, done=np.array(0))


def read_begun(path: Path, count: int) -> Begun | None:
    """Return the state of a computation over so many rows, None if there is no whole file of one."""
    truth = read_truth(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            # An earlier compbench wrote how many rows were compared from the first one on.
            ends = file["spans"] if "spans" in file else [(0, int(file["done"]))]
            spans = tuple(Span(int(first), int(last)) for first, last in ends)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return Begun(truth, spans) if truth is not None and are_apart(spans, count) else None


def write_begun(path: Path, begun: Begun) -> None:
    """Write the state of a computation whole. An earlier compbench takes it for none, since it knows no spans.

    Raises:
        OSError: it can't be written.
    """
    if begun.truth is not None:
        _write(path, begun.truth, spans=np.array(begun.spans, np.int64))


def _write(path: Path, truth: Truth, **more: NDArray[np.int64]) -> None:
    arrays: dict[str, Any] = {**truth._asdict(), **more}
    write_whole_by(path, lambda file: np.savez(file, allow_pickle=False, **arrays))
