"""Predicted against measured milliseconds of random networks, in every engine: was the calibration right?

    python benchmarks/cost.py [--specs 20] [--rounds 5] [--engines torch,openvino] [--json FILE]

The networks are drawn with their own seed and take no part in the calibration, which is measured at the start and not
taken from the cache. In every round each network is built and timed in each engine, in another order; the median over
the rounds is compared with the prediction, and peak memory (--memory 5) with what a fresh process takes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, get_args

import numpy as np

from measuring import Contestant, Rounds, describe_run, format_table, measure_rounds, summarize
from unetscope.engines.engine import EngineName, Precision
from unetscope.errors import SizeError, SpecError
from unetscope.files import write_json
from unetscope.model.cost import count_cost
from unetscope.model.geometry import fitting_shape
from unetscope.model.spec import Norm, UNetSpec, Up
from unetscope.timing.calibration import SECONDS, build_untrained, measure_engine, time_block
from unetscope.timing.prediction import Calibration, Prediction

TARGET = 0.15
SEED = 2015
MOST_MULTIPLY_ADDS, MOST_ACTIVATIONS = 150e9, 4e8
LARGEST = {2: 1600, 3: 160}
SIDES = {2: (256, 1500), 3: (32, 128)}
TOP_WIDTHS = (4, 6, 8, 12, 16, 20, 24, 32, 48, 64, 96, 128)
WIDEST = 128


@dataclass(frozen=True)
class Case:
    """A network, the shape of the block it is timed on, and its name in tables."""

    name: str
    spec: UNetSpec
    shape: tuple[int, ...]


def main() -> None:
    """Calibrate, predict, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", default="torch,openvino")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="time for each calibration")
    parser.add_argument("--work", type=Path, default=Path("runs/speed"))
    parser.add_argument("--memory", type=int, default=0, help="compare peak memory too, of so many networks (Linux)")
    parser.add_argument("--take", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cases = draw_cases(arguments.specs, arguments.seed)
    engines = tuple(arguments.engines.split(","))
    if arguments.take:
        print(take_block(draw_cases(int(arguments.take) + 1, arguments.seed)[-1], engines[0], arguments.precision))
        return
    calibrations = {engine: calibrate(engine, arguments.precision, arguments.seconds) for engine in engines}
    facts = describe_run({"specs": arguments.specs, "seed": arguments.seed, "precision": arguments.precision})
    contestants = {f"{engine} {case.name}": contest(case, engine, arguments) for case in cases for engine in engines}
    rounds = measure_rounds(contestants, arguments.rounds, arguments.work / "cost-rounds.json", facts, warm_up=0)
    results = {engine: compare(cases, calibrations[engine], rounds, engine) for engine in engines}
    for engine, rows in results.items():
        print_results(calibrations[engine], rows)
    memory = [
        row for made in calibrations.values() for row in compare_memory(cases[: arguments.memory], made, arguments)
    ]
    if memory:
        print("\n" + format_table(("memory", "predicted, MB", "measured, MB", "ratio"), memory))
    if arguments.json:
        kept = {engine: calibration.to_json() for engine, calibration in calibrations.items()}
        write_json(arguments.json, {**rounds.to_json(), "calibrations": kept, "results": results, "memory": memory})


def draw_cases(count: int, seed: int = SEED) -> list[Case]:
    """Networks of all kinds, two in three for images, on blocks of all sizes that fit into memory."""
    return [Case(f"{index:02d}", *drawn) for index, drawn in enumerate(islice(_draw_all(Random(seed)), count))]


def _draw_all(random: Random) -> Iterator[tuple[UNetSpec, tuple[int, ...]]]:
    while True:
        spec = _draw_spec(random)
        wanted = tuple(random.randint(*SIDES[spec.ndim]) for _ in range(spec.ndim))
        try:
            shape = fitting_shape(spec, wanted)
        except SizeError:
            continue
        cost = count_cost(spec, shape)
        small = cost.multiply_adds <= MOST_MULTIPLY_ADDS and cost.peak_activations <= MOST_ACTIVATIONS
        if small and max(shape) <= LARGEST[spec.ndim]:
            yield spec, shape


def _draw_spec(random: Random) -> UNetSpec:
    ndim = random.choice((2, 2, 3))
    depth, top, growth = random.randint(1, 5), random.choice(TOP_WIDTHS), random.choice((1, 1.5, 2))
    return UNetSpec.by_level(
        [min(WIDEST, int(top * growth**level)) for level in range(depth + 1)],
        ndim=ndim,
        up=random.choice([up for up in get_args(Up) if up != "unpool"]),
        down=random.choice(("max", "max", "strided")),
        norm=random.choice(get_args(Norm)),
        activation=random.choice(("relu", "relu", "leaky")),
        padded=random.random() < 0.6,
        convolutions=random.choice((1, 2, 2, 2, 3)),
        image_channels=random.choice((1, 1, 3)),
        classes=random.choice((1, 2, 2, 4)),
        skips=random.choice((None, None, tuple(level for level in range(depth) if random.random() < 0.5))),
    )


def calibrate(engine: EngineName, precision: Precision, seconds: float) -> Calibration:
    """A calibration measured now."""
    made = measure_engine(engine, precision, seconds)
    print(
        f"{engine}: {made.probes} probes in {made.seconds:.0f} s, error by its own account {made.error:.1%}", flush=True
    )
    return made


def contest(case: Case, engine: EngineName, arguments: argparse.Namespace) -> Contestant:
    """Builds the network, times one block, forgets it."""
    return lambda: time_block(build_untrained(case.spec, engine, arguments.precision), case.shape) / 1e3


def compare(cases: Sequence[Case], calibration: Calibration, rounds: Rounds, engine: str) -> list[dict[str, Any]]:
    """What was predicted and what was measured."""
    rows = []
    for case in cases:
        try:
            said = calibration.predict(case.spec, case.shape)
        except SpecError as error:
            print(f"{engine} {case.name}: {error}")
            continue
        measured = summarize([1e3 * seconds for seconds in rounds.seconds[f"{engine} {case.name}"]])
        rows.append(describe(case, said, measured.median, measured.high / measured.low - 1))
    return rows


def describe(case: Case, said: Prediction, measured: float, spread: float) -> dict[str, Any]:
    """One line of the table."""
    return {
        "case": case.name,
        "spec": case.spec.to_json(),
        "shape": case.shape,
        "predicted": said.milliseconds,
        "low": said.low,
        "high": said.high,
        "measured": measured,
        "spread": spread,
        "error": said.milliseconds / measured - 1,
    }


def print_results(calibration: Calibration, rows: Sequence[Mapping[str, Any]]) -> None:
    """Every network, the summary, and where the errors are."""
    print(f"\n## {calibration.engine} {calibration.precision}\n")
    head = ("network", "block", "predicted, ms", "measured, ms", "spread", "error")
    print(format_table(head, [_cells(row) for row in rows]))
    errors = [abs(row["error"]) for row in rows]
    inside = sum(row["low"] <= row["measured"] <= row["high"] for row in rows)
    median = statistics.median(errors)
    print(
        f"\nmedian error {median:.1%} (target {TARGET:.0%}: {'met' if median < TARGET else 'missed'}), worst "
        f"{max(errors):.0%}; {inside} of {len(rows)} within the interval for 8 in 10\n"
    )
    print(format_table(("networks with", "how many", "median error", "signed"), list(split_errors(rows))))


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [
        name_spec(UNetSpec.from_json(row["spec"])),
        "x".join(map(str, row["shape"])),
        f"{row['predicted']:.1f}",
        f"{row['measured']:.1f}",
        f"{row['spread']:.0%}",
        f"{row['error']:+.0%}",
    ]


def name_spec(spec: UNetSpec) -> str:
    """A network in few words."""
    words = [
        f"{spec.ndim}D {'-'.join(map(str, spec.level_widths))}",
        f"{spec.convolutions} conv",
        spec.norm,
        spec.activation,
        spec.down,
        spec.up,
        "padded" if spec.padded else "valid",
        f"skips {','.join(map(str, spec.skip_levels)) or 'none'}",
        f"{spec.image_channels} in, {spec.classes} out",
    ]
    return ", ".join(words)


KINDS: Mapping[str, Callable[[UNetSpec], object]] = {
    "axes": lambda spec: spec.ndim,
    "up": lambda spec: spec.up,
    "down": lambda spec: spec.down,
    "norm": lambda spec: spec.norm,
    "padded": lambda spec: spec.padded,
    "width at the top": lambda spec: "below 16" if spec.level_widths[0] < 16 else "16 and more",
    "widths in eights": lambda spec: all(width % 8 == 0 for width in spec.level_widths),
    "depth": lambda spec: "1 or 2" if spec.depth < 3 else "3 and more",
}


def split_errors(rows: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    """Errors by what the networks have in common."""
    specs = [UNetSpec.from_json(row["spec"]) for row in rows]
    for title, find in KINDS.items():
        for value in sorted({find(spec) for spec in specs}, key=str):
            errors = [row["error"] for row, spec in zip(rows, specs, strict=True) if find(spec) == value]
            yield [
                f"{title}: {value}",
                str(len(errors)),
                f"{statistics.median(map(abs, errors)):.0%}",
                f"{statistics.median(errors):+.0%}",
            ]


def compare_memory(cases: Sequence[Case], calibration: Calibration, arguments: argparse.Namespace) -> list[list[str]]:
    """Peak memory of a fresh process, beyond what it took before the block, by what was predicted."""
    rows = []
    for case in cases:
        words = ["--seed", str(arguments.seed), "--precision", arguments.precision]
        words += ["--take", case.name, "--engines", calibration.engine]
        printed = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=True).stdout
        taken, said = int(printed.split()[-1]), calibration.predict(case.spec, case.shape).peak_bytes
        rows.append(
            [f"{calibration.engine} {case.name}", f"{said / 1e6:.0f}", f"{taken / 1e6:.0f}", f"{said / taken:.2f}"]
        )
    return rows


def take_block(case: Case, engine: EngineName, precision: Precision) -> int:
    """Bytes that one block takes at the most in this process (Linux)."""
    built = build_untrained(case.spec, engine, precision)
    block = np.zeros((1, case.spec.image_channels, *case.shape), np.float32)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before = _read_status("VmRSS")
    built.labels(block)
    return _read_status("VmHWM") - before


def _read_status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
