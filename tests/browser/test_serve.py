"""The live page in a real browser, served by the command line in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.images import write_image
from unetscope.data.normalization import Normalization
from unetscope.data.scenes import write_dataset
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet

Visit = Callable[..., Page]
REFUSED = "the server responded with a status of 422"  # Chromium notes every refusal


@dataclass(frozen=True)
class Served:
    """A server, and the folder that it was given."""

    address: str
    folder: Path


@pytest.fixture(scope="module")
def served(pages: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    write_dataset(folder / "data", "cells", train=6, test=2, shape=(48, 64))
    names = Dataset.open(folder / "data").names
    for name, widths in (("run", (4, 8, 8)), ("slim", (2, 4))):
        spec, split = UNetSpec.by_level(widths), {"profile": names[:4], "test": names[6:]}
        weights, classes = UNet(spec).state_dict(), ("background", "<b>cell</b>")
        Checkpoint(spec, weights, Normalization.range(0, 255), classes, split=split).save(folder / name)
    words = ["serve", "run", "--slim", "slim", "--dataset", "data", "--port", "0", "--max-megabytes", "0.2", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "unetscope", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    told = "".join(iter(process.stdout.readline, "}\n")) + "}"
    yield Served(json.loads(told)["address"], folder)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said.splitlines()[-1]) == (0, "stopped")


@pytest.fixture
def visit(pages: Any, served: Served) -> Iterator[Visit]:
    """Opens the page; afterwards nothing was complained about, and nobody else was asked for anything."""
    faults: list[str] = []
    asked: list[str] = []
    contexts = []

    def open_(width: int = 1280, scheme: str = "light", **options) -> Page:
        context = pages.browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce", **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on(
            "console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(served.address)
        expect(page.locator("h1")).to_have_text("run beside slim")
        return page

    expect.set_options(timeout=15_000)
    yield open_
    for context in contexts:
        context.close()
    assert [fault for fault in faults if REFUSED not in fault] == []
    assert [url for url in asked if not url.startswith((served.address, "data:"))] == []


def grave_faults(page: Page) -> list[tuple[str, str]]:
    """What axe-core finds."""
    found = Axe().run(page).response["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]


def wait_for_labels(page: Page, name: str) -> None:
    expect(page.locator("section.part h2").first).to_have_text(name)
    expect(page.locator("figure .time")).to_have_count(2)
    expect(page.locator("figure .time").first).to_contain_text("ms")
    expect(page.locator("figure img.over:visible")).to_have_count(2)


def test_an_image_is_dropped_and_a_pixel_is_clicked(visit: Visit, served: Served) -> None:
    page = visit()
    write_image(served.folder / "new cells.png", np.random.default_rng(0).integers(0, 255, (60, 90)).astype(np.uint8))
    page.locator("input[type=file]").set_input_files(served.folder / "new cells.png")
    wait_for_labels(page, "new cells.png")
    views = page.locator(".pickable")
    expect(views).to_have_count(3)
    box = views.nth(2).bounding_box()
    views.nth(2).click(position={"x": box["width"] * 60.5 / 90, "y": box["height"] * 20.5 / 60})
    expect(page.locator(".where")).to_have_text("Row 20, column 60.")
    expect(page.locator(".cross-mark:visible")).to_have_count(3)
    for network, layers in ((0, 13), (1, 8)):
        section = page.locator("section.network").nth(network)
        numbers = section.locator("g.layer .number").all_text_contents()
        rows = section.locator("tbody tr")
        assert len(numbers) == rows.count() == layers
        assert all(0 <= float(text) <= 1 for text in numbers)
        shares = [float(cell) for cell in rows.locator("td:nth-last-child(2)").all_text_contents()]
        assert all(0 <= share <= 1 for share in shares)
        expect(section.locator("thead th").nth(2)).to_have_text("<b>cell</b>")
    assert page.locator("b").count() == 0


def test_a_class_and_a_layer_are_chosen(visit: Visit) -> None:
    page = visit(bypass_csp=True)
    page.get_by_role("button", name="Show").click()
    wait_for_labels(page, page.locator("#sample").input_value())
    page.locator(".pickable").first.click()
    section = page.locator("section.network").first
    expect(section.locator("g.layer .number").first).not_to_be_empty()
    rows = section.locator("tbody tr").first.locator("td")
    for place, name in enumerate(["background", "<b>cell</b>"]):
        page.locator(".choices label", has_text=name).click()
        expect(section.locator("g.layer .number").first).to_have_text(rows.nth(place).text_content())
    layer = section.locator('g.layer[data-layer="bottleneck.conv1"]')
    layer.click()
    expect(layer).to_have_attribute("aria-pressed", "true")
    expect(section.locator("tr.chosen th")).to_have_text("bottleneck.conv1")
    expect(page.get_by_role("status")).to_contain_text("bottleneck.conv1")
    assert grave_faults(page) == []


def test_everything_works_from_the_keyboard(visit: Visit) -> None:
    page = visit(width=390, scheme="dark", bypass_csp=True)
    page.locator("#choose").focus()
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for_labels(page, page.locator("#sample").input_value())
    image = page.get_by_role("application")
    image.focus()
    for key in ("ArrowLeft", "Shift+ArrowRight", "ArrowUp", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    expect(page.get_by_role("status")).to_have_text("Row 23, column 41")
    page.keyboard.press("Enter")
    expect(page.locator(".where")).to_have_text("Row 23, column 41.")
    expect(page.get_by_role("status")).to_contain_text("original says")
    for _ in range(80):
        page.keyboard.press("ArrowUp")
    expect(page.get_by_role("status")).to_have_text("Row 0, column 41")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert grave_faults(page) == []


def test_what_cannot_be_segmented_is_told_and_the_page_goes_on(visit: Visit, served: Served) -> None:
    page = visit()
    (served.folder / "broken.png").write_bytes(b"\x89PNG nothing")
    (served.folder / "words.txt").write_text("cells")
    (served.folder / "large.png").write_bytes(bytes(300_000))
    alert = page.get_by_role("alert")
    for name, said in (
        ("words.txt", "words.txt does not end like an image"),
        ("large.png", "large.png has 0.3 million bytes"),
        ("<img src=x onerror=alert(1)>.png", "onerror=alert(1)>.png cannot be read as png"),
    ):
        path = served.folder / name
        payload = {"name": name, "mimeType": "", "buffer": path.read_bytes() if path.exists() else b"nothing"}
        page.locator("input[type=file]").set_input_files(payload)
        expect(alert).to_contain_text(said)
    assert page.locator("img[onerror]").count() == 0
    page.get_by_role("button", name="Next").click()
    wait_for_labels(page, page.locator("#sample").input_value())
    expect(alert).to_be_hidden()
