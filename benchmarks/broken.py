"""What becomes of broken datasets: each is built and trained on for one step, and the answers are printed as a table.

    python benchmarks/broken.py [--json FILE]

`tests/laws/test_broken_datasets.py` proves the same cases, and that repaired ones are read exactly as they were meant.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from broken_datasets import CASES, Case, NotHereError
from broken_datasets.attempts import Attempt, train


def main() -> None:
    """Build, train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = [{"dataset": case.title, **answer(case)} for case in CASES.values()]
    print("| dataset | what becomes of it | what the program says |")
    print("|---|---|---|")
    for row in rows:
        print("| " + " | ".join(cell.replace("|", r"\|").replace("\n", "<br>") for cell in row.values()) + " |")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2, ensure_ascii=False))


def answer(case: Case) -> dict[str, str]:
    """What becomes of a dataset and what the program says, with paths from the dataset's folder on."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        folder.mkdir()
        try:
            case.build(folder)
        except NotHereError as error:
            return {"outcome": "not built here", "says": str(error)}
        attempt = train(folder, Path(name) / "run", case.options)
        return {"outcome": name_outcome(attempt), "says": tell(attempt).replace(f"{name}/", "")}


def name_outcome(attempt: Attempt) -> str:
    """The end of a command in a word or two."""
    if attempt.code:
        return "refused" if attempt.code == 2 else f"exit code {attempt.code}"
    return "trained, with a warning" if attempt.warnings else "repaired"


def tell(attempt: Attempt) -> str:
    """The error, the warnings, or what the labels were taken for."""
    labels = (line for line in attempt.told.splitlines() if line.startswith("labels: "))
    return attempt.error or "\n".join(attempt.warnings) or next(labels, "")


if __name__ == "__main__":
    main()
