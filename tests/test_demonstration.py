"""The demonstration shows every step, writes what it says, and removes nothing but what an earlier one wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unetscope import demonstration
from unetscope.data.images import read_labels
from unetscope.demonstration import MARK, demonstrate
from unetscope.errors import OutputError, RecipeError


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Demonstrate on few and small images."""
    monkeypatch.setattr(demonstration, "IMAGES", {"train": 54, "test": 2})
    monkeypatch.setattr(demonstration, "SHAPE", (32, 32))


def scores_of(out: Path) -> float:
    """The mean Dice of the test images."""
    return float(json.loads((out / "scores.json").read_text())["dice"])


@pytest.mark.usefixtures("small")
def test_it_goes_the_whole_way_again_and_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    result = demonstrate(out, "cells", 2)
    told = capsys.readouterr()
    assert told.out == ""
    assert [number for number in "123456" if f"\n{number}. " not in told.err] == []
    assert [line[:9] for line in told.err.splitlines() if line.startswith("epoch")] == ["epoch   1", "epoch   2"]
    assert result["folder"] == str(out)
    assert 0 <= result["dice"] <= 1
    assert all(sentence.split(", and ")[0] in told.err for sentence in result["sentences"])
    for name in ("scores.json", "profile.json", "segmentations.png", "uplot.svg", "uplot.png", "run/checkpoint.json"):
        assert (out / name).stat().st_size, name
    assert result["page"] == str(out / "report.html") and result["page"] in told.err
    page = (out / "report.html").read_text()
    assert f"{scores_of(out):.3f}" in page and "data:image/webp" in page
    segmented = sorted((out / "segmented").iterdir())
    assert [read_labels(path).shape for path in segmented] == [(32, 32)] * 2

    (out / "mine.txt").write_text("kept")
    weights = (out / "run" / "model.safetensors").read_bytes()
    (out / "segmented" / "old.png").write_text("from an earlier demo")
    demonstrate(out, "cells", 2)
    assert (out / "mine.txt").read_text() == "kept"
    assert sorted((out / "segmented").iterdir()) == segmented
    assert (out / "run" / "model.safetensors").read_bytes() == weights


def test_a_folder_of_somebody_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").write_text("years of work")
    with pytest.raises(OutputError, match="no demo wrote"):
        demonstrate(tmp_path, "cells", 1)
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "precious"]


def test_nothing_is_removed_before_the_settings_are_known_to_be_right(tmp_path: Path) -> None:
    (tmp_path / MARK).write_text("")
    (tmp_path / "scores.json").write_text("{}")
    with pytest.raises(RecipeError, match="epochs"):
        demonstrate(tmp_path, "cells", 0)
    assert (tmp_path / "scores.json").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        demonstrate(tmp_path / "demo", "cells", 1)
