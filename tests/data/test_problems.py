from pathlib import Path

import numpy as np
import pytest
import tifffile
from folders import MASK, folder_of, masks

from unetscope.data.dataset import Dataset
from unetscope.data.images import write_image, write_labels
from unetscope.data.problems import find_problems
from unetscope.errors import DataError


def names(root: Path) -> list[str]:
    """The files with problems."""
    return [problem.file.relative_to(root).as_posix() for problem in find_problems(root)]


def spoil_everything(root: Path) -> None:
    """One of each problem in a folder of 12 masks."""
    folder_of(root, masks(12))
    (root / "images" / "01.png").write_bytes((root / "images" / "01.png").read_bytes()[:50])
    (root / "labels" / "02.png").write_bytes(b"nothing")
    write_labels(root / "labels" / "03.png", MASK[:5])
    (root / "images" / "04.png").unlink()
    broken = np.full((6, 8), np.nan, np.float32)
    tifffile.imwrite(root / "images" / "04.tif", broken)
    write_image(root / "labels" / "05.png", np.stack([MASK] * 3))
    (root / "images" / "06.png").unlink()
    write_image(root / "images" / "06.tif", np.zeros((1, 4, 6, 8), np.uint8))
    (root / "dataset.toml").write_text("values = [0, 255]")
    write_labels(root / "labels" / "07.png", MASK // 255 * 9)


def test_every_problem_is_named_once(tmp_path: Path) -> None:
    spoil_everything(tmp_path)
    assert names(tmp_path) == [
        "images/01.png",
        "labels/02.png",
        "labels/03.png",
        "images/04.tif",
        "images/06.tif",
        "labels/05.png",
        "labels/07.png",
    ]
    for problem in find_problems(tmp_path):
        assert str(problem.file) in problem.sentence and "\n" not in problem.sentence


def test_files_without_partners_are_all_listed_beside_other_problems(tmp_path: Path) -> None:
    spoil_everything(tmp_path)
    for path in ("images/08.png", "labels/09.png"):
        (tmp_path / path).unlink()
    write_image(tmp_path / "images" / "10.npy", MASK)
    found = names(tmp_path)
    assert found[:3] == ["images/10.png", "images/09.png", "labels/08.png"] and len(found) == 10


def test_a_dataset_that_reads_has_no_problem(tmp_path: Path) -> None:
    assert find_problems(folder_of(tmp_path, masks(3))) == ()


@pytest.mark.parametrize("part", ["", "train"])
def test_there_is_a_problem_exactly_where_opening_or_reading_fails(tmp_path: Path, part: str) -> None:
    spoil_everything(tmp_path)
    if part:
        (tmp_path / part).mkdir()
        for folder in ("images", "labels"):
            (tmp_path / folder).rename(tmp_path / part / folder)
    spoiled = {problem.file.stem for problem in find_problems(tmp_path)}
    folder = tmp_path / part
    for stem in sorted(f"{index:02}" for index in range(12)):
        alone = tmp_path / f"alone{stem}"
        for kind in ("images", "labels"):
            (alone / kind).mkdir(parents=True)
            source = next((folder / kind).glob(f"{stem}.*"))
            (alone / kind / source.name).write_bytes(source.read_bytes())
        (alone / "dataset.toml").write_text("values = [0, 255]")
        try:
            dataset = Dataset.open(alone)
            dataset.read(dataset.items[0])
        except DataError:
            assert stem in spoiled
        else:
            assert stem not in spoiled


@pytest.mark.parametrize(
    ("declaration", "words"),
    [
        ("", r"labels/b\.png has 3 channels"),
        ('[groups]\nx = "p"', "puts x into a group"),
        ("kind = ", "cannot be read as TOML"),
    ],
)
def test_problems_with_the_whole(tmp_path: Path, declaration: str, words: str) -> None:
    folder_of(tmp_path, {"a": MASK, "b": np.stack([MASK] * 3) if not declaration else MASK}, declaration)
    problems = find_problems(tmp_path)
    assert len(problems) == 1
    with pytest.raises(DataError, match=words):
        raise DataError(problems[0].sentence)


def test_mixed_channels_are_a_problem(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(3))
    for stem, channels in (("01", 2), ("02", 3)):
        (tmp_path / "images" / f"{stem}.png").unlink()
        write_image(tmp_path / "images" / f"{stem}.tif", np.zeros((channels, 6, 8), np.uint8))
    (problem,) = find_problems(tmp_path)
    assert "has 2 channels and" in problem.sentence


def test_no_dataset_at_all(tmp_path: Path) -> None:
    (problem,) = find_problems(tmp_path / "nowhere")
    assert "does not exist" in problem.sentence
