"""An SSH server for one user with one key, as far as starting programs goes; it says `ready`, and serves until ended.

`ssh_server.py HOST_KEY AUTHORIZED_KEYS HOME PYTHONPATH`. It does with a program what OpenSSH's does: starts
it by the user's shell in the home, with a small environment of its own; passes on signals that the client sends; and
leaves it running when the connection is lost, with its standard streams closed. PYTHONPATH stands for what is
installed on the host.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

import asyncssh

PORT = 22


class User(asyncssh.SSHServer):
    """Anybody who has the key."""


class Commands:
    """Starts what the clients of this server ask for."""

    def __init__(self, home: str, installed: str) -> None:
        self._home = home
        self._environment = {"HOME": home, "PATH": os.defpath, "USER": "root", "SHELL": "/bin/sh"}
        if installed:
            self._environment["PYTHONPATH"] = installed

    async def serve(self, session: asyncssh.SSHServerProcess[bytes]) -> None:
        """Start the program that a session asks for, and stay until it has ended."""
        started = await asyncio.create_subprocess_shell(
            session.command or "sh",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self._home,
            env=self._environment,
            start_new_session=True,
        )
        carrying = [
            asyncio.create_task(carry_in(session, started)),
            asyncio.create_task(carry_out(started.stdout, session.stdout)),
            asyncio.create_task(carry_out(started.stderr, session.stderr)),
        ]
        code = await started.wait()
        await asyncio.gather(*carrying[1:])
        carrying[0].cancel()
        session.exit(code) if code >= 0 else session.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))


async def carry_in(session: asyncssh.SSHServerProcess[bytes], started: asyncio.subprocess.Process) -> None:
    """Pass on what comes for a program, signals too."""
    assert started.stdin
    while True:
        try:
            content = await session.stdin.read(65_536)
        except asyncssh.SignalReceived as received:
            os.killpg(started.pid, getattr(signal, f"SIG{received.signal}"))
            continue
        except (asyncssh.Error, OSError):
            content = b""
        if not content:
            started.stdin.close()
            return
        started.stdin.write(content)


async def carry_out(source: asyncio.StreamReader | None, target: Any) -> None:
    """Pass on what a program says, until nobody listens."""
    assert source
    while content := await source.read(65_536):
        try:
            target.write(content)
            await target.drain()
        except (asyncssh.Error, OSError):
            return


async def serve(host_key: str, authorized_keys: str, home: str, installed: str) -> None:
    """Serve for ever."""
    commands = Commands(home, installed)
    await asyncssh.listen(
        "",
        PORT,
        server_factory=User,
        server_host_keys=[host_key],
        authorized_client_keys=authorized_keys,
        process_factory=commands.serve,
        encoding=None,
    )
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
