"""Bad input ends with exit code 2 and one sentence: never with a traceback, a half-written file or a changed input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from places import SMALL, Place, digests, refused

from unetscope.cli import main
from unetscope.data.images import read_image, read_labels, write_image, write_labels

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
