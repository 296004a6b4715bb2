"""Engram: its server from the release build of a checkout, and the client of its HTTP interface."""
