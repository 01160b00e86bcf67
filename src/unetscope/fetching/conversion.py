"""A plan of examples made into a dataset folder, whole or not at all; knows that folder, not the publishers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unetscope.data.declaration import FILE_NAME
from unetscope.data.images import write_labels
from unetscope.data.item import Part
from unetscope.errors import DataError, OutputError, UnetscopeError
from unetscope.fetching.archives import Progress
from unetscope.files import write_text

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class NewFile:
    """A file that will be written.

    Attributes:
        suffix: The end of its name, such as ".nii.gz".
        write: Writes it to the given path; returns what was mended on the way as a sentence, or nothing.
    """

    suffix: str
    write: Callable[[Path], str]


@dataclass(frozen=True)
class Example:
    """One annotated image that will be written.

    Attributes:
        stem: The name of both files, without suffix.
        image: The image.
        labels: Its label image.
        part: The role that the publisher gives it, if any.
    """

    stem: str
    image: NewFile
    labels: NewFile
    part: Part | None = None


@dataclass(frozen=True)
class Plan:
    """What a dataset folder will hold.

    Attributes:
        examples: The annotated images.
        declaration: What `dataset.toml` will say, by key.
    """

    examples: tuple[Example, ...]
    declaration: Mapping[str, str | int | list[str] | list[int]]


def copied(source: Path, suffix: str = "") -> NewFile:
    """A file that stays as it is.

    Args:
        source: The file.
        suffix: Its suffix if that has several parts.

    Returns:
        Its copy.
    """

    def write(path: Path) -> str:
        shutil.copyfile(source, path)
        return ""

    return NewFile(suffix or source.suffix.lower(), write)


def drawn(labels: Callable[[], Array]) -> NewFile:
    """A label image that is computed when it is written.

    Args:
        labels: Gives (y, x) of 8 or 16 bits.

    Returns:
        A PNG of them.
    """

    def write(path: Path) -> str:
        write_labels(path, labels())
        return ""

    return NewFile(".png", write)


@contextmanager
def workshop(out: Path) -> Iterator[Path]:
    """A folder beside `out` to work in; in the end its folder `dataset` becomes `out`, and the rest vanishes.

    Args:
        out: The folder that will be made; it must not exist, or be empty.

    Yields:
        The folder to work in.

    Raises:
        OutputError: `out` is taken, or its neighborhood cannot be written.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise OutputError(f"{out} exists already, and nothing is overwritten; choose another folder or remove it")
    work = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        work.mkdir(parents=True)
        yield work
        if out.exists():
            out.rmdir()
        (work / "dataset").replace(out)
    except OSError as error:
        if isinstance(error, UnetscopeError):
            raise
        reason = error.strerror or str(error)
        raise OutputError(f"{out} cannot be written ({reason}); free some space or choose another folder") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def write_dataset(plan: Plan, folder: Path, origin: str, progress: Progress | None = None) -> tuple[str, ...]:
    """Write the images, label images, lists and `dataset.toml` of a plan.

    Args:
        plan: What to write.
        folder: Where; it is made.
        origin: A line for the head of `dataset.toml`.
        progress: Is told the images done and in all.

    Returns:
        What had to be mended, as sentences.

    Raises:
        DataError: The plan is empty, or a file of the publisher cannot be read.
        OSError: The folder cannot be written.
    """
    if not plan.examples:
        raise DataError("no annotated image was found in what came; check that these are the right archives")
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    notes = []
    for done, example in enumerate(plan.examples, 1):
        notes.append(example.image.write(folder / "images" / f"{example.stem}{example.image.suffix}"))
        notes.append(example.labels.write(folder / "labels" / f"{example.stem}{example.labels.suffix}"))
        if progress:
            progress(done, len(plan.examples), "converting")
    for part in sorted({example.part for example in plan.examples if example.part}):
        stems = [example.stem for example in plan.examples if example.part == part]
        write_text(folder / f"{part}.txt", "\n".join(stems) + "\n")
    write_text(folder / FILE_NAME, _as_toml(plan.declaration, origin))
    return tuple(note for note in notes if note)


def _as_toml(declaration: Mapping[str, object], origin: str) -> str:
    """A declaration as TOML; strings, numbers and lists of them are written as in JSON.

    Example:
        >>> print(_as_toml({"kind": "mask", "classes": ["a", "b"]}, "By hand."))
        # By hand.
        kind = "mask"
        classes = ["a", "b"]
    """
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in declaration.items()]
    return "\n".join([f"# {origin}", *lines, ""])
