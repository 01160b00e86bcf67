"""What a stopped run needs to go on as if it had never stopped; knows tensors and files, not steps and losses.

`last/state.json` names the file with the tensors and its digest and is written last, atomically: it is the moment at
which a state counts. The file of the state before is removed only then. Nothing is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from unetscope.errors import CheckpointError
from unetscope.files import digest, write_bytes, write_json

LAST = "last"
STATE = "state.json"
FACTS = ("step", "steps", "best", "best_epoch", "history", "recipe", "spec", "data", "environment")


@dataclass(frozen=True)
class State:
    """A run between two steps.

    Attributes:
        tensors: Weights ("weights.*") and optimizer state ("optimizer.<number>.*").
        facts: Everything else, plain values: steps done, best score, plan, recipe, spec, environment.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def save_state(run: Path, state: State) -> None:
    """Write the state of a run; whatever happens meanwhile, the folder holds a whole state.

    Raises:
        OutputError: The folder cannot be written.
    """
    folder = run / LAST
    file = folder / f"state-{state.facts['step']}.safetensors"
    # In memory first: a full disk is then an error of the file system, not one of safetensors.
    write_bytes(file, save({name: tensor.detach().contiguous() for name, tensor in state.tensors.items()}))
    write_json(folder / STATE, {"tensors": file.name, "sha256": digest(file), **state.facts})
    for old in folder.glob("*state-*"):
        if old != file:
            old.unlink(missing_ok=True)


def load_state(run: Path) -> State | None:
    """The state that a run was left in, None if it never got that far.

    Raises:
        CheckpointError: The state is damaged.
    """
    path = run / LAST / STATE
    if not path.exists():
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        file = path.parent / facts["tensors"]
        if digest(file) != facts["sha256"]:
            raise CheckpointError(f"{file} is not the file that {path} describes; the run cannot go on: train anew")
        if missing := [name for name in FACTS if name not in facts]:
            raise CheckpointError(f"{path} lacks {missing[0]!r}; the run cannot go on: train anew")
        return State(load_file(file), facts)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"{path.parent} is damaged ({error}); the run cannot go on: train anew") from error


def gather(network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The tensors of a network and its optimizer, by name."""
    tensors = {f"weights.{name}": tensor for name, tensor in network.state_dict().items()}
    for number, entry in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": value for key, value in entry.items() if value is not None}
    return tensors


def scatter(tensors: Mapping[str, Tensor], network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put back what `gather` took, in the memory format of the parameters: other formats round differently."""
    weights = {name.removeprefix("weights."): t for name, t in tensors.items() if name.startswith("weights.")}
    network.load_state_dict(weights)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    optimizer.state.clear()
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            number, key = name.removeprefix("optimizer.").split(".")
            parameter = parameters[int(number)]
            like = torch.empty_like(parameter).copy_(tensor) if tensor.ndim else tensor.to(parameter.device, copy=True)
            optimizer.state[parameter][key] = like
