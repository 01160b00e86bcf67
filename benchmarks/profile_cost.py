"""What a profile costs: seconds and peak memory, of the default profile, of paper mode and of the published way.

    python benchmarks/profile_cost.py --data ../shared/data --work runs/profile-cost [--run RUN] [--json FILE]

The network is `lee2021` on nuclei of 128x128, trained (--run) or as it is born. The default profile reads 100 images.
The published estimates of 664 images are made in three ways, which take turns: in paper mode, with all controls; by the
same code, the published numbers alone; and in the published way, which writes the activations of every layer to disk
as .npy, reads them back layer by layer, and computes a kernel matrix of all images and one of each class from them (in
float32). Every contestant is in a process of its own, and takes so long that none is warmed up: the first run counts.
What was measured is kept in --work.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import torch

from measuring import Rounds, describe_run, format_table, measure_rounds
from population import open_set
from processes import Memory, Worker
from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.normalization import Normalization
from unetscope.files import write_json
from unetscope.information.capture import capture
from unetscope.information.estimators.kernel import input_information, label_information, squared_distances
from unetscope.information.profiling import Effort, ProfileSettings, profile
from unetscope.information.published.coding import code_blocks
from unetscope.information.published.grams import foreground_probabilities, measure_grams
from unetscope.information.published.paper import PaperSettings, profile_as_published
from unetscope.information.published.samples import Samples, choose_samples
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.wiring import HEAD, IMAGE

CONTROLLED, ALONE, PUBLISHED = "paper mode with controls", "the same numbers alone", "the published way"
BATCH = 16

Numbers = dict[str, tuple[float, float]]
"""I(X;M) and I(M;Y) of every layer, bits."""

Taken = tuple[float, Any]
"""Seconds, and the result."""


def main() -> None:
    """Measure what is not measured yet, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--population", type=Path, default=Path("runs/population"), help="where the images are kept")
    parser.add_argument("--work", type=Path, default=Path("runs/profile-cost"))
    parser.add_argument("--run", type=Path, help="a run folder; a network as it is born if not given")
    parser.add_argument("--effort", choices=["brief", "default", "thorough"], default="default")
    parser.add_argument("--images", type=int, default=100, help="of the default profile")
    parser.add_argument("--paper-images", type=int, default=664)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    dataset = open_set("nuclei", arguments.data, arguments.population)
    trial = prepare_trial(arguments, dataset)
    rounds = trial.run(arguments.rounds)
    print_costs(rounds, trial.notes, trial.images)
    if arguments.json:
        write_json(arguments.json, {**rounds.to_json(), "notes": trial.notes})


def prepare_trial(arguments: argparse.Namespace, dataset: Dataset) -> Trial:
    """The network in --work, with as many images to profile as were asked for."""
    known = Checkpoint.load(arguments.run) if arguments.run else make_network(dataset.classes)
    names = dataset.names[: arguments.paper_images]
    checkpoint = replace(known, split={"profile": tuple(names[: arguments.images])})
    checkpoint.save(arguments.work / "network")
    return Trial(arguments.work, dataset.root, arguments.effort, (len(checkpoint.split["profile"]), len(names)))


def make_network(classes: Sequence[str], seed: int = 0) -> Checkpoint:
    """`lee2021` as it is born."""
    torch.manual_seed(seed)
    spec = UNetSpec.preset("lee2021")
    return Checkpoint(spec, UNet(spec).state_dict(), Normalization.range(0, 255), tuple(classes))


@dataclass(frozen=True)
class Trial:
    """What is measured.

    Attributes:
        work: Folder that holds the network and keeps what was measured.
        data: Folder of the images.
        effort: Of the default profile.
        images: How many images it reads, and how many the published estimates.
    """

    work: Path
    data: Path
    effort: Effort
    images: tuple[int, int]

    @property
    def notes(self) -> dict[str, Any]:
        """Memory and result of the last run of every contestant."""
        return json.loads(self._file.read_text(encoding="utf-8")) if self._file.exists() else {}

    def note(self, name: str, memory: Memory, result: Any) -> None:
        """Keep what a run showed."""
        shown = {"memory": asdict(memory), "extra": memory.extra, "anonymous_extra": memory.anonymous_extra}
        write_json(self._file, {**self.notes, name: {**shown, "result": result}})

    def run(self, rounds: int) -> Rounds:
        """All contestants in turn."""
        facts = describe_run({"images": self.images, "effort": self.effort, "weights": self._weights()})
        with ExitStack() as stack:
            scratch = self.work / "activations"  # the same each time, so that what a kill leaves is used again
            scratch.mkdir(exist_ok=True)
            stack.callback(rmtree, scratch)
            workers = {name: stack.enter_context(worker) for name, worker in self._workers(scratch).items()}
            contestants = {name: partial(self._measure, name, worker) for name, worker in workers.items()}
            return measure_rounds(contestants, rounds, self.work / "rounds.json", facts, warm_up=0)

    def _measure(self, name: str, worker: Worker) -> float:
        """Seconds of one run."""
        seconds: float
        memory, (seconds, result) = worker.ask("observe")
        self.note(name, memory, result)
        return seconds

    @property
    def _file(self) -> Path:
        return self.work / "notes.json"

    def _weights(self) -> str:
        return Checkpoint.load(self.work / "network").digest()

    def _workers(self, scratch: Path) -> dict[str, Worker]:
        place = (self.work / "network", self.data)
        return {
            name_profile(self.effort): Worker(prepare_profile, *place, self.effort),
            CONTROLLED: Worker(prepare_controlled, *place, self.images[1]),
            ALONE: Worker(prepare_alone, *place, self.images[1]),
            PUBLISHED: Worker(prepare_published, *place, self.images[1], scratch),
        }


def name_profile(effort: str) -> str:
    """What the profile of an effort is called."""
    return f"{effort} profile"


def clocked(measure: Callable[[], Any]) -> Callable[[], Taken]:
    """The same, which also tells how long it took.

    Example:
        >>> seconds, result = clocked(lambda: 4)()
        >>> result
        4
    """

    def run() -> Taken:
        start = time.perf_counter()
        result = measure()
        return time.perf_counter() - start, result

    return run


def prepare_profile(run: Path, data: Path, effort: Effort) -> Callable[[], Taken]:
    """Profiling, of which only H0 is told."""
    checkpoint, dataset = Checkpoint.load(run), Dataset.open(data)
    return clocked(lambda: profile(checkpoint, dataset, ProfileSettings(effort=effort)).prior.value)


def prepare_controlled(run: Path, data: Path, images: int) -> Callable[[], Taken]:
    """Paper mode as it is."""
    checkpoint, dataset = Checkpoint.load(run), open_images(data, images)

    def measure() -> Numbers:
        found = profile_as_published(checkpoint, dataset, PaperSettings(role="all"))
        return {each.layer: (each.trained.input.upper, each.trained.label.published) for each in found.layers}

    return clocked(measure)


def prepare_alone(run: Path, data: Path, images: int) -> Callable[[], Taken]:
    """What paper mode computes of the trained network, without its controls."""
    checkpoint, dataset = Checkpoint.load(run), open_images(data, images)

    def measure() -> Numbers:
        samples = choose_samples(checkpoint, dataset, "all")
        codes = code_blocks(samples.foreground)
        grams = measure_grams(checkpoint, samples, PaperSettings().memory_bytes)
        distances = {layer: squared_distances(gram) for layer, gram in grams.items()}
        return {
            layer: (input_information(apart).upper, label_information(apart, codes).published)
            for layer, apart in distances.items()
        }

    return clocked(measure)


def prepare_published(run: Path, data: Path, images: int, scratch: Path) -> Callable[[], Taken]:
    """The published way."""
    checkpoint, dataset = Checkpoint.load(run), open_images(data, images)
    return clocked(lambda: estimate_from_disk(checkpoint, choose_samples(checkpoint, dataset, "all"), scratch))


def open_images(data: Path, images: int) -> Dataset:
    """The first images of a dataset."""
    dataset = Dataset.open(data)
    return dataset.subset(dataset.names[:images])


def estimate_from_disk(checkpoint: Checkpoint, samples: Samples, scratch: Path) -> Numbers:
    """The published numbers by way of the disk: every layer's activations are written, and read back whole.

    Args:
        checkpoint: The network.
        samples: The images.
        scratch: Where activations are written.

    Returns:
        I(X;M) and I(M;Y) of the image and every layer, bits.
    """
    codes = code_blocks(samples.foreground)
    files = write_activations(checkpoint, samples, scratch)
    return {layer: estimate_file(file, codes) for layer, file in files.items()}


def write_activations(checkpoint: Checkpoint, samples: Samples, scratch: Path) -> dict[str, Path]:
    """The activations of the image and every layer as files of (images, numbers), float32."""
    network, count = checkpoint.network(), len(samples.items)
    layers = [IMAGE, *checkpoint.spec.wiring.layers]
    opened: dict[str, np.memmap[Any, np.dtype[np.float32]]] = {}
    for start in range(0, count, BATCH):
        batch = samples.batch(start, min(start + BATCH, count))
        outputs = {IMAGE: batch, **capture(network, layers[1:], batch)}
        outputs[HEAD] = foreground_probabilities(outputs[HEAD])
        for layer, output in outputs.items():
            rows = output.flatten(1).numpy()
            if layer not in opened:
                file = scratch / f"{layer}.npy"
                opened[layer] = np.lib.format.open_memmap(file, "w+", np.float32, (count, rows.shape[1]))
            opened[layer][start : start + len(rows)] = rows
    for written in opened.values():
        written.flush()
    return {layer: scratch / f"{layer}.npy" for layer in layers}


def estimate_file(file: Path, codes: np.ndarray) -> tuple[float, float]:
    """Both numbers of a layer from its file: a kernel matrix of all images, and one of the images of each class."""
    activations = np.load(file)
    whole = estimate_entropy(activations)
    classes = [activations[codes == code] for code in np.unique(codes)]
    within = sum(len(members) / len(activations) * estimate_entropy(members) for members in classes)
    return whole, whole - within


def estimate_entropy(activations: np.ndarray) -> float:
    """Entropy of the mixture less that of its noise, bits, by the upper bound of the same estimator."""
    apart = activations - activations[0]  # the nearer the origin, the less is lost in float32
    return input_information(squared_distances((apart @ apart.T).astype(np.float64))).upper


def largest_difference(one: Mapping[str, Sequence[float]], two: Mapping[str, Sequence[float]]) -> float:
    """The most by which two ways differ at a layer, bits.

    Example:
        >>> largest_difference({"a": (1.0, 2.0)}, {"a": (1.0, 2.5)})
        0.5
    """
    return max(abs(a - b) for layer in one for a, b in zip(one[layer], two[layer], strict=True))


def print_costs(rounds: Rounds, notes: Mapping[str, Any], images: tuple[int, int]) -> None:
    """Seconds, ratios and memory, and whether the ways agree."""
    rows = []
    for name in rounds.seconds:
        is_paper = name in (CONTROLLED, ALONE, PUBLISHED)
        ratio = f"{rounds.ratio(name, PUBLISHED):.2f}" if is_paper else ""
        memory = Memory(**notes[name]["memory"])
        sizes = (memory.anonymous_extra, memory.anonymous_peak, memory.peak)
        row = [name, images[is_paper], f"{rounds.summary(name):.1f}", ratio, *(f"{size / 1e6:.0f}" for size in sizes)]
        rows.append(row)
    head = ["what", "images", "seconds (range)", f"times {PUBLISHED}", "MB beyond loading", "MB at peak", "resident MB"]
    print("\n" + format_table(head, rows))
    for name in (CONTROLLED, ALONE):
        apart = largest_difference(notes[name]["result"], notes[PUBLISHED]["result"])
        print(f"{name} and {PUBLISHED} differ by {apart:.4f} bits at most", flush=True)


if __name__ == "__main__":
    main()
