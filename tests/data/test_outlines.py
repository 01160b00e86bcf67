import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi
from skimage.draw import ellipse, polygon

from unetscope.data.formats.outlines import draw_outline_classes, draw_outlines, outline_classes
from unetscope.data.formats.polygons import Region, fill, flatten_path, make_ellipse, make_rectangle
from unetscope.errors import ImageError

SQUARE = [[1, 1], [5, 1], [5, 4], [1, 4], [1, 1]]
SHAPE = (12, 17)

# Eighths are exact in binary, so that a shift by whole pixels changes no digit.
eighths = st.integers(-40, 200).map(lambda n: n / 8)
rings = st.lists(st.tuples(eighths, eighths), min_size=3, max_size=9)


def drawn(*regions: Region, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    image = np.zeros(shape, bool)
    window, mask = fill(regions, shape)
    image[window] = mask
    return image


def ring(points: Any) -> Region:
    return Region((np.asarray(points, np.float64),))


def centers(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return x, y


def is_simple_walk(points: Any) -> bool:
    edges = [shapely.LineString(pair) for pair in zip(points, [*points[1:], points[0]], strict=True)]
    return sum(edge.length for edge in edges) < shapely.union_all(edges).length + 1e-9


def clear_of(shape: shapely.Geometry, image: tuple[int, int], distance: float = 1e-6) -> np.ndarray:
    """The centers that are not on the boundary, where any answer is right."""
    return shapely.distance(shapely.boundary(shape), shapely.points(*centers(image))) > distance


def feature(coordinates: Any, kind: str = "Polygon", plane: Any = None, **properties: Any) -> dict[str, Any]:
    geometry = {"type": kind, "coordinates": coordinates} | ({"plane": plane} if plane is not None else {})
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def geojson(folder: Path, *features: Any) -> Path:
    path = folder / "cells.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def roi_set(folder: Path, *rois: ImagejRoi | bytes, names: tuple[str, ...] = ()) -> Path:
    path = folder / "RoiSet.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i, roi in enumerate(rois):
            name = names[i] if names else f"{i:04}.roi"
            archive.writestr(name, roi if isinstance(roi, bytes) else roi.tobytes())
    return path


def box_roi(kind: ROI_TYPE, left: int, top: int, right: int, bottom: int, **more: Any) -> ImagejRoi:
    return ImagejRoi(roitype=kind, left=left, top=top, right=right, bottom=bottom, **more)


# ---------------------------------------------------------------------------------------------------------- filling


@given(st.tuples(*[st.integers(-3, 20)] * 4))
def test_a_rectangle_covers_exactly_its_pixels(corners: tuple[int, int, int, int]) -> None:
    left, right = sorted(corners[:2])
    top, bottom = sorted(corners[2:])
    truth = np.zeros(SHAPE, bool)
    truth[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
    region = Region((make_rectangle(left, top, right - left, bottom - top),))
    assert np.array_equal(drawn(region), truth)


@given(rings, st.lists(rings, max_size=2))
@settings(max_examples=150, deadline=None)
def test_agrees_with_the_even_odd_rule_of_shapely(outer: Any, holes: Any) -> None:
    # An edge that is passed twice is none to the even-odd rule, and one to shapely.
    assume(all(is_simple_walk(points) for points in (outer, *holes)))
    inside, *others = (
        shapely.contains_xy(shapely.make_valid(shapely.Polygon(points), method="linework"), *centers(SHAPE))
        for points in (outer, *holes)
    )
    truth = inside & ~np.any([np.zeros_like(inside), *others], axis=0)
    edges = shapely.union_all([shapely.LinearRing(points) for points in (outer, *holes)])
    clear = shapely.distance(edges, shapely.points(*centers(SHAPE))) > 1e-6
    region = Region((np.array(outer),), tuple(np.array(hole) for hole in holes))
    assert np.array_equal(drawn(region)[clear], truth[clear])


@given(rings)
@settings(max_examples=80, deadline=None)
def test_the_area_is_right_within_the_perimeter(points: Any) -> None:
    hull = shapely.convex_hull(shapely.MultiPoint(points))
    if hull.area == 0:
        return
    shape = (40, 40)
    moved = np.array(hull.exterior.coords) + 6
    # A pixel that is counted wrongly is crossed by the boundary: its center is within half a diagonal of it.
    bound = shapely.Polygon(moved).boundary.buffer(np.sqrt(0.5)).area
    assert abs(drawn(ring(moved), shape=shape).sum() - hull.area) <= bound


@given(rings, st.integers(-6, 6), st.integers(-6, 6))
@settings(deadline=None)
def test_a_shift_by_whole_pixels_shifts_the_pixels(points: Any, right: int, down: int) -> None:
    shape = (60, 60)
    at = drawn(ring(np.array(points) + 20), shape=shape)
    moved = drawn(ring(np.array(points) + 20 + [right, down]), shape=shape)
    assert np.array_equal(np.roll(at, (down, right), (0, 1)), moved)


@given(st.floats(-2, 19), st.floats(-2, 14), st.lists(st.tuples(eighths, eighths), min_size=3, max_size=3))
@settings(max_examples=150, deadline=None)
def test_triangles_with_common_edges_share_no_pixel_and_leave_none_out(x: float, y: float, corners: Any) -> None:
    whole = shapely.Polygon(corners)
    if whole.area == 0:
        return
    inner = np.array([x, y]) if whole.contains(shapely.Point(x, y)) else np.mean(corners, axis=0)
    parts = [drawn(ring([corners[i], corners[(i + 1) % 3], inner])).astype(int) for i in range(3)]
    assert np.array_equal(sum(parts), drawn(ring(corners)).astype(int))


def test_agrees_with_skimage_inside() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        points = rng.uniform(-2, 17, (7, 2))
        truth = np.zeros(SHAPE, bool)
        truth[polygon(points[:, 1] - 0.5, points[:, 0] - 0.5, SHAPE)] = True
        assert np.array_equal(drawn(ring(points)), truth)


def test_an_ellipse_covers_the_centers_within_its_axes() -> None:
    truth = np.zeros((40, 50), bool)
    truth[ellipse(19.8, 24.6, 13.3, 20.1, truth.shape)] = True
    region = Region((make_ellipse(25.1 - 20.1, 20.3 - 13.3, 40.2, 26.6),))
    assert np.array_equal(drawn(region, shape=truth.shape), truth)


@pytest.mark.parametrize("arc", [4.0, 7.0, 99.0])
def test_rounded_corners_are_arcs(arc: float) -> None:
    radius = min(arc, 9.0) / 2
    truth = shapely.box(2 + radius, 1 + radius, 14 - radius, 10 - radius + 1e-9).buffer(radius, quad_segs=256)
    made = drawn(Region((make_rectangle(2, 1, 12, 9, arc),)))
    clear = clear_of(truth, SHAPE, 1e-3)
    assert np.array_equal(made[clear], shapely.contains_xy(truth, *centers(SHAPE))[clear])


def test_curves_of_a_path_are_followed() -> None:
    # A circle of radius 6 around (8, 6) from four cubic curves, the usual approximation (within 0.03 %).
    k = 6 * 0.5522847498
    path = [0, 14, 6]
    for (ax, ay), (bx, by) in [((1, 0), (0, 1)), ((0, 1), (-1, 0)), ((-1, 0), (0, -1)), ((0, -1), (1, 0))]:
        path += [3, 8 + 6 * ax + k * bx, 6 + 6 * ay + k * by, 8 + 6 * bx + k * ax, 6 + 6 * by + k * ay]
        path += [8 + 6 * bx, 6 + 6 * by]
    (circle,) = flatten_path(np.array([*path, 4], np.float64))
    assert np.allclose(np.hypot(*(circle - [8, 6]).T), 6, atol=3e-3)
    (parabola,) = flatten_path(np.array([0, 0, 0, 2, 1, 2, 2, 0, 4], np.float64))
    assert np.allclose(parabola[:, 1], parabola[:, 0] * (2 - parabola[:, 0]))


# ---------------------------------------------------------------------------------------------------------- ImageJ


def test_every_imagej_roi_with_an_area_is_drawn(tmp_path: Path) -> None:
    triangle = np.array([[2.25, 1.5], [9.75, 3.0], [4.5, 10.25]])
    subpixel = ROI_OPTIONS.SUB_PIXEL_RESOLUTION
    floating = box_roi(ROI_TYPE.RECT, 1, 2, 6, 7, options=subpixel, version=228)
    floating.xd, floating.yd, floating.widthd, floating.heightd = 1.6, 2.4, 4.0, 3.0
    traced = ImagejRoi.frompoints(np.array([[3, 2], [8, 2], [8, 5], [5, 5], [5, 9], [3, 9]]))
    traced.roitype = ROI_TYPE.TRACED
    ring_path = [0, 1, 1, 1, 9, 1, 1, 9, 9, 1, 1, 9, 4, 0, 3, 3, 1, 3, 6, 1, 6, 6, 1, 6, 3, 4]
    composite = box_roi(ROI_TYPE.RECT, 1, 1, 9, 9, shape_roi_size=len(ring_path))
    composite.multi_coordinates = np.array(ring_path, np.float32)
    expected = {
        "rectangle": (box_roi(ROI_TYPE.RECT, 2, 3, 7, 8), drawn(ring([[2, 3], [7, 3], [7, 8], [2, 8]]))),
        "floating": (floating, drawn(ring([[1.6, 2.4], [5.6, 2.4], [5.6, 5.4], [1.6, 5.4]]))),
        "oval": (box_roi(ROI_TYPE.OVAL, 2, 1, 14, 11), drawn(Region((make_ellipse(2, 1, 12, 10),)))),
        "freehand": (ImagejRoi.frompoints(triangle), drawn(ring(triangle))),
        "traced": (traced, drawn(ring([[3, 2], [8, 2], [8, 5], [5, 5], [5, 9], [3, 9]]))),
        "composite": (composite, drawn(ring(SQUARE)) | drawn(ring([[1, 1], [9, 1], [9, 9], [1, 9]]))),
    }
    expected["composite"][1][3:6, 3:6] = False
    for name, (roi, truth) in expected.items():
        path = tmp_path / f"{name}.roi"
        path.write_bytes(roi.tobytes())
        assert truth.any()
        assert np.array_equal(draw_outlines(path, SHAPE), truth), name


def test_numbers_follow_the_order_and_later_ones_win(tmp_path: Path) -> None:
    rois = [box_roi(ROI_TYPE.RECT, 2 * i, 0, 2 * i + 5, 4, group=i % 3) for i in range(6)]
    path = roi_set(tmp_path, *rois)
    labels = draw_outlines(path, SHAPE)
    assert labels.dtype == np.uint8
    assert labels[0].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 6, 6, 6, 0, 0]
    assert outline_classes(path) == ("", "group 1", "group 2", "", "group 1", "group 2")


@pytest.mark.parametrize("field", ["position", "z_position"])
def test_a_position_is_a_slice(tmp_path: Path, field: str) -> None:
    rois = [box_roi(ROI_TYPE.RECT, 1, 1, 4, 4, **{field: z}) for z in (3, 1)]
    labels = draw_outlines(roi_set(tmp_path, *rois), (4, *SHAPE))
    truth = np.zeros((4, *SHAPE), int)
    truth[2, 1:4, 1:4], truth[0, 1:4, 1:4] = 1, 2
    assert np.array_equal(labels, truth)


@pytest.mark.parametrize(
    ("roi", "shape", "message"),
    [
        (box_roi(ROI_TYPE.LINE, 1, 1, 4, 4, name="axon"), SHAPE, "ROI 'axon' is of the kind straight line"),
        (ImagejRoi(roitype=ROI_TYPE.POINT, n_coordinates=0, name="p"), SHAPE, "ROI 'p' is of the kind point"),
        (box_roi(ROI_TYPE.RECT, 1, 1, 4, 4, subtype=ROI_SUBTYPE.TEXT, name="t"), SHAPE, "of the kind text"),
        (box_roi(ROI_TYPE.RECT, 1, 1, 4, 4, t_position=3, name="t"), SHAPE, "'t' belongs to time 3"),
        (box_roi(ROI_TYPE.RECT, 1, 1, 4, 4, position=3, name="s"), SHAPE, "'s' belongs to slice 3"),
        (box_roi(ROI_TYPE.RECT, 1, 1, 4, 4, position=5, name="s"), (4, *SHAPE), "belongs to slice 5.*slices 1 to 4"),
        (box_roi(ROI_TYPE.RECT, 1, 1, 4, 4, name="s"), (4, *SHAPE), "'s' names no slice"),
        (box_roi(ROI_TYPE.RECT, 17, 1, 20, 4, name="far"), SHAPE, "'far' .*lies outside the image of 12 x 17"),
        (box_roi(ROI_TYPE.RECT, 3, 3, 3, 3, name="dot"), SHAPE, "'dot' .*covers the center of no pixel"),
    ],
)
def test_imagej_rois_that_cannot_be_drawn_are_named(
    tmp_path: Path, roi: ImagejRoi, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        draw_outlines(roi_set(tmp_path, roi), shape)


def test_a_spline_is_refused(tmp_path: Path) -> None:
    roi = ImagejRoi.frompoints(np.array([[1, 1], [5, 1], [5, 5]]))
    roi.options |= ROI_OPTIONS.SPLINE_FIT
    with pytest.raises(ImageError, match="Interpolate"):
        draw_outlines(roi_set(tmp_path, roi), SHAPE)


@pytest.mark.parametrize("name", ["../a.roi", "/a.roi", "a/../../b.roi", "..\\a.roi", "C:/a.roi"])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match="leaves its folder"):
        draw_outlines(roi_set(tmp_path, box_roi(ROI_TYPE.RECT, 1, 1, 4, 4), names=(name,)), SHAPE)


def test_sets_that_explode_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roi = box_roi(ROI_TYPE.RECT, 1, 1, 4, 4)
    path = roi_set(tmp_path, *[roi] * 3)
    monkeypatch.setattr("unetscope.data.formats.imagej_roi._MOST_MEMBERS", 2)
    with pytest.raises(ImageError, match="holds 3 files"):
        draw_outlines(path, SHAPE)
    monkeypatch.undo()
    monkeypatch.setattr("unetscope.data.formats.imagej_roi._MOST_BYTES", 100)
    with pytest.raises(ImageError, match="at most 100000 of together 100 bytes"):
        draw_outlines(path, SHAPE)


def test_what_a_computer_adds_to_an_archive_is_passed_over(tmp_path: Path) -> None:
    roi = box_roi(ROI_TYPE.RECT, 1, 1, 4, 4)
    path = roi_set(tmp_path, roi, b"x", b"", names=("a/cell.roi", "__MACOSX/a/._cell.roi", "a/.DS_Store"))
    assert draw_outlines(path, SHAPE).max() == 1
    with pytest.raises(ImageError, match=r"holds 'notes.txt', and only \.roi"):
        draw_outlines(roi_set(tmp_path, roi, b"x", names=("a.roi", "notes.txt")), SHAPE)
    with pytest.raises(ImageError, match="holds no ROIs"):
        draw_outlines(roi_set(tmp_path), SHAPE)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damage_to_rois_is_one_sentence(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    roi = ImagejRoi.frompoints(np.array([[1.5, 1], [5, 1], [5, 5.5], [2, 7]]), name="cell", z=1)
    content = bytearray(roi.tobytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("rois") / "cell.roi"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        labels = draw_outlines(path, (20, 30))
    except ImageError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert labels.max() == 1


# --------------------------------------------------------------------------------------------------------- GeoJSON

SMALL = [[2, 2], [3, 2], [3, 3], [2, 3], [2, 2]]
FAR = [[9, 6], [12, 6], [12, 9], [9, 9], [9, 6]]


def test_polygons_holes_and_several_parts(tmp_path: Path) -> None:
    path = geojson(tmp_path, feature([SQUARE, SMALL]), feature([[FAR], [[[0, 10], [2, 10], [2, 12]]]], "MultiPolygon"))
    labels = draw_outlines(path, SHAPE)
    truth = np.zeros(SHAPE, int)
    truth[1:4, 1:5], truth[2, 2], truth[6:9, 9:12] = 1, 0, 2
    truth[10, 0:2], truth[11, 1] = 2, 2
    assert np.array_equal(labels, truth)


def test_parts_that_overlap_are_joined(tmp_path: Path) -> None:
    path = geojson(tmp_path, feature([[SQUARE], [[[3, 1], [8, 1], [8, 4], [3, 4]]]], "MultiPolygon"))
    assert np.array_equal(draw_outlines(path, SHAPE), drawn(ring([[1, 1], [8, 1], [8, 4], [1, 4]])))


@pytest.mark.parametrize(
    "content",
    [
        {"type": "FeatureCollection", "features": [feature([SQUARE])]},
        feature([SQUARE]),
        {"type": "Polygon", "coordinates": [SQUARE]},
        [feature([SQUARE])],
        {"type": "GeometryCollection", "geometries": [{"type": "Polygon", "coordinates": [SQUARE]}]},
    ],
)
def test_every_top_of_a_file_is_read(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "a.geojson"
    path.write_text("\ufeff" + json.dumps(content), encoding="utf-8")
    assert np.array_equal(draw_outlines(path, SHAPE), drawn(ring(SQUARE)))


def test_no_outline_is_an_empty_image(tmp_path: Path) -> None:
    path = geojson(tmp_path)
    assert outline_classes(path) == ()
    assert not draw_outlines(path, SHAPE).any()
    assert draw_outline_classes(path, SHAPE, ["background", "cell"]).shape == SHAPE


@pytest.mark.parametrize(
    ("properties", "kind"),
    [
        ({"classification": {"name": "Tumor", "color": [1, 2, 3]}, "name": "x"}, "Tumor"),
        ({"classification": {"names": ["Tumor", "Positive"]}}, "Tumor: Positive"),
        ({"classification": "Tumor"}, "Tumor"),
        ({"class": "cell", "name": "x"}, "cell"),
        ({"label": 3}, "3"),
        ({"name": "nerve"}, "nerve"),
        ({"color": "red"}, ""),
    ],
)
def test_the_class_of_a_feature(tmp_path: Path, properties: dict[str, Any], kind: str) -> None:
    assert outline_classes(geojson(tmp_path, feature([SQUARE], **properties))) == (kind,)


def test_classes_become_their_indices(tmp_path: Path) -> None:
    parts = (feature([SQUARE], label="b"), feature([FAR], label="a"), feature([SMALL], label="a"))
    path = geojson(tmp_path, *parts)
    labels = draw_outline_classes(path, SHAPE, ("background", "a", "b"))
    ids = draw_outlines(path, SHAPE)
    assert np.array_equal(labels, np.array([0, 2, 1, 1])[ids])
    with pytest.raises(ImageError, match="outline 2 has the class 'a', and one of background, b"):
        draw_outline_classes(path, SHAPE, ("background", "b"))
    with pytest.raises(ImageError, match="outline 1 has no class"):
        draw_outline_classes(geojson(tmp_path, feature([SQUARE])), SHAPE, ("background", "b"))


def test_a_plane_is_a_slice(tmp_path: Path) -> None:
    path = geojson(tmp_path, feature([SQUARE], plane={"c": -1, "z": 2, "t": 0}), feature([SQUARE]))
    labels = draw_outlines(path, (3, *SHAPE))
    assert [np.unique(plane).tolist() for plane in labels] == [[0, 2], [0], [0, 1]]
    with pytest.raises(ImageError, match="feature 1 belongs to slice 3, and the image has slices 1 to 2"):
        draw_outlines(path, (2, *SHAPE))
    with pytest.raises(ImageError, match="feature 1 belongs to slice 3, and the image has one"):
        draw_outlines(path, SHAPE)
    with pytest.raises(ImageError, match="names no slice"):
        draw_outlines(geojson(tmp_path, feature([SQUARE])), (2, *SHAPE))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (feature([3, 4], "Point", name="a"), r"feature 1 \('a'\) is a Point, which covers no area"),
        (feature([[1, 2], [3, 4]], "LineString"), "feature 1 is a LineString"),
        ({"type": "Feature", "geometry": None}, "feature 1 has no geometry"),
        ("x", "feature 1 has no geometry"),
        ({"type": "Feature", "geometry": {"type": "Polygon"}}, "feature 1 has no coordinates"),
        (feature([]), "feature 1 has no coordinates"),
        (feature([], "MultiPolygon"), "feature 1 has no corners"),
        (feature([[[1, 2], [3, 4]]]), "has 2 corners"),
        (feature([[[1, 2], [3, 4], [5]]]), "not pairs"),
        (feature([[["1", "2"], ["3", "4"], ["5", "7"]]]), "not pairs"),
        (feature([[[1, 2, 0], [3, 4, 0], [5, 4, 0]]]), "not pairs"),
        (feature([[[1, 2], [3, 1e12], [5, 4]]]), "a billion pixels"),
        (feature([[[1, 2], [3, 10**40], [5, 4]]]), "not pairs"),
        (feature([[[1, 2], [3, 4], None]]), "not pairs"),
        (feature([SQUARE], plane={"z": 0, "t": 4}), "at time 0 was needed"),
        (feature([SQUARE], plane=7), "at time 0 was needed"),
        (feature([[[-5, 0], [-1, 0], [-1, 4]]], name="b"), r"feature 1 \('b'\) .*lies outside"),
        (feature([[[3.6, 3.6], [3.9, 3.6], [3.9, 3.9]]]), "covers the center of no pixel"),
    ],
)
def test_features_that_cannot_be_drawn_are_named(tmp_path: Path, item: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        draw_outlines(geojson(tmp_path, item), SHAPE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as geojson"),
        ("{", "cannot be read as geojson"),
        ('{"type": "Polygon", "coordinates": [[[NaN, 0], [3, 0], [3, 2]]]}', "NaN, which is not a number"),
        ('{"type": "Topology"}', "JSON but not GeoJSON"),
        ("3", "JSON but not GeoJSON"),
        ('{"type": "FeatureCollection", "features": [], "crs": {"type": "name"}}', "geographic coordinates"),
        ("[" * 100_000, "cannot be read as geojson"),
    ],
)
def test_files_that_are_not_geojson_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(text)
    with pytest.raises(ImageError, match=message):
        draw_outlines(path, SHAPE)


def test_an_outline_below_others_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"feature 1 \('small'\) is hidden"):
        draw_outlines(geojson(tmp_path, feature([SMALL], name="small"), feature([SQUARE])), SHAPE)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"ends in '.json'"):
        draw_outlines(tmp_path / "a.json", SHAPE)
    with pytest.raises(ImageError, match="does not exist"):
        outline_classes(tmp_path / "a.roi")


def test_without_roifile_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = roi_set(tmp_path, box_roi(ROI_TYPE.RECT, 1, 1, 4, 4))
    monkeypatch.setitem(sys.modules, "roifile", None)
    with pytest.raises(ImageError, match=r"needs roifile, .*pip install 'unetscope\[rois\]'"):
        draw_outlines(path, SHAPE)
    assert draw_outlines(geojson(tmp_path, feature([SQUARE])), SHAPE).any()
