"""What is asked of Dask, each with a limit of time, since a frozen scheduler is silent for ever; and what it raises."""

from __future__ import annotations

import multiprocessing
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from compbench.model.errors import UserError

if TYPE_CHECKING:
    from distributed import Client

# How long a cluster may take until its hosts are there, and a scheduler until it answers.
OPEN_LIMIT_S = 60.0
CONNECT_LIMIT_S = 10.0
# How long a scheduler may take to answer a question, and a cluster to close; what is frozen does neither.
ANSWER_LIMIT_S = 20.0
_CLOSE_LIMIT_S = 4.0
_POLL_S = 0.1
_INSTALL = "install the extra `distributed`, as pip install -e '.[distributed]' does"
NOT_INSTALLED = f"several hosts need Dask: {_INSTALL}"


def connected(address: Any, distributed: Any) -> Client:
    """Return a client of a scheduler, on which Dask waits for ever if something there takes connections, but is silent.

    Raises:
        TimeoutError: nothing there answers as a scheduler does.
    """
    found: Future[Client] = Future()

    def connect() -> None:
        try:
            found.set_result(distributed.Client(address, timeout=CONNECT_LIMIT_S, set_as_default=False))
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            found.set_exception(error)

    threading.Thread(target=connect, daemon=True).start()
    try:
        return found.result(timeout=2 * CONNECT_LIMIT_S)
    except TimeoutError as error:
        raise TimeoutError(str(error) or f"no scheduler has answered within {2 * CONNECT_LIMIT_S:g} s") from None


def workers_of(client: Any, wanted: int) -> dict[str, Any]:
    """Return what the scheduler knows of its workers, by address, once there are so many.

    Raises:
        TimeoutError: there are fewer for too long, or it does not answer.
    """
    until_s = time.monotonic() + OPEN_LIMIT_S
    while True:
        workers = client.sync(client.scheduler.identity, n_workers=-1, callback_timeout=ANSWER_LIMIT_S)["workers"]
        running = {address: facts for address, facts in workers.items() if facts["status"] == "running"}
        if len(running) >= wanted:
            return running
        if time.monotonic() > until_s:
            raise TimeoutError(f"{len(running)} of {wanted} workers were there within {OPEN_LIMIT_S:g} s")
        time.sleep(_POLL_S)


def close_in_time(opened: Any) -> None:
    """Close a client or a cluster of Dask's; of hosts that are gone or frozen some can't be told to end.

    What was measured is known by then: whatever Dask says against closing, the connections end with this process.
    """
    try:
        opened.close(timeout=_CLOSE_LIMIT_S)
    except Exception:  # noqa: BLE001 - see above
        opened.shutdown_on_close = False  # Dask would else try it again, at the end of this process


def kill_all_but(earlier: set[Any]) -> None:
    """End what has not ended by itself, so that this process can: a frozen worker takes no other signal."""
    for process in set(multiprocessing.active_children()) - earlier:
        process.kill()
        process.join()


def refuse_without_certificates(address: str, distributed: Any) -> None:
    """Refuse an encrypted way for which there are no certificates; Dask would go on for 20 s, and show a traceback.

    Raises:
        UserError: there are none.
    """
    has_any = distributed.Security().get_connection_args("client").get("ssl_context") is not None
    if urlsplit(address).scheme in ("tls", "wss") and not has_any:
        mend = "name them in Dask's settings (distributed.comm.tls)"
        raise UserError(f"scheduler {address}: there are no certificates for an encrypted connection: {mend}")


def told_of(error: Exception) -> str:
    """Return an exception as a line that says something."""
    said = " ".join(str(error).split())
    return said or type(error).__name__


def mend_of(error: Exception) -> str:
    """Return how to mend what has kept a cluster from opening; nothing where its own words say so."""
    match type(error).__name__:
        case "HostKeyNotVerifiable":
            return ": log in there once by `ssh`, which notes the host's key in ~/.ssh/known_hosts"
        case "PermissionDenied":
            return ": `ssh` has to get in there without a password, by the keys of ~/.ssh"
        case "ImportError" | "ModuleNotFoundError":
            return f": {_INSTALL}"
        case "TimeoutError" | "OSError" | "CommClosedError":
            return ": see whether it runs, and whether this machine reaches it"
        case _:
            return ""
