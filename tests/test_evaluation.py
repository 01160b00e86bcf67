"""Which images play a part for a network, and scores that a loop by hand gives too."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.images import write_image, write_labels
from unetscope.data.normalization import Normalization
from unetscope.data.scenes import write_dataset
from unetscope.errors import DataError
from unetscope.evaluation import Part, check_fit, evaluate, fingerprint, select
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.scores.overlap import Scores, score_image
from unetscope.segmentation import Tiling, segment


def make_checkpoint(spec: UNetSpec, classes: tuple[str, ...], seen: dict[str, list[str]] | None = None) -> Checkpoint:
    """A network that was never trained, but has seen images."""
    torch.manual_seed(0)
    provenance = {} if seen is None else {"seen": seen}
    return Checkpoint(spec, UNet(spec).state_dict(), Normalization("image"), classes, provenance=provenance)


def write_folder(folder: Path, names: str) -> Dataset:
    """Images without parts, of content that follows from their names."""
    for name in names:
        rng = np.random.default_rng(ord(name))
        write_image(folder / "images" / f"{name}.png", rng.integers(0, 255, (16, 16), np.uint8))
        write_labels(folder / "labels" / f"{name}.png", (rng.random((16, 16)) < 0.5).astype(np.uint8))
    return Dataset.open(folder)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return write_folder(tmp_path / "plain", "abcdef")


SPEC = UNetSpec.by_level((4, 8))
CLASSES = ("background", "foreground")


@pytest.fixture
def checkpoint(dataset: Dataset) -> Checkpoint:
    """It was trained on a and b, and c chose its best epoch."""
    return make_checkpoint(
        SPEC, CLASSES, {"train": fingerprint(dataset, ["a", "b"]), "validation": fingerprint(dataset, ["c"])}
    )


def names_of(checkpoint: Checkpoint, dataset: Dataset, part: Part) -> str:
    return "".join(item.name.rpartition("/")[2] for item in select(checkpoint, dataset, part))


def test_every_part_has_its_images(checkpoint: Checkpoint, dataset: Dataset) -> None:
    assert names_of(checkpoint, dataset, "test") == "def"
    assert names_of(checkpoint, dataset, "validation") == "c"
    assert names_of(checkpoint, dataset, "all") == "abcdef"


def test_images_seen_in_training_are_known_under_any_name(
    checkpoint: Checkpoint, dataset: Dataset, tmp_path: Path
) -> None:
    for old, new in (("a", "x"), ("c", "y"), ("d", "z"), ("e", "a")):
        for kind in ("images", "labels"):
            (tmp_path / "renamed" / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(dataset.root / kind / f"{old}.png", tmp_path / "renamed" / kind / f"{new}.png")
    renamed = Dataset.open(tmp_path / "renamed")
    assert names_of(checkpoint, renamed, "test") == "az"
    assert names_of(checkpoint, renamed, "validation") == "y"


@pytest.mark.parametrize("by", ["folder", "list"])
def test_a_test_part_is_respected(checkpoint: Checkpoint, dataset: Dataset, tmp_path: Path, by: str) -> None:
    """Of its test part, but never what was seen."""
    if by == "list":
        (dataset.root / "test.txt").write_text("a\nc\nf\n")
        (dataset.root / "train.txt").write_text("b\nd\ne\n")
        divided = Dataset.open(dataset.root)
    else:
        for part, names in (("train", "bde"), ("test", "acf")):
            for kind in ("images", "labels"):
                (tmp_path / "parts" / part / kind).mkdir(parents=True)
                for name in names:
                    shutil.copy(dataset.root / kind / f"{name}.png", tmp_path / "parts" / part / kind)
        divided = Dataset.open(tmp_path / "parts")
    assert names_of(checkpoint, divided, "test") == "f"
    assert names_of(checkpoint, divided, "validation") == "c"


def test_a_network_of_unknown_origin_has_seen_nothing(dataset: Dataset) -> None:
    assert names_of(make_checkpoint(SPEC, CLASSES), dataset, "test") == "abcdef"


@pytest.mark.parametrize(
    ("part", "names", "advice"),
    [
        ("test", "abc", "give a dataset of other annotated images, or say --part validation"),
        ("validation", "abdef", "give the dataset that the network was trained on"),
    ],
)
def test_an_empty_part_says_what_to_do(
    checkpoint: Checkpoint, dataset: Dataset, part: Part, names: str, advice: str
) -> None:
    fewer = dataset.subset(names)
    with pytest.raises(DataError) as caught:
        evaluate(checkpoint, fewer, part)
    assert str(caught.value).startswith(f"{dataset.root} has no {part} images for this network among its {len(names)}")
    assert advice in str(caught.value)


def test_other_axes_and_classes_are_refused(dataset: Dataset) -> None:
    check_fit(make_checkpoint(SPEC, ("no", "yes")), dataset)
    volumes = make_checkpoint(UNetSpec.by_level((2, 2), ndim=3), CLASSES)
    with pytest.raises(DataError, match="holds 2D images; this network segments 3D ones"):
        evaluate(volumes, dataset)
    three = make_checkpoint(UNetSpec.by_level((2, 2), classes=3), ("sea", "land", "ice"))
    with pytest.raises(DataError, match=r"has the classes background, foreground; .* trained for sea, land, ice"):
        evaluate(three, dataset)
    colors = make_checkpoint(UNetSpec.by_level((2, 2), image_channels=3), CLASSES)
    with pytest.raises(DataError, match=r"a\.png has 1 channels; this network reads 3"):
        evaluate(colors, dataset)


@pytest.mark.parametrize("scene", ["cells", "aerial"])
def test_scores_are_those_of_a_loop_by_hand(tmp_path: Path, scene: str) -> None:
    write_dataset(tmp_path, scene, train=2, test=3, shape=(32, 40))
    dataset = Dataset.open(tmp_path)
    spec = UNetSpec.by_level((4, 8), image_channels=dataset.channels, classes=len(dataset.classes), norm="batch")
    checkpoint = make_checkpoint(spec, dataset.classes)
    told = list[tuple[int, int]]()
    scores = evaluate(checkpoint, dataset, on_image=lambda *both: told.append(both))
    by_hand = []
    for item in dataset.items:
        if item.part == "test":
            image, truth = dataset.read(item)
            by_hand.append(score_image(truth, segment(checkpoint, image), dataset.classes, name=item.name))
    assert scores == Scores(tuple(by_hand))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert evaluate(checkpoint, dataset, tiling=Tiling(tile=8, precision="float64")) == evaluate(
        checkpoint, dataset, tiling=Tiling(whole=True, precision="float64")
    )


def test_class_names_are_the_networks(dataset: Dataset, checkpoint: Checkpoint) -> None:
    renamed = replace(checkpoint, classes=("sea", "land"))
    assert [each.name for each in evaluate(renamed, dataset).classes] == ["land"]
