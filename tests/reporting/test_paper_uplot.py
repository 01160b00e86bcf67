"""The U-Plot shows every number, hides nothing behind anything, and is the same file every time."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from unetscope.errors import OutputError
from unetscope.information.estimators.kernel import Bounds, LabelInformation, ShuffledInformation
from unetscope.information.published.coding import CodeStatistics
from unetscope.information.published.estimates import Estimate, PaperLayer, Similarity
from unetscope.information.published.paper import PaperProfile, PaperSettings
from unetscope.model.spec import UNetSpec
from unetscope.reporting.panel import choose_colors, name_block, name_group
from unetscope.reporting.paper_plane import draw_plane
from unetscope.reporting.paper_uplot import control_panels, draw_uplot, save_figures, trained_panels
from unetscope.wiring import IMAGE, Wiring


@pytest.fixture
def make_profile():
    """A profile of a network with random numbers below its ceilings."""

    def make(spec, label_ceiling=4.2, images=65, wiring=None):
        chance = np.random.default_rng(0)
        wiring = wiring or spec.wiring

        def estimate():
            bits = chance.uniform(0, 6)
            label = bits * label_ceiling / 6.1
            clauses = ("upper bound over 0.9 log2 N", "over 0.9 of H(Y)") if bits > 5 else ()
            return Estimate(Bounds(bits / 2, bits), LabelInformation(label, 0.0, label), clauses, 0.2)

        layers = tuple(
            PaperLayer(layer, estimate(), estimate(), ShuffledInformation(0.4, 0.1, 0.5), bool(chance.random() < 0.3))
            for layer in (IMAGE, *wiring.layers)
        )
        names = tuple(f"image {index}" for index in range(images))
        codes = CodeStatistics(30, 20, label_ceiling)
        similarities = dict.fromkeys((IMAGE, *wiring.layers), Similarity(0.5, 0.3, 0.6, None))
        return PaperProfile(
            layers, layers, similarities, names, (128, 128), False, codes, PaperSettings(), spec, wiring, {}
        )

    return make


SPECS = {
    "depth 0": UNetSpec.by_level((4,)),
    "depth 1, three convolutions": UNetSpec.by_level((4, 8), convolutions=3, down="strided", skips=()),
    "depth 2": UNetSpec.by_level((4, 8, 8)),
    "23 layers": UNetSpec.preset("ronneberger2015"),
    "volumes": UNetSpec.by_level((4, 8, 8, 8), ndim=3, strides=((1, 2, 2), (2, 2, 2), (2, 2, 2)), convolutions=1),
}


def written(figure):
    """Every text that can be seen, with its box in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    return [(text, text.get_window_extent(renderer)) for text in texts], figure.bbox


@pytest.mark.parametrize("name", SPECS)
def test_no_label_overlaps_another_or_leaves_the_page(make_profile, name):
    texts, page = written(draw_uplot(make_profile(SPECS[name]), "runs/nuclei"))
    for text, box in texts:
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1, text
    for (one, box), (other, other_box) in combinations(texts, 2):
        overlap = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
        assert overlap <= 0 or min(box.y1, other_box.y1) - max(box.y0, other_box.y0) <= 0, (one, other)


@pytest.mark.parametrize("draw", [draw_uplot, draw_plane])
def test_the_longest_name_of_a_run_fits(make_profile, draw):
    texts, page = written(draw(make_profile(SPECS["depth 0"]), "/home/someone/experiments" * 9))
    (title,) = [box for text, box in texts if "home" in text.get_text()]
    assert page.x0 <= title.x0
    assert title.x1 <= page.x1


@pytest.mark.parametrize("draw", [draw_uplot, draw_plane])
def test_no_text_is_smaller_than_seven_points(make_profile, draw):
    texts, _ = written(draw(make_profile(SPECS["23 layers"])))
    assert min(text.get_fontsize() for text, _ in texts) >= 7


def test_every_number_is_written(make_profile):
    profile = make_profile(SPECS["depth 2"])
    texts, _ = written(draw_uplot(profile))
    found = [text.get_text() for text, _ in texts]
    for panel in (*trained_panels(profile), *control_panels(profile)):
        assert panel.title in found
        for bits in panel.bits.values():
            found.remove(f"{bits:.2f}")


def test_the_facts_are_written(make_profile):
    profile = make_profile(SPECS["depth 2"])
    texts = " ".join(" ".join(text.get_text().split()) for text, _ in written(draw_uplot(profile, "runs/nuclei"))[0])
    for fact in ("runs/nuclei", "N = 65 validation images", "variance 0.2", "6.02 bits", "4.20 bits", profile.verdict):
        assert fact in texts


def test_what_says_nothing_is_marked(make_profile):
    profile = make_profile(SPECS["23 layers"])
    seen, known = trained_panels(profile)
    assert seen.void == {layer.layer for layer in profile.layers if layer.trained.saturated}
    assert known.void == {layer.layer for layer in profile.layers if layer.trained.saturated or layer.fails_control}
    untrained = control_panels(profile)[0]
    assert control_panels(profile)[1].void == untrained.void
    hatched = draw_uplot(profile).findobj(lambda artist: getattr(artist, "get_hatch", str)())
    assert len(hatched) == len(seen.void) + len(known.void) + 2 * len(untrained.void) + 1  # and the key


def test_saturated_layers_are_hollow_points(make_profile):
    profile = make_profile(SPECS["23 layers"])
    (dots,) = draw_plane(profile).axes[0].collections
    hollow = [bool((color == 1).all()) for color in dots.get_facecolors()]
    assert hollow == [bool(layer.trained.saturated) for layer in profile.layers]
    assert 0 < sum(hollow) < len(hollow)
    np.testing.assert_allclose(dots.get_offsets()[:, 0], [layer.trained.input.upper for layer in profile.layers])


def test_files_are_the_same_every_time(make_profile, tmp_path):
    profile = make_profile(SPECS["depth 2"])
    first, second = (save_figures(profile, tmp_path / folder, "a run") for folder in ("first", "second"))
    assert [path.name for path in first] == ["uplot.svg", "uplot.png", "plane.svg", "plane.png"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    ElementTree.parse(first[0])
    with Image.open(first[1]) as picture:
        assert len(np.unique(np.asarray(picture.convert("L")))) > 20


def test_a_name_is_never_read_as_mathematics(make_profile, tmp_path):
    sources = {"$\\frac$.a_b": ("image",), "<&>.$x": ("$\\frac$.a_b",), "head": ("<&>.$x",)}
    wiring = Wiring(sources, dict.fromkeys(sources, (1, 1)), {})
    profile = make_profile(SPECS["depth 0"], wiring=wiring)
    paths = save_figures(profile, tmp_path, r"C:\runs\$\frac{1$")
    ElementTree.parse(paths[0])
    texts, _ = written(draw_uplot(profile, r"$\frac{1$"))
    assert r"Information flow in $\frac{1$" in [text.get_text() for text, _ in texts]


def test_the_settings_of_matplotlib_stay_as_they_are(make_profile, tmp_path):
    before = dict(matplotlib.rcParams)
    save_figures(make_profile(SPECS["depth 0"]), tmp_path)
    assert dict(matplotlib.rcParams) == before


def test_labels_without_entropy_can_be_drawn(make_profile, tmp_path):
    save_figures(make_profile(SPECS["depth 2"], label_ceiling=0.0), tmp_path)


def test_a_profile_of_resampled_training_images_says_so(make_profile):
    profile = make_profile(SPECS["depth 0"])
    profile = replace(profile, resampled=True, settings=replace(profile.settings, role="train"))
    texts = [text.get_text() for text, _ in written(draw_uplot(profile))[0]]
    assert any("N = 65 training images of 128 \u00d7 128 pixels, resampled" in text for text in texts)


def test_a_folder_that_cannot_be_written_is_said(make_profile, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        save_figures(make_profile(SPECS["depth 0"]), tmp_path / "file")


def relative_luminance(color):
    parts = np.array(matplotlib.colors.to_rgb(color))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_numbers_can_be_read_on_every_color():
    """Contrast as the Web Content Accessibility Guidelines 2.1 define it."""
    for bits in np.linspace(0, 1, 501):
        dark, light = sorted(relative_luminance(color) for color in choose_colors(bits, 1.0))
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_names_are_cut_to_fit():
    assert name_block("down1.maxpool_conv.1.double_convolution") == "dou\u2026ion"
    assert len(name_group(["down1.maxpool_conv.1.a", "up2.x"])) == 11
    assert name_group(["image", "head"]) == ""
