"""Marks tests by what they start, so that `make unit` takes seconds.

A test is marked `suite` if its module imports `Project`, and `process` if its module imports a helper that starts a
driver, a server or a browser. Other tests that last over half a second, by what they start or draw, say so themselves
(`pytestmark = pytest.mark.process`, or the mark on a test).
"""

from __future__ import annotations

import pytest

# Names that a module of tests imports from tests/, and the mark that this gives its tests.
MARKS = {
    "Project": "suite",
    **dict.fromkeys(("drive", "serving", "flat_server", "embedded", "look_at", "postgres_running"), "process"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test whose module imports a helper that starts processes."""
    for item in items:
        names = vars(item.module) if isinstance(item, pytest.Function) else {}
        for mark in {MARKS[name] for name in MARKS.keys() & names.keys()}:
            item.add_marker(mark)
