"""Whether the estimators of information can be relied on here: `calibrate`."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from unetscope import console
from unetscope.files import check_writable
from unetscope.wording import format_seconds

if TYPE_CHECKING:
    from unetscope.information.calibration.rows import Row
    from unetscope.information.calibration.run import Certificate


def calibrate(*, json: Path | None = None, full: bool = False) -> None:
    """Let the estimators of information measure phantoms whose information is known.

    Ends with 1 when an estimate lies too far from the truth.

    Args:
        json: JSON file to write.
        full: Take the long checks too: under 15 minutes on 2 cores, instead of under 2.
    """
    from unetscope.information.calibration.run import check_estimators

    if json is not None:
        check_writable(json)
    with console.show_progress("calibrating") as bar:
        certificate = check_estimators(full, bar.update)
    if json is not None:
        certificate.save(json)
    _show(certificate)
    if json is not None:
        console.say(f"certificate: {json}")
    if not certificate.ok:
        raise SystemExit(1)


def _show(certificate: Certificate) -> None:
    """Every row, then what it comes to."""
    titles = ("phantom", "truth", "estimate", "may be", "ok")
    console.print_table(titles, [_describe(row) for row in certificate.rows])
    count, failures = len(certificate.rows), certificate.failures
    seconds = format_seconds(certificate.seconds)
    if failures:
        console.fail(
            f"{len(failures)} of {count} estimates lie too far from the truth: {', '.join(failures)}; do not rely on "
            "profiles made with this installation, and report the table"
        )
    else:
        console.say(f"all {count} estimates lie where they should, each on its worst draw ({seconds})")


def _describe(row: Row) -> tuple[str, ...]:
    """The cells of a row."""
    worst = row.worst
    said = "yes" if row.ok else worst.said or "NO"
    return worst.id, f"{worst.truth:.4f}", f"{worst.estimate:.4f}", _describe_room(row), said


def _describe_room(row: Row) -> str:
    """Between what the estimate may lie, or the word that must be said of it."""
    low, high = row.worst.lowest, row.worst.highest
    if row.worst.wanted and not isfinite(high):
        return row.worst.wanted
    return f"{low:.4f} to {high:.4f}" if isfinite(low) else f"up to {high:.4f}"
