"""Closed runs and their figures."""
