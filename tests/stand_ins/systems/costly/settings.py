"""The settings of the costly client, in the table `system.costly`."""

from __future__ import annotations

from compbench.config.system_tables import SystemKind

from ..flat.settings import FlatSettings


class CostlySettings(FlatSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long the client computes: before each search is sent, and when its answer has come.

    `has_floor`: whether the request that is called its smallest is one that the server knows.
    """

    encode_ms: float = 0.0
    answer_ms: float = 0.0
    has_floor: bool = True


KIND = SystemKind(settings=CostlySettings, title="the costly client")
