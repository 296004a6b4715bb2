"""Flame graphs: folded stacks drawn as an SVG, in the layout that Brendan Gregg made usual. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from compbench.report import render

_WIDTH_PX = 1200
_ROW_PX = 17
_TOP_PX = 52
_MARGIN_PX = 10
_CHARACTER_PX = 7.3
_NARROWEST_PX = 0.2


def render_svg(folded: Mapping[str, int], title: str) -> str:
    """Draw a flame graph: the root at the bottom, each frame as wide as its share of the samples."""
    root = _tree(folded)
    depth = _depth(root)
    height = _TOP_PX + depth * _ROW_PX + _MARGIN_PX
    return render(
        "flamegraph.svg.j2",
        title=title,
        width=_WIDTH_PX,
        height=height,
        total=root.count,
        note=_note(folded),
        frames=list(_boxes(root, root.count, _MARGIN_PX, height - _MARGIN_PX - _ROW_PX)),
    )


@dataclass
class _Node:
    name: str
    count: int = 0
    children: dict[str, _Node] = field(default_factory=dict)


@dataclass(frozen=True)
class Box:
    """One frame as it is drawn, in pixels; `label` is as much of the name as fits."""

    name: str
    label: str
    count: int
    share_pct: float
    x: float
    y: float
    width: float
    height: int
    colour: str


def _tree(folded: Mapping[str, int]) -> _Node:
    root = _Node("all")
    for stack, count in sorted(folded.items()):
        node = root
        node.count += count
        for name in stack.split(";"):
            node = node.children.setdefault(name, _Node(name))
            node.count += count
    return root


def _depth(node: _Node) -> int:
    return 1 + max(map(_depth, node.children.values()), default=0)


def _boxes(node: _Node, total: int, x: float, y: float) -> Iterator[Box]:
    """Yield a node's box and those above it, but none narrower than a fraction of a pixel."""
    width = (_WIDTH_PX - 2 * _MARGIN_PX) * node.count / total if total else 0.0
    if width < _NARROWEST_PX:
        return
    share_pct = 100 * node.count / total
    yield Box(node.name, _label(node.name, width), node.count, share_pct, x, y, width, _ROW_PX - 1, _colour(node.name))
    for child in node.children.values():
        yield from _boxes(child, total, x, y - _ROW_PX)
        x += width * child.count / node.count


def _label(name: str, width_px: float) -> str:
    room = int((width_px - 6) / _CHARACTER_PX)
    if room >= len(name):
        return name
    return f"{name[: room - 2]}.." if room > 3 else ""  # noqa: PLR2004 - a single letter and two dots say nothing


def _colour(name: str) -> str:
    """Return a warm colour that is the same for a name in every graph."""
    number = zlib.crc32(name.encode())
    return f"rgb({205 + number % 50},{60 + number // 50 % 150},{number // 7500 % 55})"


def _note(folded: Mapping[str, int]) -> str:
    """Return a warning to the reader: no samples at all, or most of them without symbols."""
    total = sum(folded.values())
    if not total:
        return "No samples: the process used no CPU time while it was recorded, or perf could not read its stacks."
    unnamed = sum(count for stack, count in folded.items() if stack.rpartition(";")[2].startswith("["))
    if unnamed > total / 2:
        return (
            "Most frames have no symbols: for names, build the server with"
            " CARGO_PROFILE_RELEASE_STRIP=none CARGO_PROFILE_RELEASE_DEBUG=1."
        )
    return ""
