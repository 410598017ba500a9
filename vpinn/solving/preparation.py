"""Prepare a steady problem: build its trial space, its objective and the plan of its method.

``vpinn check`` shows the result. Objectives of trained methods are dimensionless: lengths, unknowns and the functional are
divided by their sizes, so that learning rates and thresholds mean the same for every problem.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from vpinn.analysis import independent_points, missing_conditions
from vpinn.domain import LagrangeSpace, hanging_node, touching_parts
from vpinn.errors import InputError
from vpinn.features import PILOT, Elements, LeastSquares, Objectives, objective_for
from vpinn.finite_elements import check as check_finite_elements
from vpinn.finite_elements import check_balance
from vpinn.forms import Background, components, evaluate
from vpinn.objective import Objective, Resolution, highest_order, make_objective
from vpinn.optimization import (
    Method,
    Plan,
    Start,
    Training,
    candidates,
    directions_found,
    make_plan,
    make_rules,
    reason,
    stated_problem,
    trained_objective,
    with_batches,
    with_layers,
)
from vpinn.placement import HERE, Placement
from vpinn.problem import Case, Problem, Settings, over_time, refuse_several
from vpinn.process import settle_process
from vpinn.solving.beside import begin
from vpinn.solving.origin import Origin
from vpinn.trial import Trial, elements_trial, make_trial

FIRST = 2
"""Polynomial degree of the first finite elements."""
EXACT_DEGREE, EXACT_POINTS = 2, 2000
"""Degree of the quadrature rule at whose points exact solutions are checked to be finite, and about how many points are used."""
SHARE = 4
"""Divisor of the default number of steps on mini-batches for a network added to finite elements: the correction is small."""


@dataclass(frozen=True)
class Setup:
    """A prepared problem.

    Attributes:
        problem: The problem.
        settings: The settings of the problem file, completed by those that were chosen automatically.
        trial: Trial space.
        objective: Functional to be minimised.
        plan: Method, schedule and samplers.
        others: Further trial spaces that least squares may use instead of ``trial``.
        objectives: Objectives of least squares that were built so far; None for other methods.
        reason: Why this method was chosen.
        begun: Start of training; None for methods without steps.
        origin: Another run that this one starts from; None for a start of its own.
    """

    problem: Case
    settings: Settings
    trial: Trial
    objective: Objective
    plan: Plan
    others: tuple[Trial, ...] = ()
    objectives: Objectives | None = None
    reason: str = ""
    begun: Start | None = None
    origin: Origin | None = None

    @property
    def stated(self) -> Case:
        """The problem in the formulation that is solved, which may differ from that of the file (energy, weak or strong)."""
        return stated_problem(self.problem, self.trial, self.plan.method.name)

    def start(self) -> Training:
        """Return the state before the first step; random numbers are drawn with the seed of the settings."""
        method, seed = self.plan.method, self.settings.solver.seed
        if self.begun is None or not isinstance(method, Method):
            return Training.start(self.trial.network.initial(torch.Generator().manual_seed(seed)), method, seed)
        return Training.start(self.begun.start(method, bool(self.plan.samplers)), method, seed)


def prepare(
    problem: Case,
    placement: Placement = HERE,
    trains: bool = True,
    settings: Settings | None = None,
    origin: Origin | None = None,
) -> Setup:
    """Return trial space, objective and plan of a problem.

    Args:
        problem: Problem to solve; one in time is solved over space and time.
        placement: Device and threads for the steps of training; least squares and finite elements run on the CPU.
        trains: Whether training follows. If so, the objective is made dimensionless, and the last layer of the network is solved
            for by least squares at a part of the points. If not, as for ``vpinn check``, the objective has the units of the
            problem file; its arrays have the same shapes.
        settings: Settings to use; default those of the problem file.
        origin: Another run to start from; None for a start of its own.

    Raises:
        InputError: The problem cannot be solved as stated, or the device does not support the precision.
    """
    refuse_several(problem, "this prepares")
    problem = over_time(problem)
    settings = with_batches(problem, settings or problem.settings)
    placement = placement.precise(settings.solver.precision)
    settle_process(placement.threads)
    _check_parts(problem)
    _check_exact(problem)
    check_balance(problem)
    _check_conditions(problem)
    if (fem := problem.settings.reference.fem) is not None:
        check_finite_elements(problem, fem.degree, fem.refine)
    *others, last = candidates(problem, settings)
    refused = ""
    for name in others:
        try:
            return _prepare(problem, settings, name, placement, trains, origin)
        except InputError as error:
            refused = refused or error.message
    found = _prepare(problem, settings, last, placement, trains, origin)
    return dataclasses.replace(found, reason=reason(problem, settings, last, refused))


def _check_conditions(problem: Problem) -> None:
    """Refuse a strong form that lacks conditions on a part of the boundary, so that it has many solutions.

    Raises:
        InputError: There is such a part; the message says where it is.
    """
    missing = missing_conditions(problem)
    if missing is not None and not missing.elsewhere:
        raise InputError(str(missing), problem.where("form", problem.formulation.name))


def _check_parts(problem: Problem) -> None:
    """Refuse a mesh with parts that touch but share no nodes, or with a node that hangs on the side of a cell.

    Raises:
        InputError: There are such parts; the message says how many, and where they touch. Or there is such a node.
    """
    mesh = problem.domain.mesh
    if mesh is None:
        return
    if found := touching_parts(mesh):
        count, place = found
        raise InputError(
            f"the mesh has {count} separate parts that touch near {_told(place)} without common nodes, so that a boundary runs "
            "between them; fuse them before meshing (in Gmsh: Coherence or BooleanFragments), or merge duplicate nodes",
            problem.where("domain", "mesh"),
        )
    if (hanging := hanging_node(mesh)) is not None:
        raise InputError(
            f"the node at {_told(hanging)} hangs on the side of a larger cell that has no node there, so that a gap runs between "
            "them; cut the larger cell, too, or mesh without hanging nodes",
            problem.where("domain", "mesh"),
        )


def _told(place: NDArray[np.float64]) -> str:
    """Return a place [d] as text."""
    return ", ".join(f"{axis} = {value:.4g}" for axis, value in zip("xyz", place, strict=False))


def _check_exact(problem: Case) -> None:
    """Refuse an exact solution that is not real and finite everywhere in the domain, before any work is done.

    Raises:
        InputError: There is such an exact solution; the message names the unknown.
    """
    if not problem.exact:
        return
    points = independent_points(problem, EXACT_DEGREE)
    taken = points.take(np.arange(0, points.size, max(1, points.size // EXACT_POINTS)))
    for name, truth in problem.exact.items():
        with np.errstate(all="ignore"), problem.source.located("reference", "exact", name):
            if not np.isfinite(evaluate(components(truth), taken, Background(problem.domain))).all():
                raise InputError("it is not real and finite everywhere in the domain; nothing can be compared with it")


def _prepare(problem: Case, settings: Settings, name: str, placement: Placement, trains: bool, origin: Origin | None) -> Setup:
    if name == Elements.name:
        return dataclasses.replace(_with_elements(problem, settings, placement.home.alone), origin=origin)
    direct = name == LeastSquares.name
    others: tuple[Trial, ...] = ()
    objectives: Objectives | None = None
    begun: Start | None = None
    settings = with_layers(settings, name)
    trial = make_trial(problem, rows=direct, layers=settings.network.layers)
    if direct:
        width = min(PILOT, settings.solver.features or PILOT)
        objectives = Objectives(stated_problem(problem, trial, name), placement.home)
        objective = objective_for(objectives, trial, width)
        if trial.rows and not problem.enrich and not problem.formulation.pointwise and problem.domain.mesh is not None:
            others = (make_trial(problem, layers=settings.network.layers),)
        cornered = make_trial(problem, True, not problem.enrich and highest_order(problem) <= 2, settings.network.layers)
        if cornered.corners:
            others += (cornered,)
    elif not trains:
        objective = trained_objective(problem, settings, trial, name, placement)
    else:

        def made(stated: Case, space: Trial, where: Placement, unit: float) -> Objective:
            return trained_objective(stated, settings, space, name, where, unit)

        problem, begun = begin(problem, trial, made, placement, origin)
        trial, objective = begun.trial, begun.objective
    with problem.source.located("batch"):
        plan = make_plan(name, settings, objective)
    if begun is not None and settings.batch.directions == "auto":
        theta = begun.start(plan.method, True) if isinstance(plan.method, Method) else begun.plain
        found = directions_found(objective, theta, plan.samplers, np.random.default_rng(settings.solver.seed))
        objective = objective.taking(found.count)
    if plan.samplers and trial.beside is not None and settings.solver.steps is None:
        schedule = dataclasses.replace(plan.schedule, steps=plan.schedule.steps // SHARE)
        plan = dataclasses.replace(plan, schedule=schedule)
    if not plan.samplers and isinstance(plan.method, Method) and plan.method.descends:
        trained = partial(trained_objective, problem, trial=trial, name=name, placement=placement, unit=objective.unit)
        plan = dataclasses.replace(plan, rules=make_rules(problem, settings, objective, trained))
    return Setup(problem, settings, trial, objective, plan, others, objectives, reason(problem, settings, name), begun, origin)


def _with_elements(problem: Case, settings: Settings, placement: Placement) -> Setup:
    """Return the setup of finite elements, of the lowest degree that will be used."""
    mesh, outputs = check_finite_elements(problem, FIRST, 0), sum(unknown.components for unknown in problem.unknowns)
    space = LagrangeSpace(mesh, FIRST)
    trial = elements_trial(problem, space, np.zeros((outputs, space.size)))
    stated = stated_problem(problem, trial, Elements.name)
    objective = make_objective(stated, trial, placement, Resolution(tests=FIRST))
    with problem.source.located("batch"):
        plan = make_plan(Elements.name, settings, objective)
    return Setup(problem, settings, trial, objective, plan, reason=reason(problem, settings, Elements.name))
