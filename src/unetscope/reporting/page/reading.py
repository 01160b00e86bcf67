"""Which results files and folders hold, recognized by their content; knows formats, not what a page shows of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np

from unetscope.checkpoint import DESCRIPTION, Checkpoint
from unetscope.errors import DataError, SlimError, SpecError
from unetscope.information.findings import LINEAR, POSITION, SHUFFLED
from unetscope.information.profile import Profile
from unetscope.information.published.paper import PaperProfile
from unetscope.model.spec import UNetSpec
from unetscope.reporting.page.answers import tell_cost, tell_design
from unetscope.reporting.page.downloads import collect_numbers
from unetscope.reporting.page.evidence_content import show_design, show_evidence
from unetscope.reporting.page.learning import show_learning
from unetscope.reporting.page.measures import measure_paper
from unetscope.reporting.page.numbers import look_up, make_plain
from unetscope.reporting.page.sources import Epochs, Maps, Run, Sources
from unetscope.reporting.page.u_geometry import check_wiring
from unetscope.reporting.pictures import NAME, read_epochs
from unetscope.scores.overlap import Scores
from unetscope.slimming.comparison import Comparison
from unetscope.slimming.evidence import Proof
from unetscope.slimming.plan import SlimPlan
from unetscope.slimming.shrinking import Shrinking
from unetscope.wiring import IMAGE

HISTORY = "history.jsonl"
MOST_RUNS = 2  # in the folders of a folder
NEEDED = (
    "give a run folder, what `profile`, `propose`, `compare --out`, `size --out`, `shrink` or `prove` wrote, or the "
    "folder of a demo"
)


Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Found:
    """A result and where it was.

    Attributes:
        value: A `Run`, `Profile`, `PaperProfile`, `SlimPlan`, `Comparison`, `Shrinking`, `Proof`, `Series`,
            `Measured`, `Progress` or `Sizing`.
        path: File or folder that holds it.
        given: Whether it was asked for, or only lay beside what was.
    """

    value: object
    path: Path
    given: bool


@dataclass(frozen=True, eq=False)
class Series:
    """Profiles of one network while it learned, by epoch."""

    profiles: Epochs


@dataclass(frozen=True, eq=False)
class Measured:
    """Scores, and the digest of the weights that earned them; empty where the file does not say it."""

    scores: Scores
    weights: str


@dataclass(frozen=True)
class Progress:
    """What a search says that is not done yet."""

    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Sizing:
    """What `size` wrote, plain values."""

    content: Mapping[str, Any] = field(repr=False)


def find_results(path: Path) -> tuple[Found, ...]:
    """Everything that a file or folder holds.

    Args:
        path: File of JSON, or a folder; of its folders those directly in it are looked into.

    Returns:
        At least one result.

    Raises:
        DataError: It holds none, or one is damaged.
        CheckpointError: It is a run that is damaged or not finished.
        SlimError: It is a damaged plan or comparison.
    """
    if path.is_dir():
        found = tuple(_search(path, given=True))
        if not found:
            raise DataError(f"{path} holds no result that a page can show; {NEEDED}")
        return found
    value = _read_file(path)
    if value is None:
        raise DataError(f"{path} holds none of the results that a page can show; {NEEDED}")
    return (Found(value, path, given=True),)


def read_maps(profile: Path) -> Maps | None:
    """The pictures of layers that `profile` wrote beside its file.

    Raises:
        DataError: The file is damaged.
    """
    path = profile.with_suffix(".npz")
    if not path.exists():
        return None
    try:
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            return {name: content[name] for name in content.files}
    except (OSError, ValueError, KeyError, EOFError, AttributeError, BadZipFile) as error:
        raise DataError(f"{path} cannot be read as maps ({error}); profile again, or remove it") from error


def _search(folder: Path, given: bool) -> Iterator[Found]:
    """What a folder holds, and what the folders in it hold beside."""
    if (folder / DESCRIPTION).exists():
        yield Found(read_run(folder), folder, given)
    files = sorted(path for path in folder.glob("*.json") if path.name != DESCRIPTION)
    epochs = [path for path in files if NAME.fullmatch(path.name)]
    if epochs:
        profiles = read_epochs(folder)
        yield Found(
            _form(folder, lambda: Series(tuple((epoch, _check(one)) for epoch, one in profiles))), folder, given
        )
    for path in files:
        value = None if path in epochs else _read_file(path, strict=False)
        if value is not None:
            yield Found(value, path, given=False)
    if given:
        inner = sorted(path for path in folder.iterdir() if path.is_dir())
        runs = [path.name for path in inner if (path / DESCRIPTION).exists()]
        if len(runs) > MOST_RUNS:
            raise DataError(
                f"{folder} holds {len(runs)} runs ({', '.join(runs[:MOST_RUNS])}, ...); give one or two of them"
            )
        for path in inner:
            yield from _search(path, given=False)


def read_run(folder: Path) -> Run:
    """A run folder with its history.

    Raises:
        CheckpointError: The folder is no finished run, or is damaged.
        DataError: Its history is damaged.
    """
    path = folder / HISTORY
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        history = tuple(map(json.loads, lines))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}); restore it, or remove it to go without") from error
    checkpoint = Checkpoint.load(folder)
    for name in ("recipe", "split", "provenance"):
        if not isinstance(getattr(checkpoint, name), Mapping):
            raise DataError(f"{folder / DESCRIPTION} is altered: its {name} is no list of entries; restore the file")
    return Run(folder, checkpoint, tuple(epoch for epoch in history if isinstance(epoch, Mapping)))


def _read_file(path: Path, strict: bool = True) -> object | None:
    """What a file of JSON means; None for content that is none of ours.

    Args:
        path: The file.
        strict: Refuse what is no JSON; else it is none of ours.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if not strict:
            return None
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else f"no JSON: {error}"
        raise DataError(f"{path} cannot be read ({reason}); {NEEDED}") from error
    if not isinstance(content, Mapping):
        return None
    reader = next((reader for keys, reader in READERS if keys <= content.keys()), None)
    if reader is None:
        return None
    return _form(path, lambda: reader(content))


def _form(path: Path, make: Callable[[], object]) -> object:
    """What comes out of the content of a file.

    Raises:
        DataError: It was altered.
    """
    try:
        return make()
    except (DataError, SlimError, SpecError) as error:
        raise DataError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, AssertionError, ArithmeticError) as error:
        raise DataError(f"{path} is incomplete or altered ({error}); restore it, or make it anew") from error


def _check(profile: Profile) -> Profile:
    """A profile with all that a page asks of it.

    Raises:
        DataError: Something is missing or has another form than it was written in.
    """
    layers = {layer.layer: layer for layer in profile.layers}
    lacking = [name for name in profile.wiring.layers if name not in layers]
    lacking += [name for name, layer in layers.items() if not {LINEAR, SHUFFLED} <= layer.bits.keys()]
    lacking += [gate.join for gate in profile.gates if not gate.parts or gate.join not in layers]
    lacking += [part.source for gate in profile.gates for part in gate.parts if part.source not in {IMAGE, *layers}]
    lacking += [] if POSITION in profile.floors else [POSITION]
    if lacking or len(profile.layers) < 1:
        raise DataError(f"the profile lacks what {lacking[0] if lacking else 'its layers'} tells; profile again")
    known = (profile.settings, profile.provenance, *(profile.provenance.get("networks") or ()))
    if not all(isinstance(each, Mapping) for each in known):
        raise DataError("the profile does not say how it was made; profile again")
    find_spec(profile)
    check_wiring(profile.wiring)
    profile.to_json()  # which forms every interval and verdict, and fails where it cannot
    return profile


def find_spec(profile: Profile) -> UNetSpec | None:
    """The network that a profile is of, where it is ours.

    Raises:
        SpecError: The profile describes a network that cannot be built.
    """
    known = profile.provenance.get("spec")
    return UNetSpec.from_json(known) if known else None


def _read_paper(content: Mapping[str, Any]) -> PaperProfile:
    profile = PaperProfile.from_json(content)
    check_wiring(profile.wiring)
    json.dumps([make_plain(measure_paper(profile)), profile.verdict], allow_nan=False)
    return profile


def _read_plan(content: Mapping[str, Any]) -> SlimPlan:
    return _show(SlimPlan.from_json(content), "plan")


def _read_comparison(content: Mapping[str, Any]) -> Comparison:
    return _show(Comparison.from_json(content), "comparison")


def _read_search(content: Mapping[str, Any]) -> Shrinking:
    search = Shrinking.from_json(content)
    if not all(isinstance(path, str) for paths in search.runs.values() for path in paths):
        raise DataError("the search does not say where its runs are; search again")
    return _show((search,), "searches")[0]


def _read_proof(content: Mapping[str, Any]) -> Proof:
    proof = Proof.from_json(content)
    return replace(_show(proof, "proof"), searches=tuple(map(_read_search, content["searches"])))


def _show(value: Value, name: str) -> Value:
    """A result that can be shown: whoever altered a file hears of it here, and not in the middle of a page."""
    sources = Sources((), **{name: value})  # type: ignore[arg-type]
    parts = (show_design(sources), show_evidence(sources), *tell_design(sources), *tell_cost(sources))
    json.dumps(make_plain([*parts, collect_numbers(sources)]), allow_nan=False)
    return value


def _read_measured(content: Mapping[str, Any]) -> Measured:
    digest = look_up(content, "facts", "weights") or look_up(content, "provenance", "weights") or ""
    return Measured(Scores.from_json(content), str(digest))


def _read_progress(content: Mapping[str, Any]) -> Progress:
    return Progress(tuple(map(str, content["sentences"])))


def _read_sizing(content: Mapping[str, Any]) -> Sizing:
    """A sizing, as far as a page shows it."""
    show_learning(content)
    return Sizing(_show(content, "sizing"))


Reader = Callable[[Mapping[str, Any]], object]

READERS: tuple[tuple[frozenset[str], Reader], ...] = (
    (frozenset({"gates", "layers", "wiring"}), lambda content: _check(Profile.from_json(content))),
    (frozenset({"relative", "layers", "codes"}), _read_paper),
    (frozenset({"order", "network", "widths"}), _read_plan),
    (frozenset({"rows", "margin", "images", "groups"}), _read_comparison),
    (frozenset({"searches", "rivals"}), _read_proof),
    (frozenset({"strategy", "origin", "good", "runs"}), _read_search),
    (frozenset({"strategy", "findings", "sentences"}), _read_progress),
    (frozenset({"windows", "shares", "channels_about"}), _read_sizing),
    (frozenset({"classes", "images", "dice", "pixel_error"}), _read_measured),
)
"""By the entries that tell what a file holds."""
