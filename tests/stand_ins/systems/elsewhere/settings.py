"""The settings of the server elsewhere, in the table `system.elsewhere`."""

from __future__ import annotations

from compbench.config.system_tables import SystemKind

from ..flat.settings import FlatSettings

KIND = SystemKind(settings=FlatSettings, title="the server elsewhere", not_comparable="it is another machine's")
