"""Numbers in words: scores, counts, amounts, sizes, durations; knows numbers, not what they measure."""

from __future__ import annotations


def format_number(value: float | None, digits: int = 3) -> str:
    """A score, or a dash where it is not defined.

    Example:
        >>> format_number(0.98765), format_number(None)
        ('0.988', '-')
    """
    return "-" if value is None else f"{value:.{digits}f}"


def format_range(ends: tuple[float, float] | None, digits: int = 3) -> str:
    """The lower and the upper end of an interval, or a dash where there is none.

    Example:
        >>> format_range((0.7512, 0.8488)), format_range(None)
        ('0.751 to 0.849', '-')
    """
    return "-" if ends is None else f"{ends[0]:.{digits}f} to {ends[1]:.{digits}f}"


def format_count(count: int, noun: str) -> str:
    """A number of things.

    Example:
        >>> format_count(1, "tile"), format_count(12000, "tile")
        ('1 tile', '12,000 tiles')
        >>> format_count(8, "patch")
        '8 patches'
    """
    plural = "es" if noun.endswith("ch") else "s"
    return f"{count:,} {noun}{plural if count != 1 else ''}"


def format_magnitude(count: float) -> str:
    """A large number by its first three digits.

    Example:
        >>> format_magnitude(758_349_824), format_magnitude(41)
        ('758 M', '41')
    """
    for factor, sign in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= factor:
            return f"{count / factor:.3g}{sign}"
    return f"{count:.3g}"


def format_bytes(count: float) -> str:
    """A size in memory.

    Example:
        >>> format_bytes(3 * 2**20)
        '3.0 MiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def format_seconds(seconds: float) -> str:
    """A duration.

    Example:
        >>> format_seconds(75), format_seconds(3), format_seconds(7260)
        ('1 min 15 s', '3 s', '2 h 1 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
