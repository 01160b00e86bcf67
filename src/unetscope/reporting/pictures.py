"""Which pictures belong to a file: those of a profile, of a profile as published, or of profiles over epochs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from unetscope.errors import DataError
from unetscope.information.profile import Profile
from unetscope.information.published.paper import PaperProfile
from unetscope.reporting import paper_uplot
from unetscope.reporting.epochs import draw_epochs
from unetscope.reporting.figures import save_figure
from unetscope.reporting.gates import draw_gates
from unetscope.reporting.ladder import draw_ladder
from unetscope.reporting.plane import draw_plane, has_plane
from unetscope.reporting.uplot import draw_uplot

NAME = re.compile(r"profile-(\d+)\.json")


def save_pictures(path: Path | str, folder: Path | str) -> list[Path]:
    """Draw what a file holds, each picture as SVG and PNG.

    Args:
        path: JSON file that `profile` wrote, or a folder of files `profile-EPOCH.json` of one network over training.
        folder: Where to write; it is created.

    Returns:
        The files. Of a profile: uplot, gates (if there are any), ladder, and plane (if it was measured); of one as
        published: uplot and plane; of a folder: those of its last epoch, the plane over all of them, and epochs.

    Raises:
        DataError: The file or folder cannot be read, or holds no profile.
        OutputError: A picture cannot be written.
    """
    path, folder = Path(path), Path(folder)
    if path.is_dir():
        return save_profiles(read_epochs(path), folder, is_series=True)
    profile = read_profile(path)
    if isinstance(profile, PaperProfile):
        return paper_uplot.save_figures(profile, folder)
    return save_profiles([(0, profile)], folder, is_series=False)


def save_profiles(profiles: Sequence[tuple[int, Profile]], folder: Path, is_series: bool) -> list[Path]:
    """Draw the profiles of one network, each picture as SVG and PNG.

    Args:
        profiles: By epoch, in order; at least one.
        folder: Where to write; it is created.
        is_series: Whether they tell of training, which is drawn then.

    Returns:
        The files, as of `save_pictures`.

    Raises:
        OutputError: A picture cannot be written.
    """
    pictures = _choose(profiles)
    return _save({**pictures, "epochs": lambda: draw_epochs(profiles)} if is_series else pictures, folder)


def _choose(profiles: Sequence[tuple[int, Profile]]) -> dict[str, Callable[[], Figure]]:
    """The pictures of the last of some profiles, by the name of the file."""
    last = profiles[-1][1]
    pictures: dict[str, Callable[[], Figure]] = {"uplot": lambda: draw_uplot(last)}
    if last.gates:
        pictures["gates"] = lambda: draw_gates(last)
    pictures["ladder"] = lambda: draw_ladder(last)
    if has_plane(last):
        pictures["plane"] = lambda: draw_plane(profiles)
    return pictures


def _save(pictures: Mapping[str, Callable[[], Figure]], folder: Path) -> list[Path]:
    """Draw everything before anything is written."""
    figures = {name: draw() for name, draw in pictures.items()}
    return [path for name, figure in figures.items() for path in save_figure(figure, folder / name)]


def read_profile(path: Path) -> Profile | PaperProfile:
    """The profile in a file, of whichever kind.

    Raises:
        DataError: The file is missing, damaged or no profile.
    """
    content = _read(path)
    is_new = isinstance(content, Mapping) and "gates" in content
    try:
        return Profile.from_json(content) if is_new else PaperProfile.from_json(content)
    except DataError as error:
        raise DataError(f"{path} cannot be read as a profile: {error}") from error


def read_epochs(folder: Path) -> list[tuple[int, Profile]]:
    """The profiles of one network over training, in order of their epochs.

    Raises:
        DataError: There is none, or one of them cannot be read.
    """
    found = {int(match[1]): path for path in folder.iterdir() if (match := NAME.fullmatch(path.name))}
    if not found:
        raise DataError(
            f"{folder} holds no file named profile-EPOCH.json; give a file or a folder that profiling wrote"
        )
    profiles = [(epoch, read_profile(found[epoch])) for epoch in sorted(found)]
    kept = [(epoch, profile) for epoch, profile in profiles if isinstance(profile, Profile)]
    if len(kept) < len(profiles):
        raise DataError(f"{folder} holds profiles as published, which are drawn one by one; give one of the files")
    return kept


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path} cannot be read ({reason}); give the file that `profile` wrote") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}); give the file that `profile` wrote") from error
