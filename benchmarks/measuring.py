"""What the speed benchmarks share: alternating rounds that can be stopped, paired ratios, circumstances, tables.

Knows clocks and files; neither networks nor images. A contestant is anything that can be called and answers with the
seconds that it took. All contestants take part in every round, in another order each time, so that what slows the
machine down for a while slows all of them down, and ratios are formed within a round before they are summarized.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import unetscope
from unetscope.files import digest_all, write_json
from unetscope.machine import describe_machine

Contestant = Callable[[], float]

PACKAGES = ("torch", "numpy", "openvino", "onnx", "onnxruntime", "monai", "tifffile", "scikit-image")
PRODUCT_SIZES = (1024, 2048, 4096, 8192)
PRODUCT_SECONDS = 0.25  # a product that takes as long is large enough: one of twice the size takes 8 times as long
NO_AMX, NO_BFLOAT16 = "AMX off", "bf16 and AMX off"


@dataclass(frozen=True)
class Summary:
    """Several measurements of one thing.

    Attributes:
        median: Of all.
        low: The smallest.
        high: The largest.
        quartiles: A quarter is smaller than the first and a quarter larger than the second.
        count: How many there are.
    """

    median: float
    low: float
    high: float
    quartiles: tuple[float, float]
    count: int

    def __format__(self, code: str) -> str:
        """The median and, in parentheses, the smallest and the largest.

        Example:
            >>> f"{summarize([3.0, 1.0, 2.0]):.1f}"
            '2.0 (1.0-3.0)'
        """
        return f"{self.median:{code}} ({self.low:{code}}-{self.high:{code}})"


def summarize(values: Sequence[float]) -> Summary:
    """Median and spread.

    Args:
        values: At least one.

    Example:
        >>> summarize([4.0, 1.0, 2.0, 3.0]).median
        2.5
    """
    first, _, third = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else (*values,) * 3
    return Summary(statistics.median(values), min(values), max(values), (first, third), len(values))


@dataclass(frozen=True)
class Rounds:
    """What the contestants took, round by round.

    Attributes:
        facts: Under which circumstances; measurements are comparable only where these are equal.
        seconds: For each contestant one number a round.
    """

    facts: Mapping[str, Any]
    seconds: Mapping[str, tuple[float, ...]]

    @property
    def count(self) -> int:
        """Rounds that all contestants have finished."""
        return min(map(len, self.seconds.values()), default=0)

    def summary(self, name: str) -> Summary:
        """The seconds of one contestant."""
        return summarize(self.seconds[name])

    def ratio(self, name: str, to: str) -> Summary:
        """How many times longer one contestant took than another, compared within each round."""
        return summarize([a / b for a, b in zip(self.seconds[name], self.seconds[to], strict=True)])

    def with_round(self, seconds: Mapping[str, float]) -> Rounds:
        """These and another round."""
        return Rounds(self.facts, {name: (*known, seconds[name]) for name, known in self.seconds.items()})

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes the same rounds, and the summary of each contestant."""
        summaries = {name: asdict(self.summary(name)) for name in self.seconds} if self.count else {}
        return {"facts": dict(self.facts), "seconds": dict(self.seconds), "summaries": summaries}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Rounds:
        """What `to_json` gave."""
        return cls(content["facts"], {name: tuple(values) for name, values in content["seconds"].items()})


def measure_rounds(
    contestants: Mapping[str, Contestant],
    rounds: int,
    file: Path,
    facts: Mapping[str, Any],
    warm_up: int = 1,
    tell: Callable[[str], None] = lambda line: print(line, flush=True),
) -> Rounds:
    """Let the contestants take turns.

    After every round the file is written, so that a benchmark that was stopped goes on where it was. It starts anew
    where the file holds other contestants or was measured under other circumstances (another machine, other
    versions, other parameters); the old file is kept beside it.

    Args:
        contestants: By name; each is called once a round and answers with seconds.
        rounds: How many rounds there shall be, those in the file included.
        file: Where they are kept.
        facts: The circumstances (`describe_run`).
        warm_up: Rounds at the start of every call that do not count.
        tell: Gets a line after every measurement.

    Returns:
        All rounds.
    """
    known = resume(file, facts, tuple(contestants), tell)
    if known.count < rounds:
        for index in range(warm_up):
            run_round(contestants, index, lambda name, seconds: tell(f"  warm-up: {name} {seconds:.2f} s"))
    clock = Countdown(rounds, known, tell)
    for index in range(known.count, rounds):
        known = known.with_round(run_round(contestants, index, clock.count))
        write_json(file, known.to_json())
    return known


def run_round(
    contestants: Mapping[str, Contestant], index: int, on_seconds: Callable[[str, float], None]
) -> dict[str, float]:
    """Every contestant once, in the order of this round."""
    seconds = {}
    for name in rotate(tuple(contestants), index):
        seconds[name] = contestants[name]()
        on_seconds(name, seconds[name])
    return seconds


def rotate(names: Sequence[str], index: int) -> tuple[str, ...]:
    """The order in one round: every contestant is first, second, ... equally often, and odd rounds run backwards.

    Without running backwards each contestant would always come after the same one and inherit the caches and the heat
    that it left.

    Example:
        >>> rotate("abc", 0), rotate("abc", 1), rotate("abc", 2)
        (('a', 'b', 'c'), ('b', 'a', 'c'), ('c', 'a', 'b'))
    """
    start = index % max(1, len(names))
    turned = (*names[start:], *names[:start])
    return (*turned[:1], *turned[:0:-1]) if index % 2 else turned


def resume(file: Path, facts: Mapping[str, Any], names: Sequence[str], tell: Callable[[str], None]) -> Rounds:
    """The rounds in a file, or none where it was measured under other circumstances."""
    wanted = {"facts": json.loads(json.dumps(facts)), "contestants": sorted(names)}
    if file.exists():
        known = Rounds.from_json(json.loads(file.read_text(encoding="utf-8")))
        found = {"facts": known.facts, "contestants": sorted(known.seconds)}
        if found == wanted:
            return known
        kept = file.with_name(f"{file.stem}-before{file.suffix}")
        file.replace(kept)
        tell(f"{file}: other {', '.join(name_differences(found, wanted))}; starting anew, the old rounds are in {kept}")
    return Rounds(wanted["facts"], dict.fromkeys(names, ()))


def name_differences(found: Any, wanted: Any, path: str = "") -> Iterator[str]:
    """The entries of two nested mappings that differ.

    Example:
        >>> list(name_differences({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}}))
        ['b.c']
    """
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key in sorted({*found, *wanted}):
            yield from name_differences(found.get(key), wanted.get(key), f"{path}.{key}".lstrip("."))
    elif found != wanted:
        yield path


class Countdown:
    """Tells after every measurement how long the others will take.

    Args:
        rounds: How many there shall be.
        known: Those that there are.
        tell: Gets the lines.
    """

    def __init__(self, rounds: int, known: Rounds, tell: Callable[[str], None]) -> None:
        self.rounds, self.tell = rounds, tell
        self.done = {name: list(seconds) for name, seconds in known.seconds.items()}

    def count(self, name: str, seconds: float) -> None:
        """One more measurement."""
        self.done[name].append(seconds)
        line = f"  round {len(self.done[name])} of {self.rounds}: {name} {seconds:.2f} s"
        self.tell(line if (left := self.left()) is None else f"{line}, {format_seconds(left)} left")

    def left(self) -> float | None:
        """Seconds that are left, once every contestant was measured."""
        if not all(self.done.values()):
            return None
        return sum((self.rounds - len(seconds)) * statistics.median(seconds) for seconds in self.done.values())


def format_seconds(seconds: float) -> str:
    """Seconds as a person says them.

    Example:
        >>> format_seconds(42), format_seconds(4000)
        ('42 s', '67 min')
    """
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def timed(run: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> Contestant:
    """A contestant that runs something and answers with the seconds that it took.

    Example:
        >>> timed(lambda: None, iter([10.0, 12.5]).__next__)()
        2.5
    """

    def contestant() -> float:
        start = clock()
        run()
        return clock() - start

    return contestant


def time_products(dtype: str, operations: float = 1e12, device: str = "cpu") -> Contestant:
    """A contestant that answers with the seconds that so many operations take in a matrix product of torch.

    It takes part in the rounds like any other, so that the share of the machine's rate that a network reaches is
    formed within a round.

    Args:
        dtype: "bfloat16" or "float32".
        operations: Multiplications and additions.
        device: Of torch.
    """
    return lambda: operations / measure_products(dtype, device)


def measure_products(dtype: str, device: str = "cpu", sizes: Sequence[int] = PRODUCT_SIZES, repeats: int = 3) -> float:
    """Operations a second of torch's product of square matrices, at the best of some sizes.

    Args:
        dtype: Name of a torch type.
        device: Of torch.
        sizes: Rows of the matrices, ascending.
        repeats: Products of each size; the fastest counts.
    """
    import torch

    def multiply(a: torch.Tensor, b: torch.Tensor) -> None:
        torch.mm(a, b)
        if device != "cpu":
            torch.cuda.synchronize(device)

    best = 0.0
    for size in sizes:
        factors = (torch.rand(size, size, device=device).to(getattr(torch, dtype)) for _ in range(2))
        product = timed(partial(multiply, *factors))
        first = product()
        best = max([best, *(2 * size**3 / product() for _ in range(repeats))])
        if first > PRODUCT_SECONDS:
            break
    return best


def describe_run(parameters: Mapping[str, Any], packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """The circumstances of a benchmark: only measurements under equal ones belong together.

    Args:
        parameters: What the benchmark was asked for; values that JSON knows.
        packages: Those whose versions count.

    Returns:
        Machine (its instruction sets, limits to them and threads among it), versions (with a digest of this package's
        code) and parameters.
    """
    return {"machine": describe_machine(), "versions": collect_versions(packages), "parameters": dict(parameters)}


def collect_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Versions of Python, of this package with a digest of its code, and of those packages that are installed."""
    root = Path(unetscope.__file__).parent
    code = digest_all(lambda: ((str(path.relative_to(root)), path) for path in sorted(root.rglob("*.py"))))
    versions = {"python": platform.python_version(), "unetscope": f"{unetscope.__version__} ({code[:12]})"}
    for name in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def list_limits(instructions: Sequence[str]) -> dict[str, dict[str, str]]:
    """Environments in which torch and OpenVINO (their oneDNN) compute as on a lesser processor.

    Args:
        instructions: Names of the processor's instruction sets, as Linux or macOS write them.

    Returns:
        By title the variables to set; a title for each thing that this processor has and that can be left unused.

    Example:
        >>> list(list_limits(["avx2", "avx512_bf16"]))
        ['bf16 and AMX off']
    """
    names = {name.lower() for name in instructions}
    has_amx = any(name.startswith("amx") for name in names)
    limits = {NO_AMX: {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}} if has_amx else {}
    if has_amx or "avx512_bf16" in names:
        limits[NO_BFLOAT16] = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}
    return limits


def format_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table that is aligned for the eye too; the first column to the left, the others to the right.

    Example:
        >>> print(format_table(["who", "seconds"], [["ours", 1], ["theirs", 20]]))
        | who    | seconds |
        |:-------|--------:|
        | ours   |       1 |
        | theirs |      20 |
    """
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = "|" + "|".join(
        f":{'-' * (width + 1)}" if index == 0 else f"{'-' * (width + 1)}:" for index, width in enumerate(widths)
    )
    lines = ["| " + " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + " |" for row in cells]
    return "\n".join([lines[0], rule + "|", *lines[1:]])
