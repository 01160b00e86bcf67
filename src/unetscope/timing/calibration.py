"""Finding out what work costs here: small untrained networks, timed in the real engine, once per machine and engine.

Knows engines and clocks; what the times mean is the matter of `law`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from time import perf_counter

import numpy as np

from unetscope import __version__
from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.engines.cache import Shelf, key_of
from unetscope.engines.choice import build_engine
from unetscope.engines.engine import ITEMSIZE, Engine, EngineName, Precision
from unetscope.errors import SpecError
from unetscope.machine import describe_machine, find_version
from unetscope.model.spec import UNetSpec
from unetscope.timing.law import count_amounts, find_ratios, fit_costs
from unetscope.timing.prediction import Calibration, read_calibration
from unetscope.timing.probes import Probe, draw_probes
from unetscope.timing.work import list_work

FORMAT = 1  # another one wherever probes, amounts or the fit change
SECONDS = 45.0
ROUNDS = 2  # over all probes, so that what disturbed one for a while is made good
RUNS = (3, 10)  # timed runs of a probe in a round, at least and at most
RUN_SECONDS = 0.1  # after which there are no more than the least
STEPS = 100  # of progress
FEWEST = 24  # probes without which nothing can be said
KEPT = Shelf("timing", ".json", most_files=50, most_bytes=2**22)

Clock = Callable[[], float]


def calibrate(
    engine: EngineName,
    precision: Precision = "auto",
    seconds: float = SECONDS,
    on_probe: Callable[[int, int], None] | None = None,
) -> Calibration:
    """What work costs in an engine on this machine: remembered, or measured now.

    A calibration that something else disturbed is not remembered, so that the next call measures anew.

    Args:
        engine: The library.
        precision: What to compute in; "auto" is bfloat16 where the hardware computes in it.
        seconds: When to stop measuring, at the latest after the probe that is being measured.
        on_probe: Told how much is done, by measurements or by time, and how much there is to do.

    Returns:
        The calibration.

    Raises:
        SpecError: The engine is not installed or cannot compute in this precision, or the time was too short.
    """
    key = key_of(FORMAT, engine, precision, [__version__, find_version(engine)], describe_machine())
    known = read_calibration(KEPT.read(key))
    if known is not None:
        return known
    made = measure_engine(engine, precision, seconds, on_probe)
    if not made.disturbed:
        KEPT.write(key, json.dumps(made.to_json(), indent=2).encode())
    return made


def measure_engine(
    engine: EngineName,
    precision: Precision,
    seconds: float,
    on_probe: Callable[[int, int], None] | None = None,
) -> Calibration:
    """What `calibrate` remembers.

    Raises:
        SpecError: As `calibrate`.
    """
    built: list[Engine] = []

    def measure(probe: Probe) -> float:
        built[:] = [build_untrained(probe.spec, engine, precision)]
        return time_block(built[0], probe.shape)

    start = perf_counter()
    best = time_probes(draw_probes(), measure, seconds, on_probe)
    made = explain(best, built[0])
    return replace(made, seconds=perf_counter() - start)


def time_probes(
    probes: Sequence[Probe],
    measure: Callable[[Probe], float],
    seconds: float,
    on_probe: Callable[[int, int], None] | None = None,
    clock: Clock = perf_counter,
) -> dict[Probe, float]:
    """Milliseconds of the probes, the least over a few rounds.

    Args:
        probes: In the order in which they are measured.
        measure: Answers with the milliseconds of one.
        seconds: When to stop.
        on_probe: Told how much is done, by measurements or by time, and how much there is to do.
        clock: Seconds.

    Returns:
        Those that were measured; without those that the engine cannot compute.

    Raises:
        SpecError: Too few could be measured, or none could be computed.
    """
    best: dict[Probe, float] = {}
    refusal: SpecError | None = None
    start = clock()
    for index, (_, probe) in enumerate(product(range(ROUNDS), probes)):
        spent = (clock() - start) / seconds if seconds > 0 else 1.0
        if spent >= 1:
            break
        if on_probe:
            on_probe(int(STEPS * max(spent, index / (ROUNDS * len(probes)))), STEPS)
        try:
            best[probe] = min(measure(probe), best.get(probe, np.inf))
        except SpecError as error:
            refusal = error
            if not best:
                break  # an engine that cannot compute the first one is missing, or lacks the precision
    if refusal is not None and not best:
        raise refusal
    if len(best) < FEWEST:
        raise SpecError(
            f"{len(best)} networks were measured in {seconds:g} s, and {FEWEST} are needed; try again while nothing "
            "else computes"
        )
    return best


def explain(milliseconds: dict[Probe, float], engine: Engine) -> Calibration:
    """The calibration that follows from the measured probes.

    Args:
        milliseconds: Of every probe.
        engine: What they were measured with.
    """
    itemsize = ITEMSIZE[engine.precision]
    amounts = [count_amounts(list_work(probe.spec, probe.shape), itemsize) for probe in milliseconds]
    times = tuple(milliseconds.values())
    return Calibration(
        engine=engine.name,
        precision=engine.precision,
        costs=fit_costs(amounts, times),
        ratios=find_ratios(amounts, times),
        workspace=engine.workspace[engine.precision],
        probes=len(times),
        seconds=0.0,
    )


def build_untrained(spec: UNetSpec, engine: EngineName, precision: Precision) -> Engine:
    """An engine with random weights: they take as long as trained ones.

    Raises:
        SpecError: The engine is not installed, or cannot compute this.
    """
    classes = tuple(f"class {index}" for index in range(max(2, spec.classes)))
    blank = Checkpoint(spec, {}, Normalization.range(0, 255), classes)
    return build_engine(blank.untrained(), engine, precision, keeps=False)


def time_block(engine: Engine, shape: tuple[int, ...], clock: Clock = perf_counter) -> float:
    """Milliseconds of one block of random pixels, from normalized pixels to labels: the least of a few runs.

    Args:
        engine: The network.
        shape: Spatial shape of the block.
        clock: Seconds.
    """
    block = np.random.default_rng(0).random((1, engine.spec.image_channels, *shape), np.float32)
    engine.labels(block)  # the first run prepares what the others find
    runs: list[float] = []
    while len(runs) < RUNS[0] or (len(runs) < RUNS[1] and sum(runs) < RUN_SECONDS):
        start = clock()
        engine.labels(block)
        runs.append(clock() - start)
    return 1e3 * min(runs)
