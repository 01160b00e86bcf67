import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from unetscope.errors import DataError, OutputError
from unetscope.fetching import download as module
from unetscope.fetching.catalog import RemoteFile
from unetscope.fetching.download import CHECKSUMS, download

CONTENT = bytes(range(256)) * 4000  # about 1 MB, four pieces


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def remote(server: Any, name: str = "a.zip", content: bytes = CONTENT, checksum: str = "") -> RemoteFile:
    server.files[name] = content
    return RemoteFile(name, (f"{server.address}/{name}",), 1, checksum)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_file_with_a_published_checksum_comes_whole(tmp_path: Path, server: Any, algorithm: str) -> None:
    told: list[tuple[int, int, str]] = []
    known = f"{algorithm}:{hashlib.new(algorithm, CONTENT).hexdigest()}"
    result = download(remote(server, checksum=known), tmp_path / "in", progress=lambda *each: told.append(each))
    assert result.path.read_bytes() == CONTENT
    assert (result.sha256, result.checked) == (sha256(CONTENT), "published")
    assert told[-1] == (len(CONTENT), len(CONTENT), "a.zip")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert names(tmp_path / "in") == ["a.zip"]


def test_what_is_there_and_right_is_not_asked_for_again(tmp_path: Path, server: Any) -> None:
    file = remote(server, checksum=sha256(CONTENT))
    download(file, tmp_path)
    download(file, tmp_path)
    assert len(server.asked) == 1
    (tmp_path / "a.zip").write_bytes(b"spoiled")
    assert download(file, tmp_path).path.read_bytes() == CONTENT
    assert len(server.asked) == 2


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_goes_on_where_it_was(tmp_path: Path, server: Any, ranges: bool) -> None:
    server.ranges, server.cuts = ranges, [300_000, 200_000, None]
    assert download(remote(server), tmp_path).path.read_bytes() == CONTENT
    asked = [each.get("Range") for each in server.asked]
    assert asked == [None, "bytes=300000-", "bytes=500000-" if ranges else "bytes=200000-"]
    assert names(tmp_path) == ["a.zip", CHECKSUMS]


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(tmp_path: Path, server: Any) -> None:
    server.cuts = [400_000] + [0] * 5
    with pytest.raises(DataError, match=r"a\.zip .*what has come is kept"):
        download(remote(server), tmp_path)
    assert names(tmp_path) == ["a.zip.part", "a.zip.part.version"]
    server.asked.clear()
    assert download(remote(server), tmp_path).path.read_bytes() == CONTENT
    assert [each["Range"] for each in server.asked] == ["bytes=400000-"]


def test_a_killed_run_is_continued(tmp_path: Path, server: Any) -> None:
    """The process dies in the middle, without a chance to tidy up."""
    file = remote(server)
    script = (
        "import os, sys; from pathlib import Path; from unetscope.fetching.catalog import RemoteFile;"
        "from unetscope.fetching.download import download;"
        "download(RemoteFile('a.zip', (sys.argv[1],)), Path(sys.argv[2]),"
        " progress=lambda done, *_: os._exit(9) if done > 500_000 else None)"
    )
    killed = subprocess.run([sys.executable, "-c", script, file.addresses[0], tmp_path], env=os.environ, check=False)
    assert killed.returncode == 9
    assert "a.zip" not in names(tmp_path)
    assert download(file, tmp_path).path.read_bytes() == CONTENT
    assert server.asked[-1]["Range"].startswith("bytes=") and server.asked[-1]["Range"] != "bytes=0-"


def test_a_file_that_changed_meanwhile_is_not_mixed(tmp_path: Path, server: Any) -> None:
    server.cuts = [400_000] + [0] * 5
    with pytest.raises(DataError):
        download(remote(server), tmp_path)
    other = bytes(len(CONTENT))
    assert download(remote(server, content=other), tmp_path).path.read_bytes() == other


@pytest.mark.parametrize("headers", [{"ETag": None}, {"ETag": 'W/"weak"'}])
def test_without_a_version_nothing_is_pieced_together(tmp_path: Path, server: Any, headers: dict) -> None:
    server.headers, server.cuts = headers, [300_000, None]
    assert download(remote(server), tmp_path).path.read_bytes() == CONTENT
    assert [each.get("Range") for each in server.asked] == [None, None]


def test_the_time_of_change_is_a_version_too(tmp_path: Path, server: Any) -> None:
    server.headers = {"ETag": None, "Last-Modified": "Sat, 01 Jan 2022 00:00:00 GMT"}
    server.cuts = [300_000, None]
    assert download(remote(server), tmp_path).path.read_bytes() == CONTENT
    assert server.asked[1]["If-Range"] == "Sat, 01 Jan 2022 00:00:00 GMT"


@pytest.mark.parametrize("answer", ["bytes 7-99/100", "nonsense"])
def test_a_part_that_does_not_fit_is_thrown_away(tmp_path: Path, server: Any, answer: str) -> None:
    server.cuts = [300_000, None]
    sent: list[int] = []

    def give(handler: Any, content: bytes, give: Any = server._give) -> None:
        sent.append(len(sent))
        server.headers = {"Content-Range": answer} if len(sent) == 2 else {}
        give(handler, content)

    server._give = give
    assert download(remote(server), tmp_path).path.read_bytes() == CONTENT
    assert len(sent) == 3


def test_a_part_that_is_too_long_is_thrown_away(tmp_path: Path, server: Any) -> None:
    file = remote(server)
    (tmp_path / "a.zip.part").write_bytes(CONTENT + b"more")
    version = f'"{hashlib.sha256(CONTENT).hexdigest()[:16]}"'
    (tmp_path / "a.zip.part.version").write_text(version)
    assert download(file, tmp_path).path.read_bytes() == CONTENT


def test_another_file_than_the_published_is_never_used(tmp_path: Path, server: Any) -> None:
    with pytest.raises(DataError, match=rf"{server.address}/a\.zip .*checksum {sha256(b'x')}.*thrown away"):
        download(remote(server, checksum=sha256(b"x")), tmp_path)
    assert names(tmp_path) == []


def test_where_no_checksum_is_published_the_first_one_is_remembered(tmp_path: Path, server: Any) -> None:
    assert download(remote(server), tmp_path).checked == ""
    assert json.loads((tmp_path / CHECKSUMS).read_text()) == {"a.zip": sha256(CONTENT)}
    assert download(remote(server), tmp_path).checked == "first download"
    (tmp_path / "a.zip").unlink()
    with pytest.raises(DataError, match="thrown away"):
        download(remote(server, content=b"changed"), tmp_path)
    assert names(tmp_path) == [CHECKSUMS]
    download(remote(server, "b.zip"), tmp_path)
    assert json.loads((tmp_path / CHECKSUMS).read_text()).keys() == {"a.zip", "b.zip"}


@pytest.mark.parametrize("text", ["{", "[]", '{"a.zip": 3}', "\xff"])
def test_damaged_memories_are_not_trusted(tmp_path: Path, server: Any, text: str) -> None:
    (tmp_path / CHECKSUMS).write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=CHECKSUMS):
        download(remote(server), tmp_path)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_what_is_not_there_is_not_asked_for_twice(tmp_path: Path, server: Any, status: int) -> None:
    file = remote(server)
    server.status = status
    with pytest.raises(DataError, match=f"answered {status}.*--from"):
        download(file, tmp_path)
    assert len(server.asked) == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(tmp_path: Path, server: Any, status: int) -> None:
    file = remote(server)
    server.status = status
    with pytest.raises(DataError, match=f"answered {status}.*try again later"):
        download(file, tmp_path)
    assert len(server.asked) == module._ATTEMPTS


def test_the_next_address_is_tried(tmp_path: Path, server: Any) -> None:
    file = remote(server)
    both = RemoteFile("a.zip", (f"{server.address}/gone.zip", *file.addresses))
    assert download(both, tmp_path).address == file.addresses[0]
    with pytest.raises(DataError, match=r"gone1.*; .*gone2"):
        download(RemoteFile("c.zip", (f"{server.address}/gone1", f"{server.address}/gone2")), tmp_path)


def test_a_mirror_replaces_the_publisher(tmp_path: Path, server: Any) -> None:
    server.files["sets/a.zip"] = CONTENT
    file = RemoteFile("a.zip", ("http://publisher.invalid/elsewhere/a.zip",))
    assert download(file, tmp_path, mirror=f"{server.address}/sets/").address == f"{server.address}/sets/a.zip"


def test_a_web_page_is_not_taken_for_an_archive(tmp_path: Path, server: Any) -> None:
    server.headers = {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(DataError, match=r"web page instead of a\.zip"):
        download(remote(server), tmp_path)
    assert names(tmp_path) == []


def test_redirects_are_followed(tmp_path: Path, server: Any) -> None:
    remote(server)
    server.redirects["old"] = f"{server.address}/a.zip"
    assert download(RemoteFile("a.zip", (f"{server.address}/old",)), tmp_path).path.read_bytes() == CONTENT


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a.zip", "gopher://127.0.0.1/"])
def test_redirects_to_another_scheme_are_refused(tmp_path: Path, server: Any, target: str) -> None:
    server.redirects["old"] = target
    with pytest.raises(DataError, match="http or https"):
        download(RemoteFile("a.zip", (f"{server.address}/old",)), tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("address", ["file:///etc/passwd", "no-scheme/a.zip", "http://"])
def test_addresses_that_are_none_are_refused(tmp_path: Path, server: Any, address: str) -> None:
    with pytest.raises(DataError, match="http or https"):
        download(RemoteFile("a.zip", (address,)), tmp_path)


def test_circles_of_redirects_end(tmp_path: Path, server: Any) -> None:
    server.redirects["a"] = f"{server.address}/a"
    with pytest.raises(DataError, match="cannot be downloaded"):
        download(RemoteFile("a.zip", (f"{server.address}/a",)), tmp_path)


def test_no_network_is_one_sentence(tmp_path: Path, server: Any) -> None:
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:9/a\.zip cannot be reached.*network and the proxy"):
        download(RemoteFile("a.zip", ("http://127.0.0.1:9/a.zip",)), tmp_path)


def test_a_silent_server_is_left(tmp_path: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT_SECONDS", (0.2, 0.05))
    monkeypatch.setattr(module, "_ATTEMPTS", 1)
    import time

    server._give = lambda *_: time.sleep(0.3)
    with pytest.raises(DataError, match="cannot be reached, or breaks off"):
        download(remote(server), tmp_path)


def test_proxies_come_from_the_environment(tmp_path: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is our server: it is asked for the whole address."""
    monkeypatch.setenv("HTTP_PROXY", server.address)
    monkeypatch.setenv("http_proxy", server.address)
    server.files["http://publisher.invalid/a.zip"] = CONTENT
    assert download(RemoteFile("a.zip", ("http://publisher.invalid/a.zip",)), tmp_path).path.read_bytes() == CONTENT


def test_bytes_come_as_they_are_even_if_called_gzip(tmp_path: Path, server: Any) -> None:
    """Some servers say of a .tar.gz that its encoding is gzip; unpacking it would spoil the checksum."""
    import gzip

    content = gzip.compress(CONTENT)
    server.headers = {"Content-Encoding": "gzip"}
    assert download(remote(server, "a.tar.gz", content), tmp_path).path.read_bytes() == content
    assert server.asked[0]["Accept-Encoding"] == "identity"


def test_a_full_disk_is_told_before_anything_comes(
    tmp_path: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(OutputError, match="needs 1 MB more; free some space"):
        download(remote(server), tmp_path)
    assert names(tmp_path) == []


def test_a_disk_that_fills_up_keeps_what_came(tmp_path: Path, server: Any) -> None:
    def fill(done: int, *_: object) -> None:
        if done > 500_000:
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left on device"):
        download(remote(server), tmp_path, progress=fill)
    assert "a.zip.part" in names(tmp_path)
    assert download(remote(server), tmp_path).path.read_bytes() == CONTENT


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, server: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        download(remote(server), tmp_path / "file" / "in")


def test_a_missing_extra_is_named(tmp_path: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DataError, match=r"pooch.*unetscope\[fetch\]"):
        download(remote(server), tmp_path)


def test_nothing_is_printed(tmp_path: Path, server: Any, capfd: pytest.CaptureFixture[str]) -> None:
    download(remote(server), tmp_path)
    assert capfd.readouterr() == ("", "")
