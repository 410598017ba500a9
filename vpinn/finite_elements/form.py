"""Weak form → what is integrated: coefficients of the test functions as tapes over the unknowns' jets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch

from vpinn.errors import InputError
from vpinn.forms import Graph, Jet, Tape, build, compile_tape, integrals, split
from vpinn.objective import variation
from vpinn.objective.statement import Integrands
from vpinn.problem import Problem

Key: TypeAlias = tuple[int, int]
"""(component, place): a component of all unknowns together, and 0 for its value or 1 + i for its derivative by x_i."""


@dataclass(frozen=True)
class Integrand:
    """F(u; v) = Σ coefficient · (v or ∂v/∂x_i) over one measure.

    Attributes:
        facet: True for ds.
        tags: boundary parts that some term lives on; ("all",) for dx.
        tape: outputs are one coefficient per entry of ``tests``; its moving inputs are those of ``trials``.
        tests: what of the test functions each coefficient multiplies.
        trials: what of the unknowns the coefficients depend on.
    """

    facet: bool
    tags: tuple[str, ...]
    tape: Tape
    tests: tuple[Key, ...]
    trials: tuple[Key, ...]

    @cached_property
    def linear(self) -> bool:
        """Whether no smooth dependence of the derivative on the unknowns is seen: a kink, as of max_value, is none."""
        leaves = [torch.zeros(1, dtype=torch.float64, requires_grad=True) for _ in self.trials]
        fixed = [torch.ones(1, dtype=torch.float64) for _ in self.tape.fixed.outputs]
        for value in self.tape.moving([*fixed, *leaves]):
            if isinstance(value, torch.Tensor) and value.requires_grad:
                slopes = torch.autograd.grad(value.sum(), leaves, create_graph=True, allow_unused=True)
                if any(slope is not None and slope.requires_grad for slope in slopes):
                    return False
        return True


def integrands(problem: Problem) -> tuple[Integrand, ...]:
    """Return the weak form of a problem over dx and ds; an energy's is its first variation.

    Raises:
        InputError: the form takes second derivatives, which continuous elements lack.
    """
    counts = {u.function.count(): at for u, at in zip(problem.unknowns, offsets(problem), strict=False)}
    parts = {-1 - (u.test.part() or 0): at for u, at in zip(problem.unknowns, offsets(problem), strict=False)}
    sides = [Integrands(Graph(frozenset(counts)), facet) for facet in (False, True)]
    for part in integrals(variation(problem)):
        side = sides[part.facet]
        side.residual.append(side.masked(build(side.graph, part.integrand), tuple(problem.tags[i] for i in part.tags)))
    made = []
    for side in sides:
        if side.residual:
            coefficients = split(side.graph, side.graph.add(side.residual))
            tape = compile_tape(side.graph, list(coefficients.values()))
            tests = tuple(_key(jet, parts) for jet in coefficients)
            trials = tuple(_key(slot, counts) for slot in tape.moving_slots if isinstance(slot, Jet))
            made.append(Integrand(side.facet, tuple(sorted(side.tags)) if side.facet else ("all",), tape, tests, trials))
    return tuple(made)


def offsets(problem: Problem) -> list[int]:
    """Return the number of each unknown's first component, and how many components there are at the end."""
    return [0, *map(int, np.cumsum([u.components for u in problem.unknowns]))]


def _key(jet: Jet, first: dict[int, int]) -> Key:
    if len(jet.derivative) > 1:
        raise InputError(
            "finite elements that are continuous have no second derivatives, which this form takes; "
            "leave out reference.fem, or split the equation into several of lower order"
        )
    return first[jet.function] + jet.component, 1 + jet.derivative[0] if jet.derivative else 0
