"""Pages, charts, comparisons and exports of runs, rendered from their captures; every text is a Jinja template."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from compbench.model import metrics, texts

if TYPE_CHECKING:
    from jinja2 import Environment

# The packages of the extra `report`; a suite runs, and its results are whole, without them.
_EXTRA = ("vl_convert", "scipy", "ruptures", "junitparser", "prometheus_client")


# compbench is on no package index: a package of its name there would be another project's.
_ADVICE = "`python -m pip install '.[report]'`, in the checkout, brings the missing packages: "


def missing_extra(*names: str) -> str:
    """Return a line that says how to install those packages, or all for charts, tests and exports; empty if none is."""
    missing = [name for name in names or _EXTRA if find_spec(name) is None]
    return _ADVICE + ", ".join(missing) if missing else ""


def counted(number: int, noun: str) -> str:
    """Return a number of things: `1 run`, `2 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def render(template_name: str, **values: object) -> str:
    """Render a template of `templates/`; HTML and SVG escape what they are given, and a missing value is an error.

    Each metric is known to the templates by its name in `model.metrics`: `{{ value | figure(P99) }}` prints a measured
    figure, `| given` one that was set or published, `| change` a relative change in per cent.
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
    environment.filters["counted"] = counted
    environment.filters["figure"] = lambda value, metric: metric.number(value)
    environment.filters["given"] = metrics.given
    environment.filters["change"] = metrics.change_pct
    environment.globals.update({name: one for name, one in vars(metrics).items() if isinstance(one, metrics.Metric)})
    return environment
