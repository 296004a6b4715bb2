"""The versions of the servers that a run has measured, with those of their extensions, as captures have them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from compbench.model.records import Capture


def versions_of_servers(captures: Sequence[Capture]) -> dict[str, str]:
    """Return what was told of each system's version, in the order of the captures; all of it where that changed."""
    found: dict[str, dict[str, None]] = {}
    for capture in captures:
        if capture.server.version:
            found.setdefault(capture.system, {})[capture.server.version] = None
    return {system: "; then ".join(versions) for system, versions in found.items()}
