"""The gallery of any page, used as its content says: every order, overlay and image."""

from __future__ import annotations

import math
from collections.abc import Callable

from playwright.sync_api import Locator
from visiting import PICTURES, Drive, Found, show_number

OVERLAYS: dict[str, Callable[[dict, int], str | None]] = {
    "nothing": lambda picture, network: None,
    "label": lambda picture, network: picture["label"],
    "prediction": lambda picture, network: picture["predictions"][network],
    "errors": lambda picture, network: picture["errors"][network],
}

TILES = """() => [...document.querySelectorAll(".tile")].map((tile) => [
    tile.querySelector(".tile-name").textContent, tile.querySelector(".tile-score").textContent,
    tile.querySelector(".over")?.getAttribute("src").slice(-60) ?? null])"""
LARGE = """() => [document.querySelector(".viewer h2").textContent,
    [...document.querySelectorAll(".viewer figure")].map((figure) => [
        figure.textContent, figure.querySelector(".over")?.getAttribute("src").slice(-60) ?? null])]"""
FADED = "node => Number(getComputedStyle(node).opacity)"


def order_gallery(one: Drive) -> None:
    """Every order, overlay and network shows the pictures that the content has for it."""
    gallery, networks = one.content["segmentation"]["gallery"], one.content["networks"]
    if not gallery:
        return
    page = one.page
    choice = page.locator("#segmentation .toolbar select")
    one.expect_same(choice.count(), int(len(networks) > 1), "choices of a network")
    for order, key in (("uncertainty", _by_uncertainty), ("dice", _by_dice)):
        page.locator(f'input[type=radio][value="{order}"]').check(force=True)
        for overlay, pick in OVERLAYS.items():
            page.locator(f'input[type=radio][value="{overlay}"]').check(force=True)
            for network in range(len(networks)):
                if choice.count():
                    choice.select_option(index=network)
                told = [[picture["name"], _score(picture), _end(pick(picture, network))]
                        for picture in sorted(gallery, key=key)]  # fmt: skip
                one.expect_same(page.evaluate(TILES), told, f"{overlay} of network {network} by {order}")
    _fade(one, page.locator("#segmentation .toolbar input[type=range]"), page.locator(".tile .over"))


def _by_dice(picture: dict) -> float:
    return math.inf if picture["dice"] is None else picture["dice"]


def _by_uncertainty(picture: dict) -> float:
    return math.inf if picture["uncertainty"] is None else -picture["uncertainty"]


def _score(picture: dict) -> str:
    dice, unsure = picture["dice"], picture["uncertainty"]
    said = "no Dice" if dice is None else f"Dice {show_number(dice, 3)}"
    return said if unsure is None else f"{said}uncertainty {show_number(unsure, 2)}"


def _end(uri: str | None) -> str | None:
    return None if uri is None else uri[-60:]


def _fade(one: Drive, slider: Locator, over: Locator) -> None:
    for key, strength in (("Home", 0.0), ("ArrowRight", 0.1), ("End", 1.0)):
        slider.press(key)
        if over.count():
            one.expect_same(over.first.evaluate(FADED), strength, f"the strength after {key}")


def view_images(one: Drive) -> None:
    """Every image is shown large with all that is known of it; arrows lead around, Escape back."""
    gallery, networks = one.content["segmentation"]["gallery"], one.content["networks"]
    if not gallery:
        return
    page, told = one.page, [_tell_views(picture, networks) for picture in sorted(gallery, key=_by_dice)]
    page.locator(".tile").first.click()
    for views in (*told, told[0]):
        one.expect_same(page.evaluate(LARGE), views, "the large view")
        page.keyboard.press("ArrowRight")
    _fade(one, page.locator(".viewer input[type=range]"), page.locator(".viewer .over"))
    page.get_by_role("button", name="Image before").click()
    one.expect_same(page.evaluate(LARGE)[0], told[0][0], "the image before the second")
    page.keyboard.press("Escape")
    one.expect(page.locator(".viewer").is_hidden(), "Escape does not close the large view")
    entries = page.locator(".first button")
    one.expect_same(entries.all_text_contents(), one.content["segmentation"]["first"], "what to look at first")
    for name, entry in zip(one.content["segmentation"]["first"], entries.all(), strict=False):
        entry.click()
        one.expect_same(page.evaluate(LARGE)[0], name, "an image to look at first")
        page.keyboard.press("Escape")
    broken = page.evaluate(PICTURES)
    one.expect(not broken, f"pictures that cannot be shown: {broken}")


def _tell_views(picture: dict, networks: Found) -> list:
    """The name, and what stands under each view with the end of what lies over it."""
    several = len(networks) > 1
    parts = {
        kind: [[f"{title} ({network['name']})" if several else title, _end(uri)]
               for network, uri in zip(networks, picture[kind], strict=False) if uri]
        for kind, title in (("predictions", "prediction"), ("errors", "errors"))
    }  # fmt: skip
    label = [["label", _end(picture["label"])]] if picture["label"] else []
    middle = [*parts["predictions"], *label] if several else [*label, *parts["predictions"]]
    return [picture["name"], [["image", None], *middle, *parts["errors"]]]
