"""What several test modules share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

collect_ignore_glob = ["*conftest.py"]  # all bear one name, by which the search for doctests would mix them up

torch.set_num_threads(1)  # two test processes share two cores; torch's threads would wait for each other


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own: verdicts and compiled networks of the user are neither used nor written."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real annotated images, where there is one."""
    named = os.environ.get("UNETSCOPE_TEST_DATA", "")
    if not named:
        pytest.skip("UNETSCOPE_TEST_DATA names no folder of real images")
    folder = (Path(__file__).parent.parent / named).resolve()
    if not folder.is_dir():
        pytest.skip(f"UNETSCOPE_TEST_DATA names {folder}, which does not exist")
    return folder
