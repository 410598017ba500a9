"""The norm in which functions are compared with the residual that they leave: all derivatives that the equations contain.

A few points, spread evenly over the volume, are enough for it, because the functions that it measures are smooth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import ufl

from vpinn.analysis.local_size import local_sizes
from vpinn.forms import Graph, Jet, build, components, integrals
from vpinn.objective import Objective, Resolution, make_objective
from vpinn.objective.parts import Part
from vpinn.problem import Case, Problem, Strong
from vpinn.trial import Enriched, Trial

AT_ONCE = 1_024
"""Number of points that are yielded together."""


def derivatives(stated: Case, trial: Trial) -> Objective:
    """Return the sum of squares of unknowns and derivatives up to the equations' order, in units of the domain's length.

    Where the coefficients of the equations are smaller, it is weighted by them (``local_sizes``).

    Args:
        stated: a problem in the formulation of least squares.
        trial: its trial space.
    """
    domain, orders = stated.domain, _orders(stated)
    parts = []
    length = volume(trial.network) ** (1 / domain.dimension)
    weights, background = local_sizes(stated, trial.background, orders)
    of = iter(weights)
    for unknown, highest in zip(stated.unknowns, orders, strict=True):
        for derivative in components(unknown.function):
            weight = next(of)
            for order in range(highest + 1):
                parts.append(weight * length**order * derivative)
                derivative = ufl.grad(derivative)
    functions = replace(stated, formulation=Strong(tuple(parts)), boundary=())
    return make_objective(functions, replace(trial, imposed=(), background=background), resolution=Resolution(8))


def evenly(objective: Objective, enough: int) -> Iterator[Part]:
    """Yield about ``enough`` points of an objective or more, evenly spread and with equal weights; all if there are not as many.

    They follow each other at equal steps of volume, so that few are taken from small cells and many from large ones: every k-th
    point of a graded mesh would miss what happens in large cells. The number of points per step is odd on average: every second
    point of a Sobol sequence lies in the same half of the box, and misses what happens in the other.

    Args:
        objective: an objective whose points may be drawn: a strong form.
        enough: number of points, ≥ 1.
    """
    step = max(1, objective.size // enough) - 1 | 1
    for measure in objective.measures:
        if step == 1:
            yield from ((measure, points) for points in measure.whole(AT_ONCE))
            continue
        weights = measure.points.take(range(measure.points.size)).w
        each = step * weights.mean()
        places = np.arange(each / (2 * step), weights.sum(), each)
        index = np.searchsorted(np.cumsum(weights), places).clip(max=len(weights) - 1)
        for start in range(0, len(index), AT_ONCE):
            taken = index[start : start + AT_ONCE]
            yield measure, measure.batch(taken, each / weights[taken])


def volume(network: Enriched) -> float:
    """Return the volume of the box around the domain."""
    return float(np.prod(np.subtract(network.upper, network.lower)))


def _orders(stated: Problem) -> list[int]:
    """Return the order of the highest derivative of every unknown in F(u; v)."""
    graph, forms = Graph(), integrals(stated.variation)
    jets = [slot for slot in graph.slots([build(graph, part.integrand) for part in forms]) if isinstance(slot, Jet)]
    counts = [unknown.function.count() for unknown in stated.unknowns]
    return [max((len(jet.derivative) for jet in jets if jet.function == count), default=0) for count in counts]
