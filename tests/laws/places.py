"""A small dataset and a run on it, commands on them, and what a refused command must look like."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from unetscope.cli import main

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
