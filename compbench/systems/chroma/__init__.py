"""Chroma: its server from PyPI, asked over its HTTP interface."""
