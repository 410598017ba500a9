"""Choose the strategy that solves a problem."""

from __future__ import annotations

from vpinn.analysis import check_walk
from vpinn.features import Elements, LeastSquares
from vpinn.placement import Placement
from vpinn.problem import Case, Settings, is_marched
from vpinn.solving.eigen import EigenStrategy
from vpinn.solving.elements import ElementsStrategy
from vpinn.solving.families import FamilyStrategy
from vpinn.solving.few_coordinates import fits_few_coordinates
from vpinn.solving.inverse import InverseStrategy
from vpinn.solving.inverse_in_time import InverseMarchStrategy
from vpinn.solving.least_squares import LeastSquaresStrategy
from vpinn.solving.marching import MarchStrategy
from vpinn.solving.preparation import Setup, prepare
from vpinn.solving.steps import Steps
from vpinn.solving.strategy import Strategy


def make_strategy(problem: Case, settings: Settings, placement: Placement) -> Strategy:
    """Return the strategy for a problem, ready to start.

    Raises:
        InputError: The problem cannot be solved as stated, or the device does not support the precision.
    """
    check_walk(problem)
    if problem.eigen is not None:
        return EigenStrategy(problem, settings, placement.alone)
    if problem.parameters is not None:
        return FamilyStrategy(problem, settings, placement.alone)
    if problem.inverse is not None:
        kind = InverseStrategy if problem.clock is None else InverseMarchStrategy
        return kind(problem, settings, placement.alone)
    if problem.clock is not None and is_marched(settings, problem.domain):
        return MarchStrategy(problem, settings, placement.alone)
    if (few := fits_few_coordinates(problem, settings, placement.alone)) is not None:
        return few
    return strategy_of(prepare(problem, placement, settings=settings))


def strategy_of(setup: Setup) -> Strategy:
    """Return the strategy for a steady problem that was prepared."""
    match setup.plan.method:
        case LeastSquares():
            return LeastSquaresStrategy(setup)
        case Elements():
            return ElementsStrategy(setup)
    return Steps(setup)
