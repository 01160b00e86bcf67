"""The page about the U-Net: its figures are drawn by its script, its tables and examples are what the code computes."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "unet.md"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The script, imported as it is when it runs: beside its modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "examples")
        import unet_figures

        yield unet_figures


@pytest.fixture(scope="module")
def drawn(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "figures"
    script.main(["--out", str(folder), "--tables", str(folder / "tables.md")])
    return folder


def test_the_script_draws_every_figure_of_the_page_and_no_other(drawn: Path, script: ModuleType) -> None:
    linked = set(re.findall(r"\]\(figures/([\w-]+)\.svg\)", PAGE.read_text()))
    assert {path.stem for path in drawn.glob("*.svg")} == set(script.FIGURES) == linked
    assert {path.stem for path in (PAGE.parent / "figures").glob("*.svg")} == linked


@pytest.mark.parametrize("where", ["drawn", "stored"])
def test_figures_are_whole_small_and_say_something(drawn: Path, where: str) -> None:
    for path in (drawn if where == "drawn" else PAGE.parent / "figures").glob("*.svg"):
        assert path.stat().st_size < 150_000, path.name
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
        assert "mathdefault" not in path.read_text(), f"{path.name} shows the source of a formula"


def test_the_tables_of_the_page_are_those_that_the_code_makes(drawn: Path) -> None:
    page = PAGE.read_text()
    tables = (drawn / "tables.md").read_text().strip().split("\n\n")
    assert len(tables) == 2
    assert all(table in page for table in tables)


def test_the_examples_of_the_page_run() -> None:
    found = doctest.testfile(
        str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    )
    assert found.attempted > 15
    assert not found.failed


def test_every_picture_of_the_page_has_words_for_those_who_do_not_see_it() -> None:
    assert all(len(words) > 30 for words in re.findall(r"!\[(.*?)\]\(", PAGE.read_text()))


def test_one_operation_has_three_names(script: ModuleType) -> None:
    assert all(difference < 1e-13 for difference in script.unet_upsampling.compare_names().values())


def test_tiles_off_the_grid_differ_and_tiles_on_it_do_not(script: ModuleType) -> None:
    off, on = (script.unet_tiles.measure_steps(step) for step in (388, 384))
    assert on.max() < 1e-12
    assert off[:388, :388].max() < 1e-12, "the first tile is on the grid of the whole image"
    assert np.median(off[388:, 388:]) > 1e-3


def test_the_layers_that_lose_pixels_lose_the_margin(script: ModuleType) -> None:
    lost = dict(script.unet_tiles.lost_by_layer())
    assert sum(lost.values()) == 92
    assert len(lost) == 18


def test_zeros_are_spread_between_pixels(script: ModuleType) -> None:
    x = torch.arange(1.0, 7.0).reshape(1, 1, 2, 3)
    spread = script.unet_upsampling.spread(x)
    assert spread.shape == (1, 1, 4, 6)
    assert torch.equal(spread[..., ::2, ::2], x)
    assert spread.count_nonzero() == x.count_nonzero()


def test_a_gradient_acts_on_for_as_long_as_the_momentum_says(script: ModuleType) -> None:
    once = np.zeros(50)
    once[0] = 1
    for momentum in (0.9, 0.99):
        moves = script.unet_learning.trace_step(momentum, once)
        np.testing.assert_allclose(moves, momentum ** np.arange(50), atol=1e-3)
