"""Traced wirings equal what our own specs declare, and a layer of any network depends on its declared sources alone."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache, partial

import pytest
import torch
from torch import nn

from information.traced_networks import NETWORKS, Classic, Squeezed, chain, double
from unetscope.errors import SizeError, SpecError
from unetscope.information.tracing import describe_module
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet

SPECS = {
    "batch": (UNetSpec.by_level((4, 6, 8), norm="batch"), 32),
    "instance": (UNetSpec.by_level((4, 6), norm="instance", activation="leaky", dropout=0.5), 16),
    "dropped skip": (UNetSpec.by_level((4, 6, 8), skips=(1,)), 32),
    "no skip": (UNetSpec.by_level((4, 6, 8), skips=()), 32),
    "subpixel": (UNetSpec.by_level((4, 6, 8), up="subpixel"), 32),
    "nearest": (UNetSpec.by_level((4, 6), up="nearest", convolutions=1), 16),
    "linear": (UNetSpec.by_level((4, 6), up="linear"), 16),
    "unpool": (UNetSpec.by_level((4, 6, 8), up="unpool"), 32),
    "strided": (UNetSpec.by_level((4, 6, 8), down="strided", convolutions=3), 32),
    "valid": (UNetSpec.by_level((4, 6, 8), padded=False), 92),
    "valid linear": (UNetSpec.by_level((4, 6), padded=False, up="linear"), 44),
    "valid unpool": (UNetSpec.by_level((4, 6), padded=False, up="unpool"), 44),
    "anisotropic": (UNetSpec.by_level((2, 3, 4), ndim=3, strides=((1, 2, 2), (2, 2, 2))), 16),
    "3d valid": (UNetSpec.by_level((2, 3), ndim=3, padded=False, convolutions=1), 22),
    "no depth": (UNetSpec.by_level((4,)), 16),
    "colors": (UNetSpec.by_level((4, 6), image_channels=3, classes=1), 16),
}


@pytest.mark.parametrize("name", SPECS)
def test_a_traced_unet_is_wired_as_its_spec_says(name):
    spec, size = SPECS[name]
    wiring = describe_module(UNet(spec), torch.rand(1, spec.image_channels, *(size,) * spec.ndim)).wiring
    assert list(wiring.sources.items()) == list(spec.wiring.sources.items())
    assert wiring.strides == {layer: tuple(stride) for layer, stride in spec.wiring.strides.items()}
    assert wiring.widths == spec.wiring.widths


KNOWN = {
    "chain": ["2", "5"],
    "classic": ["inc.2", "inc.5", "down.1.2", "down.1.5", "up", "conv.0", "conv.5", "out"],
    "functional": ["norm", "shrink", "grow", "last", "head"],
    "monai": ["model.0", "model.1.submodule.0", "model.1.submodule.1.submodule", "model.1.submodule.2", "model.2"],
    "monai residual": [
        *("model.0", "model.1.submodule.0", "model.1.submodule.1.submodule"),
        *("model.1.submodule.2.0", "model.1.submodule.2.1", "model.2.0", "model.2.1"),
    ],
    "nnunet residual": [
        *("encoder.stem", "encoder.stages.0.blocks.0", "encoder.stages.1.blocks.0", "encoder.stages.1.blocks.1"),
        *("encoder.stages.2.blocks.0", "decoder.transpconvs.0", "decoder.stages.0.convs.0", "decoder.stages.0.convs.1"),
        *("decoder.transpconvs.1", "decoder.stages.1.convs.0", "decoder.stages.1.convs.1", "decoder.seg_layers.1"),
    ],
}
JOINS = {
    "classic": {"conv.0": ("inc.5", "up")},
    "functional": {"shrink": ("norm", "image"), "last": ("grow", "norm")},
    "basic": {
        f"upcat_{n}.convs.conv_0": (f"down_{n - 1}.convs.conv_1" if n > 1 else "conv_0.conv_1", f"upcat_{n}.upsample")
        for n in (4, 3, 2, 1)
    },
    "monai": {
        "model.1.submodule.2": ("model.1.submodule.0", "model.1.submodule.1.submodule"),
        "model.2": ("model.0", "model.1.submodule.2"),
    },
    "attention": {
        "model.1.submodule.1.merge": ("model.1.submodule.0.conv.1", "model.1.submodule.1.upconv"),
        "model.1.merge": ("model.0.conv.1", "model.1.upconv"),
    },
    "nnunet": {
        "decoder.stages.0.convs.0": ("decoder.transpconvs.0", "encoder.stages.1.0.convs.1"),
        "decoder.stages.1.convs.0": ("decoder.transpconvs.1", "encoder.stages.0.0.convs.1"),
    },
    "nnunet residual": {
        "decoder.stages.0.convs.0": ("decoder.transpconvs.0", "encoder.stages.1.blocks.1"),
        "decoder.stages.1.convs.0": ("decoder.transpconvs.1", "encoder.stages.0.blocks.0"),
    },
    "chain": {},
}


@cache
def described(name):
    make, ndim = NETWORKS[name]
    torch.manual_seed(0)
    return describe_module(make().eval(), image(ndim))


def image(ndim, seed=0):
    return torch.rand(1, 1, *((32, 48) if ndim == 2 else (16, 16, 32)), generator=torch.Generator().manual_seed(seed))


def ndim_of(name):
    return NETWORKS[name][1]


@pytest.mark.parametrize("name", KNOWN)
def test_layers_are_the_modules_that_one_would_name(name):
    assert list(described(name).wiring.layers) == KNOWN[name]


@pytest.mark.parametrize("name", JOINS)
def test_joins_are_where_skips_meet_up_paths(name):
    wiring = described(name).wiring
    assert {join: wiring.sources[join] for join in wiring.joins()} == JOINS[name]


def run(subject, example, replaced=None):
    """One pass with the outputs of some layers replaced: every layer's first input and output."""
    inputs, outputs = {}, {}
    with ExitStack() as stack, torch.no_grad():
        for layer in subject.wiring.layers:
            module = subject.module.get_submodule(layer)
            hooks = [module.register_forward_pre_hook(lambda _m, given, layer=layer: inputs.update({layer: given}))]

            def leave(_module, _given, output, layer=layer):
                outputs[layer] = output.clone()
                return replaced[layer].clone() if replaced and layer in replaced else None

            hooks.append(module.register_forward_hook(leave))
            for hook in hooks:
                stack.callback(hook.remove)
        outputs["the output"] = subject.module(example)
    return {layer: given[0].clone() for layer, given in inputs.items() if given}, outputs


@pytest.mark.parametrize("name", NETWORKS)
def test_widths_and_strides_are_those_of_the_tensors(name):
    subject, example = described(name), image(ndim_of(name))
    wiring = subject.wiring
    inputs, outputs = run(subject, example)
    for layer in wiring.layers:
        assert outputs[layer].shape[1] == wiring.widths[layer]
        for size, stride, n in zip(example.shape[2:], wiring.strides[layer], outputs[layer].shape[2:], strict=True):
            assert abs(size / stride - n) <= (2 if name == "functional" else 0.5)
        if len(wiring.sources[layer]) > 1:
            assert sum(wiring.widths[source] for source in wiring.sources[layer]) == inputs[layer].shape[1]
    if name != "functional":  # whose scores pass through a function at last
        assert torch.equal(outputs[wiring.layers[-1]], outputs["the output"])


# DynUNet's blocks share one activation, so that the name of a block there stands for its last convolution.
@pytest.mark.parametrize("name", [name for name in NETWORKS if "dynunet" not in name])
def test_a_convolution_has_as_many_inputs_as_its_sources_have_channels(name):
    subject = described(name)
    wiring = subject.wiring
    for layer, sources in wiring.sources.items():
        parts = subject.module.get_submodule(layer).modules()
        convolution = next((part for part in parts if isinstance(part, nn.modules.conv._ConvNd)), None)
        if convolution is not None:
            assert sum(wiring.widths[source] for source in sources) == convolution.in_channels, layer


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_depend_on_their_sources_alone_and_on_each_of_them(name):
    """With its sources held, a layer is the same for another image; with one of them changed, it is not."""
    subject, ndim = described(name), ndim_of(name)
    wiring = subject.wiring
    outputs = run(subject, image(ndim))[1]
    chance = torch.Generator().manual_seed(1)
    held = {layer: torch.randn(outputs[layer].shape, generator=chance) for layer in wiring.layers}
    for layer, sources in wiring.sources.items():
        layers = {source: held[source] for source in sources if source != "image"}
        if len(layers) < len(sources):
            continue  # the image itself is read, and cannot be held while it changes
        first = run(subject, image(ndim, 1), layers)[1][layer]
        torch.testing.assert_close(run(subject, image(ndim, 2), layers)[1][layer], first, rtol=0, atol=0)
        for source in sources:
            other = {**layers, source: held[source].flip(-1) + 1}
            assert not torch.allclose(run(subject, image(ndim, 1), other)[1][layer], first), (layer, source)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "chain"])
def test_the_channels_of_a_join_are_those_of_the_source_declared_for_them(name):
    """A source that is silent leaves zeros in its own channels of the join, and nowhere else where it is not read."""
    subject, ndim = described(name), ndim_of(name)
    wiring = subject.wiring
    whole, outputs = run(subject, image(ndim))
    for join in wiring.joins():
        ends = torch.tensor([wiring.widths[source] for source in wiring.sources[join]]).cumsum(0).tolist()
        parts = dict(zip(wiring.sources[join], zip([0, *ends], ends, strict=False), strict=True))
        for source, (start, stop) in parts.items():
            if source == "image":
                continue
            silent = run(subject, image(ndim), {source: torch.zeros_like(outputs[source])})[0][join]
            assert not silent[:, start:stop].any()
            for other, (begin, end) in parts.items():
                before = other == "image" or wiring.layers.index(other) < wiring.layers.index(source)
                if before and name != "attention":
                    assert torch.equal(silent[:, begin:end], whole[join][:, begin:end])


def test_deep_supervision_gives_its_first_output():
    network = NETWORKS["nnunet 3d"][0]().eval()
    subject = describe_module(network, image(3))
    with torch.no_grad():
        assert torch.equal(subject.module(image(3)), network(image(3))[0])
        assert isinstance(subject.twin(0)(image(3)), torch.Tensor)
    assert subject.wiring.layers[-1] == "decoder.seg_layers.1"


def test_gates_are_no_sources_and_sums_are_their_blocks():
    wiring = describe_module(Squeezed(), torch.rand(1, 1, 8, 8)).wiring
    assert wiring.sources == {"enter": ("image",), "block": ("enter",), "head": ("enter", "block")}


def state_of(module):
    return {
        "training": [part.training for part in module.modules()],
        "hooks": [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()],
        "weights": {name: tensor.clone() for name, tensor in module.state_dict().items()},
    }


@pytest.mark.parametrize("make", [Classic, Squeezed, chain])
def test_the_network_and_the_random_state_stay_as_they_were(make):
    network, example = make().train(), torch.rand(1, 1, 8, 8)
    before, chance, given = state_of(network), torch.get_rng_state(), example.clone()
    subject = describe_module(network, example)
    subject.twin(3)
    after = state_of(network)
    assert after["training"] == before["training"]
    assert after["hooks"] == before["hooks"]
    assert all(torch.equal(after["weights"][name], tensor) for name, tensor in before["weights"].items())
    assert torch.equal(torch.get_rng_state(), chance)
    assert torch.equal(example, given)
    assert not any(part.training for part in subject.module.modules())


def test_twins_are_new_draws_that_repeat():
    network = Classic()
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.add_(1)
    twin = describe_module(network, torch.rand(1, 1, 8, 8)).twin
    first, again, other = twin(0).state_dict(), twin(0).state_dict(), twin(1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["inc.0.weight"], other["inc.0.weight"])
    assert not first["inc.1.running_mean"].any()
    assert (first["inc.1.running_var"] == 1).all()
    torch.manual_seed(0)
    assert torch.equal(first["inc.0.weight"], double(1, 4)[0].weight)


class Positioned(nn.Module):
    def __init__(self):
        super().__init__()
        self.shift, self.conv = nn.Parameter(torch.zeros(1, 1, 8, 8)), nn.Conv2d(1, 2, 1)

    def forward(self, x):
        return self.conv(x + self.shift)


def test_a_twin_needs_modules_that_can_reset_themselves():
    subject = describe_module(Positioned(), torch.rand(1, 1, 8, 8))
    assert subject.wiring.sources == {"conv": ("image",)}
    with pytest.raises(SpecError, match=r"Positioned.*no reset_parameters\(\)"):
        subject.twin(0)


def test_named_modules_are_taken_whole_and_joins_stay():
    wiring = describe_module(Classic(), torch.rand(1, 1, 16, 16), names=["out", "conv", "inc"]).wiring
    assert wiring.sources == {"inc": ("image",), "up": ("inc",), "conv": ("inc", "up"), "out": ("conv",)}
    assert wiring.widths == {"image": 1, "inc": 4, "up": 4, "conv": 4, "out": 2}
    assert set(wiring.strides) == set(wiring.layers)


class Parted(nn.Module):
    """A block that mixes halves of channels in a way that only a module around it can stand for."""

    def __init__(self, summed=False):
        super().__init__()
        self.left, self.right, self.summed = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(1, 4, 1), summed
        self.mixer, self.head = Mixer(), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        left, right = self.left(x), self.right(x)
        return self.head(left + right if self.summed else self.mixer(torch.cat([left, right], 1)))


class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return self.conv(x[:, 1::2])


def test_a_block_around_what_cannot_be_traced_is_named_by_the_user():
    with pytest.raises(SpecError, match=r"module 'mixer' mixes the outputs of 'left' and 'right'.*names="):
        describe_module(Parted(), torch.rand(1, 1, 8, 8))
    wiring = describe_module(Parted(), torch.rand(1, 1, 8, 8), names=["mixer"]).wiring
    assert wiring.sources["mixer"] == ("left", "right")
    assert wiring.sources["head"] == ("mixer",)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 2, 1)

    def forward(self, x):
        return self.head(self.conv(self.conv(x)))


class Halved(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 1), nn.Conv2d(2, 2, 1)

    def forward(self, x):
        return self.head(self.conv(x).chunk(2, 1)[0])


class Lost(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.away = nn.Conv2d(1, 4, 1), Away()

    def forward(self, x):
        return self.away(self.conv(x))


class Away(nn.Module):
    def forward(self, x):
        return torch.from_numpy(x.numpy().copy())


class Doubled(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two, self.head = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1), nn.Conv2d(6, 2, 1)

    def forward(self, x):
        one, two = self.one(x), self.two(x)
        return self.head(torch.cat([one, two, one], 1))


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1)

    def forward(self, x):
        return torch.cat([self.one(x), self.two(x)], 1)


@pytest.mark.parametrize(
    ("make", "names", "match"),
    [
        (partial(Parted, summed=True), None, "the network itself mixes the outputs of 'left' and 'right'"),
        (Twice, None, "once in a pass, what is read of 'conv'"),
        (Halved, None, "what is read of 'conv'"),
        (Lost, None, "module 'away' computes in a way that cannot be followed"),
        (Doubled, None, "layer 'head' reads 'one' 2 times"),
        (Bare, None, "joins 'one' and 'two' without a layer"),
        (lambda: nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(1, 2, 1)), None, "stride of 1/2, 1/2 pixels"),
        (lambda: nn.Sequential(nn.Conv2d(3, 2, 1)), None, r"failed on an example of shape \(1, 1, 8, 8\)"),
        (lambda: UNet(UNetSpec.by_level((2, 2), padded=False)), None, "input size 8 .* use 18"),
        (lambda: torch.jit.script(chain()), None, "TorchScript"),
        (Classic, ["conv.9"], r"no module 'conv\.9'.*'?conv"),
        (Twice, ["conv"], "'conv' does not put out one tensor"),
        (Classic, ["conv.2"], r"'conv\.2' is not fed what its layer joins, 'inc\.3' and 'up'"),
        (Squeezed, ["block.one"], r"'block\.one' is no layer that the output reads"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_traced_is_named(make, names, match):
    with pytest.raises(SpecError, match=match):
        describe_module(make(), torch.rand(1, 1, 8, 8), names)


def test_an_example_is_a_batch():
    with pytest.raises(SpecError, match=r"shape \(1, 8, 8\)"):
        describe_module(Classic(), torch.rand(1, 8, 8))


def test_our_own_errors_pass():
    with pytest.raises(SizeError):
        describe_module(UNet(UNetSpec.by_level((2, 2))), torch.rand(1, 1, 15, 16))
