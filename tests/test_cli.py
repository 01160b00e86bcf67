"""The command line as other programs call it: exit codes, standard output, and what every command writes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from unetscope import cli, evaluation
from unetscope.cli import main
from unetscope.data import intensities
from unetscope.data.images import read_image, read_labels, write_image
from unetscope.data.scenes import write_dataset

COMMANDS = ("demo", "check", "train", "evaluate", "segment", "export", "profile", "report")
HEAVY = ("torch", "scipy", "skimage", "matplotlib")
SMALL = ("--widths", "4,8", "--epochs", "1", "--epoch-steps", "8", "--precision", "float32")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with gray and colored datasets and a run on each."""
    folder = tmp_path_factory.mktemp("place")
    write_dataset(folder / "data", "cells", train=10, test=2, shape=(32, 32))
    write_dataset(folder / "colored", "aerial", train=3, test=1, shape=(32, 32))
    assert main(["train", f"{folder}/data", "--out", f"{folder}/run", *SMALL]) == 0
    assert main(["train", f"{folder}/colored", "--out", f"{folder}/colored-run", *SMALL]) == 0
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; returns the exit code, standard output and standard error."""

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return call


def stain(shape: tuple[int, ...], dtype: str = "uint8") -> np.ndarray:
    """An image with some structure."""
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


# ---------------------------------------------------------------------------------------------- help and faults


def test_help_answers_without_loading_what_computes() -> None:
    script = (
        "import sys; from unetscope.cli import main; code = main(['--help']); "
        f"print(*[name for name in {HEAVY} if name in sys.modules], sep=',', file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
    assert [command for command in COMMANDS if command not in done.stdout] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command: str, run: Run) -> None:
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "")
    assert "--json" in out
    rows = re.findall(r"^│ (?:\*|) *(--[a-z-]+|[A-Z]+)(?: [A-Z.]+)? +(.*?) *│$", out, flags=re.MULTILINE)
    assert rows
    assert [name for name, text in rows if not re.match(r"[A-Z\"]\w*", text) or text.startswith("[")] == []


def test_the_version_is_told(run: Run) -> None:
    assert run("--version") == (0, f"{cli.__version__}\n", "")


def test_a_fault_of_ours_is_1_with_its_place(place: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "evaluate", lambda *_: [][1])
    code, out, err = run("evaluate", place / "run", place / "data", "--json")
    assert (code, out) == (1, "")
    assert "Traceback" in err
    assert "IndexError" in err
    assert "fault of unetscope" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (MemoryError(), 2, "smaller --tile"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
            2,
            "smaller --tile",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB."), 2, "smaller --tile"),
        (PermissionError(13, "Permission denied", "/data/a.png"), 2, "/data/a.png cannot be used (Permission denied)"),
        (KeyboardInterrupt(), 130, "--resume"),
        (OSError("nothing known"), 1, "fault of unetscope"),
        (ValueError("wrong"), 1, "fault of unetscope"),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, said: str, place: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(evaluation, "evaluate", fail)
    found, out, err = run("evaluate", place / "run", place / "data")
    assert (found, out) == (code, "")
    assert said in err.splitlines()[-1]
    assert ("Traceback" in err) == (code == 1)


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_reader_that_leaves_ends_the_command_quietly(closed: str, place: Path) -> None:
    other = {"stdout": "stderr", "stderr": "stdout"}[closed]
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "unetscope", "check", str(place / "data"), *["--json"] * (closed == "stdout")]
    streams: dict[str, Any] = {closed: writing, other: subprocess.PIPE}
    done = subprocess.run(words, text=True, check=False, **streams)
    os.close(writing)
    assert done.returncode == cli.UNREAD
    assert not getattr(done, other)


# ---------------------------------------------------------------------------------------------- the way of a user


def test_check_says_what_training_would_see(place: Path, run: Run) -> None:
    code, out, err = run("check", place / "data")
    assert (code, out) == (0, "")
    for part in ("12 annotated 2D images", "32x32 pixels", "mask (declared in", "cell", "2 test", "normalization: by"):
        assert part in err
    code, out, err = run("check", place / "data", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found["images"] == 12
    assert found["roles"]["test"] == 2
    assert sum(found["shares"].values()) == pytest.approx(1)


def test_train_says_its_decisions_before_the_first_epoch(place: Path, tmp_path: Path, run: Run) -> None:
    code, out, err = run("train", place / "data", "--out", tmp_path / "run", *SMALL, "--batch", 1, "--json")
    assert code == 0
    before = err.split("epoch   1")[0]
    for part in (
        "labels: mask (declared in",
        "roles: 8 images to train on, 2 to validate and profile with, 2 to test",
        "normalization: ",
        "network: widths 4-8, 1,682 parameters, in float32 on the ",
        "steps: 8 of 1 patch of 32x32 pixels, 8 an epoch",
    ):
        assert part in before
    assert "warning" not in err
    result = json.loads(out)
    assert result == {"run": str(tmp_path / "run"), "epoch": 1, "dice": pytest.approx(result["dice"])}


def test_train_estimates_its_time_after_the_first_steps(place: Path, tmp_path: Path, run: Run) -> None:
    words = ("--widths", "2,2", "--epochs", 2, "--epoch-steps", 8, "--batch", 1)
    _, _, err = run("train", place / "data", "--out", tmp_path / "run", *words)
    assert re.search(r"time: about \d+ s for the 6 steps left", err)


def test_train_warns_when_nothing_is_left_for_the_test(place: Path, tmp_path: Path, run: Run) -> None:
    data = tmp_path / "data"
    (data / "labels").mkdir(parents=True)
    (data / "images").mkdir()
    for kind in ("images", "labels"):
        for path in sorted((place / "data" / "train" / kind).iterdir())[:3]:
            (data / kind / path.name).write_bytes(path.read_bytes())
    code, _, err = run("train", data, "--out", tmp_path / "run", *SMALL)
    assert code == 0
    assert "warning: no image is left for the test" in err
    code, _, err = run("check", data)
    assert (code, "warning: no whole image is left for the test" in err) == (0, True)
    code, _, err = run("evaluate", tmp_path / "run", data)
    assert (code, "--part validation" in err) == (2, True)


def test_only_given_settings_replace_those_of_a_preset(run: Run) -> None:
    words = ["train", "d", "--out", "r", "--batch", "8", "--class-weights", "1", "2.5"]
    _, bound, _ = cli.app.parse_args(words, exit_on_error=False, print_error=False)
    recipe = bound.arguments["settings"].recipe("ronneberger2015")
    assert (recipe.batch, recipe.class_weights) == (8, (1, 2.5))  # 8 is the plain default, the preset's is 1
    assert (recipe.optimizer, recipe.momentum) == ("sgd", 0.99)


def test_a_finished_run_can_be_resumed_and_stays(place: Path, run: Run) -> None:
    before = (place / "run" / "model.safetensors").read_bytes()
    code, _, err = run("train", place / "data", "--out", place / "run", "--resume", "--epochs", 1)
    assert code == 0
    assert "of which 8 are done already" in err
    assert (place / "run" / "model.safetensors").read_bytes() == before


def test_a_run_is_not_resumed_with_another_setting_even_if_that_is_a_default(place: Path, run: Run) -> None:
    code, _, err = run("train", place / "data", "--out", place / "run", "--resume", "--epochs", 100)
    assert code == 2
    assert "--epochs 1, and 100 came" in err


def test_evaluate_prints_scores_by_class_and_image(place: Path, run: Run) -> None:
    code, out, err = run("evaluate", place / "run", place / "data", "--json")
    scores = json.loads(out)
    assert (code, err) == (0, "")
    assert [each["name"] for each in scores["classes"]] == ["cell"]
    assert {"name", "dice", "iou", "n"} <= scores["classes"][0].keys()
    assert [each["name"] for each in scores["images"]] == ["test/000", "test/001"]
    code, out, err = run("evaluate", place / "run", place / "data", "--part", "all")
    assert (code, out) == (0, "")
    assert "12 images: mean Dice" in err


def test_profile_and_report_tell_where_their_files_are(place: Path, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "made" / "profile.json"
    code, out, err = run("profile", place / "run", place / "data", "--out", file, "--role", "train", "--json")
    told, written = json.loads(out), json.loads(file.read_text())
    assert code == 0
    assert told["profile"] == str(file)
    assert [layer["layer"] for layer in told["layers"]] == [layer["layer"] for layer in written["layers"]]
    assert all(sentence.split(", ")[0] in err for sentence in told["sentences"])
    with np.load(file.with_suffix(".npz")) as pictures:
        assert pictures["0/head/probe"].dtype == np.uint8
    check_report(file, tmp_path / "pictures", {"uplot.svg", "uplot.png", "gates.svg", "ladder.svg", "plane.svg"}, run)


def test_the_published_profile_is_reported_too(place: Path, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "paper.json"
    words = ("profile", place / "run", place / "data", "--out", file, "--role", "train", "--paper", "--json")
    code, out, err = run(*words)
    told, written = json.loads(out), json.loads(file.read_text())
    assert code == 0
    assert told == {"profile": str(file), "verdict": written["verdict"], "ceilings": written["ceilings"]}
    assert told["verdict"] in err
    check_report(file, tmp_path / "pictures", {"uplot.svg", "uplot.png"}, run)


def check_report(file: Path, folder: Path, wanted: set[str], run: Run) -> None:
    """The page and all pictures are where `report` says."""
    code, out, _ = run("report", file, "--out", folder / "page.html", "--figures", folder, "--json")
    assert code == 0
    told = json.loads(out)
    pictures = [Path(path) for path in told["pictures"]]
    assert {path.name for path in pictures} >= wanted
    assert all(path.parent == folder and path.stat().st_size for path in (Path(told["page"]), *pictures))


def test_training_can_be_profiled_epoch_by_epoch(place: Path, tmp_path: Path, run: Run) -> None:
    words = (
        "train",
        place / "data",
        "--out",
        tmp_path / "run",
        "--epochs",
        "4",
        "--widths",
        "4,8",
        "--epoch-steps",
        "2",
    )
    assert run(*words, "--profile-every", "2")[0] == 0
    written = sorted(path.name for path in (tmp_path / "run" / "profiles").iterdir())
    assert written == ["profile-00002.json", "profile-00004.json"]
    check_report(tmp_path / "run" / "profiles", tmp_path / "pictures", {"epochs.svg", "uplot.png"}, run)
    assert run(*words, "--profile-every", "0")[0] == 2


# ---------------------------------------------------------------------------------------------------- segmenting


@pytest.mark.parametrize("name", ["a.png", "b.TIF", "c.tiff", "d.npy"])
@pytest.mark.parametrize("shape", [(32, 32), (7, 50), (1, 1)])
def test_label_images_have_stem_format_and_size_of_their_images(
    name: str, shape: tuple[int, int], place: Path, tmp_path: Path, run: Run
) -> None:
    write_image(tmp_path / name, stain(shape))
    code, out, err = run("segment", place / "run", tmp_path / name, "--out", tmp_path / "out", "--json")
    assert code == 0
    (written,) = (tmp_path / "out").iterdir()
    assert written.name == f"{Path(name).stem}{Path(name).suffix.lower()}"
    labels = read_labels(written)
    assert (labels.shape, labels.dtype) == (shape, np.uint8)
    (result,) = json.loads(out)
    assert (result["image"], result["labels"]) == (str(tmp_path / name), str(written))
    assert result["shares"] == {"background": np.mean(labels == 0), "cell": np.mean(labels == 1)}
    assert re.search(r"1 tile of \d+x\d+, about [0-9.]+ \w+ of memory at the most\n.* -> ", err)


@pytest.mark.parametrize("tile", [1, 2, 16, 30, 500])
def test_files_do_not_depend_on_the_tile(tile: int, place: Path, tmp_path: Path, run: Run) -> None:
    write_image(tmp_path / "a.png", stain((53, 38)))
    words = ("segment", place / "run", tmp_path / "a.png", "--precision", "float32", "--out")
    assert run(*words, tmp_path / "whole", "--whole")[0] == 0
    assert run(*words, tmp_path / "tiled", "--tile", tile)[0] == 0
    whole, tiled = ((tmp_path / name / "a.png").read_bytes() for name in ("whole", "tiled"))
    assert len(set(read_labels(tmp_path / "whole" / "a.png").ravel().tolist())) == 2
    assert whole == tiled


def test_probabilities_sum_to_1_and_their_largest_is_the_label(place: Path, tmp_path: Path, run: Run) -> None:
    write_image(tmp_path / "a.tif", stain((3, 40, 29)))
    words = (tmp_path / "a.tif", "--out", tmp_path / "out", "--probabilities", "--tile", 16)
    assert run("segment", place / "colored-run", *words)[0] == 0
    labels, probabilities = (
        read_labels(tmp_path / "out" / "a.tif"),
        read_image(tmp_path / "out" / "a-probabilities.tif"),
    )
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (len(np.unique(probabilities.argmax(0))) and probabilities.shape[0], 40, 29)
    assert np.allclose(probabilities.sum(axis=0), 1, atol=1e-6)
    assert np.array_equal(probabilities.argmax(axis=0), labels)


def test_a_gray_image_is_repeated_for_a_network_that_reads_colors(place: Path, tmp_path: Path, run: Run) -> None:
    gray = stain((20, 24))
    write_image(tmp_path / "gray.png", gray)
    write_image(tmp_path / "rgb.png", np.stack([gray] * 3))
    out = tmp_path / "out"
    assert run("segment", place / "colored-run", tmp_path / "gray.png", tmp_path / "rgb.png", "--out", out)[0] == 0
    assert (out / "gray.png").read_bytes() == (out / "rgb.png").read_bytes()


def test_folders_are_read_and_a_file_that_is_named_twice_is_segmented_once(
    place: Path, tmp_path: Path, run: Run
) -> None:
    folder = place / "data" / "test" / "images"
    code, out, _ = run("segment", place / "run", folder, folder / "000.png", "--out", tmp_path / "out", "--json")
    assert code == 0
    assert [Path(result["labels"]).name for result in json.loads(out)] == ["000.png", "001.png"]


@pytest.mark.parametrize("name", ["large.npy", "large.tif"])
def test_files_of_plain_numbers_are_not_loaded_whole(
    name: str, place: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intensities, "_SLAB_VALUES", 2**16)  # so that a small image is large
    image = np.tile(stain((256, 256), "float64"), (4, 4))
    np.save(tmp_path / name, image) if name.endswith("npy") else tifffile.imwrite(tmp_path / name, image)
    main(["segment", f"{place}/run", f"{place}/data/test/images", "--out", f"{tmp_path}/first"])  # imports are done
    tracemalloc.start()
    code, _, err = run("segment", place / "run", tmp_path / name, "--out", tmp_path / "out", "--tile", 128)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert code == 0
    assert "of memory at the most" in err
    assert peak < image.nbytes / 2


def test_the_stated_memory_counts_what_is_held_whole(place: Path, tmp_path: Path, run: Run) -> None:
    image = stain((64, 64))
    write_image(tmp_path / "a.png", image)
    np.save(tmp_path / "b.npy", image)
    said = {}
    for name, *more in (("a.png",), ("b.npy",), ("b.npy", "--probabilities")):
        words = ("--out", tmp_path / f"out{len(said)}", "--tile", 32, *more)
        _, _, err = run("segment", place / "run", tmp_path / name, *words)
        said[name, *more] = float(re.findall(r"about ([0-9.]+) KiB", err)[0])
    assert said["a.png",] - said["b.npy",] == pytest.approx(image.nbytes / 1024, abs=0.2)
    assert said["b.npy", "--probabilities"] - said["b.npy",] == pytest.approx(2 * 4 * image.size / 1024, abs=0.2)


def test_the_first_bad_image_stops_and_earlier_results_stay(place: Path, tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "in"
    for name in ("a.png", "c.png"):
        write_image(folder / name, stain((16, 16)))
    (folder / "b.png").write_text("no image")
    code, out, err = run("segment", place / "run", folder, "--out", tmp_path / "out", "--json")
    assert (code, out) == (2, "")
    assert str(folder / "b.png") in err.splitlines()[-1]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_an_image_is_never_overwritten(place: Path, tmp_path: Path, run: Run) -> None:
    real, link = tmp_path / "real" / "a.png", tmp_path / "links" / "a.png"
    write_image(real, stain((16, 16)))
    link.parent.mkdir()
    link.symlink_to(real)
    before = real.read_bytes()
    for source in (real, real.parent, link):
        code, _, err = run("segment", place / "run", source, "--out", tmp_path / "real" / ".." / "real")
        assert (code, "never overwritten" in err) == (2, True)
    assert real.read_bytes() == before
    assert [path.name for path in real.parent.iterdir()] == ["a.png"]


def test_results_of_one_name_are_refused(place: Path, tmp_path: Path, run: Run) -> None:
    for name in ("a.png", "a.npy", "a-probabilities.npy"):
        write_image(tmp_path / name, stain((16, 16)))
    out = tmp_path / "out"
    for words in (("a.png", "a.npy"), ("a.png", "a-probabilities.npy", "--probabilities")):
        paths = [tmp_path / word if word[0] == "a" else word for word in words]
        code, _, err = run("segment", place / "run", *paths, "--out", out)
        assert (code, "results of one name" in err) == (2, True)
    assert not out.exists()
