"""The U of any page, used as its content says: every measure, epoch and layer."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from playwright.sync_api import Locator
from visiting import PICTURES, Drive, Found, show_number

MOST_STATES = 60  # measures at epochs
MOST_LAYERS = 40  # of each network, opened and walked through
CLICKED = 3  # layers of each network, by mouse

DRAWN = """() => [...document.querySelectorAll("section.network")].map((network) => ({
    noted: !network.querySelector(":scope > p.quiet").hidden,
    layers: Object.fromEntries([...network.querySelectorAll("g.layer")].map((group) => [group.dataset.layer, {
        number: group.querySelector(".number").textContent,
        label: group.getAttribute("aria-label"),
        hollow: group.classList.contains("hollow"),
        empty: group.classList.contains("empty"),
        finite: !/NaN|undefined|Infinity/.test(group.outerHTML),
    }])),
    bridges: [...network.querySelectorAll("path.bridge")].map((path) => ({
        ends: [path.dataset.from, path.dataset.to],
        width: parseFloat(path.style.strokeWidth),
        word: path.dataset.word ?? "",
        said: path.textContent,
    })),
}))"""
TABLES = """() => [...document.querySelectorAll("details.numbers table")].map((table) =>
    [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent)))"""


def epochs_of(content: dict) -> list[int | None]:
    """The stops of the slider."""
    found = {epoch["epoch"] for network in content["networks"] for epoch in network["epochs"]}
    return sorted(found, key=lambda epoch: math.inf if epoch is None else epoch)


def moment_at(network: dict, epoch: int | None) -> dict:
    """The last that was measured of a network by then; before all, the first."""
    reached = [
        one for one in network["epochs"] if epoch is None or (one["epoch"] is not None and one["epoch"] <= epoch)
    ]
    return (reached or network["epochs"][:1])[-1]


def list_states(content: dict) -> list[tuple[int, int]]:
    """Measures at epochs, by their places: every measure at the end, every epoch of the first, others as fit."""
    measures, epochs = range(len(content["measures"])), range(len(epochs_of(content)))
    needed = {(measure, epochs[-1]) for measure in measures} | {(0, epoch) for epoch in epochs}
    others = [(measure, epoch) for measure in measures for epoch in epochs if (measure, epoch) not in needed]
    room = max(1, MOST_STATES - len(needed))
    return sorted(needed | set(others[:: max(1, math.ceil(len(others) / room))]))


def switch_measures(one: Drive) -> None:
    """The drawing and the table show what the content says of each measure at each epoch."""
    if not (one.content["networks"] and one.content["measures"]):
        return
    epochs = epochs_of(one.content)
    choice = one.page.locator("#flow .toolbar select")
    slider = one.page.locator("#flow .toolbar input[type=range]")
    options = choice.locator("option").all_text_contents()
    one.expect_same(options, [measure["name"] for measure in one.content["measures"]], "the switch")
    one.expect_same(slider.count(), int(len(epochs) > 1), "sliders of epochs")
    shown = None
    for measure, epoch in list_states(one.content):
        if measure != shown:
            choice.select_option(index=measure)
            shown = measure
        if slider.count():
            slider.fill(str(epoch))
            words = "end of training" if epochs[epoch] is None else f"epoch {epochs[epoch]}"
            one.expect_same(slider.get_attribute("aria-valuetext"), words, "the slider")
        _compare_drawing(one, one.content["measures"][measure], epochs[epoch])
    choice.select_option(index=0)
    if slider.count():
        _press_slider(one, slider, len(epochs))


def _press_slider(one: Drive, slider: Locator, stops: int) -> None:
    slider.press("Home")
    for place in range(stops):
        one.expect_same(slider.input_value(), str(place), "the slider by keyboard")
        slider.press("ArrowRight")


def _compare_drawing(one: Drive, measure: dict, epoch: int | None) -> None:
    drawn, tables = one.page.evaluate(DRAWN), iter(one.page.evaluate(TABLES))
    for network, shown in zip(one.content["networks"], drawn, strict=True):
        moment = moment_at(network, epoch)
        where = f"{network['name']}, {measure['key']} at {epoch}"
        block = moment["measures"].get(measure["key"])
        one.expect_same(shown["noted"], block is None, f"{where}: the note")
        one.expect_same(set(shown["layers"]), {layer["name"] for layer in network["layers"]}, f"{where}: layers")
        for name, layer in shown["layers"].items():
            value = (block or {"layers": {}})["layers"].get(name)
            _compare_layer(one, layer, value, measure, f"{where}: {name}")
        _compare_bridges(one, shown["bridges"], moment["bridges"], where)
        rows = next(tables)
        numbers = [(row[0], "" if row[3] == "\u2013" else row[3]) for row in rows]
        plain = [(layer["name"], _number_in_table(block, layer["name"], measure)) for layer in network["layers"]]
        one.expect_same(numbers, plain, f"{where}: the table")
        if moment["bridges"]:
            one.expect_same(len(next(tables)), len(moment["bridges"]), f"{where}: the table of bridges")


def _number_in_table(block: dict | None, layer: str, measure: dict) -> str:
    value = block["layers"].get(layer) if block else None
    if value is None or value["v"] is None:
        return ""
    if abs(value["v"]) < 10_000:
        return show_number(value["v"], measure["digits"])
    return f"{Decimal(repr(value['v'])).quantize(Decimal(1).scaleb(-measure['digits']), ROUND_HALF_UP):,f}"


def _compare_layer(one: Drive, shown: dict, value: dict | None, measure: dict, where: str) -> None:
    one.expect(shown["finite"], f"{where}: the drawing holds numbers that are none")
    if value is None or value["v"] is None:
        one.expect_same((shown["number"], shown["empty"], shown["hollow"]), ("", True, False), where)
        return
    number, word = show_number(value["v"], measure["digits"]), value["word"]
    one.expect_same((shown["number"], shown["empty"], shown["hollow"]), (number, False, word != "ok"), where)
    one.expect(value["why"] in shown["label"], f"{where}: {shown['label']!r} lacks {value['why']!r}")
    if value["lo"] is not None and abs(value["lo"]) < 10_000:
        low = show_number(value["lo"], measure["digits"])
        one.expect(
            f"interval {low} to " in shown["label"], f"{where}: {shown['label']!r} lacks the interval from {low}"
        )


def _compare_bridges(one: Drive, shown: Found, told: Found, where: str) -> None:
    for bridge in told:
        paths = [path for path in shown if path["ends"] == [bridge["from"], bridge["to"]]]
        name = f"{where}: {bridge['from']} to {bridge['to']}"
        one.expect(paths, f"{name} is not drawn")
        share = max(0.0, min(1.0, (bridge["v"] or 0) / bridge["scale"])) if bridge["scale"] else 0.0
        for path in paths:
            one.expect(abs(path["width"] - (1.5 + 11 * share)) < 0.01, f"{name} is {path['width']} wide")
            one.expect_same(path["word"], bridge["word"], name)
            one.expect(bridge["why"] in path["said"], f"{name}: {path['said']!r} lacks {bridge['why']!r}")


# ------------------------------------------------------------------------------------------------------ layers

COVERED = """([network, names]) => {
    const drawing = document.querySelectorAll("section.network")[network];
    return names.filter((name) => {
        const group = drawing.querySelector(`g.layer[data-layer=${JSON.stringify(name)}]`);
        const block = group.querySelector(".block");
        block.scrollIntoView({ block: "center", inline: "center" });
        const { x, y, width, height } = block.getBoundingClientRect();
        return document.elementFromPoint(x + width / 2, y + height / 2)?.closest("g.layer") !== group;
    });
}"""
OPENED = """([network, names]) => names.map((name) => {
    const drawing = document.querySelectorAll("section.network")[network];
    const group = drawing.querySelector(`g.layer[data-layer=${JSON.stringify(name)}]`);
    group.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    const panel = document.querySelector(".panel");
    return {
        name, hidden: panel.hidden, pressed: document.querySelectorAll('g.layer[aria-pressed="true"]').length,
        title: panel.querySelector("h3").textContent,
        measures: [...panel.querySelectorAll(":scope > .scroll > table > tbody > tr > th")].map((th) => th.textContent),
        curves: panel.querySelectorAll(".chart-figure").length,
        channels: panel.querySelectorAll(".window img").length,
        images: panel.querySelectorAll(".maps option").length,
    };
})"""


def sample(names: list[str], most: int) -> list[str]:
    """Evenly from first to last."""
    if len(names) <= most:
        return names
    return [names[round(place * (len(names) - 1) / (most - 1))] for place in range(most)]


def open_layers(one: Drive) -> None:
    """Every layer can be hit with the mouse, and its panel holds what is known of it."""
    epoch = (epochs_of(one.content) or [None])[-1]
    for place, network in enumerate(one.content["networks"]):
        names = sample([layer["name"] for layer in network["layers"]], MOST_LAYERS)
        covered = one.page.evaluate(COVERED, [place, names])
        one.expect(not covered, f"{network['name']}: layers that cannot be clicked: {covered}")
        for name in sample(names, CLICKED):
            one.layer(place, name).locator(".block").click()
            one.expect(name in (one.page.locator(".panel h3").text_content() or ""), f"{name} does not open")
        for shown in one.page.evaluate(OPENED, [place, names]):
            one.expect_same(shown.pop("title"), f"{_stage(network)}{shown['name']}", "title of the panel")
            one.expect_same(shown, _tell_layer(one.content, network, shown["name"], epoch), network["name"])
        broken = one.page.evaluate(PICTURES)
        one.expect(not broken, f"pictures that cannot be shown: {broken}")
    if one.content["networks"]:
        one.page.get_by_role("button", name="Close the layer").click()
        one.expect(one.page.locator(".panel").is_hidden(), "the panel does not close")


def _stage(network: dict) -> str:
    return f"{network['label'].capitalize()}: " if network["label"] else ""


def _tell_layer(content: dict, network: dict, name: str, epoch: int | None) -> dict[str, Any]:
    """What the panel of a layer should hold."""
    moment, first = moment_at(network, epoch), next(iter(content["measures"]), {"key": ""})["key"]
    maps = [image["layers"][name] for image in (network["maps"] or {"images": []})["images"] if name in image["layers"]]
    curve = [one for one in network["epochs"] if one["epoch"] is not None and _has(one, first, name)]
    return {
        "name": name, "hidden": False, "pressed": 1, "images": len(maps), "curves": int(len(curve) > 1),
        "measures": [measure["name"] for measure in content["measures"] if _has(moment, measure["key"], name)],
        "channels": len(maps[0]["strongest"]) if maps else 0,
    }  # fmt: skip


def _has(moment: dict, measure: str, layer: str) -> bool:
    value = moment["measures"].get(measure, {"layers": {}})["layers"].get(layer)
    return value is not None and value["v"] is not None


WALK = """() => {
    window.walked ?? addEventListener("focusin", ({ target }) => window.walked.push(target.dataset.layer ?? target.id));
    window.walked = [];
}"""


def walk_layers(one: Drive) -> None:
    """Arrows go from layer to layer, Enter opens one and Escape leaves it."""
    for place, network in enumerate(one.content["networks"]):
        names = [layer["name"] for layer in network["layers"]]
        steps = names[1 : MOST_LAYERS + 1]
        one.layer(place, names[0]).focus()
        one.page.evaluate(WALK)
        for key in (*["ArrowRight"] * len(steps), "End", "Home", "Enter", "Escape"):
            one.page.keyboard.press(key)
        back = [*names[MOST_LAYERS + 1 :][-1:], *names[: len(steps)][:1], "panel-title", names[0]]
        one.expect_same(one.page.evaluate("window.walked"), [*steps, *back], f"{network['name']}: by keyboard")
        one.expect(one.page.locator(".panel").is_hidden(), "Escape does not leave the panel")
