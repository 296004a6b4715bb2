"""The contrary server as the driver sees it: asked like Engram."""

from __future__ import annotations

from compbench.systems.engram.client import Client

__all__ = ["Client"]
