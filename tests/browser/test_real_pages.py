"""Pages that `report` makes of what commands write, driven in a browser; and those in the folder UNETSCOPE_PAGES.

UNETSCOPE_PAGES=folder pytest tests/browser/test_real_pages.py -k folder
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from driving import drive
from playwright.sync_api import Browser
from visiting import show_number, visit

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.normalization import Normalization
from unetscope.data.scenes import write_dataset
from unetscope.information.gallery import save_gallery
from unetscope.information.profiling import ProfileSettings, profile
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.reporting.page.writing import collect, write_page

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / name) for name in ("reporting/page", "reporting", "slimming")]

from page_sources import Place, make_maps, make_paper, profile_of, write_history, write_place  # noqa: E402
from profiles import make_profile  # noqa: E402

NAMED = os.environ.get("UNETSCOPE_PAGES", "")
GIVEN = sorted(Path(NAMED).glob("*.html")) if NAMED else []
GRAVE = {"serious", "critical"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """What commands write; the tests of the page's content have the same."""
    return write_place(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def measured(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run with its dataset, its profile as it was really measured, the published one and maps."""
    folder = tmp_path_factory.mktemp("measured")
    checkpoint, settings = Checkpoint.load(place.other), ProfileSettings(role="all", effort="brief", pixels=500)
    profile(checkpoint, place.dataset, settings).save(folder / "profile.json")
    save_gallery(make_maps(checkpoint.spec), folder / "profile.npz")
    make_paper(checkpoint).save(folder / "paper.json")
    sources = [place.other, folder / "profile.json", folder / "paper.json", place.sizing]
    write_page(collect(sources, place.dataset), folder / "page.html")
    return folder / "page.html"


@pytest.fixture(scope="module")
def slimmed(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a folder of `shrink`: two networks, a plan, a comparison."""
    page = tmp_path_factory.mktemp("slimmed") / "page.html"
    write_page(collect([place.search], place.dataset), page)
    return page


def make_learning(place: Place, folder: Path) -> list[Path]:
    """A run with profiles over epochs, and the one of its end."""
    checkpoint = Checkpoint.load(place.other)
    checkpoint.save(folder / "run")
    write_history(folder / "run")
    for epoch in (2, 6, 10):
        learning = replace(profile_of(checkpoint, skill=epoch / 10), provenance={"weights": f"of epoch {epoch}"})
        learning.save(folder / "run" / "profiles" / f"profile-{epoch:05d}.json")
    profile_of(checkpoint, failing=("encoder.0.conv1",)).save(folder / "end.json")
    return [folder / "run", folder / "end.json"]


def make_volumes(folder: Path) -> tuple[list[Path], Dataset]:
    """A network of volumes whose planes lie far apart, its profile and its images."""
    spec = UNetSpec.by_level((4, 8, 8), ndim=3, strides=((1, 2, 2), (2, 2, 2)))
    write_dataset(folder / "volumes", "nuclei", train=3, test=2, shape=(8, 24, 32))
    dataset = Dataset.open(folder / "volumes")
    split = dataset.split(0, 0.3, 0.2).to_json()
    checkpoint = Checkpoint(
        spec, UNet(spec).state_dict(), Normalization("image"), ("background", "nucleus"), split=split
    )
    checkpoint.save(folder / "run")
    profile_of(checkpoint).save(folder / "profile.json")
    return [folder / "run", folder / "profile.json"], dataset


def make_foreign(folder: Path) -> Path:
    """A profile of a network of MONAI, traced."""
    nets = pytest.importorskip("monai.networks.nets", exc_type=ImportError)
    from unetscope.information.tracing import describe_module

    network = nets.BasicUNet(2, 1, 2, features=(4, 4, 8, 8, 12, 4)).eval()
    wiring = describe_module(network, torch.rand(1, 1, 32, 32)).wiring
    make_profile(wiring, images=8, name="BasicUNet").save(folder / "foreign.json")
    return folder / "foreign.json"


def test_a_run_with_its_profile_and_dataset(chromium: Browser, measured: Path) -> None:
    assert drive(chromium, measured) == []


def test_a_run_with_profiles_over_epochs(chromium: Browser, place: Place, tmp_path: Path) -> None:
    write_page(collect(make_learning(place, tmp_path)), tmp_path / "page.html")
    assert drive(chromium, tmp_path / "page.html") == []


def test_before_and_after_a_search(chromium: Browser, slimmed: Path) -> None:
    assert drive(chromium, slimmed) == []


def test_volumes(chromium: Browser, tmp_path: Path) -> None:
    sources, dataset = make_volumes(tmp_path)
    write_page(collect(sources, dataset), tmp_path / "page.html")
    assert drive(chromium, tmp_path / "page.html") == []


def test_a_network_of_another_library(chromium: Browser, tmp_path: Path) -> None:
    write_page(collect([make_foreign(tmp_path)]), tmp_path / "page.html")
    assert drive(chromium, tmp_path / "page.html") == []


@pytest.mark.parametrize(("name", "width", "scheme"), (("measured", 390, "dark"), ("slimmed", 1440, "light")))
def test_axe_finds_no_serious_fault(
    chromium: Browser, name: str, width: int, scheme: str, request: pytest.FixtureRequest
) -> None:
    screen = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme, "bypass_csp": True}
    with visit(chromium, request.getfixturevalue(name), **screen) as one:
        one.page.locator("details").evaluate_all("all => all.forEach((one) => (one.open = true))")
        one.page.locator("g.layer .block").last.click()
        found = Axe().run(one.page).response["violations"]
    grave = [(fault["id"], fault["nodes"][0]["html"]) for fault in found if fault["impact"] in GRAVE]
    assert grave + one.faults == []


NUMBERS = [
    [-0.00012, 3, "0.000"],
    [-0.04, 1, "0.0"],
    [-0.0006, 3, "\u22120.001"],
    [0.0625, 3, "0.063"],
    [1234.5, 0, "1,235"],
    [20961.4, 0, "21K"],
    [-1234567.0, 0, "\u22121.23M"],
]


def test_numbers_are_short_and_zero_has_no_sign(chromium: Browser, measured: Path) -> None:
    told = [text for _, _, text in NUMBERS]
    assert [show_number(value, digits) for value, digits, _ in NUMBERS] == told
    with visit(chromium, measured) as one:
        shown = one.page.evaluate("all => all.map(([value, digits]) => unetscope.format.short(value, digits))", NUMBERS)
    assert shown == told


@pytest.mark.skipif(not GIVEN, reason="UNETSCOPE_PAGES names no folder of pages")
@pytest.mark.parametrize("page", GIVEN, ids=lambda page: page.stem)
def test_pages_of_the_folder(chromium: Browser, page: Path) -> None:
    assert drive(chromium, page) == []
