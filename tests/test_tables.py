"""Tables and sentences come back from their HTML as they were, whatever they say, and bring no tag or color along."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from displayed import read, read_html
from unetscope.tables import Caution, Table, to_html

MARKUP = ("<script>alert(1)</script>", "</td><b>", '" onload="x', "&amp;lt;", "<!--", "]]>", "'", "&#60;")
TEXTS = st.text() | st.sampled_from(MARKUP) | st.tuples(st.sampled_from(MARKUP), st.text()).map("".join)


@st.composite
def make_tables(draw: st.DrawFn) -> Table:
    columns = draw(st.lists(TEXTS, min_size=1, max_size=4))
    row = st.tuples(*[TEXTS] * len(columns))
    return Table(draw(TEXTS), tuple(columns), tuple(draw(st.lists(row, max_size=4))))


@given(st.lists(make_tables() | TEXTS | TEXTS.map(Caution), max_size=4))
def test_any_text_comes_back_and_no_tag_gets_through(blocks: list[Table | str]) -> None:
    found = read_html(to_html(blocks))
    assert found == blocks
    assert [type(block) for block in found] == [type(block) for block in blocks]


def test_half_of_a_surrogate_pair_can_be_sent_to_a_page() -> None:
    html = to_html(["cell\udcff.png", Table("\ud800", ("a",), (("\udfff",),))])
    assert html.encode("utf-8")
    assert read_html(html) == ["cell\\udcff.png", Table("\\ud800", ("a",), (("\\udfff",),))]


def test_columns_and_rows_are_named_for_those_who_hear_them() -> None:
    found = read(to_html([Table("bits", ("layer", "linear"), (("head", "0.5"), ("up", "0.4")))]))
    assert found.scopes == ["col", "col", "row", "row"]


def test_numbers_stand_to_the_right_and_words_and_names_to_the_left() -> None:
    rows = (("1", "+0.0100", "ok", "-"), ("2", "\u00b10.02", "-", "3.0 MiB"))
    html = to_html([Table("", ("name", "number", "word", "size"), rows)])
    sides = re.findall(r"text-align: (\w+)", " ".join(read(html).styles))
    assert sides == ["left"] + ["left", "right", "left", "right"] * 3  # the caption, then row by row


def test_the_page_decides_on_colors_and_type() -> None:
    html = to_html([Table("bits", ("layer", "linear"), (("head", "0.5"),)), "so it is", Caution("mind")])
    settings = {setting for style in read(html).styles for setting in style.split("; ")}
    assert {setting for setting in settings if "color" in setting} == {"color: inherit"}
    assert {setting for setting in settings if "font" in setting} == {"font-variant-numeric: tabular-nums"}


def test_a_row_of_another_length_is_a_fault() -> None:
    with pytest.raises(ValueError, match=r"rows of \[1\] cells came for 2 columns"):
        Table("", ("a", "b"), (("1",),))
