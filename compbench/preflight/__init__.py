"""The checks before a suite may begin."""
