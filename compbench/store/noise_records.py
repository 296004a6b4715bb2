"""What A/A studies have found, kept in the cache folder: finished measurements, which cleaning leaves.

A record's name is the hash of what its noise depends on. Knows nothing of how it is calculated.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from compbench.files.regular import read_regular
from compbench.model.noise import NOISE_SCHEMA, NoiseRecord
from compbench.store.record_files import write_record

FOLDER = "noise"


def noise_file(cache_dir: Path, record: NoiseRecord) -> Path:
    """Return where a record is kept."""
    return cache_dir / FOLDER / f"{record.key}.json"


def write_noise(cache_dir: Path, record: NoiseRecord) -> Path:
    """Keep a record, in place of an older one of the same; return where.

    Raises:
        OSError: it can't be written; the older one is then untouched.
    """
    path = noise_file(cache_dir, record)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_record(path, record)
    return path


def read_noises(cache_dir: Path) -> tuple[list[NoiseRecord], list[str]]:
    """Return every record, the oldest first, and a line for each file that is none and why."""
    found, skipped = [], []
    for path in sorted((cache_dir / FOLDER).glob("*.json")):
        try:
            record = msgspec.json.decode(read_regular(path), type=NoiseRecord)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            skipped.append(f"{path}: no record of noise ({error}): remove it, or run `doit noise` again")
            continue
        if record.schema == NOISE_SCHEMA:
            found.append(record)
        else:
            skipped.append(f"{path}: of schema {record.schema}, this compbench reads {NOISE_SCHEMA}: not used")
    return sorted(found, key=lambda record: record.measured_at), skipped
