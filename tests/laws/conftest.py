from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from places import SMALL, Place

from unetscope.cli import main
from unetscope.data.scenes import write_dataset


@pytest.fixture(scope="session")
def good_place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Everything as it should be."""
    place = Place(tmp_path_factory.mktemp("good"))
    write_dataset(place.data, "cells", train=10, test=2, shape=(32, 32))
    assert main(["train", str(place.data), "--out", str(place.run), *SMALL]) == 0
    return place


@pytest.fixture
def place(good_place: Place, tmp_path: Path) -> Place:
    """A copy to spoil."""
    shutil.copytree(good_place.root, tmp_path / "place")
    return Place(tmp_path / "place")
