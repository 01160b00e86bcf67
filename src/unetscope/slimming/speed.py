"""Networks timed side by side on this machine; knows specs, engines and clocks, neither weights nor scores."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import product
from math import ceil, isfinite, prod
from time import perf_counter
from typing import Any, Self, get_args

import numpy as np

from unetscope.engines.engine import Arithmetic, Engine, EngineName
from unetscope.errors import SlimError
from unetscope.machine import computes_bfloat16
from unetscope.model.geometry import fitting_shape, output_shape
from unetscope.model.spec import UNetSpec
from unetscope.timing.calibration import build_untrained

ROUNDS = (5, 15)  # at least and at most
SECONDS = 30.0  # after which there are no more rounds than the least
TURN = 0.1  # seconds that one network computes in a round, at least

Clock = Callable[[], float]
OnRound = Callable[[int, int], None]
Way = tuple[EngineName, Arithmetic]


@dataclass(frozen=True)
class Timing:
    """What one network took, round by round, beside others that took turns with it.

    Attributes:
        engine: The library.
        precision: What convolutions are computed in.
        shape: Spatial shape of the block that was computed, pixels.
        milliseconds: For a million labeled pixels, from normalized pixels to labels: one number a round.
        speedups: How many times faster than the first network, in the same round.
    """

    engine: EngineName
    precision: Arithmetic
    shape: tuple[int, ...]
    milliseconds: tuple[float, ...]
    speedups: tuple[float, ...]

    @property
    def way(self) -> Way:
        """Engine and precision."""
        return self.engine, self.precision

    @property
    def rounds(self) -> int:
        """How often it was measured."""
        return len(self.milliseconds)

    @property
    def median(self) -> float:
        """Milliseconds for a million labeled pixels, median over rounds."""
        return statistics.median(self.milliseconds)

    @property
    def low(self) -> float:
        """The shortest of these."""
        return min(self.milliseconds)

    @property
    def high(self) -> float:
        """The longest."""
        return max(self.milliseconds)

    @property
    def speedup(self) -> tuple[float, float, float]:
        """How many times faster than the first network: median, lowest and highest, compared within rounds."""
        return statistics.median(self.speedups), min(self.speedups), max(self.speedups)

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes the same timing, and what follows from them."""
        summary = {"median": self.median, "low": self.low, "high": self.high, "speedup": list(self.speedup)}
        return {**asdict(self), **summary}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The timing that `to_json` wrote.

        Raises:
            SlimError: These are not the values of a timing.
        """
        try:
            lists = {key: tuple(content[key]) for key in ("shape", "milliseconds", "speedups")}
            timing = cls(content["engine"], content["precision"], **lists)
        except (KeyError, TypeError) as error:
            raise SlimError(f"no timing ({error}); measure again") from error
        numbers = (*timing.milliseconds, *timing.speedups)
        named = timing.engine in get_args(EngineName) and timing.precision in get_args(Arithmetic)
        whole = 0 < len(timing.milliseconds) == len(timing.speedups)
        if not (named and whole and all(isinstance(n, float | int) and isfinite(n) and n > 0 for n in numbers)):
            raise SlimError(f"no timing ({timing}); measure again")
        return timing


def list_ways() -> tuple[Way, ...]:
    """The engines installed here, each in float32 and in bfloat16 where the machine computes in it.

    Example:
        >>> ("torch", "float32") in list_ways()
        True
    """
    engines: tuple[EngineName, ...] = ("torch", "openvino") if find_spec("openvino") else ("torch",)
    kinds: tuple[Arithmetic, ...] = ("float32", "bfloat16")
    able = {"torch": _torch_computes_bfloat16, "openvino": computes_bfloat16}
    return tuple((name, kind) for name, kind in product(engines, kinds) if kind == "float32" or able[name]())


def time_networks(
    specs: Sequence[UNetSpec],
    shape: tuple[int, ...],
    way: Way = ("torch", "float32"),
    on_round: OnRound | None = None,
    clock: Clock = perf_counter,
) -> tuple[Timing, ...]:
    """Time networks in turns, so that what slows the machine down for a while slows all of them down.

    Every network computes a block in every round, in another order each time; a fast one does so several times. Weights
    are random, as they do not matter.

    Args:
        specs: The networks; the first is the one that others are compared with.
        shape: Spatial shape of the block, pixels; completed for each network to the next shape that it takes.
        way: Engine and precision.
        on_round: Told how many rounds are done and how many there will be at the most.
        clock: Seconds.

    Returns:
        A timing for each network, in their order.

    Raises:
        SpecError: The engine is not installed, or cannot compute a network.
        SlimError: There is no network.
    """
    if not specs:
        raise SlimError("no network came; give at least one to time")
    runners = [_Runner.of(build_untrained(spec, *way), fitting_shape(spec, shape), clock) for spec in specs]
    seconds: list[list[float]] = [[] for _ in specs]
    began = clock()
    for index in range(ROUNDS[1]):
        if index >= ROUNDS[0] and clock() - began > SECONDS:
            break
        for place in order_turns(len(specs), index):
            seconds[place].append(runners[place].run())
        if on_round:
            on_round(index + 1, ROUNDS[1])
    return tuple(
        Timing(
            engine=way[0],
            precision=way[1],
            shape=runner.shape,
            milliseconds=tuple(1e9 * each / runner.pixels for each in own),
            speedups=tuple(
                (first / runners[0].pixels) / (each / runner.pixels)
                for first, each in zip(seconds[0], own, strict=True)
            ),
        )
        for runner, own in zip(runners, seconds, strict=True)
    )


def order_turns(count: int, index: int) -> tuple[int, ...]:
    """The order of a round: each is first equally often, and odd rounds run backwards.

    Without running backwards each would always come after the same other and inherit the caches and the heat it left.

    Example:
        >>> order_turns(3, 0), order_turns(3, 1), order_turns(3, 2)
        ((0, 1, 2), (1, 0, 2), (2, 0, 1))
    """
    step = -1 if index % 2 else 1
    return tuple((index + step * place) % count for place in range(count))


@dataclass(frozen=True)
class _Runner:
    """A network with the block that it computes, so often that the clock is precise."""

    engine: Engine
    block: np.ndarray[Any, np.dtype[np.float32]]
    repeats: int
    clock: Clock

    @classmethod
    def of(cls, engine: Engine, shape: tuple[int, ...], clock: Clock) -> Self:
        """Make ready; the first run prepares what the others find, the second tells how long one takes."""
        block = np.random.default_rng(0).random((1, engine.spec.image_channels, *shape), np.float32)
        once = cls(engine, block, 1, clock)
        once.run()
        return cls(engine, block, max(1, ceil(TURN / max(once.run(), 1e-6))), clock)

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape of the block."""
        return tuple(self.block.shape[2:])

    @property
    def pixels(self) -> int:
        """Pixels that are labeled."""
        return prod(output_shape(self.engine.spec, self.shape))

    def run(self) -> float:
        """Seconds of one block."""
        start = self.clock()
        for _ in range(self.repeats):
            self.engine.labels(self.block)
        return (self.clock() - start) / self.repeats


def _torch_computes_bfloat16() -> bool:
    from unetscope.engines.torch_engine import computes_bfloat16 as torch_computes

    return torch_computes()
