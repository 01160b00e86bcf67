"""Exports compute what their checkpoint computes, or nothing is left of them."""

from __future__ import annotations

import json
import resource
import socket
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from unetscope import exports
from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.data.spacing import Spacing
from unetscope.engines.bundle import DESCRIPTION, FILES, Bundle
from unetscope.engines.choice import Trial, choose_engine
from unetscope.engines.runtimes import load_onnxruntime, load_openvino
from unetscope.engines.torch_engine import computes_bfloat16
from unetscope.engines.verification import AGREEMENT, TOLERANCE, Verification
from unetscope.errors import ExportError, OutputError
from unetscope.exports import export
from unetscope.files import digest
from unetscope.model.geometry import output_shape
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet, class_scores

onnx = pytest.importorskip("onnx", reason="the extra export is not installed")
if not (find_spec("onnxruntime") and find_spec("openvino")):
    pytest.skip("the extra export is not installed", allow_module_level=True)
onnxruntime, openvino = load_onnxruntime(), load_openvino()

SPECS = {
    "padded": UNetSpec.by_level((3, 5, 6), norm="batch", classes=3),
    "valid": UNetSpec.by_level((3, 4), padded=False, up="linear"),
    "volumes": UNetSpec.by_level((2, 3), ndim=3, norm="batch", strides=((1, 2, 2),)),
    "single": UNetSpec.by_level((3, 4), classes=1, image_channels=3, up="nearest"),
    "instance": UNetSpec.by_level((3, 4), norm="instance", activation="leaky"),
}
SCHEMES = {
    "range": Normalization.range(0, 255),
    "dataset": Normalization("dataset", (30000.0, 12.0, -5.0), (800.0, 3.0, 0.01)),
    "window": Normalization("window", (40.0,) * 3, (60.0,) * 3, ((-10.0, 100.0),) * 3),
    "image": Normalization("image"),
}
ALL_FILES = {DESCRIPTION, *FILES["onnx"], *FILES["openvino"]}


def make(spec: UNetSpec, normalization: Normalization = SCHEMES["range"], seed: int = 0, **rest) -> Checkpoint:
    """A checkpoint whose every weight and statistic counts."""
    torch.manual_seed(seed)
    weights = {
        name: value + 0.2 * torch.rand_like(value) if value.is_floating_point() else value
        for name, value in UNet(spec).state_dict().items()
    }
    names = ("background", *(f"class {index}" for index in range(1, max(2, spec.classes))))
    return Checkpoint(spec, {name: value.numpy() for name, value in weights.items()}, normalization, names, **rest)


def true_scores(checkpoint: Checkpoint, block: np.ndarray) -> np.ndarray:
    """What the network in torch returns."""
    with torch.inference_mode():
        return class_scores(checkpoint.network()(torch.from_numpy(block))).numpy()


def run(path: Path, block: np.ndarray) -> np.ndarray:
    """What a written file returns in the runtime that it is for."""
    if path.suffix == ".onnx":
        return onnxruntime.InferenceSession(path).run(None, {"image": block})[0]
    return openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(block)[0]


def describe(folder: Path) -> dict:
    return json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def contents_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def tamper(monkeypatch: pytest.MonkeyPatch, change) -> None:
    """Let every graph be that of changed weights."""
    build = exports.build_graph
    monkeypatch.setattr(
        exports,
        "build_graph",
        lambda checkpoint, **how: build(replace(checkpoint, weights=change(dict(checkpoint.weights))), **how),
    )


# ------------------------------------------------------------------------------------------------ what comes out of it


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_both_files_compute_the_network_at_other_sizes_and_batches_than_those_verified(spec: UNetSpec, tmp_path: Path):
    checkpoint = make(spec)
    export(checkpoint, tmp_path / "bundle")
    said = describe(tmp_path / "bundle")["input"]
    shape = [least + 3 * stride for least, stride in zip(said["smallest_size"], said["stride"], strict=True)]
    block = np.random.default_rng(5).standard_normal((3, said["channels"], *shape), np.float32)
    expected = true_scores(checkpoint, block)
    for name in ("network.onnx", "network.xml"):
        np.testing.assert_allclose(run(tmp_path / "bundle" / name, block), expected, atol=1e-4 * expected.std())


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("labels", [False, True], ids=["scores", "labels"])
def test_graphs_that_normalize_take_stored_intensities(scheme: str, labels: bool, tmp_path: Path):
    checkpoint = make(UNetSpec.by_level((3, 4), image_channels=3, classes=3), SCHEMES[scheme])
    bundle = export(checkpoint, tmp_path / "bundle", normalizes=True, labels=labels)
    assert (bundle.normalizes, bundle.returns_labels) == (True, labels)
    images = np.random.default_rng(0).integers(0, 90, (2, 3, 32, 16)).astype(np.uint8)
    seen = np.stack([checkpoint.normalization.affine(image).apply(image) for image in images])
    expected = true_scores(checkpoint, seen)
    for name in ("network.onnx", "network.xml"):
        found = run(tmp_path / "bundle" / name, images.astype(np.float32))
        if labels:
            assert found.shape == (2, 32, 16)
            assert (found == expected.argmax(1)).mean() > 0.999
        else:
            np.testing.assert_allclose(found, expected, atol=1e-3 * expected.std())


@pytest.mark.parametrize("spec", [SPECS["padded"], SPECS["valid"], SPECS["volumes"]])
@pytest.mark.parametrize("labels", [False, True], ids=["scores", "labels"])
def test_the_description_is_true(spec: UNetSpec, labels: bool, tmp_path: Path):
    export(make(spec), tmp_path / "bundle", ("onnx",), labels=labels)
    said = describe(tmp_path / "bundle")
    session = onnxruntime.InferenceSession(tmp_path / "bundle" / "network.onnx")
    (taken,), (returned,) = session.get_inputs(), session.get_outputs()
    assert (taken.name, returned.name) == (said["input"]["name"], said["output"]["name"])
    assert taken.type == "tensor(float)"
    assert returned.type == {"float32": "tensor(float)", "uint8": "tensor(uint8)"}[said["output"]["type"]]
    assert said["output"]["axes"] == ["batch", *["classes"] * (not labels), *"zyx"[-spec.ndim :]]
    for more in (0, 2):
        smallest, strides = said["input"]["smallest_size"], said["input"]["stride"]
        shape = tuple(least + more * stride for least, stride in zip(smallest, strides, strict=True))
        image = np.zeros((1, said["input"]["channels"], *shape), np.float32)
        (found,) = session.run(None, {"image": image})
        assert found.shape[-spec.ndim :] == output_shape(spec, shape)
        assert found.shape[-spec.ndim :] == tuple(
            size - 2 * lost for size, lost in zip(shape, said["output"]["margin"], strict=True)
        )
        assert found.dtype == said["output"]["type"]


def test_a_bundle_says_what_its_checkpoint_says(tmp_path: Path):
    more = {"spacing": Spacing((3.0, 0.5, 0.5), "mm"), "objects": True, "smallest": 17}
    checkpoint = make(replace(SPECS["volumes"], classes=3), SCHEMES["range"], **more)
    bundle = export(checkpoint, str(tmp_path / "new" / "bundle"))
    assert bundle == Bundle.load(tmp_path / "new" / "bundle")
    for name in ("spec", "ndim", "normalization", "classes", *more):
        assert getattr(bundle, name) == getattr(checkpoint, name)
    assert bundle.provenance["weights"] == checkpoint.digest()
    assert bundle.provenance["versions"]["onnx"] == onnx.__version__.partition("-")[0]
    assert bundle.provenance["versions"]["onnxruntime"] == onnxruntime.__version__


@pytest.mark.parametrize("accepted", [True, False])
def test_bfloat16_is_used_only_where_it_was_tried(
    accepted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial("openvino", "bfloat16", 1.0, 1.0, 1.0, accepted, "" if accepted else "too far off")
    monkeypatch.setattr(exports, "compare_engines", lambda checkpoint, precision: (trial,))
    bundle = export(make(SPECS["padded"]), tmp_path / "out")
    assert bundle.bears_bfloat16 == Bundle.load(tmp_path / "out").bears_bfloat16 == accepted
    if accepted and not computes_bfloat16():
        pytest.skip("this processor does not compute in bfloat16")
    assert choose_engine(bundle).precision == ("bfloat16" if accepted else "float32")


def test_without_crops_bfloat16_is_not_tried(tmp_path: Path) -> None:
    assert not export(make(SPECS["padded"]), tmp_path / "out", ["onnx"]).bears_bfloat16


def test_every_file_is_recorded_by_its_content(tmp_path: Path):
    export(make(SPECS["padded"]), tmp_path)
    assert describe(tmp_path)["files"] == {name: digest(tmp_path / name) for name in ALL_FILES - {DESCRIPTION}}
    assert names_in(tmp_path) == ALL_FILES


def test_a_checkpoint_is_not_changed(tmp_path: Path):
    checkpoint = make(SPECS["padded"], crops=np.ones((1, 1, 16, 16), np.float32))
    before = {name: value.copy() for name, value in checkpoint.weights.items()}
    export(checkpoint, tmp_path, normalizes=True)
    assert all(np.array_equal(checkpoint.weights[name], value) for name, value in before.items())
    assert (checkpoint.crops == 1).all()


def test_nothing_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    reached = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: reached.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address: reached.append(address))
    export(make(SPECS["padded"]), tmp_path)
    assert reached == []


# ------------------------------------------------------------------------------------------------ the verification


@pytest.mark.parametrize("crops", [0, 2])
@pytest.mark.parametrize("normalizes", [False, True], ids=["plain", "normalizes"])
def test_what_was_compared_is_recorded(crops: int, normalizes: bool, tmp_path: Path):
    drawn = np.random.default_rng(0).normal(size=(crops, 1, 24, 16)).astype(np.float32)
    checkpoint = make(SPECS["padded"], Normalization("dataset", (9000.0,), (70.0,)), crops=drawn)
    bundle = export(checkpoint, tmp_path, normalizes=normalizes)
    found = [Verification(**each) for each in bundle.provenance["verification"]]
    assert [(each.format, each.runtime, each.version) for each in found] == [
        ("onnx", "onnxruntime", onnxruntime.__version__),
        ("openvino", "openvino", openvino.__version__.partition("-")[0]),
    ]
    for each in found:
        assert each.passes
        assert each.blocks == crops + 2
        assert each.difference is not None
        assert 0 < each.difference < TOLERANCE
        assert AGREEMENT <= each.agreement <= 1


def doubled(weights: dict) -> dict:
    return {**weights, "encoder.0.conv1.conv.weight": 2 * weights["encoder.0.conv1.conv.weight"]}


def slightly_off(weights: dict) -> dict:
    """Scores that differ by a hundredth of their spread, and labels that hardly do."""
    return {**weights, "head.conv.weight": 1.01 * weights["head.conv.weight"]}


def broken(weights: dict) -> dict:
    return {**weights, "head.conv.bias": np.full_like(weights["head.conv.bias"], np.nan)}


@pytest.mark.parametrize("change", [doubled, slightly_off, broken])
@pytest.mark.parametrize("chosen", ["onnx", "openvino"])
def test_another_network_is_refused_and_nothing_is_left(
    change, chosen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tamper(monkeypatch, change)
    with pytest.raises(ExportError, match=r"is not what the network computes \(scores differ by up to") as caught:
        export(make(SPECS["padded"]), tmp_path / "bundle", (chosen,))
    assert "\n" not in str(caught.value)
    assert {"onnx": "onnxruntime", "openvino": "openvino"}[chosen] in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_other_labels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tamper(monkeypatch, lambda weights: {**weights, "head.conv.weight": -weights["head.conv.weight"]})
    with pytest.raises(ExportError, match=r"is not what the network computes \(labels agree on"):
        export(make(SPECS["padded"]), tmp_path / "bundle", labels=True)
    assert list(tmp_path.iterdir()) == []


def test_another_normalization_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    build = exports.build_graph
    other = Normalization.range(0, 250)
    monkeypatch.setattr(exports, "build_graph", lambda made, **how: build(replace(made, normalization=other), **how))
    with pytest.raises(ExportError, match="is not what the network computes"):
        export(make(SPECS["valid"]), tmp_path / "bundle", normalizes=True)
    assert list(tmp_path.iterdir()) == []


def test_an_error_on_the_crops_alone_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Random images hardly reach 50 standard deviations, where this graph goes wrong."""
    build = exports.build_graph

    def clipped(checkpoint: Checkpoint, **how: bool):
        model = build(checkpoint, **how)
        low, high = (onnx.numpy_helper.from_array(np.float32(value), f"limit {value}") for value in (-50, 50))
        model.graph.initializer.extend([low, high])
        for node in model.graph.node:
            node.input[:] = ["clipped" if name == "image" else name for name in node.input]
        model.graph.node.insert(0, onnx.helper.make_node("Clip", ["image", low.name, high.name], ["clipped"]))
        return model

    monkeypatch.setattr(exports, "build_graph", clipped)
    checkpoint = make(SPECS["valid"])
    export(checkpoint, tmp_path / "first")
    bright = np.random.default_rng(0).normal(60, 10, (1, 1, 36, 36)).astype(np.float32)
    with pytest.raises(ExportError, match="is not what the network computes"):
        export(replace(checkpoint, crops=bright), tmp_path / "second")
    assert names_in(tmp_path) == {"first"}


@pytest.mark.parametrize("chosen", ["onnx", "openvino"])
def test_a_file_that_no_runtime_runs_is_refused(chosen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def cut(_, folder: Path) -> None:
        for name in FILES[chosen]:
            (folder / name).write_bytes(b"cut off")

    monkeypatch.setattr(exports, "_WRITERS", {chosen: cut})
    with pytest.raises(ExportError, match=r"^network\.\w+ was written, but \w+ \S+ cannot run it \(") as caught:
        export(make(SPECS["padded"]), tmp_path / "bundle", (chosen,))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("difference", "agreement", "passes"),
    [
        (0.0, 1.0, True),
        (TOLERANCE, AGREEMENT, True),
        (None, 1.0, True),
        (2 * TOLERANCE, 1.0, False),
        (0.0, 0.998, False),
        (None, 0.998, False),
        (float("nan"), 1.0, False),
        (0.0, float("nan"), False),
    ],
)
def test_what_passes(difference: float | None, agreement: float, passes: bool):
    assert Verification("onnx", "onnxruntime", "1", difference, agreement, 2).passes == passes


# ------------------------------------------------------------------------------------------------ the folder


def test_an_earlier_bundle_is_replaced_and_leaves_nothing(tmp_path: Path):
    export(make(SPECS["padded"]), tmp_path)
    bundle = export(make(SPECS["valid"]), tmp_path, ("onnx",))
    assert names_in(tmp_path) == {DESCRIPTION, "network.onnx"}
    assert bundle.spec == SPECS["valid"]
    assert bundle.network == tmp_path / "network.onnx"


def test_an_earlier_bundle_survives_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    export(make(SPECS["padded"]), tmp_path)
    before = contents_of(tmp_path)
    tamper(monkeypatch, doubled)
    with pytest.raises(ExportError):
        export(make(SPECS["padded"], seed=1), tmp_path)
    assert contents_of(tmp_path) == before
    assert Bundle.load(tmp_path).spec == SPECS["padded"]


def test_the_rest_of_an_export_that_was_killed_is_cleared(tmp_path: Path):
    (tmp_path / exports.UNFINISHED).mkdir()
    (tmp_path / exports.UNFINISHED / "network.bin").write_bytes(b"half")
    (tmp_path / "network.bin").write_bytes(b"moved before the kill")
    export(make(SPECS["padded"]), tmp_path, ("onnx",))
    assert names_in(tmp_path) == {DESCRIPTION, "network.onnx"}


def test_a_folder_of_something_else_is_refused(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match=r"holds thesis\.tex, which is no part of a bundle; choose another --out"):
        export(make(SPECS["padded"]), tmp_path)
    assert names_in(tmp_path) == {"thesis.tex"}


def test_a_file_in_its_place_is_refused(tmp_path: Path):
    (tmp_path / "bundle").write_text("a file")
    with pytest.raises(OutputError, match="is a file and not a folder; choose another name"):
        export(make(SPECS["padded"]), tmp_path / "bundle")
    assert (tmp_path / "bundle").read_text() == "a file"


@pytest.mark.parametrize("chosen", ["onnx", "openvino"])
def test_a_full_disk_leaves_the_old_bundle(chosen, tmp_path: Path):
    checkpoint = make(UNetSpec.by_level((8, 16)))
    export(checkpoint, tmp_path / "old", (chosen,))
    before = contents_of(tmp_path / "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        for name in ("old", "new"):
            with pytest.raises(OutputError, match=rf"{name} cannot be written \(.+\); free some space or choose an"):
                export(checkpoint, tmp_path / name, (chosen,))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names_in(tmp_path) == {"old"}
    assert contents_of(tmp_path / "old") == before


# ------------------------------------------------------------------------------------------------ what is asked for


@pytest.mark.parametrize(
    ("formats", "said"),
    [
        ((), "none"),
        (("torchscript",), "torchscript"),
        (("onnx", "tflite"), "onnx, tflite"),
        (("onnx",) * 2, "onnx, onnx"),
    ],
)
def test_formats_are_those_known(formats, said: str, tmp_path: Path):
    with pytest.raises(ExportError, match=rf"^formats are {said}; give onnx or openvino, or both$"):
        export(make(SPECS["padded"]), tmp_path / "bundle", formats)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("missing", "formats", "is_needed"),
    [
        ("onnx", ("onnx",), True),
        ("onnx", ("openvino",), True),
        ("onnxruntime", ("onnx",), True),
        ("onnxruntime", ("openvino",), False),
        ("openvino", ("openvino",), True),
        ("openvino", ("onnx",), False),
    ],
)
def test_a_missing_library_is_named(
    missing: str, formats, is_needed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, missing, None)
    checkpoint = make(SPECS["valid"])
    if not is_needed:
        assert export(checkpoint, tmp_path / "bundle", formats).network.exists()
        return
    with pytest.raises(ExportError, match=rf"needs {missing}, which is not installed; run pip install 'unetscope\[exp"):
        export(checkpoint, tmp_path / "bundle", formats)
    assert list(tmp_path.iterdir()) == []
