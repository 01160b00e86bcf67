"""Results put together to what a page tells: which profile and scores belong to which network; measures nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from unetscope.checkpoint import DESCRIPTION
from unetscope.errors import DataError
from unetscope.evaluation import Part
from unetscope.information.profile import Profile
from unetscope.information.published.paper import PaperProfile
from unetscope.model.spec import UNetSpec
from unetscope.reporting.page.numbers import look_up
from unetscope.reporting.page.reading import (
    Found,
    Measured,
    Progress,
    Series,
    Sizing,
    find_results,
    find_spec,
    read_maps,
    read_run,
)
from unetscope.reporting.page.sources import Network, Run, Sources
from unetscope.slimming.comparison import Comparison
from unetscope.slimming.evidence import Proof
from unetscope.slimming.plan import SlimPlan
from unetscope.slimming.shrinking import TRIALS, Shrinking

MOST = 2  # networks of a page
GUIDED = "guided"

Value = TypeVar("Value")


def gather(paths: Sequence[Path]) -> Sources:
    """Read everything that a page is made of.

    Args:
        paths: Run folders, files and folders that other commands wrote; of two networks the one before comes first.

    Returns:
        The networks, each with what carries the digest of its weights, and what was said of them together.

    Raises:
        DataError: A path holds nothing that a page can show, something damaged, or more than two networks.
        CheckpointError: A run is damaged or not finished.
        SlimError: A plan is damaged.
    """
    found = tuple(each for path in paths for each in find_results(path))
    comparisons = list(_pick(found, Comparison))
    plan = next(_pick(found, SlimPlan), None)
    networks = _Networks(found, plan)
    if not networks.all:
        raise DataError(f"{paths[0]} holds no network to show; give a run folder, a profile or a plan as well")
    if len(networks.all) > MOST:
        names = ", ".join(network.name for network in networks.all[: MOST + 1])
        raise DataError(f"{len(networks.all)} networks came ({names}, ...), and a page shows one or two; give those")
    searches = sorted(_list_searches(found), key=lambda search: search.strategy != GUIDED)
    return Sources(
        networks=_tell_apart(networks.all),
        plan=plan,
        comparison=max(comparisons, key=lambda comparison: len(comparison.rows), default=None),
        searches=tuple(searches),
        proof=next(_pick(found, Proof), None),
        progress=next((each.sentences for each in _pick(found, Progress)), ()),
        sizing=next((each.content for each in _pick(found, Sizing)), None),
        dataset=_name_dataset(networks.all),
        warnings=tuple(networks.warnings),
    )


def _pick(found: Sequence[Found], kind: type[Value]) -> Iterator[Value]:
    """The results of one kind."""
    return (each.value for each in found if isinstance(each.value, kind))


def _list_searches(found: Sequence[Found]) -> list[Shrinking]:
    """Every search once; those of a proof are in files of their own too."""
    proofs = [search for proof in _pick(found, Proof) for search in proof.searches]
    return list({search.strategy: search for search in (*_pick(found, Shrinking), *proofs)}.values())


class _Networks:
    """The networks of some results, each with what belongs to it.

    Args:
        found: The results.
        plan: The plan among them.
    """

    def __init__(self, found: Sequence[Found], plan: SlimPlan | None) -> None:
        self.all: list[Network] = []
        self.warnings: list[str] = []
        for each in found:
            if isinstance(each.value, Run):
                self._add(_make_network(each.value))
        for each in found:
            if isinstance(each.value, Shrinking) and each.value.strategy == GUIDED:
                self._add_search(each.value, each.path.parent, plan)
        for each in sorted(found, key=lambda each: not each.given):
            self._attach(each)
        self._add_rest(found, plan)

    def _add(self, network: Network) -> None:
        """Add a network unless its weights are there."""
        if not network.weights or all(other.weights != network.weights for other in self.all):
            self.all.append(network)

    def _add_search(self, search: Shrinking, folder: Path, plan: SlimPlan | None) -> None:
        """Where a search began and what it found."""
        known = {"origin": plan.weights if plan is not None and plan.origin == search.origin else ""}
        ends = {"origin": search.origin, "good": search.good}
        for end, spec in ends.items():
            if end == "good" and search.good == search.origin:
                continue
            run = next((place for path in search.runs.get(end, ()) if (place := _locate(path, folder))), None)
            network = _from_spec(spec, known.get(end, "")) if run is None else _make_network(read_run(run))
            self._add(replace(network, name=_name_widths(spec)) if run is not None else network)
            if run is None:
                self.warnings.append(f"the run folder of {network.name} is not where the search left it")

    def _attach(self, each: Found) -> None:
        """Give a result to the network that it is of, or to a new one if it was asked for."""
        value = each.value
        if isinstance(value, Profile):
            digests, name = _list_digests(value), str(value.name)
            changes: dict[str, Any] = {"profiles": ((None, value),), "maps": read_maps(each.path)}
        elif isinstance(value, Series):
            digests = {digest for _, profile in value.profiles for digest in _list_digests(profile)}
            name, changes = str(value.profiles[-1][1].name), {"profiles": value.profiles}
        elif isinstance(value, PaperProfile):
            digests, name = {str(look_up(value.provenance, "weights") or "")}, _name_widths(value.spec)
            changes = {"paper": value}
        elif isinstance(value, Measured):
            self._attach_scores(value, each.path)
            return
        else:
            return
        at = self._find(digests, each.path, _find_spec(value))
        if at is not None:
            self.all[at] = _join(self.all[at], changes)
        elif each.given or not self.all:
            last = value.profiles[-1][1] if isinstance(value, Series) else value
            weights = min(digests - {""}, default="") if len(digests) == 1 else ""
            network = Network(name, last.wiring, _find_spec(last), weights)
            self.all.append(_join(network, changes))

    def _find(self, digests: set[str], path: Path, spec: UNetSpec | None) -> int | None:
        """The network of such weights, or in whose folder a file lies, or else the one of such a form."""
        places = range(len(self.all))
        own = (at for at in places if self.all[at].weights in digests - {""})
        beside = (at for at in places if path.is_dir() and _is_in(path, self.all[at].run))
        alike = (at for at in places if spec is not None and not self.all[at].weights and self.all[at].spec == spec)
        return next((at for group in (own, beside, alike) for at in group), None)

    def _attach_scores(self, measured: Measured, path: Path) -> None:
        """Give scores to the network that earned them: those of test images rather than those of validation."""
        for at, network in enumerate(self.all):
            part = _find_part(network.run, measured)
            is_own = measured.weights == network.weights if measured.weights else _is_near(path, network.run)
            better = network.scores is None or (network.part, part) == ("validation", "test")
            if is_own and part is not None and better:
                self.all[at] = replace(network, scores=measured.scores, part=part)

    def _add_rest(self, found: Sequence[Found], plan: SlimPlan | None) -> None:
        """What a plan or a comparison tells of networks whose runs did not come."""
        if plan is not None and len(self.all) < MOST:
            if not self.all:
                self._add(_from_spec(plan.origin, plan.weights))
            if self.all[0].weights in ("", plan.weights) and plan.spec != plan.origin:
                self._add(_from_spec(plan.spec))
        comparison = next(_pick(found, Comparison), None)
        if comparison is not None and not self.all:
            good = [
                row for row, word in zip(comparison.rows[1:], comparison.words, strict=True) if word == "as good"
            ] or comparison.rows[1:2]
            cheapest = sorted(good, key=lambda row: row.multiply_adds_per_pixel)[:1]
            for row in (comparison.rows[0], *cheapest):
                self._add(replace(_from_spec(row.spec), name=row.name))


def _make_network(run: Run) -> Network:
    spec = run.checkpoint.spec
    return Network(run.path.absolute().name, spec.wiring, spec, run.checkpoint.digest(), run)


def _from_spec(spec: UNetSpec, weights: str = "") -> Network:
    return Network(_name_widths(spec), spec.wiring, spec, weights)


def _name_widths(spec: UNetSpec) -> str:
    return "-".join(map(str, spec.level_widths))


def _tell_apart(networks: Sequence[Network]) -> tuple[Network, ...]:
    """Networks with different names: with their widths, or their numbers, where they had one."""
    names = [network.name for network in networks]
    if len(set(names)) < len(names):
        names = [f"{one.name} {_name_widths(one.spec)}" if one.spec else one.name for one in networks]
    if len(set(names)) < len(names):
        names = [f"{name} {number}" for number, name in enumerate(names, 1)]
    return tuple(replace(network, name=name) for network, name in zip(networks, names, strict=True))


def _locate(path: str, folder: Path) -> Path | None:
    """A run folder that a search names: where it was, or where the search's own folder was moved to."""
    places = (Path(path), folder / TRIALS / Path(path).name, folder / Path(path).name)
    return next((place for place in places if (place / DESCRIPTION).exists()), None)


def _list_digests(profile: Profile) -> set[str]:
    """The weights that a profile is of; several where networks were pooled."""
    networks = profile.provenance.get("networks") or [profile.provenance]
    return {str(known.get("weights") or "") for known in networks}


def _find_spec(value: object) -> UNetSpec | None:
    """The network that a profile is of, where it is ours."""
    if isinstance(value, PaperProfile):
        return value.spec
    return find_spec(value) if isinstance(value, Profile) else None


def _join(network: Network, changes: dict[str, Any]) -> Network:
    """A network with further profiles; the first of a kind counts."""
    if "profiles" in changes:
        epochs = dict((*changes["profiles"], *network.profiles))
        ordered = sorted(epochs.items(), key=lambda entry: (entry[0] is None, entry[0] or 0))
        changes = {**changes, "profiles": tuple(ordered)}
    kept = {name: getattr(network, name) for name in ("paper", "maps") if getattr(network, name) is not None}
    return replace(network, **{**changes, **kept})


def _is_in(path: Path, run: Run | None) -> bool:
    return run is not None and path.absolute().parent == run.path.absolute()


def _is_near(path: Path, run: Run | None) -> bool:
    """Whether a file lies in a run folder or beside it."""
    return run is not None and path.absolute().parent in (run.path.absolute(), run.path.absolute().parent)


def _find_part(run: Run | None, measured: Measured) -> Part | None:
    """Which images of a run were scored; None where some of them were learned from, or it cannot be told."""
    if run is None:
        return "test" if measured.weights else None
    names = {image.name for image in measured.scores.images}
    roles = {role: set(members) for role, members in run.checkpoint.split.items()}
    if names & roles.get("train", set()):
        return None
    return "validation" if names & roles.get("validation", set()) else "test"


def _name_dataset(networks: Sequence[Network]) -> str:
    """What the folder of images is called that the first run was trained on."""
    known = (look_up(one.run.checkpoint.provenance, "data", "path") for one in networks if one.run is not None)
    return next((Path(str(path)).name for path in known if path), "")
