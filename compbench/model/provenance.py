"""Where a run's figures come from: commits, machine, versions, binaries; None is what could not be read."""

from __future__ import annotations

import msgspec


class Git(msgspec.Struct, frozen=True, kw_only=True):
    """A repository when the run opened; `dirty` has a line for each uncommitted change."""

    commit: str | None = None
    branch: str | None = None
    dirty: list[str] | None = None
    message: str | None = None


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that measured."""

    os: str | None = None
    cpu_model: str | None = None
    physical_cores: int | None = None
    logical_cores: int | None = None
    ram_bytes: int | None = None
    disk_type: str | None = None
    governor: list[str] | None = None
    virtualization: str | None = None
    boot_at: float | None = None


class BinaryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A program that took part."""

    path: str
    sha256: str
    kind: str = ""
    size_bytes: int | None = None
    has_debug_assertions: bool | None = None
    has_debug_info: bool | None = None
    has_symbols: bool | None = None


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; `git` is the repository of what was measured, which `repository` names; `compbench_git` is our own."""

    git: Git | None = None
    compbench_git: Git | None = None
    repository: str | None = None
    system: Machine | None = None
    versions: dict[str, str | None] = {}
    binaries: dict[str, BinaryFacts] = {}
