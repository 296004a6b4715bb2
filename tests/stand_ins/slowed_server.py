"""A server of Engram's interface whose searches take a share longer: the embedded one, with `SHARE` of busy waiting.

Written into a checkout as its `engram` (`tests.builds.lay_out`), with the share in its text: other shares are other
builds, by their hash too. What is waited is a share of the time that each search took, up to `MOST_S` of that: behind
others a search waits for them too, and more waiting for having waited would never end.
"""

import sys
import time

SHARE = 0.0
MOST_S = 0.0006

sys.path.insert(0, "ROOT")

from compbench.embedded.app import Application, Receive, Scope, Send  # noqa: E402
from compbench.embedded.command_line import main  # noqa: E402

_SEARCHES = ("/api/v1/memories/recall", "/api/v1/memories/search", "/api/v1/complete")


class Slowed(Application):
    """The embedded server with an answer that is ready, and held back for a while with the core in use."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; a search is slowed."""
        began = time.perf_counter()

        async def slowly(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start" and scope["path"] in _SEARCHES:
                until = time.perf_counter() + SHARE * min(MOST_S, time.perf_counter() - began)
                while time.perf_counter() < until:
                    pass
            await send(message)

        await super().__call__(scope, receive, slowly)


if __name__ == "__main__":
    sys.exit(main(application=Slowed))
