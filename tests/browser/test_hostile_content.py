"""Names that people and machines invent are shown as text, and contents with gaps as far as they go."""

import copy

import pytest
from playwright.sync_api import expect

from unetscope.reporting.page.assembly import embed_json

NAMES = {
    "markup": '<script>window.hacked = 1</script><img src=x onerror=window.hacked=1>"><svg onload=window.hacked=1>'
    "' onfocus='window.hacked=1' autofocus=' javascript:window.hacked=1 </script><!-- {{SCRIPTS}} &lt;b&gt;",
    "long": "x" * 300,
    "right to left": "\u202egpj.\u202dcells\u2067 \u05e9\u05dc\u05d5\u05dd",
    "unprintable": "a\u2028b\x00c\ud800\x1b[31m",
}


def rename(content: dict, name: str) -> dict:
    """The content with a name in place of files, classes, runs and whatever else a user calls something."""
    content = copy.deepcopy(content)
    content["title"] = name
    segmentation = content["segmentation"]
    segmentation["gallery"][0]["name"] = name
    segmentation["gallery"][0]["note"] = name
    segmentation["first"] = [name]
    segmentation["colors"] = {name: "#0072B2"}
    segmentation["scores"]["rows"][0][:2] = [name, name]
    segmentation["check"] = [name]
    for training in segmentation["training"]:
        training["classes"] = {name: training["dice"], "other": training["dice"]}
    content["networks"][0]["name"] = name
    content["networks"][0]["maps"]["images"][0]["name"] = name
    content["networks"][0]["facts"] = [[name, name]]
    content["evidence"]["pareto"][0]["points"][0]["name"] = name
    content["evidence"]["table"]["rows"][0][0] = name
    content["evidence"]["boundary"]["good"] = name
    content["answers"][0]["sentences"] = [name]
    content["answers"][4]["missing"] = f"unetscope prove {name}"
    content["design"]["plan"] = {name: name}
    content["provenance"]["rows"] = [[name, name]]
    content["provenance"]["commands"] = [name]
    content["provenance"]["warnings"] = [name]
    content["downloads"][0]["name"] = name
    return content


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_are_shown_as_text_and_nothing_else(open_page, content, name: str) -> None:
    page = open_page(rename(content, name), fresh=name == NAMES["markup"], width=390)
    assert page.evaluate("text => document.querySelector('h1').textContent === JSON.parse(text)", embed_json(name))
    page.locator("g.layer").first.click()
    page.locator("details").evaluate_all("all => all.forEach((one) => (one.open = true))")
    page.locator(".first button").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator("#page :is(script, iframe, object, [onload], [onerror], [onfocus])").count() == 0


def bare(content: dict) -> dict:
    """The least that a page can be made of."""
    nothing = {"scores": None, "gallery": [], "first": [], "colors": {}, "training": [], "check": [], "learning": None}
    return {**content, "segmentation": nothing, "networks": [], "measures": [], "design": None, "evidence": None}


def unmeasured(content: dict) -> dict:
    """A network of which nothing is known but how it is wired."""
    network = copy.deepcopy(content["networks"][0])
    network |= {"label": "", "epochs": [{"epoch": None, "measures": {}, "bridges": []}], "maps": None, "facts": []}
    network["layers"] = [{**one, "width": None, "parameters": None, "multiply_adds": None} for one in network["layers"]]
    return {**bare(content), "networks": [network]}


def empty_values(content: dict) -> dict:
    """Numbers that nobody knows, and one epoch."""
    network = copy.deepcopy(content["networks"][0])
    epoch = network["epochs"][-1]
    linear = epoch["measures"]["linear"]
    linear |= {"outline": None, "twin": None, "marks": [], "top": None}
    for value in linear["layers"].values():
        value |= {"v": None, "lo": None, "hi": None}
    for bridge in epoch["bridges"]:
        bridge |= {"v": None, "lo": None, "hi": None, "lost_dice": None}
    network["epochs"] = [epoch]
    pictures = [
        {**one, "dice": None, "uncertainty": None, "label": None, "predictions": [None], "errors": [None]}
        for one in content["segmentation"]["gallery"]
    ]
    segmentation = {**content["segmentation"], "gallery": pictures, "learning": None}
    segmentation["training"] = [{**content["segmentation"]["training"][0], "dice": [None] * 12, "classes": {}}]
    evidence = {**content["evidence"], "table": None, "pareto": [], "searches": None}
    evidence["boundary"] = {**evidence["boundary"], "failing": None}
    return {**content, "networks": [network], "segmentation": segmentation, "evidence": evidence}


@pytest.mark.parametrize("change", (bare, unmeasured, empty_values))
def test_a_content_with_gaps_is_shown_as_far_as_it_goes(open_page, content, change) -> None:
    changed = change(content)
    page = open_page(changed)
    assert page.locator("section.part").count() == 5
    for summary in page.locator("summary:visible").all():
        summary.click()
    if changed["networks"]:
        page.locator("g.layer").first.click()
        expect(page.locator(".panel h3")).to_be_visible()
