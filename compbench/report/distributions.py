"""A driver's histograms as curves: read from the raw JSON beside a capture, because captures leave them out.

A result whose driver keeps no histograms, such as Engram's own loadtest, has no curves.
"""

from __future__ import annotations

import contextlib
import zlib
from pathlib import Path

from compbench.measuring import driver_report
from compbench.model import file_names
from compbench.model.errors import UserError
from compbench.model.records import Capture
from compbench.model.result import Histograms

# Points for each further nine; a curve needs no more to look smooth.
_STEPS = 16
_LONGEST_TAIL = 6

Curve = list[tuple[float, float]]


def read_curves(folder: Path, capture: Capture) -> dict[str, Curve]:
    """Return (percentile, milliseconds) points of each time that the driver recorded; empty if it recorded none."""
    recorded = _histograms(folder, capture)
    if recorded is None:
        return {}
    times = {
        "response time": recorded.response_time,
        "service time": recorded.service_time,
        "driver lag": recorded.driver_lag,
    }
    curves = {name: decode_curve(encoded) for name, encoded in times.items() if encoded}
    return {name: curve for name, curve in curves.items() if curve}


def decode_curve(encoded: str) -> Curve:
    """Return the percentile curve of a base64 HDR V2 histogram of microseconds; empty if it holds nothing.

    The points lie evenly on the axis of nines (50, 90, 99 ... per cent) and end where a single operation is left.
    """
    from hdrh.codec import HdrCookieException, HdrLengthException  # noqa: PLC0415 - see below
    from hdrh.histogram import HdrHistogram  # noqa: PLC0415 - brings numpy along, and only the drawing needs it

    try:
        histogram = HdrHistogram.decode(encoded)
    except (ValueError, zlib.error, HdrCookieException, HdrLengthException):
        return []  # it is text in the report of another driver, and no histogram
    total = histogram.get_total_count()
    percentiles = [100 * (1 - 10 ** (-step / _STEPS)) for step in range(_STEPS * _LONGEST_TAIL)]
    shown = [percentile for percentile in percentiles if (1 - percentile / 100) * total >= 1]
    return [(percentile, histogram.get_value_at_percentile(percentile) / 1000) for percentile in shown]


def _histograms(folder: Path, capture: Capture) -> Histograms | None:
    name = capture.files.get("driver_json") or file_names.of_measurement(
        capture.run, capture.measurement, "driver_json"
    )
    with contextlib.suppress(UserError):  # a report that can't be read has failed its measurement: no curve is missed
        report = driver_report.read_report(folder / name)
        return report.compbench.histograms if report and report.compbench else None
    return None
