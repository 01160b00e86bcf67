"""A broken dataset is refused in one sentence that names the file and the fix, or read exactly as it was meant."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from unetscope.data.dataset import Dataset

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    from broken_datasets import CASES, Case, NotHereError
    from broken_datasets.attempts import check, train

REFUSED = {name: case for name, case in CASES.items() if case.is_refused}
REPAIRED = {name: case for name, case in CASES.items() if not case.is_refused}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a dataset is built."""
    path = tmp_path / "data"
    path.mkdir()
    return path


def build(case: Case, folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Write a dataset; returns what is true of it."""
    try:
        return dict(case.build(folder) or {})
    except NotHereError as error:
        pytest.skip(str(error))


def digests(folder: Path) -> dict[str, str]:
    """What every file that can be read holds."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def lacking(case: Case, folder: Path, text: str) -> list[str]:
    """The words that a message should hold and does not."""
    named = [] if case.file is None else [str(folder / case.file)]
    return [words for words in (*named, *case.said) if words not in text]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_right_is_refused_before_anything_is_written(name: str, folder: Path, tmp_path: Path) -> None:
    case = REFUSED[name]
    build(case, folder)
    trained, checked = train(folder, tmp_path / "run", case.options), check(folder, case.options)
    assert (trained.code, trained.output, trained.told.count("error: ")) == (2, "", 1), trained.told
    assert lacking(case, folder, trained.error) == [], trained.told
    assert (checked.code, checked.output) == (2, ""), checked.told
    assert lacking(case, folder, checked.told) == [], checked.told
    assert "Traceback" not in trained.told + checked.told
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("name", REPAIRED)
def test_what_can_be_right_is_read_as_it_was_meant(name: str, folder: Path, tmp_path: Path) -> None:
    case = REPAIRED[name]
    truth = build(case, folder)
    before = digests(folder)
    trained, checked = train(folder, tmp_path / "run", case.options), check(folder, case.options)
    assert (trained.code, checked.code) == (0, 0), trained.told + checked.told
    assert bool(trained.warnings) == bool(checked.warnings) == bool(case.said), checked.told
    assert lacking(case, folder, "\n".join(checked.warnings)) == [], checked.told
    dataset = Dataset.open(folder, **case.options)
    assert set(dataset.names) == truth.keys()
    for item in dataset.items:
        for seen, true in zip(dataset.read(item), truth[item.name], strict=True):
            np.testing.assert_array_equal(seen, true, err_msg=item.name)
    assert digests(folder) == before


def test_there_are_many_cases_and_each_says_what_is_broken() -> None:
    assert min(len(REFUSED), len(REPAIRED)) >= 30
    assert all(case.title for case in CASES.values())
