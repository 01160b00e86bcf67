"""A plan keeps what it says, comes back from its file, and names the line of whatever cannot be."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from displayed import read_html
from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.errors import SlimError
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.slimming.plan import Decision, SlimPlan

SPECS: Mapping[str, UNetSpec] = {
    "plain": UNetSpec.by_level((3, 4, 5, 6)),
    "strided": UNetSpec.by_level((3, 4, 5), down="strided", convolutions=1, norm="batch"),
    "unpooled": UNetSpec.by_level((3, 4, 5), up="unpool"),
    "volumes": UNetSpec.by_level((2, 3, 4), ndim=3, strides=((1, 2, 2), (2, 2, 2)), up="linear"),
    "strides": UNetSpec.by_level((2, 3, 4), strides=((3, 2), (1, 4)), padded=False),
    "few skips": UNetSpec.by_level((2, 3, 4, 5), skips=(0, 2), up="subpixel", dropout=0.5),
    "depth 0": UNetSpec.by_level((4,)),
}
DECISION = Decision("depth", 3, 2, "ok", {"bits": 0.0, "lost_dice": None}, "everything below level 2 can be cut off")
EXAMPLE = SlimPlan.keep_all(SPECS["plain"], "0123").with_changes(
    depth=2, skips=(0, 1), decisions=(DECISION,), summary=("a line",), rule={"name": "by hand"}
)
COST = {"before": {"parameters": 5000, "multiply_adds": 41.25}, "after": {"parameters": 12, "multiply_adds": 8.0}}

quick = settings(deadline=None, max_examples=30)


def tie(spec: UNetSpec, widths: Mapping[str, int]) -> dict[str, int]:
    """What unpools is as wide as what was pooled."""
    return {layer: widths[spec.placed_by(layer) or layer] for layer in widths}


@st.composite
def plans(draw: Any) -> SlimPlan:
    spec = SPECS[draw(st.sampled_from(sorted(SPECS)))]
    spec = spec.with_widths(tie(spec, {layer: draw(st.integers(1, 6)) for layer in spec.widths}))
    return SlimPlan(
        origin=spec,
        weights=draw(st.text(max_size=8)),
        depth=draw(st.integers(0, spec.depth)),
        skips=tuple(level for level in spec.skip_levels if draw(st.booleans())),
        widths=tie(spec, {layer: draw(st.integers(1, width)) for layer, width in spec.widths.items()}),
        order={layer: tuple(draw(st.permutations(range(width)))) for layer, width in spec.widths.items()},
        decisions=(DECISION,) * draw(st.integers(0, 2)),
        summary=tuple(draw(st.lists(st.text(max_size=9), max_size=2))),
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans") / "plan.json"


# --- what a notebook shows ---------------------------------------------------------------------------------------


def test_a_notebook_shows_decisions_costs_and_the_summary() -> None:
    kept = replace(DECISION, subject="encoder.0.conv1", before=3, after=3)
    narrowed = replace(kept, after=2, words="<b>2</b> are enough")
    plan = replace(EXAMPLE, decisions=(DECISION, kept, narrowed), cost=COST)
    decisions, costs, *sentences = read_html(plan._repr_html_())
    assert decisions.rows == tuple((each.subject, "3", "2", "ok", each.words) for each in (DECISION, narrowed)), (
        "a layer that stays as it is has no row"
    )
    assert costs.rows == (("parameters", "5,000", "12"), ("multiply-adds per pixel", "41.25", "8"))
    assert sentences == ["a line"]


def test_a_notebook_shows_a_plan_by_hand_as_a_network() -> None:
    plan = SlimPlan.keep_all(SPECS["plain"], "0").with_changes(depth=2, skips=(1,))
    assert read_html(plan._repr_html_()) == [
        "widths 3-4-5 instead of 3-4-5-6, 2 instead of 3 poolings, without the skips of levels 0"
    ]


# --- what a plan keeps -------------------------------------------------------------------------------------------


@quick
@given(plan=plans())
def test_a_layer_keeps_the_channels_most_worth_keeping(plan: SlimPlan) -> None:
    for layer, width in plan.spec.widths.items():
        kept, source = plan.kept(layer), plan.source_of(layer)
        assert width == plan.widths[source] == len(kept)
        placing = plan.origin.placed_by(source) or source
        assert set(kept) == set(plan.order[placing][:width])
        assert list(kept) == sorted(kept)
    for layer in ("image", "head"):
        assert plan.kept(layer) == tuple(range(plan.spec.width(layer)))


@quick
@given(plan=plans())
def test_what_unpools_keeps_the_channels_whose_maxima_place_it(plan: SlimPlan) -> None:
    for layer in plan.spec.widths:
        placing = plan.spec.placed_by(layer)
        assert placing is None or plan.kept(layer) == plan.kept(placing)


@pytest.mark.parametrize(("name", "depth"), [(name, depth) for name in SPECS for depth in range(SPECS[name].depth + 1)])
def test_a_cut_network_is_the_one_that_would_be_built_by_hand(name: str, depth: int) -> None:
    origin = SPECS[name]
    rest = {key: getattr(origin, key) for key in ("ndim", "convolutions", "padded", "norm", "down", "up", "dropout")}
    by_hand = UNetSpec.by_level(
        origin.level_widths[: depth + 1],
        skips=tuple(level for level in origin.skip_levels if level < depth),
        strides=origin.level_strides[:depth],
        **rest,
    )
    plan = SlimPlan.keep_all(origin, "").with_changes(depth=depth)
    assert plan.spec == by_hand
    for layer in by_hand.widths:
        cut = depth < origin.depth and layer.startswith("bottleneck")
        assert plan.source_of(layer) == (f"encoder.{depth}.{layer.split('.')[1]}" if cut else layer)
        assert origin.level(plan.source_of(layer)) == by_hand.level(layer)


def test_the_plan_that_keeps_all_is_the_network_itself() -> None:
    for spec in SPECS.values():
        plan = SlimPlan.keep_all(spec, "")
        assert plan.spec == spec
        assert all(plan.kept(layer) == tuple(range(spec.width(layer))) for layer in spec.wiring.layers)


def test_layers_below_a_cut_need_no_widths() -> None:
    plan = SlimPlan.keep_all(SPECS["plain"], "")
    spec = plan.with_changes(depth=1).spec
    needed = {plan.with_changes(depth=1).source_of(layer) for layer in spec.widths}
    fewer = plan.with_changes(depth=1, widths={layer: plan.widths[layer] for layer in needed})
    assert fewer.spec == spec
    with pytest.raises(SlimError, match="widths has no"):
        fewer.with_changes(depth=2)


def test_other_decisions_leave_nothing_said_about_the_former() -> None:
    plan = replace(EXAMPLE, cost={"before": {"parameters": 9.0}}, summary=("9 parameters",))
    changed = plan.with_changes(depth=1)
    assert (changed.cost, changed.summary) == ({}, ())
    assert changed.digest() != plan.digest()


@quick
@given(plan=plans(), other=plans())
def test_digests_tell_what_is_decided_and_not_why(plan: SlimPlan, other: SlimPlan) -> None:
    assert plan.digest() == replace(plan, decisions=(), summary=("x",), rule={"name": "x"}, target={"x": 1}).digest()
    names = ("origin", "weights", "depth", "skips", "widths", "order")
    same = all(getattr(plan, name) == getattr(other, name) for name in names)
    assert (plan.digest() == other.digest()) == same


@pytest.mark.parametrize("change", ["weights", "spec"])
def test_a_plan_of_another_network_does_not_fit(change: str) -> None:
    spec = UNetSpec.by_level((2, 3))
    checkpoint = Checkpoint(spec, UNet(spec).state_dict(), Normalization("image"), ("background", "cell"))
    plan = SlimPlan.keep_all(spec, checkpoint.digest())
    plan.check_fits(checkpoint)
    other = replace(plan, weights="f" * 64) if change == "weights" else SlimPlan.keep_all(SPECS["plain"], plan.weights)
    with pytest.raises(SlimError, match=r"the plan is for another network .* propose one for this run"):
        other.check_fits(checkpoint)


# --- files -------------------------------------------------------------------------------------------------------


@quick
@given(plan=plans())
def test_a_file_gives_the_same_plan(plan: SlimPlan, file: Path) -> None:
    plan.save(file)
    again = SlimPlan.load(file)
    assert again == plan
    assert (again.spec, again.digest()) == (plan.spec, plan.digest())


def test_a_file_begins_with_what_decides_and_may_carry_the_mark_of_an_editor(file: Path) -> None:
    EXAMPLE.save(file)
    assert list(json.loads(file.read_text()))[:4] == ["format", "depth", "skips", "widths"]
    file.write_text(file.read_text(), encoding="utf-8-sig")
    assert SlimPlan.load(file) == EXAMPLE


def test_a_file_may_say_less_of_why(file: Path) -> None:
    content = EXAMPLE.to_json()
    for name in ("summary", "cost", "decisions", "target", "rule"):
        del content[name]
    file.write_text(json.dumps(content))
    assert SlimPlan.load(file).digest() == EXAMPLE.digest()


Edit = tuple[tuple[Any, ...], Any]
LAYERS = ("encoder.0.conv1", "encoder.2.conv2", "encoder.3.conv1", "decoder.0.up", "bottleneck.conv2")
EDITS: list[Edit] = [
    *((("depth",), value) for value in (-1, 4, 1.0, True, "1", None, [1], {"depth": 1}, 10**30)),
    *((("skips",), value) for value in (None, 0, "0", {"0": 1}, True)),
    *((("skips", at), value) for at in (0, 1) for value in (-1, 3, 7, 0.0, True, "0", None, [0], {"a": [1]})),
    *((("widths",), value) for value in (None, 3, [3], "3")),
    *((("widths", layer), value) for layer in LAYERS[:2] for value in (0, -1, 99, 2.0, True, "2", None, [2], {})),
    *((("widths", name), 1) for name in ("head", "encoder.9.conv1", "depth", "", 'a "word"\\')),
    *((("order",), value) for value in (None, 0, [], "0 1 2")),
    *((("order", layer), value) for layer in LAYERS[3:] for value in ("", "0", "0 0 1", "a b c", [0, 1, 2], 5, None)),
    (("order", "head"), "0 1"),
    *((("format",), value) for value in (0, 2, "1", None, [1])),
    *((("network",), value) for value in (None, 1, [], {}, {"weights": "0"}, {"spec": {}}, {"spec": 1, "weights": ""})),
    *((("network", "spec"), value) for value in (None, [], {}, {"widths": 1}, {"widths": {}}, {"widths": [], "x": 1})),
    *((("decisions",), value) for value in (None, 0, "", {})),
    *((("decisions", 0), value) for value in (None, 0, "depth", [], {}, {"subject": "depth"}, {"words": "?"})),
    *((("decisions", 0, "words"), value) for value in (None, 0, ["a"])),
    *((("decisions", 0, "before"), value) for value in (None, "3", 2.5)),
    *((("summary",), value) for value in (None, 0, "words", {})),
    *((("summary", 0), value) for value in (None, 0, ["a"])),
    *((("cost",), value) for value in ({"before": {}}, {"before": 1, "after": 1}, {"before": {}, "after": {"?": 1}})),
    *((("cost",), {"before": {"parameters": value}, "after": {"parameters": 1}}) for value in (None, "1", [1])),
    *(((name,), value) for name in ("cost", "target", "rule") for value in (None, 0, "words", [])),
    *(((name,), 1) for name in ("words", "spec", "convolutions", "subject", "0", "what")),
]  # fmt: skip

MARK = "__here__"


def write_edited(file: Path, place: tuple[Any, ...], value: Any, indent: int | None, backwards: bool) -> int:
    """Write the example with one entry changed; returns the line in which the change stands."""
    content: Any = EXAMPLE.to_json()
    content = dict(reversed(content.items())) if backwards else content
    entry = content
    for key in place[:-1]:
        entry = entry[key]
    entry[place[-1]] = MARK
    text = json.dumps(content, indent=indent)
    file.write_text(text.replace(f'"{MARK}"', json.dumps(value)))
    return text[: text.index(MARK)].count("\n") + 1


@pytest.mark.parametrize(("place", "value"), EDITS, ids=str)
def test_a_mistake_is_refused_with_its_line(file: Path, place: tuple[Any, ...], value: Any) -> None:
    for indent, backwards in ((2, False), (0, True), (None, False)):
        line = write_edited(file, place, value, indent, backwards)
        with pytest.raises(SlimError) as refused:
            SlimPlan.load(file)
        said = str(refused.value)
        assert said.startswith(f"{file}, line {line}: "), said
        assert said.count("\n") == 0


def test_widths_that_unpooling_ties_are_refused_with_their_line(file: Path) -> None:
    SlimPlan.keep_all(SPECS["unpooled"], "").save(file)
    lines = file.read_text().splitlines()
    number = next(number for number, line in enumerate(lines) if '"decoder.1.up"' in line)
    lines[number] = lines[number].replace("4", "2")
    file.write_text("\n".join(lines))
    with pytest.raises(SlimError, match=rf"line {number + 1}: decoder.1.up is 2 wide .* 4; give both the same width"):
        SlimPlan.load(file)


def test_a_missing_width_is_named(file: Path) -> None:
    content = EXAMPLE.to_json()
    del content["widths"]["encoder.1.conv2"]
    file.write_text(json.dumps(content, indent=2))
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if '"widths"' in text)
    with pytest.raises(SlimError, match=rf"line {line}: widths has no encoder.1.conv2; give it from 1 to 4"):
        SlimPlan.load(file)


@pytest.mark.parametrize("name", ["depth", "skips", "widths", "network", "order", "format"])
def test_a_missing_entry_is_named(file: Path, name: str) -> None:
    content = EXAMPLE.to_json()
    del content[name]
    file.write_text(json.dumps(content))
    with pytest.raises(SlimError, match=f"line 1: .*{name}"):
        SlimPlan.load(file)


def test_of_two_entries_of_one_name_the_last_counts(file: Path) -> None:
    EXAMPLE.save(file)
    lines = file.read_text().splitlines()
    lines[-2:-1] = [lines[-2] + ",", '  "depth": 77']
    file.write_text("\n".join(lines))
    with pytest.raises(SlimError, match=f"line {len(lines) - 1}: depth is 77"):
        SlimPlan.load(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: no JSON"),
        ("{\n\n nonsense", "line 3: no JSON"),
        ('{"format": 1,\n "depth": 2,,\n}', "line 2: no JSON"),
        ("[" * 100_000, "cannot be read as a plan"),
        ('{"format": NaN}', "cannot be read as a plan .*NaN is no number"),
        ('{"format": ' + "9" * 5000 + "}", "cannot be read as a plan"),
        ("[]", "line 1: a plan of format 1 was needed"),
        ("null", "line 1: a plan of format 1 was needed"),
    ],
    ids=["empty", "cut off", "two commas", "deep", "nan", "long", "list", "null"],
)
def test_what_is_no_plan_at_all_is_refused(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(SlimError, match=f"{re.escape(str(file))}.*{said}"):
        SlimPlan.load(file)


def test_what_cannot_be_read_is_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    for path in (file, file.parent, file.parent / "none.json"):
        with pytest.raises(SlimError, match="cannot be read"):
            SlimPlan.load(path)


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def list_places(content: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where all entries of plain values stand."""
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [place for key, inner in entries for place in ((*at, key), *list_places(inner, (*at, key)))]


@settings(deadline=None, max_examples=100)
@given(data=st.data(), value=junk)
def test_junk_anywhere_gives_a_plan_that_works_or_a_refusal(data: Any, value: Any, file: Path) -> None:
    content: Any = EXAMPLE.to_json()
    place = data.draw(st.sampled_from(list_places(content)))
    entry = content
    for key in place[:-1]:
        entry = entry[key]
    entry[place[-1]] = value
    file.write_text(json.dumps(content, indent=2))
    try:
        plan = SlimPlan.load(file)
    except SlimError as error:
        assert re.match(rf"{re.escape(str(file))}, line \d+: ", str(error))
    else:
        plan.save(file)
        assert SlimPlan.load(file) == plan
        assert read_html(plan._repr_html_())
        assert all(len(plan.kept(layer)) == width for layer, width in plan.spec.widths.items())


@settings(deadline=None, max_examples=100)
@given(at=st.floats(0, 1), length=st.integers(0, 40), text=st.text(max_size=3))
def test_damaged_text_gives_a_plan_or_a_refusal(at: float, length: int, text: str, file: Path) -> None:
    EXAMPLE.save(file)
    whole = file.read_text()
    start = int(at * len(whole))
    file.write_text(whole[:start] + text + whole[start + length :])
    try:
        SlimPlan.load(file)
    except SlimError as error:
        assert str(file) in str(error)
