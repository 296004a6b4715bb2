"""The settings of the contrary server: those of the embedded one, in the table `system.contrary`."""

from __future__ import annotations

from compbench.config.system_tables import SystemKind
from compbench.systems.embedded.settings import EmbeddedSettings

KIND = SystemKind(settings=EmbeddedSettings, title="the contrary server", unmeasured=frozenset({"grpc_port"}))
