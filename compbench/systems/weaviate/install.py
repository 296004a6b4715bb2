"""Weaviate built by Go's own client from its module, whose checksums the checksum database vouches for."""

from __future__ import annotations

from compbench.systems.installation import Installation

_VERSION = "1.35.2"
# Go keeps its own tools and what it compiles in these folders; both are removed once the program is there.
_MODULES, _COMPILED, _OTHER = "{folder}/modules", "{folder}/compiled", "{folder}/gopath"
_GO = (
    *("env", "GOBIN={folder}/bin", f"GOPATH={_OTHER}", f"GOMODCACHE={_MODULES}", f"GOCACHE={_COMPILED}"),
    *("GOFLAGS=-modcacherw", "go"),
)

INSTALLATION = Installation(
    version=_VERSION,
    result="bin/weaviate-server",
    commands=(
        (*_GO, "install", f"github.com/weaviate/weaviate/cmd/weaviate-server@v{_VERSION}"),
        ("rm", "-rf", _MODULES, _COMPILED, _OTHER),
    ),
    files={"version": f"weaviate {_VERSION}\n"},
    tools={"go": "it is built from its Go module; Go 1.25 or newer"},
    download_mb=500,
    licence="BSD-3-Clause",
    remark="some 3 minutes of two cores, and 4 GB of disk while it is built",
)
