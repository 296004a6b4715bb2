"""The server elsewhere as the driver sees it: the flat server."""

from __future__ import annotations

from ..flat.client import Client

__all__ = ["Client"]
