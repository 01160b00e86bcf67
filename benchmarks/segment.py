"""How fast large images are segmented, and in how much memory: this package and MONAI's sliding window, same weights.

    python benchmarks/segment.py --data ../shared/data [--networks wide faithful volume] [--size 4096] [--json FILE]

Networks are trained briefly on real images, whose test images are put side by side as one large image in a file.
Contestants take turns in processes of their own; a stopped benchmark goes on where it was. MONAI runs with its defaults
(overlap .25, constant weights), with overlap .5 and Gaussian weights, and both again with autocast to bfloat16 and
channels last. "unetscope" chooses its engine by itself. Where the processor has AMX or computes in bfloat16, other
processes do without (ONEDNN_MAX_CPU_ISA, which torch and OpenVINO obey both).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from contenders import Segmented, prepare_monai, prepare_ours, prepare_reference
from measuring import NO_AMX, Rounds, describe_run, format_table, list_limits, measure_rounds, time_products
from processes import Memory, Worker, observing
from subjects import SUBJECTS, Subject, save_as_tif, useful_operations
from unetscope.files import write_json
from unetscope.scores.overlap import confusion

OURS, DEFAULTS, GAUSSIAN, TUNED = "unetscope", "MONAI .25", "MONAI .5 Gaussian", ", bf16 channels last"
PRODUCTS = {"bfloat16": "bf16 matrix product", "float32": "float32 matrix product"}
TARGETS = {
    "wide": {DEFAULTS: 12, GAUSSIAN: 25},
    "faithful": {DEFAULTS: 8},
    "volume": {DEFAULTS: 8},
}
SHARE, LOST_DICE = 0.6, 0.002
REFERENCE = "reference"


def main() -> None:
    """Measure and print network by network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("runs/speed"))
    parser.add_argument("--networks", nargs="+", choices=list(SUBJECTS), default=list(TARGETS))
    parser.add_argument("--size", type=int, help="longest side of the image; 4096, 2048 and, in 3D, 256 if not given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="cpu hides a card from all of them")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    reports = []
    for name in arguments.networks:
        trial = Trial.prepare(SUBJECTS[name], arguments.data, arguments.work, arguments.size, arguments.device)
        report = trial.run(arguments.rounds)
        print_report(trial, report)
        reports.append({"network": name, **report.to_json()})
    if arguments.json:
        write_json(arguments.json, reports)


@dataclass(frozen=True)
class Trial:
    """One network and one image.

    Attributes:
        subject: The network.
        run_folder: Where it is.
        image: File of the image.
        truth: File of its annotated classes.
        facts: The circumstances.
        operations: Useful ones for the image.
        device: "cpu" or "cuda".
    """

    subject: Subject
    run_folder: Path
    image: Path
    truth: Path
    facts: Mapping[str, Any]
    operations: int
    device: str

    @classmethod
    def prepare(cls, subject: Subject, data: Path, work: Path, size: int | None, device: str) -> Trial:
        """Train the network and put the image together, where that is not done yet."""
        checkpoint, shape = subject.train(data, work), subject.scaled(size)
        image, truth = subject.mosaic(data, work, shape), subject.mosaic(data, work, shape, "truth")
        save_as_tif(image)
        parameters = {"weights": checkpoint.digest(), "image": image.name, "window": subject.window, "device": device}
        operations = useful_operations(checkpoint.spec, shape)
        return cls(subject, subject.run(work), image, truth, describe_run(parameters), operations, device)

    def workers(self) -> Iterator[tuple[str, Worker]]:
        """All contestants but the matrix products."""
        hidden = {} if self.device == "cuda" else {"CUDA_VISIBLE_DEVICES": ""}
        ours = partial(Worker, prepare_ours, self.run_folder, environment=hidden)
        monai = partial(Worker, prepare_monai, self.run_folder, self.image, self.subject.window, environment=hidden)
        yield OURS, ours(self.image, "auto")
        yield f"{OURS}, torch", ours(self.image, "torch")
        if find_spec("openvino") and hidden:
            yield f"{OURS}, openvino", ours(self.image, "openvino")
        yield f"{OURS}, from .tif", ours(self.image.with_suffix(".tif"), "auto")
        for tuned in (False, True):
            yield DEFAULTS + TUNED * tuned, monai(0.25, "constant", tuned, self.device)
            yield GAUSSIAN + TUNED * tuned, monai(0.5, "gaussian", tuned, self.device)
        for title, limit in list_limits(self.facts["machine"]["instructions"]).items() if hidden else ():
            yield f"{OURS}, {title}", ours(self.image, "auto", environment={**hidden, **limit})
            if title == NO_AMX:  # without AMX it still computes in bfloat16
                yield (
                    f"{DEFAULTS}{TUNED}, {title}",
                    monai(0.25, "constant", True, "cpu", environment={**hidden, **limit}),
                )

    def run(self, rounds: int) -> Report:
        """Measure what is not measured yet."""
        judge = Judge(self.run_folder, self.image, self.truth, self.device)
        products = {title: time_products(dtype, self.operations, self.device) for dtype, title in PRODUCTS.items()}
        file = self.image.with_name(f"{self.image.stem}-{self.device}-rounds.json")
        with ExitStack() as stack:
            workers = {name: stack.enter_context(worker) for name, worker in self.workers()}
            contestants = {name: observing(worker, partial(judge.note, name)) for name, worker in workers.items()}
            measured = measure_rounds({**contestants, **products}, rounds, file, self.facts)
            for name in workers.keys() - judge.read().keys():  # somebody deleted the file
                judge.note(name, *workers[name].ask("observe"))
        return Report(measured, judge.read())


@dataclass(frozen=True)
class Observation:
    """What the first run of a contestant showed.

    Attributes:
        how: How it computed.
        memory: Its peak.
        agreement: Share of the pixels that have the reference's class.
        dice: Overlap of each class with the reference's, the background first.
        truth: Overlap of each class with the annotated one.
    """

    how: str
    memory: Memory
    agreement: float
    dice: tuple[float, ...]
    truth: tuple[float, ...]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Observation:
        """What `dataclasses.asdict` gave."""
        return cls(**{**content, "memory": Memory(**content["memory"])})


class Judge:
    """Compares classes with the reference and with the annotation, and keeps what it found in a file.

    Args:
        run_folder: The network.
        image: File of the image.
        truth: File of its annotated classes.
        device: Part of the file's name.
    """

    def __init__(self, run_folder: Path, image: Path, truth: Path, device: str) -> None:
        self.run_folder, self.image = run_folder, image
        self.truth = np.load(truth, mmap_mode="r")[0]
        self.file = image.with_name(f"{image.stem}-{device}-observations.json")

    @cached_property
    def reference(self) -> np.ndarray:
        """Classes in float32, with which all others are compared."""
        with Worker(prepare_reference, self.run_folder, self.image) as worker:
            labels: np.ndarray
            memory, (labels, how) = worker.ask("observe")
        self._keep(REFERENCE, Observation(how, memory, 1.0, (1.0,), overlap(self.truth, labels)))
        return labels

    def note(self, name: str, memory: Memory, segmented: Segmented) -> None:
        """Compare and keep."""
        labels, how = segmented
        agreement = float(np.mean(labels == self.reference))
        self._keep(
            name, Observation(how, memory, agreement, overlap(self.reference, labels), overlap(self.truth, labels))
        )

    def read(self) -> dict[str, Observation]:
        """All that was kept, the reference among them."""
        content = json.loads(self.file.read_text(encoding="utf-8")) if self.file.exists() else {}
        return {name: Observation.from_json(each) for name, each in content.items()}

    def _keep(self, name: str, observation: Observation) -> None:
        known = {key: asdict(value) for key, value in self.read().items()}
        write_json(self.file, {**known, name: asdict(observation)})


def overlap(truth: np.ndarray, labels: np.ndarray) -> tuple[float, ...]:
    """Dice of every class, the background first; 1 for a class that is in neither.

    Example:
        >>> overlap(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))
        (0.6666666666666666, 0.8)
    """
    counts = confusion(truth, labels, int(max(truth.max(), labels.max())) + 1)
    sizes = counts.sum(0) + counts.sum(1)
    return tuple(np.where(sizes > 0, 2 * counts.diagonal() / np.maximum(sizes, 1), 1.0).tolist())


@dataclass(frozen=True)
class Report:
    """All that was measured with one network.

    Attributes:
        rounds: Seconds.
        observations: By contestant, and the reference's.
    """

    rounds: Rounds
    observations: Mapping[str, Observation]

    @property
    def names(self) -> tuple[str, ...]:
        """The contestants that segment, in order."""
        return tuple(name for name in self.rounds.seconds if name not in PRODUCTS.values())

    def loss(self, name: str) -> float:
        """The most Dice that a class lost against the reference, both compared with the annotation."""
        truths = (self.observations[each].truth for each in (REFERENCE, name))
        return max(float(a - b) for a, b in zip(*truths, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Plain values: circumstances, seconds, ratios, memory and overlaps."""
        return {
            **self.rounds.to_json(),
            "times_longer": {name: asdict(self.rounds.ratio(name, OURS)) for name in self.names},
            "shares_of_products": {
                title: {name: asdict(self.rounds.ratio(title, name)) for name in self.names}
                for title in PRODUCTS.values()
            },
            "observations": {name: asdict(each) for name, each in self.observations.items()},
        }


def print_report(trial: Trial, report: Report) -> None:
    """The tables and what was asked for."""
    pixels, rounds = prod(np.load(trial.truth, mmap_mode="r").shape), report.rounds
    print(f"\n{trial.subject.name}: {trial.subject.title}; {trial.image.name}, {rounds.count} rounds, ", end="")
    print(f"{trial.facts['machine']['threads']} threads, {trial.operations / 1e12:.2f} T useful operations")
    for dtype, title in PRODUCTS.items():
        print(f"{dtype} product of torch: {trial.operations / rounds.summary(title).median / 1e9:.0f} G operations/s")
    print(f"reference: {report.observations[REFERENCE].how}; median (smallest-largest)\n")
    print_speed(report, pixels)
    print()
    print_results(report)
    print()
    print_targets(trial.subject.name, report)


def print_speed(report: Report, pixels: int) -> None:
    """Seconds and ratios as a table."""
    limited = [name for name in report.names if name.startswith(OURS) and name.endswith("off")]
    head = ["contestant", "seconds", "Mpx/s", "times ours", *(f"times {name}" for name in limited), "of bf16 product"]
    rows = [
        [
            name,
            f"{report.rounds.summary(name):.2f}",
            f"{pixels / 1e6 / report.rounds.summary(name).median:.2f}",
            *(f"{report.rounds.ratio(name, to):.2f}" for to in (OURS, *limited)),
            f"{100 * report.rounds.ratio(PRODUCTS['bfloat16'], name).median:.0f} %",
        ]
        for name in report.names
    ]
    print(format_table(head, rows))


def print_results(report: Report) -> None:
    """Memory and overlaps as a table."""
    head = ["contestant", "computed in", "peak MB", "beyond loading", "same class", "lowest Dice", "most Dice lost"]
    rows = []
    for name in report.names:
        one = report.observations[name]
        peaks = (f"{size / 1e6:.0f}" for size in (one.memory.peak, one.memory.extra))
        rows.append(
            [name, one.how, *peaks, f"{one.agreement:.4%}", f"{min(one.dice):.5f}", f"{report.loss(name):+.5f}"]
        )
    print(format_table(head, rows))
    print("Dice: of a class with the reference's; lost: against the reference, both compared with the annotation")


def print_targets(network: str, report: Report) -> None:
    """What was asked for, and what came."""
    for name, times in TARGETS.get(network, {}).items():
        print(f"times faster than {name}, at least {times}: {report.rounds.ratio(name, OURS):.1f}")
    share = report.rounds.ratio(PRODUCTS["bfloat16"], OURS)
    print(f"share of the bf16 product, at least {SHARE}: {share:.2f}")
    print(f"Dice lost by any class, at most {LOST_DICE}: {report.loss(OURS):.5f}", flush=True)


if __name__ == "__main__":
    main()
