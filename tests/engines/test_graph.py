"""The graph computes what the network in torch computes: every kind of layer, in two independent engines."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from itertools import product
from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unetscope import __version__
from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.engines.graph import COMPARED, build_graph, reads_whole_image
from unetscope.errors import CheckpointError, ExportError
from unetscope.model.cost import count_parameters
from unetscope.model.geometry import margin, smallest_size
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet, class_scores

onnx = pytest.importorskip("onnx", reason="the extra 'fast' is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
openvino = pytest.importorskip("openvino", reason="the extra 'fast' is not installed")

DOWN_UP = [*product(("max", "strided"), ("transposed", "nearest", "linear", "subpixel")), ("max", "unpool")]
CORE = openvino.Core()


def random_checkpoint(spec: UNetSpec, normalization: Normalization | None = None, seed: int = 0) -> Checkpoint:
    """Random weights, and norms that do something."""
    torch.manual_seed(seed)
    weights = UNet(spec).state_dict()
    for name, tensor in weights.items():
        if "norm" in name and tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5)
        elif "bias" in name:
            tensor.copy_(torch.randn_like(tensor) * 0.1)
    classes = tuple(map(str, range(max(2, spec.classes))))
    return Checkpoint(spec, weights, normalization or Normalization("image"), classes)


def whole_numbers(checkpoint: Checkpoint, seed: int = 0) -> Checkpoint:
    """Weights -1, 0 and 1, with which a shallow network computes without rounding."""
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.integers(-1, 2, values.shape).astype(np.float32) for name, values in checkpoint.weights.items()
    }
    return replace(checkpoint, weights=weights)


def run_onnxruntime(model):
    """The model as a function, in ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"image": image})[0]


def run_openvino(model, precision="f32"):
    """The model as a function, in OpenVINO."""
    options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1}
    compiled = CORE.compile_model(CORE.read_model(model.SerializeToString()), "CPU", options)
    return lambda image: compiled([image])[0].copy()


ENGINES = {"onnxruntime": run_onnxruntime, "openvino": run_openvino}


def torch_scores(checkpoint: Checkpoint, image: np.ndarray) -> np.ndarray:
    """One score per class, computed in float64."""
    with torch.no_grad():
        return class_scores(checkpoint.network().double()(torch.from_numpy(image).double())).numpy()


def shapes_of(spec: UNetSpec) -> list[tuple[int, ...]]:
    """Batch and size of three inputs: the smallest, and larger ones of unlike sides."""
    smallest = smallest_size(spec)
    steps = ((0,) * spec.ndim, tuple(range(1, spec.ndim + 1)), tuple(range(spec.ndim, 0, -1)))
    sizes = [[n + k * s for n, k, s in zip(smallest, step, spec.total_stride, strict=True)] for step in steps]
    return [(batch, spec.image_channels, *size) for batch, size in zip((2, 1, 3), sizes, strict=True)]


def check_scores(checkpoint: Checkpoint, tolerance: float = 1e-5, engines: tuple[str, ...] = tuple(ENGINES)) -> None:
    """Scores of one model at several sizes equal those of torch."""
    model = build_graph(checkpoint)
    onnx.checker.check_model(model, full_check=True)
    runs = {engine: ENGINES[engine](model) for engine in engines}
    rng = np.random.default_rng(0)
    for shape in shapes_of(checkpoint.spec):
        image = rng.integers(-3, 4, shape).astype(np.float32)
        expected = torch_scores(checkpoint, image)
        for engine, run in runs.items():
            found = run(image)
            assert found.dtype == np.float32
            bound = tolerance * max(1, np.abs(expected).max())
            np.testing.assert_allclose(found, expected, rtol=0, atol=bound, err_msg=f"{engine} {shape}")


# ------------------------------------------------------------------------------------------------------------- scores


@pytest.mark.parametrize("norm", ["none", "batch", "instance"])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize(("down", "up"), DOWN_UP)
def test_scores_in_2d(padded, norm, down, up):
    spec = UNetSpec.by_level((3, 4, 5), image_channels=2, padded=padded, norm=norm, down=down, up=up)
    engines = ("onnxruntime",) if norm == "none" else tuple(ENGINES)  # what both compute with a norm
    check_scores(random_checkpoint(spec), 1e-4 if norm == "instance" else 1e-5, engines)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize(("down", "up"), DOWN_UP)
def test_scores_in_3d(padded, down, up):
    form = {"ndim": 3, "strides": ((1, 2, 2), (2, 1, 3)), "convolutions": 1, "norm": "batch"}
    check_scores(random_checkpoint(UNetSpec.by_level((2, 3, 3), padded=padded, down=down, up=up, **form)))


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("up", ["transposed", "nearest", "linear", "subpixel", "unpool"])
def test_other_strides_skips_and_activations(padded, up):
    """Odd and even factors, a level that pools nothing along any axis, a dropped skip, and dropout."""
    form = {"strides": ((3, 1), (1, 1), (1, 4)), "skips": (0, 2), "activation": "leaky", "slope": 0.2, "dropout": 0.5}
    check_scores(random_checkpoint(UNetSpec.by_level((2, 3, 2, 3), convolutions=1, padded=padded, up=up, **form)))


@pytest.mark.parametrize("form", [{"widths": (4,)}, {"widths": (4,), "padded": False, "ndim": 3, "norm": "instance"}])
def test_without_levels(form):
    check_scores(random_checkpoint(UNetSpec.by_level(**form)))


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("classes", [1, 2, 5])
def test_every_class_has_a_score(classes, ndim):
    checkpoint = random_checkpoint(UNetSpec.by_level((3, 4), classes=classes, ndim=ndim))
    check_scores(checkpoint)
    if classes == 1:
        image = np.ones((2, 1, *(4,) * ndim), np.float32)
        assert not run_openvino(build_graph(checkpoint))(image)[:, 0].any()


@pytest.mark.parametrize("name", ["default", "ronneberger2015", "lee2021", "flat"])
def test_scores_of_the_presets(name):
    check_scores(random_checkpoint(UNetSpec.preset(name, width=2)))


@st.composite
def specs(draw):
    """Any network that can be described; unpooling is compared without rounding, further down."""
    depth, ndim = draw(st.integers(0, 2)), draw(st.sampled_from([2, 3]))
    strides = draw(st.none() | st.lists(st.tuples(*[st.integers(1, 3)] * ndim), min_size=depth, max_size=depth))
    choices = {
        "convolutions": st.integers(1, 2),
        "skips": st.none() | st.sets(st.integers(0, depth - 1)).map(tuple) if depth else st.none(),
        "padded": st.booleans(),
        "norm": st.sampled_from(["none", "batch"]),
        "activation": st.sampled_from(["relu", "leaky"]),
        "image_channels": st.integers(1, 3),
        "classes": st.integers(1, 3),
    }
    chosen = {name: draw(choice) for name, choice in choices.items()}
    down, up = draw(st.sampled_from(DOWN_UP[:-1]))
    spec = UNetSpec.by_level([1] * (depth + 1), ndim=ndim, strides=strides, down=down, up=up, **chosen)
    return spec.with_widths({layer: draw(st.integers(1, 4)) for layer in spec.widths})


@settings(max_examples=20, deadline=None)
@given(specs(), st.integers(0, 99))
def test_scores_of_any_network(spec, seed):
    check_scores(random_checkpoint(spec, seed=seed))


# ---------------------------------------------------------------------------------------------------------- unpooling


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("factors", [(2, 2), (1, 1), (3, 1), (2, 4), (2, 2, 2), (1, 2, 3)], ids=str)
def test_of_equal_maxima_the_first_counts(factors, padded):
    """Whole numbers are computed without rounding, so ties are ties in every engine, and results equal."""
    form = {"ndim": len(factors), "strides": (factors,), "padded": padded, "up": "unpool", "convolutions": 1}
    checkpoint = whole_numbers(random_checkpoint(UNetSpec.by_level((3, 2), **form)))
    check_scores(checkpoint, tolerance=0)
    image = np.random.default_rng(1).integers(-1, 2, shapes_of(checkpoint.spec)[1]).astype(np.float32)
    image[..., image.shape[-1] // 2 :] = 1  # a plane where every window ties
    for run in ENGINES.values():
        np.testing.assert_array_equal(run(build_graph(checkpoint))(image), torch_scores(checkpoint, image))


def test_places_that_no_byte_counts():
    form = {"strides": ((16, 17),), "up": "unpool", "convolutions": 1}
    check_scores(whole_numbers(random_checkpoint(UNetSpec.by_level((2, 2), **form))), 0, ("onnxruntime",))


# ------------------------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("classes", [1, 2, 3, COMPARED, COMPARED + 1, 256, 257])
def test_labels_take_the_lowest_of_the_largest_scores(classes, ndim, engine):
    spec = UNetSpec.by_level((3,), classes=classes, ndim=ndim, convolutions=1)
    checkpoint = whole_numbers(random_checkpoint(spec))
    image = np.random.default_rng(0).integers(-1, 2, (2, 1, *(9, 8, 7)[:ndim])).astype(np.float32)
    scores = torch_scores(checkpoint, image)
    ranked = np.sort(scores, axis=1)
    assert (ranked[:, -1] == ranked[:, -2]).any(), "no tie"
    model = build_graph(checkpoint, labels=True)
    onnx.checker.check_model(model, full_check=True)
    labels = ENGINES[engine](model)(image)
    assert labels.dtype == (np.uint8 if classes <= 256 else np.int32)
    np.testing.assert_array_equal(labels, scores.argmax(axis=1))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("classes", [1, 4])
def test_labels_are_those_of_the_scores(classes, engine):
    checkpoint = random_checkpoint(UNetSpec.by_level((4, 6), classes=classes, padded=False, norm="batch"))
    image = np.random.default_rng(0).standard_normal((2, 1, 60, 48)).astype(np.float32)
    scores = ENGINES[engine](build_graph(checkpoint))(image)
    labels = ENGINES[engine](build_graph(checkpoint, labels=True))(image)
    assert len(np.unique(labels)) > 1
    np.testing.assert_array_equal(labels, scores.argmax(axis=1))


@pytest.mark.parametrize("classes", [2, COMPARED, 300])
def test_indices_keep_all_digits_in_bfloat16(classes):
    """A head that is sure of each class somewhere: bfloat16 holds no whole numbers above 256."""
    spec = UNetSpec.by_level((classes,), image_channels=classes, classes=classes, convolutions=1)
    unit = np.eye(classes, dtype=np.float32)[..., None, None]
    weights = {name: np.zeros_like(values) for name, values in random_checkpoint(spec).weights.items()}
    weights["bottleneck.conv1.conv.weight"][..., 1:2, 1:2] = unit
    weights["head.conv.weight"][:] = unit
    checkpoint = Checkpoint(spec, weights, Normalization.range(0, 1), tuple(map(str, range(classes))))
    expected = np.arange(2 * classes).reshape(1, 2, classes) % classes
    image = (expected[:, None] == np.arange(classes)[:, None, None]).astype(np.float32)
    labels = run_openvino(build_graph(checkpoint, labels=True), "bf16")(image)
    np.testing.assert_array_equal(labels, expected)


# ------------------------------------------------------------------------------------------------------ normalization

SCHEMES = [
    Normalization.range(0, 255),
    Normalization("dataset", (90.0, 110.0), (40.0, 30.0)),
    Normalization("window", (90.0, 110.0), (40.0, 30.0), ((30.0, 140.0), (60.0, 200.0))),
    Normalization("window", (90.0,), (40.0,), ((30.0, 140.0),)),
    Normalization("image"),
]


def intensities(shape, contrast=40.0):
    """Images whose intensities differ from one to the next."""
    rng = np.random.default_rng(0)
    means = 100 + 20 * np.arange(prod(shape[:2])).reshape(*shape[:2], *(1,) * (len(shape) - 2))
    return np.clip(rng.normal(means, contrast, shape), 0, 255).round().astype(np.float32)


def normalized(checkpoint, images):
    """Each image as `Normalization` has it."""
    affines = [checkpoint.normalization.affine(image) for image in images]
    return np.stack([affine.apply(image) for affine, image in zip(affines, images, strict=True)])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("normalization", SCHEMES, ids=lambda each: f"{each.scheme}{len(each.shift)}")
def test_intensities_are_normalized_as_outside(normalization, ndim, engine):
    checkpoint = random_checkpoint(UNetSpec.by_level((3, 4), image_channels=2, ndim=ndim), normalization)
    model = build_graph(checkpoint, normalizes=True)
    onnx.checker.check_model(model, full_check=True)
    run = ENGINES[engine](model)
    for shape in shapes_of(checkpoint.spec):
        images = intensities((*shape[:2], *(2 * n for n in shape[2:])))
        expected = torch_scores(checkpoint, normalized(checkpoint, images))
        np.testing.assert_allclose(run(images), expected, rtol=0, atol=2e-5 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("engine", ENGINES)
def test_any_contrast_of_an_image(engine):
    """None gives zeros, as outside; what float32 holds beside the offset is told apart."""
    checkpoint = random_checkpoint(UNetSpec.by_level((3, 4)), Normalization("image"))
    run = ENGINES[engine](build_graph(checkpoint, normalizes=True))
    pattern = np.random.default_rng(0).random((1, 1, 24, 20))
    for contrast, offset in product((0.0, 1e-25, 25.0, 1e30), (0.0, 0.1, 40_001.7, -3e30)):
        images = (offset + contrast * pattern).astype(np.float32)
        expected = torch_scores(checkpoint, normalized(checkpoint, images))
        bound = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(run(images), expected, rtol=0, atol=bound, err_msg=f"{contrast} {offset}")


@pytest.mark.parametrize(
    "normalization",
    [Normalization("dataset", (29_952.0,), (10.0,)), Normalization("image")],
    ids=lambda each: each.scheme,
)
def test_bfloat16_does_not_round_intensities_as_stored(normalization):
    """Around 29952 numbers are 128 apart in bfloat16, more than the contrast of this image."""
    checkpoint = random_checkpoint(UNetSpec.by_level((8, 16), norm="batch"), normalization)
    images = np.random.default_rng(0).normal(29_952, 10, (1, 1, 64, 64)).astype(np.float32)
    expected = torch_scores(checkpoint, normalized(checkpoint, images))
    found = run_openvino(build_graph(checkpoint, normalizes=True), "bf16")(images)
    assert np.sqrt(np.square(found - expected).mean()) < 0.06 * expected.std()


@pytest.mark.parametrize("engine", ENGINES)
def test_labels_of_intensities(engine):
    checkpoint = random_checkpoint(UNetSpec.by_level((3, 4)), SCHEMES[0])
    images = intensities((2, 1, 32, 24))
    expected = torch_scores(checkpoint, normalized(checkpoint, images)).argmax(axis=1)
    labels = ENGINES[engine](build_graph(checkpoint, normalizes=True, labels=True))(images)
    assert (labels == expected).mean() > 0.995


def test_only_one_scheme_looks_at_whole_images():
    assert [reads_whole_image(each) for each in SCHEMES] == [False] * 4 + [True]


# ------------------------------------------------------------------------------------------------- what a graph says


def test_nodes_and_tensors_have_the_names_of_the_layers():
    spec = UNetSpec.by_level((2, 3), norm="batch")
    graph = build_graph(random_checkpoint(spec)).graph
    outputs = [output for node in graph.node for output in node.output]
    assert len(set(outputs)) == len(outputs)
    assert [node.name for node in graph.node] == outputs
    assert [name for name in outputs if name in spec.wiring.layers] == list(spec.wiring.layers)
    named = {name.removesuffix(".weight") for name in (each.name for each in graph.initializer) if "weight" in name}
    assert named == {f"{layer}.conv" for layer in spec.wiring.layers}


def test_norms_and_dropout_leave_no_node():
    plain, normed = (
        build_graph(random_checkpoint(UNetSpec.preset("default", norm=norm, width=2, dropout=dropout)))
        for norm, dropout in (("none", 0.0), ("batch", 0.5))
    )
    assert [node.op_type for node in plain.graph.node] == [node.op_type for node in normed.graph.node]
    assert {node.op_type for node in plain.graph.node} == {
        *("Conv", "Relu", "MaxPool", "ConvTranspose", "Concat", "Identity")
    }


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize(("down", "up"), DOWN_UP)
def test_parameters_are_those_that_were_counted(down, up, ndim):
    checkpoint = random_checkpoint(UNetSpec.by_level((2, 3, 4), down=down, up=up, ndim=ndim))
    kept = {each.name: prod(each.dims) for each in build_graph(checkpoint).graph.initializer}
    counted = sum(count for name, count in kept.items() if name in checkpoint.weights)
    assert counted == count_parameters(checkpoint.spec)


@pytest.mark.parametrize("padded", [True, False])
def test_metadata_say_how_to_feed_it(padded):
    spec = UNetSpec.by_level((2, 3), padded=padded, strides=((2, 3),), classes=3)
    checkpoint = random_checkpoint(spec, SCHEMES[0])
    for normalizes in (False, True):
        model = build_graph(checkpoint, normalizes=normalizes)
        told = {entry.key: entry.value for entry in model.metadata_props}
        assert told.pop("unetscope") == model.producer_version == __version__
        assert {key: json.loads(value) for key, value in told.items()} == {
            "classes": ["0", "1", "2"],
            "margin": list(margin(spec)),
            "smallest_size": list(smallest_size(spec)),
            "stride": [2, 3],
            "normalization": SCHEMES[0].to_json(),
            "normalizes": normalizes,
        }


@pytest.mark.parametrize(("padded", "ends"), [(True, ["y", "x"]), (False, ["y - 16", "x - 20"])])
def test_batch_and_sizes_are_free(padded, ends):
    graph = build_graph(random_checkpoint(UNetSpec.by_level((2, 3), padded=padded, strides=((2, 3),)))).graph
    dims = [[axis.dim_param or axis.dim_value for axis in each.type.tensor_type.shape.dim] for each in
            (*graph.input, *graph.output)]  # fmt: skip
    assert dims == [["batch", 1, "y", "x"], ["batch", 2, *ends]]


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("norm", ["none", "batch", "instance"])
@pytest.mark.parametrize("other", ["none", "batch", "instance"])
def test_weights_of_another_norm_are_refused(norm, other):
    made = random_checkpoint(UNetSpec.by_level((2, 3), norm=norm))
    spoiled = replace(made, spec=replace(made.spec, norm=other))
    if norm == other:
        build_graph(spoiled)
        return
    with pytest.raises(CheckpointError, match=r"encoder\.0\.conv1\..* train again"):
        build_graph(spoiled)


def test_weights_of_another_shape_are_refused():
    made = random_checkpoint(UNetSpec.by_level((2, 3)))
    spoiled = replace(made, spec=made.spec.with_widths({"encoder.0.conv1": 5}))
    with pytest.raises(CheckpointError, match=r"conv1\.conv\.weight has shape \(2, 1, 3, 3\), and \(5, 1, 3, 3\)"):
        build_graph(spoiled)


def test_a_normalization_for_other_channels_is_refused():
    made = random_checkpoint(
        UNetSpec.by_level((2,), image_channels=3), Normalization("dataset", (1.0, 2.0), (1.0, 1.0))
    )
    build_graph(made)
    with pytest.raises(CheckpointError, match="made for 2 channels, and the network reads 3"):
        build_graph(made, normalizes=True)


def test_without_onnx_the_message_names_the_extra(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "onnx"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ExportError, match=r"needs onnx.* pip install 'unetscope\[fast\]'"):
        build_graph(random_checkpoint(UNetSpec.by_level((2,))))


def test_a_graph_needs_no_torch(tmp_path):
    """From a saved run to a graph, in a fresh process."""
    random_checkpoint(UNetSpec.by_level((2, 3), norm="batch")).save(tmp_path)
    program = (
        "import sys; from unetscope.checkpoint import Checkpoint; from unetscope.engines.graph import build_graph; "
        f"print(len(build_graph(Checkpoint.load({str(tmp_path)!r})).graph.node), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "False"
    assert int(done.stdout.split()[0]) > 10
