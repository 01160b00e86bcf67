"""What is learned from a teacher, against sums by hand; pixels that do not count, margins that differ, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.errors import RecipeError
from unetscope.model.geometry import margin
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet, class_scores
from unetscope.training.distillation import Teacher, Tutor, attention_loss, soft_loss

CPU = torch.device("cpu")
SPEC = UNetSpec.by_level((4, 6, 8))


def make(spec: UNetSpec, seed: int = 0) -> UNet:
    torch.manual_seed(seed)
    return UNet(spec)


def make_tutor(teacher: Teacher, student: UNetSpec, *shape: int) -> Tutor:
    return Tutor(teacher, student, shape, CPU)


def random_scores(classes: int, *shape: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(classes)
    counts = torch.rand(2, *shape) < 0.6
    return 3 * torch.randn(2, classes, *shape), 3 * torch.randn(2, classes, *shape), counts


# --- the losses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize(("classes", "shape"), [(2, (3, 5)), (4, (2, 3, 4))])
def test_soft_targets_are_learned_by_their_divergence(classes: int, shape: tuple[int, ...], temperature: float) -> None:
    learned, taught, counts = random_scores(classes, *shape)
    total = 0.0
    for image, *place in np.argwhere(counts.numpy()).tolist():
        p, q = (
            np.exp(scores[(image, slice(None), *place)].double().numpy() / temperature) for scores in (taught, learned)
        )
        p, q = p / p.sum(), q / q.sum()
        total += float((p * np.log(p / q)).sum())
    expected = temperature**2 * total / int(counts.sum())
    assert soft_loss(learned, taught, counts, temperature).item() == pytest.approx(expected, rel=1e-5)


def test_soft_targets_at_high_temperature_are_squares_of_the_scores() -> None:
    """Hinton, Vinyals, Dean 2015, equation 4: of scores with mean zero, half the mean squared difference remains."""
    learned, taught, counts = random_scores(5, 4, 4)
    learned, taught = (scores - scores.mean(1, keepdim=True) for scores in (learned, taught))
    expected = (learned - taught).square().mean(1)[counts].mean() / 2
    assert soft_loss(learned, taught, counts, 1000).item() == pytest.approx(expected.item(), rel=0.02)


def test_pixels_that_do_not_count_change_nothing() -> None:
    learned, taught, counts = random_scores(3, 6, 6)
    loud = torch.where(counts.unsqueeze(1), learned, 50 * learned)
    assert torch.equal(soft_loss(learned, taught, counts, 2), soft_loss(loud, taught, counts, 2))
    assert soft_loss(learned, taught, torch.zeros_like(counts), 2).item() == 0


def attention_by_hand(ours: Tensor, theirs: Tensor) -> float:
    distances = []
    for image in range(len(ours)):
        a, b = ((features[image].double().numpy() ** 2).sum(0).ravel() for features in (ours, theirs))
        distances.append(np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b)))
    return float(np.mean(distances)) / 2


def test_attention_is_the_distance_between_normalized_maps_of_squares() -> None:
    torch.manual_seed(0)
    maps = [
        (torch.randn(2, 3, 4, 5), torch.randn(2, 7, 4, 5)),
        (torch.randn(2, 2, 2, 2, 2), torch.randn(2, 1, 2, 2, 2)),
    ]
    assert attention_loss(maps).item() == pytest.approx(sum(attention_by_hand(*pair) for pair in maps), rel=1e-5)
    louder = [(100 * ours, theirs.flip(1)) for ours, theirs in maps]
    assert attention_loss(louder).item() == pytest.approx(attention_loss(maps).item(), rel=1e-5)


@pytest.mark.parametrize("silent", [0, 1, 2])
def test_silent_and_equal_layers_have_finite_gradients(silent: int) -> None:
    ours, theirs = torch.ones(1, 2, 3, 3, requires_grad=True), torch.ones(1, 4, 3, 3)
    scale = [0.0 if silent == 0 else 1.0, 0.0 if silent == 1 else 1.0]
    attention_loss([(ours * scale[0], theirs * scale[1])]).backward()
    assert ours.grad is not None
    assert bool(ours.grad.isfinite().all())


# --- the tutor ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "temperature"), [(1.0, 1.0), (0.25, 3.0)])
@pytest.mark.parametrize("classes", [1, 3])
def test_labels_and_teacher_are_blended(share: float, temperature: float, classes: int) -> None:
    spec = replace(SPEC, classes=classes)
    teacher, student = make(spec, 1), make(replace(UNetSpec.by_level((2, 3)), classes=classes))
    images = torch.randn(2, 1, 16, 16)
    labels = torch.randint(-1, max(2, classes), (2, 16, 16))
    tutor = make_tutor(Teacher(teacher, temperature, share), student.spec, 16, 16)
    scores, lesson = tutor.teach(student, images)
    assert torch.equal(scores, student(images))
    soft = soft_loss(class_scores(scores), class_scores(teacher(images)), labels >= 0, temperature)
    expected = (1 - share) * 7 + share * soft.item()
    assert lesson.blend(torch.tensor(7.0), labels).item() == pytest.approx(expected, rel=1e-5)


def test_features_of_the_last_convolutions_are_compared() -> None:
    teacher, student = make(SPEC, 1), make(UNetSpec.by_level((2, 2, 2)))
    tutor = make_tutor(Teacher(teacher, share=0, attention=0.5), student.spec, 16, 16)
    layers = ["encoder.0.conv2", "encoder.1.conv2", "bottleneck.conv2", "decoder.1.conv2", "decoder.0.conv2"]
    assert list(tutor.layers) == layers
    heard: dict[tuple[int, str], Tensor] = {}
    for number, network in enumerate((student, teacher)):
        for layer in layers:
            network.get_submodule(layer).register_forward_hook(
                lambda _m, _i, output, key=(number, layer): heard.__setitem__(key, output.clone())
            )
    images = torch.randn(2, 1, 16, 16)
    _, lesson = tutor.teach(student, images)
    teacher(images)
    expected = 3 + 0.5 * sum(attention_by_hand(heard[0, layer].detach(), heard[1, layer].detach()) for layer in layers)
    assert lesson.blend(torch.tensor(3.0), torch.zeros(2, 16, 16)).item() == pytest.approx(expected, rel=1e-4)


def test_a_shallower_student_shares_the_layers_of_equal_size() -> None:
    tutor = make_tutor(Teacher(make(SPEC), attention=1), UNetSpec.by_level((2, 2)), 16, 16)
    assert tutor.layers == ("encoder.0.conv2", "decoder.0.conv2")


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_student_learns_and_the_teacher_does_not(share: float) -> None:
    module = make(replace(SPEC, norm="batch", dropout=0.5), 1).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    student = make(UNetSpec.by_level((2, 2, 2), norm="batch"))
    tutor = make_tutor(Teacher(module, share=share, attention=1.0), student.spec, 16, 16)
    _, lesson = tutor.teach(student, torch.randn(2, 1, 16, 16))
    again = tutor.teach(student, torch.zeros(2, 1, 16, 16))[1], tutor.teach(student, torch.zeros(2, 1, 16, 16))[1]
    assert torch.equal(again[0].taught, again[1].taught)  # no dropout
    lesson.blend(torch.zeros(()), torch.zeros(2, 16, 16)).backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad for name, parameter in student.named_parameters() if not name.startswith("head")]
    assert all(gradient is not None and bool(gradient.isfinite().all()) for gradient in gradients)
    assert any(bool(gradient.any()) for gradient in gradients if gradient is not None)
    assert module.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in module.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_teaching_leaves_no_hooks() -> None:
    student = make(SPEC)
    make_tutor(Teacher(make(SPEC), attention=1), SPEC, 16, 16).teach(student, torch.zeros(1, 1, 16, 16))
    assert not any(module._forward_hooks for module in student.modules())


# --- margins and sizes -------------------------------------------------------------------------------------------


class Position(nn.Module):
    """Scores that say at which pixel they stand; as many pixels lost per side as asked for."""

    def __init__(self, lost: int, classes: int = 2) -> None:
        super().__init__()
        self.lost, self.classes = lost, classes

    def forward(self, images: Tensor) -> Tensor:
        kept = (slice(self.lost, size - self.lost) for size in images.shape[2:])
        return images[(slice(None), slice(0, 1), *kept)].repeat(1, self.classes, *[1] * (images.ndim - 2))


def numbered(*shape: int) -> Tensor:
    return torch.arange(float(np.prod(shape))).reshape(1, 1, *shape)


@pytest.mark.parametrize(
    ("lost", "padded", "shape"),
    [(0, True, (16, 16)), (3, True, (16, 20)), (0, False, (20, 24)), (3, False, (20, 24)), (9, False, (20, 24))],
)
def test_scores_meet_at_the_same_pixels(lost: int, padded: bool, shape: tuple[int, int]) -> None:
    spec = UNetSpec.by_level((2, 2), padded=padded)
    images, away = numbered(*shape), margin(spec)
    tutor = make_tutor(Teacher(Position(lost)), spec, *shape)
    _, lesson = tutor.teach(make(spec), images)
    both = max(lost, away[0])
    expected = images[:, :, both : shape[0] - both, both : shape[1] - both]
    assert torch.equal(lesson.taught[:, :1], expected)
    ours = images[:, :, away[0] : shape[0] - away[0], away[1] : shape[1] - away[1]]
    assert torch.equal(ours[(..., *lesson.box)], expected)
    assert lesson.learned.shape[2:] == expected.shape[2:]


@pytest.mark.parametrize("padded", [True, False])
def test_a_teacher_of_a_coarser_grid_sees_the_largest_part_that_it_accepts(padded: bool) -> None:
    spec, shape = UNetSpec.by_level((2, 2), padded=padded), (62, 58)
    teacher = make(UNetSpec.by_level((2, 2, 2), padded=padded), 1)
    tutor = make_tutor(Teacher(teacher, attention=1), spec, *shape)
    seen = [part.stop - part.start for part in tutor.view]
    assert seen == [60, 56]
    assert tutor.layers == ()
    images = torch.randn(1, 1, *shape)
    _, lesson = tutor.teach(make(spec), images)
    lost = [part.start + away for part, away in zip(tutor.view, margin(teacher.spec), strict=True)]
    assert [part.start + away for part, away in zip(lesson.box, margin(spec), strict=True)] == lost
    with torch.no_grad():
        torch.testing.assert_close(lesson.taught, teacher.eval()(images[(..., *tutor.view)]))


def test_the_size_that_both_accept_is_seen_whole() -> None:
    teacher = UNetSpec.preset("ronneberger2015", width=2, depth=2)
    tutor = make_tutor(Teacher(make(teacher)), replace(teacher, dropout=0.0), 100, 100)
    assert [(part.start, part.stop) for part in tutor.view] == [(0, 100)] * 2


# --- what is refused, and what is recorded -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0; use a number above 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"share": 1.5}, "share is 1.5; use a number from 0"),
        ({"attention": -1.0}, "attention is -1.0; use a number from 0"),
        ({"share": 0.0}, "share and attention are both 0"),
        ({"attention": 1.0}, "the teacher is a Position, whose layers have other names; set it to 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Teacher(Position(0), **settings)


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (Position(0, classes=3), (16, 16), "the teacher tells 3 classes apart and the student 2"),
        (Position(8), (16, 16), "the pixels 0 to 16 and the teacher 8 to 8, and none is labelled by both"),
        (nn.Conv2d(1, 2, 2), (16, 16), "16x16 pixels into scores of shape .* cannot be told"),
        (nn.Conv2d(3, 2, 1), (16, 16), "cannot take patches of 1 channels and 16x16 pixels"),
        (nn.Conv3d(1, 2, 1), (16, 16), "cannot take patches of 1 channels and 16x16 pixels"),
        (nn.Flatten(), (16, 16), "cannot be told"),
        (make(UNetSpec.by_level((2, 2), padded=False)), (16, 16), "input size 16 .*; use 18"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused(module: nn.Module, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make_tutor(Teacher(module), UNetSpec.by_level((2, 2)), *shape)


def test_a_teacher_with_nothing_in_common_is_refused() -> None:
    with pytest.raises(RecipeError, match="share is 0, and no layer of teacher and student has the same name and size"):
        make_tutor(Teacher(make(SPEC), share=0, attention=1), UNetSpec.by_level((2, 2), convolutions=3), 16, 16)


def test_the_network_of_a_checkpoint_teaches() -> None:
    checkpoint = Checkpoint(SPEC, make(SPEC, 3).state_dict(), Normalization("image"), ("background", "cell"))
    teacher = Teacher.of(checkpoint, temperature=4, attention=0.1)
    assert teacher.describe() == {
        "module": "UNet",
        "weights": checkpoint.digest(),
        "temperature": 4,
        "share": 0.5,
        "attention": 0.1,
    }
    assert Teacher(make(SPEC, 4)).describe()["weights"] != checkpoint.digest()
