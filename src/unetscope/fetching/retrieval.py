"""A public set brought here as a dataset folder; knows the way from its name to the folder, not the steps."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from unetscope.errors import DataError
from unetscope.fetching.archives import Progress, extract
from unetscope.fetching.catalog import PublicSet, find_set
from unetscope.fetching.conversion import workshop, write_dataset
from unetscope.fetching.download import checksum_of, download
from unetscope.fetching.publishers import PLANS, Found
from unetscope.files import write_json

SOURCE = "SOURCE.json"
"""The file of a fetched dataset that says where it comes from."""

_BARE = (".tif", ".txt")  # published as they are; everything else is an archive


@dataclass(frozen=True)
class Fetched:
    """A public set that is here now.

    Attributes:
        folder: The dataset.
        archives: Where its downloads are kept; nothing where they were given.
        images: How many annotated images it has.
        notes: What to know of the checksums, and what had to be mended, as sentences.
    """

    folder: Path
    archives: Path | None
    images: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A mapping of plain values."""
        kept = None if self.archives is None else str(self.archives)
        return {"folder": str(self.folder), "archives": kept, "images": self.images, "notes": list(self.notes)}


@dataclass(frozen=True)
class _Source:
    """A file to convert, and what `SOURCE.json` says of it."""

    path: Path
    record: dict[str, str | None]
    note: str


def fetch(
    name: str, out: Path, archives: Sequence[Path] = (), mirror: str = "", progress: Progress | None = None
) -> Fetched:
    """Download a public set and make a dataset folder of it.

    Downloads are kept in a folder beside the dataset (`OUT-archives`): a broken one continues, a later one is compared.

    Args:
        name: Of the set, see `catalog.SETS`.
        out: The folder to make.
        archives: Files that were downloaded already; then nothing is downloaded.
        mirror: Address of a folder that holds the same files, to use instead of the publisher's.
        progress: Is told how much is done, of how much, and what; bytes first, images in the end.

    Returns:
        What there is now.

    Raises:
        DataError: There is no such set, it cannot be downloaded or is not what was published.
        OutputError: The folder exists or cannot be written.
    """
    public, out = find_set(name), out.resolve()
    if not (archives or public.files):
        raise DataError(f"{public.title} has no public address; {public.registration}")
    with workshop(out) as work, _named_by_archive(work / "unpacked"):
        kept = None if archives else out.with_name(f"{out.name}-archives")
        sources = [*(_given(public, archives) if kept is None else _downloaded(public, kept, mirror, progress))]
        plan = PLANS[public.name](_unpack(sources, work / "unpacked", progress))
        origin = f"{public.title}, made by `unetscope fetch {public.name}`; see {SOURCE}."
        mended = write_dataset(plan, work / "dataset", origin, progress)
        notes = (*(source.note for source in sources if source.note), *mended)
        write_json(work / "dataset" / SOURCE, _describe(public, sources, notes))
    return Fetched(out, kept, len(plan.examples), notes)


def _downloaded(public: PublicSet, folder: Path, mirror: str, progress: Progress | None) -> Iterator[_Source]:
    """The files of a set, from its publisher or a mirror."""
    for file in public.files:
        result = download(file, folder, mirror, progress)
        record = {
            "file": file.name,
            "address": result.address,
            "sha256": result.sha256,
            "checked": result.checked or None,
        }
        note = "" if result.checked else f"no checksum is published for {file.name}; this is what came: {result.sha256}"
        yield _Source(result.path, {**record, "published": file.checksum or None}, note)


def _given(public: PublicSet, archives: Sequence[Path]) -> Iterator[_Source]:
    """Files that the user has already; they may be packed differently, so that another checksum is only told."""
    published = {file.name: file.checksum for file in public.files if file.checksum}
    for path in archives:
        if not path.is_file():
            raise DataError(f"{path} is no file, and an archive of {public.title} was needed; check the name")
        checksum = published.get(path.name, "")
        is_other = bool(checksum) and checksum != checksum_of(path, checksum.split(":")[0])
        note = f"{path.name} is not the file that was published with {checksum}" if is_other else ""
        yield _Source(path, {"file": path.name, "address": None, "sha256": checksum_of(path)}, note)


def _unpack(sources: Sequence[_Source], folder: Path, progress: Progress | None) -> Found:
    """All files of all archives, by their places; bare files are where they are."""
    found: dict[PurePosixPath, Path] = {}
    for source in sources:
        if source.path.suffix.lower() in _BARE:
            members = {PurePosixPath(source.path.name): source.path}
        else:
            root = folder / source.path.name
            if root.exists():
                raise DataError(f"{source.path} came after another {source.path.name}; give each archive once")
            extract(source.path, root, progress=progress)
            members = {PurePosixPath(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
        twice = found.keys() & members.keys()
        if twice:
            raise DataError(f"{source.path} holds {str(min(twice))!r}, as another one does; give each archive once")
        found |= members
    return found


@contextmanager
def _named_by_archive(folder: Path) -> Iterator[None]:
    """Name files in messages by their archive, and not by where they were unpacked for a moment."""
    try:
        yield
    except DataError as error:
        raise type(error)(str(error).replace(f"{folder}{os.sep}", "")) from error


def _describe(public: PublicSet, sources: Sequence[_Source], notes: Sequence[str]) -> dict[str, Any]:
    """What `SOURCE.json` says."""
    kept = ("name", "title", "page", "license", "citation", "content", "splits")
    return {
        **{key: getattr(public, key) for key in kept},
        "files": [source.record for source in sources],
        "notes": list(notes),
    }
