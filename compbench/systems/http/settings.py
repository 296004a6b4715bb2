"""The settings of a system that a table describes: `[system.<name>]` with `kind = "http"`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from compbench.config.system_tables import RivalSettings, SystemKind
from compbench.model.errors import UserError
from compbench.model.scenario import SimilarityMetric
from compbench.systems.http.templates import KNOWN, TEXT_KEYS, placeholders

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# A request, as "POST /items/search".
_REQUESTS = ("ready", "create", "load", "search", "count", "build", "built", "remove")
_ALWAYS = ("ready", "load", "load_body", "search", "search_body", "ids", "count", "count_at")
_Positive = Annotated[int, msgspec.Meta(ge=1)]


class HttpSettings(RivalSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The requests of a system, each a method and a path, some with a body; docs/own-systems.md explains each key."""

    kind: Literal["http"] = "http"
    start: tuple[str, ...] = ()
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    version: tuple[str, ...] = ()
    ready: str = "GET /"
    create: str = ""
    create_body: str = ""
    load: str = ""
    load_body: str = ""
    load_row: str = ""
    search: str = ""
    search_body: str = ""
    search_threshold: str = ""
    ids: str = ""
    count: str = ""
    count_body: str = ""
    count_at: str = ""
    build: str = ""
    build_body: str = ""
    built: str = ""
    built_at: str = ""
    built_is: str = ""
    remove: str = ""
    id_prefix: str = ""
    id_offset: Annotated[int, msgspec.Meta(ge=0, le=2**40)] = 0
    default_effort: _Positive = 100
    metrics: tuple[SimilarityMetric, ...] = ("cosine",)
    rows_at_once: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 500
    index_definition: str = "not told"
    durability_told: str = "not told"


def check_table(own: HttpSettings, where: str) -> None:
    """Refuse a table that can't be used, by the first key that is wrong.

    Raises:
        UserError: with the key, and what is right.
    """
    for key in _ALWAYS:
        if not getattr(own, key):
            raise UserError(f"{where}: {key}: it has to be set (docs/own-systems.md)")
    _check_start(own, where)
    _check_requests(own, where)
    _check_texts(own, where)


def _check_start(own: HttpSettings, where: str) -> None:
    if own.chosen_mode == "managed" and not own.start:
        raise UserError(f"{where}: start: set the command line that starts it, or the endpoint of one that runs")
    if own.chosen_mode == "container":
        raise UserError(f"{where}: mode = 'container': a table has no image: set start or endpoint")
    if own.durability != "vendor":
        raise UserError(f"{where}: durability = {own.durability!r}: a table can't set it: say so by `start`")
    if bool(own.built) != bool(own.built_at and own.built_is):
        raise UserError(f"{where}: built: it takes built_at and built_is, too")


def _check_requests(own: HttpSettings, where: str) -> None:
    for key in _REQUESTS:
        method, _, path = getattr(own, key).partition(" ")
        if getattr(own, key) and (method not in _METHODS or not path.startswith("/") or " " in path):
            example = f"expected a method ({', '.join(_METHODS)}) and a path, as 'POST /items/search'"
            raise UserError(f"{where}: {key} = {getattr(own, key)!r}: {example}")


def _check_texts(own: HttpSettings, where: str) -> None:
    for key in TEXT_KEYS:
        unknown = sorted(placeholders(getattr(own, key)) - KNOWN[key])
        if unknown:
            known = ", ".join("{{" + name + "}}" for name in sorted(KNOWN[key])) or "it has none"
            raise UserError(f"{where}: {key}: unknown placeholder {{{{{unknown[0]}}}}}; known: {known}")
    if "vector" not in placeholders(own.search_body):
        raise UserError(f"{where}: search_body: it has no {{{{vector}}}}")
    if not placeholders(own.load_body) & {"rows", "vectors"}:
        raise UserError(f"{where}: load_body: it has neither {{{{rows}}}} nor {{{{ids}}}} and {{{{vectors}}}}")
    if "rows" in placeholders(own.load_body) and placeholders(own.load_row) != {"id", "vector"}:
        raise UserError(f"{where}: load_row: a row takes {{{{id}}}} and {{{{vector}}}}")
    if bool(own.search_threshold) != ("threshold" in placeholders(own.search_body)):
        raise UserError(f"{where}: search_threshold: it is the text that stands for {{{{threshold}}}} in search_body")


KIND = SystemKind(
    settings=HttpSettings,
    title="a system from a table",
    is_rival=True,
    is_pattern=True,
    check=check_table,
)
