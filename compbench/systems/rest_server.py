"""What the runner's halves of rivals with a REST interface have in common: they are asked over HTTP."""

from __future__ import annotations

import contextlib
import json
import shutil
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from compbench.config.credentials import headers_of
from compbench.machine.ask import Answer, AskError, ask
from compbench.systems.api import Look
from compbench.systems.rival import Rival

REQUEST_TIMEOUT_S = 2.0


class RestServer(Rival):
    """A rival that tells over HTTP whether it is ready.

    Attributes:
        ready_path: what is asked for that.
        version_path: what is asked for its version, empty if it tells none.
        version_at: the key of the answer that has it, empty if the answer is the version.
        key_name: the header of a key.
        closed_path: what is answered only to who has a key, where one is wanted; empty if that is not known.
        metrics_path: where its metrics are, empty if it has none.
        shown: what a snapshot asks once, by the name of the text.
    """

    ready_path = ""
    version_path = ""
    version_at = "version"
    key_name = "Authorization"
    closed_path = ""
    metrics_path = ""
    shown: tuple[tuple[str, str], ...] = ()

    @property
    def asked_at(self) -> str:
        """Return where it is asked, without a slash at the end."""
        return self.endpoint.rstrip("/")

    def look(self, work: Path, pid: int, timeout_s: float) -> Look:
        """Ask whether it is ready; that the process listens on the port is proved for all systems alike."""
        del work, pid
        try:
            answer = self.question(self.ready_path, min(REQUEST_TIMEOUT_S, timeout_s))
        except AskError as error:
            return Look(False, f"GET {self.ready_path} was not answered: {error}")
        return Look(answer.is_ok, f"GET {self.ready_path} answered {answer.status}")

    def answers(self) -> bool:
        """Tell whether it answers at all."""
        with contextlib.suppress(AskError):
            self.question(self.ready_path)
            return True
        return False

    def refusal(self) -> str:
        """Ask for what is not for everybody."""
        with contextlib.suppress(AskError):
            status = self.question(self.closed_path or self.ready_path).status
            if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                return f"GET {self.closed_path or self.ready_path} answered {status}"
        return ""

    def metrics_at(self) -> str:
        """Return where its metrics are."""
        return f"{self.asked_at}{self.metrics_path}" if self.metrics_path else ""

    def metrics_headers(self, url: str) -> dict[str, str]:
        """Return a key if there is one, and if this is the server that it is for."""
        return self.headers() if urlsplit(url)[:2] == urlsplit(self.asked_at)[:2] else {}

    def version_told(self) -> str:
        """Return the version that it tells."""
        told = self.asked(self.version_path) if self.version_path else None
        found = told.get(self.version_at) if isinstance(told, dict) else told
        return f"{self.name} {found}" if isinstance(found, str) else ""

    def pages(self) -> dict[str, str]:
        """Return addresses that a snapshot asks once, by the name of the text."""
        return {name: f"{self.asked_at}{path}" for name, path in self.shown}

    def headers(self) -> dict[str, str]:
        """Return those of each question: a key, if there is one."""
        return headers_of(self.credentials, self.key_name)

    def question(self, path: str, timeout_s: float = REQUEST_TIMEOUT_S, **how: Any) -> Answer:
        """Return its answer.

        Raises:
            AskError: there is none.
        """
        return ask(self.asked_at + path, timeout_s, headers=self.headers(), **how)

    def asked(self, path: str) -> Any:
        """Return the JSON that it answers, None if it gives none."""
        with contextlib.suppress(AskError, ValueError, RecursionError):
            answer = self.question(path)
            return json.loads(answer.body) if answer.is_ok else None
        return None


def found_program(program: str) -> str:
    """Return the path of a program that is named by its path or is on the PATH; the name itself if it is on none."""
    return shutil.which(program) or program
