"""Notices and outcomes of a measurement: values with a stable code.

Only `notice_of` and `outcome_of` make them, from the catalogue, by a code and the fields of its text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, cast

import msgspec
from msgspec.structs import force_setattr

from compbench.model.catalogue import NOTICES, OUTCOMES, VERDICTS, filled
from compbench.model.texts import one_line

Verdict = Literal["passed", "missed", "failed", "invalid", "not offered"]
Phase = Literal["quiet", "cooldown", "start", "prepare", "measure", "snapshot", "stop"]

_BEST_FIRST: tuple[Verdict, ...] = ("not offered", "passed", "missed", "invalid", "failed")


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A warning as a value: a stable code, and the one line that a person reads."""

    code: str
    text: str

    def __post_init__(self) -> None:
        force_setattr(self, "text", one_line(self.text))


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a measurement ended.

    `missed` ran whole but did not meet a target; `failed` has a phase and a reason; `invalid` was spoiled by driver or
    machine, so that its figures say nothing about the server; `not offered` is what the system can't do, so that
    nothing was measured.
    """

    verdict: Verdict
    reason: str = ""
    code: str = ""
    phase: Phase | None = None
    advice: str = ""

    def __post_init__(self) -> None:
        force_setattr(self, "reason", one_line(self.reason))
        force_setattr(self, "advice", one_line(self.advice))

    @property
    def is_measurement(self) -> bool:
        """Tell whether the figures say something about the server: it ran whole, and nothing else spoiled it."""
        return self.verdict in ("passed", "missed")


def notice_of(code: str, **fields: object) -> Notice:
    """Return the warning of that code, its text followed by its advice; a missing field is a KeyError."""
    entry = NOTICES[code]
    parts = (filled(entry.text, fields), filled(entry.advice, fields))
    return Notice(code=code, text="; ".join(filter(None, parts)))


def of_the_drivers_machine(notice: Notice) -> Notice:
    """Return a notice of this machine where only the driver runs on it: what was seen, without what it means."""
    seen = notice.text.partition(":")[0]
    text = f"on the driver's machine {seen}: the server ran elsewhere, and its machine can't be seen from here"
    return Notice(code=notice.code, text=text)


def outcome_of(code: str, phase: Phase | None = None, **fields: object) -> Outcome:
    """Return the outcome of that code; a missing field is a KeyError."""
    entry = OUTCOMES[code]
    return Outcome(
        verdict=cast(Verdict, VERDICTS.get(code, "failed")),
        code=code,
        phase=phase,
        reason=filled(entry.text, fields),
        advice=filled(entry.advice, fields),
    )


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of the verdicts of a scenario's repeats; at least one is wanted."""
    return max(verdicts, key=_BEST_FIRST.index)
