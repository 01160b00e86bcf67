"""How the default network was chosen: candidates trained alike on nuclei at native resolution, judged by validation.

    python benchmarks/default.py --data ../shared/data/dsb2018 [--json FILE]

The test images are not looked at. Runs are kept in --work and continued where they were stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from dsb2018 import NATIVE, print_epoch, run_name
from unetscope.checkpoint import record_versions
from unetscope.data.dataset import Dataset
from unetscope.model.cost import count_cost, count_parameters
from unetscope.model.spec import UNetSpec
from unetscope.training.loop import train

CANDIDATES = ((16, 32, 64, 64, 64), (16, 16, 16, 16, 16), (16, 32, 64))
SIZE = 256


def main() -> None:
    """Train every candidate once and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dsb2018"))
    parser.add_argument("--work", type=Path, default=Path("runs/dsb2018"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    dataset = Dataset.open(arguments.data)
    rows = []
    for widths in CANDIDATES:
        spec = UNetSpec.preset("default", widths=widths, image_channels=dataset.channels, classes=len(dataset.classes))
        out = arguments.work / run_name("native", spec, 0)
        print(f"{widths}: {out}", flush=True)
        checkpoint = train(dataset, out, spec, NATIVE, resume="exactly", on_epoch=print_epoch)
        history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
        rows.append(
            {
                "widths": widths,
                "parameters": count_parameters(spec),
                "multiply_adds": count_cost(spec, (SIZE, SIZE)).multiply_adds,
                "validation_dice": checkpoint.provenance["validation"]["dice"],
                "epoch_seconds": statistics.median(line["seconds"] for line in history),
            }
        )
    print(f"\n| widths | parameters | M multiply-adds at {SIZE}x{SIZE} | validation Dice | s per epoch |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {'-'.join(map(str, row['widths']))} | {row['parameters']:,} | {row['multiply_adds'] / 1e6:.0f} | "
            f"{row['validation_dice']:.4f} | {row['epoch_seconds']:.1f} |"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps({"versions": record_versions(), "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
