"""From image files to label files: which are taken, what is written, and what is never overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from unetscope.checkpoint import Checkpoint
from unetscope.data.images import read_image, read_labels, write_image
from unetscope.data.normalization import Normalization
from unetscope.errors import DataError, ImageError, OutputError
from unetscope.file_segmentation import Job, OnTile, Wanted, find_images, open_job, run_job, run_jobs
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.segmentation import Segmenter, Tiling


def make_segmenter(classes: int = 3, channels: int = 1, ndim: int = 2) -> Segmenter:
    torch.manual_seed(0)
    spec = UNetSpec.by_level((4, 8), classes=classes, image_channels=channels, ndim=ndim)
    names = ("background", "cell", "debris")[: max(2, classes)]
    return Segmenter(Checkpoint(spec, UNet(spec).state_dict(), Normalization("image"), names), Tiling(tile=8))


def write_images(folder: Path, *names: str, shape: tuple[int, ...] = (12, 20)) -> list[Path]:
    for seed, name in enumerate(names):
        write_image(folder / name, np.random.default_rng(seed).integers(0, 255, shape, np.uint8))
    return [folder / name for name in names]


def test_files_and_the_images_of_folders_are_taken_once(tmp_path: Path) -> None:
    b, a = write_images(tmp_path / "folder", "b.png", "a.tif")
    (single,) = write_images(tmp_path, "c.npy")
    (tmp_path / "folder" / "notes.txt").write_text("not an image")
    (tmp_path / "folder" / ".a.png").write_text("hidden")
    out = tmp_path / "out"
    assert find_images([single, tmp_path / "folder"], out) == [single, a, b]
    assert find_images([b, tmp_path / "folder", b], out) == [b, a]


@pytest.mark.parametrize("what", ["nowhere", "empty"])
def test_what_holds_no_image_is_named(tmp_path: Path, what: str) -> None:
    (tmp_path / "empty").mkdir()
    message = {
        "nowhere": "nowhere does not exist; give image",
        "empty": r"empty holds no images; files ending in \.png",
    }
    with pytest.raises(DataError, match=message[what]):
        find_images([tmp_path / what], tmp_path / "out")


def test_two_results_never_have_one_name(tmp_path: Path) -> None:
    one, other = write_images(tmp_path, "a.png", "a.tif")
    with pytest.raises(DataError, match=r"a\.png and .*a\.tif would have results of one name"):
        find_images([one, other], tmp_path / "out")
    files = write_images(tmp_path / "x", "a.png", "a-probabilities.tif")
    assert find_images(files, tmp_path / "out") == files
    with pytest.raises(DataError, match="results of one name"):
        find_images(files, tmp_path / "out", probabilities=True)


def test_images_are_never_overwritten(tmp_path: Path) -> None:
    files = write_images(tmp_path / "images", "a.png")
    for out in (tmp_path / "images", tmp_path / "other" / ".." / "images"):
        with pytest.raises(OutputError, match=r"holds the image a\.png, which is never overwritten"):
            find_images(files, out)


@pytest.mark.parametrize("name", ["a.png", "a.TIF", "a.npy"])
@pytest.mark.parametrize("probabilities", [False, True])
def test_what_is_written_is_what_the_network_says(tmp_path: Path, name: str, probabilities: bool) -> None:
    (source,) = write_images(tmp_path, name)
    before = source.read_bytes()
    segmenter, told = make_segmenter(), list[tuple[int, int]]()
    job = open_job(segmenter, source, Wanted(probabilities=probabilities))
    assert not (tmp_path / "out").exists()
    done = run_job(segmenter, job, tmp_path / "out", lambda *both: told.append(both))
    assert source.read_bytes() == before
    expected = segmenter.labels(read_image(source))
    assert np.array_equal(read_labels(done.labels), expected)
    assert done.labels == tmp_path / "out" / f"a{source.suffix.lower()}"
    assert told == [(count + 1, 6) for count in range(6)]
    assert done.tiles == 6
    assert done.shares == {name: (expected == index).mean() for index, name in enumerate(segmenter.classes)}
    written = {done.labels} | ({tmp_path / "out" / "a-probabilities.tif"} if probabilities else set())
    assert set((tmp_path / "out").iterdir()) == written
    assert json.loads(json.dumps(done.to_json()))["labels"] == str(done.labels)
    if probabilities:
        assert done.probabilities is not None
        stored = read_image(done.probabilities)
        assert stored.dtype == np.float32
        assert np.array_equal(stored.argmax(axis=0), expected)
        np.testing.assert_allclose(stored.sum(axis=0), 1, atol=1e-5)
    else:
        assert done.probabilities is None


def test_volumes_are_segmented_too(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((4, 12, 10), np.float32))
    segmenter = make_segmenter(ndim=3)
    done = run_job(segmenter, open_job(segmenter, tmp_path / "a.npy", Wanted(probabilities=True)), tmp_path / "out")
    assert done.probabilities is not None
    assert read_labels(done.labels, 3).shape == (4, 12, 10)
    assert read_image(done.probabilities, 3).shape == (3, 4, 12, 10)


def test_gray_images_are_repeated_for_a_network_of_colors(tmp_path: Path) -> None:
    (source,) = write_images(tmp_path, "a.png")
    segmenter = make_segmenter(channels=3)
    done = run_job(segmenter, open_job(segmenter, source), tmp_path / "out")
    assert np.array_equal(read_labels(done.labels), segmenter.labels(np.repeat(read_image(source), 3, axis=0)))
    (colored,) = write_images(tmp_path, "b.tif", shape=(3, 12, 20))
    with pytest.raises(DataError, match=r"b\.tif has 3 channels; this network reads 1"):
        open_job(make_segmenter(), colored)


def test_the_memory_counts_what_is_held(tmp_path: Path) -> None:
    png, npy = write_images(tmp_path, "a.png", "a.npy", shape=(64, 50))
    segmenter = make_segmenter()
    mapped, held = open_job(segmenter, npy), open_job(segmenter, png)
    assert mapped.peak_bytes == segmenter.plan((64, 50)).peak_bytes
    assert held.peak_bytes == mapped.peak_bytes + 64 * 50
    assert open_job(segmenter, npy, Wanted(probabilities=True)).peak_bytes == mapped.peak_bytes + 3 * 4 * 64 * 50


def test_what_cannot_be_read_or_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    segmenter = make_segmenter()
    with pytest.raises(ImageError, match=r"broken\.png"):
        open_job(segmenter, tmp_path / "broken.png")
    np.save(tmp_path / "nan.npy", np.full((8, 8), np.nan, np.float32))
    with pytest.raises(ImageError, match=r"nan\.npy holds NaN"):
        run_job(segmenter, open_job(segmenter, tmp_path / "nan.npy"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").write_text("a file")
    (source,) = write_images(tmp_path, "a.png")
    with pytest.raises(OutputError, match="out"):
        run_job(segmenter, open_job(segmenter, source), tmp_path / "out")


def test_the_label_images_of_a_dataset_are_never_overwritten(tmp_path: Path) -> None:
    images = write_images(tmp_path / "data" / "images", "a.png")
    with pytest.raises(OutputError, match=r"labels holds the label images of .*images; choose another"):
        find_images(images, tmp_path / "data" / "labels")


def test_many_files_give_what_each_gives_alone(tmp_path: Path) -> None:
    sources = write_images(tmp_path, "a.png", "b.tif", "c.npy")
    segmenter = make_segmenter()
    begun, told = [], []

    def begin(job: Job) -> OnTile:
        begun.append(job.source)
        return lambda done, total: told.append((job.source, done, total))

    done = list(run_jobs(segmenter, sources, tmp_path / "out", on_job=begin))
    assert [each.image for each in done] == begun == sources
    for source, each in zip(sources, done, strict=True):
        alone = run_job(segmenter, open_job(segmenter, source), tmp_path / "alone")
        assert each.labels.read_bytes() == alone.labels.read_bytes()
        assert [(now, total) for name, now, total in told if name == source] == [
            (count + 1, each.tiles) for count in range(each.tiles)
        ]
        assert each.made_by == segmenter.made_by


def test_a_broken_file_ends_the_work_after_those_before_it(tmp_path: Path) -> None:
    good = write_images(tmp_path, "a.png", "b.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    done: list[Path] = []
    with pytest.raises(ImageError, match=r"broken\.png"):
        sources = [*good, tmp_path / "broken.png", *good]
        done.extend(each.image for each in run_jobs(make_segmenter(), sources, tmp_path / "out"))
    assert done == good
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]
