"""The settings of the toy, in the table `system.toy`."""

from __future__ import annotations

from compbench.config.system_tables import SystemKind

from ..flat.settings import FlatSettings

KIND = SystemKind(settings=FlatSettings, title="the toy server", not_comparable="they are of a toy")
