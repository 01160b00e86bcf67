"""A page that is served while a module's tests run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from live_page import Page, make_network, serving

from unetscope.model.spec import UNetSpec
from unetscope.serving.images import Limits
from unetscope.serving.session import Session


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page with an original and a slimmed network, and little room."""
    networks = [make_network(title="original"), make_network(UNetSpec.by_level((2, 4)), title="slimmed")]
    with serving(Session(networks, Limits(megapixels=0.02, megabytes=0.1))) as opened:
        yield opened


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder
