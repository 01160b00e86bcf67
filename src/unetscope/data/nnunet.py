"""Folders that nnU-Net trains on (imagesTr, labelsTr, dataset.json); knows names and that file, not pixels.

A case is one file a channel, `CASE_0000.nii.gz`, `CASE_0001.nii.gz`, ..., or one file `CASE.nii.gz` as the Medical
Segmentation Decathlon has it. Images in `imagesTs` are for testing where `labelsTs` has their labels; otherwise they
are no part of the dataset.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unetscope.data.declaration import Declaration
from unetscope.data.formats.registry import LABEL_SUFFIXES, SUFFIXES, stem_of
from unetscope.data.item import Item, Part
from unetscope.data.pairing import Layout, Problem, by_stem, find_lonely, list_files
from unetscope.errors import DataError

FILE_NAME = "dataset.json"

_CHANNEL = re.compile(r"(.+)_(\d{4})")
_IGNORE = "ignore"


def is_nnunet(root: Path, images: str) -> bool:
    """Whether a folder is one of nnU-Net's.

    Args:
        root: The folder.
        images: Name of the folders of images in other layouts.

    Raises:
        DataError: It is both.
    """
    if not (root / "imagesTr").is_dir():
        return False
    if images != "imagesTr" and (root / images).is_dir():
        raise DataError(f"{root} has both {images} and imagesTr; move one of them away")
    return True


def find_cases(root: Path) -> Layout:
    """Find the cases and their labels.

    Args:
        root: A folder with `imagesTr`, `labelsTr` and `dataset.json`.

    Returns:
        One item a case, named by the case alone, or after "train/" and "test/" where both parts have labels.

    Raises:
        DataError: A folder is missing or empty, or `dataset.json` is not understood.
    """
    content = _read_json(root)
    channels, ending = _channel_names(root, content), content.get("file_ending", "")
    folders: dict[str, Part | None] = {"Tr": None}
    if (root / "imagesTs").is_dir() and (root / "labelsTs").is_dir():
        folders = {"Tr": "train", "Ts": "test"}
    found = [_find_cases(root, which, part, channels, ending) for which, part in folders.items()]
    return Layout(
        tuple(item for layout in found for item in layout.items),
        tuple(problem for layout in found for problem in layout.problems),
    )


def read_description(root: Path) -> Declaration:
    """What `dataset.json` says about labels and channels.

    Args:
        root: The folder.

    Returns:
        Classes with their values, the value to ignore, and "CT" where all channels are.

    Raises:
        DataError: It is missing, is no JSON, or declares labels in another form.
    """
    content, place = _read_json(root), root / FILE_NAME
    values = _label_values(content.get("labels"), place)
    ignore = values.pop(_IGNORE, None)
    names = sorted(values, key=lambda name: values[name])
    channels = {name.upper() for name in _channel_names(root, content)}
    return Declaration(
        kind="classes",
        classes=tuple(names),
        values=tuple(values[name] for name in names),
        ignore=ignore,
        modality="CT" if channels == {"CT"} else "",
        place=str(place),
    )


def _find_cases(root: Path, which: str, part: Part | None, channels: tuple[str, ...], ending: str) -> Layout:
    """The cases of `imagesTr` or `imagesTs`."""
    images, labels = root / f"images{which}", root / f"labels{which}"
    if not labels.is_dir():
        raise DataError(f"{labels} does not exist, and training needs a label image for each case; put them there")
    label_files = by_stem(list_files(labels, (ending,) if ending else LABEL_SUFFIXES))
    image_files = [
        (_case_of(path, label_files), path) for path in list_files(images, (ending,) if ending else SUFFIXES)
    ]
    cases: dict[str, list[Path]] = defaultdict(list)
    for case, path in image_files:
        cases[case].append(path)
    problems = [
        *find_lonely(cases, label_files, "an image", labels),
        *find_lonely(label_files, cases, "a label image", images),
    ]
    items = []
    for case in sorted(cases.keys() & label_files.keys()):
        lacking = _find_lacking(case, cases[case], channels)
        problems += lacking
        if not lacking:
            name = f"{part}/{case}" if part else case
            first, *more = sorted(cases[case])
            items.append(Item(name, first, label_files[case][0], part, name, tuple(more)))
    return Layout(tuple(items), tuple(problems))


def _case_of(path: Path, cases: Mapping[str, object]) -> str:
    """The case of an image file: its stem if there are such labels, otherwise the stem without the channel."""
    stem = stem_of(path)
    channel = _CHANNEL.fullmatch(stem)
    return channel[1] if channel and stem not in cases else stem


def _find_lacking(case: str, paths: list[Path], channels: tuple[str, ...]) -> list[Problem]:
    """Name the channels that a case lacks or has too many of."""
    if [stem_of(path) for path in paths] == [case]:
        return []
    found = {stem_of(path) for path in paths}
    expected = {f"{case}_{index:04}": name for index, name in enumerate(channels)}
    suffix = paths[0].name[len(stem_of(paths[0])) :]
    lacking = [
        Problem(
            path := paths[0].parent / f"{stem}{suffix}",
            f"{path} does not exist, and {FILE_NAME} says that each case has the channel {name!r}; add the file, or "
            "move the case and its labels away",
        )
        for stem, name in expected.items()
        if stem not in found
    ]
    return lacking + [
        Problem(
            path,
            f"{path} is a channel that {FILE_NAME} does not name; add it to channel_names or move the file away",
        )
        for path in paths
        if stem_of(path) not in expected
    ]


def _read_json(root: Path) -> dict[str, Any]:
    """The mapping in `dataset.json`."""
    place = root / FILE_NAME
    if not place.is_file():
        raise DataError(
            f"{root} has imagesTr but no {FILE_NAME}, which names channels and labels; add it, or rename the "
            "folders to images and labels"
        )
    try:
        content = json.loads(place.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{place} cannot be read as JSON ({error}); mend that place") from error
    if not isinstance(content, dict) or not isinstance(content.get("file_ending", ""), str):
        raise DataError(f"{place} is no mapping of names such as labels and channel_names; write it as nnU-Net does")
    return content


def _channel_names(root: Path, content: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the channels in order: `channel_names`, or `modality` as it was called."""
    names = content.get("channel_names", content.get("modality"))
    wanted = [str(index) for index in range(len(names))] if isinstance(names, dict) else []
    if not isinstance(names, dict) or not names or {str(key) for key in names} != set(wanted):
        raise DataError(
            f"{root / FILE_NAME} has channel_names {names!r}, and one name a channel is needed; write them as "
            '{"0": "CT"}'
        )
    return tuple(str(names[key]) for key in wanted)


def _label_values(labels: object, place: Path) -> dict[str, int]:
    """File values by class name; older files have it the other way round."""
    if not isinstance(labels, dict) or len(labels) < 2:
        raise DataError(
            f'{place} has labels {labels!r}, and at least two are needed; write them as {{"background": 0, "cell": 1}}'
        )
    if all(isinstance(name, str) and str(key).isdecimal() for key, name in labels.items()):
        if len(set(labels.values())) < len(labels):
            raise DataError(f"{place} gives one name to several labels of {labels}; give each its own name")
        labels = {name: int(key) for key, name in labels.items()}
    for name, value in labels.items():
        if isinstance(value, list | tuple):
            raise DataError(
                f"{place} makes {name!r} the region {value}, and regions that overlap are not learned here; give each "
                f'value its own class, such as "{name} {value[0] if value else 1}": {value[0] if value else 1}'
            )
        if not isinstance(value, int) or isinstance(value, bool):
            raise DataError(f"{place} gives the label {name!r} the value {value!r}; give a whole number such as 1")
    return dict(labels)
