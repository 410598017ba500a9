"""Pieces of a mesh that share no node, of which one moves freely: two bodies, or one whose nodes along a seam are double.

A field may then be shifted in one piece alone, which is no smooth function, and which no condition elsewhere forbids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Mesh, joined_nodes
from vpinn.errors import InputError
from vpinn.finite_elements import Kernel, MixedSpace, Motion, assemble, motions
from vpinn.finite_elements.assembly import Discrete
from vpinn.finite_elements.essential import prescribed
from vpinn.finite_elements.form import integrands, offsets
from vpinn.forms import Background
from vpinn.problem import Problem

Array = NDArray[np.float64]
RULE = 4
"""Degree of the quadrature."""


def loose_piece(problem: Problem) -> str:
    """Return which piece of the mesh moves freely, in one line; "" where none does, or where there is one piece only."""
    mesh = problem.domain.mesh
    if mesh is None or problem.formulation.pointwise:
        return ""
    count, piece = pieces_of(mesh)
    if count == 1:
        return ""
    try:
        parts = integrands(problem)
    except InputError:  # second derivatives
        return ""
    components, background = offsets(problem)[-1], Background(mesh)
    mixed = MixedSpace.of(mesh, [max(1, mesh.order)] * components)
    assemblers = [Discrete.of(part, mixed.highest, components, RULE, background) for part in parts]
    every = np.arange(mixed.size)
    matrix = assemble(assemblers, mixed, 1.0 + 0.5 * np.cos(every**2), every)[1]
    given = prescribed(problem, mixed, background)[1]
    candidates = motions(problem)
    for number, moved in enumerate(moved_pieces(mixed, candidates)):
        free = Kernel(mixed, moved).unseen(matrix, ~given) & ~(moved[:, given] != 0.0).any(axis=1)
        if free.any():
            motion = candidates[int(np.argmax(free))]
            what = "free to " + motion.text if problem.unknown(motion.unknown).shape else "open up to a constant"
            x = mesh.nodes[mesh.vertices[piece == number]].mean(axis=(0, 1))
            where = ", ".join(f"{axis} = {value:.2g}" for axis, value in zip("xyz", x, strict=False))
            return (
                f"the mesh has {count} pieces that share no node, and in the one about {where} {motion.unknown} is {what}; merge "
                "double nodes of the mesh, or give a condition there"
            )
    return ""


def moved_pieces(mixed: MixedSpace, candidates: Sequence[Motion]) -> Iterator[Array]:
    """Yield for every piece of a mesh its motions, with the other pieces at rest [motions, mixed.size]."""
    count, piece = pieces_of(mixed.mesh)
    owner = np.zeros(mixed.size, dtype=np.int64)
    for component, space in enumerate(mixed.spaces):
        own = np.zeros(space.size, dtype=np.int64)
        own[space.dofs] = piece[:, None]
        owner[mixed.numbers(component)] = own
    whole = Kernel.of(mixed, candidates).functions
    for number in range(count):
        yield whole * (owner == number)


def pieces_of(mesh: Mesh) -> tuple[int, NDArray[np.int64]]:
    """Return the number of pieces, and the piece of every cell [cells]."""
    parts, piece = np.unique(joined_nodes(mesh)[mesh.vertices[:, 0]], return_inverse=True)
    return len(parts), np.asarray(piece, dtype=np.int64)
