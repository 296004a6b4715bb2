"""Marks what runs whole suites through the real doit, so that `make unit` leaves it out."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of a module that makes projects to run doit in."""
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item.module, "Project"):
            item.add_marker(pytest.mark.suite)
