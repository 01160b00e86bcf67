"""How long commands take from a cold start: one image, --help, importing the package; beside empty Python and peers.

    python benchmarks/startup.py --data ../shared/data [--rounds 7] [--json FILE]

Each contestant is a fresh process. The round that does not count fills the caches: the system's, of files, and this
package's, of chosen engines and compiled networks.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from measuring import Rounds, describe_run, format_table, measure_rounds, timed
from subjects import SUBJECTS
from unetscope.data.images import write_image
from unetscope.files import write_json

SIDE = 512
SEGMENT, HELP, EMPTY = "unetscope segment", "unetscope --help", "python -c pass"
TARGETS = {SEGMENT: 2.0, HELP: 0.3}
CHECK = "import sys, unetscope; raise SystemExit('torch' in sys.modules)"
PEERS = ("torch", "monai", "openvino")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("runs/speed"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    subject = SUBJECTS["default"]
    checkpoint = subject.train(arguments.data, arguments.work)
    image = cut_image(subject.mosaic(arguments.data, arguments.work, (SIDE, SIDE)))
    imports_torch = bool(subprocess.run([sys.executable, "-c", CHECK]).returncode)
    facts = describe_run({"weights": checkpoint.digest(), "image": image.name})
    with tempfile.TemporaryDirectory() as out:
        commands = list_commands(subject.run(arguments.work), image, Path(out))
        contestants = {name: timed(partial(start, words)) for name, words in commands.items()}
        rounds = measure_rounds(contestants, arguments.rounds, arguments.work / "startup-rounds.json", facts)
    print_table(rounds)
    print(f"import unetscope imports torch: {'yes' if imports_torch else 'no'}", flush=True)
    if arguments.json:
        ratios = {name: asdict(rounds.ratio(name, EMPTY)) for name in commands}
        write_json(arguments.json, {**rounds.to_json(), "ratios": ratios, "imports_torch": imports_torch})


def cut_image(mosaic: Path) -> Path:
    """The mosaic as an image file like those of most users."""
    path = mosaic.with_suffix(".png")
    if not path.exists():
        write_image(path, np.load(mosaic))
    return path


def list_commands(run: Path, image: Path, out: Path) -> Mapping[str, Sequence[str]]:
    """The words of each command."""
    python = [sys.executable, "-c"]
    program = [sys.executable, "-m", "unetscope"]
    return {
        SEGMENT: [*program, "segment", str(run), str(image), "--out", str(out)],
        f"{SEGMENT} --engine torch": [
            *program, "segment", str(run), str(image), "--out", str(out), "--engine", "torch"
        ],
        HELP: [*program, "--help"],
        "import unetscope": [*python, "import unetscope"],
        EMPTY: [*python, "pass"],
        **{f"import {name}": [*python, f"import {name}"] for name in PEERS if find_spec(name)},
    }  # fmt: skip


def start(words: Sequence[str]) -> None:
    """Run a command to its end.

    Raises:
        CalledProcessError: It failed.
    """
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def print_table(rounds: Rounds) -> None:
    """Seconds and what was asked for."""
    rows = [
        [name, f"{rounds.summary(name):.3f}", f"{TARGETS[name]:g}" if name in TARGETS else ""]
        for name in rounds.seconds
    ]
    print(f"\n{rounds.count} rounds; median (smallest-largest)\n")
    print(format_table(["command", "seconds", "at most"], rows))


if __name__ == "__main__":
    main()
