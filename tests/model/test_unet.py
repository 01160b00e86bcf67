"""The network in torch against independent ones: a plain U-Net, slices of a volume, NumPy and SciPy."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn
from torch.nn import functional

from unetscope.errors import SizeError
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import Interpolation, Shuffle, UNet, class_scores, load_weights

UPS = ["transposed", "nearest", "linear", "subpixel"]
DOWN_UP = [*product(("max", "strided"), UPS), ("max", "unpool")]
SPECS = [
    UNetSpec.by_level((2, 3), padded=padded, down=down, up=up, norm=norm, ndim=ndim)
    for (padded, down), (up, norm), ndim in product(
        ((True, "max"), (False, "strided")), zip(UPS, ("none", "batch", "instance", "batch"), strict=True), (2, 3)
    )
] + [
    UNetSpec.by_level((2, 3), padded=padded, up="unpool", norm="batch", ndim=ndim)
    for padded, ndim in product((True, False), (2, 3))
]


def randomize(network: nn.Module) -> nn.Module:
    """Weights, biases, scales, shifts and running statistics that all matter."""
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5 if tensor.ndim == 1 else torch.randn_like(tensor) * 0.3)
    return network


# ------------------------------------------------------------------------------------------------ another way to it


class PlainUNet(nn.Module):
    """A padded U-Net with max pooling and transposed convolutions, written without a spec."""

    def __init__(self, widths, image_channels, classes, norm, slope):
        super().__init__()

        def block(inputs, width):
            parts = []
            for channels in (inputs, width):
                parts += [nn.Conv2d(channels, width, 3, padding=1, bias=not norm)]
                parts += [nn.BatchNorm2d(width)] if norm else []
                parts += [nn.LeakyReLU(slope)]
            return nn.Sequential(*parts)

        *tops, deepest = widths
        self.encoders = nn.ModuleList(block(a, b) for a, b in zip((image_channels, *tops), tops, strict=False))
        self.bottleneck = block(tops[-1], deepest)
        self.ups = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in pairwise(widths))
        self.decoders = nn.ModuleList(block(2 * width, width) for width in tops)
        self.head = nn.Conv2d(tops[0], classes, 1)

    def forward(self, x):
        skips = []
        for encoder in self.encoders:
            skips.append(encoder(x))
            x = functional.max_pool2d(skips[-1], 2)
        x = self.bottleneck(x)
        for skip, up, decoder in reversed(list(zip(skips, self.ups, self.decoders, strict=True))):
            x = decoder(torch.cat([skip, up(x)], dim=1))
        return self.head(x)

    def renamed_weights(self):
        """Weights under the names of `UNet`."""
        names = {"encoders": "encoder", "decoders": "decoder", "ups": "decoder"}
        per_conv = len(self.bottleneck) // 2
        renamed = {}
        for key, tensor in self.state_dict().items():
            part, *path, leaf = key.split(".")
            if part == "head":
                renamed[f"head.conv.{leaf}"] = tensor
            elif part == "ups":
                renamed[f"decoder.{path[0]}.up.conv.{leaf}"] = tensor
            else:
                number, place = divmod(int(path[-1]), per_conv)
                level = f".{path[0]}" if part != "bottleneck" else ""
                renamed[f"{names.get(part, part)}{level}.conv{number + 1}.{('conv', 'after.norm')[place]}.{leaf}"] = (
                    tensor
                )
        return renamed


@pytest.mark.parametrize("widths", [(3, 5), (2, 4, 3), (2, 3, 4, 5)])
@pytest.mark.parametrize(("norm", "activation"), [("none", "relu"), ("batch", "leaky")])
def test_a_plain_network_with_the_same_weights_agrees(widths, norm, activation):
    torch.manual_seed(0)
    slope = {"relu": 0.0, "leaky": 0.2}[activation]
    plain = randomize(PlainUNet(widths, 3, 2, norm == "batch", slope)).double().eval()
    spec = UNetSpec.by_level(widths, image_channels=3, norm=norm, activation=activation, slope=slope)
    network = load_weights(UNet(spec).double(), plain.renamed_weights()).eval()
    image = torch.randn(2, 3, 16, 24, dtype=torch.float64)
    scores = network(image)
    torch.testing.assert_close(scores, plain(image), rtol=1e-12, atol=1e-12)
    assert scores.std() > 1e-3


@pytest.mark.parametrize(("down", "up"), DOWN_UP)
def test_a_volume_of_independent_slices_is_its_slices(down, up):
    """With strides of 1 and kernels that look at one slice along z, a 3D network is a 2D network for every slice."""
    torch.manual_seed(0)
    flat = UNet(UNetSpec.by_level((2, 3, 2), down=down, up=up, norm="batch", strides=((2, 2), (2, 3))))
    deep = UNet(UNetSpec.by_level((2, 3, 2), down=down, up=up, norm="batch", ndim=3, strides=((1, 2, 2), (1, 2, 3))))
    randomize(flat)
    for name, tensor in deep.state_dict().items():
        given = flat.state_dict()[name]
        if tensor.ndim == 5:
            tensor.zero_()
            tensor = tensor[:, :, tensor.shape[2] // 2]
        tensor.copy_(given)
    volume = torch.randn(1, 1, 3, 8, 12, dtype=torch.float64)
    slices = flat.double().eval()(volume[0].transpose(0, 1))
    torch.testing.assert_close(deep.double().eval()(volume)[0].transpose(0, 1), slices)


@pytest.mark.parametrize("spec", SPECS)
def test_a_size_that_does_not_fit_is_refused_before_torch_sees_it(spec):
    with pytest.raises(SizeError, match="use "):
        UNet(spec)(torch.zeros(1, 1, *(39,) * spec.ndim))


@pytest.mark.parametrize("spec", SPECS)
def test_every_weight_takes_part(spec):
    torch.manual_seed(1)
    network = UNet(spec)
    network(torch.randn(2, 1, *(48 if spec.ndim == 2 else 24,) * spec.ndim)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert all(parameter.grad.any() for name, parameter in network.named_parameters() if name.endswith("weight"))


def test_images_of_a_batch_do_not_see_each_other():
    network = UNet(UNetSpec.by_level((2, 3), norm="batch")).eval()
    images = torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(network(images), torch.cat([network(image[None]) for image in images]))


def test_an_input_is_not_overwritten():
    image = torch.randn(1, 1, 8, 8)
    before = image.clone()
    UNet(UNetSpec.by_level((2, 3), activation="relu"))(image)
    assert torch.equal(image, before)


@pytest.mark.parametrize("damage", [lambda w: w.pop("head.conv.bias"), lambda w: w.update(extra=torch.zeros(1))])
def test_weights_are_loaded_one_for_one(damage):
    network = UNet(UNetSpec.by_level((2, 3)))
    weights = dict(network.state_dict())
    damage(weights)
    with pytest.raises(RuntimeError, match=r"Missing|Unexpected"):
        load_weights(network, weights)


# ----------------------------------------------------------------------------------------------------- initialization


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize(("down", "up"), DOWN_UP)
def test_weights_start_as_he_and_others_propose(up, down, ndim):
    """Each output sums `inputs` products: standard deviation sqrt(2 / inputs) before a ReLU, sqrt(1 / inputs) else."""
    torch.manual_seed(0)
    spec = UNetSpec.by_level((24, 32), image_channels=16, classes=32, up=up, down=down, ndim=ndim)
    network = UNet(spec)
    for layer in spec.wiring.layers:
        convolution, role = network.get_submodule(layer).conv, layer.rpartition(".")[2]
        window = {"head": 1, "up": 1 if up in ("transposed", "unpool") else 3**ndim, "down": 2**ndim}.get(role, 3**ndim)
        expected = ((2 if role.startswith("conv") else 1) / (spec.in_width(layer) * window)) ** 0.5
        weight = convolution.weight.detach().double()
        count = weight.numel()
        assert abs(weight.std().item() / expected - 1) < 5 / (2 * count) ** 0.5, layer
        assert abs(weight.mean().item()) < 5 * expected / count**0.5, layer
        assert not convolution.bias.any()


def test_a_seed_repeats_the_start():
    spec = UNetSpec.by_level((2, 3))
    starts = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        starts.append(torch.cat([tensor.flatten() for tensor in UNet(spec).state_dict().values()]))
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_a_bias_that_a_norm_removes_is_not_there(norm):
    keys = UNet(UNetSpec.by_level((2, 3), norm=norm, down="strided")).state_dict().keys()
    assert {key for key in keys if key.endswith("conv.bias")} == {
        *("encoder.0.down.conv.bias", "decoder.0.up.conv.bias", "head.conv.bias"),
    }
    assert {key for key in keys if key.endswith("after.norm.bias")} == {
        f"{part}.conv{index}.after.norm.bias" for part in ("encoder.0", "bottleneck", "decoder.0") for index in (1, 2)
    }


# -------------------------------------------------------------------------------------------------------------- parts


@pytest.mark.parametrize("ndim", [2, 3])
def test_dropout_drops_whole_channels_of_the_bottleneck_in_training_only(ndim):
    torch.manual_seed(0)
    spec = UNetSpec.by_level((2, 64), ndim=ndim, dropout=0.25, activation="leaky")
    network, outputs = UNet(spec), {}
    for layer in spec.wiring.layers:
        network.get_submodule(layer).register_forward_hook(
            lambda module, inputs, output, layer=layer: outputs.update({layer: output.detach()})
        )
    image = torch.randn(4, 1, *(4,) * ndim)
    network.eval()(image)
    calm = dict(outputs)
    network(image)
    assert all(torch.equal(calm[layer], outputs[layer]) for layer in calm)
    network.train()(image)
    assert {layer for layer in calm if not torch.equal(calm[layer], outputs[layer])} == {
        *("bottleneck.conv2", "decoder.0.up", "decoder.0.conv1", "decoder.0.conv2", "head"),
    }
    dropped = (outputs["bottleneck.conv2"] == 0).flatten(2).all(dim=2)
    torch.testing.assert_close(outputs["bottleneck.conv2"][~dropped], calm["bottleneck.conv2"][~dropped] / 0.75)
    assert 0.1 < dropped.float().mean() < 0.4


def test_without_dropout_training_is_as_calm_as_prediction():
    network = UNet(UNetSpec.by_level((2, 3)))
    image = torch.randn(1, 1, 8, 8)
    assert torch.equal(network.train()(image), network.eval()(image))


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_shuffle_is_torchs_in_its_own_order_of_channels(factor):
    x = torch.randn(2, 3 * factor**2, 4, 5)
    enlarged = Shuffle((factor, factor))(x)
    assert torch.equal(enlarged, functional.pixel_shuffle(x, factor))
    assert torch.equal(functional.pixel_unshuffle(enlarged, factor), x)


@pytest.mark.parametrize("factors", [(2, 3), (4, 1), (2, 1, 3), (1, 2, 2)])
def test_shuffle_puts_every_channel_on_a_grid_of_its_own(factors):
    copies, size = int(np.prod(factors)), (3, 4, 5)[: len(factors)]
    x = torch.arange(2 * 2 * copies * int(np.prod(size)), dtype=torch.float64).reshape(2, 2 * copies, *size)
    enlarged = Shuffle(factors)(x)
    assert enlarged.shape == (2, 2, *(n * factor for n, factor in zip(size, factors, strict=True)))
    for channel, offsets in product(range(2), np.ndindex(factors)):
        grid = tuple(slice(offset, None, factor) for offset, factor in zip(offsets, factors, strict=True))
        source = channel * copies + int(np.ravel_multi_index(offsets, factors))
        assert torch.equal(enlarged[(slice(None), channel, *grid)], x[:, source])


@pytest.mark.parametrize("factors", [(2, 2), (3, 1), (2, 4), (1, 2, 3)])
@pytest.mark.parametrize("padded", [True, False])
def test_linear_interpolation_aligns_no_corners(factors, padded):
    spec = UNetSpec.by_level((1, 1), ndim=len(factors), strides=(factors,), padded=padded, up="linear")
    x = np.random.default_rng(0).random((4, 5, 6)[: len(factors)])
    enlarged = Interpolation(spec, factors)(torch.from_numpy(x)[None, None])[0, 0].numpy()
    whole = ndimage.zoom(x, factors, order=1, mode="nearest", grid_mode=True)
    kept = tuple(
        slice(0, n) if padded else slice(f // 2, n - f // 2) for n, f in zip(whole.shape, factors, strict=True)
    )
    np.testing.assert_allclose(enlarged, whole[kept], atol=1e-12)
    mode = "bilinear" if len(factors) == 2 else "trilinear"
    tensor = torch.from_numpy(x)[None, None]
    theirs = functional.interpolate(tensor, size=whole.shape, mode=mode, align_corners=False)[0, 0].numpy()
    np.testing.assert_allclose(enlarged, theirs[kept], atol=1e-12)


@pytest.mark.parametrize("factors", [(2, 2), (3, 1), (1, 2, 3)])
@pytest.mark.parametrize("padded", [True, False])
def test_nearest_interpolation_repeats(factors, padded):
    spec = UNetSpec.by_level((1, 1), ndim=len(factors), strides=(factors,), padded=padded, up="nearest")
    x = np.random.default_rng(0).random((4, 5, 6)[: len(factors)])
    repeated = x
    for axis, factor in enumerate(factors):
        repeated = repeated.repeat(factor, axis)
    enlarged = Interpolation(spec, factors)(torch.from_numpy(x)[None, None])[0, 0].numpy()
    np.testing.assert_array_equal(enlarged, repeated)


def test_a_single_foreground_score_competes_with_zero():
    scores = torch.randn(2, 1, 3, 4)
    both = class_scores(scores)
    assert both.shape == (2, 2, 3, 4)
    torch.testing.assert_close(both.softmax(dim=1)[:, 1:], scores.sigmoid())
    assert torch.equal(class_scores(both), both)
