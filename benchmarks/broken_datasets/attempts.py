"""What the program does with a dataset; knows its command line, nothing of what is behind it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from unetscope.cli import main

_SMALL = ["--width", "4", "--depth", "1", "--epochs", "1", "--epoch-steps", "1", "--batch", "2", "--patch", "16"]


@dataclass(frozen=True)
class Attempt:
    """A command and what came of it.

    Attributes:
        code: Its exit code.
        output: What it wrote to standard output.
        told: What it wrote to standard error, for people.
    """

    code: int
    output: str
    told: str

    @property
    def error(self) -> str:
        """The sentence after "error: ", or nothing."""
        return self.told.partition("error: ")[2].strip()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The sentences after "warning: "."""
        start = "warning: "
        return tuple(line.removeprefix(start) for line in self.told.splitlines() if line.startswith(start))


def train(folder: Path, out: Path, options: Mapping[str, str]) -> Attempt:
    """Train the smallest network for one step."""
    return _run(["train", str(folder), "--out", str(out), *_SMALL, *_words(options)])


def check(folder: Path, options: Mapping[str, str]) -> Attempt:
    """Check a dataset."""
    return _run(["check", str(folder), *_words(options)])


def _words(options: Mapping[str, str]) -> list[str]:
    """Options on a command line."""
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _run(words: list[str]) -> Attempt:
    """Run a command in this process."""
    with redirect_stdout(io.StringIO()) as output, redirect_stderr(io.StringIO()) as told:
        code = main(words)
    return Attempt(code, output.getvalue(), told.getvalue())
