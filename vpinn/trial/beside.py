"""A coarse finite element solution added to a trained network, so that the network only has to learn the rest.

A smooth network cannot represent the kink of a solution where two materials meet. Finite elements of low degree have kinks at
all facets of the mesh, and their error is mostly smooth. The trial function is u = lift + distance · network + w, where w
interpolates u_h − lift at the nodes of the elements, so that the boundary conditions hold as without w. Where the solution is
smooth, the kinks of w remain as an error. Start with `beside_elements`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import ufl
from numpy.typing import NDArray

from vpinn.domain import Inside, LagrangeSpace, node_points
from vpinn.forms import Background, components, evaluate, integrals
from vpinn.problem import Problem
from vpinn.trial.field import Beside, MeshField
from vpinn.trial.trial import Trial

Array = NDArray[np.float64]


def has_parts(problem: Problem) -> bool:
    """Return whether the form has integrals over tagged cells of a mesh; at the tags' borders the solution may have kinks."""
    parts = integrals(problem.formulation.integrals)
    return problem.domain.mesh is not None and any(part.region is Inside and part.tags for part in parts)


def beside_elements(problem: Problem, trial: Trial, space: LagrangeSpace, values: Array, why: str) -> Trial:
    """Return the trial space of a network with w = u_h − lift added to it.

    Args:
        problem: the problem, on the mesh of ``space``.
        trial: trial space of the network alone.
        space: finite element space of each component of u_h.
        values: coefficients of the finite element solution u_h [components, space.size].
        why: reason for adding elements, for the report.
    """
    searched = [symbol for symbol in (trial.function, trial.coefficients) if symbol is not None]
    zero = {symbol: ufl.as_vector([ufl.as_ufl(0.0)] * symbol.ufl_shape[0]) for symbol in searched}
    lifts = [ufl.replace(trial.unknowns[unknown.name], zero) for unknown in problem.unknowns]
    missing = values - evaluate(lifts, node_points(space), trial.background)
    return with_fields(problem, trial, space, missing, why)


def with_fields(problem: Problem, trial: Trial, space: LagrangeSpace, values: Array, why: str) -> Trial:
    """Return a trial space with finite element functions w added to all components.

    Args:
        problem: the problem, on the mesh of ``space``.
        trial: trial space of the network alone.
        space: finite element space of each component of w.
        values: coefficients of w [components, space.size].
        why: reason for adding elements, for the report.
    """
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
