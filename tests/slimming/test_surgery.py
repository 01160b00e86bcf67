"""A slim network computes what the original does whose other channels and skips are silent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.errors import SlimError
from unetscope.model.geometry import smallest_size
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet, load_weights
from unetscope.slimming.plan import SlimPlan
from unetscope.slimming.surgery import slice_weights
from unetscope.wiring import HEAD

UPS = ("transposed", "nearest", "linear", "subpixel", "unpool")
KINDS = list(product((2, 3), (True, False), UPS))


@st.composite
def specs(draw: Any, ndim: int, padded: bool, up: str, least_depth: int = 0) -> UNetSpec:
    depth = draw(st.integers(least_depth, 3 if ndim == 2 and padded else 2 if ndim == 2 else 1 + padded))
    convolutions = draw(st.integers(1, 2))
    down = "max" if up == "unpool" else draw(st.sampled_from(["max", "strided"]))
    names = UNetSpec.by_level((1,) * (depth + 1), convolutions=convolutions, down=down).widths
    return UNetSpec(
        widths=tie({name: draw(st.integers(1, 5)) for name in names}, up, convolutions),
        image_channels=draw(st.integers(1, 2)),
        classes=draw(st.integers(1, 3)),
        ndim=ndim,
        depth=depth,
        convolutions=convolutions,
        skips=draw(st.sets(st.integers(0, depth - 1))) if depth else (),
        padded=padded,
        norm=draw(st.sampled_from(["none", "batch", "instance"])),
        activation=draw(st.sampled_from(["relu", "leaky"])),
        slope=0.1,
        down=down,
        up=up,
        strides=tuple(tuple(draw(st.integers(1, 3)) for _ in range(ndim)) for _ in range(depth)),
        dropout=draw(st.sampled_from([0.0, 0.5])),
    )


def tie(widths: dict[str, int], up: str, convolutions: int) -> dict[str, int]:
    """What unpools is as wide as what was pooled."""
    if up != "unpool":
        return widths
    places = {name: f"encoder.{name.split('.')[1]}.conv{convolutions}" for name in widths if name.endswith("up")}
    return {name: widths[places.get(name, name)] for name in widths}


@st.composite
def cases(draw: Any, ndim: int, padded: bool, up: str, cut: bool = False) -> tuple[Checkpoint, SlimPlan]:
    spec = draw(specs(ndim, padded, up, int(cut)))
    checkpoint = randomize(spec, draw(st.integers(0, 1000)))
    widths = {name: draw(st.integers(1, width)) for name, width in spec.widths.items()}
    plan = SlimPlan(
        origin=spec,
        weights=checkpoint.digest(),
        depth=draw(st.integers(0, spec.depth - 1)) if cut else spec.depth,
        skips=tuple(level for level in spec.skip_levels if draw(st.booleans())),
        widths=tie(widths, up, spec.convolutions),
        order={name: tuple(draw(st.permutations(range(width)))) for name, width in spec.widths.items()},
    )
    return checkpoint, plan


def randomize(spec: UNetSpec, seed: int) -> Checkpoint:
    """A network of which nothing is 0 or 1 by birth."""
    rng = np.random.default_rng(seed)

    def draw(name: str, tensor: Tensor) -> np.ndarray:
        if not tensor.ndim:
            return np.array(rng.integers(1, 99))
        if "running_var" in name:
            return rng.uniform(0.5, 2, tensor.shape).astype(np.float32)
        return rng.normal(0, 2 / (1 + tensor[0].numel()) ** 0.5, tensor.shape).astype(np.float32)

    weights = {name: draw(name, tensor) for name, tensor in UNet(spec).state_dict().items()}
    return Checkpoint(spec, weights, Normalization("image"), tuple("abc"[: max(2, spec.classes)]))


def channels(width: int, kept: tuple[int, ...], ndim: int) -> Tensor:
    """Which channels stay."""
    mask = torch.zeros(width, dtype=torch.bool)
    mask[list(kept)] = True
    return mask.reshape(-1, *[1] * ndim)


def silence(network: UNet, plan: SlimPlan) -> UNet:
    """The original, in which what the plan leaves out is zero."""
    spec = plan.origin
    for layer in (each for each in plan.spec.wiring.layers if each != HEAD):
        source = plan.source_of(layer)
        mask = channels(spec.width(source), plan.kept(layer), spec.ndim)
        network.get_submodule(source).register_forward_hook(lambda _m, _i, output, mask=mask: output * mask)
    for level in set(spec.skip_levels) - set(plan.skips):
        join, first = f"decoder.{level}.conv1", spec.width(spec.sources(f"decoder.{level}.conv1")[0])
        mask = channels(spec.in_width(join), tuple(range(first, spec.in_width(join))), spec.ndim)
        network.get_submodule(join).register_forward_pre_hook(lambda _m, inputs, mask=mask: (inputs[0] * mask,))
    return network


def make_image(spec: UNetSpec) -> Tensor:
    torch.manual_seed(0)
    shape = [n + stride for n, stride in zip(smallest_size(spec), spec.total_stride, strict=True)]
    return torch.randn(2, spec.image_channels, *shape, dtype=torch.float64)


def make_slim(checkpoint: Checkpoint, plan: SlimPlan) -> UNet:
    return load_weights(UNet(plan.spec), slice_weights(checkpoint, plan)).eval().double()


def assert_equal(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= 1e-9 * float(expected.abs().max()) + 1e-12


@pytest.mark.parametrize(("ndim", "padded", "up"), KINDS)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_sliced_is_silenced(data: Any, ndim: int, padded: bool, up: str) -> None:
    checkpoint, plan = data.draw(cases(ndim, padded, up))
    image = make_image(checkpoint.spec)
    with torch.no_grad():
        assert_equal(make_slim(checkpoint, plan)(image), silence(checkpoint.network().double(), plan)(image))


@pytest.mark.parametrize("norm", ["none", "batch", "instance"])
@pytest.mark.parametrize("skips", [(), (0,), (1,), (0, 1)])
def test_it_holds_in_single_precision_too(norm: Any, skips: tuple[int, ...]) -> None:
    spec = UNetSpec.by_level((8, 12, 16), norm=norm)
    checkpoint = randomize(spec, 5)
    plan = SlimPlan.keep_all(spec, checkpoint.digest())
    order = {name: tuple(reversed(channels)) for name, channels in plan.order.items()}
    plan = plan.with_changes(skips=skips, order=order, widths={name: n // 2 for name, n in spec.widths.items()})
    image = make_image(spec).float()
    with torch.no_grad():
        found = make_slim(checkpoint, plan).float()(image)
        expected = silence(checkpoint.network(), plan)(image)
    assert float((found - expected).abs().max()) <= 1e-5 * float(expected.abs().max())


def test_the_plan_that_keeps_all_changes_nothing() -> None:
    spec = UNetSpec.by_level((3, 4, 5), norm="batch", up="subpixel")
    checkpoint = randomize(spec, 1)
    sliced = slice_weights(checkpoint, SlimPlan.keep_all(spec, checkpoint.digest()))
    assert list(sliced) == list(checkpoint.weights)
    for name, array in checkpoint.weights.items():
        np.testing.assert_array_equal(sliced[name], array)
        assert sliced[name].dtype == array.dtype
        assert not np.shares_memory(sliced[name], array)


# --- cuts of the depth -------------------------------------------------------------------------------------------


def listen(network: UNet, layer: str) -> list[Tensor]:
    heard = list[Tensor]()
    network.get_submodule(layer).register_forward_hook(lambda _m, _i, output: heard.append(output))
    return heard


@pytest.mark.parametrize(("ndim", "padded", "up"), KINDS)
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_the_new_bottleneck_computes_what_its_level_did(data: Any, ndim: int, padded: bool, up: str) -> None:
    checkpoint, plan = data.draw(cases(ndim, padded, up, cut=True))
    slim, origin = make_slim(checkpoint, plan), silence(checkpoint.network().double(), plan)
    layer = f"bottleneck.conv{plan.spec.convolutions}"
    ours, theirs = listen(slim, layer), listen(origin, plan.source_of(layer))
    with torch.no_grad():
        image = make_image(checkpoint.spec)
        slim(image), origin(image)
    assert_equal(ours[0], theirs[0][:, list(plan.kept(layer))])


def put_out(network: UNet, layer: str, value: Callable[[Tensor], Tensor]) -> None:
    network.get_submodule(layer).register_forward_hook(lambda _m, _i, output: value(output))


@pytest.mark.parametrize(("ndim", "up"), list(product((2, 3), UPS)))
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_all_above_the_seam_computes_what_it_did(data: Any, ndim: int, up: str) -> None:
    """With the same map put out by the one layer that starts afresh, the networks agree."""
    checkpoint, plan = data.draw(cases(ndim, True, up, cut=True).filter(lambda case: case[1].depth > 0))
    seam = f"decoder.{plan.depth - 1}.up"
    slim, origin = make_slim(checkpoint, plan), checkpoint.network().double()
    rng = np.random.default_rng(0)

    def draw(output: Tensor) -> Tensor:
        shape = (len(output), checkpoint.spec.width(seam), *output.shape[2:])
        return torch.from_numpy(rng.standard_normal(shape))

    drawn = list[Tensor]()
    put_out(origin, seam, lambda output: drawn.append(draw(output)) or drawn[0])  # type: ignore[func-returns-value]
    put_out(slim, seam, lambda _: drawn[0][:, list(plan.kept(seam))])
    with torch.no_grad():
        image = make_image(checkpoint.spec)
        expected = silence(origin, plan)(image)
        assert_equal(slim(image), expected)


def cut_plan(depth: int, **rest: Any) -> tuple[Checkpoint, SlimPlan]:
    spec = UNetSpec.by_level((3, 4, 5), norm="none", **rest)
    checkpoint = randomize(spec, 1)
    return checkpoint, SlimPlan.keep_all(spec, checkpoint.digest()).with_changes(depth=depth)


@pytest.mark.parametrize("up", UPS)
@pytest.mark.parametrize(("depth", "seam"), [(1, "decoder.0.up"), (0, HEAD)])
def test_the_seam_alone_starts_afresh(up: Any, depth: int, seam: str) -> None:
    checkpoint, plan = cut_plan(depth, up=up)
    first, same, other = (slice_weights(checkpoint, plan, seed) for seed in (0, 0, 1))
    drawn = [name for name in first if not np.array_equal(first[name], other[name])]
    assert drawn == [f"{seam}.conv.weight"]
    np.testing.assert_array_equal(first[drawn[0]], same[drawn[0]])
    np.testing.assert_array_equal(first[f"{seam}.conv.bias"], checkpoint.weights[f"{seam}.conv.bias"])
    for number in (1, 2):
        np.testing.assert_array_equal(
            first[f"bottleneck.conv{number}.conv.weight"],
            checkpoint.weights[f"encoder.{depth}.conv{number}.conv.weight"],
        )


def test_drawing_afresh_leaves_the_generator_alone() -> None:
    checkpoint, plan = cut_plan(1)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    slice_weights(checkpoint, plan)
    assert torch.equal(torch.rand(2), expected)


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["weights", "spec"])
def test_a_plan_for_another_network_is_refused(change: str) -> None:
    checkpoint, plan = cut_plan(1)
    other: Mapping[str, Checkpoint] = {"weights": randomize(checkpoint.spec, 2), "spec": cut_plan(1, classes=3)[0]}
    with pytest.raises(SlimError, match="the plan is for another network"):
        slice_weights(other[change], plan)
