"""Bad input ends with exit code 2 and one sentence: never with a traceback, a half-written file or a changed input."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from unetscope.cli import main
from unetscope.data.images import read_image, read_labels, write_image, write_labels
from unetscope.data.scenes import write_dataset

SMALL = ("--widths", "4,8", "--epochs", "1")


@dataclass(frozen=True)
class Place:
    """A folder with a good dataset `data`, a run `run` on it, and room for results `out`."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def out(self) -> Path:
        return self.root / "out"

    def image(self, name: str = "000.png", kind: str = "images", part: str = "train") -> Path:
        return self.data / part / kind / name

    def train(self, *options: str) -> list[str]:
        small = [word for i in (0, 2) if SMALL[i] not in options for word in SMALL[i : i + 2]]
        return ["train", str(self.data), "--out", str(self.out), *small, *options]

    def segment(self, *images: Path, options: tuple[str, ...] = ()) -> list[str]:
        return ["segment", str(self.run), *map(str, images or (self.image(),)), "--out", str(self.out), *options]

    def evaluate(self) -> list[str]:
        return ["evaluate", str(self.run), str(self.data)]

    def profile(self, out: Path | None = None) -> list[str]:
        target = str(out or self.out / "profile.json")
        return ["profile", str(self.run), str(self.data), "--role", "train", "--out", target]


@pytest.fixture(scope="session")
def good_place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Everything as it should be."""
    place = Place(tmp_path_factory.mktemp("good"))
    write_dataset(place.data, "cells", train=10, test=2, shape=(32, 32))
    assert main(["train", str(place.data), "--out", str(place.run), *SMALL]) == 0
    return place


@pytest.fixture
def place(good_place: Place, tmp_path: Path) -> Place:
    """A copy to spoil."""
    shutil.copytree(good_place.root, tmp_path / "place")
    return Place(tmp_path / "place")


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must be refused; returns its one sentence."""
    capsys.readouterr()
    code = main(words)
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    assert "Traceback" not in err
    assert err.count("error: ") == 1
    return err.split("error: ")[1].strip()


def digests(root: Path) -> dict[str, str]:
    """What every file under a folder holds."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# ------------------------------------------------------------------------------------------------- the cases

Case = Callable[[Place], list[str]]
CASES: dict[str, tuple[Case, tuple[str, ...]]] = {}


def case(name: str, *said: str) -> Callable[[Case], Case]:
    """Keep a way to spoil a place, and what the message about it must hold."""

    def keep(spoil: Case) -> Case:
        CASES[name] = spoil, said
        return spoil

    return keep


def smaller_mask(place: Place, part: str, index: int) -> None:
    path = place.image(f"{index:03d}.png", "labels", part)
    write_labels(path, read_labels(path)[:-1])


@case("train: mask of another size", "labels/003.png", "31 x 32", "32 x 32", "export")
def _(place: Place) -> list[str]:
    smaller_mask(place, "train", 3)
    return place.train()


@case("train: mask of another size in the test part", "test/labels/001.png", "31 x 32", "export")
def _(place: Place) -> list[str]:
    smaller_mask(place, "test", 1)
    return place.train()


@case("evaluate: mask of another size", "test/labels/001.png", "31 x 32", "export")
def _(place: Place) -> list[str]:
    smaller_mask(place, "test", 1)
    return place.evaluate()


@case("profile: mask of another size", "labels/00", "31 x 32", "export")
def _(place: Place) -> list[str]:
    for index in range(10):
        smaller_mask(place, "train", index)
    return place.profile()


@case("check: missing mask", "(004)", "images", "labels", "add")
def _(place: Place) -> list[str]:
    place.image("004.png", "labels").unlink()
    return ["check", str(place.data)]


@case("train: missing image", "(004)", "labels", "add")
def _(place: Place) -> list[str]:
    place.image("004.png").unlink()
    return place.train()


@case("train: mask in colors that are not declared", "000.png", "3 channels", "dataset.toml", "[255, 255, 255]")
def _(place: Place) -> list[str]:
    (place.data / "dataset.toml").unlink()
    for path in place.image().parent.parent.glob("labels/*"):
        write_image(path, np.stack([read_labels(path).astype(np.uint8)] * 3))
    return place.train()


@case("train: one mask in colors among others", "labels/000.png", "3 channels", "save it like the others")
def _(place: Place) -> list[str]:
    path = place.image(kind="labels")
    write_image(path, np.stack([read_labels(path).astype(np.uint8)] * 3))
    return place.train()


@case("train: labels 0, 2, 3", "0, 2, 3", "dataset.toml", "values = [0, 2, 3]")
def _(place: Place) -> list[str]:
    (place.data / "dataset.toml").unlink()
    for path in place.data.glob("*/labels/*"):
        labels = read_labels(path).astype(np.uint8)
        labels[labels > 0] = 2
        labels[::2, :5] = 3
        write_labels(path, labels)
    return place.train()


@case("train: soft mask", "labels/002.png", "from 1 to 255", "threshold")
def _(place: Place) -> list[str]:
    (place.data / "dataset.toml").write_text('kind = "mask"\n')
    path = place.image("002.png", "labels")
    labels = read_labels(path).astype(np.uint8)
    labels[0] = np.arange(32)
    write_labels(path, labels)
    return place.train()


@case("train: labels hold background alone", "12 label files", "annotate")
def _(place: Place) -> list[str]:
    (place.data / "dataset.toml").unlink()
    for path in place.data.glob("*/labels/*"):
        write_labels(path, np.zeros((32, 32), np.uint8))
    return place.train()


@case("train: empty folder", "empty", "images", "put")
def _(place: Place) -> list[str]:
    (place.root / "empty").mkdir()
    return ["train", str(place.root / "empty"), "--out", str(place.out), *SMALL]


@case("train: no such folder", "nowhere", "check the name")
def _(place: Place) -> list[str]:
    return ["train", str(place.root / "nowhere"), "--out", str(place.out), *SMALL]


@case("train: folder of BMPs", "10 .bmp", ".png", "convert")
def _(place: Place) -> list[str]:
    for path in sorted(place.image().parent.iterdir()):
        path.rename(path.with_suffix(".bmp"))
    return place.train()


@case("segment: empty folder", "empty", ".png")
def _(place: Place) -> list[str]:
    (place.root / "empty").mkdir()
    return place.segment(place.root / "empty")


def truncate(path: Path) -> None:
    """Cut a file in the middle."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@case("train: truncated image", "images/005.png", "damaged", "again")
def _(place: Place) -> list[str]:
    truncate(place.image("005.png"))
    return place.train()


@case("train: truncated label image", "labels/005.png", "damaged", "again")
def _(place: Place) -> list[str]:
    truncate(place.image("005.png", "labels"))
    return place.train()


@case("evaluate: truncated image", "test/images/000.png", "damaged", "again")
def _(place: Place) -> list[str]:
    truncate(place.image(part="test"))
    return place.evaluate()


@case("segment: truncated image", "images/000.png", "damaged", "again")
def _(place: Place) -> list[str]:
    truncate(place.image())
    return place.segment()


@case("segment: image of no bytes", "images/000.png", "0 bytes")
def _(place: Place) -> list[str]:
    place.image().write_bytes(b"")
    return place.segment()


def image_with_nan(path: Path) -> Path:
    image = read_image(path).astype(np.float32)
    image[0, 7, 9] = np.nan
    write_image(path.with_suffix(".tif"), image[0])
    return path.with_suffix(".tif")


@case("train: NaN in an image", "images/006.tif", "NaN", "replace")
def _(place: Place) -> list[str]:
    image_with_nan(place.image("006.png"))
    place.image("006.png").unlink()
    return place.train()


@case("segment: NaN in an image", "images/006.tif", "NaN", "replace")
def _(place: Place) -> list[str]:
    return place.segment(image_with_nan(place.image("006.png")))


@case("train: one image only", "1 annotated image", "2", "annotate")
def _(place: Place) -> list[str]:
    for kind in ("images", "labels"):
        for path in place.data.glob(f"*/{kind}/*"):
            if path.name != "000.png" or "test" in path.parts:
                path.unlink()
    shutil.rmtree(place.data / "test")
    return place.train()


def edit_json(path: Path, key: str, value: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))


@case("segment: run of another version", "checkpoint.json", "format 99", "format 1", "version that wrote it")
def _(place: Place) -> list[str]:
    edit_json(place.run / "checkpoint.json", "format", 99)
    return place.segment()


@case("evaluate: checkpoint.json is no JSON", "checkpoint.json", "restore")
def _(place: Place) -> list[str]:
    truncate(place.run / "checkpoint.json")
    return place.evaluate()


@case("profile: checkpoint.json lacks its network", "checkpoint.json", "restore")
def _(place: Place) -> list[str]:
    edit_json(place.run / "checkpoint.json", "spec", {})
    return place.profile()


@case("segment: truncated weights", "model.safetensors", "digest", "restore")
def _(place: Place) -> list[str]:
    truncate(place.run / "model.safetensors")
    return place.segment()


@case("evaluate: missing weights", "model.safetensors", "restore")
def _(place: Place) -> list[str]:
    (place.run / "model.safetensors").unlink()
    return place.evaluate()


@case("segment: run folder missing", "place/run", "checkpoint.json", "--out")
def _(place: Place) -> list[str]:
    shutil.rmtree(place.run)
    return place.segment()


@case("profile: run folder missing", "place/run", "checkpoint.json", "--out")
def _(place: Place) -> list[str]:
    shutil.rmtree(place.run)
    return place.profile()


@case("report: profile missing", "profile.json", "profile")
def _(place: Place) -> list[str]:
    return ["report", str(place.root / "profile.json"), "--out", str(place.out)]


@case("report: another JSON file", "checkpoint.json", "profile")
def _(place: Place) -> list[str]:
    return ["report", str(place.run / "checkpoint.json"), "--out", str(place.out)]


@case("profile: too few images", "at least 2", "1 came", "annotate")
def _(place: Place) -> list[str]:
    split = json.loads((place.run / "checkpoint.json").read_text())["split"]
    edit_json(place.run / "checkpoint.json", "split", {**split, "profile": split["profile"][:1]})
    return ["profile", str(place.run), str(place.data), "--out", str(place.out / "p.json")]


@case("segment: wrong number of channels", "three.tif", "3 channels", "reads 1")
def _(place: Place) -> list[str]:
    write_image(place.root / "three.tif", np.zeros((3, 40, 40), np.uint8))
    return place.segment(place.root / "three.tif")


@case("segment: text named .png", "text.png", "png", "again")
def _(place: Place) -> list[str]:
    (place.root / "text.png").write_text("hello")
    return place.segment(place.root / "text.png")


@case("segment: file of another format", "image.bmp", ".png", "convert")
def _(place: Place) -> list[str]:
    (place.root / "image.bmp").write_text("hello")
    return place.segment(place.root / "image.bmp")


@case("segment: pickled objects in a NumPy file", "objects.npy")
def _(place: Place) -> list[str]:
    np.save(place.root / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    return place.segment(place.root / "objects.npy")


@case("segment: image missing", "gone.png", "does not exist")
def _(place: Place) -> list[str]:
    return place.segment(place.root / "gone.png")


@case("evaluate: three classes for a network of two", "background, class 1, class 2", "background, cell", "labels")
def _(place: Place) -> list[str]:
    (place.data / "dataset.toml").unlink()
    for path in place.data.glob("*/labels/*"):
        labels = np.minimum(read_labels(path), 1).astype(np.uint8)
        labels[::2, :5] = 2
        write_labels(path, labels)
    return place.evaluate()


@case("evaluate: nothing that training has not seen", "no test images", "--part")
def _(place: Place) -> list[str]:
    shutil.rmtree(place.data / "test")
    return place.evaluate()


@case("train: resumed with other epochs", "--epochs 1", "3 came", "anew")
def _(place: Place) -> list[str]:
    return ["train", str(place.data), "--out", str(place.run), "--resume", "--epochs", "3"]


@case("train: resumed with another network", "another network", "anew")
def _(place: Place) -> list[str]:
    return ["train", str(place.data), "--out", str(place.run), "--resume", "--widths", "8,8"]


@case("train: resumed on other data", "changed", "anew")
def _(place: Place) -> list[str]:
    write_image(place.image("000.png"), np.full((32, 32), 7, np.uint8))
    return ["train", str(place.data), "--out", str(place.run), "--resume"]


@case("train: resumed from a damaged state", "last", "anew")
def _(place: Place) -> list[str]:
    (state,) = (place.run / "last").glob("*.safetensors")
    truncate(state)
    return ["train", str(place.data), "--out", str(place.run), "--resume"]


@case("train: folder that holds a run", "already holds a run", "--resume")
def _(place: Place) -> list[str]:
    return ["train", str(place.data), "--out", str(place.run), *SMALL]


@case("train: results into a file", "out", "is a file", "another")
def _(place: Place) -> list[str]:
    place.out.write_text("mine")
    return place.train()


@case("segment: results into a file", "out", "is a file", "another")
def _(place: Place) -> list[str]:
    place.out.write_text("mine")
    return place.segment()


@case("profile: results into a folder", "out", "is a folder", "another")
def _(place: Place) -> list[str]:
    place.out.mkdir()
    return place.profile(place.out)


@case("report: results into a folder", "out", "is a folder", "another")
def _(place: Place) -> list[str]:
    assert main(place.profile(place.root / "profile.json")) == 0
    place.out.mkdir()
    return ["report", str(place.root / "profile.json"), "--out", str(place.out)]


@case("report: figures into a file", "out", "is a file", "another")
def _(place: Place) -> list[str]:
    assert main(place.profile(place.root / "profile.json")) == 0
    place.out.write_text("mine")
    page = str(place.root / "report.html")
    return ["report", str(place.root / "profile.json"), "--out", page, "--figures", str(place.out)]


@case("segment: results among the images", "000.png", "never overwritten", "--out")
def _(place: Place) -> list[str]:
    return ["segment", str(place.run), str(place.image()), "--out", str(place.image().parent)]


OPTIONS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("--widths", "16,x"): ("--widths", "'16,x'", "16,32,64"),
    ("--widths", ""): ("widths", "16, 32, 64"),
    ("--widths", "0,4"): ("width", "0", "at least 1"),
    ("--skips", "0,9"): ("level 9", "levels 0 to"),
    ("--preset", "biggest"): ("'biggest'", "default", "ronneberger2015"),
    ("--nope",): ("--nope", "train --help"),
    ("--optimizer", "lion"): ("lion", "adamw"),
    ("--epochs", "0"): ("epochs is 0", "from 1"),
    ("--epochs", "many"): ("many", "--epochs"),
    ("--minutes", "1"): ("--epochs", "--minutes", "one of them"),
    ("--learning-rate", "nan"): ("learning_rate is nan", "from 0 to 100"),
    ("--class-weights", "1"): ("1 class_weights", "2"),
    ("--batch",): ("--batch", "train --help"),
    ("more",): ("more", "nothing more"),
}
for options, said in OPTIONS.items():

    @case(f"train {' '.join(options)}", *said)
    def _(place: Place, options: tuple[str, ...] = options) -> list[str]:
        return place.train(*options)


for tile in ("0", "-5", "big"):

    @case(f"segment --tile {tile}", tile, "--tile" if tile == "big" else "512")
    def _(place: Place, tile: str = tile) -> list[str]:
        return place.segment(options=("--tile", tile))


@case("segment without an image", "IMAGE", "segment --help")
def _(place: Place) -> list[str]:
    return ["segment", str(place.run), "--out", str(place.out)]


@case("train without a run folder", "no value came for --out", "train --help")
def _(place: Place) -> list[str]:
    return ["train", str(place.data)]


@case("check without a dataset", "no value came for DATASET", "check --help")
def _(place: Place) -> list[str]:
    return ["check"]


@case("no such command", "brew", "segment")
def _(place: Place) -> list[str]:
    return ["brew"]


# -------------------------------------------------------------------------------------------------- the law


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_in_one_sentence_and_leaves_no_trace(
    name: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, said = CASES[name]
    words = spoil(place)
    before = digests(place.root)
    message = refused(words, capsys)
    assert [part for part in said if part not in message] == [], message
    assert digests(place.root) == before


def test_an_image_smaller_than_a_tile_is_no_bad_input(place: Place) -> None:
    write_image(place.root / "small.png", np.arange(15, dtype=np.uint8).reshape(3, 5))
    assert main(place.segment(place.root / "small.png", options=("--tile", "512"))) == 0
    assert read_labels(place.out / "small.png").shape == (3, 5)


# ------------------------------------------------------------------------------------------- disks that refuse


def mount(folder: Path, options: str) -> None:
    """Mount a small disk; only an administrator can."""
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")


@pytest.fixture(params=["full", "read-only"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A disk that is full but for a few bytes, or read-only."""
    if os.name == "nt" or os.geteuid() != 0:
        pytest.skip("only an administrator can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount(folder, "size=64k")
    try:
        if request.param == "read-only":
            mount(folder, "remount,ro")
        else:
            (folder / "filler").write_bytes(b"0" * (60 * 1024))
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


WRITERS: dict[str, Callable[[Place, Path], list[str]]] = {
    "train": lambda place, disk: ["train", str(place.data), "--out", str(disk / "run"), *SMALL],
    "segment": lambda place, disk: ["segment", str(place.run), str(place.root / "noise.npy"), "--out", str(disk)],
    "profile": lambda place, disk: place.profile(disk / "profile.json"),
}


@pytest.mark.parametrize("command", WRITERS)
def test_a_disk_that_refuses_leaves_no_part_of_a_file(
    command: str, disk: Path, good_place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(good_place.root / "noise.npy", np.zeros((100, 100), np.uint8))
    before = digests(disk)
    message = refused(WRITERS[command](good_place, disk), capsys)
    assert str(disk) in message
    assert "space" in message or "another" in message
    left = {name: digest for name, digest in digests(disk).items() if Path(disk / name).stat().st_size}
    assert left == before


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="an administrator may write everywhere")
@pytest.mark.parametrize("command", WRITERS)
def test_a_folder_without_permission_is_refused_before_the_work(
    command: str, good_place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o555)
    assert "another" in refused(WRITERS[command](good_place, tmp_path), capsys)
