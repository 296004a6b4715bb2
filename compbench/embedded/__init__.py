"""The embedded server: a small real server of Engram's HTTP interface, on a vector index."""

__version__ = "0.1.0"
