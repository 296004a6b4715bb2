"""The driver's half of the embedded server is Engram's: it keeps to the same interface."""

from __future__ import annotations

from compbench.systems.engram.client import Client

__all__ = ["Client"]
