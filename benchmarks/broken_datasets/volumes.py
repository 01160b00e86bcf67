"""Volumes: stacks of pages, NIfTI, nnU-Net's folders and DICOM series that do not fit together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from broken_datasets.cases import Array, Pairs, cut, divided, paint, refused, repaired, save, truth

_SHAPE = (8, 24, 28)
_STEPS = (1.0, 1.0, 2.0, 1.0)  # along x, y and z in mm


def _paint() -> Pairs:
    """Six good volumes with masks of 0 and 1."""
    return paint(shape=_SHAPE)


# ----------------------------------------------------------------------------------------------------------- pages


def _write_stacks(folder: Path, axes: str) -> Pairs:
    """The good volumes as TIFF stacks whose pages are called so."""
    pairs = _paint()
    for name, (image, labels) in pairs.items():
        for kind, pixels in (("images", image), ("labels", labels)):
            save(folder / kind / f"{name}.tif", pixels, imagej=True, metadata={"axes": axes})
    return truth(pairs)


@refused("images/a.tif", "8 pages", "time", "ZYX")
def slices_called_time(folder: Path) -> None:
    """Slices of volumes are called time, as many programs save them."""
    _write_stacks(folder, "TYX")


@repaired(axes="ZYX")
def slices_called_time_and_explained(folder: Path) -> Pairs:
    """Slices of volumes are called time, and --axes ZYX says what they are."""
    return _write_stacks(folder, "TYX")


@refused("labels/b.tif", "7 x 24 x 28", "8 x 24 x 28", "export")
def mask_without_a_slice(folder: Path) -> None:
    """The mask of a volume lacks a slice."""
    _write_stacks(folder, "ZYX")
    save(folder / "labels" / "b.tif", _paint()["b"][1][:-1], imagej=True, metadata={"axes": "ZYX"})


@refused("labels/b.tif", "one 2D image", "volume")
def mask_of_one_slice(folder: Path) -> None:
    """One slice of a volume is annotated, and its mask has that slice alone."""
    _write_stacks(folder, "ZYX")
    save(folder / "labels" / "b.tif", _paint()["b"][1][4])


# ----------------------------------------------------------------------------------------------------------- NIfTI


def _save_nifti(path: Path, array: Array, affine: Array | None = None) -> Path:
    """Write (z, y, x) as (x, y, z)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array.T, np.diag(_STEPS) if affine is None else affine), path)
    return path


def _write_niftis(folder: Path) -> Pairs:
    """The good volumes as NIfTI files."""
    pairs = _paint()
    for name, (image, labels) in pairs.items():
        _save_nifti(folder / "images" / f"{name}.nii.gz", image)
        _save_nifti(folder / "labels" / f"{name}.nii.gz", labels)
    return truth(pairs)


@refused("labels/c.nii.gz", "8 x 24 x 27", "8 x 24 x 28", "export")
def nifti_mask_of_another_shape(folder: Path) -> None:
    """A NIfTI mask has another shape than its image."""
    _write_niftis(folder)
    _save_nifti(folder / "labels" / "c.nii.gz", _paint()["c"][1][..., :-1])


@refused("labels/c.nii.gz", "affine", "resample")
def nifti_mask_facing_the_other_way(folder: Path) -> None:
    """A NIfTI mask is stored from right to left, as its affine says, and its image from left to right."""
    _write_niftis(folder)
    affine = np.diag((-1.0, 1.0, 2.0, 1.0))
    affine[0, 3] = _SHAPE[-1] - 1
    _save_nifti(folder / "labels" / "c.nii.gz", _paint()["c"][1][..., ::-1], affine)


@refused("labels/c.nii.gz", "affine", "resample")
def nifti_mask_of_another_place(folder: Path) -> None:
    """A NIfTI mask lies 5 mm away from its image."""
    _write_niftis(folder)
    affine = np.diag(_STEPS)
    affine[0, 3] = 5
    _save_nifti(folder / "labels" / "c.nii.gz", _paint()["c"][1], affine)


@refused("labels/c.nii.gz", "pixels of", "resample")
def nifti_mask_of_other_steps(folder: Path) -> None:
    """A NIfTI mask has voxels of another size than its image."""
    _write_niftis(folder)
    _save_nifti(folder / "labels" / "c.nii.gz", _paint()["c"][1], np.diag((1.0, 1.0, 1.0, 1.0)))


@repaired()
def nifti_masks_of_floats(folder: Path) -> Pairs:
    """NIfTI masks hold 0.0 and 1.0 as 64-bit floats, and have a fourth axis of length 1."""
    expected = _write_niftis(folder)
    for name, (_, labels) in _paint().items():
        _save_nifti(folder / "labels" / f"{name}.nii.gz", labels.astype(np.float64)[None])
    return expected


@refused("labels/c.nii.gz", "damaged", "again")
def truncated_nifti(folder: Path) -> None:
    """The second half of a NIfTI mask is missing."""
    _write_niftis(folder)
    cut(folder / "labels" / "c.nii.gz")


# -------------------------------------------------------------------------------------------------------- OME-TIFF


@refused("images/a.tif", "a part of its image", "one file")
def volume_that_ends_too_early(folder: Path) -> None:
    """The notes of an OME-TIFF speak of more slices than it holds."""
    _write_stacks(folder, "ZYX")
    image = _paint()["a"][0]
    save(folder / "images" / "a.tif", image[:5], description=divided({"a.tif": len(image)}, image.shape), metadata=None)


@refused("labels/a.tif", "8 x 24 x 28", "5 x 24 x 28", "export")
def volume_in_two_files(folder: Path) -> None:
    """An OME-TIFF says that the last slices of the volume lie in another file, which is missing."""
    _write_stacks(folder, "ZYX")
    image = _paint()["a"][0]
    notes = divided({"a.tif": 5, "a-2.tif": 3}, image.shape)
    save(folder / "images" / "a.tif", image[:5], description=notes, metadata=None)


# --------------------------------------------------------------------------------------------------------- nnU-Net


def _write_nnunet(folder: Path, **changes: Any) -> Pairs:
    """The good volumes with two channels as nnU-Net has them."""
    pairs = _paint()
    for name, (image, labels) in pairs.items():
        for channel, pixels in enumerate((image, 255 - image)):
            _save_nifti(folder / "imagesTr" / f"{name}_{channel:04}.nii.gz", pixels)
        _save_nifti(folder / "labelsTr" / f"{name}.nii.gz", labels)
    content = {
        "channel_names": {"0": "T1", "1": "T2"},
        "labels": {"background": 0, "tumor": 1},
        "numTraining": len(pairs),
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(content | changes))
    return {name: (np.stack([image, 255 - image]), labels) for name, (image, labels) in pairs.items()}


@repaired()
def nnunet_as_it_should_be(folder: Path) -> Pairs:
    """A folder of nnU-Net's with two channels, in which hidden files were left."""
    (folder / "imagesTr").mkdir()
    (folder / "imagesTr" / "._a_0000.nii.gz").write_bytes(b"\x00\x05\x16\x07")
    return _write_nnunet(folder)


@refused("imagesTr/c_0001.nii.gz", "T2", "add the file")
def nnunet_without_a_channel(folder: Path) -> None:
    """A case of nnU-Net's lacks the file of its second channel."""
    _write_nnunet(folder)
    (folder / "imagesTr" / "c_0001.nii.gz").unlink()


@refused("labelsTr/d.nii.gz", "value 7", "0, 1", "declare it or mend")
def nnunet_with_an_unknown_label(folder: Path) -> None:
    """A mask of nnU-Net's holds a number that dataset.json does not name."""
    _write_nnunet(folder)
    _save_nifti(folder / "labelsTr" / "d.nii.gz", _paint()["d"][1] * np.uint8(7))


@refused("dataset.json", "whole", "regions that overlap", "its own class")
def nnunet_with_regions(folder: Path) -> None:
    """dataset.json declares regions that overlap."""
    _write_nnunet(folder, labels={"background": 0, "whole": [1, 2], "core": 2})


@refused("dataset.json", "JSON", "mend")
def nnunet_with_broken_json(folder: Path) -> None:
    """dataset.json ends in the middle."""
    _write_nnunet(folder)
    cut(folder / "dataset.json")


@refused("labelsTr", "6 .nii.gz", ".mha", "convert")
def nnunet_of_another_ending(folder: Path) -> None:
    """dataset.json announces files of another ending."""
    _write_nnunet(folder, file_ending=".mha")


@refused("", "no dataset.json", "add it")
def nnunet_without_json(folder: Path) -> None:
    """dataset.json is missing."""
    _write_nnunet(folder)
    (folder / "dataset.json").unlink()


# ----------------------------------------------------------------------------------------------------------- DICOM


def _save_slices(folder: Path, volume: Array, heights: Sequence[float], series: str = "1.2.1") -> None:
    """Write slices of a CT volume in the order of their names, at these heights (mm)."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

    folder.mkdir(parents=True, exist_ok=True)
    for index, (plane, height) in enumerate(zip(volume, heights, strict=True)):
        header, header.file_meta = (header := Dataset()), FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = CTImageStorage
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = UID(f"{series}.{index + 1}")
        header.SeriesInstanceUID, header.StudyInstanceUID, header.FrameOfReferenceUID = series, "1.2.2", "1.2.3"
        header.Modality, header.InstanceNumber = "CT", index + 1
        (header.Rows, header.Columns), header.SamplesPerPixel = plane.shape, 1
        header.BitsAllocated = header.BitsStored = 16
        header.HighBit, header.PixelRepresentation, header.PhotometricInterpretation = 15, 1, "MONOCHROME2"
        header.RescaleSlope, header.RescaleIntercept = 1, 0
        header.PixelSpacing, header.ImageOrientationPatient = [1, 1], [1, 0, 0, 0, 1, 0]
        header.ImagePositionPatient = [0, 0, height]
        header.PixelData = plane.astype("<i2").tobytes()
        header.save_as(folder / f"{series}-{index:02}.dcm", enforce_file_format=True)


def _write_series(folder: Path) -> Pairs:
    """The good volumes as DICOM series, with masks as NIfTI files."""
    pairs = {name: (image.astype(np.int16), labels) for name, (image, labels) in _paint().items()}
    affine = np.diag((-1.0, -1.0, 2.0, 1.0))  # DICOM's x and y go to the left and back, those of NIfTI the other way
    for name, (image, labels) in pairs.items():
        _save_slices(folder / "images" / name, image, range(0, 16, 2))
        _save_nifti(folder / "labels" / f"{name}.nii.gz", labels, affine)
    return truth(pairs)


@repaired()
def dicom_slices_in_reverse(folder: Path) -> Pairs:
    """The names of a series' slices are in reverse order: positions count."""
    pairs = _write_series(folder)
    for path in list((folder / "images" / "a").iterdir()):
        path.unlink()
    _save_slices(folder / "images" / "a", pairs["a"][0][0, ::-1], range(14, -2, -2))
    return pairs


@refused("images/b", "1.2.1-04.dcm", "4 mm apart", "add the missing slices")
def dicom_series_without_a_slice(folder: Path) -> None:
    """A slice of a DICOM series is missing."""
    _write_series(folder)
    (folder / "images" / "b" / "1.2.1-05.dcm").unlink()


@refused("images/b", "2 series", "a folder of its own")
def two_dicom_series(folder: Path) -> None:
    """Two DICOM series lie in one folder."""
    _write_series(folder)
    _save_slices(folder / "images" / "b", _paint()["c"][0], range(0, 16, 2), series="1.2.9")


@refused("images/b/1.2.1-03.dcm", "damaged", "again")
def truncated_dicom(folder: Path) -> None:
    """A file of a DICOM series is cut off."""
    _write_series(folder)
    cut(folder / "images" / "b" / "1.2.1-03.dcm")


@refused("labels/b.nii.gz", "other", "resample")
def nifti_masks_upside_down_to_dicom(folder: Path) -> None:
    """A mask was drawn on a NIfTI file that a converter had turned upside down, as its affine says."""
    _write_series(folder)
    affine = np.diag((-1.0, 1.0, 2.0, 1.0))
    affine[1, 3] = 1 - _SHAPE[1]
    _save_nifti(folder / "labels" / "b.nii.gz", _paint()["b"][1][:, ::-1], affine)
