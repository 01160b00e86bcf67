"""The command that serves a page: what it says, what it refuses, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import webbrowser
from urllib.request import urlopen

import pytest
from live_page import make_checkpoint

from unetscope.cli import main
from unetscope.commands import serving
from unetscope.data.dataset import Dataset
from unetscope.data.scenes import write_dataset
from unetscope.model.spec import UNetSpec
from unetscope.serving import server


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a dataset, a run and a smaller one."""
    folder = tmp_path_factory.mktemp("place")
    write_dataset(folder / "data", "cells", train=6, test=2, shape=(32, 32))
    names = Dataset.open(folder / "data").names
    split = {"profile": names[:4], "test": names[6:]}
    make_checkpoint(split=split).save(folder / "run")
    make_checkpoint(UNetSpec.by_level((2, 4)), split=split).save(folder / "slim")
    return folder


WORDS = ("serve", "run", "--slim", "slim", "--dataset", "data", "--port", "0", "--json")


def test_a_page_is_served_until_ctrl_c(place):
    command = [sys.executable, "-m", "unetscope", *WORDS]
    with subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        address = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")["address"]
        with urlopen(f"{address}api/session", timeout=60) as answer:
            session = json.load(answer)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert err.splitlines()[-2:] == [f"page: {address} (Ctrl-C ends it)", "stopped"]
    assert [network["taught"] for network in session["networks"]] == [True, True]
    assert session["samples"] == list(Dataset.open(place / "data").names[6:])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_who_may_come_is_told(place, host, capsys, monkeypatch):
    opened, served = [], []
    monkeypatch.chdir(place)
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(server, "serve", lambda app, listening: served.append(listening.getsockname()[:2]))
    assert main([*WORDS, "--host", host, "--open"]) == 0
    out, err = capsys.readouterr()
    [(bound, port)] = served
    assert bound in (("127.0.0.1", "::1") if host == "localhost" else (host,))
    assert opened == [json.loads(out)["address"]] == [f"http://{host.replace('0.0.0.0', 'localhost')}:{port}/"]
    assert (f"warning: whoever reaches {host} can send images to this program" in err) is (host == "0.0.0.0")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "holds no checkpoint.json"),
        (("run", "--max-megapixels", "0"), "--max-megapixels is 0.0; give a number above 0"),
        (("run", "--max-megabytes", "-1"), "--max-megabytes is -1.0; give a number above 0"),
        (("run", "--port", "70000"), "ports are numbers from 0 to 65535"),
        (("run", "--dataset", "run"), "run"),
        (("run", "--slim", "nowhere"), "holds no checkpoint.json"),
    ],
)
def test_what_cannot_be_served_is_told(place, words, said, capsys, monkeypatch):
    monkeypatch.chdir(place)
    assert main(["serve", *words, *(() if "--port" in words else ("--port", "0"))]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in " ".join(err.split())


def test_a_missing_library_is_told(place, capsys, monkeypatch):
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    assert main(["serve", f"{place}/run"]) == 2
    assert "serving needs starlette, which is not installed; run pip install 'unetscope[serve]'" in " ".join(
        capsys.readouterr().err.split()
    )
