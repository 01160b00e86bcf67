"""A file is written whole or not at all, and nothing is left behind."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetscope.errors import DataError, OutputError
from unetscope.files import digest, digest_all, read_json, replacing, write_bytes, write_json, write_text


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def full_disk(room: int):
    """No file grows beyond `room` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path):
    path = tmp_path / "new" / "folder" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent, "a rename must not cross a disk"
        temporary.write_text("whole")
    assert content_of(tmp_path) == {"new/folder/file.txt": b"whole"}


class Interruption(BaseException):
    """What neither `except Exception` nor `except OSError` sees."""


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), Interruption()])
@pytest.mark.parametrize("before", [{}, {"file.txt": b"old"}])
def test_an_interruption_leaves_everything_as_it_was(tmp_path: Path, error: BaseException, before: dict[str, bytes]):
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(type(error)) as caught, replacing(tmp_path / "file.txt") as temporary:
        temporary.write_text("half")
        raise error
    assert caught.value is error
    assert content_of(tmp_path) == before


def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with full_disk(10), pytest.raises(OutputError, match=r"file\.bin cannot be written \(.+\); free some space or"):
        write_bytes(path, b"x" * 100)
    assert content_of(tmp_path) == {"file.bin": b"old"}


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path):
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises(
        OutputError, match=r"occupied/inner/file\.txt cannot be written \(.+\); free some space or choose"
    ):
        write_text(tmp_path / "occupied" / "inner" / "file.txt", "text")
    assert content_of(tmp_path) == {"occupied": b"a file"}


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path):
    (tmp_path / "file.txt").mkdir()
    with pytest.raises(OutputError, match=r"file\.txt cannot be written \(Is a directory\)"):
        write_text(tmp_path / "file.txt", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_without_permission_is_named(tmp_path: Path):
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match="Permission denied"):
        write_text(tmp_path / "file.txt", "text")
    tmp_path.chmod(0o755)


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path):
    with pytest.raises(OutputError, match=r"file\.txt cannot be written"), replacing(tmp_path / "file.txt"):
        pass
    assert content_of(tmp_path) == {}


def test_an_error_that_is_already_ours_keeps_its_message(tmp_path: Path):
    with pytest.raises(OutputError, match=r"^the inner file$"), replacing(tmp_path / "file.txt"):
        raise OutputError("the inner file")


def test_two_files_of_one_folder_do_not_disturb_each_other(tmp_path: Path):
    with replacing(tmp_path / "a") as first, replacing(tmp_path / "b") as second:
        first.write_text("1")
        second.write_text("2")
    assert content_of(tmp_path) == {"a": b"1", "b": b"2"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=30)
@given(json_values)
def test_json_round_trip(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("json") / "file.json"
    write_json(path, content)
    assert json.loads(path.read_text(encoding="utf-8")) == content
    assert path.read_bytes().endswith(b"\n")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_json_has_no_numbers_that_are_none(tmp_path: Path, number: float):
    path = tmp_path / "file.json"
    write_json(path, {"loss": 1.0})
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"loss": [number]})
    assert content_of(tmp_path) == {"file.json": before}


def test_text_is_utf8(tmp_path: Path):
    write_text(tmp_path / "file.txt", "µm, 細胞\n")
    assert (tmp_path / "file.txt").read_bytes() == "µm, 細胞\n".encode()


def test_digests(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").write_bytes(b"")
    assert digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest(tmp_path / "b") == hashlib.sha256().hexdigest()


def test_a_digest_of_many_files_knows_names_contents_and_order(tmp_path: Path):
    for name, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / name).write_bytes(content)

    def total(*pairs):
        return digest_all(lambda: iter([(name, tmp_path / file) for name, file in pairs]))

    first = total(("a", "a"), ("b", "b"))
    assert first == total(("a", "c"), ("b", "b")), "where a file lies does not matter"
    assert len({first, total(("b", "b"), ("a", "a")), total(("a", "b"), ("b", "a")), total(("a", "a")), total()}) == 5


def test_json_is_read_as_it_was_written(tmp_path: Path):
    content = {"numbers": [1, 0.5, None], "text": "µ"}
    write_json(tmp_path / "file.json", content)
    assert read_json(tmp_path / "file.json", lambda found: found["numbers"], "plan", "propose") == content["numbers"]


def refuse(_content):
    raise ValueError("it has no layers")


@pytest.mark.parametrize(
    ("content", "parse", "why"),
    [
        (b"", dict, "Expecting value"),
        (b'{"half": ', dict, "Expecting value"),
        (b"\xff\xfe{}", dict, "'utf-8' codec"),
        (b"{}", refuse, "it has no layers"),
    ],
)
def test_what_is_not_what_it_should_be_is_refused_by_its_name(tmp_path: Path, content, parse, why):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{re.escape(str(path))} cannot be read as a plan: {why}"):
        read_json(path, parse, "plan", "propose")


def test_a_file_that_is_missing_is_asked_for(tmp_path: Path):
    with pytest.raises(
        DataError, match=r"none\.json cannot be read \(No such file.*\); give the file that `propose` wrote"
    ):
        read_json(tmp_path / "none.json", dict, "plan", "propose")
