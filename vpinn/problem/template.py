"""The commented problem file that ``vpinn new`` writes."""

from __future__ import annotations

import re
from importlib.resources import files

from vpinn.errors import InputError
from vpinn.problem.wording import printable


def template(name: str) -> str:
    """Return the text of a commented problem file, which can be solved as it is.

    Args:
        name: title and file stem: 1 to 64 letters, digits, spaces, ``-``, ``_`` and ``.``.

    Raises:
        InputError: the name is too long or has other characters.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,63}", name):
        raise InputError(f"a name has 1 to 64 letters, digits, spaces, -, _ and ., got {printable(name)!r}")
    return files("vpinn.problem").joinpath("template.toml").read_text(encoding="utf-8").replace("@NAME@", name)
