"""A small vector server of a protocol of its own: frames over TCP, integers as ids, every search compares all vectors.

A frame is its length (u32), then so many bytes; all numbers are little-endian. A request begins with a letter:
`P` process id; `C` count; `I` insert (u64 first, u64 step, u32 rows, u32 dimension, f32 each); `G` get (u64);
`B` build what searches need; `S` search (u32 limit, f32 threshold, u32 effort, f32 each component); `X` remove all
vectors; `V` version; `K` a key (u8 length, text), then another request. An answer begins with 0 and the result (u64
each, or f32 of a vector), or with 1 and a text that says what is wrong. With FLAT_SERVER_KEY in its environment the
server answers requests with that key only.
"""

from __future__ import annotations

import os
import socketserver
import struct
import sys
import threading

import numpy as np

VERSION = "flat-server 1.0"


class Store:
    """All vectors, of length 1, by id; searched are those of the last build and what was inserted since."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rows: dict[int, np.ndarray[tuple[int], np.dtype[np.float32]]] = {}

    def answer(self, request: bytes) -> bytes:
        """Do what a request asks for; return the result's bytes."""
        request = self.without_key(request)
        letter, rest = request[:1], request[1:]
        with self.lock:
            if letter in {b"P", b"V"}:
                return struct.pack("<Q", os.getpid()) if letter == b"P" else VERSION.encode()
            if letter == b"X":
                self.rows.clear()
            if letter in {b"C", b"B", b"X"}:
                return struct.pack("<Q", len(self.rows))
            if letter == b"I":
                return self.insert(rest)
            if letter == b"G":
                return self.rows[struct.unpack("<Q", rest)[0]].tobytes()
            if letter == b"S":
                return self.search(rest)
        raise ValueError(f"no such request: {letter!r}")

    def without_key(self, request: bytes) -> bytes:
        """Return a request without its key, which has to be the right one."""
        length = request[1] if request[:1] == b"K" else -1
        if request[2 : 2 + max(length, 0)].decode(errors="replace") != os.environ.get("FLAT_SERVER_KEY", "") and (
            length >= 0 or "FLAT_SERVER_KEY" in os.environ
        ):
            raise ValueError("the key is wrong")
        return request[2 + length :] if length >= 0 else request

    def insert(self, rest: bytes) -> bytes:
        """Insert the rows `first`, `first + step` and so on."""
        first, step, count, dimension = struct.unpack_from("<QQII", rest)
        rows = np.frombuffer(rest, "<f4", offset=24).reshape(count, dimension)
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        self.rows.update((first + number * step, row) for number, row in enumerate(rows))
        return struct.pack("<Q", count)

    def search(self, rest: bytes) -> bytes:
        """Return the most similar ones, best first."""
        limit, threshold, effort = struct.unpack_from("<IfI", rest)
        query = np.frombuffer(rest, "<f4", offset=12)
        compared = round(len(self.rows) * share_of(effort))
        ids = np.array(list(self.rows)[:compared], np.uint64)
        similarity = np.array(list(self.rows.values())[:compared]) @ (query / np.linalg.norm(query))
        best = [place for place in np.argsort(-similarity)[:limit] if similarity[place] >= threshold]
        return ids[best].astype("<u8").tobytes()


def share_of(effort: int) -> float:
    """Return which share of the vectors, the first ones, a search compares: at effort 0 all, at 16 three quarters."""
    return 1.0 - (8 / max(effort, 8)) ** 2 if effort else 1.0


class Handler(socketserver.StreamRequestHandler):
    """Answers the requests of one connection, one after the other."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Read frames until the client goes."""
        while len(head := self.rfile.read(4)) == 4:
            request = self.rfile.read(struct.unpack("<I", head)[0])
            try:
                answer = b"\0" + STORE.answer(request)
            except (ValueError, KeyError, struct.error) as error:
                answer = b"\1" + str(error).encode()
            self.wfile.write(struct.pack("<I", len(answer)) + answer)


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 128


STORE = Store()

if __name__ == "__main__":
    if sys.argv[1] == "--version":
        sys.stdout.write(f"{VERSION}\n")
    else:
        Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
