"""A disk that is full, read-only or not ours is refused in one sentence, and keeps no part of a file."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from places import SMALL, Place, digests, refused


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
