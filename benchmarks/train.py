"""How fast networks are trained on native nuclei, end to end: this package, and a PyTorch loop with MONAI transforms.

    python benchmarks/train.py --data ../shared/data/dsb2018 [--steps 20] [--rounds 5] [--json FILE]

Contestants take turns in processes of their own, each for some steps a round: data, augmentation, network, loss and
optimizer, without validation. All hold the same decoded training images in memory, draw patches of the same size, bend,
turn, scale and flip every one of them, change brightness, contrast, gamma, blur and noise as often, and train the same
network module with AdamW, cross-entropy and Dice. The peers run with 0 and with 2 workers of the DataLoader, in float32
as torch comes, and with the two lines that everybody can add: autocast to bfloat16, and channels last. Where the
processor has AMX or computes in bfloat16, other processes do without (ONEDNN_MAX_CPU_ISA). A stopped benchmark goes on
where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from measuring import Contestant, Rounds, describe_run, format_table, list_limits, measure_rounds, summarize
from processes import Worker
from unetscope.data.dataset import Dataset
from unetscope.files import write_json
from unetscope.model.spec import UNetSpec
from unetscope.training.recipe import Recipe

OURS, PLAIN, TUNED = "unetscope", "plain float32 loop", "bf16 channels-last loop"
WORKERS = (0, 2)
TIMES_FASTER, MOST_WAITING = 5, 0.05

Taken = tuple[float, float]
"""Seconds of the steps of a round, and seconds of them that were spent waiting for data."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dsb2018"))
    parser.add_argument("--work", type=Path, default=Path("runs/speed"))
    parser.add_argument("--steps", type=int, default=20, help="of one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--patch", type=int, default=256)
    parser.add_argument("--images", type=int, help="about how many annotated images; all if not given")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    setting = Setting(
        str(arguments.data.resolve()), arguments.batch, arguments.patch, arguments.steps, arguments.images
    )
    facts = describe_run(asdict(setting))
    waits = Waits(arguments.work / "train-waits.json")
    with ExitStack() as stack:
        contestants = {
            name: waits.contestant(name, stack.enter_context(worker))
            for name, worker in prepare_workers(setting, facts["machine"]["instructions"])
        }
        rounds = measure_rounds(contestants, arguments.rounds, arguments.work / "train-rounds.json", facts)
    print_report(setting, rounds, waits)
    if arguments.json:
        write_json(arguments.json, {**rounds.to_json(), "ratios": list_ratios(rounds), "waiting": waits.read()})


@dataclass(frozen=True)
class Setting:
    """What all contestants do.

    Attributes:
        data: Folder of the annotated images.
        batch: Patches per step.
        patch: Pixels per axis of a patch.
        steps: Of a round.
        images: About how many annotated images; all if None.
    """

    data: str
    batch: int
    patch: int
    steps: int
    images: int | None = None

    @property
    def recipe(self) -> Recipe:
        """The default recipe with these sizes; an epoch is a round."""
        return Recipe(batch=self.batch, patch=self.patch, epoch_steps=self.steps, epochs=10_000)

    def open(self) -> tuple[Dataset, UNetSpec]:
        """The images, and the default network for them."""
        dataset = Dataset.open(Path(self.data))
        if self.images:
            dataset = dataset.subset(dataset.names[:: max(1, len(dataset.names) // self.images)])
        spec = UNetSpec.preset("default", image_channels=dataset.channels, classes=len(dataset.classes))
        return dataset, spec


def prepare_workers(setting: Setting, instructions: list[str]) -> Iterator[tuple[str, Worker]]:
    """All contestants, each with its process."""
    yield OURS, Worker(prepare_ours, setting)
    for tuned, title in ((False, PLAIN), (True, TUNED)):
        for workers in WORKERS:
            yield f"{title}, {workers} workers", Worker(prepare_loop, setting, workers, tuned)
    for limit, environment in list_limits(instructions).items():
        yield f"{OURS}, {limit}", Worker(prepare_ours, setting, environment=environment)
        yield f"{TUNED}, 0 workers, {limit}", Worker(prepare_loop, setting, 0, True, environment=environment)


def prepare_ours(setting: Setting) -> Callable[[], Taken]:
    """The training loop of this package, epoch by epoch, without the validation between them."""
    from unetscope.machine import keep_memory
    from unetscope.training.loop import _Run
    from unetscope.training.team import compute_repeatably, gather_team

    stack = ExitStack()
    team = stack.enter_context(gather_team())
    stack.enter_context(keep_memory())
    stack.enter_context(compute_repeatably())
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    dataset, spec = setting.open()
    run = _Run(dataset, folder / "run", spec, setting.recipe, "never", team)

    def train_round(stack: ExitStack = stack) -> Taken:  # the stack must live as long as what it holds open
        started = time.perf_counter()
        _, waited = run._train_epoch(None)
        return time.perf_counter() - started, waited

    return train_round


def prepare_loop(setting: Setting, workers: int, tuned: bool) -> Callable[[], Taken]:
    """A plain PyTorch loop.

    Args:
        setting: What to do.
        workers: Of the DataLoader.
        tuned: With autocast to bfloat16 and channels last.
    """
    import torch

    warnings.simplefilter("ignore")
    from monai.losses import DiceCELoss

    from unetscope.model.unet import UNet

    batches, spec = load_forever(setting, workers)
    network = UNet(spec)
    if tuned:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), setting.recipe.learning_rate, weight_decay=1e-4)
    loss_function = DiceCELoss(softmax=True, to_onehot_y=True, include_background=False, batch=True)

    def train_round() -> Taken:
        started, waited = time.perf_counter(), 0.0
        network.train()
        for _ in range(setting.steps):
            asked = time.perf_counter()
            batch = next(batches)
            images, labels = batch["image"].as_tensor(), batch["label"].as_tensor()
            waited += time.perf_counter() - asked
            optimizer.zero_grad()
            if tuned:
                images = images.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=tuned):
                scores = network(images)
            loss = loss_function(scores.float(), labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), setting.recipe.clip)
            optimizer.step()
            float(loss.detach())
        return time.perf_counter() - started, waited

    return train_round


def load_forever(setting: Setting, workers: int) -> tuple[Iterator[Mapping[str, Any]], UNetSpec]:
    """Batches of MONAI's transforms without end: images in new random order, turn by turn."""
    from monai.data import CacheDataset, DataLoader

    dataset, spec = setting.open()
    recipe = setting.recipe
    names = dataset.split(recipe.seed, recipe.validation, recipe.test).train
    pairs = [dataset.read(dataset.item(name)) for name in names]
    items = [{"image": np.asarray(image), "label": np.asarray(labels)[None]} for image, labels in pairs]
    cached = CacheDataset(items, compose_transforms(setting), cache_rate=1.0, num_workers=0, progress=False)
    multiprocessing.current_process().daemon = False  # or it could start no workers
    settings = {"shuffle": True, "drop_last": True, "persistent_workers": workers > 0}
    loader = DataLoader(cached, workers, batch_size=setting.batch, **settings)

    def repeat() -> Iterator[Mapping[str, Any]]:
        while True:
            yield from loader

    return repeat(), spec


def compose_transforms(setting: Setting) -> Any:
    """What MONAI's transforms offer for what this package does to a patch, each as often; the image is resampled once.

    Normalizing and padding come before anything random, so that MONAI keeps their result.
    """
    from monai import transforms as t

    both, image, recipe, size = ["image", "label"], ["image"], setting.recipe, (setting.patch,) * 2
    angle, zoom, often = math.radians(180), math.log(recipe.scaling), recipe.intensity
    return t.Compose(
        [
            t.NormalizeIntensityd(image, channel_wise=True),
            t.SpatialPadd(both, size, mode="reflect"),
            t.EnsureTyped(both),
            t.RandCropByPosNegLabeld(both, "label", size, pos=1, neg=1, num_samples=1),
            t.RandFlipd(both, prob=recipe.flip, spatial_axis=0),
            t.RandFlipd(both, prob=recipe.flip, spatial_axis=1),
            t.Rand2DElasticd(
                both, (setting.patch / 2,) * 2, (0, 10), prob=1.0, rotate_range=angle, scale_range=(zoom, zoom),
                mode=["bilinear", "nearest"], padding_mode="reflection",
            ),
            t.RandStdShiftIntensityd(image, factors=0.3, prob=often),
            t.RandScaleIntensityd(image, factors=0.4, prob=often),
            t.RandAdjustContrastd(image, prob=often, gamma=(1 / 1.5, 1.5)),
            t.RandGaussianSmoothd(image, (0.3, 1.0), (0.3, 1.0), prob=often),
            t.RandGaussianNoised(image, prob=often, std=0.15),
            t.SelectItemsd(both),
        ]
    )  # fmt: skip


class Waits:
    """How large a share of each round every contestant waited for data, kept in a file.

    Args:
        file: Where.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def contestant(self, name: str, worker: Worker) -> Contestant:
        """Trains for a round, notes its share of waiting and answers with its seconds."""

        def train() -> float:
            seconds, waited = worker.ask("run")
            known = self.read()
            write_json(self.file, {**known, name: [*known.get(name, ()), waited / seconds]})
            return float(seconds)

        return train

    def read(self) -> dict[str, list[float]]:
        """All shares, those of warm-up rounds among them."""
        return json.loads(self.file.read_text(encoding="utf-8")) if self.file.exists() else {}


def list_ratios(rounds: Rounds) -> dict[str, Any]:
    """How many times longer than this package each contestant took."""
    return {name: asdict(rounds.ratio(name, OURS)) for name in rounds.seconds}


def print_report(setting: Setting, rounds: Rounds, waits: Waits) -> None:
    """The table and what was asked for."""
    shares = {name: summarize(values) for name, values in waits.read().items() if name in rounds.seconds}
    images, side, threads = setting.batch * setting.steps, setting.patch, rounds.facts["machine"]["threads"]
    print(
        f"\n{rounds.count} rounds of {setting.steps} steps of {setting.batch} patches of {side}x{side}, "
        f"{threads} threads; median (smallest-largest)\n"
    )
    head = ["contestant", "images/s", "ms a step", "times ours", "waiting for data"]
    rows = []
    for name in rounds.seconds:
        summary = rounds.summary(name)
        step = summarize([1e3 * seconds / setting.steps for seconds in rounds.seconds[name]])
        rows.append(
            [
                name,
                f"{images / summary.median:.1f}",
                f"{step:.0f}",
                f"{rounds.ratio(name, OURS):.2f}",
                f"{shares[name].median:.1%}",
            ]
        )
    print(format_table(head, rows))
    print()
    print_targets(rounds, shares[OURS].median)


def print_targets(rounds: Rounds, waiting: float) -> None:
    """What was asked for: each peer counts with its better number of workers."""
    for title, wanted in ((PLAIN, TIMES_FASTER), (TUNED, None)):
        best = min((f"{title}, {n} workers" for n in WORKERS), key=lambda name: rounds.summary(name).median)
        ratio = rounds.ratio(best, OURS)
        goal = f", at least {wanted} wanted: {'yes' if ratio.median >= wanted else 'NO'}" if wanted else ""
        print(f"{ratio:.2f} times as fast as the {best}{goal}")
    print(f"{waiting:.1%} of a step spent waiting, less than {MOST_WAITING:.0%} wanted: ", end="")
    print("yes" if waiting < MOST_WAITING else "NO")


if __name__ == "__main__":
    main()
