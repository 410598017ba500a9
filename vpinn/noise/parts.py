"""What a noise report measures, in parts: each needs the problem and what parts before it have found."""

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
from vpinn.noise.effort import Effort, fitted, median_seconds
from vpinn.noise.falls import Bend
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.minimum import Minimum
from vpinn.noise.pilot import RateTrial, descend, polish
from vpinn.noise.population import Population, kept, population
from vpinn.noise.questions import settle
from vpinn.objective import Objective, make_objective, quadrature_degree
from vpinn.optimization import Start, make_start
from vpinn.optimization.spectrum import difference_product, leading
from vpinn.placement import HERE, Placement
from vpinn.problem import Problem
from vpinn.trial import Trial, make_trial

Say = Callable[[str], None]
Truth = Callable[[Trial], Error | None]
Drawing = tuple[Keys, tuple[float, ...], tuple[float, ...]]
"""A way of drawing: lines of ``[batch]``, variances, and their errors."""
TIMED, COSTS = 0.15, 12
"""Share of the points for questions about seconds, and what the seed of their draws has beside that of the problem."""
FINER = 3
"""Degrees by which the rule of the unseen points is finer."""
NORMALISED = 16
"""Points at most that a hidden unit is normalised over."""
LOOKS = (1, 2, 4, 12, 8, 16)
"""Sixteenths of the pilot run after which all points are looked at, the most telling ones last."""


@dataclass(frozen=True)
class Subject:
    """What is measured on.

    Attributes:
        problem: its network, quadrature and seed are used, its method is not.
        begun: where training starts.
        objective: as training samples it.
        effort: how much is measured at most.
        error: of the solution, None where it is not known.
    """

    problem: Problem
    begun: Start
    objective: Objective
    effort: Effort
    error: Error | None

    @classmethod
    def of(cls, problem: Problem, effort: Effort, error: Truth) -> Subject:
        """Return the subject of a problem.

        Raises:
            InputError: the loss is not finite at the start.
        """

        def made(space: Trial, placement: Placement, unit: float) -> Objective:
            return make_objective(problem, space, placement, unit=unit)

        begun = make_start(problem, make_trial(problem), made, HERE.precise(problem.settings.solver.precision))
        objective = _as_sampled(_drawn(problem, begun))
        if not math.isfinite(objective.value(begun.plain)):
            where = objective.non_finite(begun.plain)
            raise InputError(f"the loss is not finite at the initial weights{where}; check the form, or try another solver.seed")
        return cls(problem, begun, objective, fitted(effort, objective, _middle(problem, objective)), error(begun.trial))

    @property
    def seed(self) -> int:
        """Of the problem."""
        return self.problem.settings.solver.seed

    @property
    def theta(self) -> Tensor:
        """The initial weights [size]."""
        return self.begun.plain

    @property
    def middle(self) -> int:
        """Points of the batch that most is measured with."""
        return _middle(self.problem, self.objective)

    @property
    def points(self) -> int:
        """Points of the domain."""
        return self.objective.measures[0].points.size


@dataclass(frozen=True)
class PilotRun:
    """A pilot run.

    Attributes:
        steps: after which all points are looked at.
        places: parameters [size] at the start and then.
        norms: gradient norm of every step's batch.
        rate: learning rate.
    """

    steps: list[int]
    places: list[Tensor]
    norms: list[float]
    rate: float


def scale_of(people: Population) -> float:
    """Return the noise scale of all points."""
    return float(theory.noise_scale(people.trace, people.square))


def pilot_run(subject: Subject, rate: float) -> RateTrial:
    """Train for a while, and keep the places that are looked at."""
    pilot = subject.effort.pilot
    return descend(
        subject.objective, subject.theta, subject.middle, rate, pilot, subject.seed, looks(subject.effort), pilot // 20
    )


def looks(effort: Effort) -> list[int]:
    """Return the steps of the pilot run after which all points are looked at."""
    return sorted({effort.pilot * k // 16 for k in LOOKS[-effort.looks :]})


def pilot_of(pilot: RateTrial, subject: Subject) -> PilotRun:
    """Return the course of the pilot run."""
    return PilotRun(looks(subject.effort), [subject.theta, *pilot.places], pilot.norms, pilot.rate)


def over_the_run(subject: Subject, course: PilotRun, generator: np.random.Generator, say: Say) -> dict[str, Any]:
    """Look at all points over the course, and ask until verdicts are decided.

    Returns:
        "findings" and "curves"; "scales" at the places after the start; "weighted", the noise scale by curvature; "spent", the
        seconds of a step and a point; "limit" of stable steps; "points" drawn; "bottom", parameters of the minimum [size], and
        "top", its stiffest direction [size]; "per_cell", points of a cell that are worth drawing, or None.
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
        biases.reuse(people, product, stiffest, middle, generator),
        *signals.adam(people, sizes, generator),
        signals.clipping(people, uniform[middle], middle),
        costs.fluctuation(people, uniform),
        *estimators.clusters(people, sizes[-1], generator),
        *estimators.compression(people, middle, generator),
        *dynamics.settle(minimum, max(8, people.batches * middle // 4), generator),
        dynamics.annealing(minimum, max(8, people.batches * middle // 8), generator),
    ]
    say("batches until verdicts are decided")
    findings, points = settle(questions, (1.0 - TIMED) * effort.points)
    timed, more = settle(costly, TIMED * effort.points)  # apart, since what a clock tells decides on batches
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
    """Look where walks at several noises end."""
    unseen = _unseen(subject.problem, subject.begun.trial, subject.objective)
    walked, top = (subject.effort.pilot // 4, subject.effort.polish // 4), torch.from_numpy(seen["top"])
    return basins(
        subject.objective, unseen, subject.error, course.places[-1], top, course.rate, subject.middle, walked, generator
    )


def searched_by(subject: Subject, rate: float, seen: dict[str, Any]) -> tuple[list[Finding], Curve]:
    """Hold a population search against gradients."""
    least = subject.objective.value(seen["bottom"])
    return search.compare(subject.objective, subject.theta, rate, subject.effort.evaluations, subject.seed, least)


def seconds_of_all(subject: Subject, course: PilotRun) -> float:
    """Return the seconds of a gradient by all points."""
    place = course.places[len(course.places) // 2]
    return median_seconds(lambda: subject.begun.objective.gradient(place))


def drawings_of(subject: Subject, course: PilotRun, seen: dict[str, Any], step: int) -> list[Drawing]:
    """Return ways of drawing ``step`` points, with their variances."""
    places = course.places[1], course.places[-1]
    settings, drawn = subject.problem.settings, subject.effort.drawn
    found = compared(settings, subject.objective, places, step, subject.seed, None, seen["per_cell"], drawn)
    return [(dict(one.keys), one.variance, one.error) for one in found]


def candidates(subject: Subject, step: int, known: list[Drawing]) -> list[Candidate]:
    """Return the candidates that drawings stand for."""
    settings, objective = subject.problem.settings, subject.objective
    return [Candidate(keys, samplers_by(keys, settings, objective, step), *rest) for keys, *rest in known]


def _drawn(problem: Problem, begun: Start) -> Objective:
    """Return the objective as training has it where it draws batches, by the estimator that it then takes."""
    objective, batch = begun.objective, problem.settings.batch
    if objective.test_space is None or batch.size != "full":
        return objective
    settings = problem.settings.model_copy(update={"batch": batch.model_copy(update={"size": _middle(problem, objective)})})
    found = make_objective(dataclasses.replace(problem, settings=settings), begun.trial, unit=objective.unit)
    return dataclasses.replace(found, test_space=objective.test_space)


def _as_sampled(objective: Objective) -> Objective:
    """Return the objective over the measures that batches are drawn from, a weak form's loss by two batches but for "plain"."""
    estimator = "plain" if objective.test_space is None or objective.estimator == "plain" else "two-batch"
    return dataclasses.replace(objective, measures=objective.batched, controlled=(), estimator=estimator)


def _unseen(problem: Problem, trial: Trial, objective: Objective) -> Objective:
    """Return the objective on points that training does not see: a finer Gauss rule, or those of another seed without cells."""
    solver = problem.settings.solver
    settings = problem.settings.model_copy(update={"solver": solver.model_copy(update={"seed": solver.seed + 1})})
    degree = min(MAX_DEGREE, quadrature_degree(problem, objective.test_space) + FINER)
    return _as_sampled(make_objective(dataclasses.replace(problem, settings=settings), trial, degree=degree, unit=objective.unit))


def _middle(problem: Problem, objective: Objective) -> int:
    """Return the batch that most is measured with: the problem's own, or a sixteenth of the points, 16 to 256."""
    points, asked = objective.measures[0].points.size, problem.settings.batch.size
    return min(points, asked) if isinstance(asked, int) else int(np.clip(points // 16, min(16, points), 256))


def _stiffest(objective: Objective, theta: Tensor, generator: np.random.Generator) -> float:
    found = leading(difference_product(objective.gradient, theta), len(theta), 1, generator, steps=min(len(theta), 8))
    return abs(float(found.values[0]))


def _floor(last: Population, minimum: Minimum) -> Finding:
    """Return what becomes of tr Σ at the solution: nothing where the integrand vanishes at every point of it, else a floor."""
    ratio = minimum.people.trace / last.trace
    reason = "the noise dies out at the solution" if ratio < 0.1 else "a floor of noise stays at the solution"
    return Finding(8, "tr Σ at the minimum over tr Σ at the end of the pilot run", math.nan, ratio, reason=reason)
