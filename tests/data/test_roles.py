import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from folders import dataset_of, folder_of, items, masks
from hypothesis import given, settings
from hypothesis import strategies as st

from unetscope.data.dataset import Dataset, Split
from unetscope.errors import DataError

GROUPS = st.lists(st.sampled_from("abcdefghijklmnop"), min_size=2, max_size=40)


@settings(deadline=None, max_examples=200)
@given(
    groups=GROUPS,
    tested=st.frozensets(st.sampled_from("abcdefghijklmnop"), max_size=3),
    seed=st.integers(0, 2**32),
    validation=st.floats(0.01, 0.99),
    test=st.floats(0, 0.99),
    order=st.randoms(),
)
def test_roles_are_disjoint_cover_everything_and_divide_no_group(
    groups: list[str], tested: frozenset[str], seed: int, validation: float, test: float, order: object
) -> None:
    members = items(groups, tested)
    untested = set(groups) - tested
    if len(untested) < 2:
        with pytest.raises(DataError, match=r"at least 2( groups)? are needed"):
            dataset_of(members).split(seed, validation, test)
        return
    split = dataset_of(members).split(seed, validation, test)
    roles = (split.train, split.validation, split.test)
    assert sorted(name for role in roles for name in role) == [item.name for item in members]
    group_of = {item.name: item.group for item in members}
    assert sum(len({group_of[name] for name in role}) for role in roles) == len(set(groups))
    assert split.train and split.validation and split.profile == split.validation
    if tested & set(groups):
        assert {group_of[name] for name in split.test} == tested & set(groups)
    else:
        assert bool(split.test) == (len(untested) >= 5 and test > 0)
    shuffled = list(members)
    order.shuffle(shuffled)
    again = dataset_of(tuple(shuffled)).split(seed, validation, test)
    assert [sorted(role) for role in (again.train, again.validation, again.test)] == [list(role) for role in roles]


@pytest.mark.parametrize(
    ("count", "sizes"), [(2, (1, 1, 0)), (4, (3, 1, 0)), (5, (3, 1, 1)), (20, (14, 2, 4)), (100, (68, 12, 20))]
)
def test_shares(count: int, sizes: tuple[int, int, int]) -> None:
    split = dataset_of(items([f"{i}" for i in range(count)])).split()
    assert (len(split.train), len(split.validation), len(split.test)) == sizes


def test_seeds_differ() -> None:
    dataset = dataset_of(items([f"{i}" for i in range(30)]))
    assert len({dataset.split(seed).train for seed in range(10)}) == 10


def test_declared_groups_stay_together(tmp_path: Path) -> None:
    declaration = "[groups]\n" + "\n".join(f'{i:02} = "patient {i % 3}"' for i in range(12))
    dataset = Dataset.open(folder_of(tmp_path, masks(12), declaration))
    split = dataset.split()
    assert len(split.validation) == 4 and len({int(name) % 3 for name in split.validation}) == 1


def test_groups_may_not_reach_from_training_into_testing(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(3), '[groups]\n"train/00" = "p"\n"test/01" = "p"', part="")
    shutil.rmtree(tmp_path / "images")
    shutil.rmtree(tmp_path / "labels")
    folder_of(tmp_path, masks(2), part="train")
    folder_of(tmp_path, masks(2), part="test")
    with pytest.raises(DataError, match=r"training and for testing into one group \(p\)"):
        Dataset.open(tmp_path)


def test_one_image_is_not_enough(tmp_path: Path) -> None:
    dataset = Dataset.open(folder_of(tmp_path, masks(1)))
    with pytest.raises(
        DataError,
        match=r"^1 annotated image came; at least 2 are needed, one to train on and one to validate on; annotate",
    ):
        dataset.split()


@pytest.mark.parametrize(("validation", "test"), [(0, 0.2), (1, 0.2), (0.1, 1), (0.1, -0.1), (float("nan"), 0)])
def test_shares_out_of_range(validation: float, test: float) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        dataset_of(items(["a", "b"])).split(0, validation, test)


def test_json_brings_a_split_back() -> None:
    split = Split(("a", "b"), ("c",))
    assert Split.from_json(json.loads(json.dumps(split.to_json()))) == split
    with pytest.raises(DataError, match="is not a split"):
        Split.from_json({"train": []})


# ------------------------------------------------------------------------------------------------------- given parts

LETTERS = "abcdefghijklmnop"


@settings(deadline=None, max_examples=100)
@given(
    parts=st.dictionaries(st.sampled_from(LETTERS), st.sampled_from(["train", "validation", "test", None]), min_size=2),
    copies=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_given_parts_are_roles_and_only_what_is_missing_is_drawn(
    parts: dict[str, str | None], copies: int, seed: int
) -> None:
    members = tuple(
        replace(item, part=parts[item.group]) for item in items([group for group in parts for _ in range(copies)])
    )
    given_names = {part: {item.name for item in members if item.part == part} for part in ("validation", "test")}
    free = sum(part in ("train", None) for part in parts.values())
    if free < (1 if given_names["validation"] else 2):
        with pytest.raises(DataError, match="at least"):
            dataset_of(members).split(seed)
        return
    split = dataset_of(members).split(seed)
    for part, names in given_names.items():
        assert not names or set(getattr(split, part)) == names
    assert split.train and split.validation
    assert bool(split.test) == (bool(given_names["test"]) or free >= 5)
    assert sorted(split.train + split.validation + split.test) == sorted(item.name for item in members)


def test_groups_may_not_reach_from_training_into_validation(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(4), '[groups]\n00 = "p"\n02 = "p"')
    (tmp_path / "val.txt").write_text("02")
    with pytest.raises(DataError, match=r"for training and for validation into one group \(p\), so validation would"):
        Dataset.open(tmp_path)


def test_nothing_to_train_on_is_refused() -> None:
    members = tuple(replace(item, part="validation") for item in items(["a", "b"]))
    with pytest.raises(DataError, match="at least 1 is needed to train on"):
        dataset_of(members).split()


@given(st.integers(0, 2**40))
def test_roles_that_were_given_are_returned_whatever_the_seed(seed: int) -> None:
    split = Split(("001", "004"), ("000",))
    chosen = dataset_of(items(list("abcdef"))).with_roles(split)
    assert chosen.split(seed, 0.5, 0.5) == split
    assert chosen.names == ("000", "001", "004")
    assert [item.part for item in chosen.items] == ["validation", "train", "train"]
    assert chosen.subset(["004", "000"]).split(seed) == Split(("004",), ("000",))


@pytest.mark.parametrize(
    ("split", "words"),
    [
        (Split(("000", "x"), ("001",)), "gives roles to x, and there is no such image"),
        (Split(("000",), ("001", "000")), "000 has the roles train and validation"),
        (Split(("000", "000"), ("001",)), "000 has the roles train and train"),
    ],
)
def test_roles_that_cannot_be_given(split: Split, words: str) -> None:
    with pytest.raises(DataError, match=words):
        dataset_of(items(["a", "b"])).with_roles(split)


# ------------------------------------------------------------------------------------------------------------- folds


@settings(deadline=None, max_examples=150)
@given(GROUPS, st.integers(2, 20), st.integers(0, 2**32), st.floats(0.01, 0.99), st.randoms())
def test_folds_test_each_image_exactly_once(
    groups: list[str], count: int, seed: int, validation: float, order: object
) -> None:
    members = items(groups, frozenset("a"))
    number = len(set(groups))
    if count > number or number - -(-number // count) < 2:
        with pytest.raises(DataError, match=rf"{count} folds of {len(groups)} images in {number} groups came"):
            dataset_of(members).fold_splits(count, seed, validation)
        return
    splits = dataset_of(members).fold_splits(count, seed, validation)
    assert len(splits) == count
    assert sorted(name for split in splits for name in split.test) == [item.name for item in members]
    group_of = {item.name: item.group for item in members}
    sizes = [len({group_of[name] for name in split.test}) for split in splits]
    assert max(sizes) - min(sizes) <= 1
    for split in splits:
        roles = (split.train, split.validation, split.test)
        assert all(roles) and sorted(sum(roles, ())) == [item.name for item in members]
        assert sum(len({group_of[name] for name in role}) for role in roles) == number
        assert dataset_of(members).with_roles(split).split() == split
    shuffled = list(members)
    order.shuffle(shuffled)
    again = dataset_of(tuple(shuffled)).fold_splits(count, seed, validation)
    assert [set(split.validation) for split in again] == [set(split.validation) for split in splits]


def test_folds_are_the_same_on_every_machine() -> None:
    splits = dataset_of(items(list("abcdefg"))).fold_splits(3, seed=1)
    assert [split.test for split in splits] == [("003", "004", "005"), ("000", "002"), ("001", "006")]
    assert [split.validation for split in splits] == [("000",), ("003",), ("005",)]
    other = dataset_of(items(list("abcdefg"))).fold_splits(3, seed=2)
    assert [split.test for split in other] != [split.test for split in splits]


@pytest.mark.parametrize(
    ("groups", "count", "fix"),
    [
        ("abc", 2, "choose 3 folds"),
        ("abcd", 5, "choose 2 to 4"),
        ("ab", 2, "annotate more"),
        ("abcd", 1, "choose 2 to 4"),
    ],
)
def test_folds_that_cannot_be(groups: str, count: int, fix: str) -> None:
    with pytest.raises(DataError, match=fix):
        dataset_of(items(list(groups))).fold_splits(count)
