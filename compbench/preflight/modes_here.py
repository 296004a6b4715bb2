"""Checks of a server that compbench does not start as a program: its image is here, or it answers."""

from __future__ import annotations

from urllib.parse import urlsplit

from compbench.config.credentials import credential_names
from compbench.config.settings import Settings
from compbench.machine import containers
from compbench.machine.probes import reach
from compbench.machine.server_metrics import MetricsError, ask_for_metrics
from compbench.model.errors import UserError
from compbench.model.records import Finding
from compbench.preflight.endpoint_judgement import judge_obstacle
from compbench.preflight.findings import finding_of
from compbench.systems import registry
from compbench.systems.api import Server

# Of which the first bytes on a connection are TLS's.
_TLS_SCHEMES = ("https", "rediss")


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
    return _check_endpoint(check, settings, half, title)


def _check_endpoint(check: str, settings: Settings, half: Server, title: str) -> Finding:
    """Follow the way to a server that the user runs, and say where it ends."""
    system, endpoint, names = settings.system, half.endpoint, ", ".join(credential_names(settings.system))
    if not endpoint:
        return finding_of(check, "endpoint-unset", "critical", title=title, system=system)
    parts, ports = urlsplit(endpoint), half.ports()
    tls_port = ports[0] if parts.scheme in _TLS_SCHEMES and ports else None
    if (obstacle := reach.find_obstacle(parts.hostname or "", ports, tls_port)) is not None:
        return judge_obstacle(check, endpoint, parts.hostname or "", system, obstacle)
    if not half.answers():
        return finding_of(
            check, "endpoint-silent", "critical", endpoint=endpoint, title=title, system=system, names=names
        )
    if why := half.refusal():
        return finding_of(check, "endpoint-refused", "critical", endpoint=endpoint, why=why, names=names)
    version = half.version_told() or "its version is not told"
    return finding_of(check, "endpoint", "ok", endpoint=endpoint, version=version, metrics=_metrics_told(half))


def _metrics_told(half: Server) -> str:
    """Say whether samples will have the server's own figures."""
    page = half.metrics()
    if page is None:
        return "nothing is told of its process: no page of its metrics is known or named"
    try:
        ask_for_metrics(page)
    except MetricsError as error:
        return f"nothing is told of its process ({page.url}: {error})"
    return f"it tells of its process at {page.url}"


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
