"""Learning from another network beside the labels; knows modules, scores and feature maps, neither images nor steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from math import inf
from types import EllipsisType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from unetscope.checkpoint import Checkpoint, digest_weights
from unetscope.engines.torch_engine import memory_layout
from unetscope.errors import RecipeError
from unetscope.model.geometry import layer_shapes, margin, smallest_size
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet, class_scores

Box = tuple[slice, ...]


@dataclass(frozen=True)
class Teacher:
    """A trained network that another one learns from.

    The loss is (1 - share) * labels + share * soft targets + attention * features, the latter where there are any in
    common.

    Attributes:
        module: Turns normalized patches, as the student sees them, into scores before soft-max (batch, classes, [z,] y,
            x); a copy of it works, in eval mode and without gradients.
        temperature: What scores are divided by before soft-max, in teacher and student.
        share: Weight of the teacher's softened scores, from 0 to 1; the labels weigh the rest.
        attention: Weight of the features: of where the layers of equal name look. For U-Nets alone.

    Raises:
        RecipeError: A setting is out of range, or the module is no U-Net and its features are asked for.

    Example:
        >>> Teacher(UNet(UNetSpec.by_level((2, 4))), share=0.9).describe()["temperature"]
        2.0

    Source:
        Hinton, Vinyals, Dean 2015, section 2; Zagoruyko & Komodakis 2017, equation 2.
    """

    module: nn.Module = field(repr=False)
    temperature: float = 2.0
    share: float = 0.5
    attention: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what teaches nothing."""
        if not 0 < self.temperature < inf:
            raise RecipeError(f"temperature is {self.temperature}; use a number above 0, such as 2")
        if not 0 <= self.share <= 1:
            raise RecipeError(f"share is {self.share}; use a number from 0 (labels alone) to 1 (the teacher alone)")
        if not 0 <= self.attention < inf:
            raise RecipeError(f"attention is {self.attention}; use a number from 0")
        if not self.share and not self.attention:
            raise RecipeError("share and attention are both 0, so nothing is learned from the teacher; raise one")
        if self.attention and not isinstance(self.module, UNet):
            raise RecipeError(
                f"attention is {self.attention} and the teacher is a {type(self.module).__name__}, whose layers have "
                "other names; set it to 0, or give a U-Net"
            )

    @classmethod
    def of(cls, checkpoint: Checkpoint, **settings: float) -> Self:
        """The network of a checkpoint as a teacher.

        Args:
            checkpoint: A trained network; the student's images must be normalized as its are.
            settings: Temperature, share and attention, where they are not the usual ones.

        Raises:
            CheckpointError: The weights are not those of the described network.
            RecipeError: A setting is out of range.
        """
        return cls(checkpoint.network(), **settings)

    def describe(self) -> dict[str, Any]:
        """What a result records of the teacher: plain values, and a digest of its weights."""
        return {
            "module": type(self.module).__name__,
            "weights": digest_weights(self.module.state_dict()),
            "temperature": self.temperature,
            "share": self.share,
            "attention": self.attention,
        }


class Tutor:
    """A teacher at work beside one student.

    A U-Net whose grid is coarser than the student's sees the largest central part of a patch that it accepts. Where
    the margins of the two differ, the pixels that both label count.

    Args:
        teacher: Who teaches what.
        student: The network that learns.
        shape: What it reads of a patch, [z,] y, x pixels.
        device: Where both compute.

    Attributes:
        layers: Layers whose features count: those of equal name and size. None where the teacher sees only a part.

    Raises:
        RecipeError: The teacher cannot take such patches, gives other classes, or labels none of the student's pixels;
            or there is nothing to learn from it.
    """

    def __init__(self, teacher: Teacher, student: UNetSpec, shape: tuple[int, ...], device: torch.device) -> None:
        self.teacher = teacher
        self.module = deepcopy(teacher.module).eval().requires_grad_(False).to(device)
        spec = self.module.spec if isinstance(self.module, UNet) else None
        whole = tuple(slice(0, size) for size in shape)
        self.view = whole
        if spec is not None:
            self.module.to(memory_format=memory_layout(spec))  # type: ignore[call-overload]
            self.view = _see_most(spec, shape)
        ours = tuple(slice(lost, size - lost) for lost, size in zip(margin(student), shape, strict=True))
        theirs = self._find_labelled(student, device)
        both = tuple(_intersect(one, other) for one, other in zip(ours, theirs, strict=True))
        self._of_student, self._of_teacher = _within(both, ours), _within(both, theirs)
        self.layers: tuple[str, ...] = ()
        if spec is not None and teacher.attention and self.view == whole:
            self.layers = _shared_layers(student, spec, shape)
        if not teacher.share and not self.layers:
            raise RecipeError(
                "share is 0, and no layer of teacher and student has the same name and size, so nothing is learned "
                "from the teacher; raise share, or give another teacher or patch size"
            )

    def _find_labelled(self, student: UNetSpec, device: torch.device) -> Box:
        """The pixels of a patch that the teacher labels, found by trying."""
        seen = tuple(part.stop - part.start for part in self.view)
        try:
            with torch.no_grad():
                scores = class_scores(self.module(torch.zeros(2, student.image_channels, *seen, device=device)))
            sizes = tuple(scores.shape[2:])
        except Exception as error:  # whatever another's network stumbles over
            came = f"patches of {student.image_channels} channels and {'x'.join(map(str, seen))} pixels"
            raise RecipeError(
                f"the teacher cannot take {came} ({_first_line(error)}); give a teacher for such images, or another "
                "patch size"
            ) from error
        lost = [size - left for size, left in zip(seen, sizes, strict=False)]
        if len(scores) != 2 or len(sizes) != len(seen) or any(count < 0 or count % 2 for count in lost):
            raise RecipeError(
                f"the teacher turns {'x'.join(map(str, seen))} pixels into scores of shape {tuple(scores.shape)}, and "
                "which pixels these label cannot be told; give a teacher that loses as many at both ends, or none"
            )
        if scores.shape[1] != max(2, student.classes):
            raise RecipeError(
                f"the teacher tells {scores.shape[1]} classes apart and the student {max(2, student.classes)}; both "
                "must be the same: give another teacher"
            )
        return tuple(
            slice(part.start + count // 2, part.stop - count // 2) for part, count in zip(self.view, lost, strict=True)
        )

    def teach(self, network: nn.Module, images: Tensor) -> tuple[Tensor, Lesson]:
        """Show a batch to both.

        Args:
            network: The student, perhaps wrapped.
            images: (batch, channels, [z,] y, x), normalized.

        Returns:
            The student's scores as it gives them, and what the teacher made of the same images.
        """
        student = next(module for module in network.modules() if isinstance(module, UNet))
        with _listen(student, self.layers) as ours:
            scores = network(images)
        with torch.no_grad(), _listen(self.module, self.layers) as theirs:
            taught = class_scores(self.module(_cut(images, self.view)))
        maps = tuple((ours[layer], theirs[layer]) for layer in self.layers)
        learned = _cut(class_scores(scores), self._of_student)
        return scores, Lesson(self.teacher, learned, _cut(taught, self._of_teacher), maps, self._of_student)


@dataclass(frozen=True)
class Lesson:
    """What teacher and student made of one batch.

    Attributes:
        teacher: How the two are compared.
        learned: The student's class scores of the pixels that both label.
        taught: The teacher's.
        maps: Of every layer whose features count, what student and teacher put out.
        box: The part of the student's scores that both label.
    """

    teacher: Teacher
    learned: Tensor
    taught: Tensor
    maps: Sequence[tuple[Tensor, Tensor]]
    box: Box

    def blend(self, loss: Tensor, labels: Tensor) -> Tensor:
        """The loss of labels and teacher together.

        Args:
            loss: That of the labels alone.
            labels: (batch, [z,] y, x) of all the student's pixels; -1 counts nowhere.
        """
        share, counts = self.teacher.share, _cut(labels, self.box) >= 0
        total = (1 - share) * loss
        if share:
            total = total + share * soft_loss(self.learned, self.taught, counts, self.teacher.temperature)
        if self.maps:
            total = total + self.teacher.attention * attention_loss(self.maps)
        return total


def soft_loss(learned: Tensor, taught: Tensor, counts: Tensor, temperature: float) -> Tensor:
    """How far softened class probabilities are from the teacher's, nats per pixel times the squared temperature.

    Args:
        learned: (batch, classes, [z,] y, x), the student's scores before soft-max.
        taught: The teacher's, of the same shape.
        counts: (batch, [z,] y, x), whether a pixel counts.
        temperature: What scores are divided by. The gradient of soft targets shrinks by its square, which makes up for
            it.

    Returns:
        The mean Kullback-Leibler divergence over the pixels that count; 0 when none does.

    Source:
        Hinton, Vinyals, Dean 2015, equation 1 and section 2.

    Example:
        >>> scores = torch.tensor([[[3.0, 1.0], [0.0, 2.0]]])
        >>> soft_loss(scores, scores + 5, torch.ones(1, 2, dtype=torch.bool), 4).item()
        0.0
    """
    ours, theirs = (functional.log_softmax(scores.float() / temperature, 1) for scores in (learned, taught))
    divergence = (theirs.exp() * (theirs - ours)).sum(1)
    return temperature**2 * (divergence * counts).sum() / counts.sum().clamp_min(1)


def attention_loss(maps: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """How far where a student's layers look is from where the teacher's do.

    Args:
        maps: For every layer what student and teacher put out, (batch, channels, [z,] y, x); channels may differ.

    Returns:
        Half the sum over layers of the distance between the maps of squares, each of length 1; the mean of the batch.

    Source:
        Zagoruyko & Komodakis 2017, equation 2 with p = 2, without the weight beta.

    Example:
        >>> attention_loss([(torch.ones(1, 2, 3, 3), torch.ones(1, 5, 3, 3))]).item()
        0.0
    """
    distances = [(_attention(ours) - _attention(theirs)).norm(dim=1).mean() for ours, theirs in maps]
    return torch.stack(distances).sum() / 2


def _attention(features: Tensor) -> Tensor:
    """Where a layer looks: the sum of squares over its channels, (batch, pixels) of length 1; 0 for a silent layer."""
    return functional.normalize(features.float().square().sum(1).flatten(1), dim=1)


def _see_most(spec: UNetSpec, shape: tuple[int, ...]) -> Box:
    """The largest central part of a patch that a U-Net accepts; all of it where it accepts none."""
    sizes = [
        size if size < least else least + (size - least) // stride * stride
        for size, least, stride in zip(shape, smallest_size(spec), spec.total_stride, strict=False)
    ]
    starts = [(size - part) // 2 for size, part in zip(shape, sizes, strict=False)]
    return tuple(slice(start, start + part) for start, part in zip(starts, sizes, strict=True))


def _intersect(one: slice, other: slice) -> slice:
    """The pixels of both.

    Raises:
        RecipeError: There are none.
    """
    start, stop = max(one.start, other.start), min(one.stop, other.stop)
    if start >= stop:
        raise RecipeError(
            f"of a patch the student labels the pixels {one.start} to {one.stop} and the teacher {other.start} to "
            f"{other.stop}, and none is labelled by both; use larger patches"
        )
    return slice(start, stop)


def _cut(x: Tensor, box: Box) -> Tensor:
    """A part along the last axes."""
    index: tuple[EllipsisType | slice, ...] = (..., *box)
    return x[index]


def _within(part: Box, whole: Box) -> Box:
    """A part of a box, counted from where the box starts."""
    return tuple(
        slice(inner.start - outer.start, inner.stop - outer.start) for inner, outer in zip(part, whole, strict=True)
    )


def _shared_layers(student: UNetSpec, teacher: UNetSpec, shape: tuple[int, ...]) -> tuple[str, ...]:
    """The last convolutions of the levels that both networks have under one name and in one size."""
    ours, theirs = layer_shapes(student, shape), layer_shapes(teacher, shape)
    return tuple(
        layer
        for layer in student.widths
        if layer.endswith(f".conv{student.convolutions}")
        and teacher.convolutions == student.convolutions
        and layer in theirs
        and ours[layer] == theirs[layer]
    )


@contextmanager
def _listen(network: nn.Module, layers: Sequence[str]) -> Iterator[Mapping[str, Tensor]]:
    """What layers put out while the network runs; no layer of ours changes what it reads."""
    heard: dict[str, Tensor] = {}
    handles = [network.get_submodule(name).register_forward_hook(partial(_keep, heard, name)) for name in layers]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def _keep(heard: dict[str, Tensor], name: str, _module: nn.Module, _inputs: object, output: Tensor) -> None:
    heard[name] = output


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
