"""The document that carries a page: complete, safe, the same each time. No browser is needed."""

import base64
import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetscope.reporting.page import assembly
from unetscope.reporting.page.assembly import SCRIPTS, STYLES, assemble, embed_json

ASSETS = assembly.files("unetscope.reporting.page") / "assets"
TEXTS = st.text() | st.sampled_from(("</script>", "<!--", "]]>", "\u2028", "{{POLICY}}", "</title>", "\ud800"))
VALUES = st.recursive(
    TEXTS | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_content_comes_back_as_it_was(value: object) -> None:
    assert json.loads(embed_json(value)) == value


@given(VALUES)
def test_embedded_content_is_plain_ascii_that_ends_no_element(value: object) -> None:
    text = embed_json(value)
    assert text.isascii() and not set(text) & set("<>&")


@given(TEXTS)
def test_a_title_is_text(title: str) -> None:
    document = assemble({"title": title})
    document.encode()
    assert document.count("</script>") == len(SCRIPTS) + 1
    assert document.count("<title>") == document.count("</title>") == 1


@pytest.mark.parametrize("number", (float("nan"), float("inf")))
def test_numbers_that_json_does_not_know_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        assemble({"v": number})


def test_the_same_content_gives_the_same_document() -> None:
    assert assemble({"title": "a", "rows": [1, 2]}) == assemble({"title": "a", "rows": [1, 2]})


def test_the_policy_allows_what_is_inside_and_nothing_else() -> None:
    document = assemble({"title": "a"})
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', document)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == rules["connect-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe" not in policy[1]
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        bodies = re.findall(rf"<{tag}>(.*?)</{tag}>", document, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in bodies]
        assert rules[rule].split() == [f"'sha256-{digest}'" for digest in digests]


def test_no_address_is_asked_for() -> None:
    document = assemble({"title": "a"})
    own = document.replace((ASSETS / "vendor/plot.min.js").read_text(encoding="utf-8"), "")
    assert not re.search(r"""(?:src|href)=["'](?!#)|url\(|@import|https?://(?!www\.w3\.org/2000/svg)""", own)


def test_every_asset_is_used() -> None:
    kept = {path.name for path in ASSETS.iterdir() if path.is_file()} | {"vendor/plot.min.js"}
    assert kept == {*STYLES, *SCRIPTS, "page.html"}


def test_the_bundled_library_comes_with_its_licenses() -> None:
    texts = (ASSETS / "vendor/LICENSES.txt").read_text(encoding="utf-8")
    assert "@observablehq/plot 0.6.17" in texts
    assert "Permission to use, copy, modify" in texts


@pytest.mark.parametrize("name", [name for name in (*SCRIPTS, *STYLES) if "/" not in name])
def test_assets_are_short_and_plain(name: str) -> None:
    text = (ASSETS / name).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\b|document\.write|new Function|</script", text)
