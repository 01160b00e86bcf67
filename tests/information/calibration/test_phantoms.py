"""What is known of phantoms is so: against printed figures, other ways to compute it, and the phantoms themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unetscope.information.calibration.blocks import (
    SIDES,
    bound_layer,
    draw_blocks,
    draw_windows,
    read_by,
    solve_window,
)
from unetscope.information.calibration.phantoms import (
    BETWEEN,
    IMAGE_PIXELS,
    MEAN,
    draw_clustered,
    draw_codewords,
    draw_gaussian_pairs,
    draw_gaussians,
    draw_independent,
    draw_puzzle,
    draw_two_classes,
)
from unetscope.information.calibration.truths import (
    PUZZLES,
    enumerate_puzzle,
    integrate_two_classes,
    solve_gaussian_pairs,
    solve_noisy_copies,
)
from unetscope.information.capture import capture
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet

# ------------------------------------------------------------------------------------------------------ truths


@pytest.mark.parametrize(
    ("dimensions", "correlation", "printed"),
    [(1, 0.6, 0.3219), (1, 0.9, 1.1980), (1, 0.999, 4.4833), (5, 0.8, 3.6848), (10, 0.8, 7.3697)],
)
def test_gaussian_pairs_are_worth_what_is_printed(dimensions: int, correlation: float, printed: float) -> None:
    assert solve_gaussian_pairs(dimensions, correlation) == pytest.approx(printed, abs=6e-5)


@pytest.mark.parametrize(
    ("dimensions", "noise", "printed"),
    [(1, 0.5, 1.1610), (2, 0.5, 2.3219), (5, 0.5, 5.8048), (5, 2, 0.8048), (20, 2, 3.2193), (10, 0.5, 11.61),
     (100, 2, 16.10)],
)  # fmt: skip
def test_noisy_copies_are_worth_what_is_printed(dimensions: int, noise: float, printed: float) -> None:
    assert solve_noisy_copies(dimensions, noise) == pytest.approx(printed, abs=4e-3 if printed > 10 else 6e-5)


@pytest.mark.parametrize(
    ("share", "distance", "printed"),
    [(0.5, 1, 0.1607), (0.5, 2, 0.4859), (0.14, 2, 0.2635), (0.14, 4, 0.5270)],
)
def test_two_classes_are_worth_what_is_printed(share: float, distance: float, printed: float) -> None:
    assert integrate_two_classes(share, distance) == pytest.approx(printed, abs=6e-5)


@pytest.mark.parametrize(("pixels", "printed"), [(1, 0.0437), (4, 0.1607), (9, 0.3191), (16, 0.4859), (64, 0.9128),
                                                 (8, 0.2905), (27, 0.6638)])  # fmt: skip
def test_windows_are_worth_what_is_printed(pixels: int, printed: float) -> None:
    assert solve_window(pixels) == pytest.approx(printed, abs=6e-5)


@pytest.mark.parametrize(
    ("name", "printed"),
    [("XOR", (0, 0, 1)), ("COPY", (1, 1, 1)), ("AND", (0.3113, 0.3113, 0.8113)), ("UNIQUE", (1, 0, 1))],
)
def test_puzzles_are_worth_what_is_printed(name: str, printed: tuple[float, float, float]) -> None:
    assert enumerate_puzzle(name) == pytest.approx(printed, abs=6e-5)


@pytest.mark.parametrize("share", [0.02, 0.14, 0.5, 0.9])
@pytest.mark.parametrize("distance", [0.1, 1.0, 4.0, 9.0])
def test_two_classes_by_sums_over_a_grid(share: float, distance: float) -> None:
    values, step = np.linspace(-25, 25, 200_001, retstep=True)
    likely = np.stack([np.exp(-((values - sign * distance / 2) ** 2) / 2) for sign in (-1, 1)]) / np.sqrt(2 * np.pi)
    joint = likely * np.array([[1 - share], [share]])
    mixture = joint.sum(0)
    ratio = np.divide(likely, mixture, where=likely > 1e-300, out=np.ones_like(likely))
    assert integrate_two_classes(share, distance) == pytest.approx((joint * np.log2(ratio)).sum() * step, abs=1e-8)


def test_ends_of_two_classes() -> None:
    assert integrate_two_classes(0.3, 0.0) == pytest.approx(0, abs=1e-9)
    assert integrate_two_classes(0.5, 30.0) == pytest.approx(1, abs=1e-9)


# ------------------------------------------------------------------------------------------------------ phantoms


def gain(labels: np.ndarray, logits: np.ndarray, share: float) -> float:
    """Bits that known odds gain on the known share."""
    signs = 2 * labels - 1
    prior = -np.where(labels == 1, np.log2(share), np.log2(1 - share)).mean()
    return float(prior - np.logaddexp(0, -signs * logits).mean() / np.log(2))


@pytest.mark.parametrize(("share", "distance"), [(0.5, 1.0), (0.5, 2.0), (0.14, 2.0), (0.14, 4.0)])
def test_the_best_reader_of_two_classes_finds_the_truth(share: float, distance: float) -> None:
    drawn = draw_two_classes(share, distance, 8, 100_000, seed=3)
    means = [drawn.features[drawn.labels == label].mean(0) for label in (0, 1)]
    direction = means[1] - means[0]
    assert np.linalg.norm(direction) == pytest.approx(distance, abs=0.1)
    along = drawn.features @ direction / np.linalg.norm(direction)
    best = gain(drawn.labels, distance * along + np.log(share / (1 - share)), share)
    assert best == pytest.approx(integrate_two_classes(share, distance), abs=0.01)


@pytest.mark.parametrize(("ndim", "size"), [(2, 1), (2, 3), (2, 8), (3, 2), (3, 4)])
def test_the_best_reader_of_windows_finds_the_truth(ndim: int, size: int) -> None:
    drawn = draw_windows(ndim, size, 400, seed=1)
    assert drawn.features.shape == (400 * 64, size**ndim)
    best = gain(drawn.labels, 2 * 0.25 * drawn.features.sum(1), 0.5)
    assert best == pytest.approx(solve_window(size**ndim), abs=0.015)


@pytest.mark.parametrize("ndim", [2, 3])
def test_block_images_are_blocks_with_noise(ndim: int) -> None:
    drawn = draw_blocks(ndim, 20, seed=0)
    side = SIDES[ndim]
    corners = drawn.labels[(slice(None), *(slice(None, None, side),) * ndim)]
    assert np.array_equal(np.kron(corners, np.ones((1, *(side,) * ndim), int)), drawn.labels)
    rest = drawn.images[:, 0] - 0.25 * (2 * drawn.labels - 1)
    assert abs(rest.mean()) < 0.02
    assert rest.std() == pytest.approx(1, abs=0.02)


def test_gaussian_pairs_are_correlated_as_said() -> None:
    left, right = draw_gaussian_pairs(3, 0.8, 50_000, seed=0)
    crossed = np.linalg.svd(left.T @ right / len(left), compute_uv=False)
    assert crossed == pytest.approx(0.8, abs=0.02)
    for side in (left, right):
        assert side.T @ side / len(side) == pytest.approx(np.eye(3), abs=0.03)


def test_codewords_are_far_apart_and_exact() -> None:
    samples, codes = draw_codewords(16, 64, 735, seed=0)
    book = np.unique(samples, axis=0)
    assert len(book) == len(np.unique(codes)) == len(np.unique(np.column_stack([samples[:, 0], codes]), axis=0)) == 16
    assert min(np.linalg.norm(book - word, axis=1)[np.any(book != word, axis=1)].min() for word in book) > 50


@pytest.mark.parametrize("name", PUZZLES)
def test_parts_of_puzzles_hide_their_bit(name: str) -> None:
    for part in draw_puzzle(name, 32, 4_000, seed=0):
        assert np.linalg.cond(np.cov(part.features.T)) < 2  # no direction stands out by its variance
        assert abs(np.corrcoef(part.features.T, part.labels)[-1, :-1]).max() < 0.95  # nor does a channel tell it


@pytest.mark.parametrize("name", ["XOR", "AND"])
def test_labels_follow_from_the_two_hidden_bits(name: str) -> None:
    first, second = draw_puzzle(name, 32, 20_000, seed=0)
    centered = first.labels - first.labels.mean()
    # Both labels hold the product of the bits, so this moment has rank one: the direction of each bit.
    left, _, right = np.linalg.svd((first.features * centered[:, None]).T @ second.features)
    bits = [features @ w for features, w in ((first.features, left[:, 0]), (second.features, right[0]))]
    assert all(abs(bit).std() < 0.2 for bit in bits)
    cells = (bits[0] > 0) * 2 + (bits[1] > 0)
    shares = sorted(float(first.labels[cells == cell].mean()) for cell in range(4))
    assert shares == ([0, 0, 1, 1] if name == "XOR" else [0, 0, 0, 1])


@pytest.mark.parametrize(("name", "both"), [("COPY", True), ("UNIQUE", False)])
def test_labels_are_a_hidden_bit(name: str, both: bool) -> None:
    for part, tells in zip(draw_puzzle(name, 32, 4_000, seed=0), (True, both), strict=True):
        signs = 2.0 * part.labels - 1
        residual = np.linalg.lstsq(part.features, signs)[1][0] / len(signs)
        assert residual < 1e-9 if tells else residual > 0.9


def test_images_that_differ_have_the_mean_that_is_said() -> None:
    drawn = draw_clustered(40_000, seed=0)
    assert drawn.mean == pytest.approx(MEAN, abs=0.003)
    assert (drawn.sums / drawn.counts).std() == pytest.approx(BETWEEN, rel=0.1)
    assert drawn.counts.min() < 0.2 * drawn.counts.max()


def test_independent_features_say_nothing() -> None:
    drawn = draw_independent(16, 20_000, seed=0)
    assert abs(np.corrcoef(drawn.features.T, drawn.labels)[-1, :-1]).max() < 0.03
    assert np.bincount(drawn.groups).tolist() == [IMAGE_PIXELS] * 100


@pytest.mark.parametrize(
    "draw",
    [
        lambda seed: draw_two_classes(0.5, 1, 4, 50, seed).features,
        lambda seed: draw_independent(4, 50, seed).features,
        lambda seed: draw_puzzle("AND", 4, 50, seed)[0].features,
        lambda seed: draw_gaussian_pairs(2, 0.5, 50, seed)[0],
        lambda seed: draw_gaussians(2, 50, seed),
        lambda seed: draw_codewords(4, 2, 50, seed)[0],
        lambda seed: draw_clustered(10, seed).sums,
        lambda seed: draw_blocks(2, 2, seed).images,
        lambda seed: draw_windows(3, 2, 2, seed).features,
    ],
)
def test_a_seed_says_all(draw: object) -> None:
    assert callable(draw)
    assert np.array_equal(draw(5), draw(5))
    assert not np.array_equal(draw(5), draw(6))


# ------------------------------------------------------------------------------------------------------ ceilings


@pytest.mark.parametrize("down", ["max", "strided"])
@pytest.mark.parametrize("layer", ["encoder.0.conv1", "encoder.1.conv2", "bottleneck.conv1", "decoder.1.up", "head"])
def test_a_layer_reads_what_is_said_and_nothing_else(layer: str, down: str) -> None:
    spec = UNetSpec.by_level((4, 4, 4), activation="leaky", down=down)
    torch.manual_seed(0)
    network, size = UNet(spec).eval(), 64
    plain = torch.randn(1, 1, size, 8)
    changed = plain.repeat(size, 1, 1, 1) + 30 * torch.randn(size, 1, size, 8) * torch.eye(size)[:, None, :, None]
    outputs = [capture(network, [layer], batch)[layer] for batch in (plain, changed)]
    position = size // spec.stride(layer)[0] // 2
    moved = (outputs[1] - outputs[0]).abs()[:, :, position].amax((1, 2)) > 1e-6
    rows = np.flatnonzero(moved.numpy())
    assert (rows[0], rows[-1] + 1) == read_by(spec, layer, 0, position)


def test_ceilings_count_the_pixels_of_the_own_block() -> None:
    spec = UNetSpec.by_level((4, 4), convolutions=1)
    inside, edge, corner = (np.array([place]) for place in ([3, 3], [0, 3], [8, 15]))
    assert bound_layer(spec, "encoder.0.conv1", inside) == solve_window(9)
    assert bound_layer(spec, "encoder.0.conv1", edge) == solve_window(6)
    assert bound_layer(spec, "encoder.0.conv1", corner) == solve_window(4)
    assert bound_layer(spec, "bottleneck.conv1", inside) == solve_window(49)
    both = bound_layer(spec, "encoder.0.conv1", np.concatenate([inside, corner]))
    assert both == pytest.approx((solve_window(9) + solve_window(4)) / 2)


def test_no_ceiling_is_above_that_of_a_block() -> None:
    spec = UNetSpec.by_level((4, 4, 4, 4))
    places = np.stack(np.meshgrid(range(8), range(8)), -1).reshape(-1, 2)
    bounds = [bound_layer(spec, layer, places) for layer in spec.wiring.layers]
    assert bounds[0] < bounds[1] < bounds[-1] == pytest.approx(solve_window(64))
