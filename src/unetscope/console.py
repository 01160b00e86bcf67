"""What people see in a terminal: progress bars, tables and plain lines; computes nothing.

Everything goes to standard error; standard output is for machine-readable results alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table as Grid

from unetscope.tables import Block, Caution, Table
from unetscope.wording import format_bytes, format_count, format_number, format_seconds

if TYPE_CHECKING:
    from pathlib import Path

    from unetscope.data.inspection import Inspection
    from unetscope.data.spacing import Spacing
    from unetscope.engines.engine import Engine
    from unetscope.fetching.catalog import PublicSet
    from unetscope.file_segmentation import Job, Segmented
    from unetscope.scores.overlap import Scores
    from unetscope.training.progress import Epoch, Plan
    from unetscope.training.progress import Progress as TrainingProgress

SILENCE_SECONDS = 15.0
ESTIMATE_AFTER = 10  # steps
SCHEMES = {
    "image": "every image by its own mean and spread",
    "dataset": "all images by the mean and spread of the training images",
    "range": "all images by one range of intensities",
    "window": "all images by the intensities of the training images' foreground, cut off at its percentiles",
}


class Terminal(Console):
    """Standard error; when nobody reads it any more, the program hears of it instead of ending with 1."""

    def on_broken_pipe(self) -> None:
        """Be silent from now on, and let the command line end."""
        self.quiet = True
        raise BrokenPipeError


console = Terminal(stderr=True, highlight=False)


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


def fail_by_fault() -> None:
    """What the user cannot mend: where it happened, for us."""
    console.print(escape(traceback.format_exc().rstrip()), soft_wrap=True)
    fail(
        "this is a fault of unetscope and not yours; please report the lines above, with the command and what "
        "`unetscope --version` says, to its developers"
    )


def print_json(content: Any) -> None:
    """A machine-readable result on standard output."""
    sys.stdout.write(json.dumps(content, indent=2, allow_nan=False) + "\n")
    sys.stdout.flush()


def abandon_output() -> None:
    """Stop writing to streams that nobody reads any more; Python would complain at its end."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table; the first column is left-aligned, the others are numbers."""
    table = Grid(box=None, pad_edge=False, header_style="bold")
    for position, column in enumerate(columns):
        table.add_column(escape(column), justify="left" if position == 0 else "right")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)


def show(blocks: Iterable[Block]) -> None:
    """Tables and sentences, from top to bottom."""
    for block in blocks:
        if isinstance(block, Table):
            print_table(block.columns, block.rows)
        else:
            (warn if isinstance(block, Caution) else say)(block)


class Bar:
    """The progress of one piece of work: a bar with time left in a terminal, now and then a line elsewhere."""

    def __init__(self, title: str, total: int | None, progress: Progress | None) -> None:
        self._title, self._progress = title, progress
        self._task = progress.add_task(escape(title), total=total) if progress else None
        self._began = self._spoke = time.monotonic()

    def restart(self) -> None:
        """Count the time from now: the next piece of the work is another."""
        self._began = self._spoke = time.monotonic()

    def part(self, index: int, count: int, name: str) -> Callable[[int, int], None]:
        """An `update` for one of several equal pieces of the work, done and total being of that piece."""
        self.update(index, count, name)
        return lambda done, total: self.update(index + done / total, count, name)

    def update(self, done: float, total: int, note: str = "") -> None:
        """Show how much is done."""
        if self._progress is not None and self._task is not None:
            title = f"{self._title} {note}" if note else self._title
            self._progress.update(self._task, completed=done, total=total, description=escape(title))
        elif time.monotonic() - self._spoke >= SILENCE_SECONDS and 0 < done < total:
            self._spoke = time.monotonic()
            left = (self._spoke - self._began) / done * (total - done)
            say(f"  {self._title}: {100 * done / total:.0f} %, about {format_seconds(left)} left {note}".rstrip())


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


def show_inspection(found: Inspection, sheet: Path | None) -> None:
    """What training would see, and what is worth a look."""
    for line in found.lines():
        say(line)
    if sheet is not None:
        say(f"picture: {sheet}")
    for warning in found.warnings:
        warn(warning.sentence)
    if not found.roles.get("test"):
        warn("no whole image is left for the test; annotate some more images to know how good a network is")


def show_plan(plan: Plan) -> None:
    """What a training run has decided, one line each."""
    split, widths = plan.split, "-".join(map(str, plan.spec.level_widths))
    say(
        f"roles: {len(split.train)} images to train on, {len(split.validation)} to validate and profile with, "
        f"{len(split.test)} to test"
    )
    if not split.test:
        warn(
            "no image is left for the test, so that only validation scores, which are optimistic, will be known; "
            "annotate some more images, or evaluate on another dataset"
        )
    if plan.gap:
        pixels = "x".join(map(str, plan.gap))
        say(
            f"blocks: these few images are cut into blocks with {pixels} pixels between them, so that scores are for "
            "other places in these images and not for new ones"
        )
    say(f"normalization: {SCHEMES[plan.normalization.scheme]}")
    if plan.spacing:
        say(f"spacing: volumes are resampled to {format_spacing(plan.spacing)}")
    say(f"network: widths {widths}, {plan.parameters:,} parameters, in {plan.precision} on the {plan.device}")


class TrainingBar:
    """Tells how a training run goes on: what it decided, how long it may take, its steps.

    Args:
        bar: Where steps are shown.
    """

    def __init__(self, bar: Bar) -> None:
        self._bar, self._first, self._began = bar, 0, 0.0

    def update(self, now: TrainingProgress) -> None:
        """Show how far the run is."""
        if now.loss is None:
            self._first, self._began = now.step, time.monotonic()
            show_plan(now.plan)
            size = "x".join(map(str, now.plan.patch))
            patches = f"{format_count(now.plan.batch, 'patch')} of {size} pixels"
            done = f", of which {now.step} are done already" if now.step else ""
            say(f"steps: {now.steps} of {patches}, {now.plan.epoch_steps} an epoch{done}")
        elif now.step == self._first + ESTIMATE_AFTER:
            seconds = (time.monotonic() - self._began) / ESTIMATE_AFTER * (now.steps - now.step)
            say(f"time: about {format_seconds(seconds)} for the {now.steps - now.step} steps left, besides validation")
        self._bar.update(now.step, now.steps, "" if now.loss is None else f"loss {now.loss:.3f}")


def show_epoch(epoch: Epoch) -> None:
    """One line an epoch."""
    mark = " (best)" if epoch.best else ""
    panoptic = "" if epoch.panoptic is None else f"  panoptic quality {format_number(epoch.panoptic, 4)}"
    say(
        f"epoch {epoch.epoch:3d}  loss {epoch.loss:.4f}  validation Dice {format_number(epoch.dice, 4)}{panoptic}"
        f"  {epoch.seconds:.1f} s{mark}"
    )
    for warning in epoch.warnings:
        warn(warning)


def show_job(job: Job) -> None:
    """What segmenting an image will take."""
    size = "x".join(map(str, job.plan.size))
    tiles = format_count(job.tiles, "tile")
    say(f"{job.source}: {tiles} of {size}, about {format_bytes(job.peak_bytes)} of memory at the most")
    if not job.plan.seamless:
        warn("instance norm looks at the whole tile, so that the result depends on the tile; --whole avoids this")


def show_scores(scores: Scores) -> None:
    """Scores by class, the means, and which difference so many images could show."""
    from unetscope.scores.scores_text import CLASS_COLUMNS, lay_out

    show(lay_out(scores, [column for column in CLASS_COLUMNS if column != "95 %"]))


def show_engine(engine: Engine) -> None:
    """What computes."""
    made = engine.describe()
    say(f"computed by {made['engine']} {made['version']} in {made['precision']}")


class JobsBar:
    """The progress of segmenting files, each an equal piece of the work.

    Args:
        bar: The bar of all.
        count: How many files there are.
    """

    def __init__(self, bar: Bar, count: int) -> None:
        self._bar, self._count, self._begun = bar, count, 0

    def begin(self, job: Job) -> Callable[[int, int], None]:
        """Say what the next file takes; returns what is to be told of its tiles."""
        show_job(job)
        self._begun += 1
        return self._bar.part(self._begun - 1, self._count, job.source.name)


def show_segmented(result: Segmented) -> None:
    """What became of an image."""
    found = "" if result.objects is None else f"; {format_count(result.objects, 'object')} in {result.table}"
    say(f"  -> {result.labels}: {format_shares(result.shares)}{found}")


def format_spacing(spacing: Spacing) -> str:
    """Distances between pixels.

    Example:
        >>> from unetscope.data.spacing import Spacing
        >>> format_spacing(Spacing((3.0, 0.75, 0.75), "mm"))
        '3 x 0.75 x 0.75 mm'
    """
    return f"{' x '.join(f'{step:.4g}' for step in spacing.steps)} {spacing.unit}"


def show_sets(sets: Sequence[PublicSet]) -> None:
    """The public sets, with what they hold and how much is downloaded."""
    rows = [
        (f"{each.name:<12}{each.title}", "by hand" if not each.files else format_megabytes(each.megabytes))
        for each in sets
    ]
    print_table(("set", "download"), rows)
    say("`unetscope fetch NAME --out FOLDER` shows license and citation and downloads one")


def format_megabytes(megabytes: float | None) -> str:
    """A size to download, or a dash where it is not known.

    Example:
        >>> format_megabytes(80.82), format_megabytes(None)
        ('81 MB', '-')
    """
    return "-" if megabytes is None else f"{megabytes:.0f} MB"


def format_shares(shares: Mapping[str, float]) -> str:
    """Class shares in percent.

    Example:
        >>> format_shares({"background": 0.25, "cell": 0.75})
        'background 25.0 %, cell 75.0 %'
    """
    return ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
