"""What the pages tell of several hosts that sent one load."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from compbench.model.result import Floor, HostFigures
from compbench.report import page
from compbench.report.charts import drawing
from tests import synthetic
from tests.rendering import CACHE, SCENARIOS, records_of, text_of
from tests.synthetic import NAMES, Recipe, RunRecipe

pytestmark = pytest.mark.process


def test_each_hosts_figures_stand_in_one_table_with_its_floor_and_in_what_it_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "can_draw", lambda: False)
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=[Recipe(NAMES[0], duration_s=3)]))
    manifest, (capture,) = records_of(folder)
    assert capture.result
    assert capture.result.details
    times = capture.result.details.response_time_ms
    assert times
    differs = "a P99 response time of 6.00 ms or more, the others 2.00 ms or less"
    hosts = [
        HostFigures(name=name, response_time_ms=times, service_time_ms=times, driver_lag_ms=times, differs=odd)
        for name, odd in (("a", ""), ("b", differs))
    ]
    floor = Floor(count=9, p50_ms=0.3, p99_ms=0.5, client_cpu_us=1, hosts={"b": (0.25, 0.5)})
    details = msgspec.structs.replace(capture.result.details, hosts=hosts, floor=floor)
    shown = msgspec.structs.replace(capture, result=msgspec.structs.replace(capture.result, details=details))
    page.write_report(folder, page.gather(folder, manifest, [shown], SCENARIOS, state="closed"), Path(CACHE.name))
    text = text_of(folder, "report.md")
    table = text[text.index("| host |") :].split("\n\n")
    head, ruler, *rows = table[0].splitlines()
    assert {line.count("|") for line in (head, ruler, *rows)} == {9}
    assert head.endswith("| floor P50, P99 |")
    assert [row.split(" | ")[0] for row in rows] == ["| a", "| b (differs)"]
    assert rows[0].endswith("| - |")
    assert "0.25" in rows[1].split(" | ")[-1]
    assert table[1].startswith(f"- b has {differs}")
