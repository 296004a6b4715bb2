"""Draws Vega-Lite specifications: static SVG for files, and the script that makes a page's charts interactive.

The library (`vl-convert-python`) holds Vega, Vega-Lite and Vega-Embed in one wheel and draws without a browser. Making
the script takes seconds, so it is kept in a cache folder, under a name that its versions are part of.
"""

from __future__ import annotations

import contextlib
import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from compbench.files.whole import write_whole

STATIC_WIDTH = 720
# The light colours of the page's style sheet, under the same names: a file alone has no style sheet.
LIGHT = {
    "ink": "#1c2330",
    "soft": "#5d6878",
    "line": "#e1e5ec",
    "c1": "#2f62d9",
    "c2": "#c2570c",
    "c3": "#0b8a6f",
    "c4": "#8a4fc7",
    "s1": "#1f5fd1",
    "s2": "#c2570c",
    "s3": "#00805f",
    "s4": "#9a3fa8",
    "s5": "#8a6d00",
    "s6": "#0083a3",
    "s7": "#c2185b",
    "s8": "#5b6470",
    "s9": "#6b3d1e",
    "good": "#1f8a4c",
    "warn": "#b26a00",
    "bad": "#c62f2f",
}
_VARIABLE = re.compile(r"var\(--(\w+)\)")


def can_draw() -> bool:
    """Tell whether the charting library is installed (the extra `report`)."""
    return find_spec("vl_convert") is not None


def draw_svg(spec: dict[str, Any]) -> str:
    """Return the chart as SVG whose colours are the page's CSS variables."""
    import vl_convert  # noqa: PLC0415 - an optional library of 80 MB, only for the process that draws

    fixed = {**spec, "width": STATIC_WIDTH}
    if "layer" in spec:  # points that only a pointer finds make a static picture several times as large
        fixed["layer"] = [layer for layer in spec["layer"] if layer["mark"].get("opacity") != 0]
    return str(vl_convert.vegalite_to_svg(fixed, allowed_base_urls=[]))


def standalone(svg: str) -> str:
    """Return a picture of `draw_svg` with the light colours written in, on white, as a file that stands alone."""
    coloured = _VARIABLE.sub(lambda match: LIGHT[match[1]], svg)
    return coloured.replace(">", '><rect width="100%" height="100%" fill="#fff"/>', 1)


def kept_script(cache_dir: Path) -> Path | None:
    """Return the file of the script that was kept for the installed library, None if there is none; loads nothing."""
    return next(iter(sorted(cache_dir.glob(f"vega-{version('vl-convert-python')}-*.js"))), None)


def script(cache_dir: Path) -> str:
    """Return the JavaScript of Vega-Embed and all it needs; made once, then kept in the cache folder."""
    import vl_convert  # noqa: PLC0415 - see draw_svg

    versions = (version("vl-convert-python"), vl_convert.get_vega_version(), vl_convert.get_vega_embed_version())
    path = cache_dir / f"vega-{'-'.join(versions)}.js"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    text = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    with contextlib.suppress(OSError):  # without a cache the next page only takes longer
        cache_dir.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    return text
