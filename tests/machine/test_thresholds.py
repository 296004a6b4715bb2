"""The table of samples, and what samples warn of."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from compbench.machine import thresholds
from compbench.machine.thresholds import notices
from compbench.model.catalogue import NOTICES
from compbench.model.notices import notice_of
from compbench.model.sample import Sample


def samples_of(**columns: list[Any]) -> list[Sample]:
    rows = zip(*columns.values(), strict=True)
    return [Sample(elapsed_s=5.0 * k, **dict(zip(columns, row, strict=True))) for k, row in enumerate(rows, start=1)]


def codes(samples: list[Sample], *, driver_cores: int = 1) -> list[str]:
    return [notice.code for notice in notices(samples, driver_cores=driver_cores)]


class TestTable:
    SAMPLES = (
        Sample(elapsed_s=5.003, cpu_pct=87.31, memory_bytes=2_048_000_000, threads=32, io_wait_pct=1.2, net_kb_s=450.2),
        Sample(elapsed_s=9.998, cpu_pct=91.2, memory_bytes=2_156_000_000, threads=33, io_wait_pct=0.8, net_kb_s=520),
    )

    def test_it_looks_as_the_specification_shows_it(self) -> None:
        assert thresholds.format_table(self.SAMPLES) == [
            "Timestamp | CPU% | Mem(MB) | Threads | IO_Wait% | Net(KB/s)",
            "00:00:05  | 87.3 | 2048    | 32      | 1.2      | 450",
            "00:00:10  | 91.2 | 2156    | 33      | 0.8      | 520",
            "PEAK:     | 91.2 | 2156    | 33      | 1.2      | 520",
            "AVG:      | 89.3 | 2102    | 32.5    | 1.0      | 485",
        ]

    def test_what_is_not_readable_is_said_and_left_out_of_the_average(self) -> None:
        samples = [msgspec.structs.replace(self.SAMPLES[0], io_wait_pct=None), self.SAMPLES[1]]
        rows = thresholds.table_rows(samples)
        assert [row.io_wait_pct for row in rows] == ["n/a", "0.8", "0.8", "0.8"]

    def test_without_samples_there_is_nothing_to_peak_or_average(self) -> None:
        assert thresholds.format_table([])[1:] == [
            "PEAK:     | n/a  | n/a     | n/a     | n/a      | n/a",
            "AVG:      | n/a  | n/a     | n/a     | n/a      | n/a",
        ]

    def test_columns_stay_aligned_when_the_server_uses_many_cores(self) -> None:
        lines = thresholds.format_table([msgspec.structs.replace(self.SAMPLES[0], cpu_pct=1234.5)])
        assert len({line.index("|", 12) for line in lines}) == 1


class TestNotices:
    def test_a_healthy_measurement_warns_of_nothing(self) -> None:
        healthy: dict[str, list[Any]] = {
            "cpu_pct": [87.3, 91.2], "machine_memory_pct": [40, 41], "io_wait_pct": [1.2, 0.8], "steal_pct": [0, 0.1],
            "throttle_events": [0, 0], "quota_throttles": [0, 0], "oom_kills": [0, 0], "cpu_mhz": [3000, 2990],
            "swap_used_bytes": [0, 0], "swap_in_bytes_s": [0, 0], "swap_out_bytes_s": [0, 0],
            "driver_cpu_pct": [50, 60], "net_errors": [0, 0],
        }  # fmt: skip
        assert codes(samples_of(**healthy)) == []

    def test_a_machine_that_tells_nothing_warns_of_nothing(self) -> None:
        assert codes([Sample(elapsed_s=5.0), Sample(elapsed_s=10.0)]) == []
        assert codes([]) == []

    @pytest.mark.parametrize(
        ("code", "columns"),
        [
            ("memory-full", {"machine_memory_pct": [50, 90.5]}),
            ("io-wait", {"io_wait_pct": [5, 36]}),
            ("thermal-throttling", {"throttle_events": [0, 1]}),
            ("quota-throttling", {"quota_throttles": [0, 1]}),
            ("clock-drop", {"cpu_mhz": [3000, 2390, 2390]}),
            ("oom-kill", {"oom_kills": [1, 0]}),
            ("swap-used", {"swap_used_bytes": [0, 1_100_000_000]}),
            ("swap-thrashing", {"swap_in_bytes_s": [9e5, 9e5], "swap_out_bytes_s": [2e5, 2e5]}),
            ("steal", {"steal_pct": [5, 5.2]}),
            ("driver-saturated", {"driver_cpu_pct": [80, 80.2]}),
            ("driver-saturated", {"driver_cpu_pct": [10, 95]}),
            ("network-errors", {"net_errors": [0, 2]}),
        ],
    )
    def test_each_threshold_is_judged_by_itself_and_told_once(self, code: str, columns: dict[str, list[Any]]) -> None:
        assert codes(samples_of(**columns)) == [code]

    @pytest.mark.parametrize(
        "columns",
        [
            {"machine_memory_pct": [50, 90]},
            {"io_wait_pct": [4, 36]},
            {"cpu_mhz": [3000, 2000, 3000]},
            {"cpu_mhz": [2000, 3000, 3000]},
            {"swap_used_bytes": [0, 900_000_000]},
            {"swap_in_bytes_s": [9e9, 0, 9e9], "swap_out_bytes_s": [0, 0, 0]},
            {"steal_pct": [5, 5]},
            {"driver_cpu_pct": [75, 85]},
        ],
    )
    def test_what_stays_within_its_threshold_or_is_one_accident_is_not_told(
        self, columns: dict[str, list[Any]]
    ) -> None:
        assert codes(samples_of(**columns)) == []

    @pytest.mark.parametrize(("cpu_pct", "codes"), [([10, 89], ["low-cpu"]), ([11, 89], []), ([], [])])
    def test_little_cpu_of_the_server_is_told_apart_from_what_went_wrong(
        self, cpu_pct: list[float], codes: list[str]
    ) -> None:
        samples = samples_of(cpu_pct=cpu_pct)
        assert [notice.code for notice in thresholds.low_cpu(samples)] == codes
        there = [notice.code for notice in thresholds.low_cpu(samples, is_server_here=False)]
        assert there == [f"{code}-elsewhere" for code in codes], "nobody is sent to this machine's disks for it"
        assert thresholds.notices(samples) == []

    def test_a_driver_that_can_use_two_cores_is_saturated_only_when_it_uses_both(self) -> None:
        assert codes(samples_of(driver_cpu_pct=[150, 150]), driver_cores=2) == []
        assert codes(samples_of(driver_cpu_pct=[170, 170]), driver_cores=2) == ["driver-saturated"]

    def test_every_text_has_its_figures_filled_in_and_says_what_helps(self) -> None:
        told = [code for code, entry in NOTICES.items() if "value" in entry.fields]
        assert len(told) == 13
        for code in told:
            text = notice_of(code, value=95.0, limit=90.0).text
            assert "95" in text, text
            assert "{" not in text, text
            assert ";" in text, f"{code} says what happened but not what helps: {text}"

    def test_averages_are_judged_only_at_the_end_but_what_is_proven_is_told_at_once(self) -> None:
        samples = samples_of(io_wait_pct=[50, 50], oom_kills=[0, 1])
        assert thresholds.notices_so_far(samples[:1]) == []
        assert [notice.code for notice in thresholds.notices_so_far(samples)] == ["oom-kill"]
        assert {notice.code for notice in thresholds.notices(samples)} == {"oom-kill", "io-wait"}


def test_where_only_the_driver_runs_here_a_notice_says_what_was_seen_and_nothing_of_the_server() -> None:
    samples = [Sample(elapsed_s=5.0, io_wait_pct=30.0, machine_memory_pct=95.0, steal_pct=9.0, driver_cpu_pct=95.0)]
    here, elsewhere = notices(samples), notices(samples, is_server_here=False)
    assert [one.code for one in here] == [one.code for one in elsewhere]
    texts = {one.code: one.text for one in elsewhere}
    assert texts["io-wait"] == (
        "on the driver's machine the cores waited for disks 30 % of the time on average, more than 20 %: the server ran"
        " elsewhere, and its machine can't be seen from here"
    )
    assert "kill the server" not in texts["memory-full"]
    assert texts["driver-saturated"] == {one.code: one.text for one in here}["driver-saturated"]
