"""Every public set, in small, in the layout of its publisher: fetched from a server and opened as a dataset."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from unetscope.data.dataset import IGNORE, Dataset
from unetscope.errors import DataError, OutputError
from unetscope.fetching.catalog import find_set
from unetscope.fetching.publishers import PLANS
from unetscope.fetching.retrieval import SOURCE, Fetched, fetch

Array = np.ndarray
Members = dict[str, bytes]
generator = np.random.default_rng(0)


def encoded(pixels: Array, kind: str = "PNG") -> bytes:
    """A picture file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format=kind)
    return stream.getvalue()


def tiff(pixels: Array) -> bytes:
    """A TIFF file, a page a plane."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, photometric="rgb" if pixels.shape[-1] == 3 else "minisblack")
    return stream.getvalue()


def noise(*shape: int, dtype: Any = np.uint8) -> Array:
    return generator.integers(1, 200, shape).astype(dtype)


# ------------------------------------------------------------------------------- archives as the publishers pack them

NUCLEI = np.array([[1, 1, 0, 0, 0, 0], [1, 1, 2, 2, 0, 0], [0, 0, 2, 2, 0, 3], [0, 0, 0, 0, 0, 3]], np.uint8)
"""Three objects, of which the first two touch."""


def bbbc038() -> dict[str, Members]:
    members = {}
    for name in ("0a7d", "ff59"):
        rgba = np.concatenate([noise(4, 6, 3), np.full((4, 6, 1), 255, np.uint8)], -1)
        members[f"{name}/images/{name}.png"] = encoded(rgba)
        for number in (1, 2, 3):
            members[f"{name}/masks/{number}e3{name}.png"] = encoded(
                np.where(number == NUCLEI, np.uint8(255), np.uint8(0))
            )
    return {"stage1_train.zip": members}


def bbbc039() -> dict[str, Members]:
    stems = [f"IXMtest_A0{index}_s1_w1" for index in range(6)]
    # Touching objects differ in red; objects apart may be equal.
    red = np.array([0, 1, 2, 1], np.uint8)[NUCLEI]
    mask = np.stack([red, *np.zeros((2, 4, 6), np.uint8), np.full((4, 6), 255, np.uint8)], -1)
    lists = {"training": stems[:3], "validation": stems[3:4], "test": stems[4:]}
    return {
        "images.zip": {f"images/{stem}.tif": tiff(noise(4, 6, dtype=np.uint16)) for stem in stems},
        "masks.zip": {f"masks/{stem}.png": encoded(mask) for stem in stems} | {"__MACOSX/masks/._x.png": b"x"},
        "metadata.zip": {
            **{
                f"metadata/{name}.txt": "".join(f"{stem}.png\n" for stem in each).encode()
                for name, each in lists.items()
            },
            "metadata/filenames_and_plates.csv": b"a,b\n",
        },
    }


SECTIONS = 5


def isbi2012() -> dict[str, Members]:
    labels = np.where(generator.random((SECTIONS, 8, 8)) < 0.5, np.uint8(255), np.uint8(0))
    return {
        "ISBI-2012-challenge.zip": {
            "train-volume.tif": tiff(noise(SECTIONS, 8, 8)),
            "train-labels.tif": tiff(labels),
            "test-volume.tif": tiff(noise(SECTIONS, 8, 8)),
            "challenge-error-metrics.bsh": b"",
        }
    }


def nifti(voxels: Array) -> bytes:
    return nibabel.Nifti1Image(voxels, np.eye(4)).to_bytes()


def hippocampus() -> dict[str, Members]:
    import gzip

    root, members = "Task04_Hippocampus", {}
    labels = {"0": "background", "1": "Anterior", "2": "Posterior"}
    for number in (1, 3, 4):
        voxels = generator.integers(0, 3, (5, 6, 7)).astype(np.uint8)
        members[f"{root}/imagesTr/hippocampus_{number:03d}.nii.gz"] = gzip.compress(
            nifti(noise(5, 6, 7, dtype=np.float32))
        )
        members[f"{root}/imagesTr/._hippocampus_{number:03d}.nii.gz"] = b"macOS"
        members[f"{root}/labelsTr/hippocampus_{number:03d}.nii.gz"] = gzip.compress(nifti(voxels))
    members[f"{root}/imagesTs/hippocampus_002.nii.gz"] = b"not used"
    members[f"{root}/dataset.json"] = json.dumps({"labels": labels}).encode()
    return {"Task04_Hippocampus.tar": members}


VIEW = np.pad(np.ones((4, 6), np.uint8), 1) * np.uint8(255)


def drive(parts: tuple[str, ...] = ("training", "test")) -> dict[str, Members]:
    archives: dict[str, Members] = {"training.zip": {}, "test.zip": {}}
    vessels = np.pad(np.where(NUCLEI == 2, np.uint8(255), np.uint8(0)), 1, constant_values=255)
    for part, numbers in (("training", (21, 22, 23)), ("test", (1, 2))):
        members = archives[f"{part}.zip"]
        for number in numbers:
            members[f"{part}/images/{number:02d}_{part}.tif"] = tiff(noise(6, 8, 3))
            members[f"{part}/mask/{number:02d}_{part}_mask.gif"] = encoded(VIEW, "GIF")
            if part in parts:
                members[f"{part}/1st_manual/{number:02d}_manual1.gif"] = encoded(vessels, "GIF")
                members[f"{part}/2nd_manual/{number:02d}_manual2.gif"] = encoded(vessels[::-1], "GIF")
    return archives


COLORS = {"Animal": (64, 128, 64), "Road": (128, 64, 128), "Sky": (128, 128, 128), "Void": (0, 0, 0)}
FRAMES = ("0001TP_006690", "0001TP_008520", "0001TP_008550", "0006R0_f00930", "0016E5_07957", "0016E5_07959",
          "0016E5_08159", "0016E5_08161", "Seq05VD_f02610")  # fmt: skip


def camvid() -> dict[str, Members]:
    table = "".join(f"{r} {g} {b}\t\t{name}\r\n" for name, (r, g, b) in COLORS.items()) + "\n"
    road = np.array(list(COLORS.values()), np.uint8)[generator.integers(0, 4, (len(FRAMES), 20, 30))]
    road[-1, 3, 5], road[-1, 3, 6] = (26, 26, 26), (36, 36, 36)  # as in the published file of that name
    return {
        "701_StillsRaw_full.zip": {f"701_StillsRaw_full/{name}.png": encoded(noise(20, 30, 3)) for name in FRAMES},
        "LabeledApproved_full.zip": {f"{name}_L.png": encoded(each) for name, each in zip(FRAMES, road, strict=True)},
        "label_colors.txt": {"": table.encode()},
    }


ARCHIVES: Mapping[str, Callable[[], dict[str, Members]]] = {
    "bbbc038": bbbc038, "bbbc039": bbbc039, "isbi2012": isbi2012, "hippocampus": hippocampus, "drive": drive,
    "camvid": camvid,
}  # fmt: skip


@pytest.fixture
def packed(zipped: Callable, tarred: Callable) -> Callable[[dict[str, Members]], dict[str, bytes]]:
    """Packs what a publisher offers into files."""

    def pack(name: str, members: Members) -> bytes:
        if name.endswith(".txt"):
            return members[""]
        return bytes(tarred(members) if name.endswith(".tar") else zipped(members))

    return lambda archives: {name: pack(name, members) for name, members in archives.items()}


@pytest.fixture
def bring(tmp_path: Path, packed: Callable) -> Callable[..., Fetched]:
    """Converts archives that are here already."""

    def from_files(name: str, archives: dict[str, Members]) -> Fetched:
        paths = []
        (tmp_path / "given").mkdir(exist_ok=True)
        for file, content in packed(archives).items():
            paths.append(tmp_path / "given" / file)
            paths[-1].write_bytes(content)
        return fetch(name, tmp_path / "out", paths)

    return from_files


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "given")


# ------------------------------------------------------------------------------------------------------ every set


def unpublished(name: str) -> tuple[str, ...]:
    return tuple(file.name for file in find_set(name).files)


@pytest.mark.parametrize("name", ["bbbc038", "isbi2012", "camvid"])
def test_a_set_comes_from_a_mirror_and_opens(tmp_path: Path, server: Any, packed: Callable, name: str) -> None:
    server.files = packed(ARCHIVES[name]())
    server.cuts = [50, None]
    told: list[str] = []
    fetched = fetch(name, tmp_path / "out", mirror=server.address, progress=lambda done, total, what: told.append(what))
    dataset = Dataset.open(fetched.folder)
    assert len(dataset.items) == fetched.images
    for item in dataset.items:
        dataset.read(item)
    assert left(tmp_path) == ["out", "out-archives"]
    assert told[0] == unpublished(name)[0] and told[-1] == "converting"
    for file in unpublished(name):
        assert any(file in note and "no checksum is published" in note for note in fetched.notes)
    source = json.loads((tmp_path / "out" / SOURCE).read_text())
    assert [each["address"] for each in source["files"]] == [f"{server.address}/{file}" for file in server.files]
    assert source["license"] == find_set(name).license and source["citation"] and source["notes"] == [*fetched.notes]


@pytest.mark.parametrize("name", ["bbbc039", "hippocampus"])
def test_what_is_not_the_published_file_is_not_converted(
    tmp_path: Path, server: Any, packed: Callable, name: str
) -> None:
    """Our look-alikes have other checksums than the real archives, which must be noticed."""
    server.files = packed(ARCHIVES[name]())
    with pytest.raises(DataError, match="does not have the checksum"):
        fetch(name, tmp_path / "out", mirror=server.address)
    assert left(tmp_path) == ["out-archives"]
    assert left(tmp_path / "out-archives") == []


@pytest.mark.parametrize("name", sorted(PLANS))
def test_a_set_opens_from_archives_that_are_here(tmp_path: Path, bring: Callable, name: str) -> None:
    before = ARCHIVES[name]()
    fetched = bring(name, before)
    dataset = Dataset.open(fetched.folder)
    assert len(dataset.items) == fetched.images > 0
    for item in dataset.items:
        dataset.read(item)
    assert fetched.archives is None
    assert left(tmp_path) == ["out"]
    assert json.loads(json.dumps(fetched.to_json()))["images"] == fetched.images
    source = json.loads((tmp_path / "out" / SOURCE).read_text())
    assert [each["file"] for each in source["files"]] == [*before]
    assert all(each["address"] is None and each["sha256"].startswith("sha256:") for each in source["files"])


def test_a_given_archive_with_another_checksum_is_told(bring: Callable) -> None:
    notes = bring("bbbc039", bbbc039()).notes
    assert [note.split()[0] for note in notes] == ["images.zip", "masks.zip", "metadata.zip"]
    assert all("not the file that was published with sha256:" in note for note in notes)


def test_a_second_fetch_asks_for_nothing_and_gives_the_same(
    tmp_path: Path, server: Any, packed: Callable, listed: Callable
) -> None:
    server.files = packed(isbi2012())
    fetch("isbi2012", tmp_path / "out", mirror=server.address)
    before = listed(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "first")
    assert fetch("isbi2012", tmp_path / "out", mirror=server.address).notes == ()
    assert len(server.asked) == 1
    after = listed(tmp_path / "out")
    assert {key: after[key] for key in after if key != SOURCE} == {key: before[key] for key in before if key != SOURCE}


# ------------------------------------------------------------------------------------------------- what each set says


def test_bbbc038_masks_become_one_number_an_object(bring: Callable) -> None:
    folder = bring("bbbc038", bbbc038()).folder
    dataset = Dataset.open(folder)
    assert dataset.labelling.kind == "instances" and dataset.channels == 3
    for path in sorted((folder / "labels").iterdir()):
        assert np.array_equal(np.asarray(Image.open(path)), NUCLEI)


def test_bbbc038_pixels_of_two_objects_stay_with_the_first_and_are_told(bring: Callable) -> None:
    archives = bbbc038()
    members = archives["stage1_train.zip"]
    members["ff59/masks/9.png"] = encoded(np.where(NUCLEI == 2, np.uint8(255), np.uint8(0)))
    fetched = bring("bbbc038", archives)
    assert fetched.notes == ("ff59: 4 pixels belong to two objects; the first one keeps them",)
    assert np.array_equal(np.asarray(Image.open(fetched.folder / "labels/ff59.png")), NUCLEI)


def test_bbbc039_objects_of_one_color_are_told_apart(bring: Callable) -> None:
    folder = bring("bbbc039", bbbc039()).folder
    dataset = Dataset.open(folder)
    assert dataset.labelling.kind == "instances"
    numbers = np.asarray(Image.open(folder / "labels" / f"{dataset.names[0]}.png"))
    pairs = {*zip(numbers.ravel().tolist(), NUCLEI.ravel().tolist(), strict=True)}
    assert len(pairs) == len({number for number, _ in pairs}) == 4 and (0, 0) in pairs
    split = dataset.split()
    assert (len(split.train), len(split.validation), len(split.test)) == (3, 1, 2)


def test_isbi2012_has_one_file_a_section(bring: Callable) -> None:
    archives = isbi2012()
    members = archives["ISBI-2012-challenge.zip"]
    dataset = Dataset.open(bring("isbi2012", archives).folder)
    assert dataset.names == tuple(f"{index:02d}" for index in range(SECTIONS))
    assert dataset.classes == ("membrane", "cell")
    volume, labels = (tifffile.imread(io.BytesIO(members[f"train-{name}.tif"])) for name in ("volume", "labels"))
    for item, pixels, truth in zip(dataset.items, volume, labels, strict=True):
        assert np.array_equal(dataset.read_image(item)[0], pixels)
        assert np.array_equal(dataset.read_labels(item), truth // 255)


def test_isbi2012_takes_the_two_stacks_themselves(tmp_path: Path) -> None:
    members = isbi2012()["ISBI-2012-challenge.zip"]
    paths = [tmp_path / "train-volume.tif", tmp_path / "train-labels.tif"]
    for path in paths:
        path.write_bytes(members[path.name])
    assert fetch("isbi2012", tmp_path / "out", paths).images == SECTIONS
    assert all(path.read_bytes() == members[path.name] for path in paths)


def test_hippocampus_volumes_stay_as_they_are(bring: Callable) -> None:
    archives = hippocampus()
    folder = bring("hippocampus", archives).folder
    dataset = Dataset.open(folder)
    assert dataset.ndim == 3 and dataset.classes == ("background", "anterior", "posterior")
    for name, content in archives["Task04_Hippocampus.tar"].items():
        if "Tr/h" in name:
            kind = "images" if "imagesTr" in name else "labels"
            assert (folder / kind / name.split("/")[-1]).read_bytes() == content


def test_drive_ignores_what_is_outside_the_field_of_view(bring: Callable) -> None:
    dataset = Dataset.open(bring("drive", drive()).folder)
    split = dataset.split()
    assert split.test == ("01_test", "02_test") and len(split.train + split.validation) == 3
    truth = np.pad((NUCLEI == 2).astype(np.int16), 1, constant_values=IGNORE)
    for item in dataset.items:
        assert np.array_equal(dataset.read_labels(item), truth)
    assert dataset.channels == 3


def test_drive_without_labels_for_its_test_images_has_only_the_others(bring: Callable) -> None:
    fetched = bring("drive", drive(("training",)))
    assert fetched.images == 3
    assert not [*fetched.folder.glob("*.txt")]


def test_drive_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"DRIVE.* has no public address; register at https://drive\..*--from$"):
        fetch("drive", tmp_path / "out")
    assert left(tmp_path) == []


def test_camvid_colors_become_classes_and_void_is_ignored(bring: Callable) -> None:
    archives = camvid()
    fetched = bring("camvid", archives)
    dataset = Dataset.open(fetched.folder)
    assert dataset.classes == ("Animal", "Road", "Sky")
    split = dataset.split()
    assert split.train == ("0001TP_006690", "0001TP_008520", "0006R0_f00930", "0016E5_07957", "0016E5_08161")
    assert split.validation == ("0016E5_07959", "0016E5_08159")
    assert split.test == ("0001TP_008550", "Seq05VD_f02610")
    colors = np.array([COLORS[name] for name in dataset.classes] + [COLORS["Void"]], np.uint8)
    for item in dataset.items[:-1]:
        published = np.asarray(Image.open(io.BytesIO(archives["LabeledApproved_full.zip"][f"{item.image.stem}_L.png"])))
        assert np.array_equal(colors[dataset.read_labels(item)], published)  # IGNORE is the last one
        assert item.labels is not None
        assert np.array_equal(np.asarray(Image.open(item.labels).convert("RGB")), published)


def test_camvid_pixels_of_no_known_color_become_void_and_are_told(bring: Callable) -> None:
    fetched = bring("camvid", camvid())
    assert fetched.notes == ("Seq05VD_f02610: 2 pixels of undeclared colors became void, which is ignored",)
    dataset = Dataset.open(fetched.folder)
    assert (dataset.read_labels(dataset.items[-1])[3, 5:7] == IGNORE).all()


def test_camvid_with_another_color_table_is_refused(bring: Callable) -> None:
    archives = camvid()
    archives["label_colors.txt"][""] = b"64 128 64 Animal\n0 0 0 Void\n"
    with pytest.raises(DataError, match=r"pixels of colors that label_colors\.txt does not name"):
        bring("camvid", archives)


# ---------------------------------------------------------------------------------------------------- what is refused


def drop(archives: dict[str, Members], archive: str, ending: str) -> dict[str, Members]:
    """The same without one file."""
    name = next(name for name in archives[archive] if name.endswith(ending))
    del archives[archive][name]
    return archives


@pytest.mark.parametrize(
    ("name", "archives", "match"),
    [
        ("bbbc038", {"stage1_test.zip": {"0a/images/0a.png": b""}}, "1 of 1 images and 0 masks do not match"),
        ("bbbc038", {"other.zip": {"readme.txt": b""}}, "no annotated image was found"),
        ("bbbc039", drop(bbbc039(), "masks.zip", "A03_s1_w1.png"), "6 images and 5 masks do not match .IXMtest_A03"),
        ("bbbc039", {key: value for key, value in bbbc039().items() if key != "metadata.zip"}, "0 listed names"),
        ("isbi2012", drop(isbi2012(), "ISBI-2012-challenge.zip", "train-labels.tif"), "0 files called train-labels"),
        ("hippocampus", drop(hippocampus(), "Task04_Hippocampus.tar", "dataset.json"), "0 files called dataset.json"),
        ("drive", drive(()), "no annotated image was found"),
        ("camvid", {key: value for key, value in camvid().items() if "colors" not in key}, "called label_colors.txt"),
        ("camvid", drop(camvid(), "LabeledApproved_full.zip", "Seq05VD_f02610_L.png"), "9 images and 8 labels"),
    ],
)  # fmt: skip
def test_incomplete_sets_are_refused_and_leave_nothing(
    tmp_path: Path, bring: Callable, name: str, archives: dict[str, Members], match: str
) -> None:
    with pytest.raises(DataError, match=match):
        bring(name, archives)
    assert left(tmp_path) == []


@pytest.mark.parametrize("spoiled", [b"", b"<html>", b"\x89PNG\r\n\x1a\n damaged"])
def test_a_damaged_picture_is_named_and_nothing_is_left(tmp_path: Path, bring: Callable, spoiled: bytes) -> None:
    archives = bbbc039()
    archives["masks.zip"]["masks/IXMtest_A04_s1_w1.png"] = spoiled
    with pytest.raises(DataError, match=r"^masks\.zip/masks/IXMtest_A04_s1_w1\.png cannot be read"):
        bring("bbbc039", archives)
    assert left(tmp_path) == []


@pytest.mark.parametrize("labels", ["{", "[]", '{"labels": 3}', '{"labels": {"one": "x"}}'])
def test_a_damaged_description_is_named(bring: Callable, labels: str) -> None:
    archives = hippocampus()
    archives["Task04_Hippocampus.tar"]["Task04_Hippocampus/dataset.json"] = labels.encode()
    with pytest.raises(DataError, match=r"dataset\.json does not name the classes"):
        bring("hippocampus", archives)


def test_stacks_of_different_length_are_refused(bring: Callable) -> None:
    archives = isbi2012()
    archives["ISBI-2012-challenge.zip"]["train-labels.tif"] = tiff(noise(4, 8, 8))
    with pytest.raises(DataError, match=r"\(5, 8, 8\).*\(4, 8, 8\)"):
        bring("isbi2012", archives)


@pytest.mark.parametrize("second", ["a.zip", "b.zip"])
def test_the_same_archive_twice_is_refused(tmp_path: Path, zipped: Callable, second: str) -> None:
    paths = [tmp_path / "a.zip", tmp_path / second]
    for path in paths:
        path.write_bytes(zipped(bbbc038()["stage1_train.zip"]))
    with pytest.raises(DataError, match="give each archive once"):
        fetch("bbbc038", tmp_path / "out", paths)


def test_an_archive_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.zip is no file"):
        fetch("bbbc038", tmp_path / "out", [tmp_path / "gone.zip"])


def test_a_hostile_archive_is_refused_and_nothing_is_left(tmp_path: Path, bring: Callable) -> None:
    archives = bbbc038()
    archives["stage1_train.zip"]["../../evil.png"] = b"evil"
    with pytest.raises(DataError, match="leave the folder"):
        bring("bbbc038", archives)
    assert left(tmp_path) == []


def test_nothing_is_overwritten(tmp_path: Path, bring: Callable) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        bring("bbbc038", bbbc038())
    assert left(tmp_path / "out") == ["mine"]


def test_an_empty_folder_is_taken(tmp_path: Path, bring: Callable) -> None:
    (tmp_path / "out").mkdir()
    assert bring("bbbc038", bbbc038()).images == 2


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path, bring: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", fill)
    with pytest.raises(OutputError, match=r"out cannot be written \(No space left on device\)"):
        bring("bbbc038", bbbc038())
    assert left(tmp_path) == []
