"""Flame graphs: perf's text folded into stacks, stacks drawn as an SVG, and a real recording where perf may record."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from compbench.machine import flamegraph

SVG = "{http://www.w3.org/2000/svg}"

# What `perf script -F comm,ip,sym,dso` prints: a head, the frames from leaf to root, an empty line.
SHORT = """\
engram
\t    55d0c0de1000 engram_core::search::h0123456789abcdef+0x1f (/opt/engram/target/release/engram)
\t    55d0c0de2000 main+0x10 (/opt/engram/target/release/engram)

engram
\t    55d0c0de1000 engram_core::search::hfedcba9876543210+0x2a (/opt/engram/target/release/engram)
\t    55d0c0de2000 main+0x10 (/opt/engram/target/release/engram)

tokio worker
\tffffffff81000000 do_syscall_64 ([kernel.kallsyms])
\t    7f0000000000 [unknown] (/usr/lib/libc.so.6 (deleted))
\t               1 [unknown] ([unknown])
\t               2 [unknown] ([unknown])

"""
# The same with all default fields.
FULL = """\
engram  4711/4712  [001]  1234.567890:   20408163 cpu-clock:pppH:
\t    55d0c0de2000 main+0x10 (/opt/engram/target/release/engram)

my program 4711 1234.567890: 20408163 cpu-clock:
\t    55d0c0de2000 main+0x10 (/opt/engram/target/release/engram)
"""


def test_stacks_are_folded_root_first_without_offsets_and_hashes() -> None:
    assert flamegraph.fold(SHORT) == {
        "engram;main;engram_core::search": 2,
        "tokio worker;[unknown];[libc.so.6 (deleted)];do_syscall_64": 1,
    }


def test_full_heads_are_read_too() -> None:
    assert flamegraph.fold(FULL) == {"engram;main": 1, "my program;main": 1}


@pytest.mark.parametrize("text", ["", "\n\n\n", "   \n\t\n"])
def test_nothing_recorded_folds_to_nothing_and_still_draws_a_picture_that_says_so(text: str) -> None:
    assert flamegraph.fold(text) == {}
    picture = ET.fromstring(flamegraph.render_svg({}, "idle"))
    assert any("No samples" in (node.text or "") for node in picture.iter(f"{SVG}text"))


def test_folded_stacks_survive_being_written_and_read() -> None:
    folded = {"a;b c;d 1": 3, "a": 1}
    assert flamegraph.parse_folded(flamegraph.format_folded(folded)) == folded
    assert flamegraph.format_folded(folded) == flamegraph.format_folded(dict(reversed(folded.items())))


HOSTILE = '<script>alert("1")</script>&amp;]]>\x00\x1b[31m\u202e;x'


def test_hostile_names_neither_break_the_picture_nor_get_into_it_as_tags() -> None:
    frame = f"\t 55d0 {HOSTILE}+0x1 (/x/{HOSTILE.replace('(', '').replace(')', '')})"
    folded = flamegraph.fold(f"{HOSTILE}\n{frame}\n\n")
    (stack,) = folded
    assert all(character.isprintable() for character in stack)
    picture = ET.fromstring(flamegraph.render_svg(folded, HOSTILE.replace("\x00", "").replace("\x1b", "")))
    assert {node.tag.removeprefix(SVG) for node in picture.iter()} <= {"svg", "title", "style", "rect", "text", "g"}
    assert any("<script>" in (node.text or "") for node in picture.iter(f"{SVG}title"))


def boxes(svg: str) -> dict[str, tuple[float, float, float, str]]:
    """Return each frame's x, y, width and colour by its name."""
    found = {}
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        title, rect = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        assert title is not None
        assert rect is not None
        name = str(title.text).rpartition(" (")[0]
        found[name] = (
            float(rect.get("x", "")),
            float(rect.get("y", "")),
            float(rect.get("width", "")),
            rect.get("fill", ""),
        )
    return found


def test_each_frame_is_as_wide_as_its_share_and_stands_on_its_caller() -> None:
    drawn = boxes(flamegraph.render_svg({"root;left": 1, "root;right": 3}, "t"))
    whole = drawn["root"][2]
    assert drawn["left"][2] == pytest.approx(whole / 4, abs=0.2)
    assert drawn["right"][0] == pytest.approx(drawn["left"][0] + whole / 4, abs=0.2)
    assert drawn["all"][1] > drawn["root"][1] > drawn["left"][1] == drawn["right"][1] > 0


def test_the_picture_is_the_same_each_time_and_a_name_has_its_colour_in_every_picture() -> None:
    folded = {"root;left": 1, "root;right": 3}
    assert flamegraph.render_svg(folded, "t") == flamegraph.render_svg(dict(reversed(folded.items())), "t")
    argv = [
        sys.executable,
        "-c",
        "from compbench.machine.flamegraph import render_svg as svg;"
        " print(svg({'root;left': 1, 'root;right': 3}, 't'), end='')",
    ]
    other = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(flamegraph.TEMPLATES.parent)},
    )
    assert other.stdout == flamegraph.render_svg(folded, "t")
    assert (
        boxes(flamegraph.render_svg({"left": 5}, "u"))["left"][3]
        == boxes(flamegraph.render_svg(folded, "t"))["left"][3]
    )


def test_a_recording_without_symbols_says_how_to_get_them() -> None:
    assert "CARGO_PROFILE_RELEASE_DEBUG=1" in flamegraph.render_svg({"engram;[engram]": 3, "engram;main": 1}, "t")
    assert "CARGO_PROFILE" not in flamegraph.render_svg({"engram;[engram]": 1, "engram;main": 3}, "t")


def test_a_stack_as_deep_as_a_recursion_is_drawn(tmp_path: Path) -> None:
    deep = ";".join(["main", *["recurse"] * 127])
    assert len(boxes(flamegraph.render_svg({deep: 1}, "t"))) == 3
    assert flamegraph.render_svg({deep: 1}, "t").count("<rect") == 130


def test_no_recording_folds_to_nothing(tmp_path: Path) -> None:
    assert flamegraph.fold_recording(tmp_path / "absent", tmp_path) == {}


def test_a_damaged_recording_folds_to_nothing_and_perf_says_why(tmp_path: Path) -> None:
    if (why := flamegraph.can_record()) is not None:
        pytest.skip(why)
    (tmp_path / "perf.data").write_bytes(b"garbage" * 100)
    assert flamegraph.fold_recording(tmp_path / "perf.data", tmp_path) == {}
    assert (tmp_path / "perf_script.log").read_text()


def test_a_busy_process_is_recorded_for_real(tmp_path: Path) -> None:
    if (why := flamegraph.can_record()) is not None:
        pytest.skip(why)
    data = tmp_path / "perf.data"
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            done = subprocess.run(
                flamegraph.record_argv(busy.pid, 1.0, data), capture_output=True, text=True, timeout=60, check=False
            )
        finally:
            busy.kill()
    assert data.exists(), done.stderr
    folded = flamegraph.fold_recording(data, tmp_path)
    assert sum(folded.values()) > 5, "a process that does nothing else must be seen often in a second"
    assert all(stack.startswith("python") for stack in folded)
    drawn = flamegraph.render_svg(folded, "busy")
    assert re.search(r"\d+ samples|Most frames have no symbols", drawn)
    assert ET.fromstring(drawn) is not None


def test_without_perf_the_reason_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert flamegraph.can_record() in ("perf is not installed", f"perf records on Linux only, this is {sys.platform}")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="perf records on Linux only")
def test_a_perf_that_may_not_record_says_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "perf"
    path.write_text("#!/bin/sh\necho 'No permission to enable cpu-clock event.' >&2\nexit 255\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    said = flamegraph.can_record() or ""
    assert "No permission to enable cpu-clock event." in said
    assert "kernel.perf_event_paranoid" in said
