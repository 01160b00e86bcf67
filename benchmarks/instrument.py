"""The profile of a run, or of several of one design, as Markdown: floors, layers with their controls, gates, words.

    python benchmarks/instrument.py RUN_OR_FOLDER DATASET [--effort brief] [--paper] [--json FILE]

With --paper the published estimate of every layer stands beside its usable bits, trained, untrained and with shuffled
labels; hollow points mark what is saturated or no larger than with shuffled labels. What --json keeps is printed again
at once as long as networks, data and settings are the same.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from measuring import collect_versions, format_table
from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.files import write_json
from unetscope.information.ensembles import find_runs, profile_runs
from unetscope.information.profile import Profile
from unetscope.information.profile_text import format_quantity, order_gates, tabulate_gates, tabulate_layers
from unetscope.information.profiling import ProfileSettings
from unetscope.information.published.estimates import Estimate, PaperLayer
from unetscope.information.published.paper import PaperProfile, PaperSettings, profile_as_published
from unetscope.information.sentences import describe
from unetscope.wiring import IMAGE

SHARED_COLUMNS = ("gate", "together", "I(S) + I(U) - I(S,U)", "told alike", "only by skip", "only by up")
FULL, HOLLOW = "\u25cf", "\u25cb"
PAPER_COLUMNS = (
    "layer",
    "usable, bits per pixel",
    "I(X;M)",
    "I(X;M) untrained",
    "I(M;Y)",
    "I(M;Y) untrained",
    "I(M;Y) shuffled",
)


def main() -> None:
    """Profile what is not profiled yet, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run folder, or one that holds several of one design")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--effort", choices=["brief", "default", "thorough"], default="default")
    parser.add_argument("--role", choices=["profile", "test", "train", "all"], default="profile")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--paper", action="store_true", help="with the published estimate of every run beside it")
    parser.add_argument("--threads", type=int, help="threads to compute with; all cores if not given")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    dataset = Dataset.open(arguments.dataset)
    found, papers = measure(arguments, dataset)
    print_profile(found)
    for name, paper in papers.items():
        print_paper(name, found, paper)


def measure(arguments: argparse.Namespace, dataset: Dataset) -> tuple[Profile, dict[str, PaperProfile]]:
    """The profile, and if asked for, the published one of every run."""
    runs = {str(run): Checkpoint.load(run) for run in find_runs(arguments.run)}
    chosen = {name: getattr(arguments, name) for name in ("effort", "role", "seed")}
    facts = {
        "weights": {name: checkpoint.digest() for name, checkpoint in runs.items()},
        "data": dataset.digest(),
        "settings": chosen,
    }
    keep = Keeper(arguments.json, facts)
    settings = ProfileSettings(**chosen)
    found = keep.make("profile", Profile, lambda: profile_runs(arguments.run, dataset, settings, tell))
    paper = PaperSettings(role=arguments.role, seed=arguments.seed)
    papers = {
        name: keep.make(f"published {name}", PaperProfile, partial(profile_as_published, checkpoint, dataset, paper))
        for name, checkpoint in (runs.items() if arguments.paper else ())
    }
    return found, papers


class Keeper:
    """Results that are kept in a file as soon as they are there, and found there again under the same circumstances.

    Args:
        file: Where; nothing is kept if None.
        facts: The circumstances.
    """

    def __init__(self, file: Path | None, facts: Mapping[str, Any]) -> None:
        self.file, self.facts = file, json.loads(json.dumps(facts))

    def make(self, name: str, kind: type[Any], measure: Callable[[], Any]) -> Any:
        """The result of that name, measured if it is not kept.

        Args:
            name: What it is called in the file.
            kind: Its class, which has `to_json` and `from_json`.
            measure: Makes it.
        """
        known = self._read()
        if name in known:
            return kind.from_json(known[name])
        made = measure()
        if self.file:
            write_json(self.file, {"versions": collect_versions(), "facts": self.facts, **known, name: made.to_json()})
        return made

    def _read(self) -> dict[str, Any]:
        """What is kept, less versions and facts; nothing that was measured under other circumstances."""
        if self.file is None or not self.file.exists():
            return {}
        content = json.loads(self.file.read_text(encoding="utf-8"))
        return {} if content.pop("facts", None) != self.facts else {k: v for k, v in content.items() if k != "versions"}


def tell(step: int, steps: int, text: str) -> None:
    """One line a step."""
    print(f"  {step} of {steps}: {text}", flush=True)


def print_profile(found: Profile) -> None:
    """A profile as tables and sentences."""
    print(f"\n## {found.name}: {len(found.images)} images, {found.networks} network(s), bits per pixel +- 95 %\n")
    floors = {"H0": found.prior, **found.floors}
    print(format_table(["without a network", "bits"], [[name, format_quantity(each)] for name, each in floors.items()]))
    layers, gates = tabulate_layers(found), tabulate_gates(found)
    print("\n" + format_table(layers.columns, layers.rows))
    if found.gates:
        print("\n" + format_table(gates.columns, gates.rows))
        print("\n" + format_table(SHARED_COLUMNS, format_shared(found)))
    print("\n" + "\n".join(f"- {sentence}" for sentence in describe(found)), flush=True)


def format_shared(found: Profile) -> list[tuple[str, ...]]:
    """What the parts of every gate tell alike and apart, as bounds."""
    return [
        (
            gate.join,
            format_quantity(gate.together["linear"]),
            format_quantity(gate.shared()),
            *(format_bounds(*bounds) for bounds in (gate.redundancy(), gate.unique("skip"), gate.unique("up"))),
        )
        for gate in order_gates(found)
    ]


def format_bounds(low: float, high: float) -> str:
    """What a share lies between; estimates of the two ends may cross where they are within each other's error.

    Example:
        >>> format_bounds(0.0, 0.25), format_bounds(0.02, 0.01)
        ('0.000 to 0.250', 'cannot tell')
    """
    return f"{low:.3f} to {high:.3f}" if low <= high else "cannot tell"


def print_paper(name: str, found: Profile, paper: PaperProfile) -> None:
    """The published estimates of one run beside the usable bits."""
    ceilings = f"{paper.input_ceiling:.2f} for I(X;M) and {paper.label_ceiling:.2f} for I(M;Y)"
    print(f"\n## The published estimate of {name}, bits, {len(paper.images)} images\n")
    print(f"At most {ceilings}; {HOLLOW} is saturated, or no larger than with shuffled labels.\n")
    print(format_table(PAPER_COLUMNS, [format_paper(found, layer) for layer in paper.layers]))
    print(f"\n{paper.verdict}", flush=True)


def format_paper(found: Profile, layer: PaperLayer) -> tuple[str, ...]:
    """One layer as a row below `PAPER_COLUMNS`."""
    usable = "-" if layer.layer == IMAGE else format_quantity(found.layer(layer.layer).linear)
    trained, untrained, shuffled = layer.trained, layer.untrained, layer.shuffled
    return (
        layer.layer,
        usable,
        *(mark(each.input.upper, not each.saturated) for each in (trained, untrained)),
        mark(trained.label.published, layer.is_readable),
        mark_label(untrained),
        f"{shuffled.mean:.2f}+-{shuffled.spread:.2f}",
    )


def mark_label(estimate: Estimate) -> str:
    """I(M;Y) of a network for which labels were not shuffled."""
    return mark(estimate.label.published, not estimate.saturated)


def mark(value: float, is_readable: bool) -> str:
    """A number with a point that is hollow where it says nothing.

    Example:
        >>> mark(1.5, False)
        '1.50 \u25cb'
    """
    return f"{value:.2f} {FULL if is_readable else HOLLOW}"


if __name__ == "__main__":
    main()
