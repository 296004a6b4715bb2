"""The settings of the flat server, in the table `system.flat`."""

from __future__ import annotations

from compbench.config.system_tables import RivalSettings, SystemKind


class FlatSettings(RivalSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a load (`rows_at_once` of a request), and whether it has a knob of effort, up to `most_effort`."""

    rows_at_once: int = 64
    knob: bool = False
    most_effort: int = 100_000


KIND = SystemKind(settings=FlatSettings, title="the flat server")
