"""Each kind of file gets its pictures, and what is no profile a sentence."""

from __future__ import annotations

import json

import pytest
from profiles import SMALL, WIRINGS, make_epochs, make_profile
from test_paper_uplot import make_profile as make_paper_profile  # noqa: F401 (a fixture)

from unetscope.errors import DataError
from unetscope.model.spec import UNetSpec
from unetscope.reporting.pictures import save_pictures


def names(paths):
    return [path.name for path in paths]


def pairs(*stems):
    return [f"{stem}.{suffix}" for stem in stems for suffix in ("svg", "png")]


def test_a_profile_has_its_pictures(tmp_path):
    make_profile(SMALL).save(tmp_path / "profile.json")
    paths = save_pictures(tmp_path / "profile.json", tmp_path / "pictures")
    assert names(paths) == pairs("uplot", "gates", "ladder", "plane")
    assert all(path.stat().st_size for path in paths)


def test_a_network_without_gates_has_fewer(tmp_path):
    make_profile(WIRINGS["depth 0"]).save(tmp_path / "profile.json")
    assert names(save_pictures(tmp_path / "profile.json", tmp_path)) == pairs("uplot", "ladder", "plane")


def test_a_profile_as_published_has_its_own(make_paper_profile, tmp_path):  # noqa: F811
    make_paper_profile(UNetSpec.by_level((4, 8))).save(tmp_path / "profile.json")
    assert names(save_pictures(tmp_path / "profile.json", tmp_path)) == pairs("uplot", "plane")


def test_a_folder_over_epochs_has_one_more(tmp_path):
    for epoch, profile in make_epochs(SMALL, epochs=(2, 10)):
        profile.save(tmp_path / f"profile-{epoch:03d}.json")
    assert names(save_pictures(tmp_path, tmp_path)) == pairs("uplot", "gates", "ladder", "plane", "epochs")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '"text"', '{"gates": []}', '{"format": 2, "gates": [1]}', '{"format": 1}']
)
def test_what_is_no_profile_is_told_in_a_sentence(content, tmp_path):
    (tmp_path / "profile.json").write_text(content)
    with pytest.raises(DataError, match=r"profile\.json"):
        save_pictures(tmp_path / "profile.json", tmp_path / "pictures")
    assert not (tmp_path / "pictures").exists()


def test_a_missing_file_and_an_empty_folder_are_told(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        save_pictures(tmp_path / "none.json", tmp_path)
    with pytest.raises(DataError, match="holds no file named"):
        save_pictures(tmp_path, tmp_path)


def test_published_profiles_are_not_drawn_over_epochs(make_paper_profile, tmp_path):  # noqa: F811
    make_paper_profile(UNetSpec.by_level((4, 8))).save(tmp_path / "profile-1.json")
    with pytest.raises(DataError, match="one by one"):
        save_pictures(tmp_path, tmp_path)


def test_a_profile_comes_back_from_its_file(tmp_path):
    profile = make_profile()
    profile.save(tmp_path / "profile.json")
    assert json.loads((tmp_path / "profile.json").read_text())["name"] == profile.name
