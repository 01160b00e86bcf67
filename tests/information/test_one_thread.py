"""Within the block nothing is divided among threads; afterwards everything is as it was."""

from __future__ import annotations

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from unetscope.information.one_thread import in_one_thread


@pytest.fixture
def two_threads():
    """Every library is told to use two threads, and told what it was told before afterwards."""
    before = torch.get_num_threads()
    with threadpool_limits(limits=2):
        torch.set_num_threads(2)
        yield
        torch.set_num_threads(before)


def count():
    """Threads of torch, and of everything that computes products for NumPy and SciPy."""
    return {torch.get_num_threads(), *(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")}


@pytest.mark.usefixtures("two_threads")
def test_threads_are_limited_within_and_come_back():
    assert count() == {2}
    with in_one_thread():
        assert count() == {1}
        with in_one_thread():
            pass
        assert count() == {1}
    with pytest.raises(ValueError, match="within"), in_one_thread():
        raise ValueError("within")
    assert count() == {2}


def test_there_is_something_to_limit():
    assert any(each["user_api"] == "blas" for each in threadpool_info())
