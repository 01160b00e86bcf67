import json
import re
from pathlib import Path

import numpy as np
import pytest
from folders import MASK

from unetscope.data.dataset import IGNORE, Dataset
from unetscope.data.images import write_image, write_labels
from unetscope.errors import DataError

VOLUME = np.stack([MASK] * 5) // 255
DESCRIPTION = {
    "channel_names": {"0": "T2", "1": "ADC"},
    "labels": {"background": 0, "tumor": 1},
    "numTraining": 3,
    "file_ending": ".tif",
}


def nnunet(root: Path, cases: int = 3, part: str = "Tr", **changes: object) -> Path:
    """A folder as nnU-Net has it, with two channels a case whose values tell them apart."""
    for case in range(cases):
        for channel in range(2):
            pixels = np.full((1, *VOLUME.shape), 10 * case + channel, np.uint8)
            write_image(root / f"images{part}" / f"P_{case:03}_{channel:04}.tif", pixels)
        write_labels(root / f"labels{part}" / f"P_{case:03}.tif", VOLUME)
    (root / "dataset.json").write_text(json.dumps(DESCRIPTION | changes))
    return root


def test_cases_open_as_they_are(tmp_path: Path) -> None:
    nnunet(tmp_path)
    (tmp_path / "imagesTs").mkdir()
    write_image(tmp_path / "imagesTs" / "P_900_0000.tif", np.zeros((1, *VOLUME.shape), np.uint8))
    (tmp_path / "imagesTr" / "._P_000_0000.tif").write_bytes(b"junk")
    dataset = Dataset.open(tmp_path)
    assert (dataset.names, dataset.ndim, dataset.channels) == (("P_000", "P_001", "P_002"), 3, 2)
    assert dataset.classes == ("background", "tumor") and dataset.modality == ""
    assert dataset.labelling.reason == f"Declared in {tmp_path / 'dataset.json'}."
    for case, item in enumerate(dataset.items):
        image, labels = dataset.read(item)
        assert image.shape == (2, *VOLUME.shape) and labels.tolist() == VOLUME.tolist()
        assert [np.unique(channel).tolist() for channel in image] == [[10 * case], [10 * case + 1]]


def test_labelled_test_images_are_the_test_part(tmp_path: Path) -> None:
    nnunet(nnunet(tmp_path), cases=1, part="Ts")
    split = Dataset.open(tmp_path).split()
    assert split.test == ("test/P_000",) and len(split.train) + len(split.validation) == 3


def test_digests_depend_on_every_channel(tmp_path: Path) -> None:
    dataset = Dataset.open(nnunet(tmp_path))
    before, whole = dataset.items[0].digest(), dataset.digest()
    write_image(tmp_path / "imagesTr" / "P_000_0001.tif", np.full((1, *VOLUME.shape), 99, np.uint8))
    assert dataset.items[0].digest() != before and dataset.digest() != whole


def test_channels_of_one_case_have_one_size(tmp_path: Path) -> None:
    dataset = Dataset.open(nnunet(tmp_path))
    write_image(tmp_path / "imagesTr" / "P_001_0001.tif", np.zeros((1, 4, 6, 8), np.uint8))
    with pytest.raises(DataError, match=r"P_001_0000\.tif has 5 x 6 x 8 pixels and .*P_001_0001\.tif has 4 x 6 x 8"):
        dataset.read(dataset.item("P_001"))


def test_the_decathlon_has_one_file_a_case_and_names_by_values(tmp_path: Path) -> None:
    for case in ("hippocampus_0001", "hippocampus_0002"):
        write_image(tmp_path / "imagesTr" / f"{case}.npy", VOLUME)
        write_labels(tmp_path / "labelsTr" / f"{case}.npy", VOLUME * 2)
    content = {"modality": {"0": "CT"}, "labels": {"0": "background", "2": "Posterior", "1": "Anterior"}}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    dataset = Dataset.open(tmp_path)
    assert dataset.names == ("hippocampus_0001", "hippocampus_0002") and dataset.modality == "CT"
    assert dataset.classes == ("background", "Anterior", "Posterior")
    assert np.unique(dataset.read_labels(dataset.items[0])).tolist() == [0, 2]


def test_ignored_labels(tmp_path: Path) -> None:
    nnunet(tmp_path, labels={"background": 0, "tumor": 1, "ignore": 2})
    dataset = Dataset.open(tmp_path)
    assert dataset.classes == ("background", "tumor") and dataset.labelling.ignore == 2
    write_labels(tmp_path / "labelsTr" / "P_001.tif", VOLUME + 1)
    assert np.unique(dataset.read_labels(dataset.item("P_001"))).tolist() == [IGNORE, 1]


def test_values_beyond_the_description_are_refused(tmp_path: Path) -> None:
    dataset = Dataset.open(nnunet(tmp_path))
    write_labels(tmp_path / "labelsTr" / "P_001.tif", VOLUME * 7)
    with pytest.raises(DataError, match=r"P_001\.tif holds the value 7, and the known ones are 0, 1"):
        dataset.read(dataset.item("P_001"))


def test_dataset_toml_adds_to_the_description(tmp_path: Path) -> None:
    nnunet(tmp_path)
    (tmp_path / "dataset.toml").write_text('modality = "CT"\n[groups]\nP_000 = "p"\nP_001 = "p"')
    dataset = Dataset.open(tmp_path)
    assert dataset.classes == ("background", "tumor") and dataset.modality == "CT"
    assert [item.group for item in dataset.items] == ["p", "p", "P_002"]


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("imagesTr/P_001_0001.tif", r"P_001_0001\.tif does not exist, .* the channel 'ADC'; add the file"),
        (
            "imagesTr/P_001_000*.tif",
            r"labelsTr/P_001\.tif is a label image without .* in .*imagesTr",
        ),
        ("labelsTr/P_001.tif", r"P_001_0000\.tif is an image without a file of the same stem \(P_001\) in .*labelsTr"),
        ("dataset.json", r"has imagesTr but no dataset\.json"),
        ("labelsTr/*", r"labelsTr holds no files"),
    ],
)
def test_missing_files_are_named(tmp_path: Path, missing: str, words: str) -> None:
    nnunet(tmp_path)
    for path in tmp_path.glob(missing):
        path.unlink()
    with pytest.raises(DataError, match=words):
        Dataset.open(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channel_names": {"0": "T2"}}, r"P_000_0001\.tif is a channel that dataset\.json does not name"),
        ({"channel_names": ["T2", "ADC"]}, r"has channel_names \['T2', 'ADC'\], and one name a channel is needed"),
        ({"channel_names": {"0": "T2", "2": "ADC"}}, "one name a channel is needed"),
        ({"channel_names": None}, "has channel_names None"),
        ({"labels": {"background": 0}}, "at least two are needed"),
        ({"labels": None}, "has labels None"),
        ({"labels": {"background": 0, "whole": [1, 2]}}, r"'whole' the region \[1, 2\], .* \"whole 1\": 1"),
        ({"labels": {"background": 0, "tumor": 1.5}}, r"'tumor' the value 1\.5; give a whole number"),
        ({"labels": {"background": 0, "tumor": True}}, "'tumor' the value True"),
        ({"labels": {"0": "a", "1": "a"}}, "one name to several labels"),
        ({"labels": {"background": 0, "tumor": 0}}, "each once"),
        ({"labels": {"background": 0, "tumor": -1}}, "whole numbers from 0"),
        ({"file_ending": 3}, "is no mapping"),
        ({"file_ending": ".nii.gz"}, r"labelsTr holds 3 \.tif, and \.nii\.gz are read"),
    ],
)
def test_descriptions_that_cannot_be(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        Dataset.open(nnunet(tmp_path, **changes))


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff\xfe", b'{"labels": ' * 5000])
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (nnunet(tmp_path) / "dataset.json").write_bytes(content)
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'dataset.json'} ")):
        Dataset.open(tmp_path)


def test_two_layouts_at_once_are_refused(tmp_path: Path) -> None:
    (nnunet(tmp_path) / "images").mkdir()
    with pytest.raises(DataError, match="has both images and imagesTr"):
        Dataset.open(tmp_path)
