"""Every closed run as CSV: a line per scenario, system and repeat, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from compbench.model import costs, metrics
from compbench.model.times import iso_utc
from compbench.report.past.history import Past, PastMeasurement

_FACTS = ("system", "driver", "profile", "scale")
# What a request cost the machine stands last.
_FIGURES = (*(metric.name for metric in metrics.ALL), *costs.NAMES)
_HEADER = (
    *("run", "opened_at", "commit", "uncommitted", "machine", *_FACTS),
    *("scenario", "repeat", "outcome", "duration_s", *_FIGURES),
)


def csv_text(history: Sequence[Past]) -> str:
    """Return every run, oldest first; an empty cell is not recorded."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_HEADER)
    for past in history:
        facts = [past.run, iso_utc(past.opened_at), past.commit, "yes" if past.dirty else "no", past.machine]
        order = list(past.verdicts)
        for one in sorted(past.measured, key=lambda one: (order.index(one.name), one.repeat)):
            told = {**past.fingerprint, **({"system": one.system} if one.system else {})}
            own = [told.get(name, "") for name in _FACTS]
            writer.writerow([*facts, *own, one.scenario, one.repeat, one.verdict, *_figures(one)])
    return out.getvalue()


def _figures(one: PastMeasurement) -> list[str]:
    duration = "" if one.duration_s is None else f"{one.duration_s:g}"
    values = (one.figures.get(name) for name in _FIGURES)
    return [duration, *("" if value is None else f"{value:.6g}" for value in values)]
