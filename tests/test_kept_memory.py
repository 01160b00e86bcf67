"""Freed memory stays with the process where glibc is told to keep it, and goes back afterwards."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from unetscope import machine as module
from unetscope.machine import keep_memory

SCRIPT = """
import resource, sys
import numpy as np
from contextlib import nullcontext
from pathlib import Path
from unetscope.machine import keep_memory

def fault(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        parts = [np.ones(2**22, np.uint8) for _ in range(12)]
        del parts
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

with keep_memory() if sys.argv[1] == "kept" else nullcontext():
    fault(2)
    faults, held = fault(10), resident()
print(faults, held, resident())
"""

glibc = pytest.mark.skipif(
    not sys.platform.startswith("linux") or module._find_glibc() is None, reason="the C library is not glibc"
)


def run(how: str) -> tuple[int, int, int]:
    """Page faults, and pages held within and afterwards."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], check=True, capture_output=True, text=True)
    faults, held, after = map(int, done.stdout.split())
    return faults, held, after


@glibc
def test_what_is_allocated_again_and_again_is_mapped_once() -> None:
    pages = 12 * 2**22 // 4096
    given_back, kept = run("plain"), run("kept")
    assert kept[0] < pages / 20  # in all ten rounds together
    assert given_back[0] > 2 * pages
    assert kept[1] - kept[2] > 0.8 * pages  # and is given back at the end


def test_memory_is_kept_until_the_outermost_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []
    library = SimpleNamespace(
        mallopt=lambda *setting: calls.append(setting), malloc_trim=lambda pad: calls.append((pad,))
    )
    monkeypatch.setattr(module, "_find_glibc", lambda: library)
    with keep_memory():
        begun = len(calls)
        with pytest.raises(ValueError, match="inner"), keep_memory():
            raise ValueError("inner")
        assert len(calls) == begun > 0
    assert calls[-1] == (0,)
    assert {name for name, _ in calls[begun:-1]} == {module.MMAP_THRESHOLD, module.TRIM_THRESHOLD}


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_find_glibc", lambda: None)
    with keep_memory():
        pass


@pytest.mark.parametrize("error", [OSError, TypeError])
def test_where_there_is_no_such_library_none_is_found(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def refuse(_: None) -> None:
        raise error

    monkeypatch.setattr(module.ctypes, "CDLL", refuse)
    assert module._find_glibc() is None
