"""Texts that came from somebody else: what a terminal, XML, UTF-8 or a table could not bear is taken out, once.

Whatever another program said (driver, server, git) passes through here before it is kept, so that no page, export or
screen has to think of it again.
"""

from __future__ import annotations

import re
from typing import Any

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
# Controls but for tab and line feed, lone surrogates, what XML 1.0 forbids, and what turns the direction of a line.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
# An underscore between letters or digits is no markup.
_MARKUP = re.compile(r"([\\`*{}\[\]<>#|~&]|(?<![^\W_])_|_(?![^\W_]))")


def clean(text: str) -> str:
    """Return a text without colours, and with a replacement character for each that a reader could not take."""
    return _UNFIT.sub(_REPLACEMENT, _ANSI.sub("", text.replace("\r\n", "\n")))


def one_line(text: str) -> str:
    """Return a text as one clean line."""
    return " ".join(clean(text).split())


def clean_values(value: Any) -> Any:
    """Return a JSON value with every text in it clean, keys too.

    Raises:
        RecursionError: it is nested too deeply.
    """
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [clean_values(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean_values(item) for key, item in value.items()}
    return value


BYTES_A_GB = 1_000_000_000


def rank_of(niceness: int) -> str:
    """Return how a process of that niceness ranks, to follow a verb."""
    if niceness < 0:
        return "before other programs"
    return "behind other programs" if niceness > 0 else "like any other program"


def markdown(text: object) -> str:
    """Return a text as Markdown that shows it as it is, on one line: markup in it is escaped."""
    return _MARKUP.sub(r"\\\1", one_line(str(text)))
