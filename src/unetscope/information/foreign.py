"""Weights of networks that were trained elsewhere; knows files and modules, and runs no code that a file brings."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from unetscope.errors import CheckpointError

State = Mapping[str, Tensor]

ENTRIES = ("state_dict", "model_state_dict", "network_weights", "model")
"""Where training programs keep the weights in their checkpoints (Lightning, plain loops, nnU-Net, and others)."""

PREFIXES = ("module.", "_orig_mod.", "model.")
"""What wrappers put before every name (data parallelism, compilation, Lightning)."""

_SCALAR = np._core.multiarray.scalar  # type: ignore[attr-defined]
PLAIN: list[Any] = [
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),  # its name before NumPy 2
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?")),
]
"""What may stand in a file beside tensors and plain containers: single NumPy numbers, as nnU-Net logs them."""


def load_weights_file(module: nn.Module, path: Path | str) -> nn.Module:
    """A network with the weights of a file.

    Args:
        module: The network, which is left as it was.
        path: A `.safetensors` file, or a `.pt`, `.pth`, `.ckpt` or `.bin` file of torch: names and tensors, alone or
            as an entry of a training program's checkpoint. Prefixes that wrappers put before all names are dropped.

    Returns:
        A copy of the network in eval mode, with exactly the file's weights.

    Raises:
        CheckpointError: The file cannot be read, holds anything but plain values (which is then not run), or its
            weights are not those of the network.

    Example:
        >>> load_weights_file(nn.Conv2d(1, 4, 3), "weights.txt")
        Traceback (most recent call last):
            ...
        unetscope.errors.CheckpointError: weights.txt is no file of weights; give a .safetensors, ... file
    """
    path = Path(path)
    loaded = copy.deepcopy(module)
    own = loaded.state_dict(keep_vars=True)
    state = _fit(_read(path), own, path)
    loaded.load_state_dict(state, strict=True)
    return loaded.eval()


def _read(path: Path) -> State:
    """Names and tensors of a file."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix in (".pt", ".pth", ".ckpt", ".bin"):
            with torch.serialization.safe_globals(PLAIN):
                return _find_state(torch.load(path, map_location="cpu", weights_only=True), path)
    except CheckpointError:
        raise
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read ({_first_line(error)}); give a file of weights") from error
    except Exception as error:  # torch raises whatever a damaged or forbidden file makes it stumble over
        raise CheckpointError(
            f"{path} holds more than plain values or is damaged ({_first_line(error)}), and nothing in it was run; "
            "save the weights alone, torch.save(network.state_dict(), ...) or safetensors"
        ) from error
    raise CheckpointError(f"{path} is no file of weights; give a .safetensors, .pt, .pth, .ckpt or .bin file")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _find_state(content: object, path: Path) -> State:
    """The names and tensors within a checkpoint."""
    if isinstance(content, Mapping):
        for entry in (content, *(content.get(name) for name in ENTRIES)):
            if isinstance(entry, Mapping) and entry and all(isinstance(value, Tensor) for value in entry.values()):
                return entry
    found = f"entries {_first_three(content)}" if isinstance(content, Mapping) else f"one {type(content).__name__}"
    raise CheckpointError(
        f"{path} holds {found} and no weights; give names and tensors, alone or as one of {', '.join(ENTRIES)}"
    )


def _fit(state: State, own: State, path: Path) -> State:
    """The weights under the names of the network."""
    candidates = [_with_twins(named, own) for named in _unprefixed(state)]
    best = min(candidates, key=lambda named: len(named.keys() ^ own.keys()))
    missing = [name for name in own if name not in best]
    unexpected = [name for name in best if name not in own]
    if missing or unexpected:
        raise CheckpointError(
            f"{path} does not fit the network: {len(missing)} of its {len(own)} weights are missing "
            f"({_first_three(missing)}) and {len(unexpected)} are unknown ({_first_three(unexpected)}); build the "
            "network with the settings that it was trained with"
        )
    for name, tensor in best.items():
        if tensor.shape != own[name].shape:
            raise CheckpointError(
                f"{path} does not fit the network: {name} is {tuple(tensor.shape)} and must be "
                f"{tuple(own[name].shape)}; "
                "build the network with the settings that it was trained with"
            )
    return best


def _first_three(names: Any) -> str:
    """Some names, for a message."""
    shown = [str(name) for name in names]
    return ", ".join(shown[:3]) + (", ..." if len(shown) > 3 else "") if shown else "none"


def _unprefixed(state: State) -> Iterator[dict[str, Tensor]]:
    """The weights as they are, then less one prefix after another that all of their names share."""
    named = dict(state)
    yield named
    while shared := next((prefix for prefix in PREFIXES if named and all(n.startswith(prefix) for n in named)), None):
        named = {name.removeprefix(shared): tensor for name, tensor in named.items()}
        yield named


def _with_twins(named: dict[str, Tensor], own: State) -> dict[str, Tensor]:
    """Weights that a network has under several names, and a file under one of them, under all of them."""
    saved = {id(own[name]): tensor for name, tensor in named.items() if name in own}
    twins = {name: saved[id(tensor)] for name, tensor in own.items() if name not in named and id(tensor) in saved}
    return {**named, **twins}
