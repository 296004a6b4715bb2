"""The SHA-256 of large files, computed once: kept with the state of the file, which tells whether it has changed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path

import msgspec

from compbench.files.whole import write_whole

# In the cache folder; what is kept for sets of the user's own.
FOLDER = "own_sets"
# A file that was written this recently may be written again within the same tick of its file system's clock.
SETTLED_NS = 2_000_000_000


class _Kept(msgspec.Struct, frozen=True):
    """A hash, and the state of the file that it was computed from."""

    path: str
    size: int
    modified_ns: int
    changed_ns: int
    inode: int
    sha256: str


_known: dict[str, _Kept] = {}


def content_hash(path: Path, cache: Path | None) -> str:
    """Return the SHA-256 of a file's content, read anew only if the file has changed.

    Besides size, inode and the time of the last change of the content, the file system's own time of the last change is
    compared, which no program can set back.

    Args:
        path: of the file, which may be larger than memory.
        cache: the cache folder; None to remember the hash in this process only. One that can't be written costs time.

    Raises:
        OSError: the file can't be read.
    """
    real = str(path.resolve(strict=True))
    state = _state(real)
    kept = _known.get(real) or _load(cache, real)
    if kept is None or _state_of(kept) != state:
        with open(real, "rb") as file:  # noqa: PTH123 - the name is resolved already
            kept = _Kept(real, *state, hashlib.file_digest(file, "sha256").hexdigest())
        # The file system's own time: that of the content may be set to any, and one in the future never settles.
        if _state(real) != state or abs(time.time_ns() - kept.changed_ns) < SETTLED_NS:
            return kept.sha256
        _save(cache, kept)
    _known[real] = kept
    return kept.sha256


def joined_hash(hashes: list[str]) -> str:
    """Return one SHA-256 for several, in their order; of one it is that one."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def kept_file(cache: Path, name: str) -> Path:
    """Return the file in the cache folder that keeps what was found out about `name`."""
    return cache / FOLDER / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.json"


def _state(real: str) -> tuple[int, int, int, int]:
    found = os.stat(real)  # noqa: PTH116 - the name is resolved already
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _state_of(kept: _Kept) -> tuple[int, int, int, int]:
    return kept.size, kept.modified_ns, kept.changed_ns, kept.inode


def _load(cache: Path | None, real: str) -> _Kept | None:
    if cache is None:
        return None
    try:
        kept = msgspec.json.decode(kept_file(cache, real).read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError):
        return None
    return kept if kept.path == real else None


def _save(cache: Path | None, kept: _Kept) -> None:
    if cache is None:
        return
    with contextlib.suppress(OSError):
        path = kept_file(cache, kept.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, msgspec.json.encode(kept))
