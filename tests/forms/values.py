"""Points, and values of expressions there for given jets of the unknowns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from ufl.core.expr import Expr

from vpinn.domain import CellPoints, Domain, Points, interval, rectangle
from vpinn.domain import box as box_mesh
from vpinn.forms import Background, Graph, Jet, Tape, build, compile_tape, components

Array = NDArray[np.float64]
DOMAINS = {1: interval(0.0, 1.0, 3), 2: rectangle((0.0, 0.0), (1.0, 1.0), 2), 3: box_mesh((0, 0, 0), (1, 1, 1), 1)}


def points_of(dimension: int) -> Points:
    points = CellPoints(DOMAINS[dimension], 3, "monte-carlo", seed=5)
    return points.take(range(points.size))


def run(tape: Tape, domain: Domain, points: Points, jets: Mapping[Jet, Array], dtype: torch.dtype = torch.float64) -> Array:
    """Return the values of a tape's outputs [k, n]."""
    fixed = tape.fixed([v.to(dtype) for v in Background(domain).values(tape.fixed_slots, points)])
    moving = [torch.from_numpy(jets[slot]).to(dtype) for slot in tape.moving_slots if isinstance(slot, Jet)]
    values = tape.moving([*fixed, *moving])
    return np.stack([np.broadcast_to(np.asarray(v), len(points.w)) for v in values])


def value(expressions: Sequence[Expr], dimension: int, jets: Mapping[Jet, Array]) -> Array:
    """Return the values of all components of expressions at ``points_of(dimension)`` [k, n]."""
    graph = Graph(frozenset(jet.function for jet in jets))
    tape = compile_tape(graph, [build(graph, part) for e in expressions for part in components(e)])
    return run(tape, DOMAINS[dimension], points_of(dimension), jets)
