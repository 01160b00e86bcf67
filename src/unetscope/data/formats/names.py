"""How image files are called: suffixes of one or two parts, and stems; knows names, not formats."""

from __future__ import annotations

from pathlib import Path

_OF_TWO_PARTS = (".nii.gz", ".ome.tif", ".ome.tiff")


def suffix_of(path: Path) -> str:
    """The suffix of a file in lower case, of two parts where both name the format.

    Args:
        path: A file or folder, which need not exist.

    Returns:
        Such as ".tif"; empty for a name without a dot.

    Example:
        >>> suffix_of(Path("a.b.TIF")), suffix_of(Path("a.nii.gz")), suffix_of(Path("a.OME.TIF"))
        ('.tif', '.nii.gz', '.ome.tif')
    """
    name = path.name.lower()
    return next((suffix for suffix in _OF_TWO_PARTS if name.endswith(suffix)), path.suffix.lower())


def stem_of(path: Path) -> str:
    """The name of a file without its suffix; the whole name of a folder.

    Args:
        path: A file or folder.

    Returns:
        The stem.

    Example:
        >>> stem_of(Path("scans/a.b.nii.gz")), stem_of(Path("a.OME.TIF"))
        ('a.b', 'a')
    """
    return path.name if path.is_dir() else path.name[: len(path.name) - len(suffix_of(path))]
