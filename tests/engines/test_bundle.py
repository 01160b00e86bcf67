"""Bundles are read whole and without torch, or refused with a sentence."""

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
from unetscope.engines.bundle import DESCRIPTION, Bundle, load_source
from unetscope.errors import CheckpointError
from unetscope.exports import export
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet

if not all(map(find_spec, ("onnx", "onnxruntime", "openvino"))):
    pytest.skip("the extra export is not installed", allow_module_level=True)

SPEC = UNetSpec.by_level((3, 4), norm="batch")


def make(seed: int = 0, spec: UNetSpec = SPEC) -> Checkpoint:
    torch.manual_seed(seed)
    weights = {name: value.numpy() for name, value in UNet(spec).state_dict().items()}
    return Checkpoint(spec, weights, Normalization.range(0, 255), ("background", "cell"), provenance={"versions": {}})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with both networks."""
    folder = tmp_path_factory.mktemp("written") / "bundle"
    export(make(), folder)
    return folder


@pytest.fixture
def bundle(written: Path, tmp_path: Path) -> Path:
    """A copy of it, to be altered."""
    return Path(shutil.copytree(written, tmp_path / "bundle"))


def edit(folder: Path, change) -> None:
    """Change the description of a bundle."""
    content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    (folder / DESCRIPTION).write_text(json.dumps(change(content)), encoding="utf-8")


def message_of(folder: Path, load=Bundle.load) -> str:
    """What loading a folder complains about: one sentence, without line breaks."""
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------ which network


def test_the_network_is_that_of_the_runtime_at_hand(bundle: Path, monkeypatch: pytest.MonkeyPatch):
    assert Bundle.load(bundle).network == bundle / "network.xml"
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert Bundle.load(bundle).network == bundle / "network.onnx"


@pytest.mark.parametrize(("chosen", "name"), [("onnx", "network.onnx"), ("openvino", "network.xml")])
@pytest.mark.parametrize("has_openvino", [False, True])
def test_a_single_network_is_taken_whatever_is_installed(
    chosen, name: str, has_openvino: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    export(make(), tmp_path, (chosen,))
    if not has_openvino:
        monkeypatch.setitem(sys.modules, "openvino", None)
    assert Bundle.load(tmp_path).network == tmp_path / name


def test_the_digest_tells_networks_apart_and_not_folders(written: Path, bundle: Path, tmp_path: Path):
    assert Bundle.load(bundle).digest() == Bundle.load(written).digest()
    digests = []
    for seed in (0, 0, 1):
        export(make(seed), tmp_path / "again", ("onnx",))
        digests.append(Bundle.load(tmp_path / "again").digest())
    assert digests[0] == digests[1] != digests[2]


# ------------------------------------------------------------------------------------------------ without torch

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import numpy
from unetscope.engines.bundle import load_source
from unetscope.engines.openvino_engine import OpenVINOEngine
bundle = load_source(sys.argv[1])
engine = OpenVINOEngine(bundle, "float32")
numpy.save(sys.argv[2], engine.scores(numpy.load(sys.argv[3])))
numpy.save(sys.argv[4], engine.labels(numpy.load(sys.argv[3])))
"""


def test_a_bundle_computes_where_torch_cannot_be_imported(written: Path, tmp_path: Path):
    block = np.random.default_rng(0).standard_normal((2, 1, 16, 24), np.float32)
    np.save(tmp_path / "block.npy", block)
    places = [str(tmp_path / name) for name in ("scores.npy", "block.npy", "labels.npy")]
    words = [sys.executable, "-c", WITHOUT_TORCH, str(written), *places]
    subprocess.run(words, check=True, env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)})
    with torch.inference_mode():
        expected = make().network()(torch.from_numpy(block)).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), expected, atol=1e-4 * expected.std())
    assert (np.load(tmp_path / "labels.npy") == expected.argmax(1)).mean() > 0.999


# ------------------------------------------------------------------------------------------------ run or bundle


def test_segment_takes_runs_and_bundles(written: Path, tmp_path: Path):
    make().save(tmp_path / "run")
    run = load_source(str(tmp_path / "run"))
    assert isinstance(run, Checkpoint)
    assert run.digest() == make().digest()
    assert load_source(str(written)) == Bundle.load(written)


def test_another_folder_is_refused(tmp_path: Path):
    said = (
        "holds neither checkpoint.json nor bundle.json; give the run folder that train wrote (--out), after finishing "
        "its training with --resume if it was stopped, or the folder that export wrote"
    )
    (tmp_path / "file").write_text("text")
    for folder in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        assert message_of(folder, load_source) == f"{folder} {said}"


@pytest.mark.parametrize(
    ("normalizes", "labels", "options"),
    [(True, False, "--normalize"), (False, True, "--labels"), (True, True, "--normalize and --labels")],
)
def test_graphs_for_other_programs_are_refused_with_the_way_out(
    normalizes: bool, labels: bool, options: str, tmp_path: Path
):
    export(make(), tmp_path, ("onnx",), normalizes=normalizes, labels=labels)
    assert Bundle.load(tmp_path).normalizes == normalizes
    message = message_of(tmp_path, load_source)
    assert message.startswith(f"{tmp_path} was exported with {options}, for programs")
    assert message.endswith(f"export the run without {options}")


# ------------------------------------------------------------------------------------------------ damage


@pytest.mark.parametrize("name", ["network.xml", "network.bin"])
@pytest.mark.parametrize("kept", [0, 40, -1])
def test_a_damaged_network_is_refused(bundle: Path, name: str, kept: int):
    (bundle / name).write_bytes((bundle / name).read_bytes()[:kept])
    assert message_of(bundle) == (
        f"{bundle / name} is not the file that bundle.json describes (another digest); it was damaged or exchanged: "
        "restore it or export again"
    )


def test_the_weights_of_another_bundle_are_refused(bundle: Path, tmp_path: Path):
    export(make(seed=1), tmp_path / "other")
    shutil.copy(tmp_path / "other" / "network.bin", bundle)
    assert message_of(bundle).startswith(f"{bundle / 'network.bin'} is not the file that bundle.json describes")


def test_a_missing_network_is_told(bundle: Path):
    (bundle / "network.bin").unlink()
    message = message_of(bundle)
    assert message == f"{bundle / 'network.bin'} cannot be read (No such file or directory); restore it or export again"


def test_a_folder_without_description(tmp_path: Path):
    assert message_of(tmp_path / "absent") == (
        f"{tmp_path / 'absent'} holds no bundle.json; a bundle was needed: give the folder that export wrote (--out)"
    )


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"format": 1', b"\xff\xfe", b"PK\x03\x04", b"[" * 100_000], ids=range(6)
)
def test_a_description_that_is_no_json(bundle: Path, content: bytes):
    (bundle / DESCRIPTION).write_bytes(content)
    message = message_of(bundle)
    assert message.startswith(f"{bundle / DESCRIPTION} is not readable JSON (")
    assert message.endswith("); restore the file or export again")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_a_description_of_another_format(bundle: Path, version):
    edit(bundle, lambda content: {**content, "format": version})
    assert message_of(bundle).startswith(f"{bundle / DESCRIPTION} has format {version}; unetscope ")


KEYS = ("spec", "normalization", "classes", "spacing", "objects", "smallest", "files", "normalizes", "returns_labels",
        "bears_bfloat16", "provenance")  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_entry_is_named(bundle: Path, key: str):
    edit(bundle, lambda content: {name: value for name, value in content.items() if name != key})
    assert message_of(bundle) == (
        f"{bundle / DESCRIPTION} is incomplete or altered ('{key}'); restore the file or export again"
    )


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(["spec", "normalization", "classes", "spacing", "smallest", "files"]), value=plain)
def test_no_altered_entry_leaves_a_traceback(bundle: Path, written: Path, key: str, value):
    shutil.copy(written / DESCRIPTION, bundle)
    edit(bundle, lambda content: {**content, key: value})
    try:
        loaded = Bundle.load(bundle)
    except CheckpointError as error:
        assert str(bundle) in str(error)
    else:
        assert loaded.spec == SPEC
        assert key in ("classes", "spacing", "smallest")


def test_names_in_a_description_lead_nowhere_else(bundle: Path, tmp_path: Path):
    (tmp_path / "secret.onnx").write_bytes(b"")
    edit(bundle, lambda content: {**content, "files": {"../secret.onnx": "e3b0"}})
    assert "is incomplete or altered" in message_of(bundle)
