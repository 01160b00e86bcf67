"""`compare` on the command line: what goes where, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from cyclopts import App, Parameter

from unetscope.checkpoint import Checkpoint
from unetscope.commands.comparing import compare
from unetscope.data.dataset import Dataset
from unetscope.data.images import write_image, write_labels
from unetscope.data.normalization import Normalization
from unetscope.errors import DataError, OutputError, SlimError
from unetscope.evaluation import fingerprint
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.slimming import speed
from unetscope.slimming.comparison import Comparison
from unetscope.slimming.comparison_text import describe_power

# As in `cli`, where the command is one among others.
app = App(default_parameter=Parameter(negative=(), consume_multiple=True))
app.command(compare)


def call(*words: object) -> None:
    app(["compare", *map(str, words)], exit_on_error=False, print_error=False, result_action="return_value")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds of a network, one of another, and the dataset last."""
    root = tmp_path_factory.mktemp("compared")
    for name in "abcdef":
        rng = np.random.default_rng(ord(name))
        write_image(root / "data" / "images" / f"{name}.png", rng.integers(0, 255, (16, 16), np.uint8))
        write_labels(root / "data" / "labels" / f"{name}.png", (rng.random((16, 16)) < 0.5).astype(np.uint8))
    seen = {"train": fingerprint(Dataset.open(root / "data"), "ab"), "validation": []}
    for name, widths, seed in (("large0", (4, 8), 0), ("large1", (4, 8), 1), ("small0", (2, 4), 0)):
        torch.manual_seed(seed)
        spec, provenance = UNetSpec.by_level(widths), {"seed": seed, "seen": seen}
        classes = ("background", "foreground")
        Checkpoint(spec, UNet(spec).state_dict(), Normalization("image"), classes, provenance=provenance).save(
            root / name
        )
    return [root / name for name in ("large0", "large1", "small0", "data")]


def test_the_last_folder_is_the_dataset(folders, capsys):
    call(*folders, "--no-time", "--json")
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert [row["name"] for row in found["rows"]] == ["4-8", "2-4"]
    assert found["provenance"]["data"]["path"] == str(folders[-1])
    assert found["rows"][0]["timings"] == []
    lines = captured.err.splitlines()
    assert "4 test images, each network trained 1 to 2 times" in captured.err
    assert "another seed" in captured.err and "no verdict" in captured.err
    assert lines.index(describe_power(Comparison.from_json(found))) < lines.index(
        next(line for line in lines if "parameters" in line)
    )


def test_networks_are_timed_unless_told_not_to(folders, capsys, monkeypatch):
    monkeypatch.setattr(speed, "ROUNDS", (1, 1))
    monkeypatch.setattr(speed, "TURN", 0.0)
    monkeypatch.setattr("unetscope.slimming.comparison.SIDES", {2: 16, 3: 16})
    call(folders[0], folders[2], folders[3])
    captured = capsys.readouterr()
    assert "median, shortest and longest" in captured.err and "float32" in captured.err
    assert captured.out == ""


def test_files_are_written_where_asked(folders, tmp_path):
    call(*folders, "--no-time", "--out", tmp_path / "out", "--part", "all", "--margin", "0.5")
    found = Comparison.load(tmp_path / "out" / "comparison.json")
    assert (found.part, found.margin, len(found.images)) == ("all", 0.5, 6)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"comparison.json", "pareto-multiply-adds.svg", "pareto-multiply-adds.png"}
    assert describe_power(found) == "6 images, each network trained 1 to 2 times: no difference in Dice can be told"


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (lambda folders: [folders[0]], SlimError, "came alone"),
        (lambda folders: [*folders, "--margin", "0"], DataError, "margin is 0"),
        (
            lambda folders: [*folders, "--out", folders[0] / "checkpoint.json"],
            OutputError,
            "is a file and not a folder",
        ),
    ],
)
def test_wrong_words_are_refused(folders, words, error, message):
    with pytest.raises(error, match=message):
        call(*words(folders), "--no-time")
