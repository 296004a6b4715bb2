"""How moments are written: Unix seconds as text, for people, files and logs."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(now_s: float) -> str:
    """Return a Unix time as a run's name, in local time (specification 4)."""
    return datetime.fromtimestamp(now_s).astimezone().strftime("%Y-%m-%d_%H-%M-%S")


def iso_utc(at_s: float) -> str:
    """Return a Unix time as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock_time(at_s: float) -> str:
    """Return the time of day of a Unix time, as a clock on this machine's wall tells it."""
    return datetime.fromtimestamp(at_s).astimezone().strftime("%H:%M:%S")


def span(seconds: float) -> str:
    """Return a length of time as a person says it: `45 s`, `3 min 20 s`, `10 min`, `1 h 5 min`."""
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (0 if hours else rest_s, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"
