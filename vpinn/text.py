"""Display of texts that vpinn did not write itself, such as titles, tags and file names, without unsafe characters."""

from __future__ import annotations

import unicodedata


def escaped(text: object, keep: str = "") -> str:
    r"""Return a text with unprintable characters replaced by Python escapes such as ``\x1b`` and ``\u202e``.

    Control characters could otherwise send commands to the terminal, formatting characters could reverse the direction of the
    text, and surrogates cannot be encoded. Spaces of all kinds are kept.

    Args:
        text: Object whose text is shown.
        keep: Unprintable characters that are kept, for example line ends.
    """
    return "".join(
        c if c.isprintable() or c in keep or unicodedata.category(c) == "Zs" else c.encode("unicode_escape").decode("ascii")
        for c in str(text)
    )
