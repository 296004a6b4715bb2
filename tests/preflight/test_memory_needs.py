"""Whether data sets fit: the arithmetic from both sides of every limit."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from compbench.preflight.memory_needs import Need, Room, judge_data_set
from compbench.systems.api import Place
from compbench.systems.embedded.server import Server
from compbench.systems.embedded.settings import EmbeddedSettings


def need(scenario: str, num_nodes: int, count: int) -> Need:
    """Return what the embedded server needs for so many vectors."""
    needs = Server(EmbeddedSettings(), Place(1, Path())).needs(count, 768)
    assert needs
    return Need(scenario=scenario, num_nodes=num_nodes, count=count, needs=needs, kept_from_now=True)


MILLION = need("million", 1_000_000, 1_000_000)
TEN = need("ten", 10_000_000, 10_000_000)
ROOM = Room(
    available_bytes=21_000_000_000,
    reserve_bytes=4_000_000_000,
    free_disk_bytes=80_000_000_000,
    cores=2,
    kept_limit_s=7200,
    loading_limit_s=600,
)


def test_a_million_fits_and_ten_do_not_by_a_sum_that_a_person_can_check() -> None:
    assert judge_data_set([MILLION], ROOM).level == "ok"
    finding = judge_data_set([MILLION, TEN], ROOM)
    assert finding.level == "critical"
    assert "ten: 10,000,000 x 768 x 2 bytes = 15.4 GB + " in finding.found
    assert "> 21.0 GB available: use scale<=0." in finding.found
    assert "million" not in finding.found


def test_a_small_data_set_is_summed_up_in_megabytes_so_that_no_part_reads_as_nothing() -> None:
    found = judge_data_set([need("small", 10_000_000, 10_000)], ROOM).found
    assert "small: 10,000 x 768 x 2 bytes = 15.4 MB + 3.0 MB of index" in found


def test_vectors_of_few_dimensions_are_kept_as_32_bit_floats() -> None:
    needs = Server(EmbeddedSettings(), Place(1, Path())).needs(1_000_000, 100)
    assert needs
    assert needs.explanation.startswith("1,000,000 x 100 x 4 bytes = 400.0 MB + ")


def test_the_scale_that_is_named_fits_and_a_hundredth_more_does_not() -> None:
    plenty_of_time = dataclasses.replace(ROOM, kept_limit_s=1e9)
    found = judge_data_set([TEN], plenty_of_time).found
    scale = float(re.findall(r"scale<=([\d.]+)", found)[0])
    for more, level in ((0.0, "ok"), (0.011, "critical")):
        scaled = need("ten", TEN.num_nodes, round(TEN.num_nodes * (scale + more)))
        assert judge_data_set([scaled], plenty_of_time).level == level


def test_memory_is_judged_to_the_byte() -> None:
    exactly = dataclasses.replace(ROOM, available_bytes=MILLION.memory_bytes + ROOM.reserve_bytes)
    assert judge_data_set([MILLION], exactly).level == "ok"
    less = dataclasses.replace(exactly, available_bytes=exactly.available_bytes - 1)
    assert judge_data_set([MILLION], less).level == "critical"


def test_disk_is_needed_for_all_that_is_kept_and_not_yet_there() -> None:
    other = dataclasses.replace(MILLION, scenario="other")
    exactly = dataclasses.replace(ROOM, free_disk_bytes=2 * MILLION.disk_bytes)
    assert judge_data_set([MILLION, other], exactly).level == "ok"
    less = dataclasses.replace(exactly, free_disk_bytes=exactly.free_disk_bytes - 1)
    assert "million, other:" in judge_data_set([MILLION, other], less).found
    assert judge_data_set([MILLION, dataclasses.replace(other, is_kept=True)], less).level == "ok"
    assert (
        judge_data_set([MILLION, dataclasses.replace(other, kept_from_now=False, fits_the_time=True)], less).level
        == "ok"
    )


def test_making_must_end_in_time_unless_it_is_made_already() -> None:
    took_s = MILLION.making_s(ROOM.cores)
    hurried = dataclasses.replace(ROOM, kept_limit_s=took_s - 1, loading_limit_s=took_s + 1)
    assert "use scale=auto, or raise data_set_timeout_s" in judge_data_set([MILLION], hurried).found
    assert judge_data_set([dataclasses.replace(MILLION, is_kept=True)], hurried).level == "ok"
    assert judge_data_set([dataclasses.replace(MILLION, fits_the_time=True)], hurried).level == "ok"
    loaded_each_time = dataclasses.replace(MILLION, kept_from_now=False)
    assert judge_data_set([loaded_each_time], hurried).level == "ok"
    impatient = dataclasses.replace(hurried, loading_limit_s=took_s - 1)
    assert "or raise prepare_timeout_s" in judge_data_set([loaded_each_time], impatient).found


def test_a_machine_without_room_says_so() -> None:
    full = dataclasses.replace(ROOM, available_bytes=1)
    assert "nothing of it fits" in judge_data_set([MILLION], full).found
