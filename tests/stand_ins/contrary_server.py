"""The embedded server, told by STAND_IN_EMBEDDED to answer wrongly. Its command line is that of the embedded server.

Words, separated by commas: `refuse_rows_below=N` and `refuse_rows_from=N` refuse rows loaded in bulk by their first;
`row_ms=N` takes so long for each row loaded in bulk; `ignore_vectors` searches for the same vector whatever is asked;
`fail_each=N` answers each N-th search with 500.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import sys
from typing import Any

from compbench.embedded import wire
from compbench.embedded.app import Application
from compbench.embedded.command_line import main

TOLD = dict(word.partition("=")[::2] for word in os.environ.get("STAND_IN_EMBEDDED", "").split(",") if word)
SEARCHES = itertools.count(1)


class Contrary(Application):
    """Stands between HTTP and the embedded server, and answers in its place or changes what it is asked."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one HTTP request."""
        query = scope["query_string"]
        first = re.search(rb"\bfirst=(\d+)", query)
        taken = range(int(TOLD.get("refuse_rows_below", 0)), int(TOLD.get("refuse_rows_from", 10**9)))
        if scope["method"] == "POST" and first and int(first[1]) not in taken:
            answer = wire.refusal_answer(wire.bad_input(f"told to refuse row {int(first[1])}"))
            await refuse(receive, send, answer.status, answer.body)
            return
        if scope["method"] == "POST" and first and "row_ms" in TOLD:
            length = int(dict(scope["headers"])[b"content-length"])
            await asyncio.sleep(length / (4 * 768) * float(TOLD["row_ms"]) / 1000)
        if "fail_each" in TOLD and b"embedding=" in query and next(SEARCHES) % int(TOLD["fail_each"]) == 0:
            await refuse(receive, send, 500, b'{"error":{"message":"told to fail"}}')
            return
        if "ignore_vectors" in TOLD:
            scope = {**scope, "query_string": re.sub(rb"\bembedding=[^&]*", one_vector, query)}
        await super().__call__(scope, receive, send)


def one_vector(asked: re.Match[bytes]) -> bytes:
    """Return the parameter with a vector of ones, of the dimension that was asked for."""
    dimension = asked[0].replace(b"%2C", b",").count(b",") + 1
    return b"embedding=[%b]" % b",".join([b"1.0"] * dimension)


async def refuse(receive: Any, send: Any, status: int, body: bytes) -> None:
    """Read a request to its end, and answer it in the server's place."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    sys.exit(main(application=Contrary))
