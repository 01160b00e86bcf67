"""The choice of an engine: the fastest that labels as torch in float32 does, tried once and remembered."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.engines import choice, openvino_engine
from unetscope.engines.bundle import Bundle
from unetscope.engines.choice import Trial, choose_engine, compare_engines
from unetscope.engines.engine import Engine
from unetscope.engines.graph import build_graph
from unetscope.errors import UnetscopeError
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet

if find_spec("openvino") is None or find_spec("onnx") is None:
    pytest.skip("openvino or onnx is not installed", allow_module_level=True)

SPEC = UNetSpec.by_level((4, 6), classes=3)
SHAPE = (20, 50)  # a thousand pixels
REFERENCE = ("torch", "float32")
ALL = [*(("torch", "bfloat16"), REFERENCE), *(("openvino", "bfloat16"), ("openvino", "float32"))]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own for every test, on a machine without a card."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(choice, "has_accelerator", lambda: False)
    return tmp_path / "cache" / "unetscope"


def make(crops: int = 4, seed: int = 0) -> Checkpoint:
    torch.manual_seed(seed)
    images = np.random.default_rng(seed).normal(size=(crops, 1, *SHAPE)).astype(np.float32)
    return Checkpoint(SPEC, UNet(SPEC).state_dict(), Normalization.range(0, 1), ("a", "b", "c"), crops=images)


class Fake(Engine):
    """The labels that the bench has for a crop, in as many seconds as wanted, on the bench's own clock."""

    def __init__(self, bench: Bench, name: str, precision: str) -> None:
        super().__init__(SPEC, precision)
        self.bench, self.key, self.name, self.runs = bench, (name, precision), name, 0

    def scores(self, block):
        raise NotImplementedError

    def labels(self, block):
        self.runs += 1
        self.bench.now += self.bench.seconds[self.key] + self.bench.warming.get(self.key, 0) * (self.runs == 1)
        (index,) = np.flatnonzero((self.bench.crops == block).all((1, 2, 3)))
        return self.bench.found.get(self.key, self.bench.truth)[index : index + 1]


class Bench:
    """Engines whose speed and mistakes are known, in place of the real ones."""

    def __init__(self, crops: np.ndarray) -> None:
        self.crops, self.now, self.built = crops, 0.0, []
        self.truth = np.zeros((len(crops), *SHAPE), np.uint8)
        self.truth[:, 5:15] = 1
        self.truth[0, 0] = 2  # fifty pixels of a rare class
        self.seconds = dict.fromkeys(ALL, 0.01)
        self.warming, self.found, self.failing = {}, {}, {}

    def build(self, source, name, precision="auto"):
        self.built.append((name, precision))
        if (name, precision) in self.failing:
            raise self.failing[name, precision]
        return Fake(self, name, precision)


@pytest.fixture
def checkpoint() -> Checkpoint:
    return make()


@pytest.fixture
def bench(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(checkpoint.crops)
    monkeypatch.setattr(choice, "build_engine", bench.build)
    monkeypatch.setattr(choice, "perf_counter", lambda: bench.now)
    monkeypatch.setattr("unetscope.engines.torch_engine.computes_bfloat16", lambda: True)
    return bench


def chosen(*arguments: object) -> tuple[str, str]:
    return choose_engine(*arguments).key


def forbid_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("there was a trial")

    monkeypatch.setattr(choice, "compare_engines", refuse)


# --- which one ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [*permutations(ALL)])
def test_the_fastest_is_taken(checkpoint: Checkpoint, bench: Bench, order):
    bench.seconds = {pair: 0.01 * (place + 1) for place, pair in enumerate(order)}
    assert chosen(checkpoint) == order[0]


def test_seconds_are_those_of_a_million_pixels(checkpoint: Checkpoint, bench: Bench):
    bench.seconds["openvino", "float32"] = 0.003
    trial = compare_engines(checkpoint)[-1]
    assert (trial.engine, trial.precision) == ("openvino", "float32")
    assert trial.seconds_per_megapixel == pytest.approx(3.0)
    assert (trial.dice, trial.agreement, trial.accepted, trial.reason) == (1.0, 1.0, True, "")


def test_the_first_run_is_not_timed(checkpoint: Checkpoint, bench: Bench):
    bench.warming["openvino", "float32"] = 100.0
    assert compare_engines(checkpoint)[-1].seconds_per_megapixel == pytest.approx(10)


@pytest.mark.parametrize("slow", [0.5, 30.0])
def test_slow_engines_are_not_timed_for_long(checkpoint: Checkpoint, bench: Bench, slow: float):
    bench.seconds = dict.fromkeys(ALL, slow)
    compare_engines(checkpoint)
    crops = len(checkpoint.crops)
    assert bench.now <= slow * crops + len(ALL) * (slow * crops + choice.SECONDS + slow)


def wrong(bench: Bench, crop: int, pixels: int, row: int = 5, to: int = 0) -> np.ndarray:
    """The truth with some pixels of a row of one crop changed."""
    labels = bench.truth.copy()
    labels[crop, row, :pixels] = to
    return labels


@pytest.mark.parametrize(
    ("crop", "pixels", "row", "to", "accepted", "because"),
    [
        (3, 0, 5, 0, True, ""),
        (3, 1, 5, 0, True, ""),  # 99.9 % exactly
        (3, 2, 5, 0, False, "99.80% of a crop's labels are those of float32; at least 99.9% were needed"),
        (0, 1, 0, 0, False, "the Dice of a class against float32 is 0.9899; at least 0.998 was needed"),  # 49 of 50
        (1, 1, 0, 2, False, "the Dice of a class against float32 is 0.9901; at least 0.998 was needed"),  # 51 for 50
    ],
)
def test_a_faster_engine_with_other_labels_is_not_taken(
    checkpoint: Checkpoint, bench: Bench, crop, pixels, row, to, accepted, because
):
    bench.seconds["openvino", "bfloat16"] = 0.001
    bench.found["openvino", "bfloat16"] = wrong(bench, crop, pixels, row, to)
    assert (chosen(checkpoint) == ("openvino", "bfloat16")) is accepted
    (trial,) = [t for t in compare_engines(checkpoint) if (t.engine, t.precision) == ("openvino", "bfloat16")]
    assert (trial.accepted, trial.reason) == (accepted, because)


def test_the_numbers_are_those_of_the_worst_class_and_the_worst_crop(checkpoint: Checkpoint, bench: Bench):
    labels = wrong(bench, 0, 10, 0)  # 40 of 50 pixels of the rare class
    labels[2, 8, :30] = 2
    bench.found["openvino", "float32"] = labels
    trial = compare_engines(checkpoint)[-1]
    assert trial.dice == pytest.approx(2 * 40 / (50 + 70))
    assert trial.agreement == pytest.approx(0.97)


def test_classes_that_nobody_found_count_as_equal(checkpoint: Checkpoint, bench: Bench):
    bench.truth[:] = 0
    assert all(trial.dice == 1 and trial.accepted for trial in compare_engines(checkpoint))


def test_an_engine_that_fails_is_passed_over(checkpoint: Checkpoint, bench: Bench):
    bench.seconds["openvino", "bfloat16"] = 0.001
    bench.failing["openvino", "bfloat16"] = RuntimeError("\n  no such primitive  \nand more")
    bench.seconds["torch", "bfloat16"] = 0.002
    bench.found["torch", "bfloat16"] = np.zeros((0, *SHAPE), np.uint8)  # no labels at all
    assert chosen(checkpoint)[1] == "float32"
    first, *_, third, _ = compare_engines(checkpoint)
    assert third == Trial("openvino", "bfloat16", None, None, None, False, "no such primitive")
    assert not first.accepted


def test_torch_is_taken_where_nothing_was_accepted(checkpoint: Checkpoint, bench: Bench):
    bench.found = {pair: np.zeros_like(bench.truth) for pair in ALL if pair != REFERENCE}
    assert chosen(checkpoint) == REFERENCE
    assert chosen(checkpoint, "auto", "bfloat16") == ("torch", "bfloat16")


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_a_precision_that_was_asked_for_is_kept(checkpoint: Checkpoint, bench: Bench, precision: str):
    bench.seconds = {pair: 1.0 if pair[1] == precision else 0.001 for pair in ALL}
    assert chosen(checkpoint, "auto", precision)[1] == precision
    assert {trial.precision for trial in compare_engines(checkpoint, precision)} == {precision}


def test_torch_does_not_imitate_bfloat16(checkpoint: Checkpoint, bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("unetscope.engines.torch_engine.computes_bfloat16", lambda: False)
    assert ("torch", "bfloat16") not in {(trial.engine, trial.precision) for trial in compare_engines(checkpoint)}


def test_what_is_not_installed_is_not_tried(checkpoint: Checkpoint, bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choice, "_is_installed", lambda library: False)
    assert {trial.engine for trial in compare_engines(checkpoint)} == {"torch"}


# --- where there is nothing to try -------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", ["torch", "openvino"])
@pytest.mark.parametrize("precision", ["auto", "bfloat16", "float32"])
def test_an_engine_that_was_asked_for_is_taken(checkpoint, bench, monkeypatch, wanted: str, precision: str):
    forbid_trials(monkeypatch)
    assert chosen(checkpoint, wanted, precision) == (wanted, precision)


def test_without_crops_it_is_torch(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    forbid_trials(monkeypatch)
    assert chosen(replace(make(), crops=np.zeros((0, 0), np.float32))) == ("torch", "auto")
    monkeypatch.undo()
    assert compare_engines(make(crops=0)) == ()


def test_in_float64_it_is_torch(checkpoint: Checkpoint, bench: Bench, monkeypatch: pytest.MonkeyPatch):
    forbid_trials(monkeypatch)
    assert chosen(checkpoint, "auto", "float64") == ("torch", "float64")


@pytest.mark.parametrize("usable", [True, False])
def test_on_a_card_it_is_torch(checkpoint: Checkpoint, bench: Bench, monkeypatch: pytest.MonkeyPatch, usable: bool):
    monkeypatch.setattr(choice, "has_accelerator", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: usable)
    bench.seconds["openvino", "bfloat16"] = 0.001
    assert chosen(checkpoint) == (("torch", "auto") if usable else ("openvino", "bfloat16"))


# --- remembered --------------------------------------------------------------------------------------------------


def kept(cache: Path) -> list[Path]:
    return sorted((cache / "engines").iterdir())


def test_there_is_one_trial(checkpoint: Checkpoint, bench: Bench, cache: Path, monkeypatch: pytest.MonkeyPatch):
    bench.seconds["openvino", "float32"] = 0.001
    first = chosen(checkpoint)
    (path,) = kept(cache)
    assert [Trial.from_json(entry) for entry in json.loads(path.read_text())["trials"]]
    forbid_trials(monkeypatch)
    assert chosen(checkpoint) == first == ("openvino", "float32")


@pytest.mark.parametrize("what", ["weights", "crops", "spec", "precision", "version", "library", "machine"])
def test_something_else_is_tried_anew(what, checkpoint: Checkpoint, bench: Bench, cache: Path, monkeypatch):
    chosen(checkpoint)
    other, precision = checkpoint, "auto"
    if what == "weights":
        other = replace(checkpoint, weights=make(seed=1).weights)
    elif what == "crops":
        other = replace(checkpoint, crops=checkpoint.crops + np.float32(1))
        bench.crops = other.crops
    elif what == "spec":
        other = replace(checkpoint, spec=replace(SPEC, activation="leaky"))
    elif what == "precision":
        precision = "float32"
    elif what == "version":
        monkeypatch.setattr(choice, "__version__", "0.0")
    elif what == "library":
        versions = choice.find_version
        monkeypatch.setattr(choice, "find_version", lambda name: "0.0" if name == "openvino" else versions(name))
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", "77")
    chosen(other, "auto", precision)
    assert len(kept(cache)) == 2


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"trials": 5}',
        b'{"trials": []}',
        b'{"trials": [{"engine": "torch"}]}',
        b'{"trials": [{"engine": "rm -rf", "precision": "float32", "seconds_per_megapixel": 0.1, "dice": 1, '
        b'"agreement": 1, "accepted": true, "reason": ""}]}',
        b'{"trials": [{"engine": "openvino", "precision": "float32", "seconds_per_megapixel": NaN, "dice": 1, '
        b'"agreement": 1, "accepted": true, "reason": ""}]}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_verdict_is_made_anew(checkpoint, bench, cache: Path, monkeypatch, damage: bytes):
    bench.seconds["openvino", "float32"] = 0.001
    chosen(checkpoint)
    (path,) = kept(cache)
    path.write_bytes(damage)
    assert chosen(checkpoint) == ("openvino", "float32")
    forbid_trials(monkeypatch)
    assert chosen(checkpoint) == ("openvino", "float32")


VALUES = st.none() | st.booleans() | st.floats() | st.text(max_size=3) | st.sampled_from(["torch", "float32"])
NAMES = st.sampled_from([*Trial.__dataclass_fields__, "other"])


@given(st.dictionaries(NAMES, VALUES))
def test_only_trials_are_read_as_trials(content):
    try:
        trial = Trial.from_json(content)
    except ValueError:
        return
    assert Trial.from_json(trial.to_json()) == trial
    assert trial.seconds_per_megapixel is not None or not trial.accepted


def test_trials_are_read_as_they_were_written(checkpoint: Checkpoint, bench: Bench):
    bench.failing["openvino", "bfloat16"] = RuntimeError("no")
    for trial in compare_engines(checkpoint):
        assert Trial.from_json(json.loads(json.dumps(trial.to_json(), allow_nan=False))) == trial


def test_without_a_cache_it_is_tried_every_time(checkpoint: Checkpoint, bench: Bench, cache: Path):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    bench.seconds["openvino", "float32"] = 0.001
    for _ in range(2):
        bench.built.clear()
        assert chosen(checkpoint) == ("openvino", "float32")
        assert len(bench.built) > 1


def test_a_remembered_choice_needs_no_torch(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    make().save(tmp_path / "run")
    trial = Trial("openvino", "float32", 0.1, 1.0, 1.0, True, "")
    monkeypatch.setattr(choice, "compare_engines", lambda *_: (trial,))
    block = np.ones((1, 1, 16, 16), np.float32)
    expected = choose_engine(Checkpoint.load(tmp_path / "run")).labels(block)
    code = f"""
import sys
sys.modules["torch"] = sys.modules["onnx"] = None
import numpy as np
from unetscope.checkpoint import Checkpoint
from unetscope.engines.choice import choose_engine
engine = choose_engine(Checkpoint.load({str(tmp_path / "run")!r}))
print(engine.name, engine.precision, engine.labels(np.ones((1, 1, 16, 16), np.float32)).tolist())
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert said == f"openvino float32 {expected.tolist()}"


# --- with the real engines ---------------------------------------------------------------------------------------


def test_real_engines_are_compared(checkpoint: Checkpoint):
    trials = {(trial.engine, trial.precision): trial for trial in compare_engines(checkpoint)}
    assert trials[REFERENCE].dice == trials[REFERENCE].agreement == 1.0
    assert trials["openvino", "float32"].accepted
    assert trials["openvino", "float32"].seconds_per_megapixel > 0
    engine = choose_engine(checkpoint)
    assert trials[engine.name, engine.precision].accepted


def test_a_real_engine_that_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        openvino_engine, "locate_network", lambda _, made=openvino_engine.locate_network: made(make(0, 9))
    )
    trials = compare_engines(make())
    assert {trial.accepted for trial in trials if trial.engine == "openvino"} == {False}
    assert choose_engine(make()).name == "torch"


# --- exported networks -------------------------------------------------------------------------------------------


def bundle(path: Path, **changes: object) -> Bundle:
    made = make()
    path.write_bytes(build_graph(made).SerializeToString())
    return Bundle(made.spec, made.normalization, made.classes, None, False, 0, path, {path.name: "0"}, **changes)


def test_an_exported_network_is_computed_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    exported = bundle(tmp_path / "network.onnx")
    assert choose_engine(exported).name == choose_engine(exported, "openvino").name == "openvino"
    assert choose_engine(exported, "auto", "float32").precision == "float32"
    monkeypatch.setattr(choice, "_is_installed", lambda library: library != "openvino")
    assert choose_engine(exported).name == "onnxruntime"
    assert choose_engine(replace(exported, network=tmp_path / "network.onnx")).precision == "float32"


def test_what_cannot_be_done_with_an_exported_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    exported = bundle(tmp_path / "network.onnx")
    with pytest.raises(UnetscopeError, match="cannot be computed by torch; use the engine openvino or auto"):
        choose_engine(exported, "torch")
    with pytest.raises(UnetscopeError, match="float64"):
        choose_engine(exported, "auto", "float64")
    for does in ("normalizes", "returns_labels"):
        with pytest.raises(UnetscopeError, match="export the run without --"):
            choose_engine(replace(exported, **{does: True}))
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UnetscopeError, match="pip install 'unetscope"):
        choose_engine(replace(exported, network=tmp_path / "network.xml"))
