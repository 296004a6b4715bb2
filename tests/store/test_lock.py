"""The suite's lock: one holder, and nothing overwritten that only stands in its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compbench.model.errors import SuiteBusyError, UserError
from compbench.store import lock


def test_the_lock_has_one_holder_who_is_named_and_is_free_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "tmp" / "lock"
    assert lock.holder(path) is None
    held = lock.take(path)
    said = f"pid {os.getpid()} since "
    assert (lock.holder(path) or "").startswith(said)
    with pytest.raises(SuiteBusyError, match=said):
        lock.take(path)
    os.close(held)
    assert lock.holder(path) is None
    os.close(lock.take(path))
    assert path.read_text().count("pid") == 1


def link_to(path: Path, precious: Path) -> None:
    path.symlink_to(precious)


def hard_link_to(path: Path, precious: Path) -> None:
    path.hardlink_to(precious)


def copy_of(path: Path, precious: Path) -> None:
    path.write_bytes(precious.read_bytes())


def pipe(path: Path, precious: Path) -> None:
    del precious
    os.mkfifo(path)


@pytest.mark.parametrize("place", [link_to, hard_link_to, copy_of, pipe])
def test_what_stands_in_the_locks_place_is_refused_and_stays_as_it_is(tmp_path: Path, place) -> None:  # type: ignore[no-untyped-def]
    precious, path = tmp_path / "precious", tmp_path / "lock"
    precious.write_text("notes of a year\n")
    place(path, precious)
    assert lock.holder(path) is None
    with pytest.raises(UserError, match=r"can't be the suite's lock .*move it away"):
        lock.take(path)
    assert precious.read_text() == "notes of a year\n"
    if place is copy_of:
        assert path.read_text() == "notes of a year\n"
