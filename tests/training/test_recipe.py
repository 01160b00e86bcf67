"""Every setting is refused outside of its range, and a recipe survives being written."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetscope.errors import RecipeError
from unetscope.model.spec import PRESETS
from unetscope.training.recipe import RECIPES, Recipe

RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31),
    "epochs": (1, 10**6),
    "epoch_steps": (1, 10**6),
    "minutes": (0.01, 1e6),
    "batch": (1, 4096),
    "patch": (1, 10**5),
    "learning_rate": (0, 100),
    "momentum": (0, 0.9999),
    "weight_decay": (0, 10),
    "warmup": (0, 10**6),
    "clip": (0, 1e9),
    "cross_entropy": (0, 1e6),
    "dice": (0, 1e6),
    "border": (0, 1e6),
    "border_reach": (0.1, 1000),
    "foreground": (0, 1),
    "flip": (0, 1),
    "rotation": (0, 180),
    "scaling": (1, 4),
    "elastic": (0, 1000),
    "intensity": (0, 1),
    "validation": (0, 0.9),
    "test": (0, 0.9),
    "patience": (0, 10**6),
}
CHOICES = {
    "optimizer": ("adamw", "sgd"),
    "schedule": ("cosine", "constant"),
    "normalization": ("auto", "range", "dataset", "image", "window"),
    "spacing": ("median", "stored"),
    "precision": ("auto", "bfloat16", "float32"),
}


def test_every_setting_is_checked() -> None:
    assert {entry.name for entry in fields(Recipe)} == {*RANGES, *CHOICES, "class_weights"}


@pytest.mark.parametrize("name", RANGES)
def test_the_ends_of_a_range_are_inside_and_what_lies_beyond_is_refused(name: str) -> None:
    low, high = RANGES[name]
    for inside in (low, high):
        assert getattr(Recipe(**{name: inside}), name) == inside
    for outside in (low - 1, high + 1, float("nan"), "many"):
        with pytest.raises(RecipeError) as caught:
            Recipe(**{name: outside})
        assert str(caught.value).startswith(f"{name} is {outside};")
        assert f"number from {low:g} to {high:g}" in str(caught.value)


@pytest.mark.parametrize("name", ["seed", "epochs", "epoch_steps", "batch", "patch", "warmup", "patience"])
def test_what_is_counted_is_whole(name: str) -> None:
    with pytest.raises(RecipeError, match=rf"^{name} is 2\.5; use a whole number"):
        Recipe(**{name: 2.5})


@pytest.mark.parametrize("name", ["epochs", "batch", "learning_rate", "scaling"])
def test_only_optional_settings_may_be_left_open(name: str) -> None:
    assert Recipe(epoch_steps=None, minutes=None, patch=None, rotation=None, elastic=None) == Recipe()
    with pytest.raises(RecipeError, match=f"^{name} is None"):
        Recipe(**{name: None})


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_is_one_of_those_named(name: str) -> None:
    for choice in CHOICES[name]:
        assert getattr(Recipe(**{name: choice}), name) == choice
    with pytest.raises(RecipeError) as caught:
        Recipe(**{name: "other"})
    assert str(caught.value) == f"{name} is 'other'; use one of {', '.join(CHOICES[name])}"


def test_some_loss_is_needed() -> None:
    Recipe(cross_entropy=0)
    Recipe(dice=0)
    with pytest.raises(RecipeError, match="cross_entropy and dice are both 0"):
        Recipe(cross_entropy=0, dice=0)


@pytest.mark.parametrize("weights", [(1.0, -1.0), (1.0, float("inf")), (float("nan"), 1.0)])
def test_class_weights_are_not_negative_and_finite(weights: tuple[float, ...]) -> None:
    with pytest.raises(RecipeError, match=r"^class_weights are"):
        Recipe(class_weights=weights)


SETTINGS = {
    "seed": st.integers(0, 2**31),
    "minutes": st.none() | st.floats(0.01, 1e6),
    "learning_rate": st.floats(0, 100),
    "class_weights": st.none() | st.lists(st.floats(0, 10), min_size=2, max_size=4).map(tuple),
    "rotation": st.none() | st.floats(0, 180),
    **{name: st.sampled_from(choices) for name, choices in CHOICES.items()},
}


@settings(deadline=None)
@given(st.fixed_dictionaries({}, optional=SETTINGS))
def test_what_is_written_is_read_back(changes: dict[str, Any]) -> None:
    recipe = Recipe(**changes)
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_unknown_settings_are_named() -> None:
    with pytest.raises(RecipeError, match="no setting 'speed'; use one of seed, epochs"):
        Recipe.from_json({"speed": 3})


def test_every_network_preset_has_a_recipe() -> None:
    assert set(RECIPES) == set(PRESETS)
    for name in RECIPES:
        assert Recipe.preset(name).to_json() == {**Recipe().to_json(), **RECIPES[name]}
        assert Recipe.preset(name, epochs=3).epochs == 3
    with pytest.raises(RecipeError, match="no recipe 'vgg'; use one of default"):
        Recipe.preset("vgg")
    with pytest.raises(RecipeError, match="no setting 'speed'"):
        Recipe.preset("default", speed=3)


def test_the_published_recipe() -> None:
    recipe = Recipe.preset("ronneberger2015")
    assert (recipe.optimizer, recipe.momentum, recipe.batch, recipe.dice) == ("sgd", 0.99, 1, 0)
