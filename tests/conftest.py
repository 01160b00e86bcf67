"""What several test modules share."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)  # two test processes share two cores; torch's threads would wait for each other


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
