"""Where results lie: a DICOM SEG read, segmented anew and written back, and a GeoTIFF that keeps its georeference.

    python benchmarks/geometry.py --data ../shared/data/dicom_seg_liver

Every file that is written is read again by another reader: DICOM by plain pydicom, GeoTIFF by rasterio.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import pydicom
import rasterio
import torch

from unetscope.checkpoint import Checkpoint
from unetscope.data.formats.dicom_segmentation import read_segmentation_on, segments
from unetscope.data.images import read_image, read_spacing, write_labels
from unetscope.data.intensities import measure
from unetscope.data.normalization import Normalization, span
from unetscope.data.scenes import aerial
from unetscope.file_segmentation import open_job, run_job
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.segmentation import Segmenter

LEFT, TOP, PIXEL, SYSTEM = 448_262.0, 5_411_932.5, 0.5, "EPSG:32632"


def main() -> None:
    """Write, read with another reader, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dicom_seg_liver"))
    parser.add_argument("--work", type=Path, default=Path("runs/geometry"))
    arguments = parser.parse_args()
    shutil.rmtree(arguments.work, ignore_errors=True)
    compare_dicom(arguments.data, arguments.work)
    compare_geotiff(arguments.work)


def compare_dicom(data: Path, work: Path) -> None:
    """The liver of the fixture, as it is and as a network labels the series."""
    series = work / "series"
    series.mkdir(parents=True)
    for name in ("01.dcm", "02.dcm", "03.dcm"):
        shutil.copy(data / name, series / name)
    image, spacing = read_image(series, 3), read_spacing(series, 3)
    labels = read_segmentation_on(data / "liver.dcm", series)
    print(f"series: {image.shape[1:]} pixels, {spacing}, {image.min()} to {image.max()} HU")
    print(f"segments of liver.dcm: {segments(data / 'liver.dcm')}, {np.count_nonzero(labels)} pixels")
    write_labels(work / "again.dcm", labels, like=series, classes=("background", *segments(data / "liver.dcm")))
    report_segmentation(work / "again.dcm", series, labels)
    segmenter = untrained(UNetSpec.preset("default", ndim=3, width=4, depth=1, classes=2), image)
    found = run_job(segmenter, open_job(segmenter, series), work)
    report_segmentation(found.labels, series, segmenter.labels(image, "series", spacing))


def untrained(spec: UNetSpec, image: np.ndarray) -> Segmenter:
    """A network with random weights: what it finds is nothing, where it lies is what counts here."""
    torch.manual_seed(0)
    normalization: Normalization = span([measure(image)])
    classes = ("background", *(f"class {index}" for index in range(1, spec.classes)))
    return Segmenter(Checkpoint(spec, UNet(spec).state_dict(), normalization, classes))


def report_segmentation(path: Path, series: Path, expected: np.ndarray) -> None:
    """What plain pydicom finds in a SEG: pixels of the first segment, and which images it refers to."""
    header = pydicom.dcmread(path)
    bits = np.unpackbits(np.frombuffer(header.PixelData, np.uint8), bitorder="little")
    masks = bits[: int(header.NumberOfFrames) * header.Rows * header.Columns].reshape(-1, header.Rows, header.Columns)
    referred = {each.ReferencedSOPInstanceUID for each in header.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    known = {pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID for file in series.iterdir()}
    print(
        f"{path.name}, read by pydicom: {header.Modality}, {len(masks)} frames, segments "
        f"{[str(each.SegmentLabel) for each in header.SegmentSequence]}, {masks.sum()} pixels (expected "
        f"{np.count_nonzero(expected)}), refers to {len(referred & known)} of {len(known)} slices",
        flush=True,
    )


def compare_geotiff(work: Path) -> None:
    """A simulated aerial photograph with a place on earth."""
    scene = aerial((256, 320), seed=0)
    source = work / "photo.tif"
    transform = rasterio.transform.from_origin(LEFT, TOP, PIXEL, PIXEL)
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": SYSTEM, "transform": transform}
    with rasterio.open(source, "w", height=256, width=320, **profile) as file:
        file.write(scene.image)
    segmenter = untrained(UNetSpec.preset("default", width=4, depth=1, classes=4, image_channels=3), scene.image)
    found = run_job(segmenter, open_job(segmenter, source), work / "segmented")
    with rasterio.open(source) as before, rasterio.open(found.labels) as after:
        same = before.crs == after.crs and before.transform == after.transform and before.bounds == after.bounds
        print(
            f"{found.labels.name}, read by rasterio: {after.crs}, bounds {tuple(after.bounds)}, pixel "
            f"{after.res}; equal to the photograph's: {same}; labels equal to the network's: "
            f"{np.array_equal(after.read(1), segmenter.labels(scene.image))}"
        )


if __name__ == "__main__":
    main()
