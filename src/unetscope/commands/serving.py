"""The page live in a browser: `serve`."""

from __future__ import annotations

import webbrowser
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from unetscope import console
from unetscope.errors import SpecError
from unetscope.options import Folders, FoldersOptions

if TYPE_CHECKING:
    from unetscope.data.dataset import Dataset
    from unetscope.serving.networks import Network

LIBRARIES = ("starlette", "uvicorn")


def serve(
    run: Path,
    /,
    *,
    slim: Path | None = None,
    dataset: Path | None = None,
    port: int = 8765,
    host: str = "127.0.0.1",
    open: bool = False,
    max_megapixels: float = 64.0,
    max_megabytes: float = 256.0,
    json: bool = False,
    folders: FoldersOptions = Folders(),
) -> None:
    """Show a network at work in a browser: drop an image, and ask every layer what it knows of a pixel.

    Args:
        run: Run folder that `train` wrote.
        slim: Run folder of a smaller network to put beside it, such as `slim` or `shrink` wrote.
        dataset: The images and labels that the runs were trained on; they teach the layers' readers.
        port: Port to listen on; 0 takes any that is free.
        host: Name or address to listen on; the default is reached from this machine alone.
        open: Open the page in the browser.
        max_megapixels: Millions of pixels that an image may have, of all planes together.
        max_megabytes: Millions of bytes that a file may have.
        json: Print the address as JSON on standard output.
        folders: Where the dataset keeps its files, and how they and dropped files are read.
    """
    _check_installed()
    from unetscope.serving.app import make_app
    from unetscope.serving.guard import is_loopback
    from unetscope.serving.images import Limits
    from unetscope.serving.networks import open_networks
    from unetscope.serving.server import address_of, listen
    from unetscope.serving.server import serve as serve_app
    from unetscope.serving.session import Session

    limits = Limits(max_megapixels, max_megabytes)
    with listen(host, port) as listening:
        opened = None if dataset is None else folders.open(dataset)
        with console.show_progress("comparing engines"):  # the first time for this network on this machine
            networks = open_networks([run] if slim is None else [run, slim])
        if opened is not None:
            networks = tuple(_teach(network, opened) for network in networks)
        session = Session(networks, limits, opened)
        address = address_of(listening, host)
        if not is_loopback(host):
            console.warn(f"whoever reaches {host} can send images to this program; do so in networks that you trust")
        console.say(f"page: {address} (Ctrl-C ends it)")
        if json:
            console.print_json({"address": address})
        if open:
            webbrowser.open(address)
        serve_app(make_app(session, host, folders.axes), listening)
    console.say("stopped")


def _check_installed() -> None:
    """Refuse to begin where the server's libraries are missing."""
    for library in LIBRARIES:
        if find_spec(library) is None:
            raise SpecError(
                f"serving needs {library}, which is not installed; run pip install 'unetscope[serve]', or draw a page "
                "that needs no server with `unetscope report`"
            )


def _teach(network: Network, dataset: Dataset) -> Network:
    """Teach the readers of a network, and say how far that is."""
    from unetscope.serving.networks import teach

    with console.show_progress(f"teaching readers of {network.name}") as bar:
        return teach(network, dataset, bar.update)
