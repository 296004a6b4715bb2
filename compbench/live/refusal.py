"""Which requests the page answers at all: those of a browser on this machine, that only want to read. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

METHODS = ("GET", "HEAD")
_HTTP_PORT = 80


class RequestRefusal(NamedTuple):
    """The status and the line that a request gets which is not answered."""

    status: int
    line: str


def refusal_of_request(method: str, headers: Iterable[tuple[bytes, bytes]], port: int) -> RequestRefusal | None:
    """Return why a request is refused, None if it may be answered.

    Another site's name can be made to lead to this machine (DNS rebinding): its requests come with that name as `Host`.
    A page of another site may also ask by the right name, without being let read the answer: that is refused too.
    """
    told: dict[bytes, list[str]] = {}
    for name, value in headers:
        told.setdefault(name.lower(), []).append(value.decode("latin-1").strip().lower())
    hosts = own_hosts(port)
    if len(told.get(b"host", [])) != 1 or told[b"host"][0] not in hosts:
        return RequestRefusal(421, f"this page answers by the name 127.0.0.1:{port} only")
    if method not in METHODS:
        return RequestRefusal(405, "this page can only be read")
    origins = {f"http://{host}" for host in hosts}
    is_opened = told.get(b"sec-fetch-mode") == ["navigate"]
    is_foreign = bool(set(told.get(b"sec-fetch-site", [])) - {"same-origin", "none"})
    if set(told.get(b"origin", [])) - origins or (is_foreign and not is_opened):
        return RequestRefusal(403, "this page answers no other site")
    return None


def own_hosts(port: int) -> set[str]:
    """Return what may stand in `Host`."""
    names = ("127.0.0.1", "localhost", "[::1]")
    return {f"{name}:{port}" for name in names} | (set(names) if port == _HTTP_PORT else set())
