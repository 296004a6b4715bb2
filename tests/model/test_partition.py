"""Which CPUs the server gets and which the driver, and where control groups can be made: pure, on made-up roots."""

from __future__ import annotations

from pathlib import Path

import pytest

from compbench.machine import control_groups
from compbench.machine.control_groups import Limits
from compbench.machine.placement import ControlGroup
from compbench.machine.probes.cores import read_cores
from compbench.model.errors import UserError
from compbench.model.partition import Core, Partition, chosen, cpu_list, read_cpu_list, split


def machine(cores: int, threads: int = 1, nodes: int = 1) -> list[Core]:
    """Return the cores of a machine that numbers the first threads of all cores first, as Linux mostly does."""
    return [Core(tuple(core + cores * t for t in range(threads)), core * nodes // cores) for core in range(cores)]


@pytest.mark.parametrize(
    ("cores", "driver_cores", "server", "driver"),
    [
        (machine(4), 1, (1, 2, 3), (0,)),
        (machine(8), 3, (3, 4, 5, 6, 7), (0, 1, 2)),
        (machine(4, threads=2), 1, (1, 2, 3, 5, 6, 7), (0, 4)),
        (machine(8, threads=1, nodes=2), 1, (1, 2, 3), (0,)),
        (machine(3), 8, (2,), (0, 1)),
        (machine(2), 1, (0, 1), (0,)),
        (machine(2, threads=2), 1, (0, 1, 2, 3), (0, 2)),
    ],
    ids=[
        "the driver has one core, the server the rest",
        "a core for each process of the driver",
        "a core comes with all its threads",
        "all on one memory node",
        "one core is left to the server",
        "of two cores the server keeps both",
        "also with two threads each",
    ],
)
def test_a_machine_is_divided_by_whole_cores(
    cores: list[Core], driver_cores: int, server: tuple[int, ...], driver: tuple[int, ...]
) -> None:
    found = split(cores, driver_cores)
    assert found == Partition(server, driver)
    assert found.is_shared == (len(cores) == 2)


def test_one_core_can_not_be_divided() -> None:
    assert split(machine(1), 1) is None
    assert split([], 1) is None


def test_the_larger_memory_node_is_taken() -> None:
    cores = [Core((0,), 0), Core((1,), 1), Core((2,), 1), Core((3,), 1)]
    assert split(cores, 1) == Partition((2, 3), (1,))


def test_a_person_may_name_the_cpus() -> None:
    assert chosen("cpus=2-3,5/0") == Partition((2, 3, 5), (0,))
    assert chosen("auto") is None
    assert chosen("off") is None


@pytest.mark.parametrize("text", ["on", "cpus=1", "cpus=1/", "cpus=3-1/0", "cpus=1,,2/0", "cpus=1/0/2", ""])
def test_what_is_no_isolation_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match=r"isolation = .*cpus=|no list of CPUs such as 1-3,5"):
        chosen(text)


def test_lists_of_cpus_read_as_the_kernel_writes_them() -> None:
    assert read_cpu_list("0-2,4\n") == (0, 1, 2, 4)
    assert cpu_list((4, 1, 0, 2, 7, 8)) == "0-2,4,7-8"
    assert cpu_list(()) == ""


def written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_cores_nodes_and_those_threads_that_may_be_used_are_read(tmp_path: Path) -> None:
    for cpu, threads in enumerate(["0,2", "1,3", "0,2", "1,3"]):
        written(tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", threads)
    written(tmp_path / "sys/devices/system/node/node0/cpulist", "0,2")
    written(tmp_path / "sys/devices/system/node/node1/cpulist", "1,3")
    assert read_cores(tmp_path, range(4)) == [Core((0, 2), 0), Core((1, 3), 1)]
    assert read_cores(tmp_path, [0, 1, 3]) == [Core((0,), 0), Core((1, 3), 1)]


def unified(root: Path, offered: str) -> Path:
    """Make a hierarchy of version 2 with this process in a slice, whose groups may have these controllers."""
    written(root / "proc/self/cgroup", "0::/user.slice/own\n")
    written(root / "proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n")
    for folder, controllers in (("", ""), ("user.slice", offered), ("user.slice/own", "")):
        written(root / "sys/fs/cgroup" / folder / "cgroup.procs", "")
        written(root / "sys/fs/cgroup" / folder / "cgroup.subtree_control", controllers)
    return root / "sys/fs/cgroup"


def test_a_group_of_version_2_is_made_beside_the_own_one_where_the_controllers_are_offered(tmp_path: Path) -> None:
    mount = unified(tmp_path, "cpuset memory")
    (group,) = control_groups.groups_v2("name", Limits((1, 2), (0,), 10**9), root=tmp_path)
    assert group.folder == mount / "user.slice/name"
    assert group.writes == (
        ("cpuset.cpus", "1-2"),
        ("cpuset.mems", "0"),
        ("memory.max", "1000000000"),
        ("memory.swap.max?", "0"),
    )
    assert control_groups.groups_v2("name", Limits((1,)), -15, tmp_path)[0].writes[-1] == ("cpu.weight?", "2842")


def test_no_group_is_made_outside_of_one_that_has_limits(tmp_path: Path) -> None:
    mount = unified(tmp_path, "cpuset memory")
    written(mount / "user.slice/own/memory.max", "1000000\n")
    assert control_groups.groups_v2("name", Limits((1,)), root=tmp_path) == ()
    written(mount / "user.slice/own/memory.max", "max\n")
    assert control_groups.groups_v2("name", Limits((1,)), root=tmp_path) != ()


def test_there_is_no_group_of_version_2_where_a_controller_is_not_offered(tmp_path: Path) -> None:
    unified(tmp_path, "memory")
    assert control_groups.groups_v2("name", Limits((1,)), root=tmp_path) == ()
    assert control_groups.groups_v1("name", Limits((1,)), tmp_path) == ()


def test_groups_of_version_1_are_made_in_the_own_one_of_each_controller(tmp_path: Path) -> None:
    written(tmp_path / "proc/self/cgroup", "4:memory:/own/deep\n3:cpuset:/\n")
    mounts = "".join(f"3{n} 23 0:2{n} / /sys/fs/cgroup/{c} rw - cgroup cgroup rw,{c}\n" for n, c in enumerate(NAMES))
    written(tmp_path / "proc/self/mountinfo", mounts)
    memory, cpuset = tmp_path / "sys/fs/cgroup/memory/own/deep", tmp_path / "sys/fs/cgroup/cpuset"
    written(memory / "cgroup.procs", "")
    written(cpuset / "cpuset.mems", "0-1\n")
    assert control_groups.groups_v1("name", Limits((3,), (), 10**9), tmp_path) == (
        ControlGroup(cpuset / "name", (("cpuset.cpus", "3"), ("cpuset.mems", "0-1"))),
        ControlGroup(
            memory / "name", (("memory.limit_in_bytes", "1000000000"), ("memory.memsw.limit_in_bytes?", "1000000000"))
        ),
    )


NAMES = ("memory", "cpuset")
