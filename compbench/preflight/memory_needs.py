"""Whether the data sets fit into this machine: pure arithmetic over counts, sizes and free space.

What vectors need is the system's to say; one that can't is not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compbench.model.records import Finding
from compbench.model.times import span
from compbench.preflight.findings import finding_of
from compbench.preflight.judgement import GB
from compbench.systems.api import Needs

# Free memory is never quite the same twice: what just fits today must not be refused tomorrow.
_USED_SHARE = 0.9


@dataclass(frozen=True)
class Need:
    """What a scenario's data set asks of the machine.

    `is_kept`: it was made before; `kept_from_now`: it will be; `fits_the_time`: only as much is made as time allows.
    """

    scenario: str
    num_nodes: int
    count: int
    needs: Needs
    is_kept: bool = False
    kept_from_now: bool = False
    fits_the_time: bool = False

    @property
    def memory_bytes(self) -> int:
        """Return the bytes of main memory that the loaded server needs for them."""
        return self.needs.memory_bytes

    @property
    def disk_bytes(self) -> int:
        """Return the bytes of disk that making and keeping them takes: a state stays until the next one is whole."""
        if self.is_kept or not self.kept_from_now:
            return 0
        return 2 * self.needs.disk_bytes

    def making_s(self, cores: int) -> float:
        """Return about how long making it will take."""
        return 0.0 if self.is_kept or self.fits_the_time else self.count / (cores * self.needs.added_a_core_s)


@dataclass(frozen=True)
class Room:
    """What the machine offers: free memory, of which `reserve_bytes` must stay free, free disk, cores, patience.

    `kept_limit_s` is the patience with a data set that is kept, `loading_limit_s` with one that is loaded each time.
    """

    available_bytes: int
    reserve_bytes: int
    free_disk_bytes: int
    cores: int
    kept_limit_s: float
    loading_limit_s: float


def judge_data_set(needs: Sequence[Need], room: Room) -> Finding:
    """Judge whether each data set fits into memory, all that are to be kept onto the disk, and making into the time."""
    problems = [judge(need, room) for need in needs for judge in (_memory_problem, _time_problem)]
    problems = [problem for problem in problems if problem]
    disk_bytes = sum(need.disk_bytes for need in needs)
    if disk_bytes > room.free_disk_bytes:
        names = ", ".join(need.scenario for need in needs if need.disk_bytes)
        problems.append(
            f"{names}: {disk_bytes / GB:.1f} GB to make and keep > {room.free_disk_bytes / GB:.1f} GB free on disk"
        )
    if problems:
        return finding_of("data_set", "data-sets-too-large", "critical", problems="; ".join(problems))
    largest = max(needs, key=lambda need: need.memory_bytes, default=None)
    told = "no scenario" if largest is None else _sum_of(largest)
    return finding_of("data_set", "data-sets-fit", "ok", largest=told, available_gb=room.available_bytes / GB)


def most_that_fit(needs_of: Callable[[int], Needs], most: int, room: Room) -> int:
    """Return how many vectors, up to `most`, fit into memory and, kept, onto the disk, with a tenth to spare."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        needs = needs_of(middle)
        in_memory = needs.memory_bytes <= _USED_SHARE * (room.available_bytes - room.reserve_bytes)
        fits = in_memory and 2 * needs.disk_bytes <= _USED_SHARE * room.free_disk_bytes
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _memory_problem(need: Need, room: Room) -> str:
    if need.memory_bytes + room.reserve_bytes <= room.available_bytes:
        return ""
    told = f"{_sum_of(need)} + {room.reserve_bytes / GB:.1f} GB to spare > {room.available_bytes / GB:.1f} GB available"
    if need.fits_the_time:
        return f"{told}: free so much, or set scale to a smaller share of it"
    affordable = max(0, room.available_bytes - room.reserve_bytes) / (need.memory_bytes / need.count)
    return f"{told}: {_use_scale(affordable / need.num_nodes)}"


def _time_problem(need: Need, room: Room) -> str:
    making_s = need.making_s(room.cores)
    # What is not kept is loaded by each server that is measured.
    limit_s, setting = room.kept_limit_s, "data_set_timeout_s"
    if not need.kept_from_now:
        limit_s, setting = room.loading_limit_s, "prepare_timeout_s"
    if making_s <= limit_s:
        return ""
    pace = f"at about {room.cores * need.needs.added_a_core_s:.0f}/s loading takes {span(making_s)} > {span(limit_s)}"
    return f"{_sum_of(need)}: {pace}: use scale=auto, or raise {setting}"


def _sum_of(need: Need) -> str:
    return f"{need.scenario}: {need.needs.explanation}"


def _use_scale(most: float) -> str:
    """Name the largest scale of two decimals that fits, of one significant digit below a hundredth."""
    digits = 2
    while most * 10**digits < 1 and digits < 9:  # noqa: PLR2004 - a billionth of any data set is one memory
        digits += 1
    scale = int(most * 10**digits) / 10**digits
    return f"use scale<={scale:.{digits}f}, or scale=auto" if scale > 0 else "nothing of it fits"
