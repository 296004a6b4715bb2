"""The settings of the contender, in the table `system.contender`."""

from __future__ import annotations

from compbench.config.system_tables import RivalSettings, SystemKind


class OwnSettings(RivalSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`rows_at_once`: how many rows a request of a load brings."""

    rows_at_once: int = 2


KIND = SystemKind(settings=OwnSettings, title="the contender", is_rival=True)
