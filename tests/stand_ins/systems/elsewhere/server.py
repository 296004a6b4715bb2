"""The server elsewhere as the runner sees it: the flat server, if it were not to be started."""

from __future__ import annotations

from compbench.config.system_tables import Mode

from ..flat import server as flat


class Server(flat.Server):
    """The server half of a system that the user runs."""

    mode: Mode = "endpoint"
