"""Scores of many images carry their objects, their surfaces and an interval, and files keep all of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unetscope.errors import DataError
from unetscope.scores.objects import pool_objects, score_objects
from unetscope.scores.overlap import ClassScore, ImageScore, Scores, score_image
from unetscope.scores.power import interval
from unetscope.scores.surface import SurfaceScore, score_surfaces, summarize_surfaces

NAMES = ["background", "cell", "nucleus"]
OLD_KEYS = ["classes", "images", "dice", "iou", "pixel_error", "rand_error"]


def stacks():
    """Truths and predictions of several images for the same classes."""
    pair = hnp.arrays(np.int64, (2, 4, 5), elements=st.integers(0, 2))
    return st.lists(pair, min_size=1, max_size=4)


def score_all(stack):
    return Scores(tuple(score_image(*pair, NAMES, name=str(index)) for index, pair in enumerate(stack)))


def score_fully(stack):
    """Score objects and surfaces too, except those of the first image."""
    first, *others = score_all(stack).images
    compared = (
        replace(
            image,
            objects=score_objects(*pair, name=image.name),
            surfaces=score_surfaces(*pair, NAMES, (2.0, 0.5), 0.5),
        )
        for image, pair in zip(others, stack[1:], strict=True)
    )
    return Scores((first, *compared))


@settings(deadline=None, max_examples=30)
@given(stacks())
def test_json_gives_objects_and_surfaces_back(stack):
    scores = score_fully(stack)
    text = json.dumps(scores.to_json(), allow_nan=False)
    assert Scores.from_json(json.loads(text)) == scores
    assert Scores.from_json(json.loads(text)).to_json() == json.loads(text)


@settings(deadline=None, max_examples=30)
@given(stacks())
def test_objects_are_pooled_and_surfaces_summed_up_over_images_that_have_them(stack):
    scores = score_fully(stack)
    compared = scores.images[1:]
    if not compared:
        assert (scores.objects, scores.surfaces) == (None, ())
        return
    assert scores.objects == pool_objects(image.objects for image in compared)
    assert scores.surfaces == tuple(
        summarize_surfaces([image.surfaces[index] for image in compared]) for index in range(2)
    )


@settings(deadline=None, max_examples=30)
@given(stacks())
def test_json_written_before_there_were_objects_and_surfaces_is_read(stack):
    scores = score_all(stack)
    content = {key: value for key, value in scores.to_json().items() if key in OLD_KEYS}
    for image in content["images"]:
        del image["objects"], image["surfaces"]
    assert Scores.from_json(content) == scores


def test_interval_is_that_of_the_dice_of_images():
    scores = score_all(list(np.random.default_rng(0).integers(0, 3, (6, 2, 9, 9))))
    values = [image.dice for image in scores.images]
    assert scores.dice_interval == interval(values)
    assert scores.to_json()["dice_interval"] == list(scores.dice_interval)
    assert min(values) <= scores.dice_interval[0] < scores.dice < scores.dice_interval[1] <= max(values)
    assert Scores(scores.images[:1]).dice_interval is None


def test_surfaces_of_other_classes_are_refused():
    with pytest.raises(DataError, match=r"a\.tif: surfaces are scored for nucleus, but pixels for cell"):
        ImageScore("a.tif", (ClassScore("cell"),), None, None, surfaces=(SurfaceScore("nucleus"),))


@pytest.mark.parametrize("surfaces", [None, 3, [{}], [3], [{"name": "cell", "nsd": 1.0}]])
def test_json_with_surfaces_of_another_form_is_refused(surfaces):
    content = score_all([(np.array([[0, 1]]), np.array([[0, 1]]))]).to_json()
    content["images"][0]["surfaces"] = surfaces
    with pytest.raises(DataError, match="not in the form they are written in"):
        Scores.from_json(content)
