"""What all systems have in common in their tables."""

from __future__ import annotations

import msgspec
import pytest

from compbench.config.system_tables import RivalSettings


@pytest.mark.parametrize("endpoint", ["http://db", "http://db:6333/", "redis://[::1]:6379", "postgresql+tls://db:5432"])
def test_an_endpoint_is_an_address(endpoint: str) -> None:
    assert msgspec.convert({"endpoint": endpoint}, RivalSettings).endpoint == endpoint


@pytest.mark.parametrize(
    "endpoint", ["db:6333", "http://me:word@db", "http://db/path", "http://db:99999", "http://db:0", "http://[::1"]
)
def test_what_is_none_is_refused_before_anything_is_asked_there(endpoint: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="expected an address as http://host:port"):
        msgspec.convert({"endpoint": endpoint}, RivalSettings)
