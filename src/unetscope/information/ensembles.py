"""Several networks of one design profiled as one: seeds, or the networks of a cross-validation; knows run folders.

A cross-validation gives every image to a network that never saw it, so that all annotated images count; several seeds
give every value an interval that holds the chance of training too.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from unetscope.checkpoint import DESCRIPTION, Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.errors import CheckpointError
from unetscope.information.gallery import make_gallery
from unetscope.information.profile import Profile, pool_profiles
from unetscope.information.profiling import OnStep, ProfileSettings, profile
from unetscope.information.subject import subject_of
from unetscope.information.views import view_dataset

FOLDS = "folds.json"


def find_runs(folder: Path | str) -> tuple[Path, ...]:
    """The run folders that a folder stands for.

    Args:
        folder: A run folder, or one that holds run folders.

    Returns:
        Itself, or those that it holds, by name.

    Raises:
        CheckpointError: There is none.
    """
    folder = Path(folder)
    if (folder / DESCRIPTION).exists():
        return (folder,)
    runs = tuple(sorted(path.parent for path in folder.glob(f"*/{DESCRIPTION}")))
    if not runs:
        raise CheckpointError(
            f"{folder} holds neither {DESCRIPTION} nor folders with one; give a folder that `train --out` wrote, or "
            "one that holds several"
        )
    return runs


def profile_runs(
    folder: Path | str,
    dataset: Dataset,
    settings: ProfileSettings = ProfileSettings(),
    on_step: OnStep | None = None,
) -> Profile:
    """Profile a run, or several runs of one design as one.

    The runs of a cross-validation (`train --folds`) are each profiled on the images that they did not see.

    Args:
        folder: A run folder, or one that holds run folders.
        dataset: Images with labels.
        settings: How to profile.
        on_step: Called with step, number of steps and what is done next.

    Returns:
        The profile, called like the folder.

    Raises:
        CheckpointError: There is no run, or one is damaged.
        DataError: Too few images, or networks of different designs.
    """
    runs, settings, found = find_runs(folder), _choose_role(folder, settings), []
    for number, run in enumerate(runs):
        tell = None if on_step is None else _counting(on_step, number, len(runs))
        found.append(profile(Checkpoint.load(run), dataset, settings, tell))
    return replace(pool_profiles(found), name=Path(folder).resolve().name)


def picture_run(
    folder: Path | str, dataset: Dataset, settings: ProfileSettings = ProfileSettings()
) -> dict[str, NDArray[Any]]:
    """Pictures of three images at every layer of a run, or of the first of several; see `make_gallery`.

    Args:
        folder: A run folder, or one that holds run folders.
        dataset: Images with labels.
        settings: Those of the profile.
    """
    checkpoint = Checkpoint.load(find_runs(folder)[0])
    views = view_dataset(checkpoint, dataset, _choose_role(folder, settings).role)
    return make_gallery(subject_of(checkpoint), views, settings.seed, settings.memory_bytes)


def _choose_role(folder: Path | str, settings: ProfileSettings) -> ProfileSettings:
    """The networks of a cross-validation are profiled on what they did not see."""
    is_folds = (Path(folder) / FOLDS).exists() and settings.role == "profile"
    return replace(settings, role="test") if is_folds else settings


def _counting(on_step: OnStep, number: int, runs: int) -> OnStep:
    """Steps of one run as steps of all."""

    def tell(step: int, steps: int, text: str) -> None:
        on_step(number * steps + step, runs * steps, text if runs == 1 else f"network {number + 1} of {runs}: {text}")

    return tell
