"""What a notebook displays, read back from its HTML."""

from __future__ import annotations

from html.parser import HTMLParser

from unetscope.tables import Block, Caution, Table

TAGS = {"div", "p", "strong", "table", "caption", "thead", "tbody", "tr", "th", "td"}


class Reader(HTMLParser):
    """Collects the texts of all elements, by their innermost tag that counts.

    Attributes:
        blocks: What was displayed, from top to bottom.
        scopes: Of every header cell.
        styles: Every style.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self.scopes: list[str | None] = []
        self.styles: list[str] = []
        self._open: list[str] = []
        self._text = self._caption = ""
        self._rows: list[list[str]] = []
        self._is_caution = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        given = dict(attributes)
        assert given.keys() <= {"class", "style", "scope"}
        self.styles += [style for style in [given.get("style")] if style]
        if tag == "th":
            self.scopes.append(given.get("scope"))
        if tag == "table":
            self._rows = []
        if tag == "tr":
            self._rows.append([])
        if tag != "strong":
            self._text, self._is_caution = "", False
        self._open.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open[-1] == "strong":
            self._is_caution = True
        else:
            assert self._open[-1] in ("p", "caption", "th", "td"), (self._open, data)
            self._text += data.removeprefix(" ") if self._is_caution and not self._text else data

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag in ("th", "td"):
            self._rows[-1].append(self._text)
        elif tag == "caption":
            self._caption = self._text
        elif tag == "p":
            self.blocks.append(Caution(self._text) if self._is_caution else self._text)
        elif tag == "table":
            head, *body = map(tuple, self._rows)
            self.blocks.append(Table(self._caption, head, tuple(body)))

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def read(html: str) -> Reader:
    """What was displayed, with its attributes."""
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader._open == []
    return reader


def read_html(html: str) -> list[Block]:
    """The tables and sentences that were displayed."""
    return read(html).blocks
