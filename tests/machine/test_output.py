"""Output of a program: cut in the middle, without colour codes, copied from a real pipe."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

from compbench.machine.output import Output


def pump(output: Output, chunks: Iterable[bytes]) -> str:
    """Return what the file holds after a pipe has carried the chunks, one write each, and ended."""
    read_fd, write_fd = os.pipe()
    pumping = threading.Thread(target=output.pump, args=(os.fdopen(read_fd, "rb"), threading.Event()))
    pumping.start()
    with os.fdopen(write_fd, "wb", buffering=0) as end:
        for chunk in chunks:
            end.write(chunk)
    pumping.join(60)
    assert not pumping.is_alive()
    return output.path.read_text()


def test_a_flood_is_cut_in_the_middle_and_its_end_is_kept(tmp_path: Path) -> None:
    limit_bytes = 1_000_000
    output = Output(tmp_path / "out", limit_bytes)
    text = pump(output, [*([(b"x" * 99 + b"\n") * 100] * 600), b"THE END\n"])
    assert len(text) < limit_bytes + 200_000
    assert f"{output.left_out_bytes} bytes left out here" in text
    assert text.endswith("THE END\n")
    assert output.total_bytes == 6_000_008


def test_colour_codes_are_taken_out_of_the_output_also_where_two_writes_tear_them(tmp_path: Path) -> None:
    torn = [b"\x1b[1;3", b"1mred\x1b[0m and ", b"plain\n"]
    assert pump(Output(tmp_path / "out", 1000), torn) == "red and plain\n"
