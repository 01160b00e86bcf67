"""Networks written in the ways in which people write them, and those of other libraries."""

from __future__ import annotations

from functools import cache, partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet


def double(inputs, outputs):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Classic(nn.Module):
    """Convolutions by twos in a row, the up path padded to the skip: the textbook's code."""

    def __init__(self):
        super().__init__()
        self.inc, self.down, self.conv = double(1, 4), nn.Sequential(nn.MaxPool2d(2), double(4, 8)), double(8, 4)
        self.up, self.out = nn.ConvTranspose2d(8, 4, 2, stride=2), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        skip = self.inc(x)
        up = self.up(self.down(skip))
        lost = [n - m for n, m in zip(skip.shape[2:], up.shape[2:], strict=True)]
        up = functional.pad(up, [lost[1] // 2, lost[1] - lost[1] // 2, lost[0] // 2, lost[0] - lost[0] // 2])
        return self.out(self.conv(torch.cat([skip, up], dim=1)))


class Functional(nn.Module):
    """Everything but convolutions and norms is a function; the deeper level also sees the image."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.shrink = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(5, 6, 3, padding=1)
        self.grow, self.last, self.head = nn.Conv2d(6, 5, 1), nn.Conv2d(9, 4, 3, padding=1), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        a = functional.leaky_relu(self.norm(self.first(x)), 0.1)
        small = functional.avg_pool2d(x[:, :, 1:-1, 1:-1], 2)
        b = functional.relu_(self.shrink(torch.cat((functional.max_pool2d(a, 2), small), -3)))
        b = self.grow(functional.interpolate(b, size=a.shape[2:], mode="bilinear", align_corners=False))
        joined = functional.dropout(torch.concat([b.clone(), a[..., :, :]], dim=1), 0.1, training=self.training)
        return torch.sigmoid(self.head(functional.gelu(self.last(joined))))


class Squeezed(nn.Module):
    """Channels weighed by their means, a residual sum, and a reading before the activation."""

    def __init__(self):
        super().__init__()
        self.enter, self.weigh = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4, 4)
        self.block = Residual(4)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        a = self.enter(x)
        weighed = a * torch.sigmoid(self.weigh(a.mean((2, 3))))[:, :, None, None]
        return [self.head(torch.cat([a, self.block(weighed)], 1)), a]


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.one, self.two = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        out = self.two(torch.relu(self.one(x)))
        out += x
        return torch.relu(out)


def chain():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.SiLU(), nn.MaxPool2d(2), nn.Conv2d(4, 3, 1), nn.PReLU()
    )


@cache
def nets():
    """MONAI takes seconds to import."""
    return pytest.importorskip("monai.networks.nets", exc_type=ImportError)


def monai(name, *args, **options):
    return getattr(nets(), name)(*args, **options)


def nnunet(name, ndim=2, **options):
    architectures = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    options |= {
        "conv_op": (nn.Conv2d, nn.Conv3d)[ndim - 2],
        "norm_op": (nn.InstanceNorm2d, nn.InstanceNorm3d)[ndim - 2],
    }
    options |= {"kernel_sizes": 3, "strides": (1, 2, (1, *(2,) * (ndim - 1))), "num_classes": 2, "nonlin": nn.LeakyReLU}
    options |= {"nonlin_kwargs": {"inplace": True}, "norm_op_kwargs": {"affine": True}, "conv_bias": True}
    return getattr(architectures, name)(1, 3, (4, 6, 8), n_conv_per_stage_decoder=2, **options)


FEATURES = (4, 4, 6, 6, 8, 4)
NETWORKS = {
    "chain": (chain, 2),
    "classic": (Classic, 2),
    "functional": (Functional, 2),
    "ours": (lambda: UNet(UNetSpec.by_level((4, 6, 8), norm="batch")), 2),
    "basic": (partial(monai, "BasicUNet", 2, 1, 2, FEATURES), 2),
    "basic 3d": (partial(monai, "BasicUNet", 3, 1, 2, FEATURES, upsample="nontrainable"), 3),
    "basic shuffle": (partial(monai, "BasicUNet", 2, 1, 2, FEATURES, upsample="pixelshuffle"), 2),
    "monai": (partial(monai, "UNet", 2, 1, 2, (4, 6, 8), (2, 2)), 2),
    "monai residual": (partial(monai, "UNet", 2, 1, 2, (4, 6, 8), (2, 2), num_res_units=2), 2),
    "monai 3d": (partial(monai, "UNet", 3, 1, 2, (4, 6, 8), (2, 2), norm="batch"), 3),
    "monai residual 3d": (partial(monai, "UNet", 3, 1, 2, (4, 6, 8), (2, 2), num_res_units=1), 3),
    "attention": (partial(monai, "AttentionUnet", 2, 1, 2, (4, 6, 8), (2, 2)), 2),
    "dynunet": (partial(monai, "DynUNet", 2, 1, 2, (3, 3, 3), (1, 2, 2), (2, 2), (4, 6, 8)), 2),
    "dynunet residual": (
        partial(monai, "DynUNet", 2, 1, 2, (3, 3, 3), (1, 2, 2), (2, 2), (4, 6, 8), res_block=True),
        2,
    ),
    "nnunet": (partial(nnunet, "PlainConvUNet", n_conv_per_stage=2), 2),
    "nnunet 3d": (partial(nnunet, "PlainConvUNet", 3, n_conv_per_stage=1, deep_supervision=True), 3),
    "nnunet residual": (partial(nnunet, "ResidualEncoderUNet", n_blocks_per_stage=(1, 2, 1), deep_supervision=True), 2),
}
