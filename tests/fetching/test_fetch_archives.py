import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unetscope.errors import DataError, OutputError
from unetscope.fetching.archives import Limits, extract

Pack = Callable[..., bytes]


def save(folder: Path, content: bytes) -> Path:
    path = folder / "archive"
    path.write_bytes(content)
    return path


def refuse(folder: Path, content: bytes, match: str, limits: Limits = Limits()) -> None:
    """The archive is refused, and nothing is left in or beside the folder."""
    archive = save(folder, content)
    with pytest.raises(DataError, match=match) as caught:
        extract(archive, folder / "out", limits)
    assert str(archive) in str(caught.value)
    assert [path.name for path in folder.iterdir()] == ["archive"]


def test_all_files_come_out_as_they_are(tmp_path: Path, pack: Pack, listed: Callable) -> None:
    members = {"a.txt": b"one", "deep/er/b.bin": bytes(range(256)) * 9000, "deep/empty": b""}
    told: list[tuple[int, int]] = []
    extract(save(tmp_path, pack(members)), tmp_path / "out", progress=lambda done, total, _: told.append((done, total)))
    assert listed(tmp_path / "out") == members
    size = sum(map(len, members.values()))
    assert told[-1] == (size, size)


def test_what_macos_adds_stays_in_the_archive(tmp_path: Path, pack: Pack, listed: Callable) -> None:
    members = {"a.png": b"1", "._a.png": b"2", "__MACOSX/a.png": b"3", "x/.DS_Store": b"4"}
    extract(save(tmp_path, pack(members)), tmp_path / "out")
    assert listed(tmp_path / "out") == {"a.png": b"1"}


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/evil", "//evil", "C:/evil", "c:evil", "..\\evil", "\\evil", "a\\..\\..\\evil",
     ".. /evil", "a/.../evil", "a/.. ./evil"],
)  # fmt: skip
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, pack: Pack, name: str) -> None:
    refuse(tmp_path, pack({"good": b"1", name: b"2"}), "leave the folder")


part = st.sampled_from(["..", ".", "", "a", "b.txt", "C:", "~", "..."]) | st.text("ab./\\: \n", max_size=5)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.lists(part, min_size=1, max_size=4).map("/".join), min_size=1, max_size=3, unique=True))
def test_no_name_whatever_writes_outside(
    tmp_path_factory: pytest.TempPathFactory, zipped: Pack, tarred: Pack, listed: Callable, names: list[str]
) -> None:
    for pack in (zipped, tarred):
        root = tmp_path_factory.mktemp("any")
        home = root / "home"
        home.mkdir()
        archive = save(home, pack(dict.fromkeys(names, b"x")))
        try:
            extract(archive, home / "out")
        except (DataError, OutputError):
            assert not (home / "out").exists()
        outside = listed(root).keys() - {f"home/out/{name}" for name in listed(home / "out")}
        assert outside == {"home/archive"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        info = tarfile.TarInfo("inner")
        info.type, info.linkname = kind, "/etc/passwd"
        file.addfile(info)
        info = tarfile.TarInfo("inner/evil")
        file.addfile(info)
    refuse(tmp_path, stream.getvalue(), "link or device 'inner'")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_zip_are_refused(tmp_path: Path, kind: int) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        info = zipfile.ZipInfo("inner")
        info.create_system, info.external_attr = 3, (kind | 0o777) << 16
        file.writestr(info, "/etc")
    refuse(tmp_path, stream.getvalue(), "link or device 'inner'")


def test_too_many_members_are_refused(tmp_path: Path, pack: Pack) -> None:
    members = {str(index): b"" for index in range(11)}
    refuse(tmp_path, pack(members), "more than 10 files", Limits(members=10))
    extract(save(tmp_path, pack(members)), tmp_path / "out", Limits(members=11))


def test_declared_sizes_beyond_the_bound_are_refused_before_anything_is_written(
    tmp_path: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unetscope.fetching.archives._write_all", None)
    members = {str(index): bytes(1000) for index in range(4)}
    refuse(tmp_path, pack(members), "more than 3,999 bytes", Limits(total_bytes=3999))


def test_the_ratio_bounds_what_a_small_archive_may_hold(
    tmp_path: Path, zipped: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million zeros in some thousand bytes; with the ratio of 2,000 the same archive is fine."""
    content = zipped({"zeros": bytes(1_000_000)})
    extract(save(tmp_path, content), tmp_path / "small")
    (tmp_path / "small/zeros").unlink()
    (tmp_path / "small").rmdir()
    monkeypatch.setattr("unetscope.fetching.archives._ALWAYS_ALLOWED", 500_000)
    refuse(tmp_path, content, "which is refused")
    extract(save(tmp_path, content), tmp_path / "out", Limits(ratio=2000))
    assert (tmp_path / "out/zeros").stat().st_size == 1_000_000


def test_a_zip_that_lies_about_sizes_gives_nothing(tmp_path: Path, zipped: Pack) -> None:
    """The directory and the header claim 10 bytes where 100,000 are packed."""
    lying = zipped({"a": bytes(100_000)}).replace(struct.pack("<I", 100_000), struct.pack("<I", 10))
    refuse(tmp_path, lying, "cannot be read|more than", Limits(total_bytes=50))


def test_streamed_bytes_are_counted_whatever_is_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("a", bytes(5000))
    monkeypatch.setattr("unetscope.fetching.archives._checked", lambda archive, claimed, most, bound: claimed)
    refuse(tmp_path, stream.getvalue(), "more than 100 bytes", Limits(total_bytes=100))


def test_a_tar_header_of_enormous_length_is_not_read_into_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**33
    content = gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))
    refuse(tmp_path, content, "claims 8,589,934,592 bytes")


@pytest.mark.parametrize("names", [("a", "a"), ("a", "./a"), ("x/a", "x//a"), ("a", "a/b"), ("a/b", "a")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_in_one_place_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    packed, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file, tarfile.open(fileobj=tarred, mode="w") as tar:
        for name in names:
            file.writestr(name, "1")
            tar.addfile(tarfile.TarInfo(name))
    refuse(tmp_path, packed.getvalue(), "twice|as a file and as a folder")
    refuse(tmp_path, tarred.getvalue(), "twice|as a file and as a folder")


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><p>404", b"PK\x03\x04", b"\x1f\x8b\x08", bytes(3000)])
def test_what_is_no_archive_is_told_by_its_first_bytes(tmp_path: Path, content: bytes) -> None:
    if content == bytes(3000):  # nothing but an end is an empty tar archive
        extract(save(tmp_path, content), tmp_path / "out")
        assert not list((tmp_path / "out").iterdir())
        return
    refuse(tmp_path, content, "cannot be read as a zip or tar archive")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_cut_archive_gives_all_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, zipped: Pack, tarred: Pack, listed: Callable, data: st.DataObject
) -> None:
    """Cut anywhere: refused; only the zeros at the end of tar may be missing."""
    members = {"a": b"1" * 700, "b": b"2" * 300, "c/d": b"3" * 1500}
    pack = data.draw(st.sampled_from([zipped, tarred, lambda members: gzip.compress(tarred(members))]))
    whole = pack(members)
    folder = tmp_path_factory.mktemp("cut")
    archive = save(folder, whole[: data.draw(st.integers(0, len(whole) - 1))])
    try:
        extract(archive, folder / "out")
    except DataError:
        assert not (folder / "out").exists()
    else:
        assert listed(folder / "out") == members


@pytest.mark.parametrize("position", [3, 600, 1100])
def test_damage_is_refused(tmp_path: Path, zipped: Pack, tarred: Pack, position: int) -> None:
    for pack in (zipped, lambda members: gzip.compress(tarred(members), 0)):
        content = bytearray(pack({"a": bytes(range(256)) * 3, "b": bytes(range(255, -1, -1)) * 4}))
        content[position % len(content)] ^= 0xFF
        refuse(tmp_path, bytes(content), "cannot be read|cut off|leave|link|twice|password|compresses")


def test_passwords_are_named(tmp_path: Path, zipped: Pack) -> None:
    content = bytearray(zipped({"a": b"1"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    refuse(tmp_path, bytes(content), "needs a password")


def test_an_existing_folder_is_left_alone(tmp_path: Path, zipped: Pack) -> None:
    archive = save(tmp_path, zipped({"a": b"1"}))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("mine")
    with pytest.raises(OutputError, match="cannot be made"):
        extract(archive, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
