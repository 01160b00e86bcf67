"""Kill training ten times at random moments, resume it, and compare the weights with those of an uninterrupted run.

    python benchmarks/interruptions.py [--kills 10] [--processes 2]

With --processes 2 it also trains with two processes under torchrun and compares the scores.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from safetensors.numpy import load_file

from unetscope.data.scenes import write_dataset

EPOCHS = 30


def main() -> None:
    """Run, kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(folder / "data", "cells", train=12, test=4, shape=(96, 96))
        started = time.monotonic()
        subprocess.run(command(folder, "whole"), check=True, capture_output=True)
        seconds = time.monotonic() - started
        print(
            f"uninterrupted: {EPOCHS} epochs in {seconds:.0f} s, validation Dice {best_dice(folder / 'whole'):.4f}",
            flush=True,
        )
        interrupt(folder, arguments.kills, seconds)
        compare(folder)
        if arguments.processes > 1:
            train_together(folder, arguments.processes)


def command(folder: Path, run: str, *more: str) -> list[str]:
    """The command line of a training run."""
    words = ["train", str(folder / "data"), "--out", str(folder / run), "--epochs", str(EPOCHS), "--dropout", "0.3"]
    return [sys.executable, "-m", "unetscope", *words, *more]


def interrupt(folder: Path, kills: int, seconds: float) -> None:
    """Kill the run at random moments, then let it finish."""
    rng = random.Random(0)
    for number in range(kills):
        process = subprocess.Popen(
            command(folder, "killed", "--resume"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(rng.uniform(0.2, 2.2 * seconds / kills + 3))
        process.kill()
        process.wait()
        print(f"kill {number + 1}: {describe(folder / 'killed')}", flush=True)
    subprocess.run(command(folder, "killed", "--resume"), check=True, capture_output=True)


def describe(run: Path) -> str:
    """Where a run was left."""
    state = run / "last" / "state.json"
    return f"left at step {json.loads(state.read_text())['step']}" if state.exists() else "left before its first state"


def compare(folder: Path) -> None:
    """Weights of the best and of the last epoch."""
    for pattern in ("model.safetensors", "last/state-*.safetensors"):
        whole, killed = (load_file(next((folder / run).glob(pattern))) for run in ("whole", "killed"))
        equal = whole.keys() == killed.keys() and all((whole[key] == killed[key]).all() for key in whole)
        print(f"{pattern}: {len(whole)} tensors {'equal bit for bit' if equal else 'DIFFER'}")
        if not equal:
            sys.exit(1)


def train_together(folder: Path, processes: int) -> None:
    """The same run by several processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    subprocess.run([*launcher, *command(folder, "together")[1:]], check=True, capture_output=True)
    print(f"{processes} processes: validation Dice {best_dice(folder / 'together'):.4f}")


def best_dice(run: Path) -> float:
    """Validation Dice of the best epoch."""
    return float(json.loads((run / "checkpoint.json").read_text())["provenance"]["validation"]["dice"])


if __name__ == "__main__":
    main()
