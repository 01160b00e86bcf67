from pathlib import Path

import numpy as np
import pytest
from folders import IMAGE, MASK, folder_of, masks, write_series
from PIL import Image

from unetscope.data.dataset import Dataset
from unetscope.data.images import write_image, write_labels
from unetscope.errors import DataError


def test_images_and_labels_side_by_side(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(2))
    write_image(tmp_path / "images" / "b.TIF", IMAGE)
    write_labels(tmp_path / "labels" / "b.npy", MASK)
    (tmp_path / "images" / ".hidden.png").write_bytes(b"")
    (tmp_path / "images" / "notes.md").write_text("cells")
    dataset = Dataset.open(tmp_path)
    assert dataset.names == ("00", "01", "b")
    assert (dataset.ndim, dataset.channels, dataset.classes) == (2, 1, ("background", "foreground"))
    image, labels = dataset.read(dataset.item("b"))
    np.testing.assert_array_equal(image, IMAGE)
    np.testing.assert_array_equal(labels, MASK > 0)
    assert labels.dtype == np.uint8


def test_train_and_test_folders(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(3), part="train")
    folder_of(tmp_path, masks(2), part="test")
    dataset = Dataset.open(str(tmp_path))
    assert dataset.names == ("train/00", "train/01", "train/02", "test/00", "test/01")
    assert dataset.split().test == ("test/00", "test/01")


def test_other_folder_names(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(2), part="train")
    (tmp_path / "train" / "images").rename(tmp_path / "train" / "raw")
    (tmp_path / "train" / "labels").rename(tmp_path / "train" / "truth")
    assert len(Dataset.open(tmp_path, images="raw", labels="truth").items) == 2


@pytest.mark.parametrize("lists", [("train",), ("test",), ("train", "test")])
def test_lists_give_parts(tmp_path: Path, lists: tuple[str, ...]) -> None:
    folder_of(tmp_path, masks(5))
    stems = {"train": "00\n02\n\n03\n", "test": "01\n04"}
    for name in lists:
        (tmp_path / f"{name}.txt").write_text(stems[name])
    dataset = Dataset.open(tmp_path)
    assert [item.part for item in dataset.items] == ["train", "test", "train", "train", "test"]
    assert dataset.split(seed=3).test == ("01", "04")


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ("00\n09", "01", "train.txt lists 09, and there is no such image"),
        ("00\n01", "01", "lists 01 in both"),
        ("00", "01", r"1 images of .* neither in train.txt nor in test.txt \(02\)"),
    ],
)
def test_lists_that_do_not_fit(tmp_path: Path, train: str, test: str, words: str) -> None:
    folder_of(tmp_path, masks(3))
    (tmp_path / "train.txt").write_text(train)
    (tmp_path / "test.txt").write_text(test)
    with pytest.raises(DataError, match=words):
        Dataset.open(tmp_path)


def test_lists_in_other_encodings_are_named_not_fatal(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(2))
    (tmp_path / "train.txt").write_bytes(b"\xef\xbb\xbf00\r\n")
    assert [item.part for item in Dataset.open(tmp_path).items] == ["train", "test"]
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe0\x000\x00")
    with pytest.raises(DataError, match=r"train\.txt lists .* no such image"):
        Dataset.open(tmp_path)


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere does not exist, and a folder"):
        Dataset.open(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"has neither images nor train/images; put images into .*/images"):
        Dataset.open(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"labels does not exist, and training needs a label image"):
        Dataset.open(tmp_path)
    (tmp_path / "labels").mkdir()
    with pytest.raises(DataError, match=r"images holds no files, and \.png, .*\.tif, .*\.npy, .* are read"):
        Dataset.open(tmp_path)
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(DataError, match=r"a\.txt is a file"):
        Dataset.open(tmp_path / "a.txt")


def test_both_layouts_at_once_are_refused(tmp_path: Path) -> None:
    folder_of(folder_of(tmp_path, masks(2)), masks(2), part="train")
    with pytest.raises(DataError, match="has both images and train/images"):
        Dataset.open(tmp_path)


def test_unknown_formats_are_counted(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(1))
    for path in (tmp_path / "images").iterdir():
        path.rename(path.with_suffix(".czi"))
    with pytest.raises(DataError, match=r"images holds 1 \.czi, and \.png"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize(("lacking", "other"), [("labels", "images"), ("images", "labels")])
def test_files_without_a_partner(tmp_path: Path, lacking: str, other: str) -> None:
    folder_of(tmp_path, masks(6))
    for stem in ("01", "02", "04", "05"):
        (tmp_path / lacking / f"{stem}.png").unlink()
    what = "an image" if other == "images" else "a label image"
    sentence = (
        rf"/{other}/01\.png is {what} without a file of the same stem \(01\) in .*/{lacking}; add .*/{lacking}/01"
    )
    with pytest.raises(DataError, match=sentence + r"\.\* or .* \(3 more files have problems\)$"):
        Dataset.open(tmp_path)


def test_equal_stems(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(2))
    write_image(tmp_path / "images" / "01.tif", IMAGE)
    with pytest.raises(DataError, match=r"holds 01\.png and 01\.tif, which have the same stem; keep one"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize("spelling", ["validation", "val"])
def test_validation_folders_are_used_as_they_are(tmp_path: Path, spelling: str) -> None:
    for part, count in (("train", 9), (spelling, 2), ("test", 1)):
        folder_of(tmp_path, masks(count), part=part)
    dataset = Dataset.open(tmp_path)
    split = dataset.split(seed=5)
    assert split.validation == (f"{spelling}/00", f"{spelling}/01") and split.test == ("test/00",)
    assert len(split.train) == 9
    folder_of(tmp_path, masks(1), part={"validation": "val", "val": "validation"}[spelling])
    with pytest.raises(DataError, match="has both validation/images and val/images; keep one"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize(
    ("lists", "parts"),
    [
        ({"validation": "01"}, "tvtttt"),
        ({"val": "01", "test": "00\n02"}, "evettt"),
        ({"train": "00\n01\n02", "validation": "05"}, "ttteev"),
        ({"train": "00\n01\n02\n03", "val": "05", "test": "04"}, "ttttev"),
    ],
)
def test_who_is_in_no_list_gets_the_part_without_one(tmp_path: Path, lists: dict[str, str], parts: str) -> None:
    folder_of(tmp_path, masks(6))
    for name, stems in lists.items():
        (tmp_path / f"{name}.txt").write_text(stems)
    letters = {"train": "t", "validation": "v", "test": "e"}
    assert "".join(letters[item.part] for item in Dataset.open(tmp_path).items if item.part) == parts


@pytest.mark.parametrize(("one", "other"), [("train", "val"), ("validation", "test"), ("train", "test")])
def test_lists_share_no_image(tmp_path: Path, one: str, other: str) -> None:
    folder_of(tmp_path, masks(4))
    (tmp_path / f"{one}.txt").write_text("00\n01\n03")
    (tmp_path / f"{other}.txt").write_text("01\n02")
    with pytest.raises(DataError, match=rf"lists 01 in both {one}\.txt and {other}\.txt"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize(("image", "labels"), [("a.ome.tif", "a.png"), ("a.b.png", "a.b.npy"), ("a.JPG", "a.tif")])
def test_stems_join_files_of_all_formats(tmp_path: Path, image: str, labels: str) -> None:
    folder_of(tmp_path, masks(1))
    if image.endswith("JPG"):
        Image.fromarray(IMAGE[0]).save(tmp_path / "images" / image, format="JPEG")
    else:
        write_image(tmp_path / "images" / image, IMAGE)
    write_labels(tmp_path / "labels" / labels, MASK)
    dataset = Dataset.open(tmp_path)
    assert len(dataset.names) == 2 and dataset.read(dataset.item(image.rsplit(".", 2 if "ome" in image else 1)[0]))


def test_what_systems_leave_behind_is_passed_over(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(2))
    for name in (".DS_Store", "._00.png", "Thumbs.db", "desktop.ini", "~$00.png"):
        (tmp_path / "images" / name).write_bytes(b"junk")
        (tmp_path / "labels" / name).write_bytes(b"junk")
    assert Dataset.open(tmp_path).names == ("00", "01")


def test_jpeg_is_no_label_image(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(2))
    Image.fromarray(MASK).save(tmp_path / "labels" / "00.jpg")
    (tmp_path / "labels" / "00.png").unlink()
    with pytest.raises(
        DataError, match=r"labels/00\.jpg is one of 1 JPEG files .* changes the values of pixels; export"
    ):
        Dataset.open(tmp_path)


def test_a_folder_of_slices_is_one_image(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).integers(0, 2000, (3, 6, 8), np.int16)
    for stem in "ab":
        write_series(tmp_path / "images" / stem, volume)
        write_labels(tmp_path / "labels" / f"{stem}.tif", np.stack([MASK] * 3))
    dataset = Dataset.open(tmp_path)
    assert (dataset.names, dataset.ndim, dataset.modality) == (("a", "b"), 3, "CT")
    image, _ = dataset.read(dataset.item("a"))
    np.testing.assert_array_equal(image[0], volume)
    before = dataset.item("a").digest()
    assert before == dataset.item("b").digest() and dataset.digest()
    write_series(tmp_path / "images" / "a", volume + 1)
    assert dataset.item("a").digest() != before
