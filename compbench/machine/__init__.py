"""Processes, signals, and readings of the machine."""
