"""The settings of the flat server, in the table `system.flat`."""

from __future__ import annotations

from compbench.config.system_tables import RivalSettings, SystemKind


class FlatSettings(RivalSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`rows_at_once`: how many rows a request of a load brings; `knob`: whether it says that its effort can be set."""

    rows_at_once: int = 64
    knob: bool = False


KIND = SystemKind(settings=FlatSettings, title="the flat server")
