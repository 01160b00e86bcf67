"""An inspection counts what is there, names every fault that was put into a dataset, and none that was not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from unetscope.data.dataset import Dataset, Split
from unetscope.data.images import write_image, write_labels
from unetscope.data.inspection import Inspection, inspect
from unetscope.data.scenes import write_dataset
from unetscope.data.spacing import Spacing
from unetscope.errors import DataError

Pairs = dict[str, tuple[np.ndarray, np.ndarray]]


def write_pair(folder: Path, name: str, image: np.ndarray, labels: np.ndarray) -> None:
    write_image(folder / "images" / f"{name}.tif", image)
    write_labels(folder / "labels" / f"{name}.tif", labels)


def cell_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An image of smooth regions with some noise, and their labels."""
    rng = np.random.default_rng(seed)
    labels = ndimage.gaussian_filter(rng.standard_normal((48, 48)), 3, mode="wrap") > 0
    return (60 * labels + rng.integers(0, 60, labels.shape)).astype(np.uint8), labels.astype(np.uint8)


def write_cells(folder: Path, change: Callable[[Pairs], None] = lambda pairs: None, tests: int = 2) -> Dataset:
    """Eight images that are right, and whatever is changed in them; the last are for testing."""
    pairs = {f"cell{seed}": cell_pair(seed) for seed in range(8)}
    change(pairs)
    for name, (image, labels) in pairs.items():
        write_pair(folder, name, image, labels)
    (folder / "dataset.toml").write_text('kind = "mask"\nvalues = [0, 1]\nclasses = ["background", "cell"]\n')
    (folder / "test.txt").write_text("\n".join([*pairs][8 - tests : 8]))
    return Dataset.open(folder)


@pytest.fixture
def mixed(tmp_path: Path) -> Dataset:
    """Three images of two sizes and types, three classes, and some pixels to ignore."""
    (tmp_path / "dataset.toml").write_text('classes = ["sea", "land", "ice"]\nvalues = [0, 1, 2]\nignore = 9\n')
    quarters = np.zeros((8, 8), np.uint8)
    quarters[:4, :4], quarters[:4, 4:], quarters[4:, :4] = 1, 2, 9
    write_pair(tmp_path, "a", np.arange(64, dtype=np.uint8).reshape(8, 8), quarters)
    write_pair(tmp_path, "b", np.arange(64, dtype=np.uint16).reshape(8, 8), np.minimum(quarters, 1))
    write_pair(tmp_path, "c", np.arange(72, dtype=np.uint8).reshape(6, 12), np.zeros((6, 12), np.uint8))
    return Dataset.open(tmp_path)


# --------------------------------------------------------------------------------------------------- what is there


def test_everything_is_counted(mixed: Dataset) -> None:
    told = list[tuple[int, int]]()
    found = inspect(mixed, lambda *both: told.append(both))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert (found.images, found.ndim, found.channels) == (3, 2, 1)
    assert (found.smallest, found.largest) == ((6, 8), (8, 12))
    assert found.types == {"uint8": 2, "uint16": 1}
    assert found.parts == {"undivided": 3}
    counts = {"sea": 16 + 16 + 72, "land": 16 + 48, "ice": 16}
    total = sum(counts.values())
    assert found.shares == pytest.approx({name: count / total for name, count in counts.items()})
    assert found.without == {"sea": 0, "land": 1, "ice": 2}
    assert found.empty == ("c",)
    assert found.objects is None
    assert found.roles == {}, "training cuts up to 5 images into blocks"
    assert found.normalization == "each image"


def test_it_is_told_in_words_and_as_plain_values(mixed: Dataset) -> None:
    found = inspect(mixed)
    text = "\n".join(found.lines())
    assert "3 annotated 2D images, 6x8 to 8x12 pixels, 1 channel" in text
    assert "2 of type uint8, 1 of type uint16" in text
    assert "missing: land in 1, ice in 2 images" in text
    assert "training cuts these few images into blocks" in text
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert plain["without"] == found.without
    assert [each["sentence"] for each in plain["warnings"]] == [problem.sentence for problem in found.warnings]


@pytest.mark.parametrize(("scene", "shape"), [("cells", (64, 80)), ("aerial", (64, 64)), ("nuclei", (10, 32, 32))])
def test_simulated_datasets_have_no_errors(tmp_path: Path, scene: str, shape: tuple[int, ...]) -> None:
    write_dataset(tmp_path, scene, train=6, test=2, shape=shape)
    dataset = Dataset.open(tmp_path)
    found = inspect(dataset)
    assert found.parts == {"train": 6, "test": 2}
    assert list(found.roles.values()) == [5, 1, 2]
    assert found.smallest == found.largest == shape
    assert sum(found.shares.values()) == pytest.approx(1)
    assert tuple(found.shares) == dataset.classes
    assert f"{len(shape)}D images, {'x'.join(map(str, shape))} pixels" in found.lines()[0]
    assert found.shared > 0
    assert found.errors == ()
    found.check_trainable()


def test_roles_are_those_of_the_split(tmp_path: Path) -> None:
    dataset = write_cells(tmp_path)
    split = dataset.split()
    found = inspect(dataset)
    assert list(found.roles.values()) == [len(split.train), len(split.validation), len(split.test)]
    assert "2 test" in "\n".join(found.lines())


def test_objects_are_counted_where_labels_number_them(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text('kind = "instances"\n')
    for name, count in (("a", 3), ("b", 1)):
        labels = np.zeros((20, 40), np.uint8)
        labels[4:10, 2 : 2 + 8 * count] = np.arange(1, count + 1).repeat(8)
        write_pair(tmp_path, name, np.random.default_rng(count).integers(0, 99, (20, 40), np.uint8), labels)
    dataset = Dataset.open(tmp_path)
    for each in (dataset, dataset.as_objects()):
        found = inspect(each)
        assert found.objects == (1, 3, 4)
        assert "objects: 1 to 3 an image, 4 in all" in found.lines()


def test_sizes_of_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = write_cells(tmp_path)
    sizes = {"cell0": Spacing((0.5, 0.5), "µm"), "cell1": Spacing((0.5, 2.0), "µm")}
    monkeypatch.setattr(Dataset, "read_spacing", lambda self, item: sizes.get(item.name))
    found = inspect(dataset)
    assert found.spacing == {"µm": ((0.5, 0.5), (0.5, 2.0))}
    assert found.unspaced == 6
    assert "pixel size: 0.5 x 0.5-2 µm; 6 images do not say it" in found.lines()
    assert re.search(r"the size of pixels is not said by 6 of .* images of .* \(cell2, cell3,", all_warnings(found))
    assert re.search(
        r"pixels of .*cell1\.tif are 2 µm long along x, and those of .*cell0\.tif 0\.5", all_warnings(found)
    )


def test_comparable_images_are_normalized_together_by_those_that_train(tmp_path: Path) -> None:
    """A strange test image does not count."""
    write_dataset(tmp_path, "cells", train=4, test=1, shape=(32, 32))
    assert inspect(Dataset.open(tmp_path)).normalization == "the training images together"
    (test,) = (tmp_path / "test" / "images").iterdir()
    write_image(test, np.tile(np.arange(32, dtype=np.uint16) * 2000, (32, 1)))
    found = inspect(Dataset.open(tmp_path))
    assert found.types == {"uint8": 4, "uint16": 1}
    assert found.normalization == "the training images together"
    assert "1 of type uint16" in all_warnings(found)


# --------------------------------------------------------------------------------------------------- what is wrong


def all_errors(found: Inspection) -> str:
    return "\n".join(problem.sentence for problem in found.errors)


def all_warnings(found: Inspection) -> str:
    return "\n".join(problem.sentence for problem in found.warnings)


def test_right_images_have_no_problems(tmp_path: Path) -> None:
    found = inspect(write_cells(tmp_path))
    assert (found.errors, found.warnings, found.near_duplicates) == ((), (), ())


def moved(pairs: Pairs) -> None:
    pairs.update({name: (image, np.roll(labels, 4, 1)) for name, (image, labels) in pairs.items()})


def mirrored(pairs: Pairs) -> None:
    pairs.update({name: (image, labels[::-1]) for name, (image, labels) in pairs.items()})


def transposed(pairs: Pairs) -> None:
    pairs.update({name: (image, labels.T) for name, (image, labels) in pairs.items()})


def exchanged(pairs: Pairs) -> None:
    (one, first), (other, second) = pairs["cell1"], pairs["cell4"]
    pairs |= {"cell1": (one, second), "cell4": (other, first)}


def shown_twice(pairs: Pairs) -> None:
    pairs["cell7"] = pairs["cell2"]


def contradicting(pairs: Pairs) -> None:
    image, labels = pairs["cell2"]
    pairs["cell3"] = (image, np.where(np.arange(48) < 20, labels, 0).astype(np.uint8))


def one_for_all(pairs: Pairs) -> None:
    pairs.update({name: (image, pairs["cell0"][1]) for name, (image, _) in pairs.items()})


def all_empty(pairs: Pairs) -> None:
    pairs.update({name: (image, labels * 0) for name, (image, labels) in pairs.items()})


def of_other_size(pairs: Pairs) -> None:
    pairs["cell5"] = (pairs["cell5"][0], pairs["cell5"][1][:, :40])


def not_finite(pairs: Pairs) -> None:
    image = pairs["cell5"][0].astype(np.float32)
    image[3, 4] = np.nan
    pairs["cell5"] = (image, pairs["cell5"][1])


def undeclared(pairs: Pairs) -> None:
    pairs["cell5"] = (pairs["cell5"][0], pairs["cell5"][1] * 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (moved, r"label images fit .* better moved by -4 pixels along x: .* judged by 8 of 8"),
        (mirrored, r"label images fit .* better mirrored along y"),
        (transposed, r"label images fit .* better with y and x exchanged"),
        (exchanged, r"labels/cell1\.tif does not fit .*images/cell1\.tif, and .*labels/cell4\.tif does; exchange"),
        (shown_twice, r"cell7\.tif is for testing and is the same image as .*cell2\.tif, which is for"),
        (contradicting, r"cell2\.tif and .*cell3\.tif are the same image, and .* label it differently"),
        (one_for_all, r"all 8 label images of .* are the same as .*cell0\.tif, and the images differ"),
        (all_empty, r"the 8 label images of .* hold only background, and at least two classes are needed"),
        (of_other_size, r"cell5\.tif has 48 x 48 pixels and .*cell5\.tif has 48 x 40"),
        (not_finite, r"cell5\.tif holds NaN"),
        (undeclared, r"cell5\.tif holds the value 3"),
    ],
)
def test_what_would_train_wrongly_is_an_error(tmp_path: Path, change: Callable[[Pairs], None], message: str) -> None:
    found = inspect(write_cells(tmp_path, change))
    assert re.search(message, all_errors(found))
    with pytest.raises(DataError, match=r"."):
        found.check_trainable()
    assert all(str(problem.file) in problem.sentence for problem in found.errors)


def empty_one(pairs: Pairs) -> None:
    pairs["cell5"] = (pairs["cell5"][0], pairs["cell5"][1] * 0)


def mirrored_one(pairs: Pairs) -> None:
    pairs["cell5"] = (pairs["cell5"][0], pairs["cell5"][1][:, ::-1])


def unrelated_one(pairs: Pairs) -> None:
    pairs["cell5"] = (pairs["cell5"][0], cell_pair(99)[1])


def copied(pairs: Pairs) -> None:
    pairs["cell3"] = pairs["cell2"]


def relabelled(pairs: Pairs) -> None:
    pairs["cell3"] = (pairs["cell3"][0], pairs["cell2"][1])


def nearly_the_same(pairs: Pairs) -> None:
    image, labels = pairs["cell2"]
    pairs["cell7"] = (np.roll(image, 1, 0) // 2 + 9, np.roll(labels, 1, 0))


def without_contrast(pairs: Pairs) -> None:
    pairs["cell5"] = (np.full((48, 48), 7, np.uint8), pairs["cell5"][1])


def clipped(pairs: Pairs) -> None:
    image, labels = pairs["cell5"]
    pairs["cell5"] = (np.where(image > 40, 255, image).astype(np.uint8), labels)


def of_another_type(pairs: Pairs) -> None:
    pairs["cell5"] = (pairs["cell5"][0].astype(np.uint16) * 200, pairs["cell5"][1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (empty_one, r"1 of 8 label images of .*: background alone \(cell5\)"),
        (mirrored_one, r"cell5\.tif fits .*cell5\.tif better mirrored along x"),
        (unrelated_one, r"labels/cell5\.tif fits .*images/cell5\.tif no better than by chance"),
        (copied, r"cell2\.tif, .*cell3\.tif are the same image with the same labels, which then counts 2 times"),
        (relabelled, r"cell3\.tif holds the same labels as .*cell2\.tif .*, and their images differ"),
        (nearly_the_same, r"cell7\.tif \(for testing\) and .*cell2\.tif \(for \w+\) are nearly the same image"),
        (without_contrast, r"cell5\.tif has the same value 7 everywhere"),
        (clipped, r"\d\d % of the pixels of .*cell5\.tif have the largest value 255"),
        (of_another_type, r"not of one type: 7 of type uint8, 1 of type uint16 \(cell5\)"),
    ],
)
def test_what_is_worth_a_look_is_a_warning(tmp_path: Path, change: Callable[[Pairs], None], message: str) -> None:
    found = inspect(write_cells(tmp_path, change))
    assert re.search(message, all_warnings(found))
    assert found.errors == ()
    found.check_trainable()


def test_classes_that_are_rare_or_never_trained_are_named(tmp_path: Path) -> None:
    def change(pairs: Pairs) -> None:
        for name in ("cell0", "cell7"):
            image, labels = pairs[name][0], pairs[name][1].copy()
            labels[0, :3] = 2 if name == "cell0" else 3
            pairs[name] = (image, labels)

    write_cells(tmp_path, change)
    (tmp_path / "dataset.toml").write_text('classes = ["background", "cell", "rare", "tested", "never"]\n')
    roles = Split(tuple(f"cell{seed}" for seed in range(6)), ("cell6",), ("cell7",))
    warnings = all_warnings(inspect(Dataset.open(tmp_path).with_roles(roles)))
    assert re.search(r"'rare' of .* covers 0\.016 % of the labelled pixels, in 1 of 8 images", warnings)
    assert re.search(r"'tested' of .* occurs in no image that trains", warnings)
    assert re.search(r"'never' of .* occurs in no label image", warnings)


def test_every_image_that_cannot_be_read_is_named_and_the_others_are_counted(tmp_path: Path) -> None:
    def change(pairs: Pairs) -> None:
        not_finite(pairs)
        pairs["cell6"] = (pairs["cell6"][0], pairs["cell6"][1][:10])

    dataset = write_cells(tmp_path, change)
    (tmp_path / "images" / "cell1.tif").write_bytes(b"no image")
    found = inspect(dataset)
    assert found.images == 5
    assert {problem.file.stem for problem in found.errors} == {"cell1", "cell5", "cell6"}
    with pytest.raises(DataError, match=r"cell1\.tif.*\(2 more errors: see `unetscope check`\)"):
        found.check_trainable()


def test_a_dataset_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    dataset = write_cells(tmp_path)
    for path in (tmp_path / "images").iterdir():
        path.write_bytes(b"no image")
    found = inspect(dataset)
    assert (found.images, len(found.errors)) == (0, 8)
    assert found.lines()
    json.dumps(found.to_json(), allow_nan=False)


def test_one_image_is_no_error_because_training_cuts_it(tmp_path: Path) -> None:
    write_pair(tmp_path, "a", *cell_pair(0))
    found = inspect(Dataset.open(tmp_path))
    assert (found.errors, found.roles) == ((), {})


def test_many_images_in_one_group_cannot_be_divided(tmp_path: Path) -> None:
    write_cells(tmp_path)
    (tmp_path / "test.txt").unlink()
    groups = "\n".join(f'cell{seed} = "patient 1"' for seed in range(8))
    (tmp_path / "dataset.toml").write_text(f"[groups]\n{groups}\n")
    assert "1 group" in all_errors(inspect(Dataset.open(tmp_path)))


def test_parts_of_one_image_are_no_duplicates(tmp_path: Path) -> None:
    image = np.tile(cell_pair(0)[0], (4, 1))
    write_pair(tmp_path, "a", image, np.tile(cell_pair(0)[1], (4, 1)))
    found = inspect(Dataset.open(tmp_path).in_blocks((2, 2)))
    assert found.near_duplicates == ()
    assert list(found.roles.values()) == [1, 1, 1]


@pytest.mark.parametrize("name", ["isbi2012", "hippocampus"])
def test_real_datasets_have_no_errors(shared_data: Path, name: str) -> None:
    dataset = Dataset.open(shared_data / name)
    found = inspect(dataset.subset(dataset.names[:: max(1, len(dataset.names) // 12)]))
    assert found.errors == ()
    assert found.near_duplicates == ()
