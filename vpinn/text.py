"""Texts of others, from problem files, meshes and names of files, as they may be shown."""

from __future__ import annotations

import unicodedata


def escaped(text: object, keep: str = "") -> str:
    r"""Return a text in which nothing steers a terminal or turns the direction of reading, and which any encoding can hold.

    Control and formatting characters, surrogates and what has no glyph become escapes as in Python: ``\x1b``, ``\u202e``.

    Args:
        text: anything.
        keep: characters that stay, line ends say.
    """
    return "".join(
        c if c.isprintable() or c in keep or unicodedata.category(c) == "Zs" else c.encode("unicode_escape").decode("ascii")
        for c in str(text)
    )
