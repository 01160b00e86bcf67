"""Engines: each computes what torch computes in float32, on blocks of any shape, and tells nobody."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.engines import openvino_engine, runtimes
from unetscope.engines.bundle import Bundle
from unetscope.engines.cache import Shelf
from unetscope.engines.engine import Engine, arg_max, label_dtype
from unetscope.engines.graph import build_graph
from unetscope.engines.onnx_engine import OnnxEngine
from unetscope.engines.openvino_engine import OpenVINOEngine
from unetscope.engines.torch_engine import TorchEngine
from unetscope.errors import UnetscopeError
from unetscope.model.geometry import fitting_shape, margin
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet

for library in ("openvino", "onnxruntime", "onnx"):
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed", allow_module_level=True)

SPECS = {
    "padded": UNetSpec.by_level((6, 8, 12), norm="batch"),
    "valid": UNetSpec.by_level((6, 8), padded=False, classes=3, image_channels=3, activation="leaky"),
    "instance": UNetSpec.by_level((6, 8), norm="instance", up="linear", down="strided"),
    "one score": UNetSpec.by_level((6, 8), classes=1, up="unpool", skips=()),
    "no level": UNetSpec.by_level((6,), classes=5),
    "volume": UNetSpec.by_level((4, 6), ndim=3, norm="batch", strides=((1, 2, 2),)),
    "valid volume": UNetSpec.by_level((4, 6), ndim=3, padded=False, up="subpixel"),
}
KINDS = [
    (TorchEngine, "float32"),
    (TorchEngine, "bfloat16"),
    (TorchEngine, "float64"),
    (OpenVINOEngine, "float32"),
    (OpenVINOEngine, "auto"),
    (OnnxEngine, "float32"),
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own for every test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "unetscope"


def random_checkpoint(spec: UNetSpec, seed: int = 0) -> Checkpoint:
    """Random weights, and norms that do something."""
    torch.manual_seed(seed)
    weights = UNet(spec).state_dict()
    for name, tensor in weights.items():
        if "norm" in name and tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5)
        elif name.endswith("bias"):
            tensor.copy_(torch.randn_like(tensor) * 0.1)
    return Checkpoint(spec, weights, Normalization.range(0, 1), tuple(map(str, range(max(2, spec.classes)))))


def block_for(spec: UNetSpec, more: int = 0, batch: int = 1) -> np.ndarray:
    """Random pixels, not square, of a shape that the network accepts."""
    least = tuple(9 + more + 5 * axis + 2 * lost for axis, lost in enumerate(margin(spec)))
    shape = (batch, spec.image_channels, *fitting_shape(spec, least))
    return np.random.default_rng(more).normal(size=shape).astype(np.float32)


def truth(checkpoint: Checkpoint, block: np.ndarray) -> np.ndarray:
    """What the network itself computes, in float64 and without any engine."""
    with torch.inference_mode():
        scores = checkpoint.network().double()(torch.from_numpy(block).double()).numpy()
    return np.concatenate([np.zeros_like(scores), scores], 1) if scores.shape[1] == 1 else scores


def close(scores: np.ndarray, expected: np.ndarray, precision: str) -> bool:
    """Every score to rounding; in bfloat16 most, as two maxima that rounding makes equal may change places."""
    apart = np.abs(scores - expected) / expected.std()
    return bool(np.quantile(apart, 0.9) < 0.1 if precision == "bfloat16" else apart.max() < 1e-5)


# --- what they compute -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize(("kind", "precision"), KINDS)
def test_every_engine_computes_the_network(kind: type[Engine], precision: str, name: str):
    spec = SPECS[name]
    checkpoint = random_checkpoint(spec)
    engine = kind(checkpoint, precision)
    for more, batch in ((8, 2), (0, 1)):
        block = block_for(spec, more, batch)
        scores, expected = engine.scores(block), truth(checkpoint, block)
        assert scores.shape == expected.shape
        assert scores.dtype == (np.float64 if precision == "float64" else np.float32)
        assert close(scores, expected, engine.precision)
        labels = engine.labels(block)
        assert labels.dtype == label_dtype(spec)
        assert np.array_equal(labels, scores.argmax(1))


def test_bfloat16_is_not_float32_by_another_name():
    checkpoint, block = random_checkpoint(SPECS["padded"]), block_for(SPECS["padded"])
    assert not close(TorchEngine(checkpoint, "bfloat16").scores(block), truth(checkpoint, block), "float32")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    ndim=st.sampled_from((2, 3)),
    padded=st.booleans(),
    norm=st.sampled_from(("none", "batch", "instance")),
    classes=st.integers(1, 4),
    seed=st.integers(0, 9),
)
def test_engines_agree_on_any_network(widths, ndim, padded, norm, classes, seed):
    spec = UNetSpec.by_level(tuple(widths), ndim=ndim, padded=padded, norm=norm, classes=classes)
    checkpoint, block = random_checkpoint(spec, seed), block_for(spec, seed)
    expected = TorchEngine(checkpoint, "float32").scores(block)
    for kind in (OpenVINOEngine, OnnxEngine):
        scores = kind(checkpoint, "float32").scores(block)
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-4 * (1e-3 + float(expected.std())))


@pytest.mark.parametrize(("kind", "precision"), KINDS)
def test_blocks_stay_as_they_are_and_scores_are_the_callers_own(kind: type[Engine], precision: str):
    spec = SPECS["padded"]
    engine, block = kind(random_checkpoint(spec), precision), block_for(spec)
    before = block.copy()
    first = engine.scores(block)
    kept = first.copy()
    engine.scores(block + 1)
    assert np.array_equal(first, kept)
    assert first.flags.writeable
    assert np.array_equal(block, before)


@pytest.mark.parametrize(("kind", "precision"), KINDS)
def test_any_layout_of_the_block_is_read(kind: type[Engine], precision: str):
    spec = SPECS["valid"]
    engine, block = kind(random_checkpoint(spec), precision), block_for(spec)
    turned = np.ascontiguousarray(block[..., ::-1])[..., ::-1]
    frozen = block.copy()
    frozen.flags.writeable = False
    for other in (turned, frozen, np.asfortranarray(block)):
        assert np.array_equal(engine.scores(other), engine.scores(block))


@pytest.mark.parametrize("kind", [TorchEngine, OpenVINOEngine, OnnxEngine])
def test_more_classes_than_a_byte_counts(kind: type[Engine]):
    spec = UNetSpec.by_level((4,), classes=300)
    engine, block = kind(random_checkpoint(spec), "float32"), block_for(spec)
    labels = engine.labels(block)
    assert labels.dtype == np.uint16
    assert np.array_equal(labels, engine.scores(block).argmax(1))
    assert labels.max() > 255


@given(
    st.integers(2, 6).flatmap(
        lambda classes: st.lists(
            st.lists(st.integers(0, 2), min_size=classes, max_size=classes), min_size=1, max_size=9
        )
    )
)
def test_ties_take_the_lowest_class(pixels):
    scores = np.array(pixels, np.float32).T[None]
    before = scores.copy()
    assert np.array_equal(arg_max(scores), scores.argmax(1))
    assert np.array_equal(scores, before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_a_card_computes_what_was_asked_for(ndim: int, precision: str):
    """TensorFloat-32 would be off by a thousandth."""
    spec = UNetSpec.by_level((16, 32), ndim=ndim, norm="batch")
    checkpoint, block = random_checkpoint(spec), block_for(spec, 20, batch=2)
    engine = TorchEngine(checkpoint, precision)
    assert engine.device.type == "cuda"
    scores = engine.scores(block)
    assert close(scores, truth(checkpoint, block), precision)
    assert np.array_equal(engine.labels(block), scores.argmax(1))


# --- what they say -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "precision"), KINDS)
def test_a_result_can_record_how_it_was_computed(kind: type[Engine], precision: str):
    engine = kind(random_checkpoint(SPECS["no level"]), precision)
    said = engine.describe()
    assert json.loads(json.dumps(said)) == said
    assert (said["engine"], said["precision"]) == (engine.name, engine.precision)
    assert said["version"][0].isdigit()


@pytest.mark.parametrize(("kind", "precision"), KINDS)
def test_memory_grows_with_the_block(kind: type[Engine], precision: str):
    engine = kind(random_checkpoint(SPECS["padded"]), precision)
    assert 0 < 3.9 * engine.memory((64, 64)) < engine.memory((128, 128)) < 4.1 * engine.memory((64, 64))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="this system does not tell the peak of memory")
@pytest.mark.parametrize(
    ("kind", "precision"), [("openvino", "float32"), ("openvino", "auto"), ("onnx", "float32"), ("torch", "auto")]
)
def test_blocks_take_no_more_memory_than_was_said(tmp_path: Path, kind: str, precision: str):
    random_checkpoint(UNetSpec.by_level((16, 24, 32), norm="batch")).save(tmp_path / "run")
    code = f"""
import numpy as np
from pathlib import Path
from unetscope.checkpoint import Checkpoint
from unetscope.engines.choice import build_engine
def read(name):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(name))
name = {{"onnx": "onnxruntime"}}.get({kind!r}, {kind!r})
engine = build_engine(Checkpoint.load({str(tmp_path / "run")!r}), name, {precision!r})
engine.labels(np.zeros((1, 1, 32, 32), np.float32))
block = np.zeros((1, 1, 640, 640), np.float32)
Path("/proc/self/clear_refs").write_text("5")
before = read("VmRSS")
engine.labels(block)
print((read("VmHWM") - before) / engine.memory((640, 640)))
"""
    share = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert 0.2 < share < 1.1


# --- what they cannot --------------------------------------------------------------------------------------------


def message(kind: type[Engine], precision: str, source: object = None) -> str:
    with pytest.raises(UnetscopeError) as caught:
        kind(source or random_checkpoint(SPECS["no level"]), precision)
    return str(caught.value)


def test_precisions_that_an_engine_lacks(monkeypatch: pytest.MonkeyPatch):
    assert "float64; use the engine torch" in message(OpenVINOEngine, "float64")
    assert "not in bfloat16; use float32" in message(OnnxEngine, "bfloat16")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx512_core")
    assert "this one does not; use float32" in message(OpenVINOEngine, "bfloat16")
    assert OpenVINOEngine(random_checkpoint(SPECS["no level"])).precision == "float32"


@pytest.mark.parametrize(("kind", "library"), [(OpenVINOEngine, "openvino"), (OnnxEngine, "onnxruntime")])
def test_a_missing_library_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch, kind: type[Engine], library: str):
    monkeypatch.setitem(sys.modules, library, None)
    assert f"{library}, which is not installed; run pip install 'unetscope[fast]'" in message(kind, "auto")


def test_what_openvino_refuses_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    checkpoint = random_checkpoint(SPECS["no level"])
    (tmp_path / "network.onnx").write_bytes(b"nonsense")
    said = message(OpenVINOEngine, "float32", bundle_of(checkpoint, tmp_path / "network.onnx"))
    assert said.startswith("OpenVINO ")
    assert "cannot compute this network in float32" in said
    assert "\n" not in said


# --- exported networks -------------------------------------------------------------------------------------------


def bundle_of(checkpoint: Checkpoint, network: Path) -> Bundle:
    return Bundle(
        spec=checkpoint.spec,
        normalization=checkpoint.normalization,
        classes=checkpoint.classes,
        spacing=None,
        objects=False,
        smallest=0,
        network=network,
        sha256={network.name: "0"},
    )


@pytest.mark.parametrize("name", ["valid", "volume"])
@pytest.mark.parametrize(
    ("kind", "suffix"), [(OpenVINOEngine, ".onnx"), (OpenVINOEngine, ".xml"), (OnnxEngine, ".onnx")]
)
def test_an_exported_network_is_the_same(tmp_path: Path, kind: type[Engine], suffix: str, name: str):
    checkpoint, block = random_checkpoint(SPECS[name]), block_for(SPECS[name])
    graph = build_graph(checkpoint).SerializeToString()
    path = tmp_path / f"network{suffix}"
    if suffix == ".onnx":
        path.write_bytes(graph)
    else:
        openvino = runtimes.load_openvino()
        openvino.save_model(openvino.Core().read_model(graph), path, compress_to_fp16=False)
    engine = kind(bundle_of(checkpoint, path), "float32")
    assert close(engine.scores(block), truth(checkpoint, block), "float32")


# --- compiled models are kept ------------------------------------------------------------------------------------


def refuse(source: object) -> bytes:
    raise AssertionError("the graph was made again")


def test_a_compiled_model_is_used_again(cache: Path, monkeypatch: pytest.MonkeyPatch):
    checkpoint = random_checkpoint(SPECS["padded"])
    blocks = [block_for(SPECS["padded"], more, batch) for more, batch in ((0, 1), (17, 3))]
    first = OpenVINOEngine(checkpoint)
    monkeypatch.setattr(openvino_engine, "locate_network", refuse)
    again = OpenVINOEngine(checkpoint)
    assert len([*(cache / "openvino").iterdir()]) == 1
    assert first.precision == again.precision
    for block in blocks:
        assert np.array_equal(first.scores(block), again.scores(block))


@pytest.mark.parametrize("what", ["weights", "precision", "unetscope", "openvino", "machine"])
def test_another_model_is_compiled_anew(what: str, monkeypatch: pytest.MonkeyPatch):
    checkpoint = random_checkpoint(SPECS["padded"])
    OpenVINOEngine(checkpoint, "float32")
    monkeypatch.setattr(openvino_engine, "locate_network", refuse)
    OpenVINOEngine(checkpoint, "float32")
    if what == "unetscope":
        monkeypatch.setattr(openvino_engine, "__version__", "0.0")
    elif what == "openvino":
        monkeypatch.setattr(openvino_engine, "version", lambda _: "0.0")
    elif what == "machine":
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_AMX")
    elif what == "precision":
        monkeypatch.setattr(openvino_engine, "_choose_precision", lambda *_: "bfloat16")
    with pytest.raises(AssertionError, match="made again"):
        OpenVINOEngine(random_checkpoint(SPECS["padded"], seed=1) if what == "weights" else checkpoint, "float32")


@pytest.mark.parametrize("damage", ["empty", "cut", "changed", "nonsense"])
def test_a_damaged_file_is_made_anew(cache: Path, damage: str):
    checkpoint, block = random_checkpoint(SPECS["padded"]), block_for(SPECS["padded"])
    expected = OpenVINOEngine(checkpoint).scores(block)
    (path,) = (cache / "openvino").iterdir()
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "empty": b"",
            "cut": whole[:middle],
            "changed": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "nonsense": openvino_engine._digest(b"nonsense") + b"nonsense",
        }[damage]
    )
    assert np.array_equal(OpenVINOEngine(checkpoint).scores(block), expected)
    mended = path.read_bytes()
    assert openvino_engine._digest(mended[openvino_engine.DIGEST :]) == mended[: openvino_engine.DIGEST]
    assert len(mended) > len(whole) / 2
    OpenVINOEngine(checkpoint)
    assert path.read_bytes() == mended  # compiling it again would give other bytes


def test_a_cache_that_cannot_be_written_is_none(cache: Path):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    checkpoint, block = random_checkpoint(SPECS["padded"]), block_for(SPECS["padded"])
    for _ in range(2):
        assert close(OpenVINOEngine(checkpoint, "float32").scores(block), truth(checkpoint, block), "float32")
    assert cache.is_file()


def test_a_shelf_stays_within_its_bounds(cache: Path):
    shelf = Shelf("things", ".thing", most_files=3, most_bytes=100)
    for index, size in enumerate((10, 10, 10, 10)):
        shelf.write(f"k{index}", bytes(size))
        for path in shelf.folder.iterdir():  # as if a second had passed
            os.utime(path, (path.stat().st_mtime - 1,) * 2)
        shelf.read("k0")
    assert {path.name for path in shelf.folder.iterdir()} == {"k0.thing", "k2.thing", "k3.thing"}
    shelf.write("large", bytes(85))
    assert shelf.read("large") == bytes(85)
    assert sum(path.stat().st_size for path in shelf.folder.iterdir()) <= 100
    shelf.write("huge", bytes(101))
    assert shelf.read("huge") is None
    assert shelf.read("large") == bytes(85)
    assert shelf.folder == cache / "things"


# --- nothing is sent ---------------------------------------------------------------------------------------------

QUIET = """
import socket, sys
def refuse(*_, **__):
    raise AssertionError("something asked for the network")
socket.socket = socket.getaddrinfo = socket.create_connection = refuse
import numpy as np
from unetscope.checkpoint import Checkpoint
from unetscope.engines.choice import build_engine
checkpoint = Checkpoint.load(sys.argv[1])
for name in ("openvino", "onnxruntime", "openvino"):
    print(build_engine(checkpoint, name).labels(np.zeros((1, 1, 32, 32), np.float32)).shape)
import openvino.tools.ovc
import gc
assert openvino.tools.ovc.convert_model
assert not [each for each in gc.get_objects() if type(each).__module__.startswith("openvino_telemetry")]
assert sys.modules["openvino_telemetry"] is None and "torch" not in sys.modules
"""


@pytest.mark.parametrize("watched", [False, True])
def test_nothing_is_sent_and_nothing_written_but_the_cache(tmp_path: Path, watched: bool):
    """OpenVINO's telemetry is written in Python, ONNX Runtime's is not: so the calls to the system are watched too."""
    if watched and not shutil.which("strace"):
        pytest.skip("strace is not installed, which sees what a program asks the system for")
    random_checkpoint(SPECS["padded"]).save(tmp_path / "run")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".cache").mkdir()
    log = tmp_path / "calls.txt"
    strace = ["strace", "-f", "-e", "trace=connect,sendto", "-o", str(log)] if watched else []
    subprocess.run(
        [*strace, sys.executable, "-c", QUIET, str(tmp_path / "run")],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        check=True,
    )
    written = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert all(name.startswith(".cache/unetscope/openvino/") for name in written)
    assert len(written) == 1
    assert not watched or "AF_INET" not in log.read_text()
