"""Any page, driven by what its own content says: everything in it is used, and whatever is wrong is listed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from driving_drawing import open_layers, switch_measures, walk_layers
from driving_images import order_gallery, view_images
from playwright.sync_api import Browser, Error
from visiting import WIDTHS, Drive, visit


def drive(browser: Browser, path: Path) -> list[str]:
    """Use everything on a page; of many epochs and layers, a sample.

    Args:
        browser: Which shows it.
        path: The page, as `report` wrote it.

    Returns:
        What is wrong with it, a sentence each: errors told in the console, requests for anything outside the document,
        numbers that are not those of the content, whatever did not answer.
    """
    with visit(browser, path) as one:
        for step in STEPS:
            try:
                step(one)
            except Error as error:
                one.faults.append(f"{step.__name__}: {error.message:.600}")
    return one.faults


ODD = """() => {
    const ODD_TEXT = /\\b(undefined|NaN|null|None)\\b|\\[object|Infinity|\\u22120(\\.0+)?(?![\\d.,])/;
    const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
    const links = [...document.querySelectorAll("a[href^='#']")].map((link) => link.getAttribute("href").slice(1));
    const texts = document.createTreeWalker(document.getElementById("page"), NodeFilter.SHOW_TEXT);
    const odd = [];
    while (texts.nextNode()) {
        const { textContent: text, parentElement: holder } = texts.currentNode;
        const isCode = holder.closest("pre, code");
        if (!isCode && ODD_TEXT.test(text)) odd.push(text);
    }
    return {
        twice: ids.filter((id, place) => ids.indexOf(id) !== place),
        nowhere: links.filter((id) => !ids.includes(id)),
        odd,
        rowless: [...document.querySelectorAll("table")].filter((one) => !one.tBodies[0]?.rows.length)
            .map((one) => one.caption?.textContent),
        broken: [...document.querySelectorAll("tr")].filter((row) => {
            const head = row.closest("table").tHead.rows[0];
            return row.cells.length !== head.cells.length;
        }).map((row) => row.textContent),
    };
}"""


def read_page(one: Drive) -> None:
    """Title and answers are those of the content; nothing is named twice, leads nowhere or says `undefined`."""
    page, content = one.page, one.content
    one.expect_same(page.locator("h1").text_content(), content["title"], "title")
    answers = page.locator("li.answer").evaluate_all("all => all.map((one) => [...one.querySelectorAll('p:not(.way)')]"
                                                     ".map((text) => text.textContent))")  # fmt: skip
    one.expect_same(answers, [answer["sentences"] for answer in content["answers"]], "answers")
    commands = page.locator("#answers code").all_text_contents()
    one.expect_same(commands, [answer["missing"] for answer in content["answers"] if answer["missing"]], "commands")
    for kind, found in page.evaluate(ODD).items():
        one.expect(not found, f"{kind} in the page: {found!r:.300}")


FOLD = """() => [...document.querySelectorAll("details")].filter((one) => {
    const before = one.open;
    const toggled = [0, 1].map(() => { one.querySelector("summary").click(); return one.open !== before; });
    one.open = true;
    return !toggled[0] || toggled[1];
}).map((one) => one.textContent.slice(0, 60))"""


def fold_details(one: Drive) -> None:
    """Everything folded opens and closes; it stays open for what comes."""
    stuck = one.page.evaluate(FOLD)
    one.expect(not stuck, f"does not open or close: {stuck}")


def save_downloads(one: Drive) -> None:
    """Every file is offered as it is, and can be read."""
    files = one.content["downloads"]
    buttons = one.page.locator(".downloads button")
    one.expect_same(buttons.count(), len(files), "files to save")
    for file, button in zip(files, buttons.all(), strict=False):
        with one.page.expect_download() as waiting:
            button.click()
        one.expect_same(waiting.value.suggested_filename, file["name"], "the name of a file")
        one.expect(waiting.value.path().read_bytes() == file["text"].encode(), f"{file['name']} differs")
        if file["type"] == "text/csv":
            widths = {len(row) for row in csv.reader(io.StringIO(file["text"], newline=""))}
            one.expect_same(len(widths), 1, f"lengths of the rows of {file['name']}")
        else:
            json.loads(file["text"])


def change_scheme(one: Drive) -> None:
    """Dark, light, and dark again."""
    colors = []
    for name in ("Dark colors", "Light colors", "Dark colors"):
        one.page.get_by_role("button", name=name).click()
        colors.append(one.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    one.expect(colors[0] == colors[2] != colors[1], f"light and dark are {colors}")


WIDE = """() => [...document.querySelectorAll("#page *")].filter((one) => {
    const scrolled = one.parentElement.closest(".scroll, .u-box, pre, code, .command, .hidden, dialog");
    return !scrolled && one.getBoundingClientRect().right > innerWidth + 1;
}).slice(0, 3).map((one) => `${one.tagName}.${one.className.baseVal ?? one.className}`)"""


def measure_widths(one: Drive) -> None:
    """With everything open nothing is wider than the screen, nor is the large view."""
    page, networks = one.page, one.content["networks"]
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if networks:
            one.layer(0, networks[0]["layers"][-1]["name"]).locator(".block").click()
        wide = page.evaluate("document.documentElement.scrollWidth")
        one.expect(wide <= width, f"{wide} pixels wide on a screen of {width}: {page.evaluate(WIDE)}")
        if one.content["segmentation"]["gallery"]:
            page.locator(".tile").first.click()
            over = page.locator(".viewer").evaluate("node => node.scrollWidth - node.clientWidth")
            one.expect(over <= 0, f"the large view is {over} pixels too wide on a screen of {width}")
            page.keyboard.press("Escape")


STEPS = (
    read_page,
    switch_measures,
    open_layers,
    walk_layers,
    order_gallery,
    view_images,
    fold_details,
    save_downloads,
    change_scheme,
    measure_widths,
)
