"""Which images are used, and how they come to one shape that the network accepts."""

from __future__ import annotations

import numpy as np
import pytest

from unetscope.errors import DataError
from unetscope.information.published.samples import choose_samples
from unetscope.model.geometry import margin, output_shape
from unetscope.model.spec import UNetSpec


def test_the_role_chooses_the_images(dataset, make_checkpoint):
    names = dataset.names
    checkpoint = make_checkpoint(names[:8], train=names[1:9], test=names[9:])
    chosen = {role: choose_samples(checkpoint, dataset, role).items for role in ("profile", "train", "all")}
    assert {role: tuple(item.name for item in items) for role, items in chosen.items()} == {
        "profile": names[:8],
        "train": names[1:9],
        "all": names,
    }


def test_too_few_images_are_refused(dataset, make_checkpoint):
    with pytest.raises(DataError, match="at least 8 images and 7 came"):
        choose_samples(make_checkpoint(dataset.names[:7]), dataset, "profile")


def test_a_run_without_a_split_is_refused(dataset, make_checkpoint):
    with pytest.raises(DataError, match="0 came with the role 'train'"):
        choose_samples(make_checkpoint(dataset.names), dataset, "train")


def test_images_that_the_dataset_lacks_are_named(dataset, make_checkpoint):
    with pytest.raises(DataError, match=r"lacks 1 of the 9 profile images of this run, other for one"):
        choose_samples(make_checkpoint((*dataset.names[:8], "other")), dataset, "profile")


def test_images_of_other_channels_are_refused(dataset, make_checkpoint):
    checkpoint = make_checkpoint(dataset.names, UNetSpec.by_level((4, 8), image_channels=3))
    with pytest.raises(DataError, match="has 1 channels"):
        choose_samples(checkpoint, dataset, "profile").batch(0, 1)


@pytest.mark.parametrize(
    "spec",
    [
        UNetSpec.by_level((4, 8)),
        UNetSpec.by_level((2, 2, 2, 2)),
        UNetSpec.by_level((2, 2, 2, 2, 2, 2)),
        UNetSpec.by_level((2, 2), padded=False),
        UNetSpec.by_level((2, 2, 2), padded=False, up="linear"),
    ],
)
def test_the_network_sees_the_whole_image_and_its_mirrored_surroundings(dataset, make_checkpoint, spec):
    samples = choose_samples(make_checkpoint(dataset.names, spec), dataset, "profile")
    batch = samples.batch(2, 4).numpy()
    assert all(size >= 16 for size in output_shape(spec, batch.shape[2:]))
    images = np.stack([dataset.read_image(item) for item in dataset.items[2:4]]) / 255
    sides = [(lost, fed - 16 - lost) for lost, fed in zip(margin(spec), batch.shape[2:], strict=True)]
    np.testing.assert_allclose(batch, np.pad(images, [(0, 0), (0, 0), *sides], mode="reflect"), rtol=1e-6)
    assert samples.fed_shape == batch.shape[2:]
    assert not samples.resampled


def test_images_of_unequal_size_come_to_their_median_shape(write_dataset, make_checkpoint):
    shapes = [(16, 20)] * 5 + [(32, 40)] * 2 + [(8, 10)] * 2
    images, masks = [], []
    for height, width in shapes:
        left = np.arange(width) < width // 2
        masks.append(np.broadcast_to(left, (height, width)))
        images.append(np.where(masks[-1], 200, 50).astype(np.uint8))
    dataset = write_dataset(images, masks)
    samples = choose_samples(make_checkpoint(dataset.names), dataset, "profile")
    assert samples.shape == (16, 20)
    assert samples.resampled
    assert (samples.foreground == (np.arange(20) < 10)).all()
    batch = samples.batch(0, 9).numpy()
    np.testing.assert_allclose(batch[..., :8], 200 / 255, rtol=0.01)
    np.testing.assert_allclose(batch[..., 12:], 50 / 255, rtol=0.02)
