"""What a person and a program read of a run, rendered from its captures; every text is a Jinja template."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).resolve().parent.parent.parent / "templates"


def render(template_name: str, **values: object) -> str:
    """Render a template of `templates/`; only `*.html.j2` escapes what it is given, and a missing value is an error."""
    return _environment().get_template(template_name).render(**values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape  # noqa: PLC0415 - costs 0.1 s

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
