"""A state is whole or refused, whatever happened while it was written."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from unetscope.engines.torch_engine import memory_layout
from unetscope.errors import CheckpointError, OutputError
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.training import state as module
from unetscope.training.state import FACTS, LAST, STATE, State, gather, load_state, save_state, scatter

SPECS = [UNetSpec.by_level((4, 8), norm="batch"), UNetSpec.by_level((3, 4), ndim=3)]


def make_optimizer(network: UNet, kind: str) -> torch.optim.Optimizer:
    if kind == "adamw":
        return torch.optim.AdamW(network.parameters(), 1e-2, fused=True)
    return torch.optim.SGD(network.parameters(), 1e-2, momentum=0.9 if kind == "momentum" else 0, fused=True)


def take_steps(network: UNet, optimizer: torch.optim.Optimizer, count: int) -> None:
    for step in range(count):
        torch.manual_seed(step)
        image = torch.randn(2, 1, *(8,) * network.spec.ndim)
        optimizer.zero_grad()
        network(image.contiguous(memory_format=memory_layout(network.spec))).square().mean().backward()
        optimizer.step()


def make_network(spec: UNetSpec) -> UNet:
    torch.manual_seed(0)
    return UNet(spec).to(memory_format=memory_layout(spec))


def layout(tensor: torch.Tensor) -> list[int]:
    """Strides, but those along axes of one element, which mean nothing."""
    return [stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if size > 1]


def make_facts(step: int) -> dict[str, Any]:
    return {**dict.fromkeys(FACTS), "step": step}


def some_state(step: int, value: float = 1.0) -> State:
    return State({"weights.a": torch.full((3,), value), "optimizer.0.step": torch.tensor(2.0)}, make_facts(step))


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("kind", ["adamw", "momentum", "plain"])
def test_network_and_optimizer_go_on_as_if_they_had_not_been_stored(spec: UNetSpec, kind: str, tmp_path: Path) -> None:
    network = make_network(spec)
    optimizer = make_optimizer(network, kind)
    take_steps(network, optimizer, 3)
    save_state(tmp_path, State(gather(network, optimizer), make_facts(3)))
    loaded = load_state(tmp_path)
    assert loaded is not None

    resumed = make_network(spec)
    again = make_optimizer(resumed, kind)
    take_steps(resumed, again, 1)  # whatever it held is to be forgotten
    scatter(loaded.tensors, resumed, again)
    assert gather(resumed, again).keys() == gather(network, optimizer).keys()
    for ours, theirs in zip(resumed.parameters(), network.parameters(), strict=True):
        for key, tensor in optimizer.state[theirs].items():
            if tensor is not None:
                assert layout(again.state[ours][key]) == layout(tensor)
                assert again.state[ours][key].dtype == tensor.dtype
    take_steps(network, optimizer, 2)
    take_steps(resumed, again, 2)
    for name, tensor in gather(network, optimizer).items():
        assert torch.equal(tensor, gather(resumed, again)[name]), name


def test_scattered_tensors_are_copies() -> None:
    network = make_network(SPECS[0])
    optimizer = make_optimizer(network, "adamw")
    take_steps(network, optimizer, 1)
    tensors = copy.deepcopy(gather(network, optimizer))
    before = copy.deepcopy(tensors)
    scatter(tensors, network, optimizer)
    take_steps(network, optimizer, 1)
    assert all(torch.equal(tensors[name], before[name]) for name in tensors)


def test_what_is_saved_is_loaded_and_the_file_before_is_gone(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None
    for step in (0, 5, 9):
        save_state(tmp_path, some_state(step, step))
        loaded = load_state(tmp_path)
        assert loaded is not None
        assert loaded.facts["step"] == step
        assert loaded.tensors.keys() == some_state(step).tensors.keys()
        assert torch.equal(loaded.tensors["weights.a"], torch.full((3,), float(step)))
        assert sorted(path.name for path in (tmp_path / LAST).iterdir()) == [f"state-{step}.safetensors", STATE]


@pytest.mark.parametrize("stage", ["write_bytes", "digest", "write_json"])
def test_a_crash_while_writing_leaves_the_state_before(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_state(tmp_path, some_state(1, 1))

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, stage, crash)
        with pytest.raises(KeyboardInterrupt):
            save_state(tmp_path, some_state(2, 2))
    loaded = load_state(tmp_path)
    assert loaded is not None
    assert loaded.facts["step"] == 1
    assert torch.equal(loaded.tensors["weights.a"], torch.ones(3))
    save_state(tmp_path, some_state(3, 3))
    assert len(list((tmp_path / LAST).iterdir())) == 2


def test_a_crash_before_tidying_up_leaves_the_new_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(tmp_path, some_state(1, 1))

    def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "glob", crash)
        with pytest.raises(KeyboardInterrupt):
            save_state(tmp_path, some_state(2, 2))
    loaded = load_state(tmp_path)
    assert loaded is not None
    assert loaded.facts["step"] == 2


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def exchange(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def describe_otherwise(path: Path) -> None:
    path.write_text(json.dumps([json.loads(path.read_text())]))


def leave_out(path: Path) -> None:
    path.write_text(json.dumps({key: v for key, v in json.loads(path.read_text()).items() if key != "sha256"}))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("state-4.safetensors", cut),
        ("state-4.safetensors", exchange),
        ("state-4.safetensors", Path.unlink),
        (STATE, cut),
        (STATE, describe_otherwise),
        (STATE, leave_out),
    ],
)
def test_damage_is_refused(name: str, damage: Any, tmp_path: Path) -> None:
    save_state(tmp_path, some_state(4))
    damage(tmp_path / LAST / name)
    with pytest.raises(CheckpointError, match="train anew"):
        load_state(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / LAST).write_text("in the way")
    with pytest.raises(OutputError, match=LAST):
        save_state(tmp_path, some_state(1))


def test_nothing_is_pickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("pickled")

    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    save_state(tmp_path, some_state(1))
    assert load_state(tmp_path) is not None
    for path in (tmp_path / LAST).iterdir():
        assert not path.read_bytes().startswith((b"\x80", b"PK"))
