"""A frozen rule stays what it was: its file is never changed, and a changed file is no rule."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetscope.errors import SlimError
from unetscope.slimming.rules import Rule, latest_rule, list_rules

RULE = Rule("by both, narrow", "2026-01-31", depth_by="both", per_direction=1.5, narrowest=2)


@pytest.mark.parametrize("rule", [RULE, Rule("plain", "2025-12-01"), replace(RULE, widths_by="worth", per_direction=2)])
def test_a_frozen_rule_comes_back(rule: Rule, tmp_path: Path) -> None:
    path = rule.freeze(tmp_path)
    assert path.name.startswith(rule.written)
    assert Rule.load(path) == rule
    assert Rule.load(path).digest() == rule.digest() == rule.describe()["sha256"]
    before = path.read_bytes()
    assert rule.freeze(tmp_path) == path
    assert path.read_bytes() == before


def test_another_rule_of_the_same_name_is_refused(tmp_path: Path) -> None:
    path = RULE.freeze(tmp_path)
    before = path.read_bytes()
    with pytest.raises(SlimError, match="holds another rule; a frozen rule is not changed"):
        replace(RULE, narrowest=3).freeze(tmp_path)
    assert path.read_bytes() == before
    assert replace(RULE, written="2026-02-01", narrowest=3).freeze(tmp_path) != path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "other"),
        ("written", "2026-02-01"),
        ("depth_by", "bits"),
        ("skips_by", "either"),
        ("widths_by", "keep"),
        ("per_direction", 1.6),
        ("narrowest", 3),
    ],
)
def test_whatever_is_changed_after_freezing_is_refused(tmp_path: Path, name: str, value: object) -> None:
    path = RULE.freeze(tmp_path)
    content = json.loads(path.read_text())
    assert content["rule"][name] != value
    content["rule"][name] = value
    path.write_text(json.dumps(content))
    with pytest.raises(SlimError, match="was changed after it was frozen"):
        Rule.load(path)


JUNK: list[Any] = [
    None, [], 5, "rule", {}, {"rule": 1}, {"rule": {}}, {"rule": {"name": "x"}}, {"rule": {"name": "x", "other": 1}},
    {"rule": {"name": "x", "written": 5}}, {"rule": {"name": 5, "written": "2026-01-31"}},
    {"rule": {"name": "x", "written": "2026-01-31", "per_direction": "wide"}},
    {"rule": {"name": "x", "written": "2026-01-31", "depth_by": []}},
    {"rule": {"name": "x", "written": "2026-01-31"}},
]  # fmt: skip


@pytest.mark.parametrize("content", JUNK, ids=str)
def test_what_is_no_rule_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "rule.json"
    path.write_text(json.dumps(content))
    with pytest.raises(SlimError):
        Rule.load(path)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("{")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name in ("text", "bytes", "none", "."):
        with pytest.raises(SlimError, match="cannot be read as a rule"):
            Rule.load(tmp_path / name)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"depth_by": "luck"}, "depth_by of a rule is 'luck'; use one of bits, ablation"),
        ({"skips_by": None}, "skips_by of a rule is None"),
        ({"widths_by": "bits"}, "use one of rank, components, worth, keep"),
        *(({"per_direction": value}, "per_direction of a rule is") for value in (0, -1.0, nan, inf)),
        *(({"narrowest": value}, "narrowest of a rule is") for value in (0, -3, 1.5, nan)),
        *(({"name": value}, "a rule is called") for value in ("", " ", "../up", "a/b", "a\\b", "a\nb")),
        *(({"written": value}, "a rule is dated") for value in ("", "today", "2026-02-30", "20260131", "2026-W05-6")),
    ],
    ids=str,
)
def test_values_out_of_range_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SlimError, match=said):
        replace(RULE, **changes)


@given(st.floats(0, 300), st.floats(0.1, 4), st.integers(1, 12), st.integers(1, 256))
def test_channels_follow_directions_within_what_there_is(
    directions: float, factor: float, narrowest: int, width: int
) -> None:
    rule = replace(RULE, per_direction=factor, narrowest=narrowest)
    kept = rule.count_channels(directions, of=width)
    assert 1 <= kept <= width
    assert kept >= min(width, narrowest)
    assert kept == width or kept >= directions * factor
    assert kept <= max(narrowest, directions * factor + 1)
    assert kept <= rule.count_channels(directions + 1, of=width)
    assert replace(rule, widths_by="keep").count_channels(directions, of=width) == width


def test_the_rules_that_come_with_the_package_are_frozen() -> None:
    rules = list_rules()
    assert latest_rule() == rules[-1]
    assert [rule.written for rule in rules] == sorted(rule.written for rule in rules)
    assert len({rule.name for rule in rules}) == len(rules)
