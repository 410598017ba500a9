"""Choose the strategy that solves a problem."""

from __future__ import annotations

from vpinn.analysis import check_walk
from vpinn.errors import InputError
from vpinn.features import Elements, LeastSquares
from vpinn.objective.variation import is_linear
from vpinn.placement import Placement
from vpinn.problem import Case, Settings, is_marched
from vpinn.solving.eigen import EigenStrategy
from vpinn.solving.elements import ElementsStrategy
from vpinn.solving.families import FamilyStrategy
from vpinn.solving.few_coordinates import fits_few_coordinates
from vpinn.solving.inverse import InverseStrategy
from vpinn.solving.inverse_in_time import InverseMarchStrategy
from vpinn.solving.learning import LEARNERS, LearningStrategy
from vpinn.solving.least_squares import LeastSquaresStrategy
from vpinn.solving.marching import MarchStrategy
from vpinn.solving.origin import Origin
from vpinn.solving.preparation import Setup, prepare
from vpinn.solving.steps import Steps
from vpinn.solving.strategy import Strategy


def make_strategy(problem: Case, settings: Settings, placement: Placement, origin: Origin | None = None) -> Strategy:
    """Return the strategy for a problem, ready to start.

    Args:
        problem: the problem.
        settings: how it is solved.
        placement: device, precision, threads and workers.
        origin: another run to start from; None for a start of its own.

    Raises:
        InputError: The problem cannot be solved as stated, or not from another run, or the device does not support the precision.
    """
    check_walk(problem)
    if origin is not None:
        return _strategy_from(problem, settings, placement, origin)
    if problem.eigen is not None:
        return EigenStrategy(problem, settings, placement.alone)
    if problem.parameters is not None and settings.solver.method in LEARNERS:
        return LearningStrategy(problem, settings, placement.alone)
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


def _strategy_from(problem: Case, settings: Settings, placement: Placement, origin: Origin) -> Strategy:
    """Return the strategy for a problem that starts from another run.

    ``method = "auto"`` takes the features of the run; if it has none, the problem is solved by elements from its field.

    Raises:
        InputError: the problem cannot start from another run, or would gain nothing from it.
    """
    alone = problem.parameters is None and problem.clock is None and problem.eigen is None and problem.inverse is None
    if not alone:
        raise InputError("only a single steady problem with known coefficients starts from another run; leave it out", "--from")
    if settings.solver.method == "auto":
        name = LeastSquares.name if origin.trial.space is None else Elements.name
        solver = settings.solver.model_copy(update={"method": name})
        settings = settings.model_copy(update={"solver": solver})
    if settings.solver.method == Elements.name and is_linear(problem):
        raise InputError("elements solve a linear problem in one step, wherever they start; leave it out", "--from")
    return strategy_of(prepare(problem, placement, settings=origin.shaped(settings), origin=origin))


def strategy_of(setup: Setup) -> Strategy:
    """Return the strategy for a steady problem that was prepared."""
    match setup.plan.method:
        case LeastSquares():
            return LeastSquaresStrategy(setup)
        case Elements():
            return ElementsStrategy(setup)
    return Steps(setup)
