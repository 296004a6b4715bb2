"""Errors that a person can mend, as doit has to see them: a task that failed, or an invocation that ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from doit.exceptions import TaskFailed

from compbench.model.errors import UserError

Action = Callable[[], Any]


class StopInvocation(SystemExit):
    """Ends doit with exit code 2; `line` is for the person."""

    def __init__(self, line: str) -> None:
        super().__init__(2)
        self.line = line


def succeed_or_fail(do: Callable[..., Any], *arguments: Any) -> Callable[[], TaskFailed | None]:
    """Turn an error that a person can mend into a failed task with one line; finished work is kept."""

    def action() -> TaskFailed | None:
        try:
            do(*arguments)
        except UserError as error:
            return TaskFailed(str(error))
        except OSError as error:
            return TaskFailed(_refused_by_disk(error))
        return None

    return action


def succeed_or_stop(do: Action) -> Callable[[], Any]:
    """Let an error that a person can mend end the whole invocation with 2 and one line, before anything is measured."""

    def action() -> Any:
        try:
            return do()
        except UserError as error:
            raise StopInvocation(str(error)) from None
        except OSError as error:
            raise StopInvocation(_refused_by_disk(error)) from None

    return action


def _refused_by_disk(error: OSError) -> str:
    what = f"{error.filename or 'a file'}: {error.strerror or error}"
    return f"{what}: mend that and run the same command again; what is measured is kept"
