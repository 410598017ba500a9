"""Wording of errors: similar names, values and shapes in words, and text of the user without control characters."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ufl.classes import Argument


def closest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" if a known name is similar, else "; known are …", or "" if no name is known."""
    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(name[:60], names, n=2, cutoff=0.6)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return f"; known are {listed}" if names else ""


def attribute(node: ast.expr) -> str:
    """Return what to write instead of a name with a dot, or of what is called and has no name."""
    if not isinstance(node, ast.Attribute):
        return "only functions of the language can be called"
    if isinstance(node.value, ast.Name) and node.value.id in ("np", "numpy", "math", "ufl", "torch", "sp", "sympy"):
        return f"leave out '{node.value.id}.'; 'vpinn functions' lists what expressions may call"
    return "attributes are not part of the language; write Dx(u, i) for u.dx(i), transpose(A) for A.T"


def own_test(name: str, known: Mapping[str, Any]) -> str:
    """Return the test function, which is defined after its unknown, if a name is v_ and another unknown; "" else."""
    names = list(known)
    if not name.startswith("v_") or name[2:] not in names[:-1]:
        return ""
    after = names[names.index(name[2:]) + 1]
    return after if isinstance(known[after], Argument) else ""


def derivative(name: str, known: Mapping[str, Any]) -> str:
    """Return how the derivative is written that a name such as u_x stands for, of a known name u; "" for other names."""
    base, _, along = name.rpartition("_")
    if base not in known or along not in ("x", "y", "z", "t"):
        return ""
    return f"dt({base})" if along == "t" else f"Dx({base}, {'xyz'.index(along)})"


def printable(text: str, length: int = 60) -> str:
    """Return at most ``length`` characters of a text, with control characters shown as ?."""
    shown = "".join(character if character.isprintable() else "?" for character in text[: length + 1].replace("\n", " "))
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"


def shown(value: Any) -> str:
    """Return a value of a TOML file as it is written there, shortened."""
    if isinstance(value, Mapping):
        return "a table"
    return printable(str(value).lower() if isinstance(value, bool) else repr(value))


def shape_in_words(shape: tuple[int, ...]) -> str:
    """Return "a scalar", "a vector of length 2", "a 2×2 matrix", "a 2×2×2 tensor"."""
    if not shape:
        return "a scalar"
    if len(shape) == 1:
        return f"a vector of length {shape[0]}"
    return f"a {'×'.join(map(str, shape))} {'matrix' if len(shape) == 2 else 'tensor'}"
