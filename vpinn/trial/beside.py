"""A coarse finite element solution beside a trained network, which then has to find only what the elements miss.

A smooth network cannot kink where materials meet. Elements of a low degree on the mesh kink at every facet, and leave an error
that is smooth for the most part. The trial function is u = lift + distance · network + w, where w = u_h − lift at the nodes of
the elements, so that conditions hold as without w. Where the solution does not kink, the kinks of w are an error that stays.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import ufl
from numpy.typing import NDArray

from vpinn.domain import LagrangeSpace, Mesh, node_points
from vpinn.forms import Background, components, evaluate, integrals
from vpinn.problem import Problem
from vpinn.trial.field import Beside, MeshField
from vpinn.trial.trial import Trial

Array = NDArray[np.float64]
DEGREE = 3
"""Degree of the elements by default: of degree one they are coarse beside a network, of a high degree they leave it nothing."""


def has_parts(problem: Problem) -> bool:
    """Return whether the form differs between parts of a mesh, where the solution kinks."""
    parts = integrals(problem.formulation.integrals)
    return isinstance(problem.domain, Mesh) and any(not part.facet and part.tags for part in parts)


def beside_elements(problem: Problem, trial: Trial, space: LagrangeSpace, values: Array, why: str) -> Trial:
    """Return a trial space with a finite element solution in it.

    Args:
        problem: on the mesh of the space.
        trial: of a network.
        space: elements of every component.
        values: coefficients of the solution u_h [components, space.size].
        why: the network does not stand alone.
    """
    searched = [symbol for symbol in (trial.function, trial.coefficients) if symbol is not None]
    zero = {symbol: ufl.as_vector([ufl.as_ufl(0.0)] * symbol.ufl_shape[0]) for symbol in searched}
    lifts = [ufl.replace(trial.unknowns[unknown.name], zero) for unknown in problem.unknowns]
    missing = values - evaluate(lifts, node_points(space), trial.background)
    return with_fields(problem, trial, space, missing, why)


def with_fields(problem: Problem, trial: Trial, space: LagrangeSpace, values: Array, why: str) -> Trial:
    """Return a trial space with element functions w added to all components, given by their coefficients [components, size]."""
    fields = tuple(MeshField(space, row, lift=True) for row in values)
    symbols = [problem.symbols.coefficient() for _ in fields]
    unknowns, first = {}, 0
    for unknown in problem.unknowns:
        own = symbols[first : first + unknown.components]
        parts = [part + symbol for part, symbol in zip(components(trial.unknowns[unknown.name]), own, strict=True)]
        unknowns[unknown.name] = ufl.as_vector(parts) if unknown.shape else parts[0]
        first += unknown.components
    known = dict(trial.background.known) | {symbol.count(): field for symbol, field in zip(symbols, fields, strict=True)}
    return replace(trial, unknowns=unknowns, background=Background(problem.domain, known), beside=Beside(fields, why))
