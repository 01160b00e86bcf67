"""The machine: what it says of itself, within the limits that are set for this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from unetscope import machine
from unetscope.machine import (
    available_memory,
    cache_folder,
    count_cores,
    count_threads,
    describe_machine,
    has_accelerator,
)

GB = 2**30


def write(root: Path, files: dict[str, object]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def version2(**memory: object) -> dict[str, object]:
    """A control group of version 2 two folders below its mount."""
    return {"proc/self/cgroup": "0::/a/b", **{f"sys/fs/cgroup/{name}": value for name, value in memory.items()}}


# --- what it is --------------------------------------------------------------------------------------------------


def test_it_is_plain_values_that_repeat():
    described = describe_machine()
    assert json.loads(json.dumps(described)) == described == describe_machine()
    assert described["cpu"]
    assert described["cores"] == count_cores()
    assert described["memory_bytes"] == psutil.virtual_memory().total


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="this system does not tell its instructions this way")
def test_instructions_are_those_of_the_processor():
    words = set(Path("/proc/cpuinfo").read_text().split())
    assert set(describe_machine()["instructions"]) == words & machine.ISA


@pytest.mark.parametrize(
    ("text", "cpu", "instructions"),
    [
        (
            "processor\t: 0\nmodel name\t: A B\nflags\t\t: fpu avx2 amx_bf16\n\nmodel name\t: C",
            "A B",
            ["amx_bf16", "avx2"],
        ),
        ("processor\t: 0\nFeatures\t: fp asimd bf16 sve", None, ["asimd", "bf16", "sve"]),
        ("nonsense", None, []),
    ],
)
def test_processors_of_both_kinds(tmp_path: Path, monkeypatch, text, cpu, instructions):
    write(tmp_path, {"proc/cpuinfo": text})
    read = machine._read_processor
    monkeypatch.setattr(machine, "_read_processor", lambda: read(tmp_path))
    described = describe_machine()
    assert described["instructions"] == instructions
    assert described["cpu"] == cpu or cpu is None


def test_limits_of_the_environment_are_part_of_it(monkeypatch):
    for name in machine.LIMITS:
        monkeypatch.delenv(name, raising=False)
    free = describe_machine()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    assert free["limits"] == {}
    assert describe_machine() == {**free, "limits": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}}


def test_it_is_described_without_torch():
    code = (
        "import sys; sys.modules['torch'] = None; from unetscope.machine import *; describe_machine(), cache_folder()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- cores and threads -------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_only_cores_of_the_affinity_are_counted():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert count_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, 8),
        ({"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/cpu.max": "150000 100000"}, 2),
        ({"proc/self/cgroup": "0::/outside", "sys/fs/cgroup/cpu.max": "50000 100000"}, 1),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/a\n0::/",
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": 300000,
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": 100000,
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": -1,
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": 100000,
            },
            3,
        ),
    ],
)
def test_a_share_of_time_counts_as_so_many_cores(tmp_path: Path, monkeypatch, files, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert count_cores(write(tmp_path, files)) == cores


@pytest.mark.parametrize(("asked", "threads"), [("3", 3), ("5,2", 5), ("", None), ("0", None), ("many", None)])
def test_threads_can_be_asked_for(monkeypatch, asked, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert count_threads() == threads or (threads is None and count_threads() == count_cores())
    assert describe_machine()["threads"] == count_threads()


# --- memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "room"),
    [
        ({}, None),
        ({"proc/self/cgroup": "broken"}, None),
        (version2(**{"memory.max": "max", "memory.current": GB}), None),
        (version2(**{"a/b/memory.max": 4 * GB, "a/b/memory.current": GB}), 3 * GB),
        (version2(**{"a/b/memory.max": "max", "a/b/memory.current": 1, "a/memory.max": 5, "a/memory.current": 2}), 3),
        (
            version2(
                **{
                    "a/b/memory.max": 4 * GB,
                    "a/b/memory.current": 3 * GB,
                    "a/b/memory.stat": f"anon {GB}\nactive_file 7\ninactive_file {2 * GB}",
                }
            ),
            3 * GB,
        ),
        (version2(**{"memory.max": 2 * GB, "memory.current": GB}), GB),  # a container sees its own group at the mount
        (version2(**{"a/b/memory.max": GB, "a/b/memory.current": 2 * GB}), 0),
        (
            {
                "proc/self/cgroup": "4:memory:/a\n2:cpu:/\n0::/",
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": 2 * GB,
                "sys/fs/cgroup/memory/a/memory.usage_in_bytes": GB,
                "sys/fs/cgroup/memory/a/memory.stat": "inactive_file 9\ntotal_inactive_file 1024",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": 2**63 - 4096,
                "sys/fs/cgroup/memory/memory.usage_in_bytes": GB,
            },
            GB + 1024,
        ),
    ],
)
def test_memory_is_what_system_and_group_leave(tmp_path: Path, monkeypatch, files, room):
    left = psutil.virtual_memory()._replace(available=16 * GB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: left)
    assert available_memory(write(tmp_path, files)) == (16 * GB if room is None else room)


# --- the rest ----------------------------------------------------------------------------------------------------


def test_a_card_is_known_by_its_driver(tmp_path: Path):
    assert not has_accelerator(tmp_path)
    write(tmp_path, {"dev/nvidiactl": ""})
    assert has_accelerator(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="the folder is named by a variable only on Linux")
def test_the_cache_is_where_the_user_wants_it(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "unetscope"
    assert not cache_folder().exists()


@pytest.mark.parametrize(
    ("instructions", "limits", "computes"),
    [
        (["avx512_bf16", "avx512f"], {}, True),
        (["amx_bf16"], {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX"}, True),
        (["avx512_bf16"], {"ONEDNN_MAX_CPU_ISA": "avx512_core"}, False),
        (["avx512_bf16"], {"DNNL_MAX_CPU_ISA": "AVX2"}, False),
        (["avx512_bf16"], {"ATEN_CPU_CAPABILITY": "avx2"}, True),
        (["avx512f"], {}, False),
        ([], {}, None),
    ],
)
def test_who_computes_in_bfloat16(
    instructions: list[str], limits: dict[str, str], computes: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"instructions": instructions, "limits": limits}
    monkeypatch.setattr(machine, "describe_machine", lambda: known)
    assert machine.computes_bfloat16() is computes
