"""One HTML document from the page's content and its assets; knows how to embed them safely, not what they say."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

STYLES = ("base.css", "parts.css", "u.css", "drawing.css", "pictures.css", "print.css")
SCRIPTS = (
    "vendor/plot.min.js",
    "dom.js",
    "format.js",
    "state.js",
    "controls.js",
    "tables.js",
    "copying.js",
    "answers.js",
    "charts.js",
    "pareto.js",
    "gallery.js",
    "viewer.js",
    "segmentation.js",
    "gauge.js",
    "bridges.js",
    "u.js",
    "u-keys.js",
    "u-legend.js",
    "u-table.js",
    "maps.js",
    "layer-panel.js",
    "flow.js",
    "design.js",
    "provenance.js",
    "scheme.js",
    "printing.js",
    "main.js",
)
"""In the order in which they are run: each uses only what stands before it."""


def assemble(content: Mapping[str, Any]) -> str:
    """One HTML document that needs nothing beside itself.

    Args:
        content: Plain values, as `content.py` makes them.

    Returns:
        The document. The same content gives the same text. A Content-Security-Policy in it allows the scripts and
        styles in it by their digests, pictures in data URIs, and nothing else: no string of the content can become
        a script, and nothing can be fetched or sent.

    Raises:
        ValueError: A number in the content is infinite or not a number.

    Example:
        >>> page = assemble({"title": "</title><script>alert(1)</script>"})
        >>> "<script>alert" in page
        False
    """
    styles, scripts = map(_read, STYLES), map(_read, SCRIPTS)
    style_tags, style_hashes = _inline("style", styles)
    script_tags, script_hashes = _inline("script", scripts)
    parts = {
        "POLICY": _policy(style_hashes, script_hashes),
        "TITLE": html.escape(str(content.get("title", "unetscope")).encode(errors="replace").decode()),
        "STYLES": style_tags,
        "CONTENT": embed_json(content),
        "SCRIPTS": script_tags,
    }
    first, *rest = _read("page.html").split("{{")
    names = (piece.split("}}", 1) for piece in rest)
    return first + "".join(parts[name] + text for name, text in names)


def embed_json(content: Any) -> str:
    r"""JSON that may stand inside a script element: no string in it can end the element or begin a comment.

    Example:
        >>> embed_json({"name": "</script>"})
        '{"name":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _read(name: str) -> str:
    return files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


def _inline(tag: str, texts: Iterable[str]) -> tuple[str, str]:
    """Elements that hold the texts, and the digests by which a policy knows them."""
    bodies = [f"\n{text}" for text in texts]
    elements = "\n".join(f"<{tag}>{body}</{tag}>" for body in bodies)
    digests = (base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in bodies)
    return elements, " ".join(f"'sha256-{digest}'" for digest in digests)


def _policy(style_hashes: str, script_hashes: str) -> str:
    return (
        "default-src 'none'; img-src data:; connect-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src {style_hashes}; script-src {script_hashes}"
    )
