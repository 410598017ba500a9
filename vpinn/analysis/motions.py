"""Rigid motions and constants, and whether functions sampled at points are among them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vpinn.problem import Problem

Array = NDArray[np.float64]
CLOSE = 2e-2
"""Share of a motion outside of the free functions up to which it is one of them."""


def motions(problem: Problem, x: Array) -> dict[str, list[tuple[str, Array]]]:
    """Return unknown → names and values [components, n] of its constants, as translations, and of its turns."""
    total, d = sum(unknown.components for unknown in problem.unknowns), x.shape[1]
    found, first = dict[str, list[tuple[str, Array]]](), 0
    for unknown in problem.unknowns:
        named = []
        for k in range(unknown.components):
            named.append((f"move along {'xyzstuvw'[k % 8]}", np.zeros((total, len(x)))))
            named[-1][1][first + k] = 1.0
        middle = x - x.mean(axis=0)
        for i, j in _pairs(d if unknown.shape and unknown.components == d else 0):
            named.append((f"turn about {'xyz'[3 - i - j]}" if d == 3 else "turn", np.zeros((total, len(x)))))
            named[-1][1][first + i], named[-1][1][first + j] = -middle[:, j], middle[:, i]
        found[unknown.name] = named
        first += unknown.components
    return found


def _pairs(d: int) -> Iterator[tuple[int, int]]:
    return ((i, j) for i in range(d) for j in range(i + 1, d))


def orthonormal(values: Array) -> Array:
    """Return an orthonormal basis [rank, components, n] of functions [count, components, n]."""
    rows = values.reshape(len(values), -1)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    _, singular, right = np.linalg.svd(rows / np.where(norms > 0.0, norms, 1.0), full_matrices=False)
    return np.asarray(right[singular > CLOSE].reshape(-1, *values.shape[1:]))


def without(basis: Array, motion: Array) -> Array:
    """Return a basis of what is left of functions beside a motion."""
    rows, unit = basis.reshape(len(basis), -1), motion.ravel() / np.linalg.norm(motion)
    if not len(rows) or outside(motion, basis) > CLOSE:
        return basis
    rest = rows - np.outer(rows @ unit, unit)
    _, singular, right = np.linalg.svd(rest, full_matrices=False)
    return np.asarray(right[singular > CLOSE].reshape(-1, *basis.shape[1:]))


def outside(motion: Array, basis: Array) -> float:
    """Return the part of a motion outside of functions with an orthonormal basis, 0 to 1."""
    rows, unit = basis.reshape(len(basis), -1), motion.ravel() / np.linalg.norm(motion)
    return float(np.linalg.norm(unit - (rows @ unit) @ rows))
