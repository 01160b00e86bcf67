"""A network as `export` wrote it, and what `segment` takes; knows files and their description, no torch, no runtime.

On disk a bundle is a folder: `bundle.json` and the network itself, as ONNX (`network.onnx`), as OpenVINO's intermediate
representation (`network.xml`, `network.bin`), or as both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from unetscope import __version__, checkpoint
from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.data.spacing import Spacing
from unetscope.errors import CheckpointError, DataError, SpecError
from unetscope.files import digest
from unetscope.model.spec import UNetSpec

Format = Literal["onnx", "openvino"]

FORMAT = 1
DESCRIPTION = "bundle.json"
FILES: Mapping[Format, tuple[str, ...]] = MappingProxyType(
    {"onnx": ("network.onnx",), "openvino": ("network.xml", "network.bin")}
)


@dataclass(frozen=True)
class Bundle:
    """A network that a runtime computes without torch, with everything needed to segment with it.

    Attributes:
        spec: The network.
        normalization: What is done to intensities before the network sees them.
        classes: Names of the classes, the background first.
        spacing: Distance between pixels that volumes are resampled to before the network sees them; None for none.
        objects: Whether the classes are those of `data.objects`, from which single objects are put together.
        smallest: Pixels that such an object has at least.
        network: The file that a runtime reads: OpenVINO's `.xml`, or `.onnx` where there is none or no OpenVINO.
        sha256: SHA-256 of each file of this network, by name.
        normalizes: Whether the graph normalizes, and takes intensities as stored.
        returns_labels: Whether the graph returns class indices instead of scores.
        bears_bfloat16: Whether bfloat16 gave the labels of float32 on the crops of the run, when it was exported.
        provenance: The exported weights' digest, versions, and how the export was verified.
    """

    spec: UNetSpec
    normalization: Normalization
    classes: tuple[str, ...]
    spacing: Spacing | None
    objects: bool
    smallest: int
    network: Path
    sha256: Mapping[str, str] = field(repr=False)
    normalizes: bool = False
    returns_labels: bool = False
    bears_bfloat16: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def ndim(self) -> int:
        """2 for images, 3 for volumes."""
        return self.spec.ndim

    def digest(self) -> str:
        """SHA-256 over names and contents of the network's files: what tells one exported network from another."""
        return hashlib.sha256(json.dumps(dict(self.sha256), sort_keys=True).encode()).hexdigest()

    def check_plain(self) -> None:
        """Refuse a graph that does more than the network: it is for other programs.

        Raises:
            CheckpointError: The graph normalizes, or returns labels.
        """
        given = {"--normalize": self.normalizes, "--labels": self.returns_labels}
        if options := " and ".join(option for option, is_given in given.items() if is_given):
            raise CheckpointError(
                f"{self.network.parent} was exported with {options}, for programs that cannot do this themselves; "
                "segment works tile by tile and needs a network that turns normalized images into scores: export the "
                f"run without {options}"
            )

    @classmethod
    def load(cls, folder: Path | str) -> Bundle:
        """Read the folder that `export` wrote.

        Args:
            folder: The folder.

        Returns:
            The bundle. Of two networks, OpenVINO's is taken where OpenVINO is installed, otherwise the ONNX one.

        Raises:
            CheckpointError: The folder is no bundle, is damaged, or was written by another version.
        """
        folder = Path(folder)
        content = _read_description(folder)
        try:
            sha256 = _choose_network(content["files"])
            _check_files(folder, sha256)
            return cls(
                spec=UNetSpec.from_json(content["spec"]),
                normalization=Normalization.from_json(content["normalization"]),
                classes=tuple(content["classes"]),
                spacing=Spacing.from_json(content["spacing"]) if content["spacing"] else None,
                objects=bool(content["objects"]),
                smallest=int(content["smallest"]),
                network=folder / next(iter(sha256)),
                sha256=sha256,
                normalizes=bool(content["normalizes"]),
                returns_labels=bool(content["returns_labels"]),
                bears_bfloat16=bool(content["bears_bfloat16"]),
                provenance=content["provenance"],
            )
        except (KeyError, TypeError, ValueError, OverflowError, SpecError, DataError, AttributeError) as error:
            raise CheckpointError(
                f"{folder / DESCRIPTION} is incomplete or altered ({error}); restore the file or export again"
            ) from error


Source = Checkpoint | Bundle


def load_source(folder: Path | str) -> Source:
    """Read what `segment` takes: a run folder, or a bundle whose graph takes normalized images and returns scores.

    Args:
        folder: The folder that `train` or `export` wrote.

    Returns:
        The checkpoint or the bundle.

    Raises:
        CheckpointError: The folder is neither, is damaged, or its graph does what segmenting tile by tile does itself.
    """
    folder = Path(folder)
    if (folder / checkpoint.DESCRIPTION).exists():
        return Checkpoint.load(folder)
    if not (folder / DESCRIPTION).exists():
        raise CheckpointError(
            f"{folder} holds neither {checkpoint.DESCRIPTION} nor {DESCRIPTION}; give the run folder that train wrote "
            "(--out), after finishing its training with --resume if it was stopped, or the folder that export wrote"
        )
    bundle = Bundle.load(folder)
    bundle.check_plain()
    return bundle


def _choose_network(files: Mapping[str, str]) -> dict[str, str]:
    """The digests of the network to use: OpenVINO's own where it can be used, otherwise the other if there is one."""
    preferred: tuple[Format, ...] = ("openvino", "onnx") if find_spec("openvino") else ("onnx", "openvino")
    for each in preferred:
        if all(name in files for name in FILES[each]):
            return {name: str(files[name]) for name in FILES[each]}
    raise KeyError("network")


def _check_files(folder: Path, sha256: Mapping[str, str]) -> None:
    """Refuse files that are not those which were verified when they were written."""
    for name, expected in sha256.items():
        try:
            found = digest(folder / name)
        except OSError as error:
            reason = error.strerror or error
            raise CheckpointError(f"{folder / name} cannot be read ({reason}); restore it or export again") from error
        if found != expected:
            raise CheckpointError(
                f"{folder / name} is not the file that {DESCRIPTION} describes (another digest); it was damaged or "
                "exchanged: restore it or export again"
            )


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CheckpointError(
            f"{folder} holds no {DESCRIPTION}; a bundle was needed: give the folder that export wrote (--out)"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not readable JSON ({error}); restore the file or export again") from error
    version = content.get("format") if isinstance(content, dict) else None
    if version != FORMAT:
        raise CheckpointError(
            f"{path} has format {version}; unetscope {__version__} reads format {FORMAT}: use the version that wrote "
            "it, or export again"
        )
    assert isinstance(content, dict)
    return content
