"""The U as SVG holds what the page relies on, escapes every name, and is the same text every time."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from u_wirings import NESTED, OURS, WIRINGS

from unetscope.reporting.page.u_geometry import arrange_u
from unetscope.reporting.page.u_svg import Shown, draw_svg, read_style
from unetscope.wiring import Wiring

GOLDEN = Path(__file__).parents[2] / "golden"
RENEW = "UNETSCOPE_RENEW_GOLDEN"
SVG = "{http://www.w3.org/2000/svg}"


@cache
def monai():
    """A network of another library, traced."""
    nets = pytest.importorskip("monai.networks.nets", exc_type=ImportError)
    tracing = pytest.importorskip("unetscope.information.tracing")
    return tracing.describe_module(nets.BasicUNet(2, 1, 2).eval(), torch.rand(1, 1, 32, 32)).wiring


DRAWN = {
    "lee2021": lambda: OURS["lee2021"].wiring,
    "volumes": lambda: OURS["volumes"].wiring,
    "slim": lambda: OURS["slim"].wiring,
    "monai": monai,
}


def shown(wiring):
    """Numbers that rise along the network; every seventh proves nothing."""
    shares = {layer: 0.1 + 0.8 * number / len(wiring.layers) for number, layer in enumerate(wiring.layers)}
    return {
        layer: Shown(share, f"{0.57 * share:.3f}", number % 7 == 5, (share - 0.05, share + 0.08))
        for number, (layer, share) in enumerate(shares.items())
    }


def parse(wiring, name="a network"):
    return ElementTree.fromstring(draw_svg(wiring, name, shown(wiring)))


def select(drawing, tag, *classes):
    found = [one for one in drawing.iter(SVG + tag) if set(classes) <= set(one.get("class", "").split())]
    return found[0] if len(found) == 1 else found


@pytest.mark.parametrize("name", DRAWN)
def test_the_drawing_is_the_one_that_people_have_looked_at(name):
    """To renew the files after a change, set UNETSCOPE_RENEW_GOLDEN=1, run this test, and look at every one of them."""
    wiring, path = DRAWN[name](), GOLDEN / f"u-{name}.svg"
    drawing = draw_svg(wiring, name, shown(wiring))
    if os.environ.get(RENEW):
        path.parent.mkdir(exist_ok=True)
        path.write_text(drawing, encoding="utf-8")
    assert drawing == path.read_text(encoding="utf-8"), (
        f"{path.name} changed; to renew it, set {RENEW}=1 and look at it"
    )


@pytest.mark.parametrize("name", WIRINGS)
def test_every_layer_has_what_the_page_fills_in(name):
    wiring = WIRINGS[name]
    drawing = ElementTree.fromstring(draw_svg(wiring, name))
    layers = {group.get("data-layer"): group for group in drawing.iter("g") if group.get("class") == "layer"}
    assert list(layers) == [layer for layer in arrange_u(wiring).cells if layer != "image"]
    for layer, group in layers.items():
        assert group.get("tabindex") == "0" and group.get("role") == "button"
        assert group.get("aria-label").startswith(layer) and "stride" in group.get("aria-label")
        parts = {part.get("class") or part.tag: part for part in group}
        assert {"title", "block", "number", "gauge", "name"} <= set(parts)
        assert not parts["number"].text and len(parts["gauge"]) == 0
        assert all(float(parts["gauge"].get(f"data-{key}")) >= 0 for key in "xywh")


@pytest.mark.parametrize("name", WIRINGS)
def test_every_connection_is_a_path_of_its_kind(name):
    wiring = WIRINGS[name]
    drawing = ElementTree.fromstring(draw_svg(wiring, name))
    paths = [path for path in drawing.iter("path") if path.get("class", "").startswith("bridge")]
    found = {(path.get("data-from"), path.get("data-to")): path.get("class").split()[1] for path in paths}
    assert found == {(line.source, line.reader): line.kind for line in arrange_u(wiring).lines}
    assert all(re.fullmatch(r"M[-\d. LQ]+", path.get("d")) for path in paths)


def test_a_drawing_of_its_own_carries_values_and_style():
    wiring = OURS["slim"].wiring
    drawing = parse(wiring)
    assert drawing.find(f"{SVG}style").text.strip() == read_style().strip()
    assert [one.text for one in select(drawing, "text", "number")] == [one.text for one in shown(wiring).values()]
    assert len(select(drawing, "g", "hollow")) == sum(one.hollow for one in shown(wiring).values())


@pytest.mark.parametrize("name", WIRINGS)
def test_colors_are_in_the_style_sheet_alone(name):
    drawing = draw_svg(WIRINGS[name], name)
    assert not re.search(r"(fill|stroke|color)\s*[=:]|#[0-9a-f]{3}|<style", drawing)
    assert all(style.startswith("--") for style in re.findall(r'style="([^"]*)"', drawing))
    assert draw_svg(WIRINGS[name], name) == drawing


def test_the_style_sheet_names_every_color_in_both_schemes_and_only_there():
    rules = re.findall(r"--u-([a-z]+): (#[0-9a-f]{6});", read_style())
    names = [name for name, _ in rules]
    assert sorted(names) == sorted(2 * sorted(set(names)))
    assert len(re.findall(r"#[0-9a-fA-F]{3,8}\b", read_style())) == len(rules)
    assert "url(" not in read_style() and "@import" not in read_style()
    used = set(re.findall(r"var\(--u-([a-z]+)", read_style())) - {"width"}
    assert used == set(names)


HOSTILE = st.text(min_size=1, max_size=12) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=a()>',
        "a&amp;b",
        "]]>",
        "-->",
        "\x00\ud800",
        "{{x}}",
        "a.b</svg>",
    ]
)


@given(names=st.lists(HOSTILE, min_size=2, max_size=5, unique=True), title=HOSTILE)
@settings(deadline=None, max_examples=60)
def test_names_are_text_whatever_they_are(names, title):
    names = [name for name in names if name != "image"] or ["a"]
    chain = dict(zip(names, [("image",), *((name,) for name in names)], strict=False))
    wiring = Wiring(chain, dict.fromkeys(names, (1, 1)), {})
    text = draw_svg(wiring, title)
    drawing = ElementTree.fromstring(text)
    assert {one.tag for one in drawing.iter()} <= {"svg", "g", "title", "rect", "text", "path"}
    text.encode()
    kept = [one.get("data-layer") for one in drawing.iter("g") if one.get("data-layer") is not None]
    printable = [name for name in names if name.isprintable()]
    assert set(printable) <= set(kept) and len(kept) == len(names)


def test_numbers_above_skips_have_a_place():
    drawing = ElementTree.fromstring(draw_svg(NESTED, "nested"))
    places = [(one.get("data-from"), one.get("data-to")) for one in drawing.iter("text") if one.get("class") == "bits"]
    assert ("x00", "x02") in places and ("up02", "x02") not in places
