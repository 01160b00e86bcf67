"""What is said before training, against images whose labels are decided by windows of a known size."""

from __future__ import annotations

import json
from functools import partial
from itertools import pairwise, product
from math import log2
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import uniform_filter
from scipy.stats import norm

from unetscope.data.dataset import Dataset
from unetscope.data.images import write_image, write_labels
from unetscope.errors import DataError, RecipeError
from unetscope.information.estimators.perceptron import Perceptron
from unetscope.information.estimators.stochastic_descent import Descent
from unetscope.information.sizing import measuring, ranking
from unetscope.information.sizing.choices import choose_smallest
from unetscope.information.sizing.fovea import describe_windows, find_columns, window_sizes
from unetscope.information.sizing.growth import foresee
from unetscope.information.sizing.measuring import Trial
from unetscope.information.sizing.ranking import Probe, correlate_ranks, disagree, entropy, rank_images
from unetscope.information.sizing.record import RECORD, UNCHECKED, UNTOLD
from unetscope.information.sizing.sampling import Eye, draw_pixels, draw_samples, find_unlabelled
from unetscope.information.sizing.sentences import describe_sizing
from unetscope.information.sizing.sizing import SizingSettings, find_depth, size_network
from unetscope.information.tally import Tally
from unetscope.information.usable import CrossFit

QUICK = SizingSettings(pixels=600)


def quiet(*_):
    """Nobody watches."""


@pytest.fixture
def hasty(monkeypatch):
    """Probes that are fitted in a few steps, where it does not matter how well."""
    for module in (measuring, ranking):
        monkeypatch.setattr(module, "Perceptron", partial(Perceptron, descent=Descent(0.03, steps=8, epochs=6)))


@pytest.fixture
def write(tmp_path):
    """Write images and labels, 2D or 3D, as a dataset and open it."""

    def write(images, labels, declaration=""):
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            for kind, writer, array in (("images", write_image, image[None]), ("labels", write_labels, label)):
                path = tmp_path / "data" / kind / f"{number:02}.tif"
                path.parent.mkdir(parents=True, exist_ok=True)
                writer(path, array.astype(np.uint8))
        (tmp_path / "data" / "dataset.toml").write_text(declaration, encoding="utf-8")
        return Dataset.open(tmp_path / "data")

    return write


def make_noise(count, shape, seed=0):
    return np.clip(np.random.default_rng(seed).normal(128, 40, (count, *shape)), 0, 255).round()


def decide_by_window(images, size):
    """Label 1 where the mean of the window around a pixel is above the middle."""
    return np.stack([uniform_filter(image - 128, size, mode="mirror") > 0 for image in images])


def flip(labels, share, seed=1):
    return labels ^ (np.random.default_rng(seed).random(labels.shape) < share)


def read(dataset, sizes, pixels):
    """Bits read in windows of some sizes, and H0."""
    trial = Trial(draw_samples(Eye.on(dataset), pixels, 0, quiet), 0, quiet)
    return {size: trial.read(trial.samples.window(size), "").mean for size in sizes}, trial.prior.mean


def information_of_part(part, whole):
    """Bits that the sum of some of `whole` equal normal numbers tells about the sign of the sum of all."""
    grid = np.linspace(-8, 8, 4001)
    chance = norm.cdf(grid * np.sqrt(part / (whole - part))).clip(1e-12, 1 - 1e-12)
    unknown = -(chance * np.log2(chance) + (1 - chance) * np.log2(1 - chance))
    return 1 - np.trapezoid(unknown * norm.pdf(grid), grid)


# ------------------------------------------------------------------------------------------------------ windows


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_number_looks_at_its_window_and_no_further(ndim, channels):
    chance, sizes = np.random.default_rng(0), window_sizes(ndim)
    columns = find_columns(ndim, channels)
    windows = chance.normal(size=(3, channels, *[sizes[-1]] * ndim)).astype(np.float32)
    seen = describe_windows(windows)
    assert seen.shape == (3, len(columns))
    for inner, outer in pairwise(sizes):
        changed = windows.copy()
        first = (sizes[-1] - inner) // 2
        middle = (..., *[slice(first, first + inner)] * ndim)
        changed += chance.normal(size=windows.shape).astype(np.float32)
        changed[middle] = windows[middle]
        other = describe_windows(changed)
        assert np.array_equal(other[:, columns <= inner], seen[:, columns <= inner])
        assert (other[:, columns == outer] != seen[:, columns == outer]).all()


@pytest.mark.parametrize("ndim", [2, 3])
def test_every_pixel_of_every_window_is_seen(ndim):
    sizes, columns = window_sizes(ndim), find_columns(ndim, 1)
    empty = np.zeros((1, 1, *[sizes[-1]] * ndim), np.float32)
    chance = np.random.default_rng(1)
    for place in chance.integers(0, sizes[-1], (60, ndim)):
        lit = empty.copy()
        lit[(0, 0, *place)] = 1
        reach = int(abs(place - sizes[-1] // 2).max())
        smallest = next(size for size in sizes if size // 2 >= reach)
        assert describe_windows(lit)[:, columns == smallest].any()


@pytest.mark.parametrize("ndim", [2, 3])
def test_flat_windows_have_their_value_as_mean_and_no_spread(ndim):
    size = window_sizes(ndim)[-1]
    seen = describe_windows(np.full((1, 1, *[size] * ndim), 2, np.float32))[0]
    assert np.isclose(seen, 2, atol=1e-5).sum() + np.isclose(seen, 0, atol=2e-3).sum() == len(seen)
    inner, rings = (49, 3 * 40) if ndim == 2 else (27, 3 * 26)
    assert np.isclose(seen, 2, atol=1e-5).sum() == inner + rings


def test_what_is_seen_is_the_normalized_image_around_the_pixel_mirrored_at_the_border(write):
    images = make_noise(3, (20, 24))
    eye = Eye.on(write(images, decide_by_window(images, 1)))
    samples = draw_samples(eye, 90, 0, quiet)
    places = np.rint((samples.places + 1) / 2 * np.array([19, 23])).astype(int)
    affine = eye.normalization.affine(images[0][None].astype(np.uint8))
    for number, (y, x) in enumerate(places):
        padded = np.pad(affine.apply(images[samples.units[number]][None])[0], 1, mode="reflect")
        assert np.allclose(samples.features[number, samples.columns <= 3], padded[y : y + 3, x : x + 3].ravel()[_order])
    assert np.array_equal(np.unique(samples.units, return_counts=True)[1], [30, 30, 30])


_order = np.arange(9)  # the 3 x 3 pixels stand among the 7 x 7 in the order of their rows


@pytest.mark.parametrize("count", [1, 7, 40, 100])
def test_drawn_pixels_are_allowed_distinct_and_spread(count):
    allowed = np.random.default_rng(0).random((10, 10)) < 0.6
    drawn = draw_pixels(allowed, count, 3)
    assert len(set(drawn.tolist())) == min(count, allowed.sum())
    assert allowed.ravel()[drawn].all()
    ranks = np.searchsorted(np.flatnonzero(allowed), drawn)
    assert np.diff(ranks).max(initial=0) <= 2 * allowed.sum() / min(count, allowed.sum())


# ------------------------------------------------------------------------------------------------------ phantoms


def test_bits_rise_up_to_the_window_that_decides_and_are_what_part_of_it_tells(write):
    images = make_noise(24, (48, 48))
    bits, prior = read(write(images, decide_by_window(images, 7)), (1, 3, 7, 15), 4500)
    assert prior == pytest.approx(1, abs=0.02)
    assert bits[1] == pytest.approx(information_of_part(1, 49), abs=0.015)
    assert bits[3] == pytest.approx(information_of_part(9, 49), abs=0.025)
    assert bits[7] > 0.75
    assert bits[15] <= bits[7] + 0.02


@pytest.mark.parametrize("slope", [0.7, 3.0])
def test_one_pixel_that_decides_tells_all_that_label_noise_leaves(write, slope):
    images = make_noise(12, (32, 32))
    chance = 1 / (1 + np.exp(-slope * (images - 128) / 40))
    bits, _ = read(write(images, np.random.default_rng(2).random(images.shape) < chance), (1, 31), 4000)
    truth = 1 + (chance * np.log2(chance) + (1 - chance) * np.log2(1 - chance)).mean()
    assert bits[1] == pytest.approx(truth, abs=0.025)
    assert bits[31] <= bits[1] + 0.02


def test_volumes_are_looked_at_along_three_axes(write):
    images = make_noise(10, (16, 18, 20))
    bits, _ = read(write(images, decide_by_window(images, 3)), (1, 3, 7), 5000)
    assert bits[1] == pytest.approx(information_of_part(1, 27), abs=0.02)
    assert bits[3] > 0.75
    assert bits[7] <= bits[3] + 0.02


def test_three_classes_by_one_channel_of_a_color_image(tmp_path):
    chance = np.random.default_rng(0)
    for number in range(8):
        image = chance.integers(0, 256, (32, 32, 3)).astype(np.uint8)
        for kind, array in (("images", image), ("labels", np.digitize(image[..., 2], [85, 171]).astype(np.uint8))):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(array).save(tmp_path / kind / f"{number}.png")
    bits, prior = read(Dataset.open(tmp_path), (1,), 3000)
    assert prior == pytest.approx(log2(3), abs=0.05)
    assert bits[1] > 0.85 * prior


# ------------------------------------------------------------------------------------------------------ the whole


def test_all_is_said_and_repeats(write, hasty):
    images = make_noise(15, (24, 24))
    dataset = write(images, decide_by_window(images, 1))
    seen = []
    first = size_network(dataset, QUICK, on_step=lambda done, steps, text: seen.append((done, steps, text)))
    assert first.window.value == 1
    assert first.window.verdict.word == "ok"
    assert (first.depth.value, first.depth.verdict.word) == (0, "ok")
    assert len(first.channels) == 1
    assert first.place.value < 0.05
    assert first.prior.value == pytest.approx(1, abs=0.02)
    assert all(done <= steps for done, steps, _ in seen)
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    content = first.to_json()
    assert json.loads(json.dumps(content, allow_nan=False)) == json.loads(json.dumps(content))
    assert content["windows"]["1"]["interval"]["low"] > 0.5
    assert content["provenance"]["data"] == dataset.digest()
    assert {"unetscope", "torch"} <= content["provenance"]["versions"].keys()
    words = " ".join(describe_sizing(first))
    assert "depth: 0" in words
    assert "record: of 4 sets that were sized, 3 were checked by training" in words
    assert size_network(dataset, QUICK).to_json() == content


def test_few_images_cannot_tell_and_say_how_many_would(write, hasty):
    images = make_noise(4, (24, 24))
    labels = flip(decide_by_window(images, 3), 0.2)
    labels[0] = flip(labels[0], 0.5)
    found = size_network(write(images, labels), QUICK)
    assert found.window.verdict.word == "cannot tell"
    assert found.windows[3].verdict.word == "cannot tell"
    assert found.windows[3].verdict.images > 4
    assert "cannot tell" in " ".join(describe_sizing(found))


def test_labels_that_have_nothing_to_do_with_the_image_tell_nothing(write, hasty):
    images = make_noise(6, (16, 16))
    found = size_network(write(images, flip(np.zeros_like(images, bool), 0.5)), QUICK)
    assert found.window.verdict.word == found.depth.verdict.word == found.width.verdict.word == "cannot tell"
    assert "--widths" not in " ".join(describe_sizing(found))


def test_one_class_alone_tells_nothing(write, hasty):
    images = make_noise(4, (16, 16))
    labels = np.zeros_like(images)
    labels[0, 0, 0] = 1
    found = size_network(write(images, labels), QUICK)
    assert found.window.verdict.word == "cannot tell"
    assert [each.name for each in found.rare] == [found.classes[1].name]
    assert "annotate more of it" in " ".join(describe_sizing(found))


def test_the_place_is_told_apart_from_the_image(write):
    labels = np.zeros((8, 24, 24), bool)
    labels[:, :, 12:] = True
    trial = Trial(draw_samples(Eye.on(write(make_noise(8, (24, 24)), labels)), 1000, 0, quiet), 0, quiet)
    assert trial.read_place().mean > 0.9
    assert trial.read(trial.samples.window(7), "").mean < 0.05


def test_test_images_are_not_opened(write, tmp_path):
    images = make_noise(6, (16, 16))
    dataset = write(images, decide_by_window(images, 1))
    for role, names in (("train", "00 01 02"), ("validation", "03"), ("test", "04 05")):
        (dataset.root / f"{role}.txt").write_text("\n".join(names.split()), encoding="utf-8")
    eye = Eye.on(Dataset.open(dataset.root))
    assert eye.dataset.names == ("00", "01", "02", "03")


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_images_are_refused(write, count):
    images = make_noise(count, (16, 16))
    with pytest.raises(DataError, match="at least 3"):
        size_network(write(images, decide_by_window(images, 1)), QUICK)


def test_images_without_any_label_do_not_count(write):
    images = make_noise(4, (16, 16))
    labels = decide_by_window(images, 1).astype(int)
    labels[1:3] = 255
    dataset = write(images, labels, 'kind = "classes"\nignore = 255\n')
    with pytest.raises(DataError, match="2 annotated images"):
        size_network(dataset, QUICK)


@pytest.mark.parametrize(("name", "value"), [("pixels", 10), ("seed", -1)])
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(RecipeError, match=name):
        SizingSettings(**{name: value})


# ------------------------------------------------------------------------------------------------------ decisions


def tallies(values, images=12, spread=0.01):
    """A tally for each value, with what images have in common."""
    effect = np.random.default_rng(0).normal(0, 0.1, images)
    own = np.random.default_rng(1).normal(0, spread, (len(values), images))
    return [Tally.of(value + effect + each - each.mean()) for value, each in zip(values, own, strict=True)]


@pytest.mark.parametrize("best", [0, 1, 2, 3])
def test_the_smallest_option_as_good_as_the_best_is_chosen(best):
    values = [0.8 - 0.1 * max(0, best - at) for at in range(4)]
    choice = choose_smallest(dict(zip((1, 3, 7, 15), tallies(values), strict=True)), 1.0)
    assert choice.value == choice.low == choice.high == (1, 3, 7, 15)[best]
    assert choice.verdict.word == "ok"
    assert choice.open_ended == (best == 3)


def test_a_shortfall_within_the_noise_is_not_decided_and_names_the_images():
    choice = choose_smallest(dict(zip((1, 3), tallies([0.775, 0.8], spread=0.03), strict=True)), 1.0)
    assert choice.verdict.word == "cannot tell"
    assert (choice.value, choice.low, choice.high) == (3, 1, 3)
    assert choice.verdict.images > 12


@pytest.mark.parametrize("exponent", [0.5, 0.75, 1.0])
@pytest.mark.parametrize("factor", [0.001, 0.1])
def test_the_next_doubling_is_that_of_the_power_law(exponent, factor):
    curve = {share: Tally.of([0.8 - factor * share**-exponent] * 10) for share in (0.125, 0.25, 0.5, 1.0)}
    growth = foresee(curve, 1.0)
    assert growth.gain.value == pytest.approx(factor * (1 - 2**-exponent), rel=1e-6)
    assert growth.helps == (factor > 0.01)
    assert growth.verdict.word == "ok"


def test_without_half_of_the_images_nothing_is_foreseen():
    assert foresee({1.0: Tally.of([0.5] * 3)}, 1.0) is None


@pytest.mark.parametrize(("size", "ndim", "depth"), [(1, 2, 0), (5, 2, 0), (7, 2, 1), (31, 3, 2), (63, 2, 3)])
def test_depth_is_the_least_that_sees_the_window(size, ndim, depth):
    assert find_depth(size, ndim) == depth


# ------------------------------------------------------------------------------------------------------ ranking


@pytest.mark.parametrize(("probes", "classes"), list(product((1, 2, 5), (2, 3))))
def test_disagreement_lies_between_nothing_and_the_entropy(probes, classes):
    logits = np.random.default_rng(0).normal(0, 3, (probes, 50, classes))
    said = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    together = np.log(np.exp(said).mean(0))
    assert (disagree(said) >= 0).all()
    assert (disagree(said) <= min(log2(probes), log2(classes)) + 1e-9).all()
    assert np.allclose(disagree(said), entropy(together) - entropy(said).mean(0), atol=1e-9)
    assert np.allclose(disagree(said[:1]), 0)


def test_ranks_that_are_constant_or_few_have_no_correlation():
    assert np.isnan(correlate_ranks(np.ones(10), np.arange(10.0)).value)
    assert not np.isfinite(correlate_ranks(np.arange(3.0), np.arange(3.0)).half_width)
    assert correlate_ranks(np.arange(9.0), -np.arange(9.0)).value == pytest.approx(-1)


def test_images_of_a_kind_that_was_never_annotated_come_first(write, tmp_path):
    labels = np.random.default_rng(1).random((8, 24, 24)) < 0.5
    eye = Eye.on(write(np.where(labels, 200, 60) + (make_noise(8, (24, 24)) - 128) / 4, labels))
    folder = tmp_path / "more"
    for name, value in (("a-dark", 60), ("b-between", 130), ("c-bright", 200)):
        write_image(folder / f"{name}.tif", np.full((1, 24, 24), value, np.uint8))
    samples = draw_samples(eye, 1500, 0, quiet)
    found = rank_images(eye, find_unlabelled(eye.dataset, folder), samples, Probe(1, 8, CrossFit(2)), quiet)
    order = [each.name for each in found.candidates]
    assert sorted(order) == ["a-dark.tif", "b-between.tif", "c-bright.tif"]
    assert order[0] == "b-between.tif"
    assert found.candidates[0].entropy > 1.5 * max(each.entropy for each in found.candidates[1:])


def test_the_order_is_part_of_what_is_said(write, hasty, tmp_path):
    images = make_noise(5, (16, 16))
    write_image(tmp_path / "more" / "a.tif", np.zeros((1, 16, 16), np.uint8))
    dataset = write(images, decide_by_window(images, 1))
    found = size_network(dataset, QUICK, find_unlabelled(dataset, tmp_path / "more"))
    assert "annotate next" in " ".join(describe_sizing(found))
    assert [each["image"] for each in found.to_json()["ranking"]["images"]] == ["a.tif"]


def test_annotated_images_are_not_ranked(write, tmp_path):
    images = make_noise(3, (16, 16))
    dataset = write(images, decide_by_window(images, 1))
    with pytest.raises(DataError, match="no images but annotated ones"):
        find_unlabelled(dataset, dataset.root / "images")
    with pytest.raises(DataError, match="no folder"):
        find_unlabelled(dataset, tmp_path / "nowhere")


def test_images_of_other_channels_are_refused(write, tmp_path):
    images = make_noise(3, (16, 16))
    eye = Eye.on(write(images, decide_by_window(images, 1)))
    write_image(tmp_path / "more" / "a.tif", np.zeros((2, 16, 16), np.uint8))
    (item,) = find_unlabelled(eye.dataset, tmp_path / "more")
    with pytest.raises(DataError, match="2 channels"):
        eye.read_image(item)


def test_the_record_claims_nothing_that_was_not_checked():
    assert all(case.shown for case in RECORD)
    assert all(not case.checked for case in RECORD if case.shown in (UNCHECKED, UNTOLD))


def test_the_record_in_the_documentation_is_that_of_the_program():
    page = Path(__file__).parents[3] / "docs" / "commands" / "size.md"
    lines = page.read_text(encoding="utf-8").partition("## Its record")[2].splitlines()
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line.startswith("| ")]
    assert rows[1:][: len(RECORD)] == [(case.name, case.said, case.shown) for case in RECORD]
