"""What a person and a program read of a run, rendered from its captures; every text is a Jinja template."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from compbench.model import metrics, texts

if TYPE_CHECKING:
    from jinja2 import Environment

# What the extra `report` brings; a suite runs, and its results are whole, without it.
_EXTRA = ("vl_convert", "scipy", "ruptures", "junitparser", "prometheus_client")


# compbench is on no package index: what bears its name there is somebody else's.
_ADVICE = "`python -m pip install '.[report]'`, in the checkout, brings what is missing: "


def missing_extra() -> str:
    """Return a line that says how to install what the report's charts, tests and exports need; empty if it is there."""
    missing = [name for name in _EXTRA if find_spec(name) is None]
    return _ADVICE + ", ".join(missing) if missing else ""


def render(template_name: str, **values: object) -> str:
    """Render a template of `templates/`; HTML and SVG escape what they are given, and a missing value is an error.

    Each metric is known to the templates by its name in `model.metrics`: `{{ value | figure(P99) }}` prints a measured
    figure, `| given` what somebody has set or published, `| change` a relative change in per cent.
    """
    return _environment().get_template(template_name).render(**values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape  # noqa: PLC0415 - costs 0.1 s

    environment = Environment(
        loader=PackageLoader("compbench"),
        autoescape=select_autoescape(enabled_extensions=("html.j2", "svg.j2"), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["md"] = texts.markdown
    environment.filters["figure"] = lambda value, metric: metric.number(value)
    environment.filters["given"] = metrics.given
    environment.filters["change"] = metrics.change_pct
    environment.globals.update({name: one for name, one in vars(metrics).items() if isinstance(one, metrics.Metric)})
    return environment
