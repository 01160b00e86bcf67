"""From a checkpoint to a folder that other programs run: ONNX, OpenVINO's files, and a description of both.

Knows graphs, files and who reads them, neither datasets nor training. What was written counts only after it was run
back from the disk and compared with the network in torch.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unetscope import __version__
from unetscope.checkpoint import Checkpoint
from unetscope.engines.bundle import DESCRIPTION, FILES, FORMAT, Bundle, Format
from unetscope.engines.choice import compare_engines
from unetscope.engines.graph import LABELS, SCORES, build_graph, reads_whole_image
from unetscope.engines.runtimes import load_openvino
from unetscope.engines.verification import Verification, first_line, verify, version_of
from unetscope.errors import ExportError, OutputError
from unetscope.files import check_writable, digest, write_json
from unetscope.model.geometry import margin, smallest_size
from unetscope.wiring import IMAGE

if TYPE_CHECKING:
    from onnx import ModelProto

UNFINISHED = ".unfinished"
NEEDED: Mapping[Format, tuple[str, ...]] = {"onnx": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino")}


def export(
    checkpoint: Checkpoint,
    out: Path | str,
    formats: Sequence[Format] = ("onnx", "openvino"),
    *,
    normalizes: bool = False,
    labels: bool = False,
) -> Bundle:
    """Write a network for other programs, and for segmenting without torch; batch and image size stay free.

    Args:
        checkpoint: The trained network.
        out: Folder to write: a new one, an empty one, or an earlier bundle, which is replaced.
        formats: "onnx", "openvino" or both.
        normalizes: Normalize in the graph, which then takes intensities as stored (as float32).
        labels: Take the arg-max in the graph, which then returns class indices.

    Returns:
        The bundle as it stands on the disk; its provenance has the `Verification` of each format.

    Raises:
        ExportError: A library is missing, or what was written computes something else; then nothing is left of it.
        OutputError: The folder holds something else, or cannot be written.
    """
    out = Path(out)
    _check_formats(formats)
    _check_free(out)
    graph = build_graph(checkpoint, normalizes=normalizes, labels=labels)
    with _replacing_bundle(out) as folder:
        for each in formats:
            _WRITERS[each](graph, folder)
        verifications = verify(checkpoint, folder, formats, normalizes=normalizes, labels=labels)
        write_json(folder / DESCRIPTION, _describe(checkpoint, graph, folder, normalizes, verifications))
    return Bundle.load(out)


def _describe(
    checkpoint: Checkpoint, graph: ModelProto, folder: Path, normalizes: bool, verifications: Sequence[Verification]
) -> dict[str, Any]:
    """What `bundle.json` says."""
    import onnx

    files = [name for each in verifications for name in FILES[each.format]]
    return {
        "format": FORMAT,
        "input": _describe_input(checkpoint, normalizes),
        "output": _describe_output(checkpoint, graph),
        "classes": list(checkpoint.classes),
        "normalizes": normalizes,
        "returns_labels": graph.graph.output[0].name == LABELS,
        "bears_bfloat16": any(trial.accepted for trial in compare_engines(checkpoint, "bfloat16")),
        "normalization": checkpoint.normalization.to_json(),
        "spacing": checkpoint.spacing.to_json() if checkpoint.spacing else None,
        "objects": checkpoint.objects,
        "smallest": checkpoint.smallest,
        "spec": checkpoint.spec.to_json(),
        "files": {name: digest(folder / name) for name in files},
        "provenance": {
            "weights": checkpoint.digest(),
            "versions": {
                "unetscope": __version__,
                "onnx": version_of(onnx),
                "opset": graph.opset_import[0].version,
                **{each.runtime: each.version for each in verifications},
            },
            "verification": [asdict(each) for each in verifications],
        },
    }


def _describe_input(checkpoint: Checkpoint, normalizes: bool) -> dict[str, Any]:
    """What the graph takes, for the person who calls it from another program."""
    spec = checkpoint.spec
    stored = "intensities as stored" + (", of a whole image" if reads_whole_image(checkpoint.normalization) else "")
    return {
        "name": IMAGE,
        "type": "float32",
        "axes": ["batch", "channels", *"zyx"[-spec.ndim :]],
        "channels": spec.image_channels,
        "values": stored if normalizes else "intensities after the normalization below",
        "smallest_size": list(smallest_size(spec)),
        "stride": list(spec.total_stride),
        "sizes": "smallest_size and any number of strides more, along each axis; any batch",
    }


def _describe_output(checkpoint: Checkpoint, graph: ModelProto) -> dict[str, Any]:
    """What the graph returns."""
    from onnx.helper import tensor_dtype_to_np_dtype

    spec, output = checkpoint.spec, graph.graph.output[0]
    space, scored = list("zyx"[-spec.ndim :]), output.name == SCORES
    return {
        "name": output.name,
        "type": str(tensor_dtype_to_np_dtype(output.type.tensor_type.elem_type)),
        "axes": ["batch", *(["classes"] if scored else []), *space],
        "values": "scores before soft-max; the largest is the class" if scored else "class indices, 0 = background",
        "margin": list(margin(spec)),
        "sizes": "those of the input, less the margin at both ends of each axis",
    }


def _write_onnx(graph: ModelProto, folder: Path) -> None:
    (folder / FILES["onnx"][0]).write_bytes(graph.SerializeToString())


def _write_openvino(graph: ModelProto, folder: Path) -> None:
    openvino = load_openvino()
    try:
        model = openvino.Core().read_model(graph.SerializeToString())
    except RuntimeError as error:
        raise ExportError(
            f"OpenVINO {version_of(openvino)} cannot read this network ({first_line(error)}); update with pip "
            "install --upgrade 'unetscope[export]', or export to onnx alone"
        ) from error
    try:
        openvino.save_model(model, folder / FILES["openvino"][0], compress_to_fp16=False)
    except RuntimeError as error:
        raise OSError(f"OpenVINO says: {first_line(error)}") from error


_WRITERS: Mapping[Format, Callable[[ModelProto, Path], None]] = {"onnx": _write_onnx, "openvino": _write_openvino}


def _check_formats(formats: Sequence[Format]) -> None:
    """Refuse unknown formats, and known ones whose libraries are missing."""
    if not formats or any(each not in FILES for each in formats) or len(set(formats)) < len(formats):
        raise ExportError(f"formats are {', '.join(formats) or 'none'}; give {' or '.join(FILES)}, or both")
    for library in chain(*(NEEDED[each] for each in formats)):
        if find_spec(library) is None:
            raise ExportError(
                f"exporting to {' and '.join(formats)} needs {library}, which is not installed; run pip install "
                "'unetscope[export]'"
            )


def _check_free(out: Path) -> None:
    """Refuse a folder that holds anything but a bundle, whole or unfinished."""
    check_writable(out / DESCRIPTION)
    known = {DESCRIPTION, UNFINISHED, *chain(*FILES.values())}
    if foreign := sorted(path.name for path in (out.iterdir() if out.exists() else ()) if path.name not in known):
        raise OutputError(f"{out} holds {foreign[0]}, which is no part of a bundle; choose another --out, or empty it")


@contextmanager
def _replacing_bundle(out: Path) -> Iterator[Path]:
    """A folder whose files become those of `out` when the block ends well; otherwise all stays as it was.

    It lies inside `out`, so that moving files needs neither another disk nor rights on the folder around.
    """
    temporary, is_new = out / UNFINISHED, not out.exists()
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        _move_bundle(temporary, out)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        reason = error.strerror or str(error)
        raise OutputError(f"{out} cannot be written ({reason}); free some space or choose another folder") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if is_new:
            with suppress(OSError):  # it holds a bundle now
                out.rmdir()


def _move_bundle(source: Path, target: Path) -> None:
    """Exchange the files; the description goes first and comes last, so that no mixture ever has one."""
    (target / DESCRIPTION).unlink(missing_ok=True)
    for name in (*chain(*FILES.values()), DESCRIPTION):
        if (source / name).exists():
            with (source / name).open("rb+") as file:
                os.fsync(file.fileno())  # the bytes must be there before the name is
            (source / name).replace(target / name)
        else:
            (target / name).unlink(missing_ok=True)
