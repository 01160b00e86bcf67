import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("PIL", "imagecodecs", "nibabel", "pydicom", "rasterio", "scipy", "skimage", "tifffile", "torch")
READING = "import numpy as np; from unetscope.data.images import *; from pathlib import Path; p = Path(r'{path}');"
WRITE_AND_READ = READING + " write_labels(p, np.eye(9, dtype=np.uint8), made_by={{'a': 'b'}}); read_image(p)"


def loaded_by(code: str) -> set[str]:
    """The heavy libraries that a fresh interpreter has loaded after some lines."""
    told = f"{code}; import sys; print(*({{name.split('.')[0] for name in sys.modules}} & set({HEAVY})))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_arrays_and_files_are_known_without_the_libraries_that_some_need() -> None:
    modules = ("images", "normalization", "spacing", "objects", "reading", "dataset")
    assert loaded_by(f"import {', '.join(f'unetscope.data.{name}' for name in modules)}") == set()


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [("png", {"PIL"}), ("tif", {"tifffile", "imagecodecs"}), ("npy", set())],
)
def test_a_file_loads_the_library_of_its_format_alone(tmp_path: Path, suffix: str, expected: set[str]) -> None:
    assert loaded_by(WRITE_AND_READ.format(path=tmp_path / f"a.{suffix}")) == expected
