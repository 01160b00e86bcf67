"""Does information predict? Gates, ablations and the usual pruning criteria against what networks do without a part.

    python benchmarks/prediction.py --data ../shared/data --work runs/population [--effort default] [--json FILE]

The networks are those of `population.py`, which trains them; those that are not trained yet are left out and counted.
For every part of every gate (the up path and the skip of each level) each predictor is compared with what is lost when
the part becomes its mean, and with what is lost when the network is trained again without it. Profiles are kept in the
run folders (profile-EFFORT.json), so that a second call goes on where the first was stopped. `--profile-only` profiles
what is trained so far.

Signs: a large value of every predictor is taken to mean "needed". Levels count from the deepest up, since what is deep
is thought to matter least.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import isfinite, sqrt
from pathlib import Path
from statistics import mean, variance
from typing import Any

import torch

from correlations import DRAWS, FEWEST, Case, Ranking, by_kind, by_level, rank
from measuring import collect_versions, format_table
from population import POPULATION, SETS, Member, describe, list_retrained, open_set
from rivals import count_saving, measure_rivals
from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.errors import DataError
from unetscope.files import write_json
from unetscope.information.findings import LINEAR, MLP, Gate, Part
from unetscope.information.intervals import Interval, standard_error
from unetscope.information.profile import Profile
from unetscope.information.profiling import Effort, ProfileSettings, profile
from unetscope.information.tally import Tally
from unetscope.information.views import view_dataset
from unetscope.scores.overlap import Scores

GATE, GATE_MLP, BEYOND, ABLATION = "gate, linear", "gate, mlp", "gate beyond position", "ablation"
RIVALS = ("level", "multiply-adds", "weight norm", "Taylor", "effective rank")
OURS = (GATE, GATE_MLP, BEYOND, ABLATION)
RETRAINED, ERROR = "retraining", "standard error of retraining"
SIDES: Mapping[str, tuple[int, ...]] = {"nuclei": (128, 128), "hippocampus": (32, 48, 32)}
"""Shape of an image at which multiply-adds are counted; every network of the set accepts it."""

KINDS: Mapping[str, tuple[str, ...]] = {"both": ("up", "skip"), "up": ("up",), "skip": ("skip",)}
STRATA = {"within levels": by_level, "over levels": by_kind}


def main() -> None:
    """Profile what is not profiled yet, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("runs/population"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--effort", choices=["brief", "default", "thorough"], default="brief")
    parser.add_argument("--draws", type=int, default=DRAWS, help="how often the networks are drawn for intervals")
    parser.add_argument("--profile-only", action="store_true", help="compare nothing yet")
    parser.add_argument("--threads", type=int, help="threads to compute with; all cores if not given")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    subjects = [subject for name in arguments.sets for subject in profile_set(name, arguments)]
    if arguments.profile_only:
        return
    cases = [case for subject in subjects for case in subject.cases()]
    rankings = {target: rank_all(cases, target, arguments.draws) for target in (ABLATION, RETRAINED)}
    print_gates(subjects)
    print_words(cases, subjects)
    print_retrained(cases, measure_spread(arguments.sets, arguments.work))
    for target, found in rankings.items():
        print_rankings(target, found)
    if arguments.json:
        write_json(arguments.json, report(arguments, subjects, cases, rankings))


def profile_set(name: str, arguments: argparse.Namespace) -> list[Subject]:
    """The trained members of a set with their profiles."""
    members = [member for member in POPULATION[name] if is_trained(member, arguments.work)]
    print(f"{name}: {len(members)} of {len(POPULATION[name])} networks are trained", flush=True)
    if not members:
        return []
    dataset = open_set(name, arguments.data, arguments.work)
    return [load_subject(member, dataset, arguments.work, arguments.effort) for member in members]


def is_trained(member: Member, work: Path) -> bool:
    """Whether `population.py` has finished with it."""
    return (work / member.folder / "test.json").exists()


@dataclass(frozen=True, eq=False)
class Subject:
    """One trained network of the population with all that is known of it.

    Attributes:
        member: Which it is.
        profile: Its profile.
        rivals: Other criteria for its parts, by name, join and source.
        savings: Multiply-adds of what would be cut, by join and source.
        work: Where runs are.
    """

    member: Member
    profile: Profile
    rivals: Mapping[str, Mapping[str, Mapping[str, float]]]
    savings: Mapping[str, Mapping[str, float]]
    work: Path

    @cached_property
    def dice(self) -> dict[str, float]:
        """Test Dice of every image."""
        return read_dice(self.member, self.work)

    def lost(self, part: Part, level: int) -> Tally | None:
        """Test Dice lost by training again without a part, image by image; None where that is not done."""
        without = drop_part(self.member, part.kind, level)
        return subtract_dice(self.dice, read_dice(without, self.work)) if is_trained(without, self.work) else None

    def cases(self) -> Iterator[Case]:
        """Every part of every gate with its predictors and targets."""
        for gate, part in list_parts(self.profile):
            level = level_of(gate)
            lost = self.lost(part, level)
            retrained = {RETRAINED: lost.mean, ERROR: standard_error(lost)} if lost else {}
            values = self._predict(gate, part) | retrained
            yield Case(self.member.folder, self.member.name, level, part.kind, values)

    def _predict(self, gate: Gate, part: Part) -> dict[str, float]:
        """What each predictor says of a part."""
        larger = {GATE_MLP: part.added[MLP].value} if MLP in part.added else {}
        return {
            GATE: part.added[LINEAR].value,
            **larger,
            BEYOND: part.beyond_position.value,
            ABLATION: part.lost_dice.value,
            "level": -float(level_of(gate)),
            "multiply-adds": self.savings[gate.join][part.source],
            **{name: parts[gate.join][part.source] for name, parts in self.rivals.items()},
            "effective rank": self.profile.layer(part.source).effective_rank,
        }


def load_subject(member: Member, dataset: Dataset, work: Path, effort: Effort) -> Subject:
    """A member with its profile and its rivals, measured where they were not yet."""
    folder = work / member.folder
    checkpoint = Checkpoint.load(folder)
    found = profile_member(checkpoint, dataset, folder / f"profile-{effort}.json", effort)
    rivals = keep_rivals(checkpoint, dataset, folder / "rivals.json")
    return Subject(member, found, rivals, count_savings(member, found, dataset), work)


def profile_member(checkpoint: Checkpoint, dataset: Dataset, file: Path, effort: Effort) -> Profile:
    """The profile in a file, measured anew where there is none of these weights."""
    try:
        known = Profile.load(file)
        if known.provenance.get("weights") == checkpoint.digest():
            return known
    except DataError:
        pass  # none yet, or one of another format
    print(f"  {file}", flush=True)
    found = profile(checkpoint, dataset, ProfileSettings(effort=effort))
    found.save(file)
    return found


def keep_rivals(
    checkpoint: Checkpoint, dataset: Dataset, file: Path
) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    """The other criteria in a file, measured anew where there are none of these weights."""
    known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if known.get("weights") != checkpoint.digest():
        found = measure_rivals(checkpoint, view_dataset(checkpoint, dataset))
        known = {"weights": checkpoint.digest(), "versions": collect_versions(), "rivals": found}
        write_json(file, known)
    rivals: Mapping[str, Mapping[str, Mapping[str, float]]] = known["rivals"]
    return rivals


def count_savings(member: Member, found: Profile, dataset: Dataset) -> dict[str, dict[str, float]]:
    """Multiply-adds of what would be cut, for every part."""
    savings: dict[str, dict[str, float]] = {}
    for gate, part in list_parts(found):
        smaller = describe(drop_part(member, part.kind, level_of(gate)), dataset)
        saved = count_saving(describe(member, dataset), smaller, SIDES[member.name])
        savings.setdefault(gate.join, {})[part.source] = float(saved)
    return savings


def drop_part(member: Member, kind: str, level: int) -> Member:
    """The network that is trained again without a part."""
    return member.without_up(level) if kind == "up" else member.without_skip(level)


def list_parts(found: Profile) -> list[tuple[Gate, Part]]:
    """Every part with its gate."""
    return [(gate, part) for gate in found.gates for part in gate.parts]


def level_of(gate: Gate) -> int:
    """Poolings above a gate of our own U-Nets, whose layers are called like decoder.0.conv1."""
    return int(gate.join.split(".")[1])


def read_dice(member: Member, work: Path) -> dict[str, float]:
    """Test Dice of every image that has one."""
    scores = Scores.from_json(json.loads((work / member.folder / "test.json").read_text(encoding="utf-8")))
    return {image.name: image.dice for image in scores.images if image.dice is not None}


def subtract_dice(whole: Mapping[str, float], without: Mapping[str, float]) -> Tally:
    """Dice of the first less Dice of the second, over the images that both have.

    Example:
        >>> subtract_dice({"a": 0.75, "b": 0.5}, {"a": 0.5, "c": 1.0}).sums.tolist()
        [0.25]
    """
    return Tally.of([dice - without[name] for name, dice in whole.items() if name in without])


def rank_all(cases: Sequence[Case], target: str, draws: int) -> dict[tuple[str, str], Ranking]:
    """All predictors of a target, by strata and kind of part."""
    predictors = list_predictors(cases, target)
    return {
        (strata, kinds): rank([case for case in cases if case.kind in KINDS[kinds]], predictors, target, within, draws)
        for strata, within in STRATA.items()
        for kinds in KINDS
    }


def list_predictors(cases: Sequence[Case], target: str) -> tuple[str, ...]:
    """The predictors that all cases have; ablation does not predict itself."""
    names = (*OURS, *RIVALS)
    return tuple(name for name in names if name != target and all(name in case.values for case in cases))


def print_gates(subjects: Sequence[Subject]) -> None:
    """What the up path adds at every level, with what is lost without it."""
    depth = max((subject.member.depth for subject in subjects), default=0)
    head = ["network (test Dice)", *(f"level {level}" for level in range(depth))]
    rows = []
    for subject in subjects:
        cells = {level_of(gate): format_cell(gate.part("up")) for gate in subject.profile.gates}
        dice = mean(subject.dice.values())
        rows.append([f"{subject.member.folder} ({dice:.3f})", *(cells.get(level, "") for level in range(depth))])
    print("\nI(U|S) +- half of the 95 % interval, bits per pixel / Dice lost when U becomes its mean, word\n")
    print(format_table(head, rows), flush=True)


def format_cell(part: Part) -> str:
    """A gate in one cell."""
    added = part.added[LINEAR]
    return f"{added.value:.3f}+-{added.interval.half_width:.3f} / {part.lost_dice.value:.3f} {part.status.word}"


def print_words(cases: Sequence[Case], subjects: Sequence[Subject]) -> None:
    """What became of the parts that were called redundant, needed, ..."""
    words = [part.status.word for subject in subjects for _, part in list_parts(subject.profile)]
    rows = []
    for word in dict.fromkeys(sorted(words)):
        own = [case for case, said in zip(cases, words, strict=True) if said == word]
        rows.append([word, len(own), *(mean_with_error(own, target) for target in (ABLATION, RETRAINED))])
    print("\nMean Dice lost by the word that the profile has for a part (mean +- standard error over parts, parts)\n")
    print(format_table(["word", "parts", "ablated", "trained again"], rows), flush=True)


def mean_with_error(cases: Sequence[Case], target: str) -> str:
    """Mean of what is known, and its standard error."""
    values = Tally.of([case.values[target] for case in cases if case.knows(target)])
    return f"{values.mean:.4f}+-{standard_error(values):.4f} ({values.images})" if values.images else "-"


def print_retrained(cases: Sequence[Case], spread: float | None) -> None:
    """What training again without a part costs, network by network."""
    rows: dict[tuple[str, str], dict[int, str]] = {}
    for case in cases:
        if case.knows(RETRAINED):
            cell = f"{case.values[RETRAINED]:+.3f}+-{case.values[ERROR]:.3f}"
            rows.setdefault((case.network, case.kind), {})[case.level] = cell
    levels = range(1 + max((level for row in rows.values() for level in row), default=-1))
    print("\nTest Dice lost by training again without a part +- its standard error over the paired test images\n")
    table = [[*name, *(row.get(level, "") for level in levels)] for name, row in rows.items()]
    print(format_table(["network", "part", *(f"level {level}" for level in levels)], table))
    seeds = "unknown: no design has two seeds yet" if spread is None else f"{spread:.4f}"
    print(f"Standard deviation of the test Dice over seeds of one design: {seeds}", flush=True)


def measure_spread(sets: Sequence[str], work: Path) -> float | None:
    """Standard deviation of the test Dice over seeds, pooled over the designs of which two or more are trained."""
    found: dict[Member, list[float]] = {}
    for member in dict.fromkeys(each for name in sets for each in (*POPULATION[name], *list_retrained(name))):
        if is_trained(member, work):
            found.setdefault(replace(member, seed=0), []).append(mean(read_dice(member, work).values()))
    several = [dice for dice in found.values() if len(dice) > 1]
    freedom = sum(len(dice) - 1 for dice in several)
    return sqrt(sum(variance(dice) * (len(dice) - 1) for dice in several) / freedom) if several else None


def print_rankings(target: str, found: Mapping[tuple[str, str], Ranking]) -> None:
    """The correlations of every predictor, and in words which rivals are exceeded."""
    what = "becomes its mean" if target == ABLATION else "is left out and the network trained again"
    print(f"\nRank correlation with the Dice lost when a part {what}; 95 % intervals over networks")
    for strata in STRATA:
        own = {kinds: found[strata, kinds] for kinds in KINDS}
        head = [f"{kinds} ({each.cases} of {each.networks} networks)" for kinds, each in own.items()]
        names = own["both"].predictors
        rows = [[name, *(format_interval(ranking.interval(name)) for ranking in own.values())] for name in names]
        print(f"\n{format_table([strata, *head], rows)}\n")
        for kinds, ranking in own.items():
            for name in list_known(OURS, ranking):
                print(say(name, ranking, f"{strata}, {kinds}"), flush=True)


def say(name: str, ranking: Ranking, where: str) -> str:
    """Which rivals a predictor exceeds, beyond chance."""
    if not isfinite(ranking.interval(name).value):
        return f"- {where}: {name}: cannot tell, no stratum has {FEWEST} networks with different losses"
    rivals = list_known(RIVALS, ranking)
    exceeded = [rival for rival in rivals if ranking.difference(name, rival).low > 0]
    others = [rival for rival in rivals if rival not in exceeded]
    best = ranking.best(rivals)
    return (
        f"- {where}: {name} exceeds {', '.join(exceeded) or 'none'}; it does not exceed {', '.join(others) or 'none'} "
        f"(best rival {best}, difference {format_interval(ranking.difference(name, best))})"
    )


def list_known(names: Sequence[str], ranking: Ranking) -> list[str]:
    """Those of some predictors that were compared."""
    return [name for name in names if name in ranking.predictors]


def format_interval(interval: Interval) -> str:
    """A correlation and its ends; a dash where there is none.

    Example:
        >>> format_interval(Interval(0.5, 0.25, 0.75))
        '+0.50 (+0.25 to +0.75)'
    """
    if not isfinite(interval.value):
        return "-"
    return f"{interval.value:+.2f} ({interval.low:+.2f} to {interval.high:+.2f})"


def report(
    arguments: argparse.Namespace,
    subjects: Sequence[Subject],
    cases: Sequence[Case],
    rankings: Mapping[str, Mapping[tuple[str, str], Ranking]],
) -> dict[str, Any]:
    """Everything, for a file."""
    return {
        "versions": collect_versions(),
        "effort": arguments.effort,
        "draws": arguments.draws,
        "networks": [
            {"network": subject.member.folder, "weights": subject.profile.provenance["weights"]}
            | {"prior": subject.profile.prior.value, "gates": subject.profile.summary()["gates"]}
            for subject in subjects
        ],
        "cases": [asdict(case) for case in cases],
        "rankings": [
            {"target": target, "strata": strata, "kinds": kinds, **ranking.to_json(), "compared": compare_all(ranking)}
            for target, found in rankings.items()
            for (strata, kinds), ranking in found.items()
        ],
    }


def compare_all(ranking: Ranking) -> dict[str, dict[str, Any]]:
    """Differences of our predictors to every rival."""
    rivals = list_known(RIVALS, ranking)
    return {
        name: {rival: ranking.difference(name, rival).to_json() for rival in rivals}
        for name in list_known(OURS, ranking)
    }


if __name__ == "__main__":
    main()
