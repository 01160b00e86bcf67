"""One browser for all tests, and pages that note whatever goes wrong in them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from page_sample import sample_content
from playwright.sync_api import Browser, Page, sync_playwright

from unetscope.reporting.page.assembly import assemble, embed_json

RESET = "document.documentElement.removeAttribute('style')"


class Pages:
    """Pages by screen; one that was opened before is given another content."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.browser, self.folder = browser, folder
        self.kept: dict[str, Page] = {}
        self.faults: list[str] = []
        self.requests: list[str] = []

    def open(self, content: Mapping[str, Any], fresh: bool = False, **options: Any) -> Page:
        """A page that shows a content.

        Args:
            content: What `assemble` takes.
            fresh: Read the document from a file instead of reusing a page.
            options: `width`, `scheme`, or any of a context of Playwright's.
        """
        key = repr(sorted(options.items()))
        if fresh or key not in self.kept:
            self.kept[key] = self._load(content, **options)
        else:
            self.kept[key].evaluate(
                f"text => {{ {RESET}; unetscope.main.show(JSON.parse(text)) }}", embed_json(content)
            )
        return self.kept[key]

    def _load(self, content: Mapping[str, Any], width: int = 1440, scheme: str = "light", **options: Any) -> Page:
        path = self.folder / "page.html"
        path.write_text(assemble(content), encoding="utf-8")
        screen: dict[str, Any] = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme, **options}
        page = self.browser.new_context(reduced_motion="reduce", **screen).new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda said: self.faults.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri())
        self.requests.remove(path.as_uri())
        return page


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, or Google's; Playwright's own is never downloaded."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium on this machine; apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pages(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return Pages(chromium, tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="session")
def content() -> dict[str, Any]:
    return sample_content()


@pytest.fixture
def open_page(pages: Pages) -> Iterator[Callable[..., Page]]:
    """`Pages.open`; afterwards no error was told and nothing was fetched from anywhere."""
    pages.faults.clear()
    pages.requests.clear()
    yield pages.open
    assert pages.faults == []
    assert [url for url in pages.requests if not url.startswith(("data:", "blob:"))] == []
