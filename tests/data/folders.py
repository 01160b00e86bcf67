"""Small dataset folders for the tests beside this module."""

from pathlib import Path

import numpy as np

from unetscope.data.dataset import Dataset, Item, Labelling
from unetscope.data.images import write_image, write_labels

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


def write_series(folder: Path, volume: np.ndarray, spacing: tuple[float, float, float] = (2.0, 0.5, 0.5)) -> None:
    """A CT volume (z, y, x) as one DICOM file a slice."""
    from pydicom.dataset import Dataset as Header
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    folder.mkdir(parents=True, exist_ok=True)
    for index, plane in enumerate(volume):
        header = Header()
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = CTImageStorage
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = f"1.2.3.{index + 1}"
        header.SeriesInstanceUID, header.StudyInstanceUID, header.FrameOfReferenceUID = "1.2.4", "1.2.5", "1.2.6"
        header.Modality, header.InstanceNumber = "CT", index + 1
        header.Rows, header.Columns = plane.shape
        header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
        header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 1
        header.RescaleSlope, header.RescaleIntercept = 1, 0
        header.PixelSpacing, header.SliceThickness = list(spacing[1:]), spacing[0]
        header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        header.ImagePositionPatient = [0, 0, spacing[0] * index]
        header.PixelData = plane.astype("<i2").tobytes()
        header.save_as(folder / f"{index}.dcm", enforce_file_format=True)
