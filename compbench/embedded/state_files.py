"""The server's state on disk: written whole when a client asks to compact, read again when the server starts.

A snapshot is a folder `snapshot-<n>` under the data folder, with a folder for each space. It is written beside its
place and renamed when it is whole; files of an older snapshot are removed, never written to, so that hard
links to them keep their content. Of several snapshots the one with the highest number counts.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import msgspec
import numpy as np

from compbench.embedded.memories import MemorySpace
from compbench.embedded.rows import Memory, MemoryRange

_NAME = re.compile(r"snapshot-(\d{1,9})")
_PARTIAL = "snapshot.partial"


class _Facts(msgspec.Struct, kw_only=True):
    """The data of a space besides vectors and edges."""

    rows: MemoryRange | None
    replaced: list[int]
    memories: list[Memory]


def save_state(spaces: dict[str, MemorySpace], data_dir: Path) -> Path:
    """Write every space; return the snapshot's folder.

    Raises:
        OSError: it can't be written; an older snapshot is still whole.
    """
    older = _snapshots(data_dir)
    partial = data_dir / _PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    for name, space in spaces.items():
        folder = partial / name
        folder.mkdir(parents=True)
        space.index.save(str(folder / "index.usearch"))
        np.save(folder / "edges.npy", space.graph.pairs())
        facts = _Facts(rows=space.rows, replaced=sorted(space.replaced), memories=space.own_memories())
        (folder / "facts.json").write_bytes(msgspec.json.encode(facts))
    number = max(older, default=0) + 1
    partial.rename(data_dir / f"snapshot-{number}")
    for path in older.values():
        shutil.rmtree(path)
    return data_dir / f"snapshot-{number}"


def recover(data_dir: Path) -> dict[str, MemorySpace]:
    """Read the newest snapshot into main memory; empty if there is none.

    Raises:
        OSError: it can't be read, or is not one.
    """
    found = _snapshots(data_dir)
    if not found:
        return {}
    newest = found[max(found)]
    try:
        return {folder.name: _read_space(folder) for folder in sorted(newest.iterdir())}
    except (msgspec.MsgspecError, ValueError, RuntimeError) as error:
        raise OSError(f"{newest} can't be read ({error}): remove it, or name another ENGRAM_DATA_DIR") from None


def _read_space(folder: Path) -> MemorySpace:
    space = MemorySpace()
    space.index.load(str(folder / "index.usearch"))
    pairs = np.load(folder / "edges.npy")
    facts = msgspec.json.decode((folder / "facts.json").read_bytes(), type=_Facts)
    space.rows, space.replaced = facts.rows, set(facts.replaced)
    for memory in facts.memories:
        space.keep(memory)
    if len(pairs):
        space.graph.add(pairs)
    return space


def _snapshots(data_dir: Path) -> dict[int, Path]:
    matches = ((_NAME.fullmatch(path.name), path) for path in data_dir.glob("snapshot-*"))
    return {int(match[1]): path for match, path in matches if match}
