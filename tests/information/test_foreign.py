"""Weights arrive bit by bit from every kind of file, or the file is refused; nothing in a file is ever run."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

from unetscope.errors import CheckpointError
from unetscope.information.foreign import load_weights_file


def network(seed=0, width=4):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Conv2d(width, 2, 1))


class Wrapped(nn.Module):
    """Its own names begin with what wrappers put before names."""

    def __init__(self, seed):
        super().__init__()
        self.model = network(seed)


class Shared(nn.Module):
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Conv2d(1, 2, 3)
        self.alias = nn.Sequential(self.first)


def assert_same(found, wanted):
    assert found.state_dict().keys() == wanted.state_dict().keys()
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name


def nnunet(state):
    return {
        "network_weights": state,
        "optimizer_state": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.01}]},
        "logging": {"ema_fg_dice": [np.float64(0.5), np.float32(0.25), np.int64(3), np.bool_(True)]},
        "_best_ema": np.float64(0.875),
        "init_args": {"plans": {"name": "plans"}, "device": torch.device("cpu"), "fold": 0},
        "inference_allowed_mirroring_axes": (0, 1),
    }


PACKINGS = {
    "bare": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state, "args": {"lr": 0.1}},
    "model_state_dict": lambda state: {"model_state_dict": state, "loss": torch.tensor(0.5)},
    "nnunet": nnunet,
    "parallel": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "compiled": lambda state: {"state_dict": {f"module._orig_mod.{name}": tensor for name, tensor in state.items()}},
    "lightning": lambda state: {"state_dict": {f"model.{name}": tensor for name, tensor in state.items()}},
}


@pytest.mark.parametrize("make", [network, Wrapped, Shared])
@pytest.mark.parametrize("packing", PACKINGS)
def test_weights_arrive_from_every_packing(tmp_path, packing, make):
    trained, blank = make(1), make(2)
    before = {name: tensor.clone() for name, tensor in blank.state_dict().items()}
    torch.save(PACKINGS[packing](trained.state_dict()), tmp_path / "weights.pth")
    assert_same(load_weights_file(blank, tmp_path / "weights.pth"), trained)
    assert all(torch.equal(blank.state_dict()[name], tensor) for name, tensor in before.items())
    assert blank.training


@pytest.mark.parametrize("make", [network, Wrapped, Shared])
def test_weights_arrive_from_safetensors(tmp_path, make):
    trained = make(1)
    save_file({f"module.{name}": t.clone() for name, t in trained.state_dict().items()}, tmp_path / "a.safetensors")
    save_model(trained, str(tmp_path / "b.safetensors"))  # which stores shared tensors once
    for name in ("a", "b"):
        loaded = load_weights_file(make(2), tmp_path / f"{name}.safetensors")
        assert_same(loaded, trained)
        assert not loaded.training


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
@pytest.mark.parametrize("wrap", [lambda bomb: bomb, lambda bomb: {"state_dict": network().state_dict(), "x": bomb}])
def test_a_file_that_would_run_code_is_refused_and_not_run(tmp_path, save, wrap):
    sign = tmp_path / "exploded"
    save(wrap(Bomb(sign)), tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match=r"more than plain values.*nothing in it was run"):
        load_weights_file(network(), tmp_path / "weights.pt")
    assert not sign.exists()
    function, arguments = Bomb(sign).__reduce__()
    function(*arguments)  # the bomb is a real one
    assert sign.exists()


def test_a_whole_pickled_module_is_refused(tmp_path):
    torch.save(network(), tmp_path / "module.pt")
    with pytest.raises(CheckpointError, match="more than plain values"):
        load_weights_file(network(), tmp_path / "module.pt")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (torch.zeros(3), "holds one Tensor and no weights"),
        ({"epoch": 3, "lr": 0.1, "a": 1, "b": 2}, r"entries epoch, lr, a, \.\.\. and no weights"),
        ({}, "entries none and no weights"),
        (network(width=5).state_dict(), r"0\.weight is \(5, 1, 3, 3\) and must be \(4, 1, 3, 3\)"),
        (
            {"0.weight": torch.zeros(4, 1, 3, 3), "x": torch.zeros(1)},
            r"8 of its 9.*\(0\.bias, 1\.weight, 1\.bias, \.\.\.\)",
        ),
        ({**network().state_dict(), "x": torch.zeros(1)}, r"0 of its 9 .*\(none\) and 1 are unknown \(x\)"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, content, match):
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match=match):
        load_weights_file(network(), tmp_path / "weights.pt")


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors", "a.txt"])
@pytest.mark.parametrize("content", [None, b"", b"no weights at all"])
def test_files_that_cannot_be_read_are_refused(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        load_weights_file(network(), tmp_path / name)


def test_a_damaged_file_is_refused(tmp_path):
    for name, save in (("a.pt", torch.save), ("a.safetensors", save_file)):
        save(network().state_dict(), tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(CheckpointError, match=name):
            load_weights_file(network(), tmp_path / name)
