"""Batches made by threads while the steps before use theirs; knows patches and clocks, neither networks nor losses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from unetscope.ahead import work_ahead
from unetscope.machine import count_cores
from unetscope.training.patches import Batch, Patches
from unetscope.training.team import Team

MOST_MAKERS = 8
STARVED, LONG = 0.2, 10.0  # share of an epoch's steps, of so many seconds at least, from which waiting matters


def feed(patches: Patches, steps: range, team: Team) -> Iterator[tuple[Batch, float]]:
    """This process's batches of some steps.

    One thread keeps up with a processor, whose cores it shares with the steps. For a card all cores but one make
    batches, and leave them in page-locked memory.

    Args:
        patches: Where they come from.
        steps: The steps, by how many were done before.
        team: Whose share to make, and for which device.

    Yields:
        A batch, and the seconds that passed until it was there.
    """
    card = team.device.type == "cuda"
    makers = min(MOST_MAKERS, max(1, count_cores() // team.size - 1)) if card else 1

    def make(step: int) -> Batch:
        batch = patches.batch(step, team.share(patches.recipe.batch))
        return batch.pinned() if card else batch

    coming = work_ahead((partial(make, step) for step in steps), waiting=makers + 1, workers=makers)
    for _ in steps:
        asked = time.perf_counter()
        batch = next(coming)
        yield batch, time.perf_counter() - asked


def name_starvation(waited: float, seconds: float) -> tuple[str, ...]:
    """What to tell the user if an epoch's steps spent too much of their time waiting for batches.

    Args:
        waited: Seconds of waiting.
        seconds: Of all.

    Returns:
        A sentence, or nothing.

    Example:
        >>> name_starvation(1, 60), len(name_starvation(30, 60))
        ((), 1)
    """
    if seconds < LONG or waited < STARVED * seconds:
        return ()
    return (
        f"{waited / seconds:.0%} of the time went by waiting for patches: close what else uses the processor, put the "
        "images on a faster disk, or have more memory free to keep them in",
    )
