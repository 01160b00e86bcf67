"""What a server answers to its own page, and to everybody else."""

from __future__ import annotations

import json
import re
import socket
import time
import zlib
from base64 import b64decode
from io import BytesIO
from select import select

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live_page import draw, make_network, serving, to_png
from PIL import Image

from unetscope.serving import app
from unetscope.serving.guard import HEADERS
from unetscope.serving.session import Session

IMAGE = draw(40, 56)
QUICK = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_picture(address: str) -> Image.Image:
    kind, _, content = address.partition(";base64,")
    assert kind in ("data:image/png", "data:image/webp")
    return Image.open(BytesIO(b64decode(content)))


@pytest.fixture
def key(page) -> str:
    return page.drop("cells.png", to_png(IMAGE)).json["key"]


# ------------------------------------------------------------------------------------------------------- the own page


def test_the_page_and_all_that_it_names_are_answered(page):
    opened = page.get("/")
    assert (opened.status, opened.headers["content-type"]) == (200, "text/html; charset=utf-8")
    named = re.findall(rb'(?:href|src)="(assets/[^"]+)"', opened.body)
    assert len(named) == len(app.STYLES) + len(app.SCRIPTS)
    for name in named:
        answer = page.get(f"/{name.decode()}")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(("text/css", "text/javascript"))
    assert re.findall(rb"(?:https?:|<script>|<style>| on\w+=| style=)", opened.body) == []


def test_the_page_knows_what_it_shows(page):
    session = page.get("/api/session").json
    assert [network["title"] for network in session["networks"]] == ["original", "slimmed"]
    assert session["classes"] == ["background", "cell"]
    assert session["limits"] == {"bytes": 100_000, "megabytes": 0.1, "megapixels": 0.02}
    for network in session["networks"]:
        assert network["svg"].startswith('<svg class="u"')
        assert " style=" not in network["svg"]
        assert [layer["name"] for layer in network["layers"]][-1] == "head"
        assert network["engine"].startswith("torch ")


def test_an_image_is_segmented_as_the_network_does_it(page):
    dropped = page.drop("some cells.png", to_png(IMAGE)).json
    assert (dropped["name"], dropped["height"], dropped["width"], dropped["planes"]) == ("some cells.png", 40, 56, 1)
    assert read_picture(dropped["picture"]).size == (56, 40)
    expected = [
        make_network(spec).segmenter.labels(IMAGE[None]) for spec in (make_network().checkpoint.spec, app_spec(2, 4))
    ]
    for number, labels in enumerate(expected):
        found = page.post("/api/segmentations", key=dropped["key"], plane=0, network=number).json
        drawn = np.asarray(read_picture(found["labels"]).convert("RGBA"))
        np.testing.assert_array_equal(drawn[..., 3] > 0, labels > 0)
        assert found["milliseconds"] > 0
        assert found["runs"] >= 1
        assert found["shares"] == [["background", np.mean(labels == 0)], ["cell", np.mean(labels == 1)]]
        assert found["differs"] == (None if number == 0 else np.mean(labels != expected[0]))
        assert 0 < np.mean(labels) < 1


def app_spec(*widths):
    return make_network().checkpoint.spec.by_level(widths)


def test_a_pixel_is_answered_layer_by_layer(page, key):
    labels = make_network().segmenter.labels(IMAGE[None])
    for y, x in [(0, 0), (39, 55), (20, 30)]:
        said = page.post("/api/pixels", key=key, plane=0, network=0, y=y, x=x).json
        assert sum(said["chances"]) == pytest.approx(1, abs=1e-5)
        assert np.argmax(said["chances"]) == labels[y, x]
        assert [*said["layers"]] == list(make_network().checkpoint.spec.wiring.layers)
        for layer, told in said["layers"].items():
            assert told["chances"] is None
            assert told["active"] is None if layer == "head" else 0 <= told["active"] <= 1


def test_nothing_is_left_on_the_disk(page, temporary):
    assert page.drop("a.png", to_png(IMAGE)).status == 200
    assert page.drop("a.png", to_png(IMAGE)[:50]).status == 422
    assert page.drop("a.png", bytes(200_000)).status == 413
    assert list(temporary.iterdir()) == []


def test_an_image_that_nobody_holds_any_more_is_gone(page):
    first = page.drop("a.png", to_png(IMAGE)).json["key"]
    for _ in range(8):
        page.drop("a.png", to_png(IMAGE))
    answer = page.post("/api/segmentations", key=first, plane=0, network=0)
    assert answer.status == 410
    assert "drop it again" in answer.json["error"]


# ---------------------------------------------------------------------------------------------------------- strangers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:1234", 200),
        ("[::1]:80", 200),
        ("LOCALHOST", 200),
        ("evil.example", 421),
        ("evil.example:8765", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1@evil.example", 421),
        ("192.0.2.7", 421),
        ("", 421),
        ("[", 421),
        (None, 400),
    ],
)
def test_a_request_must_be_addressed_to_this_machine(page, host, status):
    for path in ("/", "/api/session", "/assets/serve.js"):
        assert page.ask("GET", path, headers={"Host": host}).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 410),
        ({"Origin": "http://127.0.0.1:{port}"}, 410),
        ({"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}, 410),
        ({"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:{port}"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
    ],
)
def test_only_our_own_page_may_let_something_be_computed(page, headers, status):
    filled = {name: value.format(port=page.port) for name, value in headers.items()}
    body = json.dumps({"key": "none", "plane": 0, "network": 0}).encode()
    assert page.ask("POST", "/api/segmentations", body, filled).status == status


@pytest.mark.parametrize("path", ["/", "/api/session", "/assets/serve.css", "/nowhere", "/api/images"])
def test_every_answer_tells_browsers_to_be_careful(page, path):
    answer = page.get(path)
    assert {name: answer.headers[name.lower()] for name in HEADERS} == dict(HEADERS)
    assert not [name for name in answer.headers if name.startswith("access-control") or name == "server"]


@pytest.mark.parametrize(
    "path", ["/nowhere", "/assets/..%2fapp.py", "/assets/../app.py", "/assets/", "/assets/page.html", "/api", "//"]
)
def test_no_other_file_is_sent(page, path):
    answer = page.get(path)
    assert answer.status == 404
    assert list(answer.json) == ["error"]


SAID = b'{"key": %s, "plane": %s, "network": 0, "y": 0, "x": 0}'


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 9000, SAID % (b"1", b"0")]
    + [SAID % (b'"k"', each) for each in (b"1.0", b"true", b'"0"', b"[]")],
)
def test_words_that_say_nothing_are_refused(page, body):
    for path in ("/api/segmentations", "/api/pixels", "/api/planes", "/api/samples"):
        answer = page.ask("POST", path, body)
        assert answer.status in (400, 404)
        assert answer.json["error"]


@QUICK
@given(
    fields=st.fixed_dictionaries(
        {name: st.integers() | st.none() | st.floats() | st.text(max_size=5) for name in ("plane", "network", "y", "x")}
    )
)
def test_hostile_numbers_never_break_it(page, key, fields):
    for path in ("/api/pixels", "/api/planes", "/api/segmentations"):
        answer = page.post(path, key=key, **fields)
        assert answer.status in (200, 400, 410), answer.json


def test_many_words_are_not_read(page):
    assert page.ask("POST", "/api/planes", b" " * 20_000).status == 413


# ------------------------------------------------------------------------------------------------------------- limits


def test_a_file_is_refused_as_soon_as_it_says_how_long_it_is(page):
    answer = page.ask("POST", "/api/images?name=a.png", b"", {"Content-Length": str(10**15)})
    assert answer.status == 413
    assert "--max-megabytes" in answer.json["error"]


def test_a_file_that_does_not_say_how_long_it_is_is_read_up_to_the_limit(page):
    sent = 0
    with socket.create_connection(("127.0.0.1", page.port)) as connection:
        head = (
            f"POST /api/images?name=a.png HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        connection.sendall(head.encode())
        while sent < 100 and not select([connection], [], [], 0.02)[0]:
            connection.sendall(b"4000\r\n" + bytes(0x4000) + b"\r\n")
            sent += 1
        assert connection.recv(100).startswith(b"HTTP/1.1 413")
    assert sent < 30


def test_an_image_is_refused_before_it_is_decoded(page):
    """A small file that would fill 30 GB."""
    head = b"IHDR" + (100_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    png = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + head + zlib.crc32(head).to_bytes(4, "big")
    idat = b"IDAT" + zlib.compress(bytes(10_000))
    png += (len(idat) - 4).to_bytes(4, "big") + idat + zlib.crc32(idat).to_bytes(4, "big")
    started = time.monotonic()
    answer = page.drop("bomb.png", png)
    assert time.monotonic() - started < 5
    assert answer.status == 413
    assert "10,000 million pixels" in answer.json["error"]


def test_a_sender_who_falls_silent_is_not_waited_for(page, monkeypatch):
    monkeypatch.setattr(app, "SILENCE", 0.1)
    answer = page.ask("POST", "/api/images?name=a.png", b"x", {"Content-Length": "1000"})
    assert answer.status == 408


# ------------------------------------------------------------------------------------------------------------- faults


def test_a_fault_of_ours_is_told_in_the_terminal_alone(capsys):
    session = Session([make_network()])
    session.hold = lambda image: 1 / 0
    with serving(session) as page:
        answer = page.drop("a.png", to_png(IMAGE))
        assert page.get("/").status == 200
    assert answer.status == 500
    assert answer.json == {"error": "this is a fault of unetscope and not yours; the terminal that runs it says where"}
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_too_little_memory_is_said(error):
    session = Session([make_network()])

    def hold(_image):
        raise error

    session.hold = hold
    with serving(session) as page:
        answer = page.drop("a.png", to_png(IMAGE))
    assert answer.status == 413
    assert answer.json["error"].startswith("the memory is used up")
