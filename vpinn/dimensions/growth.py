"""Growth of a sum of functions of few coordinates, stage by stage, until the residual on fresh points is small enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vpinn.dimensions.candidates import Move, chosen, possible
from vpinn.dimensions.equations import PointEquations
from vpinn.dimensions.fit import UNSEEN, Left, SumFit, solve, unseen, weighted
from vpinn.dimensions.subsets import ALL, Levels, Subset, count_of_terms, terms_of
from vpinn.placement import HOST
from vpinn.trial import FewCoordinates
from vpinn.trial.few_coordinates import RADIAL

FIRST = {50: 4, 1000: 2}
"""Most dimensions → degree of the functions of one coordinate with which growth begins."""
DISTANCES = 4
"""Degree of the functions of the distance with which it begins on a ball: what sums of many functions have in common there."""
ROWS = 2
"""Rows per function that a fit begins with."""
AGREE = 1.5
"""Factor by which the residual on fresh points may exceed what a fit with so many rows leaves there by chance."""
MORE, MOST_ROWS = 1.4, 12.0
"""Factor by which rows per function are added where it does, and the most of them."""
LOOK = 2**13
"""Fresh points, at least, on which functions are looked for."""
FURTHER, FURTHEST = 2, 2**16
"""Factor by which these are raised where nothing is significant, and the most of them."""
LEAST = 64
"""Functions that a stage may add in any case; else as many as there are."""
FUNCTIONS = 4000
"""Most functions per component."""
FACTORISED, EVALUATED = 6e-10, 2e-8
"""Seconds on one core per row and pair of columns of a factorisation, and per row and column of their evaluation, as counted."""
LONG, SOON = 120.0, 4.0
"""Counted seconds of a stage above which it is not begun: before the tolerance is met, and after it."""
STALLED, PATIENCE = 0.9, 3
"""Factor by which the residual must fall to count as gain, and stages without one after which growth ends."""


@dataclass(frozen=True)
class SumStage:
    """One stage of growth.

    Attributes:
        fit: coefficients of its functions.
        levels: subsets of coordinates with the total degree of their functions.
        left: what they leave on fresh points.
        seconds: since growth began.
        number: number of the stage, from 1.
    """

    fit: SumFit
    levels: Levels
    left: Left
    seconds: float
    number: int


@dataclass(frozen=True)
class Wanted:
    """When growth ends.

    Attributes:
        tolerance: relative residual below which a stage is good enough.
        aim: relative residual below which nothing more is gained; between both only cheap stages are made.
        functions: most functions per component.
        order: highest order of derivatives in the equations.
    """

    tolerance: float
    aim: float
    functions: int = FUNCTIONS
    order: int = 2


def grow(
    equations: Sequence[PointEquations], base: FewCoordinates, wanted: Wanted, note: Callable[[SumStage], bool]
) -> tuple[list[SumStage], str]:
    """Fit sums of more and more functions.

    Args:
        equations: equations and conditions.
        base: network that gives family, box and components.
        wanted: when growth ends.
        note: called with every stage; returns False to end growth.

    Returns:
        all stages, and why growth ended: "tolerance", "grown" or "time limit".
    """
    began, levels = time.perf_counter(), first_levels(base, wanted)
    network = base.having(terms_of(levels))
    equations = weighted(equations, network)
    theta, stages = network.initial(torch.Generator()), list[SumStage]()
    fresh, look = UNSEEN, LOOK
    rows = float(ROWS)
    while True:
        fit = solve(equations, network, theta, int(rows * network.weights) + 64)
        left, found = unseen(equations, fit, fresh, look)
        fresh += look
        stages.append(SumStage(fit, levels, left, time.perf_counter() - began, len(stages) + 1))
        if not note(stages[-1]):
            return stages, "time limit"
        good = left.relative <= wanted.tolerance
        if left.relative <= wanted.aim or stalled(stages):
            return stages, "tolerance" if good else "grown"
        moves = chosen(possible(found, network, levels, wanted.order))
        while not moves and FURTHER * look <= FURTHEST:
            look *= FURTHER
            _, found = unseen(equations, fit, fresh, look)
            fresh += look
            moves = chosen(possible(found, network, levels, wanted.order))
        levels = moved(levels, moves, wanted.functions)
        larger = network.having(terms_of(levels))
        more = disagrees(fit, left)
        rows = min(MORE * rows, MOST_ROWS) if more else rows
        dear = counted(larger, int(rows * larger.weights)) > (SOON if good else LONG)
        if dear or (len(larger.terms) == len(network.terms) and not (more and rows < MOST_ROWS)):
            return stages, "tolerance" if good else "grown"
        theta = carried(fit.theta, network, larger)
        network = larger


def first_levels(base: FewCoordinates, wanted: Wanted) -> dict[Subset, int]:
    """Return the subsets with which growth begins: every coordinate by itself, and on a ball the distance."""
    d = base.dimension
    degree = next(degree for dimension, degree in FIRST.items() if d <= dimension)
    singles = {(i,): max(1, min(degree, (wanted.functions - 1 - DISTANCES) // d)) for i in range(d)}
    return singles | ({ALL: DISTANCES} if base.family == "gegenbauer" and wanted.order <= RADIAL else {})


def moved(levels: Levels, moves: Sequence[Move], most: int) -> dict[Subset, int]:
    """Return the levels after as many moves as add no more functions than a stage may add, and than there may be."""
    found, before = dict(levels), count_of_terms(levels)
    room = min(before + max(before, LEAST), most)
    for move in moves:
        wider = {**found, move.subset: max(move.level, found.get(move.subset, 0))}
        if count_of_terms(wider) > room:
            break
        found = wider
    return found


def disagrees(fit: SumFit, left: Left) -> bool:
    """Return whether the residual on fresh points is larger than it is by chance after a fit with so many rows."""
    rows, columns = fit.points, fit.network.weights
    return left.norm > AGREE * fit.norm * rows / (rows - columns) and left.relative > 1e-13


def stalled(stages: Sequence[SumStage]) -> bool:
    """Return whether the last stages have gained nothing."""
    if len(stages) <= PATIENCE:
        return False
    return min(stage.left.norm for stage in stages[-PATIENCE:]) > STALLED * min(stage.left.norm for stage in stages[:-PATIENCE])


def counted(network: FewCoordinates, rows: int) -> float:
    """Return the seconds that a fit takes, counted from the sizes of its matrices, so that runs can be repeated exactly."""
    columns = network.weights
    return rows * columns * (FACTORISED * columns + EVALUATED)


def carried(theta: Tensor, network: FewCoordinates, larger: FewCoordinates) -> Tensor:
    """Return parameters of the same function in a sum that has all functions of the first one, and others."""
    places = {term: k for k, term in enumerate(larger.terms)}
    wide = torch.zeros(network.outputs, len(larger.terms), dtype=theta.dtype, device=HOST)
    wide[:, [places[term] for term in network.terms]] = theta[: network.weights].view(network.outputs, len(network.terms))
    return torch.cat([wide.reshape(-1), theta[network.weights :]])


def best_of(stages: Sequence[SumStage]) -> SumStage:
    """Return the stage that leaves least on fresh points."""
    return min(stages, key=lambda stage: stage.left.norm)
