"""The way to a server on another machine: its name, connections to its ports, its certificate, the interface there."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import time
from typing import Literal, NamedTuple

import psutil

CONNECT_LIMIT_S = 2.0
_REASON_CHARACTERS = 200
WayStep = Literal["name", "port", "certificate"]


class Obstacle(NamedTuple):
    """At which step the way ends, at which port (0 before any), and why, in one line."""

    step: WayStep
    port: int
    why: str


class Link(NamedTuple):
    """The interface that leads to a server: its name, whether it stays in this machine, and its rate as it tells it."""

    interface: str
    is_loopback: bool = False
    bits_s: float | None = None


def find_obstacle(host: str, ports: list[int], tls_port: int | None) -> Obstacle | None:
    """Resolve the name, connect to each port, and check the certificate at one; return what fails first."""
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return Obstacle("name", 0, _reason(error))
    for port in ports:
        try:
            connect_s(host, port)
        except OSError as error:
            return Obstacle("port", port, _reason(error))
    if tls_port is None:
        return None
    try:
        _handshake(host, tls_port)
    except OSError as error:  # ssl's own errors are of this kind
        return Obstacle("certificate", tls_port, _reason(error))
    return None


def connect_s(host: str, port: int) -> float:
    """Return how long a TCP connection took, which is one way there and back: the look-up of the name is left out.

    A name may have several addresses, of which a server need not listen on all; the first that takes it counts.

    Raises:
        OSError: there is none within the limit.
    """
    refused = OSError("it has no address")
    for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:  # a machine without IPv6 has no socket for it either
            with socket.socket(family, kind) as connection:
                connection.settimeout(CONNECT_LIMIT_S)
                began = time.perf_counter()
                connection.connect(address)
                return time.perf_counter() - began
        except OSError as error:
            refused = error
    raise refused


def link_to(host: str, port: int) -> Link | None:
    """Return the interface by which packets to the server leave; None if that can't be told.

    Nothing is sent: a datagram socket that is connected has looked up its way, and that is all. Of several addresses
    it is the first to which there is one, as for connections.
    """
    ends = _ends_of_way(host, port)
    if ends is None:
        return None
    own, there = ends
    if own == there or ipaddress.ip_address(own.partition("%")[0]).is_loopback:
        return Link("loopback", is_loopback=True)
    name = next((n for n, all_of in psutil.net_if_addrs().items() if any(one.address == own for one in all_of)), "")
    if not name:
        return None
    with contextlib.suppress(OSError):
        speed_mbit = psutil.net_if_stats()[name].speed
        return Link(name, bits_s=1e6 * speed_mbit if speed_mbit > 0 else None)
    return Link(name)


def _ends_of_way(host: str, port: int) -> tuple[str, str] | None:
    """Return our own address on the way to a server, and its; None if there is no way."""
    with contextlib.suppress(OSError, UnicodeError):  # the name's; that it can't be resolved is another check's
        for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM):
            with contextlib.suppress(OSError), socket.socket(family, kind) as probe:
                probe.connect(address)
                return str(probe.getsockname()[0]), str(address[0])
    return None


def _handshake(host: str, port: int) -> None:
    with (
        socket.create_connection((host, port), CONNECT_LIMIT_S) as plain,
        ssl.create_default_context().wrap_socket(plain, server_hostname=host),
    ):
        pass


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_LIMIT_S:g} s"
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(said).split())[:_REASON_CHARACTERS]
