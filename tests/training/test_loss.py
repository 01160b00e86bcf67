"""The losses against torch's and MONAI's, and what must not depend on ignored pixels."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch.nn import functional

from unetscope.data.labelling import IGNORE
from unetscope.training import loss as module
from unetscope.training.loss import SMOOTH, compute_loss, mark_classes
from unetscope.training.recipe import Recipe

CASES = [(2, (5, 7)), (4, (5, 7)), (3, (3, 4, 5))]


def cross_entropy(
    scores: torch.Tensor,
    labels: torch.Tensor,
    weights: tuple[float, ...] | None = None,
    extra: torch.Tensor | None = None,
) -> torch.Tensor:
    """The cross-entropy of scores."""
    return module.cross_entropy(scores.log_softmax(1), mark_classes(labels, scores.shape[1]), weights, extra)


def soft_dice(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The Dice coefficient of scores."""
    return module.soft_dice(scores.log_softmax(1), mark_classes(labels, scores.shape[1]))


def random_batch(classes: int, shape: tuple[int, ...], ignored: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and labels of two images."""
    generator = torch.Generator().manual_seed(classes)
    scores = torch.randn(2, classes, *shape, generator=generator, dtype=torch.float64) * 3
    labels = torch.randint(0, classes, (2, *shape), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < ignored] = IGNORE
    return scores, labels


@pytest.mark.parametrize(("classes", "shape"), CASES)
@pytest.mark.parametrize("ignored", [0.0, 0.4])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_is_torchs_mean(classes: int, shape: tuple[int, ...], ignored: float, weighted: bool) -> None:
    scores, labels = random_batch(classes, shape, ignored)
    weights = tuple(0.5 + index for index in range(classes)) if weighted else None
    tensor = scores.new_tensor(weights) if weights else None
    expected = functional.cross_entropy(scores, labels, tensor, ignore_index=IGNORE)
    torch.testing.assert_close(cross_entropy(scores, labels, weights), expected)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_cross_entropy_of_no_opinion_is_log_of_the_classes(classes: int) -> None:
    labels = torch.arange(classes)[None]
    assert cross_entropy(torch.zeros(1, classes, classes), labels).item() == pytest.approx(math.log(classes))
    assert cross_entropy(torch.zeros(1, classes, classes), labels, (0.3,) * classes).item() == pytest.approx(
        math.log(classes)
    )


@pytest.mark.parametrize(("classes", "shape"), CASES)
def test_soft_dice_is_monais(classes: int, shape: tuple[int, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        losses = pytest.importorskip("monai.losses")
        oracle = losses.DiceLoss(
            include_background=False, softmax=True, to_onehot_y=True, batch=True, smooth_nr=SMOOTH, smooth_dr=SMOOTH
        )
        scores, labels = random_batch(classes, shape)
        expected = 1 - oracle(scores, labels[:, None])
    torch.testing.assert_close(soft_dice(scores, labels), expected)


@pytest.mark.parametrize(("classes", "shape"), CASES)
def test_soft_dice_with_ignored_pixels_is_that_of_the_others(classes: int, shape: tuple[int, ...]) -> None:
    scores, labels = random_batch(classes, shape, 0.4)
    kept = labels.ravel() != IGNORE
    listed = scores.movedim(1, -1).reshape(-1, classes)[kept].T[None]
    torch.testing.assert_close(soft_dice(scores, labels), soft_dice(listed, labels.ravel()[kept][None]))


def test_soft_dice_runs_from_nothing_to_perfect() -> None:
    labels = torch.tensor([[0, 1] * 500])
    right = 50.0 * functional.one_hot(labels, 2).movedim(-1, 1)
    assert soft_dice(right, labels).item() == pytest.approx(1)
    assert soft_dice(-right, labels).item() == pytest.approx(0, abs=1.1 * SMOOTH / 1000)


@pytest.mark.parametrize(
    "recipe", [Recipe(), Recipe(dice=0), Recipe(cross_entropy=0), Recipe(class_weights=(1.0, 2.0, 3.0))]
)
def test_ignored_pixels_have_no_gradient_and_do_not_matter(recipe: Recipe) -> None:
    scores, labels = random_batch(3, (5, 7), 0.4)
    scores.requires_grad_()
    loss = compute_loss(scores, labels, recipe)
    (gradient,) = torch.autograd.grad(loss, scores)
    ignored = (labels == IGNORE).unsqueeze(1).expand_as(scores)
    assert not gradient[ignored].any()
    assert gradient[~ignored].all()
    other = torch.where(ignored, -7 * scores, scores)
    torch.testing.assert_close(compute_loss(other, labels, recipe), loss)


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(class_weights=(1.0, 2.0))])
def test_a_batch_without_any_label_teaches_nothing(recipe: Recipe) -> None:
    scores = torch.randn(2, 2, 4, 4, requires_grad=True)
    loss = compute_loss(scores, torch.full((2, 4, 4), IGNORE), recipe)
    loss.backward()
    assert math.isfinite(loss.item())
    assert scores.grad is not None
    assert not scores.grad.any()


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(cross_entropy=2, dice=0.5), Recipe(dice=0)])
def test_the_loss_is_the_weighted_sum(recipe: Recipe) -> None:
    scores, labels = random_batch(3, (5, 7), 0.2)
    parts = recipe.cross_entropy * cross_entropy(scores, labels) + recipe.dice * (1 - soft_dice(scores, labels))
    torch.testing.assert_close(compute_loss(scores, labels, recipe), parts.float())


def test_gradients_are_those_of_differences() -> None:
    scores, labels = random_batch(3, (2, 3), 0.2)
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: cross_entropy(s, labels, (1.0, 2.0, 0.5)), scores)
    assert torch.autograd.gradcheck(lambda s: soft_dice(s, labels), scores)


@pytest.mark.parametrize(("classes", "shape"), CASES)
@pytest.mark.parametrize("weighted", [False, True])
def test_extra_weight_is_equation_2_of_the_paper(classes: int, shape: tuple[int, ...], weighted: bool) -> None:
    """w(x) = w_c(x) + w_0 b(x), spelled out pixel by pixel; ignored pixels weigh nothing."""
    scores, labels = random_batch(classes, shape, 0.2)
    border = torch.rand(labels.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    by_class = (
        torch.arange(1, classes + 1, dtype=torch.float64) if weighted else torch.ones(classes, dtype=torch.float64)
    )
    counted = labels != IGNORE
    nats = -scores.log_softmax(1).gather(1, labels.clamp_min(0)[:, None])[:, 0]
    class_weight = by_class[labels.clamp_min(0)]
    expected = ((class_weight + 10 * border) * nats)[counted].sum() / class_weight[counted].sum()
    weights = tuple(by_class.tolist()) if weighted else None
    torch.testing.assert_close(cross_entropy(scores, labels, weights, 10 * border), expected)
    recipe = Recipe(dice=0, border=10, class_weights=weights)
    torch.testing.assert_close(compute_loss(scores, labels, recipe, border).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("classes", "shape"), CASES)
def test_every_pixel_is_marked_in_its_class_and_ignored_ones_in_none(classes: int, shape: tuple[int, ...]) -> None:
    _, labels = random_batch(classes, shape, 0.3)
    truth = mark_classes(labels, classes)
    expected = functional.one_hot(labels.clamp_min(0), classes).movedim(-1, 1) * (labels != IGNORE)[:, None]
    assert torch.equal(truth, expected.float())
