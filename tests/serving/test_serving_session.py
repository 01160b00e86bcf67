"""What is computed of an image that is held: the same as everywhere, and of a pixel the same as of the whole image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from live_page import EXACT, draw, make_network

from unetscope.data.dataset import Dataset
from unetscope.data.scenes import write_dataset
from unetscope.data.spacing import Spacing
from unetscope.errors import DataError
from unetscope.model.spec import UNetSpec
from unetscope.segmentation import Tiling
from unetscope.serving.describing import describe_known, describe_plane, describe_segmented
from unetscope.serving.images import Limits, Opened
from unetscope.serving.networks import open_networks, teach
from unetscope.serving.refusals import RefusalError
from unetscope.serving.session import MOST_HELD, Segmented, Session

SMALL_TILES = replace(EXACT, tile=16)
NETWORKS = {
    "padded": {},
    "valid": {"spec": UNetSpec.by_level((4, 8), padded=False)},
    "one score": {"spec": UNetSpec.by_level((4, 8), classes=1)},
    "three classes": {"spec": UNetSpec.by_level((4, 8), classes=3)},
    "instance norm, tiled": {"spec": UNetSpec.by_level((4, 8), norm="instance"), "tiling": SMALL_TILES},
    "instance norm, whole": {"spec": UNetSpec.by_level((4, 8), norm="instance"), "tiling": replace(EXACT, whole=True)},
    "volume": {"spec": UNetSpec.by_level((2, 4), ndim=3)},
    "volume, valid": {"spec": UNetSpec.by_level((2, 4), ndim=3, padded=False)},
    "volume, resampled": {"spec": UNetSpec.by_level((2, 4), ndim=3), "spacing": Spacing((2.0, 1.0, 0.7), "mm")},
}


def hold(session: Session, image: np.ndarray, spacing: Spacing | None = None) -> str:
    return session.hold(Opened("cells", image, spacing))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_pixel_has_the_class_that_it_is_labelled_with(name):
    network = make_network(**NETWORKS[name])
    shape = (41, 37) if network.checkpoint.ndim == 2 else (9, 21, 18)
    session, image = Session([network]), draw(*shape)[None, None]
    key = hold(session, image, Spacing((1.0,) * len(shape), "mm"))
    labels = session.segment(key, 0, 0).labels
    assert len(np.unique(labels)) > 1
    for place in np.random.default_rng(0).integers(0, shape, (12, len(shape))).tolist():
        plane, pixel = (place[0] if len(place) == 3 else 0), tuple(place[-2:])
        chances = session.know(key, 0, plane, pixel).chances
        assert chances.sum() == pytest.approx(1)
        best = np.sort(chances)[::-1]
        assert np.argmax(chances) == labels[tuple(place)] or best[0] - best[1] < 1e-4


def test_a_pixel_has_the_chances_of_the_whole_image():
    network = make_network(UNetSpec.by_level((4, 8, 8)))
    session, image = Session([network]), draw(150, 130)[None, None]
    key, chances = hold(session, image), np.empty((2, 150, 130), np.float32)
    network.segmenter.fill(image[0], probabilities=chances)
    for pixel in [(0, 0), (149, 129), (70, 64), (5, 128)]:
        np.testing.assert_allclose(session.know(key, 0, 0, pixel).chances, chances[(slice(None), *pixel)], atol=1e-5)


def test_labels_are_those_of_the_network_and_computed_once():
    network = make_network(tiling=SMALL_TILES)
    session, image, told = Session([network]), draw(3, 40, 30)[:, None], []
    key = hold(session, image)
    for plane in range(3):
        found = session.segment(key, 0, plane, lambda *done: told.append(done))
        np.testing.assert_array_equal(found.labels, network.segmenter.labels(image[plane]))
        assert session.segment(key, 0, plane) is found
        assert (found.tiles, found.objects) == (6, None)
        assert 1 <= found.runs <= 5
        assert found.milliseconds > 0
    assert set(told) == {(done, 6) for done in range(1, 7)}


def test_what_ends_the_work_ends_it():
    session = Session([make_network(tiling=SMALL_TILES)])
    key = hold(session, draw(40, 30)[None, None])

    def end(done: int, total: int) -> None:
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        session.segment(key, 0, 0, end)
    assert session.segment(key, 0, 0).tiles == 6


def test_objects_are_counted_where_the_network_tells_them_apart():
    network = make_network(UNetSpec.by_level((4, 8), classes=3), objects=True)
    session = Session([network])
    found = session.segment(hold(session, draw(40, 30)[None, None]), 0, 0)
    assert found.objects == network.segmenter.objects(found.labels).max()


@pytest.mark.parametrize("plane", [-1, 3, 10**30])
def test_a_plane_must_be_there(plane):
    session = Session([make_network()])
    key = hold(session, draw(3, 8, 8)[:, None])
    for ask in (session.segment, lambda *a: session.know(*a, (0, 0))):
        with pytest.raises(RefusalError, match="cells has 3 planes"):
            ask(key, 0, plane)


@pytest.mark.parametrize("pixel", [(-1, 0), (0, 8), (10**30, 0)])
def test_a_pixel_must_be_there(pixel):
    session = Session([make_network()])
    with pytest.raises(RefusalError, match="outside of the image"):
        session.know(hold(session, draw(8, 8)[None, None]), 0, 0, pixel)


def test_few_images_are_held_and_those_in_use_longest(monkeypatch):
    session, image = Session([make_network()]), draw(8, 8)[None, None]
    keys = [hold(session, image) for _ in range(MOST_HELD)]
    session.find(keys[0])
    hold(session, image)
    session.find(keys[0])
    with pytest.raises(RefusalError, match="drop it again"):
        session.find(keys[1])
    monkeypatch.setattr("unetscope.serving.session.MOST_BYTES", 100)
    last = hold(session, image)
    assert session.find(last).image.pages is image
    with pytest.raises(RefusalError):
        session.find(keys[0])


# ------------------------------------------------------------------------------------------------------------ readers


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("served") / "data"
    write_dataset(folder, "cells", train=8, test=3, shape=(32, 32))
    return Dataset.open(folder)


def test_readers_are_taught_by_the_validation_images_and_samples_are_test_images(data):
    names = data.names
    network = make_network(split={"profile": names[:5], "test": names[6:9]})
    session = Session([teach(network, data)], dataset=data)
    assert session.samples == names[6:9]
    key = session.hold(session.open_sample(names[7]))
    known = session.know(key, 0, 0, (3, 4))
    assert tuple(known.readers) == tuple(known.layers) == network.checkpoint.spec.wiring.layers
    assert all(chances.sum() == pytest.approx(1) for chances in known.readers.values())
    said = describe_known(known)["layers"]
    assert all(len(said[layer]["chances"]) == 2 for layer in said)
    for name in (names[0], "../x", ""):
        with pytest.raises(RefusalError, match="no such sample"):
            session.open_sample(name)


@pytest.mark.parametrize(("profile", "expected"), [(2, "profile"), (1, "train"), (0, "train")])
def test_too_few_validation_images_leave_teaching_to_others(data, profile, expected):
    split = {"profile": data.names[:profile], "train": data.names[3:6]}
    taught = teach(make_network(split=split), data)
    assert (taught.teachers, len(taught.readers)) == (expected, 8)


def test_without_test_images_all_are_samples_and_large_ones_are_refused(data):
    session = Session([make_network()], Limits(megapixels=0.001), data)
    assert session.samples == data.names
    with pytest.raises(RefusalError, match="million pixels"):
        session.open_sample(data.names[0])


def test_networks_side_by_side_must_be_alike(tmp_path):
    others = {"channels": {"image_channels": 3}, "axes": {"ndim": 3}, "classes": {"classes": 3}}
    make_network().checkpoint.save(tmp_path / "run")
    for what, changes in others.items():
        make_network(UNetSpec.by_level((2, 4), **changes)).checkpoint.save(tmp_path / what)
        with pytest.raises(DataError, match=f"differ in their {what}"):
            open_networks([tmp_path / "run", tmp_path / what])
    make_network(UNetSpec.by_level((2, 4))).checkpoint.save(tmp_path / "slim")
    networks = open_networks([tmp_path / "run", tmp_path / "slim"])
    assert [(network.name, network.title) for network in networks] == [("run", "original"), ("slim", "slimmed")]
    assert [network.title for network in open_networks([tmp_path / "run"])] == [""]


# ----------------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("size", [(1, 1), (1024, 3), (1025, 40), (2050, 3000)])
def test_pictures_and_labels_have_one_size_and_never_more_than_fits(size):
    image = Opened("large", np.zeros((1, 1, *size), np.uint8), None)
    labels = np.zeros(size, np.uint8)
    labels[-1, -1] = 1
    found = Segmented(labels, 1.0, 1, 1, None)
    described = describe_segmented(image, 0, [found], ("background", "cell"))
    drawn, picture = open_address(described["labels"]), open_address(describe_plane(image, 0)["picture"])
    assert drawn.size == picture.size
    assert max(drawn.size) <= 1024
    assert described["shares"] == [["background", 1 - 1 / labels.size], ["cell", 1 / labels.size]]


def open_address(address):
    from base64 import b64decode
    from io import BytesIO

    from PIL import Image

    return Image.open(BytesIO(b64decode(address.partition(",")[2])))


def test_numbers_that_no_page_can_hold_become_nothing():
    network = make_network()
    session = Session([network])
    known = session.know(hold(session, draw(8, 8)[None, None]), 0, 0, (0, 0))
    broken = {layer: np.full_like(values, np.nan) for layer, values in known.layers.items()}
    said = describe_known(replace(known, layers=broken, chances=np.array([np.nan, np.inf])))
    assert said["chances"] == [None, None]
    assert said["layers"]["encoder.0.conv1"]["strongest"][1] is None


def test_auto_is_what_a_page_uses(tmp_path):
    make_network().checkpoint.save(tmp_path / "run")
    assert open_networks([tmp_path / "run"])[0].segmenter.tiling == Tiling()
