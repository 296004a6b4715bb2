"""Flame graphs: folded stacks drawn as an SVG."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from compbench.machine import perf
from compbench.report import flamegraph
from tests.project import ROOT

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("text", ["", "\n\n\n", "   \n\t\n"])
def test_nothing_recorded_folds_to_nothing_and_still_draws_a_picture_that_says_so(text: str) -> None:
    assert perf.fold(text) == {}
    picture = ET.fromstring(flamegraph.render_svg({}, "idle"))
    assert any("No samples" in (node.text or "") for node in picture.iter(f"{SVG}text"))


HOSTILE = '<script>alert("1")</script>&amp;]]>\x00\x1b[31m\u202e;x'


def test_hostile_names_neither_break_the_picture_nor_get_into_it_as_tags() -> None:
    frame = f"\t 55d0 {HOSTILE}+0x1 (/x/{HOSTILE.replace('(', '').replace(')', '')})"
    folded = perf.fold(f"{HOSTILE}\n{frame}\n\n")
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
        "from compbench.report.flamegraph import render_svg as svg;"
        " print(svg({'root;left': 1, 'root;right': 3}, 't'), end='')",
    ]
    other = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)},
    )
    assert other.stdout == flamegraph.render_svg(folded, "t")
    assert (
        boxes(flamegraph.render_svg({"left": 5}, "u"))["left"][3]
        == boxes(flamegraph.render_svg(folded, "t"))["left"][3]
    )


def test_a_recording_without_symbols_says_how_to_get_them() -> None:
    assert "CARGO_PROFILE_RELEASE_DEBUG=1" in flamegraph.render_svg({"engram;[engram]": 3, "engram;main": 1}, "t")
    assert "CARGO_PROFILE" not in flamegraph.render_svg({"engram;[engram]": 1, "engram;main": 3}, "t")


def test_a_stack_as_deep_as_a_recursion_is_drawn() -> None:
    deep = ";".join(["main", *["recurse"] * 127])
    assert len(boxes(flamegraph.render_svg({deep: 1}, "t"))) == 3
    assert flamegraph.render_svg({deep: 1}, "t").count("<rect") == 130
