"""Evaluate expressions of coordinates and time at fixed points: they are compiled once, and evaluated at any time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from ufl.core.expr import Expr

from vpinn.domain import Points
from vpinn.forms import Background, Graph, Jet, Node, build, compile_tape, components
from vpinn.placement import HOST, host
from vpinn.problem import Clock

Array = NDArray[np.float64]


class AtPoints:
    """Known expressions at n points, as a function of time.

    Args:
        expressions: expressions of coordinates and time, of any shape.
        points: the points.
        background: known functions on the domain.
        clock: time variable of the problem.

    Attributes:
        constant: whether all expressions are independent of time.
    """

    def __init__(self, expressions: Sequence[Expr], points: Points, background: Background, clock: Clock) -> None:
        graph = Graph(frozenset({clock.t.count()}))
        parts = [part for expression in expressions for part in components(expression)]
        nodes = uniform(graph, [build(graph, part) for part in parts], clock)
        tape = compile_tape(graph, nodes)
        self._n, self._moving = len(points), tape.moving
        self._fixed = tape.fixed(background.values(tape.fixed_slots, points))
        self.constant = not tape.moving_slots
        self._known: Array | None = None

    def __call__(self, t: float) -> Array:
        """Return the values of all k scalar components at time t [k, n]."""
        if self.constant and self._known is not None:
            return self._known
        instant = [] if self.constant else [torch.tensor(t, dtype=torch.float64, device=HOST)]
        values = self._moving([*self._fixed, *instant])
        found = np.stack([spread(value, self._n) for value in values]) if values else np.empty((0, self._n))
        self._known = found
        return found


def uniform(graph: Graph, nodes: Sequence[Node], clock: Clock) -> list[Node]:
    """Return the nodes with zero in place of derivatives of time by the coordinates."""
    jets = [slot for slot in graph.slots(nodes) if isinstance(slot, Jet) and slot.function == clock.t.count()]
    slots = [jet for jet in jets if jet.derivative]
    return graph.substitute(nodes, dict.fromkeys(slots, 0.0)) if slots else list(nodes)


def spread(value: Tensor | float, n: int) -> Array:
    """Return values per point, or one value for all points, as [n]."""
    return np.broadcast_to(host(value) if isinstance(value, Tensor) else np.float64(value), (n,)).astype(np.float64)
