from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from folders import folder_of
from hypothesis import given, settings
from hypothesis import strategies as st

from unetscope.data.blocks import SMALLEST, cut_blocks, share_pixels
from unetscope.data.dataset import Dataset, Item
from unetscope.data.images import write_image, write_labels
from unetscope.errors import DataError

PARTS = ("train", "validation", "test")
SHAPES = st.lists(st.integers(1, 400), min_size=2, max_size=3)
CHOSEN = st.sampled_from([PARTS, ("train", "validation"), ("train", "test")])


def mark(shape: list[int], box: tuple[tuple[int, int], ...]) -> np.ndarray:
    """True in the box; empty slices and stops beyond the image would show here."""
    marked = np.zeros(shape, bool)
    marked[tuple(slice(start, stop) for start, stop in box)] = True
    assert marked.sum() == np.prod([stop - start for start, stop in box])
    return marked


@settings(deadline=None, max_examples=150)
@given(SHAPES, st.integers(0, 150), CHOSEN)
def test_blocks_leave_out_the_gaps_and_nothing_else(shape: list[int], gap: int, parts: tuple[str, ...]) -> None:
    axis, least = int(np.argmax(shape)), SMALLEST * sum(3 if part == "train" else 1 for part in parts)
    needed = least + (len(parts) - 1) * gap
    if max(shape) < needed:
        with pytest.raises(DataError, match=f"at least {needed} along one axis"):
            cut_blocks(shape, (gap,) * len(shape), "a.png", parts)
        return
    boxes = cut_blocks(shape, (gap,) * len(shape), "a.png", parts)
    assert tuple(boxes) == parts
    for box in boxes.values():
        assert all(
            side == (0, length) for other, (side, length) in enumerate(zip(box, shape, strict=True)) if other != axis
        )
    places = [set(range(*box[axis])) for box in boxes.values()]
    assert all(len(place) >= SMALLEST for place in places)
    assert len(set().union(*places)) == sum(map(len, places)) == shape[axis] - (len(parts) - 1) * gap
    assert 0 in places[0] and shape[axis] - 1 in places[-1]
    for one, other in pairwise(places):
        assert min(other) - max(one) == gap + 1


def test_shares_are_60_20_20_of_what_is_left() -> None:
    boxes = cut_blocks((512, 512), (6, 6), "a.png")
    assert boxes == {
        "train": ((0, 300), (0, 512)),
        "validation": ((306, 406), (0, 512)),
        "test": ((412, 512), (0, 512)),
    }
    assert cut_blocks((5, 9, 100), (1, 2, 10), "a.tif")["validation"] == ((0, 5), (0, 9), (58, 74))


@pytest.mark.parametrize(("gap", "fix"), [(40, "a network with a margin of at most 30"), (60, "give a larger image$")])
def test_small_images_are_refused_with_what_would_work(gap: int, fix: str) -> None:
    shape = (100, 90) if gap == 40 else (40, 30)
    with pytest.raises(DataError, match=rf"^a\.png has {shape[0]} x .* two gaps of {gap} pixels .* {fix}"):
        cut_blocks(shape, (gap, gap), "a.png")
    if gap == 40:
        assert cut_blocks(shape, (30, 30), "a.png")


def numbered(root: Path, ndim: int, suffix: str, count: int = 1) -> Path:
    """Images in which every pixel has another value, with labels of two classes."""
    shape = (9, 60, 50) if ndim == 3 else (60, 50)
    for index in range(count):
        image = np.arange(np.prod(shape), dtype=np.uint32).reshape(1, *shape) + index
        labels = (image[0] % 7 == 0).astype(np.uint8)
        image = image if suffix == ".npy" else image.astype(np.uint16)
        write_image(root / "images" / f"c{index}{suffix}", image)
        write_labels(root / "labels" / f"c{index}{suffix}", labels)
    return root


@pytest.mark.parametrize(("ndim", "suffix"), [(2, ".png"), (2, ".tif"), (2, ".npy"), (3, ".tif"), (3, ".npy")])
def test_reading_a_block_is_cropping_the_whole(tmp_path: Path, ndim: int, suffix: str) -> None:
    dataset = Dataset.open(numbered(tmp_path, ndim, suffix, count=2))
    blocks = dataset.in_blocks((3,) * ndim)
    assert blocks.names == tuple(f"c{index}#{part}" for index in range(2) for part in PARTS)
    for item in blocks.items:
        whole_image, whole_labels = dataset.read(dataset.item(item.name.split("#")[0]))
        image, labels = blocks.read(item)
        place = tuple(slice(*side) for side in item.box)
        np.testing.assert_array_equal(image, whole_image[(slice(None), *place)])
        np.testing.assert_array_equal(labels, whole_labels[place])
        np.testing.assert_array_equal(blocks.read_instances(item) > 0, labels > 0)
    seen = [set(blocks.read_image(item).ravel().tolist()) for item in blocks.items[:3]]
    assert not seen[0] & seen[1] and not seen[1] & seen[2] and not seen[0] & seen[2]


def test_blocks_have_roles_whatever_the_seed(tmp_path: Path) -> None:
    blocks = Dataset.open(numbered(tmp_path, 2, ".png")).in_blocks((4, 4))
    for seed in range(3):
        split = blocks.split(seed)
        assert (split.train, split.validation, split.test) == (("c0#train",), ("c0#validation",), ("c0#test",))
    assert [item.part for item in blocks.items] == list(PARTS)
    assert blocks.subset(["c0#train"]).split().train == ("c0#train",)


def test_blocks_of_a_mapped_file_stay_mapped(tmp_path: Path) -> None:
    blocks = Dataset.open(numbered(tmp_path, 3, ".npy")).in_blocks((3, 3, 3))
    image = blocks.read_image(blocks.items[0])
    while image is not None and not isinstance(image, np.memmap):
        image = image.base
    assert image is not None


def test_given_test_images_stay_whole(tmp_path: Path) -> None:
    numbered(tmp_path, 2, ".png", count=3)
    (tmp_path / "test.txt").write_text("c2")
    blocks = Dataset.open(tmp_path).in_blocks((4, 4))
    assert blocks.split().test == ("c2",) and blocks.item("c2").box is None
    assert blocks.split().validation == ("c0#validation", "c1#validation")
    assert blocks.item("c0#train").box == ((0, 42), (0, 50))


def test_where_all_parts_but_training_are_given_nothing_is_cut(tmp_path: Path) -> None:
    numbered(tmp_path, 2, ".png", count=3)
    (tmp_path / "test.txt").write_text("c2")
    (tmp_path / "validation.txt").write_text("c1")
    blocks = Dataset.open(tmp_path).in_blocks((4, 4))
    assert blocks.names == ("c0", "c1", "c2") and blocks.split().train == ("c0",)


def test_labels_of_another_size_are_not_cut(tmp_path: Path) -> None:
    dataset = Dataset.open(numbered(tmp_path, 2, ".png"))
    write_labels(tmp_path / "labels" / "c0.png", np.ones((70, 50), np.uint8))
    with pytest.raises(DataError, match=r"60 x 50 pixels and .* 70 x 50"):
        dataset.in_blocks((4, 4))


def test_digests_tell_blocks_apart_and_know_their_image(tmp_path: Path) -> None:
    dataset = Dataset.open(numbered(tmp_path / "here", 2, ".png", count=2))
    blocks = dataset.in_blocks((4, 4))
    digests = [item.digest() for item in blocks.items]
    assert len(set(digests)) == 6
    moved = Dataset.open(numbered(tmp_path / "there", 2, ".png", count=2)).in_blocks((4, 4))
    assert [item.digest() for item in moved.items] == digests
    whole = [item.digest() for item in dataset.items]
    for index, digest in enumerate(digests):
        assert [share_pixels(digest, other) for other in digests] == [index == other for other in range(6)]
        assert [share_pixels(digest, other) for other in whole] == [index // 3 == other for other in range(2)]


@settings(deadline=None)
@given(st.data())
def test_digests_share_pixels_where_boxes_overlap(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "pixels"
    path.write_bytes(b"pixels")
    side = st.tuples(st.integers(0, 9), st.integers(1, 6)).map(lambda pair: (pair[0], sum(pair)))
    boxes = [data.draw(st.none() | st.tuples(side, side)) for _ in range(2)]
    one, other = (Item("a", path, None, None, "a", box=box).digest() for box in boxes)
    marks = [mark([20, 20], box or ((0, 20), (0, 20))) for box in boxes]
    assert share_pixels(one, other) == share_pixels(other, one) == bool((marks[0] & marks[1]).any())


def test_the_image_that_is_too_small_is_named(tmp_path: Path) -> None:
    dataset = Dataset.open(folder_of(tmp_path, {"a": np.eye(30, dtype=np.uint8), "b": np.eye(60, dtype=np.uint8)}))
    with pytest.raises(DataError, match=r"images/a\.png has 30 x 30 pixels, and blocks with two gaps of 5 pixels"):
        dataset.in_blocks((5, 5))
