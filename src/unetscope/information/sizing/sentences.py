"""What a sizing says, in sentences; knows its numbers, measures nothing."""

from __future__ import annotations

from collections.abc import Iterator

from unetscope.information.intervals import Interval
from unetscope.information.quantity import Quantity
from unetscope.information.sizing.choices import MARGIN
from unetscope.information.sizing.ranking import Ranking
from unetscope.information.sizing.record import state_record
from unetscope.information.sizing.sizing import Sizing
from unetscope.information.verdicts import Verdict

SHOWN = 5  # images to annotate next


def describe_sizing(sizing: Sizing) -> tuple[str, ...]:
    """What can be told before training, and what cannot, one sentence or two for each question."""
    lines = [_say_ground(sizing), _say_depth(sizing), _say_width(sizing), _say_growth(sizing)]
    lines += [f"rare: {sentence}" for sentence in _say_rare(sizing)]
    if sizing.ranking is not None:
        lines.append(_say_next(sizing.ranking))
    if any(each.interval.low > 0 for each in sizing.windows.values()):
        widths = ",".join(map(str, sizing.channels))
        lines.append(f"to try: --widths {widths}; a lower guide, as a trained network sees more than these probes")
    return (*lines, f"record: {state_record()}")


def format_interval(interval: Interval) -> str:
    """A value with its interval.

    Example:
        >>> format_interval(Interval(0.1234, 0.1, 0.15))
        '0.123 (0.100 to 0.150)'
    """
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _say_ground(sizing: Sizing) -> str:
    """What there is to be read, and what the place alone tells."""
    told = format_interval(sizing.place.interval)
    return (
        f"labels: {sizing.prior.value:.3f} bits per pixel can be told at most (H0), from {sizing.pixels:,} pixels of "
        f"{len(sizing.names)} images; the place in the image alone tells {told}"
    )


def _say_depth(sizing: Sizing) -> str:
    """How many poolings."""
    depth, window = sizing.depth, sizing.window
    sizes, read = _span(window.low, window.high), _say_bits(sizing.windows[window.value])
    if depth.verdict.word != "ok":
        return (
            f"depth: cannot tell ({depth.verdict.reason}){_say_needed(depth.verdict)}; windows of {sizes} pixels may "
            f"do, depth {_span(depth.low, depth.high)}; one of {window.value} reads {read}"
        )
    more = "; larger windows were not tried and may tell more" if depth.open_ended else ""
    least = " or more" if depth.open_ended else ""
    return (
        f"depth: {depth.value}{least}, because a window of {sizes} pixels tells as much as the best, up to "
        f"{MARGIN:.0%} of H0: {read}{more}"
    )


def _say_width(sizing: Sizing) -> str:
    """About how many channels."""
    width = sizing.width
    channels = f"about {sizing.channels[0]} channels at full resolution"
    if width.verdict.word != "ok":
        return (
            f"width: cannot tell ({width.verdict.reason}){_say_needed(width.verdict)}; probes of "
            f"{_span(width.low, width.high)} hidden units may do"
        )
    least = " or more" if width.open_ended else ""
    return f"width: {channels}{least}, because probes of {width.value} hidden units read as much as the widest"


def _say_growth(sizing: Sizing) -> str:
    """Whether more annotations would help."""
    growth = sizing.growth
    if growth is None:
        return f"more annotations: cannot tell, because {len(sizing.names)} images are too few for a curve"
    told = f"twice the images would add {format_interval(growth.gain)} bits per pixel"
    if growth.verdict.word != "ok":
        return f"more annotations: cannot tell ({growth.verdict.reason}){_say_needed(growth.verdict)}; {told}"
    word = "would help" if growth.helps else "would hardly help"
    return f"more annotations: {word}; {told}"


def _say_rare(sizing: Sizing) -> Iterator[str]:
    """Classes of which nothing can be said."""
    for each in sizing.rare:
        yield (
            f"{each.name} is {each.share:.2%} of the labelled pixels, in {each.images} images; what is said here does "
            "not hold for it, so annotate more of it"
        )


def _say_next(ranking: Ranking) -> str:
    """Which images to annotate next."""
    first = ", ".join(
        f"{candidate.name} ({candidate.disagreement.value:.3f})" for candidate in ranking.candidates[:SHOWN]
    )
    if ranking.verdict.word != "ok":
        reason = f"{ranking.verdict.reason}{_say_needed(ranking.verdict)}"
        return f"annotate next: cannot tell ({reason}); the probes disagree most about {first} bits per pixel"
    return f"annotate next: {first}, on which the probes disagree most, in bits per pixel"


def _say_bits(quantity: Quantity) -> str:
    """What is read, of all that could be."""
    return f"{format_interval(quantity.interval)} bits of {quantity.scale:.3f}"


def _say_needed(verdict: Verdict) -> str:
    """How many images would decide, where that is known."""
    return f"; about {verdict.images} images would tell" if verdict.images else ""


def _span(low: int, high: int) -> str:
    """One number, or two."""
    return str(low) if low == high else f"{low} to {high}"
