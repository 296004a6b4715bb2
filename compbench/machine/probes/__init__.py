"""Readings of the machine and its processes; nothing is judged here."""
