"""Programs of rivals for tests: a stand-in, or a real one that a variable names, started on a port of loopback."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import requests

from compbench.machine.probes.reach import find_obstacle
from compbench.systems.api import Place
from compbench.systems.qdrant.server import Server
from compbench.systems.qdrant.settings import QdrantSettings
from tests.helpers import STAND_INS
from tests.project import ROOT, eventually, free_port

# Tests of the marker `rivals` run what these variables name. A program:
REAL_QDRANT = "COMPBENCH_TEST_QDRANT"
# The folder of `doit install:chroma`, with venv/ in it.
REAL_CHROMA = "COMPBENCH_TEST_CHROMA"


def install_qdrant(folder: Path, real: str = "") -> Path:
    """Write a program `qdrant` that becomes the stand-in, or a real one, also a debug build; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "qdrant"
    start = f'exec {real or f"{sys.executable} -m tests.stand_ins.qdrant"} "$@"'
    program.write_text(f"#!/bin/sh\nexport PYTHONPATH={ROOT}\n{start}\n")
    program.chmod(0o755)
    return program


@contextlib.contextmanager
def qdrant(folder: Path, program: str = "", told: str = "", port: int = 0, key: str = "") -> Iterator[str]:
    """Run a server as its server half says it is started, which may want a key; give its address."""
    work = folder / "work"
    for name in ("data", "home", "cwd"):
        (work / name).mkdir(parents=True, exist_ok=True)
    half = Server(
        QdrantSettings(program=program or str(install_qdrant(folder))), Place(port or free_port(), folder / "none")
    )
    launch = half.launch(work)
    environment = {name: value for name, value in os.environ.items() if not launch.is_foreign(name)}
    environment |= {**launch.environment, "STAND_IN_QDRANT": told}
    if key:
        environment["QDRANT__SERVICE__API_KEY"] = key
    process = subprocess.Popen(
        launch.argv, cwd=work / "cwd", env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert eventually(lambda: process.poll() is not None or half.look(work, process.pid, 1.0).is_ready)
        yield half.endpoint
    finally:
        process.terminate()
        with contextlib.suppress(requests.RequestException):
            process.wait(20)


@contextlib.contextmanager
def users_qdrant(told: str = "", certificate: Path | None = None, key: str = "") -> Iterator[int]:
    """Run the stand-in for Qdrant as the user's own, on 127.0.0.2; give its port."""
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "QDRANT__SERVICE__HOST": "127.0.0.2",
        "QDRANT__SERVICE__HTTP_PORT": str(port),
        "STAND_IN_QDRANT": told,
        "QDRANT__SERVICE__API_KEY": key,
        **({"CERTIFICATE": str(certificate)} if certificate else {}),
    }
    process = subprocess.Popen([sys.executable, "-m", "tests.stand_ins.qdrant"], env=environment)
    try:
        assert eventually(lambda: find_obstacle("127.0.0.2", [port], None) is None)
        yield port
    finally:
        process.kill()
        process.wait()


def install_docker(folder: Path) -> None:
    """Write a program `docker`, the stand-in, into a folder that is to be on the PATH."""
    folder.mkdir()
    text = (STAND_INS / "docker").read_text().replace("#!/usr/bin/env python3", f"#!{sys.executable}")
    (folder / "docker").write_text(text.replace("Path(__file__).resolve().parent", f"Path({str(STAND_INS)!r})"))
    (folder / "docker").chmod(0o755)
