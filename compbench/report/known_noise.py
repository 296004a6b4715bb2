"""Which study of noise tells how far single measurements of a run differ by chance, and in which words. Pure.

One fits that was made with everything that makes runs comparable (`comparable.noise_facts`). What may have changed the
noise since then, its age, another kernel or another compbench, is told beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from compbench.model.noise import FigureNoise, NoiseRecord
from compbench.report.past import comparable
from compbench.report.past.history import Past
from compbench.report.statistics import KnownNoise

# Twice the quarter after which a full run is due.
OLD_AFTER_DAYS = 180.0
_DAY_S = 86_400.0


def known_noise(records: Sequence[NoiseRecord], past: Past, scenario: str, metric: str) -> KnownNoise | None:
    """Return what the newest study that fits a run tells of a figure's spread, None if there is none."""
    wanted = comparable.noise_facts(past, scenario) if records else {}
    fitting = [record for record in records if record.facts == wanted]
    newest = max(fitting, key=lambda record: record.measured_at, default=None)
    figure = newest.of(metric) if newest is not None else None
    if newest is None or figure is None:
        return None
    return KnownNoise(figure.sd_log, len(figure.values), _in_words(newest, figure, past))


def _in_words(record: NoiseRecord, figure: FigureNoise, past: Past) -> str:
    day = datetime.fromtimestamp(record.measured_at, UTC).date().isoformat()
    spread_pct = 100 * math.expm1(figure.sd_log)
    told = f"noise of this machine, measured {day}, n = {len(figure.values)}, {spread_pct:.1f} %"
    return "; ".join([told, *_doubts(record, past)])


def _doubts(record: NoiseRecord, past: Past) -> list[str]:
    """Return what may have changed the noise between a study and a run."""
    age_days = abs(past.opened_at - record.measured_at) / _DAY_S
    found = [f"{age_days:.0f} days apart: `doit noise` measures it again"] if age_days > OLD_AFTER_DAYS else []
    now = {"kernel": past.kernel, "compbench": past.fingerprint.get("compbench", "")}
    for name, value in now.items():
        then = record.told.get(name, "")
        if then and value and then != value:
            found.append(f"then {name} {then}, now {value}")
    return found
