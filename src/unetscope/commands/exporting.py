"""Networks for other programs: `export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from unetscope import console
from unetscope.wording import format_bytes, format_count

if TYPE_CHECKING:
    from unetscope.engines.bundle import Bundle, Format


def export(
    run: Path,
    /,
    *,
    out: Path,
    formats: str = "onnx,openvino",
    normalize: bool = False,
    labels: bool = False,
    json: bool = False,
) -> None:
    """Write a network for other programs, and for segmenting without torch, and run it back to prove it.

    `segment` takes the folder in place of the run if it was written without --normalize and --labels.

    Args:
        run: Run folder that `train` wrote.
        out: Folder to write; an earlier export in it is replaced.
        formats: What to write: onnx, openvino, or both, separated by a comma.
        normalize: Normalize in the graph, which then takes intensities as stored.
        labels: Take the best class in the graph, which then returns labels instead of scores.
        json: Print the result as JSON on standard output.
    """
    from unetscope.checkpoint import Checkpoint
    from unetscope.exports import export as write

    # What is no format, `export` refuses.
    wanted = cast("tuple[Format, ...]", tuple(word.strip() for word in formats.split(",") if word.strip()))
    bundle = write(Checkpoint.load(run), out, wanted, normalizes=normalize, labels=labels)
    _show_bundle(bundle)
    if json:
        sizes = {path.name: path.stat().st_size for path in sorted(out.iterdir())}
        console.print_json({"bundle": str(out), "bytes": sizes, **bundle.provenance})


def _show_bundle(bundle: Bundle) -> None:
    """What was written, and how it was verified."""
    folder = bundle.network.parent
    for path in sorted(folder.iterdir()):
        console.say(f"{path}: {format_bytes(path.stat().st_size)}")
    for each in bundle.provenance["verification"]:
        scores = "" if each["difference"] is None else f"scores differ by {each['difference']:.1e} of their spread, "
        console.say(
            f"{each['runtime']} {each['version']} runs {each['format']}: {scores}labels agree on "
            f"{100 * each['agreement']:.2f} % of the pixels ({format_count(each['blocks'], 'block')})"
        )
    if not (bundle.normalizes or bundle.returns_labels):
        console.say(f"segment with it: unetscope segment {folder} IMAGE --out FOLDER")
