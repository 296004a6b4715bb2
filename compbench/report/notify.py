"""Tells people that a run has ended: to Slack, by e-mail, or wherever else `apprise` can send a line.

Addresses hold secrets, so `compbench.toml` names only the environment variables that hold them, and nothing here
prints or keeps one. A child process sends, with a time limit: a failure is a warning, and never touches a result.
`python -m compbench.report.notify KIND TITLE VARIABLE...` sends its standard input.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from compbench.config.settings import Notify

# How bad the news is, in apprise's words.
MessageType = Literal["success", "info", "warning", "failure"]
_LIMIT_S = 60.0
_EXTRA = "`python -m pip install '.[notify]'`, in the checkout, brings the package that sends it"


def is_wanted(settings: Notify, *, passed: bool, regressed: bool) -> bool:
    """Tell whether the settings ask for a message at this end of a run."""
    events = {"end": True, "failure": not passed, "regression": regressed}
    return bool(settings.variables) and any(events[event] for event in settings.on)


def send_message(
    settings: Notify, kind: MessageType, title: str, text: str, environment: Mapping[str, str]
) -> list[str]:
    """Send a message to every address; return a warning for each that could not be reached.

    `kind` gives the message its colour or sign where it is read. A warning names the variable, never what it holds.
    """
    missing = [name for name in settings.variables if not environment.get(name)]
    warnings = [f"notification not sent: the environment variable {name} is not set" for name in missing]
    names = [name for name in settings.variables if name not in missing]
    if not names:
        return warnings
    if find_spec("apprise") is None:
        return [*warnings, f"notification not sent: {_EXTRA}"]
    argv = [sys.executable, "-m", "compbench.report.notify", kind, title, *names]
    try:
        done = subprocess.run(
            argv,
            cwd=Path(__file__).resolve().parent.parent.parent,
            input=text,
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return [*warnings, f"notification not sent: no answer within {_LIMIT_S:g} s"]
    if done.returncode == 0:
        return warnings
    # Only lines of our own: anything else might hold an address.
    told = [line for line in done.stdout.splitlines() if line in {_refusal(name) for name in names}]
    return [*warnings, *(told or ["notification not sent: the process that sends it failed"])]


def send(kind: MessageType, title: str, names: Sequence[str], text: str, environment: Mapping[str, str]) -> list[str]:
    """Send the message to the address that each variable holds; return a line for each that refused it."""
    import apprise  # noqa: PLC0415 - only the process that sends needs it

    refused = []
    for name in names:
        one = apprise.Apprise()
        if not one.add(environment[name]) or not one.notify(body=text, title=title, notify_type=kind):
            refused.append(_refusal(name))
    return refused


def _refusal(name: str) -> str:
    return f"notification not sent: the address in {name} is wrong, or did not take it"


def main() -> int:
    """Send standard input to the addresses that the named variables hold."""
    logging.disable(logging.CRITICAL)  # the library's log lines hold addresses
    kind, title, *names = sys.argv[1:]
    refused = send(
        next(known for known in get_args(MessageType) if known == kind), title, names, sys.stdin.read(), os.environ
    )
    sys.stdout.write("".join(f"{line}\n" for line in refused))
    return 1 if refused else 0


if __name__ == "__main__":
    raise SystemExit(main())
