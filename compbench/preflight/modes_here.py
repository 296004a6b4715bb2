"""Checks of a server that compbench does not start as a program: its image is here, or it answers."""

from __future__ import annotations

from compbench.config.credentials import credential_names
from compbench.config.settings import Settings
from compbench.machine import containers
from compbench.model.errors import UserError
from compbench.model.records import Finding
from compbench.preflight.findings import finding_of
from compbench.systems import registry


def check_mode(check: str, settings: Settings) -> Finding:
    """Check what the mode of the measured system needs."""
    half, system = registry.server_of(settings), settings.system
    title = registry.title_of(system)
    if half.mode not in half.modes:
        offered = ", ".join(half.modes)
        return finding_of(
            check, "mode-unsupported", "critical", title=title, mode=half.mode, modes=offered, system=system
        )
    if half.mode == "container":
        return _check_image(check, settings, title)
    if not half.endpoint:
        return finding_of(check, "endpoint-unset", "critical", title=title, system=system)
    if not half.answers():
        names = ", ".join(credential_names(system))
        return finding_of(
            check, "endpoint-silent", "critical", endpoint=half.endpoint, title=title, system=system, names=names
        )
    version = half.version_told() or "its version is not told"
    return finding_of(check, "endpoint", "ok", endpoint=half.endpoint, version=version)


def _check_image(check: str, settings: Settings, title: str) -> Finding:
    image = registry.server_of(settings).image
    if not image:
        return finding_of(check, "image-unset", "critical", title=title, system=settings.system)
    try:
        tool = containers.container_program()
    except UserError as error:
        return finding_of(check, "parts-missing", "critical", owner=title, missing="docker or podman", how=error)
    if not containers.has_image(tool, image):
        return finding_of(check, "image-missing", "critical", tool=tool, image=image)
    return finding_of(check, "image", "ok", tool=tool, image=image)
