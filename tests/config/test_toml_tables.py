"""Each kind of message in which msgspec refuses a value, as a line that a person reads: pinned, as it is parsed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

from compbench.config.toml_tables import convert_table, parse_toml
from compbench.model.errors import UserError


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    """A table in a table."""

    rate: Annotated[float, msgspec.Meta(gt=0, le=10)]
    count: Annotated[int, msgspec.Meta(ge=1)] = 1


class Left(msgspec.Struct, forbid_unknown_fields=True, tag="left", tag_field="kind"):
    """One of a union."""

    size: int = 0


class Right(msgspec.Struct, forbid_unknown_fields=True, tag="right", tag_field="kind"):
    """The other."""

    width: int = 0


class Table(msgspec.Struct, forbid_unknown_fields=True):
    """Every kind of value that files have."""

    inner: Inner
    side: Left | Right | None = None
    items: tuple[Inner, ...] = ()
    colour: Literal["red", "green"] = "red"
    word: Annotated[str, msgspec.Meta(min_length=1, pattern="^[a-z]*$")] = "a"
    is_on: bool = False


GOOD: dict[str, Any] = {"inner": {"rate": 1.0}}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"iner": {}},
            'iner: unknown key (did you mean "inner"?); known here: colour, inner, is_on, items, side, word',
        ),
        ({"inner": {"rate": 1.0, "x": 1}}, "inner.x: unknown key; known here: count, rate"),
        ({"inner": {}}, "inner.rate: missing, but required"),
        ({"inner": {"rate": "a"}}, "inner.rate = 'a': expected float, got str"),
        ({"inner": {"rate": 11}}, "inner.rate = 11: expected float <= 10.0"),
        ({"inner": {"rate": 0.0}}, "inner.rate = 0.0: expected float > 0.0"),
        ({"inner": {"rate": 1.0, "count": 0}}, "inner.count = 0: expected int >= 1"),
        ({"inner": {"rate": float("inf")}}, "inner.rate = inf: expected float <= 10.0"),
        ({"inner": 5}, "inner = 5: expected object, got int"),
        ({"items": [{"rate": 1.0}, {"rate": -1.0}]}, "items[1].rate = -1.0: expected float > 0.0"),
        ({"items": [{"rte": 1.0}]}, 'items[0].rte: unknown key (did you mean "rate"?); known here: count, rate'),
        ({"colour": "gren"}, "colour = 'gren': unknown value (did you mean \"green\"?); known: green, red"),
        (
            {"side": {"kind": "rigth"}},
            "side.kind = 'rigth': unknown value (did you mean \"right\"?); known: left, right",
        ),
        ({"side": {"kind": "left", "width": 1}}, "side.width: unknown key; known here: kind, size"),
        ({"side": {}}, "side.kind: missing, but required"),
        ({"word": ""}, "word = '': expected str of length >= 1"),
        ({"word": "A"}, "word = 'A': expected str matching regex '^[a-z]*$'"),
        ({"is_on": "no"}, "is_on = 'no': expected bool, got str"),
    ],
)
def test_what_does_not_fit_is_named_by_key_and_value_with_what_would_be_right(
    change: dict[str, Any], line: str
) -> None:
    with pytest.raises(UserError) as refused:
        convert_table({**GOOD, **change}, Table, "file.toml")
    assert str(refused.value) == f"file.toml: {line}"


def test_what_fits_is_converted() -> None:
    assert convert_table(GOOD, Table, "file.toml") == Table(inner=Inner(rate=1.0))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a = ", "not valid TOML: Invalid value"),
        (b"\xef\xbb\xbfa = 1", "begins with a byte order mark"),
        (b"a = '\xff'", "not valid TOML: 'utf-8' codec can't decode"),
        (b"a = " + b"[" * 100_000, "not valid TOML: nested too deeply"),
    ],
)
def test_what_is_no_toml_is_named_by_its_file(content: bytes, line: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_toml(content, Path("x.toml"))
    assert str(refused.value).startswith(f"x.toml: {line}")
