"""The stages of a noise report: functions that `vpinn.noise.report` calls in order, each with the results of earlier ones.

Every stage returns values that `vpinn.noise.record` can store, so that a report can be resumed after any of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vpinn.domain.quadrature import MAX_DEGREE
from vpinn.errors import InputError
from vpinn.noise import biases, costs, dynamics, estimators, limits, search, signals
from vpinn.noise import variance as theory
from vpinn.noise.advice import Candidate, Keys, compared, samplers_by
from vpinn.noise.basins import Error, basins
from vpinn.noise.directions import drawn_derivatives
from vpinn.noise.effort import Effort, fitted, median_seconds
from vpinn.noise.falls import Bend
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.minimum import Minimum
from vpinn.noise.pilot import RateTrial, descend, polish
from vpinn.noise.population import Population, kept, population
from vpinn.noise.questions import settle
from vpinn.objective import Objective, Resolution, make_objective, quadrature_degree
from vpinn.optimization import Start, balanced_start
from vpinn.optimization.spectrum import difference_product, leading
from vpinn.placement import HERE, Placement
from vpinn.problem import Case
from vpinn.trial import Trial, make_trial

Say = Callable[[str], None]
Truth = Callable[[Trial], Error | None]
Drawing = tuple[Keys, tuple[float, ...], tuple[float, ...]]
"""A measured way to draw batches: settings of [batch], variances at places, and their standard errors."""
TIMED, COSTS = 0.15, 12
"""Share of the budget for questions about seconds, and number that is combined with the problem's seed for their draws."""
FINER = 3
"""Degrees that the quadrature rule of points not used in training has more than that of training."""
NORMALISED = 16
"""Largest batch for the measurement of batch normalisation."""
LOOKS = (1, 2, 4, 12, 8, 16)
"""Steps of the pilot run, in sixteenths, at which all points are evaluated; a smaller budget keeps the last entries only."""


@dataclass(frozen=True)
class Subject:
    """The problem that is measured, with all that the stages share.

    Attributes:
        problem: The problem; its network, quadrature and seed are used, its method is not.
        begun: Objective and initial parameters of training.
        objective: Objective as training estimates it from batches.
        effort: Budget of the report, fitted to the problem.
        error: Function from parameters to the error of the solution; None if the exact solution is not known.
    """

    problem: Case
    begun: Start
    objective: Objective
    effort: Effort
    error: Error | None

    @classmethod
    def of(cls, problem: Case, effort: Effort, error: Truth) -> Subject:
        """Prepare a problem for the report.

        Raises:
            InputError: The loss is not finite at the initial parameters.
        """

        def made(stated: Case, space: Trial, placement: Placement, unit: float) -> Objective:
            return make_objective(stated, space, placement, unit=unit)

        problem, begun = balanced_start(problem, make_trial(problem), made, HERE.precise(problem.settings.solver.precision))
        objective = _as_sampled(_drawn(problem, begun))
        if not math.isfinite(objective.value(begun.plain)):
            where = objective.non_finite(begun.plain)
            raise InputError(f"the loss is not finite at the initial weights{where}; check the form, or try another solver.seed")
        return cls(problem, begun, objective, fitted(effort, objective, _middle(problem, objective)), error(begun.trial))

    @property
    def seed(self) -> int:
        """Seed of the problem."""
        return self.problem.settings.solver.seed

    @property
    def theta(self) -> Tensor:
        """Initial parameters [size]."""
        return self.begun.plain

    @property
    def middle(self) -> int:
        """Points of the middle batch, with which most is measured."""
        return _middle(self.problem, self.objective)

    @property
    def points(self) -> int:
        """Number of quadrature points in the domain."""
        return self.objective.measures[0].points.size


@dataclass(frozen=True)
class PilotRun:
    """A short training run, along which the noise is measured.

    Attributes:
        steps: Numbers of the steps after which all points are evaluated.
        places: Parameters at the start and after these steps, [size] each.
        norms: Norm of the batch gradient of every step.
        rate: Learning rate.
    """

    steps: list[int]
    places: list[Tensor]
    norms: list[float]
    rate: float


def scale_of(people: Population) -> float:
    """Return the noise scale tr Σ/‖∇J‖² in points."""
    return float(theory.noise_scale(people.trace, people.square))


def pilot_run(subject: Subject, rate: float) -> RateTrial:
    """Train for the steps of the pilot run, and return it with the parameters at the steps of `looks`."""
    pilot = subject.effort.pilot
    return descend(
        subject.objective, subject.theta, subject.middle, rate, pilot, subject.seed, looks(subject.effort), pilot // 20
    )


def looks(effort: Effort) -> list[int]:
    """Return the steps of the pilot run after which the gradients of all points are evaluated."""
    return sorted({effort.pilot * k // 16 for k in LOOKS[-effort.looks :]})


def pilot_of(pilot: RateTrial, subject: Subject) -> PilotRun:
    """Return the pilot run with its start, from the trial that `pilot_run` returned."""
    return PilotRun(looks(subject.effort), [subject.theta, *pilot.places], pilot.norms, pilot.rate)


def over_the_run(subject: Subject, course: PilotRun, generator: np.random.Generator, say: Say) -> dict[str, Any]:
    """Compare theory and measurement along the pilot run and at the minimum after it, sampling until findings are certain.

    Args:
        subject: The problem.
        course: The pilot run.
        generator: Generator of all draws.
        say: Function that is told what is measured next.

    Returns:
        "findings" and "curves"; "scales", the noise scales at all places after the start; "weighted", the noise scale weighted by
        curvature; "spent", the seconds per step and per point; "limit", the largest stable step size at the start; "points", the
        points evaluated; "bottom", the parameters of the minimum [size], and "top", its stiffest direction [size]; "per_cell",
        the best number of points per drawn cell, or None.
    """
    objective, middle, effort = subject.objective, subject.middle, subject.effort
    sizes = sorted({max(4, min(round(middle * f), subject.points)) for f in (1.0, *effort.multiples)})
    place = course.places[len(course.places) // 2]
    people = kept(population(objective, place, generator), generator)
    others = [people if at is place else population(objective, at, generator, 0) for at in course.places[1:]]
    product = difference_product(objective.gradient, place)
    bend = Bend.at(people, product, generator)
    stiffest = _stiffest(objective, place, generator)
    bottom = polish(objective, course.places[-1], effort.polish)
    minimum = Minimum.at(objective, bottom, generator)
    questions, uniform = estimators.samplers(people, sizes, generator)
    rows, weighted = signals.progress(people, bend, uniform, generator)
    costly, spent = costs.costs(people, bend, sizes, weighted, np.random.default_rng((subject.seed, COSTS)))
    limits_of, limit = limits.batch_limits(objective, subject.theta, middle, generator)
    questions += [
        *rows,
        limits_of,
        signals.scale(people, uniform),
        *estimators.allocations(people, middle, generator),
        biases.squares(people, middle, generator),
        biases.batch_normalisation(people, min(middle, NORMALISED), generator),
        biases.reuse(people, product, biases.InnerStep(middle, stiffest), generator),
        *signals.adam(people, sizes, generator),
        signals.clipping(people, uniform[middle], middle),
        costs.fluctuation(people, uniform),
        *estimators.clusters(people, sizes[-1], generator),
        *drawn_derivatives(people, middle, generator),
        *estimators.compression(people, middle, generator),
        *dynamics.settle(minimum, max(8, people.batches * middle // 4), generator),
        dynamics.annealing(minimum, max(8, people.batches * middle // 8), generator),
    ]
    say("batches until verdicts are decided")
    findings, points = settle(questions, (1.0 - TIMED) * effort.points)
    timed, more = settle(costly, TIMED * effort.points)  # a budget of its own, as times differ from run to run
    known = estimators.points_per_cell(people)
    return {
        "findings": [*findings, *timed, limits.stability(minimum), _floor(others[-1], minimum)],
        "curves": {name: curve for question in (*questions, *costly) for name, curve in question.curves().items()},
        "scales": [scale_of(one) for one in others],
        "weighted": float(weighted),
        "spent": spent,
        "limit": float(limit),
        "points": points + more,
        "bottom": bottom,
        "top": minimum.vectors[:, 0].copy(),
        "per_cell": None if known is None else known[0],
    }


def walks_ends(
    subject: Subject, course: PilotRun, seen: dict[str, Any], generator: np.random.Generator
) -> tuple[list[Finding], dict[str, Curve]]:
    """Measure at the minima that training ends in after runs at several noise levels; see `basins`."""
    unseen = _unseen(subject.problem, subject.begun.trial, subject.objective)
    walked, top = (subject.effort.pilot // 4, subject.effort.polish // 4), torch.from_numpy(seen["top"])
    return basins(
        subject.objective, unseen, subject.error, course.places[-1], top, course.rate, subject.middle, walked, generator
    )


def searched_by(subject: Subject, rate: float, seen: dict[str, Any]) -> tuple[list[Finding], Curve]:
    """Compare a population search with a gradient method at equal cost; see `search.compare`."""
    least = subject.objective.value(seen["bottom"])
    return search.compare(subject.objective, subject.theta, rate, subject.effort.evaluations, subject.seed, least)


def seconds_of_all(subject: Subject, course: PilotRun) -> float:
    """Return the processor seconds of one gradient over all points."""
    place = course.places[len(course.places) // 2]
    return median_seconds(lambda: subject.begun.objective.gradient(place))


def drawings_of(subject: Subject, course: PilotRun, seen: dict[str, Any], step: int) -> list[Drawing]:
    """Return the ways to draw ``step`` points that `advice.compared` measured, with their variances, in a form to store."""
    places = course.places[1], course.places[-1]
    settings, drawn = subject.problem.settings, subject.effort.drawn
    found = compared(settings, subject.objective, places, step, subject.seed, None, seen["per_cell"], drawn)
    return [(dict(one.keys), one.variance, one.error) for one in found]


def candidates(subject: Subject, step: int, known: list[Drawing]) -> list[Candidate]:
    """Return the candidates of `advice` that belong to stored ways to draw ``step`` points."""
    settings, objective = subject.problem.settings, subject.objective
    return [Candidate(keys, samplers_by(keys, settings, objective, step), *rest) for keys, *rest in known]


def _drawn(problem: Case, begun: Start) -> Objective:
    """Return the objective with the estimator that training would use for mini-batches, also if the file asks for all points."""
    objective, batch = begun.objective, problem.settings.batch
    if objective.test_space is None or batch.size != "full":
        return objective
    settings = problem.settings.model_copy(update={"batch": batch.model_copy(update={"size": _middle(problem, objective)})})
    found = make_objective(problem, begun.trial, unit=objective.unit, settings=settings)
    return dataclasses.replace(found, test_space=objective.test_space)


def _as_sampled(objective: Objective) -> Objective:
    """Return the objective made of the integrals that batches estimate, with their control variate if there is one.

    The loss of a weak form is then estimated from two batches, unless the estimator is "plain".
    """
    estimator = "plain" if objective.test_space is None or objective.estimator == "plain" else "two-batch"
    return dataclasses.replace(objective, measures=objective.batched, controlled=(), estimator=estimator)


def _unseen(problem: Case, trial: Trial, objective: Objective) -> Objective:
    """Return the objective on points that training does not use: a finer Gauss rule on a mesh, else points of another seed."""
    solver = problem.settings.solver
    settings = problem.settings.model_copy(update={"solver": solver.model_copy(update={"seed": solver.seed + 1})})
    degree = min(MAX_DEGREE, quadrature_degree(problem, problem.settings, objective.test_space) + FINER)
    return _as_sampled(make_objective(problem, trial, resolution=Resolution(degree), unit=objective.unit, settings=settings))


def _middle(problem: Case, objective: Objective) -> int:
    """Return the size of the middle batch: ``batch.size`` if it is a number, else 1/16 of the points, between 16 and 256."""
    points, asked = objective.measures[0].points.size, problem.settings.batch.size
    return min(points, asked) if isinstance(asked, int) else int(np.clip(points // 16, min(16, points), 256))


def _stiffest(objective: Objective, theta: Tensor, generator: np.random.Generator) -> float:
    """Return the largest curvature at θ, by the Lanczos iteration."""
    found = leading(difference_product(objective.gradient, theta), len(theta), 1, generator, steps=min(len(theta), 8))
    return abs(float(found.values[0]))


def _floor(last: Population, minimum: Minimum) -> Finding:
    """Return the finding on the noise that remains at the minimum; it vanishes if the integrand does at every point."""
    ratio = minimum.people.trace / last.trace
    reason = "the noise vanishes at the minimum" if ratio < 0.1 else "noise remains at the minimum"
    return Finding(8, "tr Σ at the minimum over tr Σ at the end of the pilot run", math.nan, ratio, reason=reason)
