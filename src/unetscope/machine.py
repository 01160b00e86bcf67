"""The machine at hand: its processor, its memory, and where to keep what was measured on it; knows no torch."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from math import ceil
from pathlib import Path
from typing import Any

ROOT = Path("/")
ISA = frozenset(
    (
        *("avx2", "avx_vnni", "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8"),
        *("asimd", "asimdhp", "sve", "bf16", "i8mm"),
    )
)
BFLOAT16 = frozenset(("avx512_bf16", "amx_bf16", "bf16"))  # instructions that multiply in it
# Values of ONEDNN_MAX_CPU_ISA below which torch and OpenVINO imitate bfloat16, several times slower, and do not say so.
WITHOUT_BFLOAT16 = frozenset(("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"))
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
DRIVERS = ("dev/nvidiactl", "dev/dxg", "dev/kfd", "proc/driver/nvidia/version", "Windows/System32/nvcuda.dll")
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # numbers of glibc's settings (malloc.h), for `keep_memory`
NEVER = -1
LARGEST = 2**30  # bytes; what is larger is still mapped and given back
USUAL_TRIM, USUAL_MMAP = 2**26, 2**25  # where glibc itself ends after large allocations

_keepers = 0  # blocks of `keep_memory` that this process is in; the settings are the process's too


def describe_machine() -> dict[str, Any]:
    """What the speed of this machine depends on: results measured here hold while this stays the same.

    Returns:
        Plain values: "cpu" (its model), "instructions" (those that networks are computed with, sorted; empty where the
        system does not tell), "limits" (environment variables that forbid some of them), "cores", "threads",
        "memory_bytes" (of the whole machine), "accelerator" and "system".

    Example:
        >>> sorted(describe_machine())
        ['accelerator', 'cores', 'cpu', 'instructions', 'limits', 'memory_bytes', 'system', 'threads']
    """
    import psutil

    processor = _read_processor()
    return {
        "cpu": processor.get("model name") or platform.processor() or platform.machine(),
        "instructions": sorted(ISA.intersection((processor.get("flags") or processor.get("Features") or "").split())),
        "limits": {name: os.environ[name] for name in LIMITS if os.environ.get(name)},
        "cores": count_cores(),
        "threads": count_threads(),
        "memory_bytes": int(psutil.virtual_memory().total),
        "accelerator": has_accelerator(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def computes_bfloat16() -> bool | None:
    """Whether the processor multiplies in bfloat16 and nothing forbids it; None where the system does not tell.

    Example:
        >>> computes_bfloat16() in (True, False, None)
        True
    """
    known = describe_machine()
    limits = (limit.upper() for name, limit in known["limits"].items() if name.endswith("MAX_CPU_ISA"))
    if not WITHOUT_BFLOAT16.isdisjoint(limits):
        return False
    return bool(BFLOAT16.intersection(known["instructions"])) if known["instructions"] else None


def count_cores(root: Path = ROOT) -> int:
    """Processor cores that this process may use: by its affinity, and by its control group's share of time.

    Args:
        root: Where the system's own files are.

    Example:
        >>> count_cores() >= 1
        True
    """
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shares = [ceil(share) for folder in _control_groups(root, "cpu") if (share := _read_share(folder)) is not None]
    return max(1, min([affine, *shares]))


def count_threads() -> int:
    """Threads to compute with: OMP_NUM_THREADS where it is set, as torch does, and every usable core otherwise."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(asked) if asked.isdigit() and int(asked) else count_cores()


def available_memory(root: Path = ROOT) -> int:
    """Bytes that can be taken now without swapping: what the system has left, and what the control group leaves.

    Args:
        root: Where the system's own files are.

    Example:
        >>> available_memory() > 0
        True
    """
    import psutil

    rooms = [room for folder in _control_groups(root, "memory") if (room := _read_room(folder)) is not None]
    return max(0, min([int(psutil.virtual_memory().available), *rooms]))


def find_version(library: str) -> str | None:
    """The installed version of a library, None where it is not installed; the library is not imported.

    Example:
        >>> find_version("no-such-library") is None
        True
    """
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def cache_folder() -> Path:
    """The user's folder for what can be measured or made again; it need not exist.

    Example:
        >>> cache_folder().name
        'unetscope'
    """
    from platformdirs import user_cache_path

    return user_cache_path("unetscope", appauthor=False)


@contextmanager
def keep_memory() -> Iterator[None]:
    """Within, freed memory is used again instead of being given back to the system.

    A step of training, and a layer of a profile, allocates and frees the same hundreds of megabytes each time. Given
    back in between, every page must be zeroed and mapped again, which takes longer than many a layer does. With other C
    libraries than glibc nothing happens. Blocks may be nested: memory is given back at the end of the outermost.

    Example:
        >>> with keep_memory():
        ...     pass
    """
    global _keepers
    library = _find_glibc()
    if library is not None and not _keepers:
        library.mallopt(MMAP_THRESHOLD, LARGEST)
        library.mallopt(TRIM_THRESHOLD, NEVER)
    _keepers += 1
    try:
        yield
    finally:
        _keepers -= 1
        if library is not None and not _keepers:
            library.mallopt(MMAP_THRESHOLD, USUAL_MMAP)
            library.mallopt(TRIM_THRESHOLD, USUAL_TRIM)
            library.malloc_trim(0)


def has_accelerator(root: Path = ROOT) -> bool:
    """Whether the driver of a graphics card is loaded on which torch might compute; asks the file system, not torch.

    Args:
        root: Where the system's own files are.
    """
    return any((root / name).exists() for name in DRIVERS)


def _find_glibc() -> ctypes.CDLL | None:
    """The C library of this process, if it is glibc."""
    try:
        library = ctypes.CDLL(None)
        return library if hasattr(library, "gnu_get_libc_version") else None
    except (OSError, TypeError):  # Windows knows no library without a name
        return None


def _read_processor(root: Path = ROOT) -> dict[str, str]:
    """The entries of the first processor in /proc/cpuinfo; none on other systems."""
    with suppress(OSError, ValueError):
        first = (root / "proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
        pairs = (line.partition(":") for line in first.splitlines())
        return {key.strip(): value.strip() for key, _, value in pairs}
    return {}


def _control_groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups, innermost first, that limit this process (Linux, versions 1 and 2)."""
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, place = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            mount = root / "sys/fs/cgroup" / (controller if controllers else "")
            inner = mount / place.lstrip("/")
            # In a container the outer path does not exist; what limits it then lies at the mount itself.
            yield from (folder for folder in (inner, *inner.parents) if folder == mount or mount in folder.parents)


def _read_room(folder: Path) -> int | None:
    """Bytes that a control group may still take; files it has read count as free, since they can be dropped."""
    for limit, usage, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        with suppress(OSError, ValueError):  # "max" is no number: no limit
            most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
            return most - used + _read_statistic(folder / "memory.stat", cached)
    return None


def _read_statistic(path: Path, name: str) -> int:
    with suppress(OSError, ValueError):
        return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.split()[0] == name)
    return 0


def _read_share(folder: Path) -> float | None:
    """Cores' worth of time that a control group may use."""
    with suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)
    with suppress(OSError, ValueError):
        quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else None
    return None
