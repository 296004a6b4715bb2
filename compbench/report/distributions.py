"""A driver's histograms as curves: read from the raw JSON beside a capture, because captures leave them out.

A result whose driver keeps no histograms, such as Engram's own loadtest, has no curves.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from compbench.model.records import Capture

# What the driver calls its histograms, and what a reader does.
NAMES = {"response_time": "response time", "service_time": "service time", "driver_lag": "driver lag"}
# Points for each further nine; a curve needs no more to look smooth.
_STEPS = 16
_LONGEST_TAIL = 6

Curve = list[tuple[float, float]]


def read_curves(folder: Path, capture: Capture) -> dict[str, Curve]:
    """Return (percentile, milliseconds) points of each time that the driver recorded; empty if it recorded none."""
    histograms = _raw_histograms(folder, capture)
    found = {}
    for name, shown in NAMES.items():
        encoded = histograms.get(name)
        if isinstance(encoded, str) and (curve := decode_curve(encoded)):
            found[shown] = curve
    return found


def decode_curve(encoded: str) -> Curve:
    """Return the percentile curve of a base64 HDR V2 histogram of microseconds; empty if it holds nothing.

    The points lie evenly on the axis of nines (50, 90, 99 ... per cent) and end where a single operation is left.
    """
    from hdrh.histogram import HdrHistogram  # noqa: PLC0415 - brings numpy along, and only the drawing needs it

    histogram = HdrHistogram.decode(encoded)
    total = histogram.get_total_count()
    percentiles = [100 * (1 - 10 ** (-step / _STEPS)) for step in range(_STEPS * _LONGEST_TAIL)]
    shown = [percentile for percentile in percentiles if (1 - percentile / 100) * total >= 1]
    return [(percentile, histogram.get_value_at_percentile(percentile) / 1000) for percentile in shown]


def _raw_histograms(folder: Path, capture: Capture) -> dict[str, Any]:
    name = capture.files.get("driver_json") or f"{capture.run}_{capture.measurement}.json"
    with contextlib.suppress(OSError, ValueError, AttributeError):
        own = json.loads((folder / name).read_bytes()).get("compbench") or {}
        return dict(own.get("histograms") or {})
    return {}
