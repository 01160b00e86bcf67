"""A run folder gives back exactly what was saved, or says in a sentence what is wrong with it."""

from __future__ import annotations

import json
import resource
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from unetscope import __version__
from unetscope.checkpoint import Checkpoint, record_versions
from unetscope.data.normalization import Normalization
from unetscope.errors import CheckpointError, OutputError
from unetscope.files import digest
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet

WEIGHTS, DESCRIPTION = "model.safetensors", "checkpoint.json"
SPECS = [
    UNetSpec.by_level((2, 3), norm="batch"),
    UNetSpec.by_level((2, 3, 4), ndim=3, skips=(1,), strides=((1, 2, 2), (2, 2, 2)), up="linear", down="strided"),
    UNetSpec.by_level((2,), padded=False, norm="instance", activation="leaky", slope=0.2, dropout=0.1, classes=1),
]
NORMALIZATIONS = [Normalization("image"), Normalization.range(0.1, 1e5), Normalization("dataset", (1 / 3,), (0.7,))]


def make(spec: UNetSpec = SPECS[0], normalization: Normalization = NORMALIZATIONS[1], seed: int = 0) -> Checkpoint:
    """A checkpoint with something in every field."""
    torch.manual_seed(seed)
    weights = UNet(spec).state_dict()
    return Checkpoint(
        spec,
        {name: torch.rand_like(t) + 0.01 if t.is_floating_point() else t + 7 for name, t in weights.items()},
        normalization,
        ("background", "Zellkörper"),
        recipe={"epochs": 3, "rate": 0.1, "rotate": True, "start": None},
        split={"train": ("a", "b/c"), "validation": (), "test": ("µ",)},
        provenance={"versions": {"unetscope": __version__}, "seed": seed, "scores": [0.25, 1 / 3]},
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with a finished run."""
    make().save(tmp_path / "run")
    return tmp_path / "run"


def edit(run: Path, change) -> None:
    """Change the description of a run."""
    content = json.loads((run / DESCRIPTION).read_text(encoding="utf-8"))
    (run / DESCRIPTION).write_text(json.dumps(change(content)), encoding="utf-8")


def message_of(folder: Path) -> str:
    """What loading a folder complains about: one sentence, without line breaks."""
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.load(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --------------------------------------------------------------------------------------------------------- round trip


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_what_is_saved_is_loaded(tmp_path: Path, spec: UNetSpec, normalization: Normalization):
    saved = make(spec, normalization)
    saved.save(tmp_path / "new" / "run")
    loaded = Checkpoint.load(str(tmp_path / "new" / "run"))
    assert replace(loaded, weights={}) == replace(saved, weights={})
    assert set(loaded.weights) == set(saved.weights)
    for name, array in saved.weights.items():
        assert loaded.weights[name].dtype == array.dtype
        assert np.array_equal(loaded.weights[name], array), name
    assert loaded.ndim == spec.ndim
    image = torch.randn(1, 1, *(16,) * spec.ndim)
    assert torch.equal(loaded.network()(image), saved.network()(image))
    assert not loaded.network().training


def test_bits_that_are_no_numbers_are_kept(tmp_path: Path):
    checkpoint = make()
    bits = torch.tensor([0x7FC00001, 0x80000000 - 2**32, 1], dtype=torch.int64).to(torch.int32).view(torch.float32)
    checkpoint = replace(checkpoint, weights={**checkpoint.weights, "encoder.0.conv1.after.norm.bias": bits})
    checkpoint.save(tmp_path)
    loaded = Checkpoint.load(tmp_path).weights["encoder.0.conv1.after.norm.bias"]
    assert np.array_equal(loaded.view(np.int32), bits.view(torch.int32).numpy())


def test_weights_that_are_views_are_saved(tmp_path: Path):
    checkpoint = make()
    tensors = {name: torch.tensor(array) for name, array in checkpoint.weights.items()}
    weights = {n: t.to(memory_format=torch.channels_last) if t.ndim == 4 else t for n, t in tensors.items()}
    weights = {name: torch.nn.Parameter(t) if t.is_floating_point() else t for name, t in weights.items()}
    replace(checkpoint, weights=weights).save(tmp_path)
    loaded = Checkpoint.load(tmp_path).weights
    assert all(np.array_equal(loaded[name], array) for name, array in checkpoint.weights.items())


def test_saving_twice_gives_the_same_bytes(tmp_path: Path):
    for name in ("one", "two"):
        make().save(tmp_path / name)
    for name in (WEIGHTS, DESCRIPTION):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [DESCRIPTION, WEIGHTS]


def test_crops_are_kept(tmp_path: Path):
    crops = np.random.default_rng(0).normal(size=(3, 1, 8, 16)).astype(np.float32)
    replace(make(), crops=crops).save(tmp_path)
    assert np.array_equal(Checkpoint.load(tmp_path).crops, crops)
    make().save(tmp_path)
    assert Checkpoint.load(tmp_path).crops.size == 0


def test_exchanged_crops_are_refused(tmp_path: Path):
    replace(make(), crops=np.ones((1, 1, 4, 4), np.float32)).save(tmp_path)
    (tmp_path / "crops.safetensors").write_bytes((tmp_path / WEIGHTS).read_bytes())
    assert "crops.safetensors is not the file that checkpoint.json describes" in message_of(tmp_path)


def test_a_checkpoint_is_read_without_torch(run: Path):
    code = (
        "import sys; sys.modules['torch'] = None; from unetscope.checkpoint import Checkpoint; "
        f"print(Checkpoint.load({str(run)!r}).digest())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == make().digest()


def test_saving_over_a_run_replaces_it(run: Path):
    make(SPECS[1], seed=5).save(run)
    assert Checkpoint.load(run).spec == SPECS[1]


def test_nothing_is_pickled(run: Path):
    """A safetensors file begins with the length of its header, which is JSON."""
    content = (run / WEIGHTS).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert set(header) - {"__metadata__"} == set(make().weights)
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    assert 8 + length + max(ends) == len(content)


def test_the_description_is_for_people_and_other_programs(run: Path):
    content = json.loads((run / DESCRIPTION).read_text(encoding="utf-8"))
    assert content["format"] == 1
    assert content["classes"] == ["background", "Zellkörper"]
    assert content["weights"] == {"file": WEIGHTS, "sha256": digest(run / WEIGHTS)}
    assert UNetSpec.from_json(content["spec"]) == SPECS[0]


def test_versions_are_those_of_what_runs():
    versions = record_versions()
    assert versions["torch"] == torch.__version__
    assert versions["unetscope"] == __version__
    assert json.loads(json.dumps(versions)) == versions


# ------------------------------------------------------------------------------------------------------------- damage


def test_a_missing_folder_and_a_file_in_its_place(tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "empty").mkdir()
    for name in ("missing", "file", "empty"):
        assert message_of(tmp_path / name) == (
            f"{tmp_path / name} holds no checkpoint.json; a run folder was needed: give the one that train wrote "
            "(--out), or finish its training with --resume"
        )


@pytest.mark.parametrize("kept", [0, 4, 200, -1])
def test_truncated_weights(run: Path, kept: int):
    content = (run / WEIGHTS).read_bytes()
    (run / WEIGHTS).write_bytes(content[:kept])
    assert message_of(run) == (
        f"{run / WEIGHTS} is not the file that checkpoint.json describes (another digest); training was interrupted "
        "between the two or a file was exchanged: continue with --resume or restore both"
    )
    edit(run, lambda content: {**content, "weights": {"file": WEIGHTS, "sha256": digest(run / WEIGHTS)}})
    assert message_of(run).startswith(f"{run / WEIGHTS} cannot be read (")
    assert message_of(run).endswith("); restore it or train again")


def test_weights_of_another_run(run: Path, tmp_path: Path):
    make(seed=1).save(tmp_path / "other")
    (run / WEIGHTS).write_bytes((tmp_path / "other" / WEIGHTS).read_bytes())
    assert f"{run / WEIGHTS} is not the file that checkpoint.json describes" in message_of(run)


def test_missing_weights(run: Path):
    (run / WEIGHTS).unlink()
    assert message_of(run).startswith(f"{run / WEIGHTS} cannot be read ([Errno 2] No such file")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"format": 1', b"\xff\xfe", b"PK\x03\x04", b"[" * 100_000],
    ids=["empty", "brace", "cut", "utf16", "zip", "deep"],
)
def test_a_description_that_is_no_json(run: Path, content: bytes):
    (run / DESCRIPTION).write_bytes(content)
    message = message_of(run)
    assert message.startswith(f"{run / DESCRIPTION} is not readable JSON (")
    assert message.endswith("); restore the file or train again")


def test_a_description_that_is_a_folder(run: Path):
    (run / DESCRIPTION).unlink()
    (run / DESCRIPTION).mkdir()
    assert message_of(run).startswith(f"{run / DESCRIPTION} is not readable JSON (")


@pytest.mark.parametrize(
    ("change", "found", "writer"),
    [
        (lambda c: {**c, "format": 2, "provenance": {"versions": {"unetscope": "9.8"}}}, 2, "9.8"),
        (lambda c: {**c, "format": "1"}, 1, __version__),
        (lambda c: {key: value for key, value in c.items() if key != "format"}, None, __version__),
        (lambda c: [c], None, "of another version"),
        (lambda c: "format", None, "of another version"),
        (lambda c: None, None, "of another version"),
    ],
    ids=["later", "text", "none", "list", "string", "null"],
)
def test_a_description_of_another_format(run: Path, change, found, writer):
    edit(run, change)
    assert message_of(run) == (
        f"{run / DESCRIPTION} has format {found}, written by unetscope {writer}; unetscope {__version__} reads format "
        "1: use the version that wrote it or train again"
    )


@pytest.mark.parametrize("key", ["spec", "weights", "normalization", "classes", "recipe", "split", "provenance"])
def test_a_missing_entry_is_named(run: Path, key: str):
    edit(run, lambda content: {name: value for name, value in content.items() if name != key})
    assert message_of(run) == (
        f"{run / DESCRIPTION} is incomplete or altered ('{key}'); restore the file or train again"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spec", {"depth": 2}),
        ("spec", {**SPECS[0].to_json(), "attention": True}),
        ("spec", {**SPECS[0].to_json(), "norm": "group"}),
        ("spec", {**SPECS[0].to_json(), "padded": "no"}),
        ("spec", {**SPECS[0].to_json(), "strides": 2}),
        ("spec", {**SPECS[0].to_json(), "widths": None}),
        ("spec", []),
        ("spec", None),
        ("weights", WEIGHTS),
        ("weights", {"file": WEIGHTS}),
        ("normalization", {"scheme": "magic"}),
        ("normalization", {"scheme": "range", "shift": [0], "scale": [0]}),
        ("normalization", None),
        ("classes", 2),
        ("split", ["a"]),
        ("split", {"train": 3}),
    ],
)
def test_an_altered_entry_is_refused(run: Path, key: str, value):
    edit(run, lambda content: {**content, key: value})
    message = message_of(run)
    assert message.startswith(f"{run / DESCRIPTION} is incomplete or altered (")
    assert message.endswith("); restore the file or train again")


@pytest.mark.parametrize(
    "spec", [UNetSpec.by_level((2, 4), norm="batch"), UNetSpec.by_level((2, 3)), UNetSpec.by_level((2, 3, 3))]
)
def test_weights_of_another_network(spec: UNetSpec):
    with pytest.raises(CheckpointError, match=r"^the weights do not fit the described network") as caught:
        replace(make(), spec=spec).network()
    assert "train again or restore both files from one run" in str(caught.value)
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------------------------ failures


def test_an_unwritable_folder(tmp_path: Path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(OutputError, match=r"cannot be written \(.+\); free some space or choose another folder$"):
        make().save(tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_full_disk_leaves_the_old_run(run: Path):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            make(seed=1).save(run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


# ------------------------------------------------------------------------------------------------------- the control


@pytest.mark.parametrize("spec", SPECS)
def test_the_untrained_control_is_the_same_network_with_other_weights(spec: UNetSpec):
    checkpoint = make(spec)
    state = torch.random.get_rng_state()
    control, again, other = checkpoint.untrained(3), checkpoint.untrained(3), checkpoint.untrained(4)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert replace(control, weights={}) == replace(checkpoint, weights={})
    torch.manual_seed(3)
    fresh = UNet(spec).state_dict()
    assert all(np.array_equal(control.weights[name], tensor.numpy()) for name, tensor in fresh.items())
    for name in (name for name in fresh if name.endswith("conv.weight")):
        assert np.array_equal(control.weights[name], again.weights[name])
        assert not np.array_equal(control.weights[name], other.weights[name])
        assert not np.array_equal(control.weights[name], checkpoint.weights[name])
    assert control.network()(torch.zeros(1, 1, *(16,) * spec.ndim)).isfinite().all()
