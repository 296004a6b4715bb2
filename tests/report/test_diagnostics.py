"""Programs can parse what is said of server, driver and machine."""

from __future__ import annotations

import re

import msgspec

from compbench.model.records import PhaseRecord
from compbench.report.diagnostics import plain, render_diagnostics
from tests.synthetic import Recipe, RunRecipe, make_capture

OWN_SECTIONS = ("server", "driver", "phases", "warnings", "machine")


def test_every_line_of_a_section_is_a_key_and_a_value() -> None:
    capture, _ = make_capture("2026-01-01_00-00-00", Recipe("alpha", warnings=True), RunRecipe())
    capture = msgspec.structs.replace(
        capture,
        phases=[PhaseRecord(name="measure", started_at=1.0e9, duration_s=2.5)],
        machine_before={"load_1min": 0.42, "governors": ["powersave", "performance"], "temperature_c": None},
        machine_after={"throttled_since": {"events": 3}},
    )
    text = render_diagnostics(capture)
    sections = dict(re.findall(r"^== (\w+) ==\n(.*?)(?=^== |\Z)", text, re.MULTILINE | re.DOTALL))
    assert tuple(sections) == OWN_SECTIONS
    found = {}
    for section, body in sections.items():
        lines = [line for line in body.splitlines() if line.strip()]
        assert lines, section
        for line in lines:
            key, colon, value = line.partition(":")
            assert key.strip(), f"{section}: {line}"
            assert re.fullmatch(r": [^{}\[\]]*", colon + value), f"{section}: {line}"
            found[section, key.strip()] = value.strip()
    assert found["machine", "before load_1min"] == "0.42"
    assert found["machine", "before governors"] == "powersave, performance"
    assert found["machine", "before temperature_c"] == "n/a"
    assert found["machine", "after throttled_since"] == "events=3"
    assert found["phases", "measure"].split() == ["2001-09-09T01:46:40Z", "2.5", "s"]


def test_a_value_of_several_lines_is_told_in_one() -> None:
    assert plain("kworker\n12 %") == "kworker 12 %"
