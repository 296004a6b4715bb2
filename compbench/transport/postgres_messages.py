"""The messages of PostgreSQL's protocol (version 3) that a load generator needs, to the server and back. Pure.

Source: https://www.postgresql.org/docs/18/protocol-message-formats.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

SYNC = b"S\x00\x00\x00\x04"
# Run the unnamed portal to its end.
EXECUTE = b"E\x00\x00\x00\x09\x00\x00\x00\x00\x00"
READY, FAILED, ROW, COMPLETE = b"ZEDC"
_HEAD = struct.Struct(">cI")
_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"


class NotPostgresError(Exception):
    """Bytes are no messages of PostgreSQL's protocol."""


def message(kind: bytes, body: bytes) -> bytes:
    """Return a message; its length counts itself but not its kind."""
    return b"%b%b%b" % (kind, struct.pack(">I", len(body) + 4), body)


def simple_query(sql: str) -> bytes:
    """Return the message that runs statements, whose rows come as text."""
    return message(b"Q", sql.encode() + b"\x00")


def parameter(value: bytes) -> bytes:
    """Return a parameter in its binary form."""
    return struct.pack(">I", len(value)) + value


def bind_head(statement: str, parameters_bytes: int, count: int) -> bytes:
    """Return a Bind of the unnamed portal up to its parameters, which are binary and have so many bytes in all."""
    start = b"\x00%b\x00\x00\x01\x00\x01%b" % (statement.encode(), struct.pack(">H", count))
    return b"B%b%b" % (struct.pack(">I", 4 + len(start) + parameters_bytes + len(BIND_END)), start)


# Behind the parameters: all columns of the result are binary.
BIND_END = b"\x00\x01\x00\x01"


def run_prepared(statement: str, *values: bytes) -> bytes:
    """Return the messages that run a prepared statement, without the Sync that ends a request."""
    parameters = b"".join(parameter(value) for value in values)
    return bind_head(statement, len(parameters), len(values)) + parameters + BIND_END + EXECUTE


def run_once(sql: str, *values: bytes) -> bytes:
    """Return the request that prepares a statement without a name, runs it with its parameters, and forgets it."""
    return message(b"P", b"\x00%b\x00\x00\x00" % sql.encode()) + run_prepared("", *values) + SYNC


def copy_in(target: str, tuples: bytes) -> bytes:
    """Return the request that copies binary tuples into a table.

    All at once: what the server does not want, because the copy has failed, it drops.
    """
    data = message(b"d", b"%b%b%b" % (_SIGNATURE, tuples, _TRAILER))
    return simple_query(f"copy {target} from stdin (format binary)") + data + message(b"c", b"")


def messages_in(answer: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and body of each message.

    Raises:
        NotPostgresError: the bytes are no whole messages.
    """
    at = 0
    while at < len(answer):
        try:
            _, length = _HEAD.unpack_from(answer, at)
        except struct.error:
            raise NotPostgresError("an answer ends within a message") from None
        end = at + 1 + length
        if length < 4 or end > len(answer):  # noqa: PLR2004 - the length counts its own four bytes
            raise NotPostgresError("an answer ends within a message")
        yield answer[at], answer[at + 5 : end]
        at = end


def rows_in(answer: bytes) -> list[list[bytes | None]]:
    """Return the rows of the last statement that an answer tells of, each a list of its columns.

    Raises:
        NotPostgresError: the bytes are no whole messages.
    """
    rows: list[list[bytes | None]] = []
    last: list[list[bytes | None]] = []
    for kind, body in messages_in(answer):
        if kind == ROW:
            rows.append(_columns(body))
        elif kind == COMPLETE:
            last, rows = rows, []
    return last


def error_in(answer: bytes) -> tuple[str, str]:
    """Return the code (SQLSTATE) and the text of the first error that an answer tells of; both empty if of none."""
    for kind, body in messages_in(answer):
        if kind == FAILED:
            fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in body.split(b"\x00") if part}
            return fields.get(b"C", ""), fields.get(b"M", "")
    return "", ""


def _columns(body: bytes) -> list[bytes | None]:
    try:
        (count,) = struct.unpack_from(">H", body)
        found: list[bytes | None] = []
        at = 2
        for _ in range(count):
            (length,) = struct.unpack_from(">i", body, at)
            at += 4
            found.append(None if length < 0 else body[at : at + length])
            at += max(length, 0)
    except struct.error:
        raise NotPostgresError("a row is shorter than it says") from None
    if at != len(body):
        raise NotPostgresError("a row has another length than it says")
    return found
