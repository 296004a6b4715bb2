"""Certificates for tests of TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path


def made_certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1, which is its own authority, with its key beside it as `key.pem`."""
    made = folder / "certificate.pem"
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout", str(folder / "key.pem"), "-out", str(made)]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run(["openssl", "req", "-x509", *key, *name], check=True, capture_output=True)
    return made
