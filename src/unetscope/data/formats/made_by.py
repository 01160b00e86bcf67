"""What made a file, as a note that every format with room for text can keep; knows JSON, not formats."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from unetscope.errors import OutputError

__all__ = ["check_made_by", "compose_note", "find_made_by", "name_software", "to_line"]

_LONGEST = 10_240  # characters of DICOM's long text, the least room among the formats
_LONGEST_NAME = 64  # characters of its names of software
_NOTE = re.compile(r'"made_by":\s*(?=\{)')


def check_made_by(path: Path, made_by: Mapping[str, str]) -> None:
    """Refuse what a file could not give back, before anything is written.

    Args:
        path: The file to write.
        made_by: What made it.

    Raises:
        OutputError: A key or value is no string, or all together are too long.
    """
    wrong = [item for pair in made_by.items() for item in pair if not isinstance(item, str)]
    if wrong:
        raise OutputError(f"{path} would say that {wrong[0]!r} made it, and strings are needed; convert it to one")
    length = len(compose_note(made_by))
    if length > _LONGEST:
        raise OutputError(
            f"{path} would say what made it in {length} characters, and at most {_LONGEST} fit; leave some out"
        )


def compose_note(made_by: Mapping[str, str]) -> str:
    r"""One text for all of it, which survives every encoding: plain ASCII without line breaks.

    Args:
        made_by: What made a file.

    Returns:
        JSON; nothing where nothing is known.

    Example:
        >>> print(compose_note({"software": "unetscope", "unit": "µm\n"}))
        {"made_by": {"software": "unetscope", "unit": "\u00b5m\n"}}
    """
    return json.dumps({"made_by": dict(made_by)}) if made_by else ""


def find_made_by(texts: Iterable[str]) -> dict[str, str]:
    """Find a note among the texts of a file, whatever stands around it.

    Args:
        texts: Comments and descriptions.

    Returns:
        What `compose_note` was given; empty where no text holds such a note.

    Example:
        >>> find_made_by(["none", 'shown by a viewer, {"made_by": {"engine": "torch"}}'])
        {'engine': 'torch'}
    """
    for text in texts:
        found = _NOTE.search(text)
        try:
            made_by = json.JSONDecoder().raw_decode(text, found.end())[0] if found else {}
        except (ValueError, RecursionError):  # somebody else's text
            continue
        if made_by and all(isinstance(value, str) for value in made_by.values()):
            return dict(made_by)
    return {}


def name_software(made_by: Mapping[str, str]) -> str:
    """The software as one line for the field that most formats have for it.

    Args:
        made_by: What made a file.

    Returns:
        ASCII of at most 64 characters; empty where the software is not named.

    Example:
        >>> name_software({"engine": "torch 2.11.0", "software": "unetscope 0.1.0"})
        'unetscope 0.1.0'
    """
    return to_line(made_by.get("software", ""), _LONGEST_NAME)


def to_line(text: str, longest: int) -> str:
    r"""A text for fields that hold one short line of ASCII.

    Args:
        text: Any text.
        longest: Number of characters that fit.

    Returns:
        Printable ASCII without line breaks and backslashes, with ? for other characters.

    Example:
        >>> to_line("unetscope  0.1\n(µ)", 13)
        'unetscope 0.1'
    """
    plain = " ".join(text.split()).encode("ascii", "replace").decode().replace("\\", "?")
    return "".join(letter if letter.isprintable() else "?" for letter in plain)[:longest].strip()
