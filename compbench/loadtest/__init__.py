"""The built-in driver: an open-loop load generator with the command line and report of Engram's `loadtest`."""

__version__ = "0.1.0"
