"""The settings of the embedded server, in the table `system.embedded`."""

from __future__ import annotations

from compbench.config.system_tables import MachineLimits, SystemKind, SystemSettings
from compbench.systems.engram.settings import SCRIPT_TOOLS, LogLevel, OptionalPort


class EmbeddedSettings(SystemSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As Engram's, whose command line it keeps to."""

    log_level: LogLevel = "warn"
    grpc_port: OptionalPort = 0


KIND = SystemKind(
    settings=EmbeddedSettings,
    title="compbench's embedded server",
    unmeasured=frozenset({"grpc_port"}),
    shorthands={"engram_log_level": "log_level", "grpc_port": "grpc_port"},
    is_fallback=True,
    not_comparable="they say that the machinery works, and nothing about Engram or a competitor",
    # The quick profile keeps to some 100 MB of memory and disk, so that a laptop can run it.
    quick_limits=MachineLimits(
        min_scenario_memory_gb=0.5,
        min_available_memory_gb=1,
        warn_total_memory_gb=2,
        min_free_disk_gb=0.5,
        warn_free_disk_gb=1,
    ),
    # It stands in for Engram, which will want them.
    script_tools=SCRIPT_TOOLS,
)
