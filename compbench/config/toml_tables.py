"""TOML read and its tables converted to structs, with one line that names file, key and value of what does not fit.

Scenarios, settings and baselines are converted here; what their tables mean is not known here.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
import tomli

from compbench.model.errors import UserError, did_you_mean

T = TypeVar("T")


def parse_toml(content: bytes, path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        UserError: it is not TOML; names the place of the mistake.
    """
    if content.startswith(codecs.BOM_UTF8):
        raise UserError(f"{path}: begins with a byte order mark, which TOML does not allow: save it as UTF-8 without")
    try:
        return tomli.loads(content.decode("utf-8"))
    except RecursionError:
        raise UserError(f"{path}: not valid TOML: nested too deeply") from None
    # A number of thousands of digits is a plain ValueError.
    except ValueError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None


def convert_table(raw: dict[str, Any], kind: type[T], where: str, *, strict: bool = True) -> T:
    """Convert a table of plain values to a struct, naming file, key and value of what doesn't fit.

    Raises:
        UserError: with the one line for a person.
    """
    try:
        converted = msgspec.convert(raw, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise UserError(f"{where}: {_explain(str(error), raw, kind)}") from None
    for key, value in _floats("", msgspec.to_builtins(converted)):
        if not math.isfinite(value):
            raise UserError(f"{where}: {key} = {value}: expected a finite number")
    return converted


def _floats(key: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yield every float in a value of plain types, with the key that leads to it."""
    if isinstance(value, float):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _floats(f"{key}.{name}" if key else name, inner)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _floats(f"{key}[{number}]", inner)


def _explain(message: str, raw: dict[str, Any], kind: Any) -> str:
    problem, _, at = message.partition(" - at `$")
    key = at.rstrip("`").lstrip(".")
    if match := re.fullmatch(r"Object contains unknown field `(.*)`", problem):
        known = _known_keys(raw, kind, key)
        full = ".".join(filter(None, (key, match[1])))
        return f"{full}: unknown key{did_you_mean(match[1], known)}; known here: {', '.join(known)}"
    if match := re.fullmatch(r"Object missing required field `(.*)`", problem):
        return f"{'.'.join(filter(None, (key, match[1])))}: missing, but required"
    value = _value_at(raw, key)
    if problem.startswith("Invalid"):
        choices = sorted(_choices(raw, kind, key))
        return f"{key} = {value!r}: unknown value{did_you_mean(str(value), choices)}; known: {', '.join(choices)}"
    if not key:
        return problem  # of the table as a whole, which may hold what is not to be shown
    problem = problem.replace("Expected", "expected", 1).replace("`", "")
    return f"{key} = {value!r}: {problem[:1].lower()}{problem[1:]}"


def _value_at(raw: Any, key: str) -> Any:
    for part in _parts(key):
        if isinstance(raw, dict):
            raw = raw.get(part)
        elif isinstance(raw, list) and part.isdigit():
            raw = raw[int(part)]
    return raw


def _known_keys(raw: Any, kind: Any, key: str) -> list[str]:
    """Return the keys that the table at `key` may have."""
    table = _table_kind(*_follow(raw, kind, _parts(key)))
    tag_field = table.__struct_config__.tag_field
    return sorted([f.encode_name for f in msgspec.structs.fields(table)] + ([tag_field] if tag_field else []))


def _choices(raw: Any, kind: Any, key: str) -> list[str]:
    """Return the values that a key of a fixed set, or the tag of a union, may have."""
    *parents, last = _parts(key)
    raw, hint = _follow(raw, kind, parents)
    tags = [t.__struct_config__.tag for t in _tables(hint) if t.__struct_config__.tag_field == last]
    return tags or [str(choice) for member in _members(_follow(raw, hint, [last])[1]) for choice in _words(member)]


def _words(member: Any) -> Sequence[Any]:
    """Return what may stand for a member of a union: the words of a literal, or `a number`."""
    origin = get_origin(member)
    if origin is Literal:
        return get_args(member)
    return ["a number"] if origin is Annotated or member in (int, float) else [member]


def _follow(raw: Any, hint: Any, parts: Sequence[str]) -> tuple[Any, Any]:
    """Follow keys and numbers of items from a value and its type; return those found there."""
    for part in parts:
        if part.isdigit():
            raw, hint = raw[int(part)], _members(hint)[0]
        else:
            fields = msgspec.structs.fields(_table_kind(raw, hint))
            raw, hint = raw.get(part), next(f.type for f in fields if f.encode_name == part)
    return raw, hint


def _table_kind(raw: Any, hint: Any) -> Any:
    """Return the struct type of a table; those of a union are told apart by their tag."""
    kinds = _tables(hint)
    return next((kind for kind in kinds if _tag_fits(kind, raw)), kinds[0])


def _tables(hint: Any) -> list[Any]:
    return [t for t in _members(hint) if isinstance(t, type) and issubclass(t, msgspec.Struct)]


def _parts(key: str) -> list[str]:
    return re.findall(r"[^.\[\]]+", key)


def _members(hint: Any) -> tuple[Any, ...]:
    return getattr(hint, "__args__", None) or (hint,)


def _tag_fits(kind: Any, raw: Any) -> bool:
    config = kind.__struct_config__
    return config.tag_field is None or raw.get(config.tag_field) == config.tag
