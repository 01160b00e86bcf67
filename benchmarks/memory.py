"""Does peak memory grow with the image? Mapped images 1, 4, 16 and 64 times as large, in each engine.

    python benchmarks/memory.py --data ../shared/data [--start 2048] [--engines torch openvino] [--json FILE]

Every image is segmented in a fresh process. What counts is anonymous memory, which nobody but the process can give
back, at its peak and less the label image that was asked for: it is sampled every 10 ms. The peak of resident memory
(VmHWM) stands beside it. That counts the pages of the mapped image too, as many as the system cares to keep: it is the
page cache that any reader of a file fills, it is taken back as soon as somebody needs memory, and so it grows with the
image by as much as is free. "Beyond loading" is what is left of the peak without interpreter, libraries and network.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from contenders import prepare_ours
from measuring import describe_run, format_table
from processes import Memory, measure_memory
from subjects import SUBJECTS
from unetscope.engines.choice import Wanted
from unetscope.files import write_json

SIDES = (1, 2, 4, 8)
MOST_GROWTH = 0.1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("runs/speed"))
    parser.add_argument("--start", type=int, default=2048, help="side of the smallest image; the largest has 8 times")
    parser.add_argument("--engines", nargs="+", default=["torch", *["openvino"] * bool(find_spec("openvino"))])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    subject = SUBJECTS["default"]
    checkpoint = subject.train(arguments.data, arguments.work)
    images = {
        factor**2: subject.mosaic(arguments.data, arguments.work, (arguments.start * factor,) * 2) for factor in SIDES
    }
    run = subject.run(arguments.work)
    peaks = [measure(run, image, times, engine) for engine in arguments.engines for times, image in images.items()]
    print_peaks(peaks)
    if arguments.json:
        facts = describe_run({"start": arguments.start, "weights": checkpoint.digest()})
        write_json(arguments.json, {"facts": facts, "peaks": [each.to_json() for each in peaks]})


@dataclass(frozen=True)
class Peak:
    """The memory that one image took.

    Attributes:
        engine: The engine that was asked for.
        times: Pixels, in those of the smallest image.
        image: Its file.
        result: Bytes of the label image.
        memory: Of the process.
    """

    engine: str
    times: int
    image: str
    result: int
    memory: Memory

    @property
    def beyond_result(self) -> int:
        """Anonymous memory at the peak, without the result."""
        return self.memory.anonymous_peak - self.result

    @property
    def beyond_loading(self) -> int:
        """The same, without what was there before the image was opened."""
        return self.memory.anonymous_extra - self.result

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "beyond_result": self.beyond_result, "beyond_loading": self.beyond_loading}


def measure(run: Path, image: Path, times: int, engine: str) -> Peak:
    """Segment an image in a fresh process."""
    print(f"{engine}: {image}", flush=True)
    memory, size = measure_memory(prepare_size, run, image, engine)
    return Peak(engine, times, image.name, size, memory)


def prepare_size(run: Path, image: Path, engine: Wanted) -> Callable[[], int]:
    """Segmenting, of which only the bytes of the labels are told."""
    segment = prepare_ours(run, image, engine)
    return lambda: segment()[0].nbytes


def print_peaks(peaks: Sequence[Peak]) -> None:
    """The table, and how much the peak grows from the smallest to the largest image."""
    head = ["engine", "pixels", "result MB", "beyond the result", "beyond loading too", "loading", "resident peak"]
    rows = []
    for each in peaks:
        memory = each.memory
        sizes = (each.result, each.beyond_result, each.beyond_loading, memory.anonymous_baseline, memory.peak)
        rows.append([each.engine, f"{each.times} times", *(f"{size / 1e6:.0f}" for size in sizes)])
    print("\n" + format_table(head, rows))
    for engine in dict.fromkeys(each.engine for each in peaks):
        first, *_, last = (each for each in peaks if each.engine == engine)
        growth, own = (
            getattr(last, name) / max(1, getattr(first, name)) - 1 for name in ("beyond_result", "beyond_loading")
        )
        print(
            f"{engine}: from the smallest to the largest image the peak beyond the result moves by {growth:+.1%} (at "
            f"most {MOST_GROWTH:.0%}); without what loading takes, by {own:+.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
