"""What commands write, for tests of the page: runs, profiles, plans, searches, comparisons, sizings."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from profiles import SMALL, make_profile
from simulated import SPEC, simulate, write_origin

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.information.estimators.kernel import Bounds, LabelInformation, ShuffledInformation
from unetscope.information.gallery import save_gallery
from unetscope.information.profile import Profile
from unetscope.information.published.coding import CodeStatistics
from unetscope.information.published.estimates import Estimate, PaperLayer, Similarity
from unetscope.information.published.paper import PaperProfile, PaperSettings
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.slimming.plan import SlimPlan
from unetscope.slimming.rules import Rule
from unetscope.slimming.shrinking import ShrinkSettings, compare_ends, shrink
from unetscope.wiring import IMAGE

IMAGES = 8  # of a profile
HISTORY = [
    {"epoch": 1, "loss": 0.9, "dice": 0.4, "classes": {"cell": 0.4}, "step": 10},
    {"epoch": 2, "loss": 0.5, "dice": 0.6, "classes": {"cell": 0.6}, "step": 20},
]


@dataclass(frozen=True)
class Place:
    """Files and folders as commands leave them; all of one network, but for `other` and `foreign`.

    Attributes:
        dataset: What it was trained on.
        run: Its run folder.
        other: The run folder of a smaller network.
        profile: Its profile, with maps beside it.
        paper: Its profile as published.
        foreign: The profile of a network of another library.
        plan: A plan for it.
        search: A folder of `shrink`, with its comparison.
        sizing: What `size` wrote.
    """

    dataset: Dataset
    run: Path
    other: Path
    profile: Path
    paper: Path
    foreign: Path
    plan: Path
    search: Path
    sizing: Path


def write_place(folder: Path) -> Place:
    """Everything, in a few seconds."""
    dataset, run = write_origin(folder)
    checkpoint = Checkpoint.load(run)
    known = {**checkpoint.provenance, "data": {"path": str(dataset.root), "sha256": "1234"}, "validation": HISTORY[1]}
    checkpoint = replace(checkpoint, provenance=known)
    checkpoint.save(run)
    write_history(run)
    small = UNetSpec.by_level((4, 8), convolutions=1)
    replace(checkpoint, spec=small, weights=UNet(small).state_dict()).save(folder / "other")
    write_history(folder / "other")
    write_profile(folder / "profile.json", checkpoint)
    make_paper(checkpoint).save(folder / "paper.json")
    make_profile(SMALL, images=IMAGES, name="somebody's").save(folder / "foreign.json")
    plan = SlimPlan.keep_all(SPEC, checkpoint.digest()).with_changes(depth=1, skips=(0,))
    plan.save(folder / "plan.json")
    write_search(folder / "search", dataset, run)
    (folder / "size.json").write_text(json.dumps(SIZING))
    names = ("profile.json", "paper.json", "foreign.json", "plan.json", "search", "size.json")
    return Place(dataset, run, folder / "other", *(folder / name for name in names))


def write_history(run: Path) -> None:
    (run / "history.jsonl").write_text("".join(f"{json.dumps(epoch)}\n" for epoch in HISTORY))


def profile_of(checkpoint: Checkpoint, **settings) -> Profile:
    """A believable profile of these weights."""
    known = {"weights": checkpoint.digest(), "spec": checkpoint.spec.to_json(), "data": "1234"}
    return replace(make_profile(checkpoint.spec.wiring, images=IMAGES, **settings), provenance=known)


def write_profile(path: Path, checkpoint: Checkpoint, **settings) -> None:
    """A profile with maps beside it."""
    profile_of(checkpoint, **settings).save(path)
    save_gallery(make_maps(checkpoint.spec), path.with_suffix(".npz"))


def make_maps(spec: UNetSpec, side: int = 16) -> dict[str, np.ndarray]:
    """Random maps of three images."""
    chance, maps = np.random.default_rng(0), {}
    for image in range(3):
        maps[f"{image}/image"] = chance.integers(0, 256, (1, side, side), np.uint8)
        maps[f"{image}/labels"] = chance.integers(0, 2, (side, side), np.uint8)
        for layer in spec.wiring.layers:
            shape = tuple(side // step for step in spec.stride(layer))
            count = min(8, spec.width(layer))
            maps[f"{image}/{layer}/channels"] = chance.integers(0, 256, (count, *shape), np.uint8)
            maps[f"{image}/{layer}/strongest"] = np.arange(count)
            maps[f"{image}/{layer}/probe"] = chance.integers(0, 256, shape, np.uint8)
    return maps


def make_paper(checkpoint: Checkpoint) -> PaperProfile:
    """A profile as published, saturated at every other layer."""
    wiring = checkpoint.spec.wiring
    layers = []
    for number, layer in enumerate((IMAGE, *wiring.layers)):
        clauses = ("over 0.9 of H(Y)",) if number % 2 else ()
        estimate = Estimate(Bounds(2.0, 3.0), LabelInformation(1.0, 0.0, 1.0), clauses, 0.2)
        layers.append(PaperLayer(layer, estimate, estimate, ShuffledInformation(0.4, 0.1, 0.5), number % 3 == 0))
    return PaperProfile(
        layers=tuple(layers),
        relative=tuple(layers),
        similarities=dict.fromkeys((IMAGE, *wiring.layers), Similarity(0.5, 0.3, 0.6, None)),
        images=tuple(map(str, range(IMAGES))),
        shape=(32, 32),
        resampled=False,
        codes=CodeStatistics(30, 20, 4.2),
        settings=PaperSettings(),
        spec=checkpoint.spec,
        wiring=wiring,
        provenance={"weights": checkpoint.digest()},
    )


def write_search(folder: Path, dataset: Dataset, run: Path) -> None:
    """A search whose trainings take no time, and its comparison on the test images."""
    with pytest.MonkeyPatch.context() as patch:
        simulate(patch)
        found = shrink(run, dataset, folder, ShrinkSettings(rule=Rule("plain", "2026-01-31", widths_by="keep")))
    compare_ends(found, dataset, 0.01, timed=False).save(folder / "comparison" / "comparison.json")


SIZING = {
    "images": [str(number) for number in range(8)],
    "windows": {},
    "shares": {
        str(share): {"value": 0.3 * share, "interval": {"value": 0.3 * share, "low": 0.1 * share, "high": None}}
        for share in (0.25, 0.5, 1.0)
    },
    "depth": {"value": 2, "verdict": {"word": "ok"}},
    "channels_about": [8, 16, 32],
    "growth": {
        "gain": {"value": 0.02, "low": 0.01, "high": 0.04},
        "helps": True,
        "verdict": {"word": "ok", "reason": "", "images": None},
    },
}
"""What `size` wrote, as far as a page reads it."""
