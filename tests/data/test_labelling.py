import json
import re
from pathlib import Path

import numpy as np
import pytest
from folders import GREEN, MASK, RED, colored, folder_of, masks, with_values, write_series

from unetscope.data.dataset import IGNORE, Dataset, Labelling
from unetscope.data.images import write_image, write_labels
from unetscope.errors import DataError


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
    plain, shares = zip(*(line.split("  # ") for line in lines.splitlines()[1:]), strict=True)
    assert plain[0] == "class_0 = [0, 0, 0]"
    assert {line.partition(" = ")[2] for line in plain[1:]} == {"[255, 0, 0]", "[0, 255, 0]"}
    assert sum(float(share.removesuffix(" %")) for share in shares) == pytest.approx(100, abs=2)
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
        ("kinds = 1", "unknown keys kinds; the known ones are kind, classes, values, ignore, axes, modality, colors"),
        ("axes = 3", 'letters, Y and X among them, each once, such as "ZYX"'),
        ('axes = "ZY"', "letters, Y and X among them"),
        ("modality = 1", 'a name such as "CT"'),
        ('kind = "instances"\nignore = 0', r"ignore 0, which is their background; .* such as values = \[1, 2\]"),
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


@pytest.mark.parametrize("declaration", ["ignore = 0", "values = [1, 2]\nignore = 0"])
def test_pixels_that_nobody_annotated(tmp_path: Path, declaration: str) -> None:
    stored = with_values(1, 2)
    labels = Dataset.open(folder_of(tmp_path, {"a": stored, "b": with_values(2, 1)}, declaration))
    assert (labels.labelling.kind, labels.labelling.values) == ("classes", (1, 2))
    read = labels.read_labels(labels.item("a"))
    np.testing.assert_array_equal(read, stored.astype(int) - 1)
    assert read.min() == IGNORE and set(labels.classes) == {"background", "foreground"}


def test_partial_annotations_are_never_taken_for_objects(tmp_path: Path) -> None:
    labels = {"a": with_values(1, 2), "b": with_values(1, 2, 3), "c": with_values(1)}
    assert Dataset.open(folder_of(tmp_path / "all", labels)).labelling.kind == "instances"
    partial = Dataset.open(folder_of(tmp_path / "part", labels, "ignore = 0"))
    assert (partial.labelling.kind, partial.labelling.values) == ("classes", (1, 2, 3))


def test_gaps_in_partial_annotations_name_the_line_to_add(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a": with_values(2, 3), "b": with_values(3)}, "ignore = 0")
    with pytest.raises(DataError, match=r"values 2, 3, and classes are numbered 1, 2, 3, .*`values = \[2, 3\]`"):
        Dataset.open(tmp_path)


def outlined(root: Path, kinds: dict[str, list[str]], declaration: str = "") -> Path:
    """A dataset whose labels are squares in GeoJSON, four pixels apart, of these classes."""
    folder_of(root, {stem: np.zeros((6, 20), np.uint8) for stem in kinds}, declaration)
    for stem, names in kinds.items():
        features = []
        for index, name in enumerate(names):
            x = 4 * index + 1
            ring = [[x, 1], [x + 2, 1], [x + 2, 4], [x, 4], [x, 1]]
            properties = {"classification": {"name": name}} if name else {}
            geometry = {"type": "Polygon", "coordinates": [ring]}
            features.append({"type": "Feature", "geometry": geometry, "properties": properties})
        (root / "labels" / f"{stem}.png").unlink()
        collection = {"type": "FeatureCollection", "features": features}
        (root / "labels" / f"{stem}.geojson").write_text(json.dumps(collection))
    return root


@pytest.mark.parametrize(
    ("kinds", "declaration", "kind", "classes"),
    [
        ({"a": ["", ""], "b": [""]}, "", "instances", ("background", "foreground")),
        ({"a": ["cell", "cell"], "b": ["cell"]}, "", "instances", ("background", "cell")),
        ({"a": ["debris", "cell"], "b": ["cell"]}, "", "classes", ("background", "cell", "debris")),
        ({"a": ["debris", "cell"], "b": [""]}, 'kind = "instances"', "instances", ("background", "foreground")),
        ({"a": ["x", "y"], "b": ["x"]}, 'classes = ["glass", "y", "x"]', "classes", ("glass", "y", "x")),
    ],
)
def test_outlines_are_drawn(
    tmp_path: Path, kinds: dict[str, list[str]], declaration: str, kind: str, classes: tuple[str, ...]
) -> None:
    dataset = Dataset.open(outlined(tmp_path, kinds, declaration))
    assert (dataset.labelling.kind, dataset.classes) == (kind, classes)
    for item in dataset.items:
        _, labels = dataset.read(item)
        expected = np.zeros((6, 20), int)
        for index, name in enumerate(kinds[item.name]):
            expected[1:4, 4 * index + 1 : 4 * index + 3] = classes.index(name) if kind == "classes" else 1
        np.testing.assert_array_equal(labels, expected)
        numbers = dataset.read_instances(item)
        assert len(np.unique(numbers)) == len(kinds[item.name]) + 1


def test_outlines_with_and_without_classes_are_refused(tmp_path: Path) -> None:
    outlined(tmp_path, {"a": ["cell", "debris"], "b": ["cell", ""]})
    with pytest.raises(DataError, match=r"b\.geojson holds outlines without a class \(number 2 for one\)"):
        Dataset.open(tmp_path)


def test_outlines_among_label_images_must_be_declared(tmp_path: Path) -> None:
    outlined(tmp_path, {"a": ["", ""], "b": [""]})
    write_image(tmp_path / "images" / "c.png", np.zeros((6, 20), np.uint8))
    write_labels(tmp_path / "labels" / "c.png", with_values(1, 2, 3, 4, 5))
    with pytest.raises(
        DataError, match=r"a\.geojson holds outlines and .*c\.png is a label image; add the line"
    ) as caught:
        Dataset.open(tmp_path)
    (tmp_path / "dataset.toml").write_text(re.findall("`(.*?)`", str(caught.value))[0])
    dataset = Dataset.open(tmp_path)
    assert [int(dataset.read_instances(item).max()) for item in dataset.items] == [2, 1, 5]


# -------------------------------------------------------------------------------------------------------- segmentations


def segmented(root: Path, segments: dict[str, tuple[str, ...]]) -> Path:
    """CT series of four slices with DICOM segmentations: on the third slice, one square a segment."""
    for stem, names in segments.items():
        write_series(root / "images" / stem, np.zeros((4, 6, 20), np.int16))
        labels = np.zeros((4, 6, 20), np.uint8)
        labels[2] = with_values(*range(1, len(names) + 1), *[0] * (5 - len(names)))
        (root / "labels").mkdir(exist_ok=True)
        write_labels(root / "labels" / f"{stem}.dcm", labels, root / "images" / stem, ("background", *names))
    return root


def test_segmentations_lie_on_their_slices_and_name_the_classes(tmp_path: Path) -> None:
    dataset = Dataset.open(segmented(tmp_path, {"a": ("liver",), "b": ("liver", "tumor")}))
    assert (dataset.ndim, dataset.labelling.kind) == (3, "classes")
    assert dataset.classes == ("background", "liver", "tumor")
    for count, item in enumerate(dataset.items, start=1):
        _, labels = dataset.read(item)
        assert labels.shape == (4, 6, 20) and not labels[[0, 1, 3]].any()
        np.testing.assert_array_equal(labels[2], with_values(*range(1, count + 1), *[0] * (5 - count)))


def test_segments_that_are_numbered_otherwise_are_refused(tmp_path: Path) -> None:
    segmented(tmp_path, {"a": ("tumor",), "b": ("liver", "tumor")})
    for declaration in ("", 'classes = ["background", "liver", "tumor"]'):
        (tmp_path / "dataset.toml").write_text(declaration)
        with pytest.raises(DataError, match=r"a\.dcm has the segments 'tumor' and .*b\.dcm has 'liver', 'tumor', and"):
            Dataset.open(tmp_path)
    (tmp_path / "dataset.toml").write_text('kind = "instances"')
    assert Dataset.open(tmp_path).labelling.kind == "instances"
