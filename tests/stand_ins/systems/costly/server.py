"""The costly client's server as the runner sees it: the flat server."""

from __future__ import annotations

from ..flat.server import Server

__all__ = ["Server"]
