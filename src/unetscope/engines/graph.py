"""The U-Net as an ONNX graph, made from its spec and its weights; knows no torch, no files and nothing that runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from unetscope import __version__
from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.engines.layers import add_layers
from unetscope.engines.operators import Sketch, index_type
from unetscope.errors import CheckpointError, ExportError
from unetscope.model.geometry import margin, smallest_size
from unetscope.model.spec import UNetSpec
from unetscope.wiring import HEAD, IMAGE

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

OPSET, IR = 18, 8  # of 2022 and 2021: current enough for all that is said here, old enough for all that reads it
TINY = 1e-30  # above 0 in bfloat16 as well, and below any contrast
COMPARED = 8  # classes up to which comparing them one by one was not slower than the engines' own arg-max
AXES = ("z", "y", "x")
SCORES, LABELS = "scores", "labels"


def build_graph(checkpoint: Checkpoint, *, normalizes: bool = False, labels: bool = False) -> ModelProto:
    """Write a trained network as an ONNX graph, which ONNX Runtime, OpenVINO and many other programs run.

    Nodes and tensors have the names of the network's layers. The metadata say with which version the graph was made,
    what the classes are called, and what a program must know to feed it: `margin`, `smallest_size` and `stride` (sizes
    are the smallest plus whole strides), the normalization, and whether the graph applies it.

    Args:
        checkpoint: The trained network.
        normalizes: Whether the graph takes intensities as stored (as float32) and normalizes them itself. Where
            `reads_whole_image`, it takes mean and standard deviation of what it is fed, which must be a whole image.
        labels: Whether the graph returns class indices instead of scores.

    Returns:
        A graph from "image", (batch, channels, [z,] y, x), float32, batch and sizes free, to "scores", (batch, classes,
        [z,] y, x), before soft-max, with the background's, 0, where a network has a single score; or to "labels",
        (batch, [z,] y, x), bytes, or int32 for more than 256 classes, ties to the lowest.

    Raises:
        ExportError: onnx is not installed.
        CheckpointError: The weights, or the normalization, are not those of the described network.

    Example:
        >>> import torch
        >>> from unetscope.model.unet import UNet
        >>> spec = UNetSpec.by_level((4, 8))
        >>> blank = Checkpoint(spec, UNet(spec).state_dict(), Normalization.range(0, 255), ("background", "cell"))
        >>> [node.name for node in build_graph(blank).graph.node][:4]
        ['encoder.0.conv1.conv', 'encoder.0.conv1', 'encoder.0.conv2.conv', 'encoder.0.conv2']
    """
    try:
        from onnx.helper import make_graph, make_model, make_opsetid, set_model_props
    except ImportError as error:
        raise ExportError(
            "a graph of the network needs onnx, which is not installed; run pip install 'unetscope[fast]'"
        ) from error
    spec, sketch = checkpoint.spec, Sketch(checkpoint.ndim)
    entry = _normalize(sketch, spec, checkpoint.normalization) if normalizes else IMAGE
    add_layers(sketch, spec, checkpoint.weights, entry)
    end = _label(sketch, spec) if labels else _score(sketch, spec)
    graph = make_graph(
        sketch.nodes, "unetscope", [_entry_info(spec)], [_end_info(spec, end)], list(sketch.constants.values())
    )
    model = make_model(graph, opset_imports=[make_opsetid("", OPSET)], ir_version=IR)
    model.producer_name, model.producer_version = "unetscope", __version__
    set_model_props(model, _metadata(checkpoint, normalizes))
    return model


def reads_whole_image(normalization: Normalization) -> bool:
    """Whether a graph that normalizes must be fed whole images, for it measures each.

    Example:
        >>> reads_whole_image(Normalization("image")), reads_whole_image(Normalization.range(0, 255))
        (True, False)
    """
    return normalization.scheme == "image"


def _normalize(sketch: Sketch, spec: UNetSpec, normalization: Normalization) -> str:
    """Intensities as stored become what the network sees; numbers from the checkpoint, or measured in the image."""
    if reads_whole_image(normalization):
        return _standardize(sketch)
    if len(normalization.shift) not in (1, spec.image_channels):
        raise CheckpointError(
            f"the normalization was made for {len(normalization.shift)} channels, and the network reads "
            f"{spec.image_channels}; the run folder mixes two runs, train again or restore its files from one run"
        )
    column = (-1,) + (1,) * spec.ndim
    x = IMAGE
    if normalization.window:
        low, high = np.transpose(normalization.window)
        x = sketch.add("Max", [x, sketch.keep("window.low", low.reshape(column), np.float32)], "window.above")
        x = sketch.add("Min", [x, sketch.keep("window.high", high.reshape(column), np.float32)], "window")
    shift, scale = (np.reshape(numbers, column) for numbers in (normalization.shift, normalization.scale))
    centered = sketch.add("Sub", [x, sketch.keep("shift", shift, np.float32)], "centered")
    return sketch.add("Div", [centered, sketch.keep("scale", scale, np.float32)], "normalized")


def _standardize(sketch: Sketch) -> str:
    """Each channel of each image minus its mean, by its standard deviation; without contrast it becomes 0.

    It is mapped to 0..1 before it is measured, so that squares do not overflow and rounding is not taken for contrast.
    """
    axes = sketch.keep("spatial.axes", sketch.axes)
    tiny = sketch.keep("tiny", TINY, np.float32)
    # An engine may round to bfloat16 whatever it computes, but not what it is fed: only the first difference is exact.
    above = sketch.add("Sub", [IMAGE, sketch.add("ReduceMin", [IMAGE, axes], "low")], "above")
    rest, high = (sketch.add(f"Reduce{which}", [above, axes], f"above.{which.lower()}") for which in ("Min", "Max"))
    contrast = sketch.add("Max", [sketch.add("Sub", [high, rest], "range"), tiny], "contrast")
    unit = sketch.add("Div", [sketch.add("Sub", [above, rest], "lifted"), contrast], "unit")
    centered = sketch.add("Sub", [unit, sketch.add("ReduceMean", [unit, axes], "mean")], "centered")
    squares = sketch.add("Mul", [centered, centered], "squares")
    deviation = sketch.add("Sqrt", [sketch.add("ReduceMean", [squares, axes], "variance")], "deviation")
    return sketch.add("Div", [centered, sketch.add("Max", [deviation, tiny], "scale")], "normalized")


def _score(sketch: Sketch, spec: UNetSpec) -> str:
    """One score per class: a single one gets its background's, 0, before it."""
    if spec.classes > 1:
        return sketch.add("Identity", [HEAD], SCORES)
    nowhere = (0,) * spec.ndim
    return sketch.add("Pad", [HEAD, sketch.keep("background", (0, 1, *nowhere, 0, 0, *nowhere))], SCORES)


def _label(sketch: Sketch, spec: UNetSpec) -> str:
    """The class of the largest score, ties to the lowest: by comparison where classes are few."""
    from onnx.helper import np_dtype_to_tensor_dtype

    if spec.classes > COMPARED:
        largest = sketch.add("ArgMax", [HEAD], "largest", axis=1, keepdims=0, select_last_index=0)
        return sketch.add("Cast", [largest], LABELS, to=np_dtype_to_tensor_dtype(np.dtype(index_type(spec.classes))))
    maps = [
        sketch.add("Gather", [HEAD, sketch.keep(f"class{index}.index", index)], f"class{index}", axis=1)
        for index in range(spec.classes)
    ]
    if spec.classes == 1:
        maps.insert(0, sketch.keep("background", 0, np.float32))
    return sketch.find_largest(maps, LABELS)


def _entry_info(spec: UNetSpec) -> ValueInfoProto:
    """What a graph takes."""
    from onnx import TensorProto
    from onnx.helper import make_tensor_value_info

    return make_tensor_value_info(IMAGE, TensorProto.FLOAT, ["batch", spec.image_channels, *AXES[-spec.ndim :]])


def _end_info(spec: UNetSpec, end: str) -> ValueInfoProto:
    """What a graph returns, as large as the image but for the margin of a valid network."""
    from onnx import TensorProto
    from onnx.helper import make_tensor_value_info, np_dtype_to_tensor_dtype

    lost = zip(AXES[-spec.ndim :], margin(spec), strict=True)
    sizes = [f"{axis} - {2 * count}" if count else axis for axis, count in lost]
    classes = max(2, spec.classes)
    if end == SCORES:
        return make_tensor_value_info(SCORES, TensorProto.FLOAT, ["batch", classes, *sizes])
    return make_tensor_value_info(LABELS, np_dtype_to_tensor_dtype(np.dtype(index_type(classes))), ["batch", *sizes])


def _metadata(checkpoint: Checkpoint, normalizes: bool) -> dict[str, str]:
    """What a program must know to feed a graph and to read what it returns."""
    spec = checkpoint.spec
    told = {
        "classes": checkpoint.classes,
        "margin": margin(spec),
        "smallest_size": smallest_size(spec),
        "stride": spec.total_stride,
        "normalization": checkpoint.normalization.to_json(),
        "normalizes": normalizes,
    }
    return {"unetscope": __version__, **{key: json.dumps(value) for key, value in told.items()}}
