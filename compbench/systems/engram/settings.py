"""The settings of Engram, in the table `system.engram`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from compbench.config.system_tables import SystemKind, SystemSettings, Trace

LogLevel = Literal["error", "warn", "info", "debug", "trace"]
OptionalPort = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class EngramSettings(SystemSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`root`: Engram's checkout; at `log_level` info it logs two lines a request; `grpc_port` 0 is any free one."""

    root: Annotated[str, msgspec.Meta(min_length=1)] = "."
    log_level: LogLevel = "warn"
    grpc_port: OptionalPort = 0

    @property
    def release_dir(self) -> Path:
        """Return where cargo leaves the release binaries."""
        return Path(self.root) / "target" / "release"


# Specification 1 wants them; compbench needs neither.
SCRIPT_TOOLS = {"jq": "Engram's scripts read JSON with it", "bc": "Engram's scripts compute with it"}


def _trace(own: EngramSettings, set_keys: Collection[str]) -> Trace:
    if "root" in set_keys:
        return True, f"system.engram.root = {own.root} is set"
    if own.release_dir.is_dir():
        return True, f"{own.release_dir} exists"
    return False, f"no trace of an Engram build: no {own.release_dir}, no system.engram.root set"


KIND = SystemKind(
    settings=EngramSettings,
    title="Engram",
    unmeasured=frozenset({"root", "grpc_port"}),
    build="root",
    folders=("root",),
    shorthands={"engram_root": "root", "engram_log_level": "log_level", "grpc_port": "grpc_port"},
    trace=_trace,
    driver="loadtest",
    script_tools=SCRIPT_TOOLS,
)
