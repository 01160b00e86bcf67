"""Every estimator on every phantom, and the certificate that results; knows what is measured when, not how.

Source:
    JCGM 200:2012, International vocabulary of metrology, 2.39: a calibration relates indications to quantity values
    that a standard provides, with the uncertainties of both. The standards here are phantoms.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from unetscope import __version__
from unetscope.files import write_json
from unetscope.information.calibration import measures
from unetscope.information.calibration.rows import Row, Trial
from unetscope.information.calibration.truths import PUZZLES
from unetscope.information.estimators.family import Family
from unetscope.information.estimators.logistic import Logistic
from unetscope.information.estimators.perceptron import Perceptron
from unetscope.machine import describe_machine, find_version

FORMAT = 1
SEEDS = (0, 1, 2, 3, 4)
FAMILIES: tuple[Family, ...] = (Logistic(), Perceptron())
LIBRARIES = ("numpy", "scipy", "torch")

Measure = Callable[[int], Iterable[Trial]]


@dataclass(frozen=True)
class Check:
    """Something that is measured for every seed.

    Attributes:
        name: What is checked, such as "G5 d=16".
        measure: Seed -> what was found on that draw, some rows at once.
        seconds: About how long one draw takes, for the time left.
        seeds: The draws.
    """

    name: str
    measure: Measure
    seconds: float = 1.0
    seeds: tuple[int, ...] = SEEDS


@dataclass(frozen=True)
class Certificate:
    """What a calibration found.

    Attributes:
        rows: Every line, in the order of the checks.
        full: Whether the long checks were among them.
        seconds: How long it took.
    """

    rows: tuple[Row, ...]
    full: bool
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every row is."""
        return not self.failures

    @property
    def failures(self) -> tuple[str, ...]:
        """Rows whose worst draw is further from the truth than allowed."""
        return tuple(row.worst.id for row in self.rows if not row.ok)

    def to_json(self) -> dict[str, Any]:
        """Plain values, with what the figures may depend on: versions and machine."""
        return {
            "format": FORMAT,
            "unetscope": __version__,
            "versions": {library: find_version(library) for library in LIBRARIES},
            "machine": describe_machine(),
            "full": self.full,
            "seconds": round(self.seconds, 1),
            "ok": self.ok,
            "rows": [row.to_json() for row in self.rows],
        }

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all.

        Raises:
            OutputError: The file cannot be written.
        """
        write_json(path, self.to_json())


def check_estimators(
    full: bool = False,
    on_step: Callable[[int, int, str], None] | None = None,
    checks: Sequence[Check] | None = None,
) -> Certificate:
    """Let every estimator measure phantoms whose information is known.

    Args:
        full: Whether to take the long checks too: under 15 minutes on 2 cores, instead of under 2.
        on_step: Told about how many seconds' worth of work is done, how many there are in all, and what comes next.
        checks: What is checked; all that `list_checks` names if not given.

    Returns:
        The certificate. A row is the worst of its seeds.

    Example:
        >>> check_estimators(checks=[Check("G4", measures.measure_codewords)]).ok
        True
    """
    chosen = list_checks(full) if checks is None else checks
    began, done = time.perf_counter(), 0.0
    total = sum(check.seconds * len(check.seeds) for check in chosen)
    found: dict[str, dict[int, Trial]] = {}
    for check in chosen:
        for seed in check.seeds:
            if on_step:
                on_step(round(done), round(total), check.name)
            for trial in check.measure(seed):
                found.setdefault(trial.id, {})[seed] = trial
            done += check.seconds
    rows = tuple(Row.of(trials) for trials in found.values())
    return Certificate(rows, full, time.perf_counter() - began)


def list_checks(full: bool = False) -> tuple[Check, ...]:
    """What is checked, in the order of the rows.

    Args:
        full: Whether the long ones are among it.

    Example:
        >>> len(list_checks(full=True)) > len(list_checks())
        True
    """
    return (
        Check("G1", measures.measure_gaussian),
        Check("G3", measures.measure_bounds),
        Check("G4", measures.measure_codewords),
        *_list_classes(full),
        *_list_blocks(full),
        *_list_puzzles(full),
        *_list_nothing(full),
        *(Check(f"G10 {images} images", partial(measures.measure_coverage, images)) for images in (10, 30, 100)),
    )


def _list_classes(full: bool) -> Iterator[Check]:
    """G5: both families where images can teach so many channels, and the verdict where they cannot."""
    few, wide = measures.FEW_CHANNELS, measures.MANY_CHANNELS
    yield Check(f"G5 d={few} linear", partial(measures.measure_classes, Logistic(), few))
    yield Check(f"G5 d={few} mlp", partial(measures.measure_classes, Perceptron(), few), 6)
    yield Check(f"G5 d={wide} linear", partial(measures.measure_classes, Logistic(), wide), 2)
    if full:
        yield Check(f"G5 d={wide} mlp", partial(measures.measure_classes, Perceptron(), wide), 6)
    refused = measures.CLASSES if full else measures.CLASSES[1:2]
    yield Check("G5 cannot tell", partial(measures.measure_refusal, refused), 3 * len(refused))


def _list_blocks(full: bool) -> Iterator[Check]:
    """G6: windows, and what a trained network makes of them."""
    for family, ndim in product(FAMILIES if full else FAMILIES[:1], (2, 3)):
        yield Check(f"G6 {ndim}D {family.name}", partial(measures.measure_windows, family, ndim))
    if full:
        from unetscope.information.calibration.trained import measure_network

        yield Check("G6 trained U-Net", measure_network, 60)


def _list_puzzles(full: bool) -> Iterator[Check]:
    """G7: the linear reader on all, and the other one at least where the linear one must fail."""
    for name in PUZZLES:
        yield Check(f"G7 {name} linear", partial(measures.measure_puzzle, Logistic(), name))
    for name in PUZZLES if full else ("XOR",):
        yield Check(f"G7 {name} mlp", partial(measures.measure_puzzle, Perceptron(), name), 4)


def _list_nothing(full: bool) -> Iterator[Check]:
    """G9: nothing is found where there is nothing, and shuffles say so."""
    few, wide = measures.FEW_CHANNELS, measures.MANY_CHANNELS
    for family, channels in product(FAMILIES, (few, wide)):
        yield Check(f"G9 d={channels} {family.name}", partial(measures.measure_nothing, family, channels))
    for channels in (few, wide) if full else (few,):
        pixels = measures.PIXELS if full else measures.SHUFFLED_PIXELS
        # One test of one long series: five tests would fail by chance every twentieth time.
        shuffles = partial(measures.measure_shuffles, channels, pixels)
        yield Check(f"G9 p-values d={channels}", shuffles, channels / 2, SEEDS[:1])
