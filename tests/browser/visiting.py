"""A page in a window, beside the content that it was made of; whatever goes wrong in it is listed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page

WIDTHS = (1440, 390)
PATIENCE = 10_000  # milliseconds for one act
OURS = ("data:", "blob:")
PICTURES = """async () => {
    const tries = [...document.images].map((one) => one.decode().then(() => null, () => one.src.slice(0, 60)));
    return (await Promise.all(tries)).filter(Boolean);
}"""
Found = list[dict[str, Any]]


@dataclass
class Drive:
    """A page, what it was made of, and what was found wrong so far."""

    page: Page
    content: dict[str, Any]
    faults: list[str] = field(default_factory=list)

    def expect(self, holds: object, fault: str) -> None:
        if not holds:
            self.faults.append(fault)

    def expect_same(self, shown: object, told: object, where: str) -> None:
        self.expect(shown == told, f"{where}: shown {shown!r:.300}, told {told!r:.300}")

    def layer(self, network: int, name: str) -> Locator:
        return self.page.locator("section.network").nth(network).locator(f"g.layer[data-layer={json.dumps(name)}]")


@contextmanager
def visit(browser: Browser, path: Path, **options: Any) -> Iterator[Drive]:
    """A page in a window of its own, whose complaints and requests become faults."""
    screen = {"viewport": {"width": WIDTHS[0], "height": 900}, "color_scheme": "light", "reduced_motion": "reduce"}
    context = browser.new_context(**{**screen, **options})
    one = Drive(context.new_page(), read_content(path))
    address = path.resolve().as_uri()
    one.page.set_default_timeout(PATIENCE)
    one.page.on("console", lambda said: one.expect(said.type not in ("error", "warning"), f"console: {said.text}"))
    one.page.on("pageerror", lambda error: one.faults.append(f"error: {error}"))
    one.page.on("request", lambda sent: one.expect(sent.url.startswith((address, *OURS)), f"request: {sent.url}"))
    one.page.goto(address)
    yield one
    context.close()


def read_content(path: Path) -> dict[str, Any]:
    """What a page was made of."""
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', path.read_text("utf-8"), re.S)
    assert found, f"{path} is no page of unetscope report"
    return json.loads(found[1])


def show_number(value: float, digits: int) -> str:
    """As the drawing writes it.

    Example:
        >>> show_number(0.12345, 3), show_number(1234.5, 0), show_number(20961, 0)
        ('0.123', '1,235', '21K')
    """
    if abs(value) < 10_000:
        text = f"{Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP):,f}"
        return text.removeprefix("-") if not re.search("[1-9]", text) else text.replace("-", "\u2212")
    short = Decimal(f"{value:.2e}") if abs(value) < 1e12 else Decimal(repr(value))
    for letter, size in (("T", 12), ("B", 9), ("M", 6), ("K", 3)):
        if abs(short) >= 10**size:
            return f"{short.scaleb(-size).normalize():f}{letter}".replace("-", "\u2212")
    raise AssertionError
