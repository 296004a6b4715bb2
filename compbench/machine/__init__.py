"""Processes, signals, and what the machine tells of itself."""
