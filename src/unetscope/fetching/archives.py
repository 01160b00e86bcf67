"""Archives unpacked without trusting them; knows zip and tar, not what is in them.

Refused before a byte is written: members that would leave the folder, links and devices, two members in one place, more
members or bytes than the limits allow. Headers may lie about sizes, so the bytes that really come are counted too.
"""

from __future__ import annotations

import gzip
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from unetscope.errors import DataError, OutputError

Progress = Callable[[int, int, str], None]
"""Is told how much is done, of how much, and what is being done."""

_CHUNK = 2**20
_LARGEST_PIECE = 2**24  # bytes that a tar header may take at once
_ALWAYS_ALLOWED = 2**26  # bytes that come out of the smallest archive
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError, RuntimeError, ValueError)


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold.

    Attributes:
        members: Files and folders.
        total_bytes: Bytes of all files together.
        ratio: Bytes of all files together for each byte of the archive; 64 MiB are always allowed.
    """

    members: int = 200_000
    total_bytes: int = 2**34
    ratio: int = 100

    def bound(self, archive: Path) -> int:
        """The bytes that may come out of an archive."""
        return min(self.total_bytes, max(_ALWAYS_ALLOWED, self.ratio * archive.stat().st_size))


@dataclass(frozen=True)
class _Member:
    """What a header claims: where a file or folder belongs and how long it is; and how to read it."""

    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes]] | None

    @property
    def is_wanted(self) -> bool:
        """Whether it is a file, and none of those that macOS adds."""
        name = self.path.name
        return self.open is not None and not ("__MACOSX" in self.path.parts or name[:2] == "._" or name == ".DS_Store")


def extract(archive: Path, into: Path, limits: Limits = Limits(), progress: Progress | None = None) -> None:
    """Unpack an archive into a new folder.

    What macOS adds (`__MACOSX`, `._*`, `.DS_Store`) is left out; owners, permissions and times are not restored.

    Args:
        archive: zip, tar or tar.gz, whatever its name is.
        into: The folder to make; it is removed again when anything goes wrong.
        limits: How much the archive may hold.
        progress: Is told the bytes done and in all.

    Raises:
        DataError: It is no archive, is damaged, or holds what is refused.
        OutputError: The folder exists, or cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     folder = Path(name)
        ...     with zipfile.ZipFile(folder / "a.zip", "w") as file:
        ...         file.writestr("images/1.txt", "one")
        ...     extract(folder / "a.zip", folder / "a")
        ...     (folder / "a/images/1.txt").read_text()
        'one'
    """
    bound = limits.bound(archive)
    with _damage_reported(archive), _opened(archive, bound) as claimed:
        members = [member for member in _checked(archive, claimed, limits.members, bound) if member.is_wanted]
        _check_places(archive, members)
        _write_all(archive, members, into, bound, progress)


def _write_all(archive: Path, members: list[_Member], into: Path, bound: int, progress: Progress | None) -> None:
    """Write every member or none."""
    done, total = 0, sum(member.size for member in members)
    try:
        into.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"{into} cannot be made ({error.strerror}); choose another folder") from error
    try:
        for member in members:
            for piece in _copy(member, into.joinpath(*member.path.parts)):
                done += piece
                _check_total(archive, done, bound)
            if progress:
                progress(done, total, f"unpacking {archive.name}")
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise


def _copy(member: _Member, target: Path) -> Iterator[int]:
    """Copy one file in pieces; their lengths are yielded before they are written."""
    assert member.open is not None
    with member.open() as source, _writing(target) as file:
        while chunk := source.read(_CHUNK):
            yield len(chunk)
            file.write(chunk)


@contextmanager
def _writing(target: Path) -> Iterator[IO[bytes]]:
    """A new file in a folder that is made where needed; an existing file is never written to."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            yield file
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile):
            raise
        reason = error.strerror or str(error)
        raise OutputError(f"{target} cannot be written ({reason}); free some space or choose another folder") from error


# ------------------------------------------------------------------------------------------------------- checking


def _checked(archive: Path, claimed: Iterable[_Member], most: int, bound: int) -> Iterator[_Member]:
    """The members, as long as they stay within the limits."""
    total = 0
    for count, member in enumerate(claimed, 1):
        if count > most:
            raise DataError(f"{archive} holds more than {most:,} files, which is refused; unpack it yourself")
        total += member.size
        _check_total(archive, total, bound)
        yield member


def _check_total(archive: Path, total: int, bound: int) -> None:
    """Refuse what explodes."""
    if total > bound:
        raise DataError(
            f"{archive} ({archive.stat().st_size:,} bytes) would unpack to more than {bound:,} bytes, which is "
            "refused; download it again, or unpack it yourself if you trust it"
        )


def _check_places(archive: Path, members: list[_Member]) -> None:
    """Refuse two members in one place, and a file where another member needs a folder."""
    places: set[PurePosixPath] = set()
    for member in members:
        if member.path in places:
            raise DataError(f"{archive} holds {str(member.path)!r} twice, which is refused; download it again")
        places.add(member.path)
    for member in members:
        blocked = places.intersection(member.path.parents)
        if blocked:
            raise DataError(f"{archive} holds {str(blocked.pop())!r} as a file and as a folder; download it again")


def _safe_path(archive: Path, name: str) -> PurePosixPath:
    """Where a member belongs below the folder.

    Raises:
        DataError: It would be elsewhere, on this or on another operating system.
    """
    parts = name.replace("\\", "/").split("/")
    # Windows takes ".. " for "..", and "C:x" for a place on another disk.
    upwards = any(part not in ("", ".") and not part.strip(" .") for part in parts)
    if upwards or "\0" in name or parts[0] == "" or re.match("[A-Za-z]:", name):
        raise DataError(f"{archive} holds {name!r}, which would leave the folder it is unpacked into; do not trust it")
    return PurePosixPath(*parts)


# -------------------------------------------------------------------------------------------------------- reading


@contextmanager
def _damage_reported(archive: Path) -> Iterator[None]:
    """Turn whatever the reading libraries raise into one sentence."""
    try:
        yield
    except (DataError, OutputError):
        raise
    except _DAMAGE as error:
        with archive.open("rb") as file:
            head = file.read(12)
        raise DataError(
            f"{archive} cannot be read as a zip or tar archive ({error}; it begins with {head!r}); download it again"
        ) from error


@contextmanager
def _opened(archive: Path, bound: int) -> Iterator[Iterator[_Member]]:
    """What an archive claims to hold; its first bytes decide how it is read."""
    with archive.open("rb") as file:
        head = file.read(2)
        file.seek(0)
        if head == b"PK":
            with zipfile.ZipFile(file) as packed:
                yield _zip_members(archive, packed)
            return
        with gzip.GzipFile(fileobj=file) if head == b"\x1f\x8b" else file as stream:
            careful = _Careful(cast(IO[bytes], stream))
            with tarfile.open(fileobj=cast(Any, careful), mode="r:") as tar:
                yield _tar_members(archive, tar, careful, bound)


class _Careful:
    """A stream that gives no enormous pieces: a tar header may claim any length for a name."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        """The next bytes."""
        if size > _LARGEST_PIECE:
            raise ValueError(f"a header claims {size:,} bytes")
        return self._stream.read(size)


def _zip_members(archive: Path, packed: zipfile.ZipFile) -> Iterator[_Member]:
    """What the directory of a zip archive claims."""
    for info in packed.infolist():
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DataError(f"{archive} holds the link or device {info.orig_filename!r}, which is refused")
        if info.flag_bits & 1:
            raise DataError(f"{archive} needs a password for {info.orig_filename!r}; unpack it and pack it without one")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(
                f"{archive} compresses {info.orig_filename!r} in a way that is not read; pack it as plain zip"
            )
        path = _safe_path(archive, info.orig_filename)
        yield _Member(path, info.file_size, None if info.is_dir() else partial(packed.open, info))


def _tar_members(archive: Path, tar: tarfile.TarFile, stream: _Careful, bound: int) -> Iterator[_Member]:
    """What the headers of a tar archive claim."""
    for info in tar:
        if not (info.isreg() or info.isdir()):
            raise DataError(f"{archive} holds the link or device {info.name!r}, which is refused")
        opener = cast("Callable[[], IO[bytes]]", partial(tar.extractfile, info))
        yield _Member(_safe_path(archive, info.name), info.size, None if info.isdir() else opener)
    _check_end(archive, tar, stream, bound)


def _check_end(archive: Path, tar: tarfile.TarFile, stream: _Careful, bound: int) -> None:
    """Refuse a tar archive that is cut off or damaged: reading its headers just stops there."""
    stream.seek(tar.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise DataError(f"{archive} is cut off or damaged after {tar.offset:,} bytes; download it again")
    rest = 0
    while chunk := stream.read(_CHUNK):  # to the end, where gzip keeps its checksum
        rest += len(chunk)
        _check_total(archive, rest, bound)
