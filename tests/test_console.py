"""What people see: results on standard output alone, all else on standard error, bars only in terminals."""

from __future__ import annotations

import io
import json
import math

import pytest

from unetscope import console
from unetscope.tables import Caution, Table
from unetscope.wording import format_bytes, format_seconds


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal that remembers what was written to it."""
    written = io.StringIO()
    made = console.Terminal(file=written, force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr(console, "console", made)
    return written


def test_results_go_to_standard_output_and_words_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("hello")
    console.warn("mind this")
    console.head("title")
    console.fail("no")
    console.print_table(("class", "Dice"), [("cell", "0.9")])
    console.print_json({"dice": None, "name": "é"})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"dice": None, "name": "é"}
    assert [word for word in ("hello", "warning: mind this", "title", "error: no", "cell") if word not in err] == []


def test_tables_sentences_and_cautions_are_shown_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    console.show(["first", Table("not told", ("class", "Dice"), (("[cell]", "0.9"),)), Caution("mind this")])
    lines = [line.split() for line in capsys.readouterr().err.splitlines()]
    assert lines == [["first"], ["class", "Dice"], ["[cell]", "0.9"], ["warning:", "mind", "this"]]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_json_is_json(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        console.print_json({"dice": value})


@pytest.mark.parametrize("tell", [console.say, console.warn, console.fail, console.head])
def test_names_are_not_taken_for_markup_and_lines_are_not_broken(tell, capsys: pytest.CaptureFixture[str]) -> None:
    name = "/data/[bold]cell[/bold] " + "x" * 300 + " [0].png"
    tell(name)
    assert name in capsys.readouterr().err


def test_a_terminal_shows_a_bar_with_what_is_left_and_then_removes_it(terminal: io.StringIO) -> None:
    with console.show_progress("training [1]") as bar:
        bar.update(3, 10, "loss 0.5")
    shown = terminal.getvalue()
    assert "training [1] loss 0.5" in shown
    assert "3/10" in shown
    assert "left" in shown
    assert "\x1b[2K" in shown  # the line is erased


def test_elsewhere_a_line_now_and_then_says_what_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 5.0, 20.0, 20.0, 25.0, 50.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.show_progress("training") as bar:
        bar.update(1, 10)
        bar.update(2, 10)
        bar.update(3, 10)
        bar.update(10, 10)
    assert capsys.readouterr().err.splitlines() == ["  training: 20 %, about 1 min 20 s left"]


def test_pieces_of_work_add_up(terminal: io.StringIO) -> None:
    with console.show_progress("segmenting", 4) as bar:
        piece = bar.part(2, 4, "b.png")
        piece(1, 2)
        assert bar._progress is not None
        (task,) = bar._progress.tasks
        assert (task.completed, task.total) == (2.5, 4)


def test_a_fault_is_shown_with_its_place_and_called_ours(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise RuntimeError("[red]broken[/red]")
    except RuntimeError:
        console.fail_by_fault()
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "RuntimeError: [red]broken[/red]" in err
    assert "fault of unetscope" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s"), (7260, "2 h 1 min")]
)
def test_durations(seconds: float, said: str) -> None:
    assert format_seconds(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (2**20, "1.0 MiB"), (3 * 2**40, "3072.0 GiB")]
)
def test_sizes(count: int, said: str) -> None:
    assert format_bytes(count) == said
