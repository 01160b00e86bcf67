"""`report` on the command line: one page, written whole or not at all, and figures where they are asked for."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from unetscope import cli
from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.normalization import Normalization
from unetscope.data.scenes import write_dataset
from unetscope.demonstration import DATA, MARK
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.reporting.page import writing
from unetscope.slimming.plan import SlimPlan

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a demo leaves it, without a profile: `data` and `run`."""
    folder = tmp_path_factory.mktemp("demo")
    write_dataset(folder / DATA, "cells", train=3, test=2, shape=(24, 24))
    split = Dataset.open(folder / DATA).split(0, 0.3, 0.2).to_json()
    spec = UNetSpec.by_level((4, 8), convolutions=1)
    weights, classes = UNet(spec).state_dict(), ("background", "cell")
    Checkpoint(spec, weights, Normalization("image"), classes, split=split).save(folder / "run")
    (folder / MARK).write_text("")
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The program: exit code, standard output, standard error."""

    def call(*words: object) -> tuple[int, str, str]:
        code = cli.main([str(word) for word in words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def content_of(page: Path) -> dict:
    """The document in a page."""
    return json.loads(re.search(r"<script[^>]*application/json[^>]*>(.*?)</script>", page.read_text(), re.DOTALL)[1])


def test_the_page_is_written_into_the_first_source_or_beside_it(place: Path, tmp_path: Path, run: Run) -> None:
    code, out, err = run("report", place / "run", "--json")
    page = place / "run" / "report.html"
    assert (code, json.loads(out)) == (0, {"page": str(page), "networks": ["run"], "pictures": []})
    assert f"page: {page}" in err
    assert content_of(page)["segmentation"]["gallery"] == []
    page.unlink()
    checkpoint = Checkpoint.load(place / "run")
    SlimPlan.keep_all(checkpoint.spec, checkpoint.digest()).save(tmp_path / "plan.json")
    assert run("report", tmp_path / "plan.json")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan.json", "report.html"]


def test_a_page_needs_nothing_beside_itself(place: Path, tmp_path: Path, run: Run) -> None:
    assert run("report", place / "run", "--dataset", place / DATA, "--out", tmp_path / "a.html")[0] == 0
    text = (tmp_path / "a.html").read_text()
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:|//|file:)""", text)
    assert len(text) < 5_000_000
    assert run("report", place / "run", "--dataset", place / DATA, "--out", tmp_path / "b.html")[0] == 0
    assert (tmp_path / "b.html").read_text() == text


@pytest.mark.parametrize(("words", "images"), [((), 2), (("--gallery", "1"), 1), (("--gallery", "0"), 0)])
def test_a_demo_brings_its_dataset(place: Path, tmp_path: Path, run: Run, words: tuple[str, ...], images: int) -> None:
    page = tmp_path / "page.html"
    code, _, err = run("report", place, "--out", page, *words)
    assert (code, "Traceback" in err) == (0, False)
    content = content_of(page)
    assert len(content["segmentation"]["gallery"]) == images
    assert content["title"] == f"run on {DATA}"


@pytest.mark.parametrize("opens", [True, False])
def test_the_page_can_be_opened(
    place: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, opens: bool
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or opens)
    code, _, err = run("report", place / "run", "--out", tmp_path / "a b.html", "--open")
    assert (code, opened) == (0, [(tmp_path / "a b.html").as_uri()])
    assert ("no browser could be opened" in err) is not opens


def test_a_network_without_profiles_has_no_figures(place: Path, tmp_path: Path, run: Run) -> None:
    code, out, _ = run("report", place / "run", "--out", tmp_path / "a.html", "--figures", tmp_path / "f", "--json")
    assert (code, json.loads(out)["pictures"], (tmp_path / "f").exists()) == (0, [], False)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (lambda place, out: [], "SOURCES"),
        (lambda place, out: [place / DATA], "holds no result"),
        (lambda place, out: [place / "none"], "cannot be read"),
        (lambda place, out: [place / "run", "--gallery", "-1"], "--gallery is -1"),
        (lambda place, out: [place / "run", "--dataset", out], "dataset|images|empty|exist"),
        (lambda place, out: [place / "run", "--out", place / "run" / "checkpoint.json" / "a.html"], "is a file"),
    ],
)
def test_wrong_words_are_refused_in_a_sentence(
    place: Path, tmp_path: Path, run: Run, words: Callable[[Path, Path], list[object]], told: str
) -> None:
    out = ["--out", tmp_path / "page.html"] if "--out" not in words(place, tmp_path) else []
    code, printed, err = run("report", *words(place, tmp_path), *out)
    assert (code, printed, "Traceback" in err) == (2, "", False)
    assert re.search(told, err)
    assert list(tmp_path.iterdir()) == []


def test_a_page_is_written_whole_or_not_at_all(
    place: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "report.html"
    page.write_text("the page of yesterday")

    def fail(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("os.fsync", fail)
    assert run("report", place / "run", "--out", page)[0] == 2
    monkeypatch.undo()
    monkeypatch.setattr(writing, "assemble", lambda _: 1 / 0)
    assert run("report", place / "run", "--out", page)[0] == 1
    assert [path.read_text() for path in tmp_path.iterdir()] == ["the page of yesterday"]
