"""A subject is the checkpoint's network; its twin differs in weights only, and its norms know the images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from unetscope.information.subject import adapt_norms, device_of, make_batch, subject_of
from unetscope.information.views import view_arrays
from unetscope.model.spec import UNetSpec


def make_views(count=6, shape=(8, 8), mean=3.0):
    chance = np.random.default_rng(0)
    labels = np.eye(*shape, dtype=int)
    images = [chance.normal(mean, 2.0, (1, *shape)).astype(np.float32) for _ in range(count)]
    return view_arrays(images, [labels] * count)


def test_the_subject_is_the_network(make_checkpoint):
    checkpoint = make_checkpoint()
    subject = subject_of(checkpoint, "mine")
    assert subject.name == "mine"
    assert subject.wiring == checkpoint.spec.wiring
    assert not subject.module.training
    image = torch.randn(1, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(subject.module(image), checkpoint.network()(image))


def test_twins_repeat_by_seed_and_differ_from_the_network(make_checkpoint):
    subject = subject_of(make_checkpoint())
    first, again, other = (subject.twin(seed).state_dict() for seed in (3, 3, 4))
    name = "encoder.0.conv1.conv.weight"
    torch.testing.assert_close(first[name], again[name], rtol=0, atol=0)
    for weights in (other, subject.module.state_dict()):
        assert not torch.equal(first[name], weights[name])


def test_the_untrained_subject_has_norms_of_its_own(make_checkpoint):
    spec = UNetSpec.by_level((4, 8), norm="batch")
    subject = subject_of(make_checkpoint(spec=spec))
    views = make_views()
    twin = subject.untrained(views, 5)
    assert twin.name == "network, untrained"
    assert twin.wiring is subject.wiring
    fresh, adapted = subject.twin(5).state_dict(), twin.module.state_dict()
    for name, value in fresh.items():
        if "running" in name or "num_batches" in name:
            assert not torch.equal(value, adapted[name]), name
        else:
            torch.testing.assert_close(value, adapted[name], rtol=0, atol=0)
    assert not any(part.training for part in twin.module.modules())
    outputs = []
    handle = twin.module.get_submodule("decoder.0.conv1.after.norm").register_forward_hook(
        lambda _module, _inputs, output: outputs.append(output.clone())
    )
    with torch.no_grad():
        for view in views:
            twin.module(torch.from_numpy(view.image)[None])
    handle.remove()
    whole = torch.cat(outputs).transpose(0, 1).flatten(1)
    torch.testing.assert_close(whole.mean(1), torch.zeros(4), rtol=0, atol=0.02)
    torch.testing.assert_close(whole.std(1), torch.ones(4), rtol=0, atol=0.02)


def test_statistics_are_averages_over_batches_of_one_size():
    chance = np.random.default_rng(0)
    sizes = [4] * 10 + [6] * 3
    images = [chance.normal(index, 1.0, (1, size, size)).astype(np.float32) for index, size in enumerate(sizes)]
    views = view_arrays(images, [np.eye(size, dtype=int) for size in sizes])
    norm = adapt_norms(nn.Sequential(nn.BatchNorm2d(1)), views)[0]
    batches = [np.stack(images[start:stop]) for start, stop in ((0, 8), (8, 10), (10, 13))]
    assert norm.running_mean.item() == pytest.approx(np.mean([batch.mean() for batch in batches]), rel=1e-5)
    assert norm.running_var.item() == pytest.approx(np.mean([batch.var(ddof=1) for batch in batches]), rel=1e-5)
    assert norm.momentum == 0.1


def test_single_pixels_of_a_lone_image_are_no_obstacle(make_checkpoint):
    spec = UNetSpec.by_level((2, 2, 2, 2), norm="batch")
    views = view_arrays([np.ones((1, 8, 8)), np.ones((1, 8, 16))], [np.eye(8, dtype=int), np.eye(8, 16, dtype=int)])
    twin = subject_of(make_checkpoint(spec=spec)).untrained(views)
    assert all(torch.isfinite(value).all() for value in twin.module.state_dict().values())


@pytest.mark.parametrize("norm", ["none", "instance"])
def test_networks_without_batch_norms_stay_as_they_are(make_checkpoint, norm):
    subject = subject_of(make_checkpoint(spec=UNetSpec.by_level((4, 8), norm=norm)))
    before = subject.twin(1).state_dict()
    for name, value in adapt_norms(subject.twin(1), make_views()).state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_dropout_stays_off_while_norms_adapt():
    class Watch(nn.Dropout):
        def forward(self, x):
            assert not self.training
            return x

    adapt_norms(nn.Sequential(nn.BatchNorm2d(1), Watch(0.5)), make_views())


def test_a_batch_is_a_copy():
    image = np.zeros((1, 2, 2), np.float32)
    make_batch(nn.Identity(), image, image).fill_(1)
    assert (image == 0).all()


def test_a_network_computes_where_its_weights_are():
    assert device_of(nn.Conv2d(1, 1, 1, device="meta")).type == "meta"
    assert device_of(nn.Identity()).type == "cpu"
