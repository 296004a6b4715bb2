"""The settings of the flat server, in the table `system.flat`."""

from __future__ import annotations

from compbench.config.system_tables import SystemKind, SystemSettings


class FlatSettings(SystemSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`rows_at_once`: how many rows a request of a load brings."""

    rows_at_once: int = 64


KIND = SystemKind(settings=FlatSettings, title="the flat server")
