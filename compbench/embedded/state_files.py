"""The server's state on disk: written whole when a client asks to compact, read again when the server starts.

A snapshot is a folder `snapshot-<n>` under the data folder, with a folder for each space. It is written beside its
place and renamed when it is whole; files of an older snapshot are removed, never written to, so that hard
links to them keep their content. Of several snapshots the one with the highest number counts.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from compbench.embedded.memories import MemorySpace
from compbench.embedded.rows import Memory, MemoryRange
from compbench.embedded.vector_index import VectorIndex, VectorMetric

_NAME = re.compile(r"snapshot-(\d{1,9})")
_PARTIAL = "snapshot.partial"
_INDEX = "index.usearch"


class _Facts(msgspec.Struct, kw_only=True):
    """The data of a space besides vectors and edges; without a dimension it has no index."""

    dimension: int | None
    metric: VectorMetric | None
    rows: MemoryRange | None
    replaced: list[int]
    memories: list[Memory]


async def save_state(spaces: dict[str, MemorySpace], data_dir: Path) -> Path:
    """Write every space as it is now; return the snapshot's folder. Calls must not overlap.

    What is asked of the indexes meanwhile waits until they are written.

    Raises:
        OSError: it can't be written; an older snapshot is still whole.
    """
    older = _snapshots(data_dir)
    partial_folder = data_dir / _PARTIAL
    shutil.rmtree(partial_folder, ignore_errors=True)
    number = max(older, default=0) + 1
    try:
        await _write_spaces(spaces, partial_folder)
        partial_folder.rename(data_dir / f"snapshot-{number}")
    except (OSError, RuntimeError) as error:  # usearch raises the latter, on a full device too
        shutil.rmtree(partial_folder, ignore_errors=True)
        raise OSError(" ".join(str(error).split())) from None
    for path in older.values():
        shutil.rmtree(path)
    return data_dir / f"snapshot-{number}"


def recover(data_dir: Path, executor: Executor) -> dict[str, MemorySpace]:
    """Read the newest snapshot into main memory; empty if there is none.

    Raises:
        OSError: it can't be read, or is not one.
    """
    found = _snapshots(data_dir)
    if not found:
        return {}
    newest = found[max(found)]
    try:
        return {folder.name: _read_space(folder, executor) for folder in sorted(newest.iterdir())}
    except (msgspec.MsgspecError, ValueError, RuntimeError) as error:
        raise OSError(f"{newest} can't be read ({error}): remove it, or name another ENGRAM_DATA_DIR") from None


async def _write_spaces(spaces: dict[str, MemorySpace], folder: Path) -> None:
    """Write all; an error is raised when nothing is being written any more."""
    indexes: list[asyncio.Future[None]] = []
    try:
        # No pause in this loop: what changes later is in neither file of a space.
        for name, space in spaces.items():
            if (index := _write_space(space, folder / name)) is not None:
                indexes.append(index)
    finally:
        outcomes = await asyncio.gather(*indexes, return_exceptions=True)
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


def _write_space(space: MemorySpace, folder: Path) -> asyncio.Future[None] | None:
    """Write all but the index, and ask for that in its turn."""
    folder.mkdir(parents=True)
    np.save(folder / "edges.npy", space.graph.pairs())
    facts = _Facts(
        dimension=space.dimension,
        metric=space.metric,
        rows=space.rows,
        replaced=sorted(space.replaced),
        memories=space.own_memories(),
    )
    (folder / "facts.json").write_bytes(msgspec.json.encode(facts))
    return space.turns.call(partial(VectorIndex.save, path=folder / _INDEX)) if space.turns else None


def _read_space(folder: Path, executor: Executor) -> MemorySpace:
    space = MemorySpace(executor)
    pairs = np.load(folder / "edges.npy")
    facts = msgspec.json.decode((folder / "facts.json").read_bytes(), type=_Facts)
    if facts.dimension is not None:
        index = VectorIndex(facts.dimension, facts.metric or "cosine")
        index.load(folder / _INDEX)
        space.open(index)
    space.rows, space.replaced = facts.rows, set(facts.replaced)
    for memory in facts.memories:
        space.keep(memory)
    if len(pairs):
        space.graph.add(pairs)
    return space


def _snapshots(data_dir: Path) -> dict[int, Path]:
    matches = ((_NAME.fullmatch(path.name), path) for path in data_dir.glob("snapshot-*"))
    return {int(match[1]): path for match, path in matches if match}
