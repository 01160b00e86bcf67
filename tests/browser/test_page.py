"""What a reader does on a page, and what the page does then."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect


def chosen(page: Page) -> str | None:
    return page.evaluate("document.activeElement.dataset?.layer ?? null")


def layer(page: Page, name: str, network: int = 0):
    return page.locator("svg.u:not(.key)").nth(network).locator(f'g.layer[data-layer="{name}"]')


def test_five_answers_lead_to_their_sections(open_page, content) -> None:
    page = open_page(content)
    expect(page.locator("h1")).to_have_text(content["title"])
    links = page.locator("#answers a")
    assert links.all_inner_texts() == [answer["question"] for answer in content["answers"]]
    for link in links.all():
        target = link.get_attribute("href")
        expect(page.locator(f"section.part{target}")).to_have_count(1)
    expect(page.locator("#answers code")).to_have_text(content["answers"][4]["missing"])


def test_a_missing_answer_can_be_copied(open_page, content) -> None:
    page = open_page(content, permissions=["clipboard-read", "clipboard-write"])
    command = content["answers"][4]["missing"]
    page.get_by_role("button", name=f"Copy: {command}").click()
    expect(page.get_by_text("Copied").first).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == command


def test_where_there_is_no_clipboard_the_command_is_selected(open_page, content) -> None:
    page = open_page(content, fresh=True)
    page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject())")
    command = content["answers"][4]["missing"]
    page.get_by_role("button", name=f"Copy: {command}").click()
    expect(page.get_by_text("Selected").first).to_be_visible()
    assert page.evaluate("String(getSelection())") == command


DRAWN = """() => [...document.querySelectorAll(".network")].map((network) => Object.fromEntries(
    [...network.querySelectorAll("g.layer")].map((group) => [group.dataset.layer, {
        number: group.querySelector(".number").textContent,
        label: group.getAttribute("aria-label"),
        hollow: group.classList.contains("hollow"),
    }])))"""


def test_numbers_of_the_drawing_are_those_of_the_content(open_page, content) -> None:
    drawn = open_page(content).evaluate(DRAWN)
    for network, shown in zip(content["networks"], drawn, strict=True):
        measured = network["epochs"][-1]["measures"]["linear"]["layers"]
        assert shown.keys() == measured.keys()
        for name, value in measured.items():
            assert shown[name]["number"] == f"{value['v']:.3f}"
            assert f"{value['lo']:.3f} to {value['hi']:.3f}" in shown[name]["label"]
            assert shown[name]["hollow"] == (value["word"] != "ok")


def test_what_cannot_be_told_is_hollow_and_says_why(open_page, content) -> None:
    page = open_page(content)
    hollow = page.locator("g.layer.hollow").first
    reason = next(
        value["why"]
        for value in content["networks"][0]["epochs"][-1]["measures"]["linear"]["layers"].values()
        if value["why"]
    )
    assert reason in (hollow.get_attribute("aria-label") or "")
    name = hollow.get_attribute("data-layer")
    hollow.click()
    expect(page.locator(".panel .doubt")).to_contain_text(reason)
    expect(page.locator(".panel h3")).to_contain_text(name or "")


def test_bridges_are_as_thick_as_what_they_add(open_page, content) -> None:
    page = open_page(content)
    for bridge in content["networks"][0]["epochs"][-1]["bridges"]:
        path = page.locator(f'path.bridge[data-from="{bridge["from"]}"][data-to="{bridge["to"]}"]').first
        width = float(path.evaluate("node => node.style.strokeWidth").removesuffix("px"))
        assert width == pytest.approx(1.5 + 11 * bridge["v"] / bridge["scale"], abs=0.01)
        assert path.get_attribute("data-word") == bridge["word"]
        assert bridge["why"] in (path.text_content() or "")


def test_the_switch_changes_drawing_table_and_legend(open_page, content) -> None:
    page = open_page(content)
    page.locator("details.numbers > summary").click()
    page.get_by_label("Measure").select_option(label="effective rank")
    name = content["networks"][0]["layers"][0]["name"]
    value = content["networks"][0]["epochs"][-1]["measures"]["rank"]["layers"][name]["v"]
    assert layer(page, name).locator(".number").text_content() == f"{value:.1f}"
    expect(page.locator("details.numbers table").first).to_contain_text("effective rank")
    expect(page.locator("details.numbers tbody tr").first).to_contain_text(f"{value:.1f}")
    expect(page.locator(".legend").first).to_contain_text("effective rank")
    expect(page.get_by_text(content["measures"][2]["help"])).to_be_visible()


def test_the_slider_goes_through_the_epochs_and_says_so(open_page, content) -> None:
    page = open_page(content)
    slider = page.get_by_label("Training").and_(page.locator("input[type=range]"))
    expect(slider).to_have_attribute("aria-valuetext", "epoch 20")
    name = content["networks"][0]["layers"][3]["name"]
    slider.focus()
    page.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", "epoch 4")
    value = content["networks"][0]["epochs"][0]["measures"]["linear"]["layers"][name]["v"]
    assert layer(page, name).locator(".number").text_content() == f"{value:.3f}"
    page.keyboard.press("ArrowRight")
    expect(page.locator("#flow .toolbar output")).to_have_text("epoch 8")


def test_layers_are_reached_opened_and_left_by_keyboard(open_page, content) -> None:
    page = open_page(content)
    names = [one["name"] for one in content["networks"][0]["layers"]]
    layer(page, names[0]).focus()
    for key, name in (("ArrowRight", names[1]), ("ArrowDown", names[2]), ("ArrowLeft", names[1]), ("End", names[-1])):
        page.keyboard.press(key)
        assert chosen(page) == name
    expect(page.locator(".panel")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page.locator(".panel h3")).to_be_focused()
    expect(page.locator(".panel h3")).to_contain_text(names[-1])
    page.keyboard.press("Escape")
    expect(page.locator(".panel")).to_be_hidden()
    assert chosen(page) == names[-1]


def test_one_stop_of_the_tab_key_for_each_drawing(open_page, content) -> None:
    page = open_page(content)
    assert page.locator('g.layer[tabindex="0"]').count() == len(content["networks"])
    layer(page, content["networks"][0]["layers"][2]["name"]).focus()
    assert page.locator('g.layer[tabindex="0"]').count() == len(content["networks"])


def test_an_open_panel_follows_the_arrows(open_page, content) -> None:
    page = open_page(content)
    names = [one["name"] for one in content["networks"][0]["layers"]]
    layer(page, names[0]).click()
    expect(layer(page, names[0])).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".panel h3")).to_contain_text(names[1])
    expect(layer(page, names[0])).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="Close the layer").click()
    expect(page.locator(".panel")).to_be_hidden()


def test_a_layer_that_is_opened_stays_in_sight(open_page, content) -> None:
    page = open_page(content)
    chosen = layer(page, content["networks"][0]["layers"][4]["name"])
    chosen.scroll_into_view_if_needed()
    before = chosen.bounding_box()["y"]
    chosen.click()
    expect(page.locator(".panel")).to_be_visible()
    assert abs(chosen.bounding_box()["y"] - before) < 20


def test_the_panel_shows_numbers_curve_and_maps(open_page, content) -> None:
    page = open_page(content)
    network = content["networks"][0]
    name = network["layers"][4]["name"]
    layer(page, name).click()
    panel = page.locator(".panel")
    assert panel.locator("tbody tr").first.locator("th").inner_text() == "usable bits per pixel"
    expect(panel.locator("figure.chart-figure svg.chart-svg")).to_be_visible()
    assert panel.locator(".points tbody tr").count() == len(network["epochs"])
    maps = network["maps"]["images"]
    expect(panel.locator('img[alt="Read here"]')).to_have_attribute("src", maps[0]["layers"][name]["probe"])
    assert panel.locator(".window img").count() == len(maps[0]["layers"][name]["strongest"])
    panel.locator("select").select_option("1")
    expect(panel.locator('img[alt="Read here"]')).to_have_attribute("src", maps[1]["layers"][name]["probe"])


def test_the_table_opens_a_layer(open_page, content) -> None:
    page = open_page(content)
    page.locator("details.numbers > summary").click()
    name = content["networks"][1]["layers"][1]["name"]
    page.locator("details.numbers").get_by_role("button", name=name, exact=True).last.click()
    expect(page.locator(".panel h3")).to_have_text(f"After: {name}")
    expect(page.locator(".panel h3")).to_be_focused()


def test_the_gallery_orders_and_overlays(open_page, content) -> None:
    page = open_page(content)
    gallery = content["segmentation"]["gallery"]
    tiles = page.locator(".tile")
    assert page.locator(".tile-name").all_inner_texts() == [one["name"] for one in gallery]
    expect(tiles.first.locator(".over")).to_have_attribute("src", gallery[0]["errors"][0])
    page.get_by_label("prediction", exact=True).check(force=True)
    page.get_by_label("Network").and_(page.locator("select")).select_option("1")
    expect(tiles.first.locator(".over")).to_have_attribute("src", gallery[0]["predictions"][1])
    page.get_by_label("nothing", exact=True).check(force=True)
    expect(page.locator(".tile .over")).to_have_count(0)
    page.get_by_label("least sure first").check(force=True)
    unsure = max(gallery, key=lambda one: one["uncertainty"])
    expect(page.locator(".tile-name").first).to_have_text(unsure["name"])


def test_the_slider_fades_what_lies_over_an_image(open_page, content) -> None:
    page = open_page(content)
    over = page.locator(".tile .over").first
    assert over.evaluate("node => getComputedStyle(node).opacity") == "0.8"
    page.get_by_label("Strength").first.focus()
    page.keyboard.press("Home")
    assert over.evaluate("node => getComputedStyle(node).opacity") == "0"


def test_an_image_is_shown_large_and_arrows_lead_on(open_page, content) -> None:
    page = open_page(content)
    gallery = content["segmentation"]["gallery"]
    page.get_by_role("button", name=re.compile(gallery[1]["name"])).first.click()
    viewer = page.get_by_role("dialog")
    expect(viewer.locator("h2")).to_have_text(gallery[1]["name"])
    expect(viewer).to_contain_text(gallery[1]["note"])
    assert viewer.locator("figcaption").all_inner_texts() == [
        "image", "prediction (run)", "prediction (run-slim)", "label", "errors (run)", "errors (run-slim)",
    ]  # fmt: skip
    page.keyboard.press("ArrowRight")
    expect(viewer.locator("h2")).to_have_text(gallery[2]["name"])
    viewer.get_by_role("button", name="Image before").click()
    expect(viewer.locator("h2")).to_have_text(gallery[1]["name"])
    page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()


def test_what_to_look_at_first_opens_the_image(open_page, content) -> None:
    page = open_page(content)
    names = content["segmentation"]["first"]
    entries = page.locator(".first button")
    assert entries.all_inner_texts() == names
    entries.first.click()
    expect(page.get_by_role("dialog").locator("h2")).to_have_text(names[0])


def test_every_number_can_be_saved(open_page, content, tmp_path: Path) -> None:
    page = open_page(content)
    for file in content["downloads"]:
        with page.expect_download() as waiting:
            page.get_by_role("button", name=file["name"]).click()
        assert waiting.value.suggested_filename == file["name"]
        waiting.value.save_as(tmp_path / file["name"])
        assert (tmp_path / file["name"]).read_bytes().decode() == file["text"]


def test_light_and_dark_can_be_chosen(open_page, content) -> None:
    page = open_page(content, scheme="dark")
    color = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(color)
    page.get_by_role("button", name="Light colors").click()
    assert page.evaluate(color) != dark
    page.get_by_role("button", name="Dark colors").click()
    assert page.evaluate(color) == dark


def test_evidence_stands_in_tables_and_pictures(open_page, content) -> None:
    page = open_page(content)
    section = page.locator("#evidence")
    assert section.locator("svg.chart-svg").count() == len(content["evidence"]["pareto"])
    expect(section).to_contain_text(content["evidence"]["boundary"]["failing"])
    for row in content["evidence"]["table"]["rows"]:
        expect(section.get_by_role("row").filter(has_text=row[1])).to_contain_text(row[-1])


@pytest.mark.parametrize(("width", "scheme"), ((1440, "light"), (800, "light"), (390, "dark")))
def test_nothing_is_wider_than_the_screen(open_page, content, width: int, scheme: str) -> None:
    page = open_page(content, width=width, scheme=scheme)
    page.locator("details").evaluate_all("all => all.forEach((one) => (one.open = true))")
    layer(page, content["networks"][0]["layers"][0]["name"]).click()
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_page_can_be_printed_with_everything_opened(open_page, content, tmp_path: Path) -> None:
    page = open_page(content, fresh=True)
    closed = page.locator("details:not([open]):not(.points)").count()
    page.evaluate("addEventListener('beforeprint', () => (window.left = document.querySelectorAll("
                  "'details:not([open]):not(.points)').length))")  # fmt: skip
    assert page.pdf(path=tmp_path / "page.pdf").startswith(b"%PDF")
    page.emulate_media(media="print")
    assert page.locator("path.bridge.skip").first.is_visible() and not page.locator("a.skip").is_visible()
    assert closed > 0 and page.evaluate("window.left") == 0
    assert page.locator("details:not([open]):not(.points)").count() == closed
