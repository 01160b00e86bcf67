"""Rules by which a profile becomes a plan, and their files: dated, with a digest, never changed; knows numbers only.

A rule is tuned on some images and then frozen: written into a file of its own, with its digest. What is reported of a
rule is what came out after that. A better rule is another file with another date.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from importlib.resources import files
from math import ceil
from pathlib import Path
from typing import Any, Literal, Self, get_args

from unetscope.errors import SlimError
from unetscope.files import write_json

Evidence = Literal["bits", "ablation", "either", "both", "keep"]
Measure = Literal["rank", "components", "worth", "keep"]

FROZEN = "unetscope.slimming.frozen"

_NAME = re.compile(r"\w[\w .,-]*")


@dataclass(frozen=True)
class Rule:
    """How evidence decides.

    Attributes:
        name: What it is called.
        written: Day on which it was frozen, as 2026-01-31.
        depth_by: What must say that an up path can go: its conditional bits (it is redundant), the Dice lost when it
            becomes its mean (the interval lies below what may be lost), either of them or both; with "keep" none goes.
        skips_by: The same of skips.
        widths_by: What the channels of a layer follow: the effective "rank" of its activations, the principal
            "components" that keep 99 % of its usable bits, the number of channels of which each is "worth" something
            given the others, or "keep".
        per_direction: Channels kept for each of these.
        narrowest: Channels that a layer keeps at least.

    Raises:
        SlimError: A number is out of range, or a word is unknown.

    Example:
        >>> Rule("widths by rank", "2026-01-31", per_direction=2.0).count_channels(2.3, of=16)
        5
    """

    name: str
    written: str
    depth_by: Evidence = "ablation"
    skips_by: Evidence = "both"
    widths_by: Measure = "rank"
    per_direction: float = 1.0
    narrowest: int = 4

    def __post_init__(self) -> None:
        choices = (("depth_by", Evidence), ("skips_by", Evidence), ("widths_by", Measure))
        for name, words in choices:
            if getattr(self, name) not in get_args(words):
                raise SlimError(f"{name} of a rule is {getattr(self, name)!r}; use one of {', '.join(get_args(words))}")
        if not 0 < self.per_direction < float("inf"):
            raise SlimError(f"per_direction of a rule is {self.per_direction}; use a number above 0")
        if not isinstance(self.narrowest, int) or self.narrowest < 1:
            raise SlimError(f"narrowest of a rule is {self.narrowest!r}; use a whole number of at least 1")
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise SlimError(f"a rule is called {self.name!r}; use words, of which its file takes its name")
        _check_date(self.written)

    def count_channels(self, directions: float, of: int) -> int:
        """Channels that a layer keeps.

        Args:
            directions: What its channels follow.
            of: Channels that it has.
        """
        if self.widths_by == "keep":
            return of
        return min(of, max(self.narrowest, ceil(directions * self.per_direction)))

    def digest(self) -> str:
        """SHA-256 of the rule."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def describe(self) -> dict[str, str]:
        """What a plan records of the rule that proposed it."""
        return {"name": self.name, "written": self.written, "sha256": self.digest()}

    def freeze(self, folder: Path) -> Path:
        """Write the rule into a file of its date and name.

        Returns:
            The file.

        Raises:
            SlimError: There is one already, of another rule.
            OutputError: It cannot be written.
        """
        path = folder / f"{self.written}-{self.name.replace(' ', '-')}.json"
        if path.exists() and Rule.load(path) != self:
            raise SlimError(f"{path} holds another rule; a frozen rule is not changed: give this one another name")
        write_json(path, {"rule": asdict(self), "sha256": self.digest()})
        return path

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a frozen rule.

        Raises:
            SlimError: The file cannot be read, or was changed after it was frozen.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise SlimError(
                f"{path} cannot be read as a rule ({error}); give a file that holds a frozen rule"
            ) from error
        return cls._from_json(content, str(path))

    @classmethod
    def _from_json(cls, content: Any, source: str) -> Self:
        entries = content.get("rule") if isinstance(content, Mapping) else None
        if not isinstance(entries, Mapping) or set(entries) - {entry.name for entry in fields(cls)}:
            raise SlimError(f"{source} holds no rule; give a file that holds a frozen one")
        try:
            rule = cls(**entries)
        except TypeError as error:
            raise SlimError(f"{source} holds no whole rule ({error}); give a file that holds a frozen one") from error
        if rule.digest() != content.get("sha256"):
            raise SlimError(
                f"{source} was changed after it was frozen (its digest is {rule.digest()[:12]}); restore it, or freeze "
                "the rule anew under another name"
            )
        return rule


def list_rules() -> tuple[Rule, ...]:
    """The frozen rules that come with the package, the oldest first.

    Example:
        >>> list_rules()[-1] == latest_rule()
        True
    """
    found = sorted((entry for entry in files(FROZEN).iterdir() if entry.name.endswith(".json")), key=lambda e: e.name)
    return tuple(Rule._from_json(json.loads(entry.read_text(encoding="utf-8")), entry.name) for entry in found)


def latest_rule() -> Rule:
    """The rule that counts: the last one that was frozen."""
    return list_rules()[-1]


def _check_date(text: str) -> None:
    message = f"a rule is dated {text!r}; use a day such as 2026-01-31"
    try:
        day = date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise SlimError(message) from error
    if day.isoformat() != text:  # files are sorted by it
        raise SlimError(message)
