"""What training computes in another way than evaluation does has the same values and the same gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from unetscope.model.spec import UNetSpec
from unetscope.model.unet import Layer, UNet, _join

SPECS = [
    UNetSpec.by_level((3, 4, 5)),
    UNetSpec.by_level((3, 4, 5), padded=False),
    UNetSpec.by_level((3, 4), ndim=3),
    UNetSpec.by_level((2, 3, 4), strides=((2, 1), (1, 3))),
]


def gradients_of(network: UNet, image: torch.Tensor) -> list[torch.Tensor]:
    scores = network(image)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(scores.shape, generator=generator, dtype=scores.dtype)
    return [scores, *torch.autograd.grad((scores * weights).sum(), list(network.parameters()))]


@pytest.mark.parametrize("spec", SPECS)
def test_training_has_the_gradients_of_evaluation(spec: UNetSpec) -> None:
    network = UNet(replace(spec, norm="none")).double()
    for module in network.modules():
        if isinstance(module, Layer) and module.conv.bias is not None:
            torch.nn.init.normal_(module.conv.bias)
    image = torch.randn(2, 1, *((60,) * 2 if spec.ndim == 2 else (12, 12, 12)), dtype=torch.float64)
    for trained, evaluated in zip(
        gradients_of(network.train(), image), gradients_of(network.eval(), image), strict=True
    ):
        torch.testing.assert_close(trained, evaluated, rtol=1e-9, atol=1e-12)


def test_joined_tensors_get_gradients_of_their_own_in_the_same_memory_order() -> None:
    parts = [
        torch.randn(2, width, 6, 8).contiguous(memory_format=torch.channels_last).requires_grad_() for width in (3, 5)
    ]
    seen = list[torch.Tensor]()
    for part in parts:
        part.register_hook(seen.append)
    joined = _join(parts)
    weights = torch.randn(joined.shape).contiguous(memory_format=torch.channels_last)
    assert torch.equal(joined, torch.cat(parts, 1))
    (joined * weights).sum().backward()
    assert sorted(gradient.shape[1] for gradient in seen) == [3, 5]
    assert all(gradient.is_contiguous(memory_format=torch.channels_last) for gradient in seen)
    assert torch.equal(torch.cat([part.grad for part in parts], 1), weights)  # type: ignore[misc]
