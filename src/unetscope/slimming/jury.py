"""Whether networks are as good as the origin, with as few trainings as tell it; knows trials and statistics only.

Verdicts during a race rest on the validation images, which also chose every network's epoch: they decide what is tried
next, and the test images are looked at once, when the race is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from unetscope.model.spec import UNetSpec
from unetscope.scores.difference import MARGIN, Difference, Word, compare_groups, detectable, judge, measure_spread
from unetscope.slimming.race import Heat, run_rounds
from unetscope.slimming.shapes import multiply_adds_per_pixel
from unetscope.slimming.trials import Trial, Trials


@dataclass(frozen=True)
class JurySettings:
    """How networks are judged.

    Attributes:
        margin: Dice that may be lost.
        seeds: Trainings of a network at the most, and of the origin.
        shares: Growing shares of a whole training, in which several networks of one cost run against each other.
    """

    margin: float = MARGIN
    seeds: int = 3
    shares: tuple[float, ...] = (0.25, 0.5)


@dataclass(frozen=True)
class Finding:
    """What is known of a network.

    Attributes:
        spec: The network.
        multiply_adds: Per labeled pixel.
        dice: Mean validation Dice.
        difference: To the origin.
        word: The verdict; "no verdict" on fewer than 20 images.
        is_good: Whether the race goes on below it: it is as good or, where there is no verdict, the mean says so.
    """

    spec: UNetSpec = field(repr=False)
    multiply_adds: float
    dice: float
    difference: Difference
    word: Word
    is_good: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(replace(self, spec=None)), "spec": self.spec.to_json()}  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The finding that `to_json` wrote."""
        said = dict(content["difference"])
        difference = Difference(**{**said, "seeds": tuple(said["seeds"])})
        return cls(**{**content, "spec": UNetSpec.from_json(content["spec"]), "difference": difference})


class Jury:
    """Judges networks against the origin, seed by seed, and counts what had to be trained for it.

    Args:
        trials: Where networks are trained.
        settings: How they are judged.
        on_finding: Called after every verdict.
    """

    def __init__(
        self,
        trials: Trials,
        settings: JurySettings = JurySettings(),
        on_finding: Callable[[Finding], None] | None = None,
    ) -> None:
        self.trials, self.settings, self.on_finding = trials, settings, on_finding
        self.asked: dict[Trial, None] = {}
        self.findings: dict[UNetSpec, Finding] = {}
        first = trials.recipe.seed
        self.seeds = tuple(range(first, first + settings.seeds))

    @property
    def steps(self) -> int:
        """Optimizer steps of the networks that were judged, without those of the origin."""
        return sum(self.trials.steps(trial) for trial in self.asked)

    @cached_property
    def reference(self) -> NDArray[np.float64]:
        """(seeds, images) validation Dice of the origin."""
        spec = self.trials.origin_spec
        return np.stack([self.trials.dice(Trial(spec, seed)) for seed in self.seeds])

    def runs(self, spec: UNetSpec) -> tuple[Path, ...]:
        """Run folders of the whole trainings of a network that came to their end."""
        trials = (Trial(spec, seed) for seed in self.seeds)
        return tuple(self.trials.run(trial) for trial in trials if self.trials.is_done(trial))

    def expect(self) -> float:
        """The smallest difference that so many images and seeds usually tell, known before anything is trained."""
        return detectable(len(set(self.trials.units)), (len(self.seeds), len(self.seeds)))

    def detectable(self) -> float:
        """The smallest difference that these images and seeds will tell, from the origin's own seeds."""
        spread = measure_spread(self.reference, self.trials.units)
        images, seeds = len(set(self.trials.units)), (len(self.seeds), len(self.seeds))
        return self.expect() if spread is None else detectable(images, seeds, spread)

    def judge(self, entrants: Sequence[UNetSpec]) -> Heat:
        """Let networks of one cost run, and judge the one that is left; `race.Judge`."""
        winner = run_rounds(entrants, lambda spec, share: self._score(spec, share), self.settings.shares)
        return Heat(winner, self.settle(winner).is_good)

    def settle(self, spec: UNetSpec) -> Finding:
        """Judge one network: it is trained with further seeds until the verdict is clear, or seeds are spent.

        One training may tell that it is worse; that it is as good takes two. After two, no further seed is trained
        where the network would not be as good even if all of them did as well as its best.
        """
        if spec not in self.findings:
            self.findings[spec] = self._settle(spec)
            if self.on_finding:
                self.on_finding(self.findings[spec])
        return self.findings[spec]

    def confirm(self, spec: UNetSpec, again: bool = False) -> Finding:
        """Judge one network by all seeds, however clear the verdict; what is trained for it is not counted.

        Args:
            spec: The network.
            again: As of `Trial`.
        """
        trials = (Trial(spec, seed, again=again) for seed in self.seeds)
        return self._judge(spec, np.stack([self.trials.dice(trial) for trial in trials]))

    def _settle(self, spec: UNetSpec) -> Finding:
        scores = list[NDArray[np.float64]]()
        for seed in self.seeds:
            scores.append(self._dice(Trial(spec, seed)))
            found = self._judge(spec, np.stack(scores))
            if found.word == "worse" or (len(scores) > 1 and self._is_settled(found, scores)):
                break
        return found

    def _is_settled(self, found: Finding, scores: Sequence[NDArray[np.float64]]) -> bool:
        """Whether a network is as good, or would not be even if all further seeds did as well as its best one."""
        best = [max(scores, key=np.nanmean)] * (len(self.seeds) - len(scores))
        return found.word == "as good" or not self._judge(found.spec, np.stack([*scores, *best])).is_good

    def _judge(self, spec: UNetSpec, scores: NDArray[np.float64]) -> Finding:
        margin = self.settings.margin
        difference = compare_groups(self.reference, scores, self.trials.units)
        word = judge(difference, margin)
        is_good = word == "as good" or (word == "no verdict" and difference.value > -margin)
        return Finding(spec, multiply_adds_per_pixel(spec), float(np.nanmean(scores)), difference, word, is_good)

    def _score(self, spec: UNetSpec, share: float) -> float:
        return float(np.nanmean(self._dice(Trial(spec, self.seeds[0], share))))

    def _dice(self, trial: Trial) -> NDArray[np.float64]:
        self.asked.setdefault(trial)
        return self.trials.dice(trial)
