"""Computations that are not divided among threads; knows the settings of the libraries, not what is computed.

Readers are fitted by many small products. Divided among two threads, they take several times as long wherever another
program runs, since the threads wait for each other; and the last digits depend on how many threads there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def in_one_thread() -> Iterator[None]:
    """Within, no library divides a computation among threads: neither torch nor the BLAS of NumPy and SciPy.

    That holds for the whole process, and for the libraries that are loaded already. Blocks may be nested.

    Example:
        >>> with in_one_thread():
        ...     torch.get_num_threads()
        1
    """
    before = torch.get_num_threads()
    with threadpool_limits(limits=1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
