"""Labels that were moved, mirrored, turned or exchanged are found; labels that are right are left alone."""

from __future__ import annotations

import itertools
from collections import Counter
from math import log2
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from unetscope.data.alignment import (
    TELLING,
    Alignment,
    check_alignment,
    describe_move,
    find_exchanged,
    find_misfit,
)
from unetscope.data.dataset import IGNORE, Dataset
from unetscope.data.scenes import SCENES
from unetscope.data.signatures import inside, list_turns, name_turn, share_bits, sign, try_shifts, turn_axes


def blobs(shape: tuple[int, ...], seed: int = 0, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """A noisy image of smooth regions, and their labels."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.standard_normal(shape), 3, mode="wrap")
    labels = np.digitize(field, np.quantile(field, np.arange(1, classes) / classes)).astype(np.uint8)
    image = 40.0 * labels + 5 * rng.standard_normal(shape)
    return image[None].astype(np.float32), labels


def several(shape: tuple[int, ...], count: int = 4) -> list[tuple[np.ndarray, np.ndarray]]:
    return [blobs(shape, seed) for seed in range(count)]


def check_all(pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[Alignment]:
    return [check_alignment(*pair) for pair in pairs]


# ------------------------------------------------------------------------------------------------------ one image


@settings(deadline=None, max_examples=20)
@given(st.integers(-8, 8), st.integers(-8, 8))
def test_labels_that_were_moved_must_move_back(dy: int, dx: int) -> None:
    image, labels = blobs((64, 72))
    found = check_alignment(image, np.roll(labels, (dy, dx), (0, 1)))
    assert found.shift == (-dy, -dx)
    assert found.transform == ""
    assert found.best_bits >= found.bits
    if max(abs(dy), abs(dx)) <= 1:
        assert not found.is_suspicious


def test_volumes_too() -> None:
    image, labels = blobs((24, 30, 36))
    assert check_alignment(image, labels).shift == (0, 0, 0)
    moved = check_alignment(image, np.roll(labels, (3, -4), (0, 2)))
    assert moved.shift == (-3, 0, 4)
    assert moved.is_suspicious


@pytest.mark.parametrize("shape", [(48, 48), (40, 56), (24, 24, 24), (18, 24, 24)])
def test_labels_that_were_turned_must_turn_back(shape: tuple[int, ...]) -> None:
    image, labels = blobs(shape)
    turns = list_turns(shape)
    probe = np.arange(np.prod(shape)).reshape(shape)
    for turn in turns[1 :: max(1, len(turns) // 8)]:
        back = next(each for each in turns if np.array_equal(turn_axes(turn_axes(probe, turn), each), probe))
        found = check_alignment(image, turn_axes(labels, turn))
        assert found.transform == name_turn(back) != ""
        assert found.is_suspicious
        assert found.best_bits > 5 * max(found.bits, 0)


def test_transforms_keep_the_size_and_differ() -> None:
    for shape in ((5, 5), (4, 5), (3, 3, 3), (2, 3, 3)):
        probe = np.arange(np.prod(shape)).reshape(shape)
        turned = [turn_axes(probe, turn) for turn in list_turns(shape)]
        assert all(each.shape == shape for each in turned)
        assert len({each.tobytes() for each in turned}) == len(turned) == len({name_turn(t) for t in list_turns(shape)})
        assert np.array_equal(turned[0], probe)
        assert name_turn(list_turns(shape)[0]) == ""


def test_brightness_contrast_and_type_do_not_matter() -> None:
    image, labels = blobs((48, 48))
    whole = image.round().astype(np.int16)
    first, second = check_alignment(whole, labels), check_alignment(whole.astype(np.float64) * 3 + 1000, labels)
    assert first.bits == pytest.approx(second.bits, abs=2e-3)
    assert first.shift == second.shift


def test_large_images_are_thinned_out_and_shifts_told_in_their_pixels() -> None:
    image, labels = blobs((48, 52))
    large, large_labels = image.repeat(30, axis=1).repeat(30, axis=2), labels.repeat(30, axis=0).repeat(30, axis=1)
    found = check_alignment(large, np.roll(large_labels, 12, axis=1))
    assert found.step == (3, 4)
    assert found.shift == (0, -12)


@pytest.mark.parametrize("labels", [np.zeros((30, 30), int), np.ones((30, 30), int), np.full((30, 30), IGNORE)])
def test_labels_that_are_the_same_everywhere_say_nothing(labels: np.ndarray) -> None:
    found = check_alignment(blobs((30, 30))[0], labels)
    assert (found.certainty, found.is_suspicious, found.transform) == (0, False, "")
    assert found.bits == pytest.approx(0, abs=1e-9)
    assert find_misfit([found] * 5) is None


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (5, 5), (1, 40, 40), (3, 4, 5)])
def test_images_of_any_size(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    found = check_alignment(rng.random((2, *shape)), rng.integers(-1, 3, shape))
    assert len(found.shift) == len(shape)
    assert not found.is_suspicious


def test_images_without_contrast_are_not_suspicious() -> None:
    assert not check_alignment(np.full((1, 40, 40), 7, np.uint8), blobs((40, 40))[1]).is_suspicious


# --------------------------------------------------------------------------------------------- shared information


def test_shared_bits_are_the_mutual_information() -> None:
    """Against the definition, pixel by pixel; ignored pixels are left out."""
    rng = np.random.default_rng(0)
    seen = rng.integers(0, 12, (40, 50)).astype(np.uint8)
    said = np.where(rng.random((40, 50)) < 0.1, 8, seen // 3).astype(np.uint8)
    pairs = [(int(a), int(b)) for a, b in zip(seen.ravel(), said.ravel(), strict=True) if b < 8]
    both, first, second = Counter(pairs), Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    total = len(pairs)
    expected = sum(n / total * log2(n * total / (first[a] * second[b])) for (a, b), n in both.items())
    assert share_bits(seen, said) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(30, 36), (12, 15, 16)])
def test_all_shifts_at_once_are_the_shifts_one_by_one(shape: tuple[int, ...]) -> None:
    image, labels = blobs(shape, classes=3)
    labels = np.where(np.random.default_rng(1).random(shape) < 0.05, IGNORE, labels.astype(int))
    signature = sign(image, labels)
    window = (2,) * len(shape)
    near, far = try_shifts(signature, window)
    inner = inside(shape, window)
    for shift in itertools.product(range(-2, 3), repeat=len(shape)):
        moved = tuple(slice(part.start + one, part.stop + one) for part, one in zip(inner, shift, strict=True))
        at = tuple(2 + one for one in shift)
        assert near[at] == pytest.approx(share_bits(signature.seen[moved], signature.said[inner]), abs=1e-9)
    assert 0 <= far.min() <= np.median(far) < near.max()


# ------------------------------------------------------------------------------------------------- a whole dataset


def test_a_shift_in_common_is_found_and_a_single_pixel_is_not() -> None:
    pairs = several((64, 64))
    assert find_misfit(check_all(pairs)) is None
    assert find_misfit(check_all([(image, np.roll(labels, 1, 0)) for image, labels in pairs])) is None
    found = find_misfit(check_all([(image, np.roll(labels, 5, 1)) for image, labels in pairs]))
    assert found is not None
    assert (found.shift, found.transform, found.images) == ((0, -5), "", 4)
    assert 0.05 < found.lost <= 1


def test_a_transform_in_common_is_found_in_images_of_any_sizes() -> None:
    pairs = [blobs((48, 48), 0), blobs((40, 60), 1), blobs((30, 33), 2), blobs((600, 30), 3)]
    found = find_misfit(check_all([(image, labels[::-1]) for image, labels in pairs]))
    assert found is not None
    assert (found.shift, found.transform, found.images) == ((0, 0), "mirrored along y", 4)
    square = find_misfit(check_all([(image, labels.T) for image, labels in several((48, 48))]))
    assert square is not None
    assert square.transform == "with y and x exchanged"


def test_different_shifts_are_not_in_common() -> None:
    shifts = [(5, 0), (0, 6), (-5, 0), (0, -6)]
    pairs = [
        (image, np.roll(labels, shift, (0, 1)))
        for (image, labels), shift in zip(several((64, 64)), shifts, strict=True)
    ]
    found = check_all(pairs)
    assert all(one.is_suspicious for one in found)
    assert find_misfit(found) is None


@pytest.mark.parametrize("shape", [(8, 8), (24, 24), (64, 48), (10, 16, 16)])
def test_labels_without_any_relation_have_no_misfit(shape: tuple[int, ...]) -> None:
    """Whatever fits best by chance is not taken for a displacement."""
    rng = np.random.default_rng(0)
    found = check_all([(rng.random((1, *shape)), rng.integers(0, 2, shape)) for _ in range(12)])
    assert sum(one.is_suspicious for one in found) == 0
    assert all(find_misfit(found[start : start + 3]) is None for start in range(10))
    assert np.mean([one.certainty > TELLING for one in found]) < 0.2


@pytest.mark.parametrize(("scene", "shape"), [("cells", (64, 64)), ("aerial", (64, 64)), ("nuclei", (12, 32, 32))])
def test_exact_labels_are_never_a_misfit(scene: str, shape: tuple[int, ...]) -> None:
    scenes = [SCENES[scene](shape, seed) for seed in range(6)]
    found = check_all([(each.image, each.labels) for each in scenes])
    assert find_misfit(found) is None
    assert np.median([one.certainty for one in found]) > TELLING


def test_exchanged_labels_find_their_images() -> None:
    pairs = several((64, 64), 5)
    order = [1, 2, 0, 3, 4]
    signatures = {str(i): sign(pairs[i][0], pairs[j][1]) for i, j in enumerate(order)}
    strangers = {name: each for name, each in signatures.items() if name in "012"}
    # Image 0 has the labels of image 1; its own are stored for image 2.
    assert find_exchanged(strangers) == {"0": "2", "1": "0", "2": "1"}
    assert find_exchanged({"0": signatures["0"]}) == {}


def test_a_move_in_words() -> None:
    assert describe_move((2, 0, -3), "") == "moved by +2 pixels along z and -3 pixels along x"
    assert describe_move((0, 0), "mirrored along y") == "mirrored along y"


# ------------------------------------------------------------------------------------------------------ real images


@pytest.mark.parametrize(("name", "count"), [("dsb2018", 16), ("isbi2012", 4), ("vnc_em", 3), ("hippocampus", 12)])
def test_real_labels_are_right_until_they_are_mirrored(shared_data: Path, name: str, count: int) -> None:
    dataset = Dataset.open(shared_data / name)
    items = dataset.items[:: len(dataset.items) // count][:count]
    pairs = [dataset.read(item) for item in items]
    found = check_all(pairs)
    assert find_misfit(found) is None
    assert not any(one.is_suspicious for one in found)
    mirrored = find_misfit(check_all([(image, labels[..., ::-1]) for image, labels in pairs]))
    assert mirrored is not None
    assert mirrored.transform == "mirrored along x"
