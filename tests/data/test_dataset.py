import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from unetscope.data.dataset import IGNORE, Dataset, Item, Labelling, Split
from unetscope.data.images import write_image, write_labels
from unetscope.errors import DataError, ImageError

IMAGE = np.random.default_rng(0).integers(0, 256, (1, 6, 8), np.uint8)
MASK = np.zeros((6, 8), np.uint8)
MASK[1:4, 2:6] = 255
RED, GREEN = (255, 0, 0), (0, 255, 0)


def with_values(*values: int) -> np.ndarray:
    """A label image in which each value is one square."""
    labels = np.zeros((6, 4 * len(values)), np.uint16)
    for index, value in enumerate(values):
        labels[1:4, 4 * index + 1 : 4 * index + 3] = value
    return labels


def folder_of(root: Path, labels: dict[str, np.ndarray], declaration: str = "", part: str = "") -> Path:
    """A dataset with these label images, and images of their sizes."""
    for stem, array in labels.items():
        size = array.shape[1:] if array.ndim == 3 and len(array) == 3 else array.shape
        suffix = ".tif" if len(size) == 3 else ".png"
        write_image(root / part / "images" / f"{stem}{suffix}", np.full((1, *size), len(stem), np.uint8))
        write = write_image if len(size) < array.ndim else write_labels
        write(root / part / "labels" / f"{stem}{suffix}", array)
    if declaration:
        (root / "dataset.toml").write_text(declaration)
    return root


def colored(*colors: tuple[int, int, int]) -> np.ndarray:
    """A label image in colors, black elsewhere."""
    image = np.zeros((3, 6, 4 * len(colors)), np.uint8)
    for index, color in enumerate(colors):
        image[:, 1:4, 4 * index + 1 : 4 * index + 3] = np.reshape(color, (3, 1, 1))
    return image


def masks(count: int) -> dict[str, np.ndarray]:
    return {f"{index:02}": MASK for index in range(count)}


def items(groups: list[str], tested: frozenset[str] = frozenset()) -> tuple[Item, ...]:
    """Items without files, numbered, in these groups."""
    return tuple(
        Item(f"{i:03}", Path(f"{i}.png"), Path(f"{i}.png"), "test" if group in tested else None, group)
        for i, group in enumerate(groups)
    )


def dataset_of(members: tuple[Item, ...]) -> Dataset:
    return Dataset(Path(), members, ndim=2, channels=1, labelling=Labelling("mask"))


# --------------------------------------------------------------------------------------------------------- layouts


def test_images_and_labels_side_by_side(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(2))
    write_image(tmp_path / "images" / "b.TIF", IMAGE)
    write_labels(tmp_path / "labels" / "b.npy", MASK)
    (tmp_path / "images" / ".hidden.png").write_bytes(b"")
    (tmp_path / "images" / "notes.md").write_text("cells")
    dataset = Dataset.open(tmp_path)
    assert dataset.names == ("00", "01", "b")
    assert (dataset.ndim, dataset.channels, dataset.classes) == (2, 1, ("background", "foreground"))
    image, labels = dataset.read(dataset.item("b"))
    np.testing.assert_array_equal(image, IMAGE)
    np.testing.assert_array_equal(labels, MASK > 0)
    assert labels.dtype == np.uint8


def test_train_and_test_folders(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(3), part="train")
    folder_of(tmp_path, masks(2), part="test")
    dataset = Dataset.open(str(tmp_path))
    assert dataset.names == ("train/00", "train/01", "train/02", "test/00", "test/01")
    assert dataset.split().test == ("test/00", "test/01")


def test_other_folder_names(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(2), part="train")
    (tmp_path / "train" / "images").rename(tmp_path / "train" / "raw")
    (tmp_path / "train" / "labels").rename(tmp_path / "train" / "truth")
    assert len(Dataset.open(tmp_path, images="raw", labels="truth").items) == 2


@pytest.mark.parametrize("lists", [("train",), ("test",), ("train", "test")])
def test_lists_give_parts(tmp_path: Path, lists: tuple[str, ...]) -> None:
    folder_of(tmp_path, masks(5))
    stems = {"train": "00\n02\n\n03\n", "test": "01\n04"}
    for name in lists:
        (tmp_path / f"{name}.txt").write_text(stems[name])
    dataset = Dataset.open(tmp_path)
    assert [item.part for item in dataset.items] == ["train", "test", "train", "train", "test"]
    assert dataset.split(seed=3).test == ("01", "04")


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ("00\n09", "01", "train.txt lists 09, and there is no such image"),
        ("00\n01", "01", "lists 01 in both"),
        ("00", "01", r"1 images of .* neither in train.txt nor in test.txt \(02\)"),
    ],
)
def test_lists_that_do_not_fit(tmp_path: Path, train: str, test: str, words: str) -> None:
    folder_of(tmp_path, masks(3))
    (tmp_path / "train.txt").write_text(train)
    (tmp_path / "test.txt").write_text(test)
    with pytest.raises(DataError, match=words):
        Dataset.open(tmp_path)


def test_lists_in_other_encodings_are_named_not_fatal(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(2))
    (tmp_path / "train.txt").write_bytes(b"\xef\xbb\xbf00\r\n")
    assert [item.part for item in Dataset.open(tmp_path).items] == ["train", "test"]
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe0\x000\x00")
    with pytest.raises(DataError, match=r"train\.txt lists .* no such image"):
        Dataset.open(tmp_path)


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere does not exist, and a folder"):
        Dataset.open(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"has neither images nor train/images; put images into .*/images"):
        Dataset.open(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"labels does not exist, and training needs a label image"):
        Dataset.open(tmp_path)
    (tmp_path / "labels").mkdir()
    with pytest.raises(DataError, match=r"images holds no files, and \.png, \.tif, \.tiff, \.npy are read"):
        Dataset.open(tmp_path)
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(DataError, match=r"a\.txt is a file"):
        Dataset.open(tmp_path / "a.txt")


def test_both_layouts_at_once_are_refused(tmp_path: Path) -> None:
    folder_of(folder_of(tmp_path, masks(2)), masks(2), part="train")
    with pytest.raises(DataError, match="has both images and train/images"):
        Dataset.open(tmp_path)


def test_unknown_formats_are_counted(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(1))
    for path in (tmp_path / "images").iterdir():
        path.rename(path.with_suffix(".nii.gz"))
    with pytest.raises(DataError, match=r"images holds 1 \.nii\.gz, and \.png"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize(("lacking", "other"), [("labels", "images"), ("images", "labels")])
def test_files_without_a_partner(tmp_path: Path, lacking: str, other: str) -> None:
    folder_of(tmp_path, masks(6))
    for stem in ("01", "02", "04", "05"):
        (tmp_path / lacking / f"{stem}.png").unlink()
    what = "images" if other == "images" else "label images"
    with pytest.raises(DataError, match=rf"^4 {what} in .*{other} without .*{lacking} \(01, 02, 04, \.\.\.\); add"):
        Dataset.open(tmp_path)


def test_equal_stems(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(2))
    write_image(tmp_path / "images" / "01.tif", IMAGE)
    with pytest.raises(DataError, match=r"holds 01\.png and 01\.tif, which have the same stem; keep one"):
        Dataset.open(tmp_path)


# --------------------------------------------------------------------------------------------------------- reading


def test_sizes_must_agree(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(2))
    write_labels(tmp_path / "labels" / "01.png", MASK[:5])
    dataset = Dataset.open(tmp_path)
    dataset.read(dataset.item("00"))
    with pytest.raises(DataError, match=r"images/01\.png has 6 x 8 pixels and .*labels/01\.png has 5 x 8"):
        dataset.read(dataset.item("01"))


def test_broken_values_are_found(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(2))
    (tmp_path / "images" / "01.png").unlink()
    broken = IMAGE[0].astype(np.float32)
    broken[5, 7] = np.nan
    tifffile.imwrite(tmp_path / "images" / "01.tif", broken)
    dataset = Dataset.open(tmp_path)
    with pytest.raises(ImageError, match=r"01\.tif holds NaN"):
        dataset.read(dataset.item("01"))


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_truncated_files_are_named(tmp_path: Path, folder: str) -> None:
    folder_of(tmp_path, masks(2))
    path = tmp_path / folder / "01.png"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ImageError, match=rf"{folder}/01\.png cannot be read as png"):
        dataset = Dataset.open(tmp_path)
        dataset.read(dataset.item("01"))


def test_gray_images_among_colors_are_repeated(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(3))
    write_image(tmp_path / "images" / "01.png", np.concatenate([IMAGE, IMAGE + 1, IMAGE + 2]))
    dataset = Dataset.open(tmp_path)
    assert dataset.channels == 3
    gray = dataset.read_image(dataset.item("00"))
    assert gray.shape == (3, 6, 8) and (gray == gray[0]).all()


def test_other_mixtures_of_channels_are_refused(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(3))
    for stem, channels in (("01", 2), ("02", 3)):
        (tmp_path / "images" / f"{stem}.png").unlink()
        write_image(tmp_path / "images" / f"{stem}.tif", np.repeat(IMAGE, channels, axis=0))
    with pytest.raises(DataError, match=r"01\.tif has 2 channels and .*02\.tif has 3"):
        Dataset.open(tmp_path)


def test_volumes(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a": np.stack([MASK] * 5), "b": np.stack([MASK] * 4)})
    dataset = Dataset.open(tmp_path)
    image, labels = dataset.read(dataset.item("b"))
    assert (dataset.ndim, image.shape, labels.shape) == (3, (1, 4, 6, 8), (4, 6, 8))


def test_unknown_names(tmp_path: Path) -> None:
    dataset = Dataset.open(folder_of(tmp_path, masks(5)))
    assert dataset.subset(["03", "01"]).names == ("03", "01")
    for ask in (dataset.item, lambda name: dataset.subset([name])):
        with pytest.raises(DataError, match=r"no image 'x'; it has 00, 01, 02, \.\.\."):
            ask("x")


def test_the_digest_is_of_names_and_contents_only(tmp_path: Path) -> None:
    one = Dataset.open(folder_of(tmp_path / "one", masks(3)))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert Dataset.open(tmp_path / "two").digest() == one.digest()
    write_labels(tmp_path / "two" / "labels" / "01.png", 255 - MASK)
    changed = Dataset.open(tmp_path / "two").digest()
    assert changed != one.digest()
    for folder in ("images", "labels"):
        (tmp_path / "two" / folder / "02.png").rename(tmp_path / "two" / folder / "03.png")
    assert Dataset.open(tmp_path / "two").digest() not in (changed, one.digest())


# ------------------------------------------------------------------------------------------------------- labelling


@pytest.mark.parametrize(
    ("labels", "kind", "classes"),
    [
        ([with_values(1), with_values(1)], "mask", 2),
        ([with_values(255), with_values(0)], "mask", 2),
        ([with_values(1, 2), with_values(2, 1)], "classes", 3),
        ([with_values(1, 2, 1), with_values(1, 2, 3)], "classes", 4),
        ([with_values(1, 2), with_values(1, 2, 3)], "instances", 2),
        ([with_values(1, 2), with_values(0)], "instances", 2),
        ([with_values(*range(1, 20)), with_values(5)], "classes", 20),
        ([with_values(*range(1, 22)), with_values(5)], "instances", 2),
        ([with_values(7, 9, 11, *range(100, 120)), with_values(0)], "instances", 2),
    ],
)
def test_kinds_are_inferred(tmp_path: Path, labels: list[np.ndarray], kind: str, classes: int) -> None:
    dataset = Dataset.open(folder_of(tmp_path, {f"{i}": array for i, array in enumerate(labels)}))
    assert dataset.labelling.kind == kind
    assert len(dataset.classes) == classes and dataset.classes[0] == "background"
    assert re.fullmatch(r"The 2 label files hold .*\.", dataset.labelling.reason)
    for item, array in zip(dataset.items, labels, strict=True):
        expected = array if kind == "classes" else array > 0
        np.testing.assert_array_equal(dataset.read_labels(item), expected)


def test_gaps_name_the_line_to_add(tmp_path: Path) -> None:
    labels = {"a": with_values(2, 3), "b": with_values(3)}
    folder_of(tmp_path, labels)
    with pytest.raises(DataError, match=r"hold the values 0, 2, 3, .* add the line `values = \[0, 2, 3\]`") as caught:
        Dataset.open(tmp_path)
    line = re.findall("`(values.*?)`", str(caught.value))[0]
    dataset = Dataset.open(folder_of(tmp_path, {}, line))
    assert dataset.classes == ("background", "class 1", "class 2")
    np.testing.assert_array_equal(np.unique(dataset.read_labels(dataset.item("a"))), [0, 1, 2])


def test_colors_name_the_lines_to_add(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a": colored(RED, GREEN, GREEN), "b": colored(RED)})
    with pytest.raises(DataError, match=r"labels/a\.png has 3 channels, and a label image has one") as caught:
        Dataset.open(tmp_path)
    lines = str(caught.value).split("\n", 1)[1]
    assert lines == "[colors]\nclass_0 = [0, 0, 0]\nclass_1 = [255, 0, 0]\nclass_2 = [0, 255, 0]" or (
        lines == "[colors]\nclass_0 = [0, 0, 0]\nclass_1 = [0, 255, 0]\nclass_2 = [255, 0, 0]"
    )
    dataset = Dataset.open(folder_of(tmp_path, {}, lines))
    assert dataset.classes == ("class_0", "class_1", "class_2")
    labels = dataset.read_labels(dataset.item("a"))
    table = np.array(dataset.labelling.colors)
    np.testing.assert_array_equal(table[labels].transpose(2, 0, 1), colored(RED, GREEN, GREEN))


def test_at_most_12_colors_are_listed(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a": colored(*((i, i, 1) for i in range(1, 20))), "b": colored(RED)})
    with pytest.raises(DataError, match=r"9 rarer colors") as caught:
        Dataset.open(tmp_path)
    assert str(caught.value).count("class_") == 12


@pytest.mark.parametrize("dtype", ["i8", "u8", "f4", "u4", "?"])
def test_every_type_of_label_file_can_be_inferred(tmp_path: Path, dtype: str) -> None:
    folder_of(tmp_path, masks(2))
    for path in (tmp_path / "labels").iterdir():
        path.unlink()
        np.save(path.with_suffix(".npy"), (MASK > 0).astype(dtype))
    dataset = Dataset.open(tmp_path)
    np.testing.assert_array_equal(dataset.read_labels(dataset.items[0]), MASK > 0)


@pytest.mark.parametrize(
    ("declaration", "labels", "words"),
    [
        ("values = [0, 255]", with_values(255, 7), r"b\.png holds the value 7, and the known ones are 0, 255;"),
        ("values = [0, 1]", with_values(40_000), r"b\.png holds the value 40000"),
        ('kind = "mask"', with_values(7, 9), r"b\.png holds values from 7 to 9 beside 0, and a mask"),
        ("[colors]\na = [0, 0, 0]\nb = [9, 9, 9]", colored(RED), r"b\.png holds the color \(255, 0, 0\)"),
        ("values = [0, 255]", colored(RED), r"b\.png has 3 channels, and label images of kind 'classes' have 1"),
        ("[colors]\na = [0, 0, 0]\nb = [9, 9, 9]", MASK, r"b\.png has 1 channels, .* 'colors' have 3"),
    ],
)
def test_undeclared_values_are_refused(tmp_path: Path, declaration: str, labels: np.ndarray, words: str) -> None:
    dataset = Dataset.open(folder_of(tmp_path, {"a": MASK, "b": labels}, declaration))
    with pytest.raises(DataError, match=words):
        dataset.read_labels(dataset.item("b"))


@pytest.mark.parametrize("value", [0, 3])
def test_one_value_everywhere_is_refused(tmp_path: Path, value: int) -> None:
    folder_of(tmp_path, dict.fromkeys("abc", np.full((6, 8), value)))
    with pytest.raises(DataError, match=rf"all 3 label files hold only {value}, and at least two classes"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize(
    "declaration",
    ["ignore = 9", 'kind = "mask"\nignore = 9', 'kind = "instances"\nignore = 9', "values = [0, 7]\nignore = 9"],
)
def test_ignored_pixels_get_their_own_index(tmp_path: Path, declaration: str) -> None:
    dataset = Dataset.open(folder_of(tmp_path, {"a": with_values(7, 9), "b": with_values(7)}, declaration))
    labels = dataset.read_labels(dataset.item("a"))
    assert labels.dtype == np.int16
    stored = with_values(7, 9)
    np.testing.assert_array_equal(labels, np.select([stored == 9, stored == 7], [IGNORE, 1], 0))
    assert dataset.read_labels(dataset.item("b")).dtype == np.int16


def test_ignored_pixels_do_not_stop_objects_from_being_recognized(tmp_path: Path) -> None:
    labels = {"a": with_values(1, 2, 255, 255), "b": with_values(1, 255)}
    assert Dataset.open(folder_of(tmp_path, labels, "ignore = 255")).labelling.kind == "instances"


@pytest.mark.parametrize(
    ("declaration", "kind", "classes"),
    [
        ('kind = "mask"', "mask", ("background", "foreground")),
        ('kind = "instances"\nclasses = ["glass", "cell"]', "instances", ("glass", "cell")),
        ('classes = ["a", "b", "c"]', "classes", ("a", "b", "c")),
        ('kind = "classes"\nclasses = ["a", "b"]', "classes", ("a", "b")),
        ("values = [5, 0]", "classes", ("background", "foreground")),
        ("[colors]\na = [0, 0, 0]\nb = [1, 2, 3]", "colors", ("a", "b")),
    ],
)
def test_what_is_declared_needs_no_look(tmp_path: Path, declaration: str, kind: str, classes: tuple[str, ...]) -> None:
    folder_of(tmp_path, masks(2), declaration)
    path = tmp_path / "labels" / "01.png"
    path.write_bytes(b"nothing to see here")
    labelling = Dataset.open(tmp_path).labelling
    assert (labelling.kind, labelling.classes) == (kind, classes)
    assert labelling.reason == f"Declared in {tmp_path / 'dataset.toml'}."


def test_declared_names_go_with_what_is_inferred(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a": with_values(1, 2), "b": with_values(2, 1)}, 'kind = "classes"')
    assert Dataset.open(tmp_path).classes == ("background", "class 1", "class 2")
    (tmp_path / "dataset.toml").write_text('classes = ["background", "cell"]')
    with pytest.raises(DataError, match=r"3 values for 2 classes; .* \(the 2 label files hold the values 0 to 2"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize(
    ("declaration", "words"),
    [
        ("kinds = 1", r"unknown keys kinds; the known ones are kind, classes, values, ignore, colors, groups"),
        ("kind = ", "cannot be read as TOML"),
        ('kind = "masks"', 'kind = \'masks\'; one of "mask", "classes"'),
        ('kind = ["mask"]', "kind ="),
        ("classes = [1, 2]", "a list of names"),
        ('classes = "ab"', "a list of names"),
        ('classes = ["a", "a"]\nkind = "mask"', "each once"),
        ("values = [0, true]", "a list of whole numbers"),
        ("values = [0, -1]", "whole numbers from 0 to"),
        ("values = [0, 0]", "each once"),
        ("values = [0]", "values for 2 classes"),
        ("values = [0, 1]\nignore = 1", "each once"),
        ('values = [0, 1]\nclasses = ["a", "b", "c"]', "2 values for 3 classes"),
        ("ignore = 1.5", "a whole number"),
        ("[colors]\na = [0, 0]", "a table of lines such as cell"),
        ("colors = 3", "a table of lines such as cell"),
        ("[colors]\na = [0, 0, 0]\nb = [0, 0, 256]", "whole numbers"),
        ("values = [1, 2]\n[colors]\na = [0, 0, 0]\nb = [1, 0, 0]", "mix colors with values"),
        ('kind = "mask"\n[colors]\na = [0, 0, 0]\nb = [1, 0, 0]', "mix colors with values"),
        ('kind = "instances"\nclasses = ["a", "b", "c"]', "have 3 classes"),
        ('kind = "colors"', r"without a \[colors\] table"),
        ("[groups]\n00 = 1", "a table of lines such as image1"),
        ('[groups]\nx = "p"', "puts x into a group, and there is no such image"),
    ],
)
def test_declarations_that_cannot_be(tmp_path: Path, declaration: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Dataset.open(folder_of(tmp_path, masks(2), declaration))


@pytest.mark.parametrize(
    "labelling",
    [
        Labelling("mask", values=(0, 255), reason="Why."),
        Labelling("instances", ignore=9),
        Labelling("classes", ("a", "b", "c"), values=(0, 4, 2), ignore=255),
        Labelling("colors", ("a", "b"), colors=((0, 0, 0), RED)),
    ],
)
def test_json_brings_a_labelling_back(labelling: Labelling) -> None:
    assert Labelling.from_json(json.loads(json.dumps(labelling.to_json()))) == labelling


@pytest.mark.parametrize("content", [{}, {"kind": "mask"}, Labelling("mask").to_json() | {"kind": "x"}])
def test_other_mappings_are_no_labelling(content: dict) -> None:
    with pytest.raises(DataError, match=r"labelling|labels of kind"):
        Labelling.from_json(content)


# ----------------------------------------------------------------------------------------------------------- split

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


# ------------------------------------------------------------------------------------------------------- real data


@pytest.mark.parametrize(
    ("name", "count", "channels", "kind", "classes", "tested"),
    [
        ("dsb2018", 664, 3, "instances", 2, 65),
        ("isbi2012", 30, 1, "mask", 2, 6),
        ("vnc_em", 20, 1, "classes", 5, 4),
    ],
)
def test_real_data(
    shared_data: Path, name: str, count: int, channels: int, kind: str, classes: int, tested: int
) -> None:
    if not (shared_data / name).is_dir():
        pytest.skip(f"{shared_data} has no {name}")
    dataset = Dataset.open(shared_data / name)
    assert (len(dataset.items), dataset.channels, dataset.labelling.kind) == (count, channels, kind)
    assert len(dataset.classes) == classes and len(dataset.split().test) == tested
    for item in dataset.items[:: max(1, count // 10)]:
        image, labels = dataset.read(item)
        assert len(image) == channels and labels.max() < classes
