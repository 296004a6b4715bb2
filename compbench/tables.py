"""TOML tables of plain values converted to structs, with one line that names file, key and value of what does not fit.

Knows nothing of what the tables mean: scenarios, settings and baselines are converted here.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from compbench.errors import UserError, did_you_mean

T = TypeVar("T")


def convert_table(raw: dict[str, Any], kind: type[T], where: str, *, strict: bool = True) -> T:
    """Convert a table of plain values to a struct, naming file, key and value of what doesn't fit.

    Raises:
        UserError: with the one line for a person.
    """
    try:
        return msgspec.convert(raw, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise UserError(f"{where}: {_explain(str(error), raw, kind)}") from None


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
    problem = problem.replace("Expected", "expected", 1).replace("`", "")
    return f"{key} = {value!r}: {problem[:1].lower()}{problem[1:]}"


def _value_at(raw: Any, key: str) -> Any:
    for part in re.findall(r"[^.\[\]]+", key):
        if isinstance(raw, dict):
            raw = raw.get(part)
        elif isinstance(raw, list) and part.isdigit():
            raw = raw[int(part)]
    return raw


def _known_keys(raw: Any, kind: Any, key: str) -> list[str]:
    """Follow `key` through the struct types to the table in question; unions are told apart by their tag."""
    for part in filter(None, key.split(".")):
        field = next(f for f in msgspec.structs.fields(kind) if f.encode_name == part)
        raw = raw[part]
        kinds = [t for t in _members(field.type) if isinstance(t, type) and issubclass(t, msgspec.Struct)]
        kind = next((k for k in kinds if _tag_fits(k, raw)), kinds[0])
    tag_field = kind.__struct_config__.tag_field
    return sorted([f.encode_name for f in msgspec.structs.fields(kind)] + ([tag_field] if tag_field else []))


def _choices(raw: Any, kind: Any, key: str) -> list[str]:
    """Return the values that a key of a fixed set, or the tag of a union, may have."""
    *parents, last = key.split(".")
    for part in parents:
        field = next(f for f in msgspec.structs.fields(kind) if f.encode_name == part)
        members = [t for t in _members(field.type) if hasattr(t, "__struct_config__")]
        tags = [t.__struct_config__.tag for t in members if t.__struct_config__.tag_field == last]
        if tags:
            return tags
        kind, raw = members[0], raw[part]
    hint = next(f.type for f in msgspec.structs.fields(kind) if f.encode_name == last)
    return [str(choice) for choice in _members(hint)]


def _members(hint: Any) -> tuple[Any, ...]:
    return getattr(hint, "__args__", None) or (hint,)


def _tag_fits(kind: Any, raw: Any) -> bool:
    config = kind.__struct_config__
    return config.tag_field is None or raw.get(config.tag_field) == config.tag
