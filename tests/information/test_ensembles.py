"""One run, several seeds and the folds of a cross-validation are each profiled as one design."""

from __future__ import annotations

import json

import numpy as np
import pytest

from unetscope.errors import CheckpointError, DataError
from unetscope.information.ensembles import FOLDS, find_runs, picture_run, profile_runs
from unetscope.information.gallery import save_gallery, thin
from unetscope.information.profiling import ProfileSettings
from unetscope.model.spec import UNetSpec

QUICK = ProfileSettings(effort="brief", pixels=2000)


@pytest.fixture
def runs(tmp_path, dataset, make_checkpoint):
    """A folder of two runs."""
    for seed in (0, 1):
        make_checkpoint(dataset.names[:6], test=dataset.names[6 + 2 * seed : 8 + 2 * seed]).save(
            tmp_path / "runs" / f"seed-{seed}"
        )
    return tmp_path / "runs"


def test_a_run_is_itself_and_a_folder_holds_its_runs(runs, tmp_path):
    assert find_runs(runs / "seed-1") == (runs / "seed-1",)
    assert find_runs(runs) == (runs / "seed-0", runs / "seed-1")
    with pytest.raises(CheckpointError, match="neither"):
        find_runs(tmp_path / "empty")


def test_several_runs_are_profiled_as_one_design(runs, dataset):
    told = []
    found = profile_runs(runs, dataset, QUICK, lambda *step: told.append(step))
    assert (found.networks, found.name, found.images) == (2, "runs", dataset.names[:6])
    assert set(found.prior.tally.member) == {0, 1}
    assert [step for step, _, _ in told] == list(range(1, told[-1][1] + 1))
    assert told[-1][2].startswith("network 2 of 2")


def test_folds_are_profiled_on_what_their_networks_did_not_see(runs, dataset):
    (runs / FOLDS).write_text(json.dumps({}))
    found = profile_runs(runs, dataset, QUICK)
    assert set(found.images) == set(dataset.names[6:10])


def test_runs_of_different_designs_are_refused(runs, dataset, make_checkpoint):
    make_checkpoint(dataset.names[:6], UNetSpec.by_level((4, 8, 8))).save(runs / "seed-2")
    with pytest.raises(DataError, match="different layers"):
        profile_runs(runs, dataset, QUICK)


def test_pictures_are_small_and_read_without_unpickling(runs, dataset, tmp_path):
    pictures = picture_run(runs, dataset, QUICK)
    save_gallery(pictures, tmp_path / "profile.npz")
    with np.load(tmp_path / "profile.npz", allow_pickle=False) as read:
        assert set(read.files) == set(pictures)
        channels, strongest = read["0/encoder.0.conv1/channels"], read["0/encoder.0.conv1/strongest"]
        assert (channels.dtype, channels.shape) == (np.uint8, (4, 16, 16))
        assert sorted(strongest) == [0, 1, 2, 3]
        assert read["2/bottleneck.conv2/probe"].shape == (8, 8)
        assert read["1/labels"].max() == 1


@pytest.mark.parametrize(
    ("shape", "expected"), [((2, 50, 40), (50, 40)), ((1, 400, 100), (100, 25)), ((3, 9, 200, 4), (100, 2))]
)
def test_maps_are_thinned_and_volumes_cut_in_the_middle(shape, expected):
    maps = np.arange(np.prod(shape)).reshape(shape)
    found = thin(maps)
    assert found.shape == (shape[0], *expected)
    assert found[0, 0, 0] == (maps[0, shape[1] // 2, 0, 0] if len(shape) == 4 else 0)
