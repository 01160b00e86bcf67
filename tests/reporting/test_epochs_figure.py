"""Pictures over epochs and information planes show each value where it belongs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from profiles import SMALL, WIRINGS, make_epochs, make_profile
from test_uplot import written

from unetscope.errors import DataError
from unetscope.information.findings import INPUT, LINEAR
from unetscope.reporting.epochs import choose_epochs, draw_epochs
from unetscope.reporting.figures import save_figure
from unetscope.reporting.plane import draw_plane


def curves(figure):
    """Every line of the figure as lists of numbers."""
    return [(list(line.get_xdata()), list(line.get_ydata())) for axes in figure.axes for line in axes.lines]


def without_input(profile):
    layers = (
        replace(one, bits={name: value for name, value in one.bits.items() if name != INPUT}) for one in profile.layers
    )
    return replace(profile, layers=tuple(layers))


@pytest.mark.parametrize("name", ["depth 0", "foreign", "nested"])
def test_every_layer_and_every_path_has_its_line(name):
    profiles = make_epochs(WIRINGS[name], (0, 3, 10))
    lines = curves(draw_epochs(profiles[::-1]))  # in whatever order they come
    for layer in WIRINGS[name].layers:
        assert ([0, 3, 10], [one.layer(layer).linear.value for _, one in profiles]) in lines
    for gate in range(len(profiles[0][1].gates)):
        for part in range(len(profiles[0][1].gates[gate].parts)):
            values = [one.gates[gate].parts[part].added[LINEAR].value for _, one in profiles]
            assert ([0, 3, 10], values) in lines


@pytest.mark.parametrize("name", ["depth 0", "foreign", "nested"])
def test_the_plane_holds_every_path(name):
    profiles = make_epochs(WIRINGS[name], (0, 3, 10))
    for figure in (draw_epochs(profiles), draw_plane(profiles)):
        lines = curves(figure)
        for layer in WIRINGS[name].layers:
            pairs = [(one.layer(layer).bits[INPUT].value, one.layer(layer).linear.value) for _, one in profiles]
            assert tuple(map(list, zip(*pairs, strict=True))) in lines


def test_a_single_plane_joins_the_layers_in_order():
    profile = make_profile(WIRINGS["lee2021"])
    x, y = ([one.bits[name].value for one in profile.layers] for name in (INPUT, LINEAR))
    assert (x, y) in curves(draw_plane([(0, profile)]))


@pytest.mark.parametrize("name", ["lee2021", "depth 0", "nested"])
@pytest.mark.parametrize("draw", [draw_epochs, draw_plane])
def test_texts_stay_on_the_page_and_can_be_read(name, draw):
    texts, page = written(draw(make_epochs(WIRINGS[name], (0, 3))))
    for text, box in texts:
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1, text
        assert text.get_fontsize() >= 7


def test_the_caption_says_what_the_plane_shows():
    for figure in (draw_epochs(make_epochs(SMALL)), draw_plane(make_epochs(SMALL))):
        text = " ".join(" ".join(text.get_text().split()) for text, _ in written(figure)[0])
        assert "Gaussian information between a layer and the first 32 principal components of the input patch" in text
        assert "constant or infinite" in text


def test_epochs_without_a_plane_can_be_drawn_and_a_plane_without_values_cannot():
    profiles = [(epoch, without_input(one)) for epoch, one in make_epochs(SMALL)]
    texts = " ".join(text.get_text() for text, _ in written(draw_epochs(profiles))[0])
    assert "recoverable" not in texts
    with pytest.raises(DataError, match="without information about the input"):
        draw_plane(profiles)


def test_profiles_of_two_networks_or_none_are_refused():
    with pytest.raises(DataError, match="different layers"):
        draw_epochs([(0, make_profile()), (1, make_profile(WIRINGS["depth 1"]))])
    with pytest.raises(DataError, match="no profile"):
        draw_epochs([])


def test_many_epochs_can_be_drawn():
    written(draw_epochs(make_epochs(SMALL, epochs=range(0, 40, 2), images=6)))


def test_one_epoch_can_be_drawn_and_files_repeat(tmp_path):
    profiles = make_epochs(SMALL, epochs=(5,), images=6)
    first, second = (save_figure(draw_epochs(profiles), tmp_path / folder / "epochs") for folder in ("first", "second"))
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("count", range(1, 30))
@pytest.mark.parametrize("most", [1, 2, 6])
def test_the_last_epoch_is_always_shown_and_never_more_than_fit(count, most):
    chosen = choose_epochs(count, most)
    assert chosen[-1] == count - 1
    assert len(chosen) == min(count, most)
    assert chosen == sorted(set(chosen))
