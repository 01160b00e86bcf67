"""What people see in a terminal: progress bars, tables and plain lines; computes nothing.

Everything goes to standard error; standard output is for machine-readable results alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

SILENCE_SECONDS = 15.0
console = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One line for people."""
    console.print(escape(text), soft_wrap=True)


def warn(text: str) -> None:
    """One line that people should not miss."""
    console.print(f"[yellow]warning:[/yellow] {escape(text)}", soft_wrap=True)


def head(text: str) -> None:
    """The title of a step."""
    console.print(f"\n[bold]{escape(text)}[/bold]", soft_wrap=True)


def fail(text: str) -> None:
    """The reason why nothing more happens."""
    console.print(f"[red]error:[/red] {escape(text)}", soft_wrap=True)


def print_json(content: Any) -> None:
    """A machine-readable result on standard output."""
    sys.stdout.write(json.dumps(content, indent=2, allow_nan=False) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table; the first column is left-aligned, the others are numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for position, column in enumerate(columns):
        table.add_column(escape(column), justify="left" if position == 0 else "right")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)


class Bar:
    """The progress of one piece of work: a bar with time left in a terminal, now and then a line elsewhere."""

    def __init__(self, title: str, total: int | None, progress: Progress | None) -> None:
        self._title, self._progress = title, progress
        self._task = progress.add_task(escape(title), total=total) if progress else None
        self._began = self._spoke = time.monotonic()

    def update(self, done: int, total: int, note: str = "") -> None:
        """Show how much is done."""
        if self._progress is not None and self._task is not None:
            title = f"{self._title} {note}" if note else self._title
            self._progress.update(self._task, completed=done, total=total, description=escape(title))
        elif time.monotonic() - self._spoke >= SILENCE_SECONDS and 0 < done < total:
            self._spoke = time.monotonic()
            left = (self._spoke - self._began) / done * (total - done)
            say(f"  {self._title}: {done} of {total}, about {format_seconds(left)} left {note}".rstrip())


@contextmanager
def show_progress(title: str, total: int | None = None) -> Iterator[Bar]:
    """A bar while the block runs."""
    if not console.is_terminal:
        yield Bar(title, total, None)
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(title, total, progress)


def format_number(value: float | None, digits: int = 3) -> str:
    """A score, or a dash where it is not defined.

    Example:
        >>> format_number(0.98765), format_number(None)
        ('0.988', '-')
    """
    return "-" if value is None else f"{value:.{digits}f}"


def format_bytes(count: float) -> str:
    """A size in memory.

    Example:
        >>> format_bytes(3 * 2**20)
        '3.0 MiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def format_seconds(seconds: float) -> str:
    """A duration.

    Example:
        >>> format_seconds(75), format_seconds(3)
        ('1 min 15 s', '3 s')
    """
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def format_shares(shares: Mapping[str, float]) -> str:
    """Class shares in percent.

    Example:
        >>> format_shares({"background": 0.25, "cell": 0.75})
        'background 25.0 %, cell 75.0 %'
    """
    return ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
