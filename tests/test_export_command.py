"""`unetscope export`: what it writes, says and returns."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from unetscope.checkpoint import Checkpoint
from unetscope.cli import main
from unetscope.data.images import write_image
from unetscope.data.normalization import Normalization
from unetscope.engines.bundle import Bundle
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.segmentation import Tiling, segment

if not all(map(find_spec, ("onnx", "onnxruntime", "openvino"))):
    pytest.skip("the extra export is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder."""
    folder = tmp_path_factory.mktemp("place") / "run"
    torch.manual_seed(0)
    spec = UNetSpec.by_level((3, 4), norm="batch")
    Checkpoint(spec, UNet(spec).state_dict(), Normalization("image"), ("background", "cell")).save(folder)
    return folder


def test_people_read_what_was_written_and_how_far_it_is_off(run: Path, tmp_path: Path, capsys):
    assert main(["export", str(run), "--out", str(tmp_path / "bundle")]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    for name in ("bundle.json", "network.onnx", "network.xml", "network.bin"):
        assert f"{tmp_path / 'bundle' / name}: " in err
    for runtime in ("onnxruntime", "openvino"):
        assert f"\n{runtime} " in err
    assert err.count("scores differ by ") == 2
    assert err.count("labels agree on 100.00 % of the pixels (2 blocks)") == 2
    assert err.endswith(f"segment with it: unetscope segment {tmp_path / 'bundle'} IMAGE --out FOLDER\n")


def test_programs_read_the_same_as_json(run: Path, tmp_path: Path, capsys):
    assert main(["export", str(run), "--out", str(tmp_path), "--formats", "onnx", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["bundle"] == str(tmp_path)
    assert said["bytes"] == {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert said["weights"] == Checkpoint.load(run).digest()
    assert [each["format"] for each in said["verification"]] == ["onnx"]


def test_options_reach_the_graph(run: Path, tmp_path: Path, capsys):
    words = ["export", str(run), "--out", str(tmp_path), "--formats", "openvino, onnx", "--normalize", "--labels"]
    assert main(words) == 0
    err = capsys.readouterr().err
    bundle = Bundle.load(tmp_path)
    assert (bundle.normalizes, bundle.returns_labels) == (True, True)
    assert "scores differ" not in err
    assert "segment with it" not in err


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # what None stands for cannot be imported
from unetscope.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("formats", ["openvino", "onnx"])
def test_an_export_is_segmented_where_torch_cannot_be_imported(formats: str, run: Path, tmp_path: Path):
    image = np.random.default_rng(1).integers(0, 60000, (70, 45)).astype(np.uint16)
    write_image(tmp_path / "image.tif", image)
    assert main(["export", str(run), "--out", str(tmp_path / "network"), "--formats", formats]) == 0
    words = ["segment", str(tmp_path / "network"), str(tmp_path / "image.tif"), "--out", str(tmp_path / "labels")]
    whole = [sys.executable, "-c", WITHOUT_TORCH, *words, "--precision", "float32", "--tile", "32"]
    subprocess.run(whole, check=True, env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)})
    expected = segment(Checkpoint.load(run), image, Tiling(precision="float32", engine="torch"))
    assert (tifffile.imread(tmp_path / "labels" / "image.tif") == expected).mean() > 0.999


def test_the_lines_of_python_in_the_documentation_label_an_image(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(run), "--out", "network", "--normalize", "--labels"]) == 0
    page = Path(__file__).parent.parent / "docs" / "commands" / "export.md"
    (code,) = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    image = np.random.default_rng(0).integers(0, 60000, (48, 32)).astype(np.uint16)
    names = {"image": image}
    exec(compile(code, str(page), "exec"), names)
    expected = segment(Checkpoint.load(run), image, Tiling(whole=True, precision="float32"))
    assert (names["labels"] == expected).mean() > 0.999


def test_what_cannot_be_done_is_2_with_a_sentence(run: Path, tmp_path: Path, capsys):
    assert main(["export", str(run), "--out", str(tmp_path / "new"), "--formats", "onnx,tflite"]) == 2
    assert "error: formats are onnx, tflite; give onnx or openvino, or both" in capsys.readouterr().err
    assert main(["export", str(run), "--out", str(run)]) == 2
    assert "which is no part of a bundle; choose another --out" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "absent"), "--out", str(tmp_path / "new")]) == 2
    assert "holds no checkpoint.json" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
