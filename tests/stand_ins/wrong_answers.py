"""A server of Engram's interface, without bulk loads, that is wrong in one way.

`python wrong_answers.py PORT empty|same|random|few|keeps`: it acknowledges every memory and says it has COUNT of them.
`empty` finds nothing; `same` finds the same memories whatever is asked; `random` finds any; `few` admits that it holds
two memories; `keeps` holds ids and nothing else, and counts them and how often it was sent one.
"""

from __future__ import annotations

import json
import random
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

COUNT = 500


class Handler(BaseHTTPRequestHandler):
    """Answers what the driver asks."""

    protocol_version = "HTTP/1.1"
    way = "empty"
    kept: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Answer health, recalls, and 404 to everything else."""
        parts = urlsplit(self.path)
        if parts.path == "/api/v1/system/health":
            held = {"few": 2, "keeps": len(set(self.kept))}.get(self.way, COUNT)
            self.answer(200, {"spaces": [{"space": "default", "memories": held}], "sent": len(self.kept)})
        elif parts.path == "/api/v1/memories/recall":
            asked = parse_qs(parts.query)
            if "mode" in asked:
                self.answer(400, {"error": {"message": "no spreading"}})
            else:
                items = [{"id": f"node-{number}"} for number in self.numbers(int(asked["max_results"][0]))]
                self.answer(200, {"memories": {"vivid": items, "associated": [], "reconstructed": []}})
        elif parts.path.rpartition("/")[2] in self.kept:
            self.answer(200, {"id": parts.path.rpartition("/")[2]})
        else:
            self.answer(404, {"error": {"message": "not found"}})

    def do_POST(self) -> None:
        """Acknowledge a memory."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.kept.append(body["id"])
        self.answer(201, {"memory_id": "x"})

    def numbers(self, limit: int) -> list[int]:
        """Return what is found."""
        if self.way == "empty":
            return []
        return random.sample(range(COUNT), limit) if self.way == "random" else list(range(limit))

    def answer(self, status: int, content: object) -> None:
        """Send JSON."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    Handler.way = sys.argv[2]
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
