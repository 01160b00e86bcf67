"""Tables and sentences as values, and as HTML for notebooks; knows strings, not what they say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Self

_WORDS, _NUMBERS = "text-align: left", "text-align: right"
_NAME = f"{_WORDS}; white-space: nowrap"


@dataclass(frozen=True)
class Table:
    """Rows below the names of their columns; the first cell of a row names it.

    Attributes:
        caption: What the table shows, as a phrase.
        columns: A name for each column.
        rows: As many cells each.

    Raises:
        ValueError: A row has another number of cells than there are columns.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        """Refuse rows that do not fit."""
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"rows of {sorted(set(map(len, self.rows)))} cells came for {len(self.columns)} columns")

    def select(self, *columns: str) -> Self:
        """Some of the columns, in this order.

        Example:
            >>> Table("", ("a", "b", "c"), (("1", "2", "3"),)).select("c", "a").rows
            (('3', '1'),)
        """
        places = [self.columns.index(name) for name in columns]
        return type(self)(self.caption, columns, tuple(tuple(row[place] for place in places) for row in self.rows))


class Caution(str):
    """A sentence that a reader should not miss."""


Block = Table | Caution | str
"""What a value is laid out in, from top to bottom."""


def to_html(blocks: Iterable[Block]) -> str:
    """Tables and sentences as HTML, in the colors and the typeface of the page around it.

    Args:
        blocks: From top to bottom.

    Returns:
        One element without scripts or style sheets, every string escaped; half of a surrogate pair, which no page can
        hold, is shown by its number.

    Example:
        >>> to_html(["2 < 3"])
        '<div class="unetscope"><p>2 &lt; 3</p></div>'
    """
    return f'<div class="unetscope">{"".join(map(_write, blocks))}</div>'


def _write(block: Block) -> str:
    if isinstance(block, Table):
        return _write_table(block)
    mark = "<strong>warning:</strong> " if isinstance(block, Caution) else ""
    return f"<p>{mark}{_escape(block)}</p>"


def _write_table(table: Table) -> str:
    """A table whose numbers stand below one another."""
    styles = [_NAME, *(_WORDS if _has_words(table, place) else _NUMBERS for place in range(1, len(table.columns)))]
    head = "".join(
        f'<th scope="col" style="{style}">{_escape(name)}</th>'
        for name, style in zip(table.columns, styles, strict=True)
    )
    body = "".join(f"<tr>{_write_row(row, styles)}</tr>" for row in table.rows)
    return (
        f'<table style="color: inherit; font-variant-numeric: tabular-nums"><caption style="{_WORDS}">'
        f"{_escape(table.caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _write_row(row: tuple[str, ...], styles: list[str]) -> str:
    """The cells of a row, the first of which names it."""
    name, *cells = map(_escape, row)
    shown = [f'<td style="{style}">{cell}</td>' for cell, style in zip(cells, styles[1:], strict=True)]
    return f'<th scope="row" style="{styles[0]}">{name}</th>{"".join(shown)}'


def _has_words(table: Table, place: int) -> bool:
    """Whether a column holds words, and not numbers with or without a unit."""
    return any(row[place][:1].isalpha() for row in table.rows)


def _escape(text: str) -> str:
    return escape(text.encode("utf-8", "backslashreplace").decode("utf-8"))
