"""Which public sets there are, where, and under which terms; knows words and addresses, not files and not networks.

A checksum stands here only where somebody publishes one: MONAI for the archives it hosts, and the authors of torch-em,
with whom others agree, for BBBC039. Elsewhere the first download is remembered instead.
"""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from typing import Any

from unetscope.errors import DataError

_BBBC = "https://data.broadinstitute.org/bbbc"
_CAMBRIDGE = "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/data"
_LONDON = "http://web4.cs.ucl.ac.uk/staff/g.brostow/MotionSegRecData"
_COLLECTION = "from the Broad Bioimage Benchmark Collection (Ljosa et al. 2012, Nature Methods 9:637)"


@dataclass(frozen=True)
class RemoteFile:
    """One file of a public set.

    Attributes:
        name: What it is called, also on mirrors.
        addresses: Where it is, in the order in which they are tried.
        megabytes: About how large it is, in 10^6 bytes; nothing where that is not known.
        checksum: "sha256:..." or "md5:..." where one is published, otherwise empty.
    """

    name: str
    addresses: tuple[str, ...]
    megabytes: float | None = None
    checksum: str = ""


@dataclass(frozen=True)
class PublicSet:
    """A public set of annotated images.

    Attributes:
        name: What to ask for.
        title: What it is called.
        page: Where its publisher describes it.
        license: The terms of use.
        citation: What to cite.
        content: What it holds.
        splits: Which images are for training and for testing, and who says so.
        files: What is downloaded; nothing where the publisher wants to know who downloads.
        registration: How to get it where `files` is empty.
    """

    name: str
    title: str
    page: str
    license: str
    citation: str
    content: str
    splits: str
    files: tuple[RemoteFile, ...]
    registration: str = ""

    @property
    def megabytes(self) -> float | None:
        """About how much is downloaded, in 10^6 bytes; nothing where that is not known."""
        sizes = [file.megabytes for file in self.files]
        return sum(size for size in sizes if size) if sizes and all(sizes) else None

    def to_json(self) -> dict[str, Any]:
        """A mapping of plain values."""
        return asdict(self) | {"files": [asdict(file) for file in self.files], "megabytes": self.megabytes}

    def lines(self) -> tuple[str, ...]:
        """What to know before downloading, a sentence or two a line."""
        return (
            f"{self.title}: {self.content}",
            f"splits: {self.splits}",
            f"license: {self.license}",
            f"cite: {self.citation}",
            f"more: {self.page}",
        )


SETS = (
    PublicSet(
        name="bbbc038",
        title="BBBC038, nuclei of the 2018 Data Science Bowl",
        page="https://bbbc.broadinstitute.org/BBBC038",
        license="CC0 1.0 (public domain)",
        citation="Caicedo et al. 2019, Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl, "
        f"Nature Methods 16:1247, doi:10.1038/s41592-019-0612-7; image set BBBC038v1 {_COLLECTION}",
        content="670 annotated images of nuclei (stage1_train), fluorescence and stained tissue, 2D, one number per "
        "nucleus",
        splits="none is published",
        files=(RemoteFile("stage1_train.zip", (f"{_BBBC}/BBBC038/stage1_train.zip",), 83),),
    ),
    PublicSet(
        name="bbbc039",
        title="BBBC039, nuclei of U2OS cells in a chemical screen",
        page="https://bbbc.broadinstitute.org/BBBC039",
        license="CC0 1.0 (public domain)",
        citation="Caicedo et al. 2019, Evaluation of deep learning strategies for nucleus segmentation in fluorescence "
        f"images, Cytometry A 95:952, doi:10.1002/cyto.a.23863; image set BBBC039v1 {_COLLECTION}",
        content="200 fluorescence images of 520 x 696 pixels with about 23,000 nuclei, 2D, one number per nucleus",
        splits="100 to train on, 50 to validate with and 50 to test with, by the publisher",
        files=(
            RemoteFile(
                "images.zip",
                (f"{_BBBC}/BBBC039/images.zip",),
                78,
                "sha256:6f30a5d4fe38c928ded972704f085975f8dc0d65d9aa366df00e5a9d449fddd7",
            ),
            RemoteFile(
                "masks.zip",
                (f"{_BBBC}/BBBC039/masks.zip",),
                2.8,
                "sha256:f9e6043d8ca56344a4886f96a700d804d6ee982f31e2b2cd3194af2a053c2710",
            ),
            RemoteFile(
                "metadata.zip",
                (f"{_BBBC}/BBBC039/metadata.zip",),
                0.02,
                "sha256:a2c1f900bed9ba92a99553efd4c2ae98598433691c7401d818653ab61110deb2",
            ),
        ),
    ),
    PublicSet(
        name="isbi2012",
        title="ISBI 2012, neurons in electron microscopy",
        page="https://imagej.net/events/isbi-2012-segmentation-challenge",
        license="none is stated; offered for research to the participants of the challenge",
        citation="Arganda-Carreras et al. 2015, Crowdsourcing the creation of image segmentation algorithms for "
        "connectomics, Frontiers in Neuroanatomy 9:142, doi:10.3389/fnana.2015.00142; Cardona et al. 2010, PLoS "
        "Biology 8:e1000502, doi:10.1371/journal.pbio.1000502",
        content="30 annotated sections of 512 x 512 pixels of a fruit fly's ventral nerve cord, 4 x 4 x 50 nm, 2D, "
        "membrane and cell",
        splits="none; the labels of the challenge's test sections are not used",
        files=(RemoteFile("ISBI-2012-challenge.zip", ("https://downloads.imagej.net/ISBI-2012-challenge.zip",)),),
    ),
    PublicSet(
        name="hippocampus",
        title="Medical Segmentation Decathlon, task 4, hippocampus",
        page="http://medicaldecathlon.com",
        license="CC BY-SA 4.0",
        citation="Antonelli et al. 2022, The Medical Segmentation Decathlon, Nature Communications 13:4128, "
        "doi:10.1038/s41467-022-30695-9; Simpson et al. 2019, arXiv:1902.09063",
        content="260 annotated MRI volumes of about 35 x 50 x 35 voxels of 1 mm, 3D, anterior and posterior "
        "hippocampus (reading them needs the extra `medical`)",
        splits="none; the labels of the publisher's test volumes are not public",
        files=(
            RemoteFile(
                "Task04_Hippocampus.tar",
                ("https://msd-for-monai.s3-us-west-2.amazonaws.com/Task04_Hippocampus.tar",),
                28,
                "md5:9d24dba78a72977dbd1d2e110310f31b",
            ),
        ),
    ),
    PublicSet(
        name="drive",
        title="DRIVE, vessels of the retina",
        page="https://drive.grand-challenge.org",
        license="research and education only; no redistribution; only for those who got it from the publisher",
        citation="Staal et al. 2004, Ridge-based vessel segmentation in color images of the retina, IEEE Transactions "
        "on Medical Imaging 23:501, doi:10.1109/TMI.2004.825627",
        content="20 annotated color photographs of 584 x 565 pixels (40 in older archives), 2D, background and vessel; "
        "pixels outside the field of view are ignored",
        splits="training and test by the publisher, where the archive has labels for both",
        files=(),
        registration="register at https://drive.grand-challenge.org, download it there, and give its files with --from",
    ),
    PublicSet(
        name="camvid",
        title="CamVid, the Cambridge-driving Labeled Video Database",
        page="http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/",
        license="none is stated; the publisher asks for the citation",
        citation="Brostow, Fauqueur and Cipolla 2009, Semantic object classes in video: a high-definition ground truth "
        "database, Pattern Recognition Letters 30:88, doi:10.1016/j.patrec.2008.04.005",
        content="701 annotated color frames of 720 x 960 pixels of a driving car, 2D, 31 classes in colors; void is "
        "ignored",
        splits="367 to train on, 101 to validate with and 233 to test with, as in SegNet (Badrinarayanan et al. 2017); "
        "the publisher gives none, and neighboring frames are alike",
        files=(
            RemoteFile(
                "701_StillsRaw_full.zip",
                (
                    f"{_LONDON}/files/701_StillsRaw_full.zip",
                    "https://github.com/johnwlambert/camvid-dataset-mirror/releases/download/v1.0.0/701_StillsRaw_full.zip",
                ),
                561,
            ),
            RemoteFile(
                "LabeledApproved_full.zip",
                (f"{_CAMBRIDGE}/LabeledApproved_full.zip", f"{_LONDON}/data/LabeledApproved_full.zip"),
                17,
            ),
            RemoteFile(
                "label_colors.txt", (f"{_CAMBRIDGE}/label_colors.txt", f"{_LONDON}/data/label_colors.txt"), 0.001
            ),
        ),
    ),
)
"""All public sets, by name."""


def find_set(name: str) -> PublicSet:
    """The public set of that name.

    Args:
        name: In any case.

    Returns:
        The set.

    Raises:
        DataError: There is none.

    Example:
        >>> find_set("BBBC039").files[2].name
        'metadata.zip'
    """
    sets = {each.name: each for each in SETS}
    if name.lower() in sets:
        return sets[name.lower()]
    near = difflib.get_close_matches(name.lower(), sets, 1)
    meant = f"; did you mean {near[0]}?" if near else ""
    raise DataError(f"{name} is not a set that can be fetched, and {', '.join(sets)} can be{meant}")
