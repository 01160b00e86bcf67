"""A trained network with everything needed to use it, judge it and repeat it; knows not how it was trained.

On disk a checkpoint is a run folder: `model.safetensors` (weights), `crops.safetensors` (a few image crops on which
engines are compared) and `checkpoint.json` (all else, with the digests of both). Nothing is pickled. Weights are NumPy
arrays: torch is imported only where a network is built in it, for other engines never need it.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from unetscope import __version__
from unetscope.data.normalization import Normalization
from unetscope.data.spacing import Spacing
from unetscope.errors import CheckpointError, DataError, SpecError
from unetscope.files import digest, write_bytes, write_json
from unetscope.model.spec import UNetSpec

if TYPE_CHECKING:
    from unetscope.model.unet import UNet

FORMAT = 1
WEIGHTS = "model.safetensors"
CROPS = "crops.safetensors"
DESCRIPTION = "checkpoint.json"


@dataclass(frozen=True)
class Checkpoint:
    """A network, its weights, and what is known of both.

    Attributes:
        spec: The network.
        weights: One array for each of the network's, by its name; tensors may be given, and become arrays.
        normalization: What was done to intensities before the network saw them.
        classes: Names of the classes, the background first.
        spacing: Distance between pixels that volumes are resampled to before the network sees them; None for none.
        objects: Whether the classes are those of `data.objects`, from which single objects are put together.
        smallest: Pixels that such an object has at least.
        crops: (count, channels, [z,] y, x) normalized crops of annotated images, on which engines are compared; may
            be none.
        recipe: How it was trained, plain values.
        split: Names of the images by role ("train", "validation", "profile", "test").
        provenance: Versions, seed, threads, data digest, scores: whatever a result must record.
    """

    spec: UNetSpec
    weights: Mapping[str, NDArray[np.generic]] = field(repr=False)
    normalization: Normalization
    classes: tuple[str, ...]
    spacing: Spacing | None = None
    objects: bool = False
    smallest: int = 0
    crops: NDArray[np.float32] = field(default_factory=lambda: _no_crops(), repr=False, compare=False)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    split: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Turn tensors into arrays, rows last."""
        object.__setattr__(self, "weights", {name: _as_array(value) for name, value in self.weights.items()})

    @property
    def ndim(self) -> int:
        """2 for images, 3 for volumes."""
        return self.spec.ndim

    def network(self) -> UNet:
        """The network in torch with these weights, ready to predict.

        Raises:
            CheckpointError: The weights are not those of the described network.
        """
        from unetscope.model.unet import UNet, load_weights

        try:
            return load_weights(UNet(self.spec), self.weights).eval()
        except RuntimeError as error:
            raise CheckpointError(
                f"the weights do not fit the described network ({_first_line(error)}); the run folder mixes two runs, "
                "train again or restore both files from one run"
            ) from error

    def digest(self) -> str:
        """SHA-256 over names and values of all weights: what tells one training from another."""
        return digest_weights(self.weights)

    def untrained(self, seed: int = 0) -> Checkpoint:
        """The same network with fresh weights: the control of every claim about training."""
        import torch

        from unetscope.model.unet import UNet

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return replace(self, weights=UNet(self.spec).state_dict())

    def save(self, folder: Path | str) -> None:
        """Write the run folder; each file is whole or absent.

        Raises:
            OutputError: The folder cannot be written.
        """
        folder = Path(folder)
        # In memory first: a full disk is then an error of the file system, not one of safetensors.
        write_bytes(folder / WEIGHTS, save(dict(self.weights)))
        if self.crops.size:
            write_bytes(folder / CROPS, save({"crops": np.asarray(self.crops, order="C")}))
        write_json(
            folder / DESCRIPTION,
            {
                "format": FORMAT,
                "spec": self.spec.to_json(),
                "weights": {"file": WEIGHTS, "sha256": digest(folder / WEIGHTS)},
                "crops": {"file": CROPS, "sha256": digest(folder / CROPS)} if self.crops.size else None,
                "normalization": self.normalization.to_json(),
                "classes": list(self.classes),
                "spacing": self.spacing.to_json() if self.spacing else None,
                "objects": self.objects,
                "smallest": self.smallest,
                "recipe": dict(self.recipe),
                "split": {role: list(names) for role, names in self.split.items()},
                "provenance": dict(self.provenance),
            },
        )

    @classmethod
    def load(cls, folder: Path | str) -> Checkpoint:
        """Read a run folder.

        Raises:
            CheckpointError: The folder is no finished run, is damaged, or was written by another version.
        """
        folder = Path(folder)
        content = _read_description(folder)
        try:
            return cls(
                spec=UNetSpec.from_json(content["spec"]),
                weights=_read_arrays(folder / WEIGHTS, content["weights"]["sha256"]),
                normalization=Normalization.from_json(content["normalization"]),
                classes=tuple(content["classes"]),
                spacing=Spacing.from_json(content["spacing"]) if content.get("spacing") else None,
                objects=bool(content.get("objects", False)),
                smallest=int(content.get("smallest", 0)),
                crops=_read_crops(folder, content.get("crops")),
                recipe=content["recipe"],
                split={role: tuple(names) for role, names in content["split"].items()},
                provenance=content["provenance"],
            )
        except (KeyError, TypeError, ValueError, OverflowError, SpecError, DataError, AttributeError) as error:
            raise CheckpointError(
                f"{folder / DESCRIPTION} is incomplete or altered ({error}); restore the file or train again"
            ) from error


def digest_weights(weights: Mapping[str, Any]) -> str:
    """SHA-256 over names and values of weights, arrays or tensors alike.

    Example:
        >>> digest_weights({"a": np.zeros(2)}) == digest_weights({"a": np.ones(2)})
        False
    """
    total = hashlib.sha256()
    for name in sorted(weights):
        total.update(name.encode() + _as_array(weights[name]).tobytes())
    return total.hexdigest()


def record_versions() -> dict[str, str]:
    """Versions of what determines a result."""
    import torch

    return {
        "unetscope": __version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CheckpointError(
            f"{folder} holds no {DESCRIPTION}; a run folder was needed: give the one that train wrote (--out), or "
            "finish its training with --resume"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not readable JSON ({error}); restore the file or train again") from error
    version = content.get("format") if isinstance(content, dict) else None
    if version != FORMAT:
        writer = _writer(content)
        raise CheckpointError(
            f"{path} has format {version}, written by unetscope {writer}; unetscope {__version__} reads format "
            f"{FORMAT}: use the version that wrote it or train again"
        )
    assert isinstance(content, dict)
    return content


def _writer(content: Any) -> str:
    """The version that wrote a description, as far as it says."""
    try:
        return str(content["provenance"]["versions"]["unetscope"])
    except (KeyError, TypeError):
        return "of another version"


def _read_arrays(path: Path, expected: str) -> dict[str, NDArray[np.generic]]:
    try:
        if digest(path) != expected:
            raise CheckpointError(
                f"{path} is not the file that {DESCRIPTION} describes (another digest); training was interrupted "
                "between the two or a file was exchanged: continue with --resume or restore both"
            )
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read ({_first_line(error)}); restore it or train again") from error


def _read_crops(folder: Path, entry: Mapping[str, str] | None) -> NDArray[np.float32]:
    """The crops that a description names; runs may have none."""
    return _no_crops() if entry is None else _read_arrays(folder / CROPS, entry["sha256"])["crops"].astype(np.float32)


def _no_crops() -> NDArray[np.float32]:
    return np.zeros((0, 0), np.float32)


def _as_array(value: Any) -> NDArray[np.generic]:
    """A tensor's values, or the array itself; NumPy has no bfloat16, whose values float32 holds exactly."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
    return np.asarray(value, order="C")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)] if lines else type(error).__name__
