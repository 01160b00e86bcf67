"""Small networks on a page, and a server that answers real requests; what tests of serving share."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from io import BytesIO
from threading import Thread
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from PIL import Image

from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.information.subject import subject_of
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.segmentation import Segmenter, Tiling
from unetscope.serving.app import make_app
from unetscope.serving.networks import Network
from unetscope.serving.server import listen, serve
from unetscope.serving.session import Session

SPEC = UNetSpec.by_level((4, 8))
EXACT = Tiling(engine="torch", precision="float32")


def make_checkpoint(spec: UNetSpec = SPEC, **more: Any) -> Checkpoint:
    """A network with random weights that expects intensities up to 255, and finds each of its classes somewhere."""
    torch.manual_seed(3)
    network = UNet(spec).eval()
    sides = (64,) * spec.ndim
    seen = torch.from_numpy(draw(*sides) / np.float32(255)).expand(1, spec.image_channels, *sides)
    with torch.no_grad():
        means = network(seen).mean(dim=(0, *range(2, 2 + spec.ndim)))
        network.get_parameter("head.conv.bias").sub_(means)
    classes = ("background", "cell", "wall")[: max(2, spec.classes)]
    return Checkpoint(spec, network.state_dict(), Normalization.range(0, 255), classes, **more)


def make_network(spec: UNetSpec = SPEC, title: str = "", tiling: Tiling = EXACT, **more: Any) -> Network:
    checkpoint = make_checkpoint(spec, **more)
    return Network(title or "tiny", title, checkpoint, Segmenter(checkpoint, tiling), subject_of(checkpoint))


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    """An image with some structure."""
    chance = np.random.default_rng(seed)
    coarse = chance.integers(0, 255, [-(-size // 8) for size in shape]).astype(np.uint8)
    for axis, size in enumerate(shape):
        coarse = coarse.repeat(8, axis=axis).take(range(size), axis=axis)
    return coarse // 2 + chance.integers(0, 120, shape).astype(np.uint8)


def to_png(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Page:
    """A server as its page sees it."""

    port: int

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str | None] = {}) -> Answer:
        sent = {"Host": f"127.0.0.1:{self.port}", **headers}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            if isinstance(body, bytes) and "Transfer-Encoding" not in sent:
                sent.setdefault("Content-Length", str(len(body)))
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(body, encode_chunked=not isinstance(body, bytes | None))
            answer = connection.getresponse()
            return Answer(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, **fields: Any) -> Answer:
        return self.ask("POST", path, json.dumps(fields).encode())

    def drop(self, name: str, content: bytes) -> Answer:
        return self.ask("POST", f"/api/images?name={quote(name, safe='')}", content)


@contextmanager
def serving(session: Session, host: str = "127.0.0.1") -> Iterator[Page]:
    listening, servers = listen("127.0.0.1", 0), []
    thread = Thread(target=serve, args=(make_app(session, host), listening, servers.append))
    thread.start()
    try:
        yield Page(listening.getsockname()[1])
    finally:
        while not servers:
            thread.join(0.01)
        servers[0].should_exit = True
        thread.join()
