"""Memory that stays with the process from one step to the next; knows the C library, nothing of training."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # numbers of glibc's settings (malloc.h)
NEVER = -1
LARGEST = 2**30  # bytes; what is larger is still mapped and given back
USUAL_TRIM, USUAL_MMAP = 2**26, 2**25  # where glibc itself ends after large allocations


@contextmanager
def keep_memory() -> Iterator[None]:
    """Within, freed memory is used again instead of being given back to the system.

    A training step allocates and frees the same hundreds of megabytes each time. Given back in between, every page must
    be zeroed and mapped again, which takes longer than many a layer does. With other C libraries than glibc nothing
    happens.

    Example:
        >>> with keep_memory():
        ...     pass
    """
    library = _find_glibc()
    if library is None:
        yield
        return
    library.mallopt(MMAP_THRESHOLD, LARGEST)
    library.mallopt(TRIM_THRESHOLD, NEVER)
    try:
        yield
    finally:
        library.mallopt(MMAP_THRESHOLD, USUAL_MMAP)
        library.mallopt(TRIM_THRESHOLD, USUAL_TRIM)
        library.malloc_trim(0)


def _find_glibc() -> ctypes.CDLL | None:
    """The C library of this process, if it is glibc."""
    try:
        library = ctypes.CDLL(None)
        return library if hasattr(library, "gnu_get_libc_version") else None
    except (OSError, TypeError):  # Windows knows no library without a name
        return None
