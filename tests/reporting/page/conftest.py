"""Sources of pages, small and quick: what commands would have written, of networks that were never trained."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
sys.path[:0] = [str(TESTS / name) for name in ("reporting", "slimming")]  # believable profiles, simulated searches


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory):
    """One of everything; tests only read it."""
    from page_sources import write_place

    return write_place(tmp_path_factory.mktemp("sources"))
