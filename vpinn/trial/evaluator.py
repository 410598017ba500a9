"""Values of expressions of the unknowns at points, for given parameters; for output and assessment, without gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import ufl
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import Points, PointSet
from vpinn.forms import Jet, Parameter, Tape, compile_tape
from vpinn.forms.graph import Graph
from vpinn.forms.lowering import build
from vpinn.placement import HOST, host, wide
from vpinn.problem import Problem
from vpinn.problem.symbols import components
from vpinn.trial.network import Derivative, Jets
from vpinn.trial.trial import Trial

Array = NDArray[np.float64]
CHUNK, BYTES = 50_000, 2e8
"""Points that ``integrate`` evaluates at a time, and memory of the values of all instructions."""


@dataclass(frozen=True)
class Evaluator:
    """Compiled expressions of the unknowns and the coordinates.

    Attributes:
        trial: trial space of the unknowns.
        tape: the compiled expressions, one output per scalar component.
    """

    trial: Trial
    tape: Tape

    @classmethod
    def of(cls, problem: Problem, trial: Trial, expressions: Sequence[ufl.core.expr.Expr]) -> Evaluator:
        """Compile expressions.

        Args:
            problem: the problem.
            trial: trial space of its unknowns.
            expressions: UFL expressions of any shape in the problem's unknowns and coordinates; their components become outputs,
                one after the other.
        """
        graph = Graph(frozenset({trial.function.count()}))
        known = {u.function: trial.unknowns[u.name] for u in problem.unknowns}
        known |= {u.far: trial.across[u.name] for u in problem.unknowns if u.far is not None and u.name in trial.across}
        parts = [part for expression in expressions for part in components(expression)]
        return cls(trial, compile_tape(graph, [build(graph, part, known) for part in parts]))

    def __call__(self, theta: Tensor, points: Points, jets: Jets | None = None) -> Array:
        """Return the values [components, n] in float64.

        Args:
            theta: parameters [size].
            points: n points.
            jets: values and derivatives of the network as ``self.jets`` returned them at these points; None to compute them.
        """
        n = len(points.w)
        with torch.no_grad():
            fixed = self.tape.fixed(self.trial.background.values(self.tape.fixed_slots, points))
            if jets is None or not jets.keys() >= set(self._keys):
                jets = self.jets(theta, points)
            values = self.tape.moving([*fixed, *(jets[key] for key in self._keys)])
        return np.stack([host(v) if isinstance(v, Tensor) else np.full(n, v) for v in values])

    def jets(self, theta: Tensor, points: Points) -> Jets:
        """Return the values and derivatives of the network that the expressions depend on, [n] each at n points."""
        network = self.trial.network
        wanted = {derivative for _, derivative in self._keys}
        with torch.no_grad():
            return network.jets(wide(theta), network.normalise(torch.tensor(points.x, device=HOST)), wanted) if wanted else {}

    @property
    def together(self) -> int:
        """Points that are evaluated at a time."""
        instructions = len(self.tape.fixed.instructions) + len(self.tape.moving.instructions)
        return max(64, min(CHUNK, int(BYTES / (8 * max(1, instructions)))))

    @property
    def _keys(self) -> list[tuple[int, Derivative]]:
        return [slot.key for slot in self.tape.moving_slots if isinstance(slot, Jet | Parameter)]

    def integrate(self, theta: Tensor, points: PointSet) -> Array:
        """Return the integrals [components] over a set of quadrature points."""
        total = np.zeros(len(self.tape.moving.outputs))
        for part in points.chunks(self.together):
            taken = points.take(part)
            total += self(theta, taken) @ taken.w
        return total
