"""The noise report: a pilot run, every prediction beside its measurement, and what follows for training."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vpinn.domain import Mesh
from vpinn.domain.quadrature import MAX_DEGREE
from vpinn.errors import InputError
from vpinn.noise import biases, costs, dynamics, estimators, limits, recommend, search, signals
from vpinn.noise import variance as theory
from vpinn.noise.advice import compared, simplest
from vpinn.noise.basins import Error, basins
from vpinn.noise.effort import FULL, Effort, fitted, median_seconds
from vpinn.noise.falls import Bend
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.minimum import Minimum
from vpinn.noise.pilot import best_rate, descend, polish
from vpinn.noise.population import Population, kept, population
from vpinn.noise.questions import settle
from vpinn.noise.recommend import Setting
from vpinn.objective import Objective, make_objective, quadrature_degree
from vpinn.optimization import Start, make_start
from vpinn.optimization.spectrum import difference_product, leading
from vpinn.optimization.split import batches_of
from vpinn.placement import HERE, Placement
from vpinn.problem import Problem
from vpinn.trial import Trial, make_trial

Say = Callable[[str], None]
Truth = Callable[[Trial], Error | None]
TIMED, COSTS = 0.15, 12
"""Share of the points for questions about seconds, and what the seed of their draws has beside that of the problem."""
FINER = 3
"""Degrees by which the rule of the unseen points is finer."""
NORMALISED = 16
"""Points at most that a hidden unit is normalised over."""
LOOKS = (1, 2, 4, 12, 8, 16)
"""Sixteenths of the pilot run after which all points are looked at, the most telling ones last."""


@dataclass(frozen=True)
class NoiseReport:
    """What was found.

    Attributes:
        title: of the problem.
        findings: predictions beside measurements.
        curves: name → figure's data; "variance" has one per sampler, as "variance: name".
        settings: recommended lines of the problem file.
        numbers: points, parameters, seconds and the like.
    """

    title: str
    findings: tuple[Finding, ...]
    curves: dict[str, Curve]
    settings: tuple[Setting, ...]
    numbers: dict[str, Any]

    @property
    def recommendation(self) -> str:
        """Lines to paste into the problem file."""
        return recommend.block(self.settings)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-compatible values, the content of noise.json."""
        return {
            "title": self.title,
            **self.numbers,
            "findings": [finding.as_row() for finding in self.findings],
            "recommendation": {f"{s.section}.{s.key}": {"value": s.value.strip('"'), "reason": s.reason} for s in self.settings},
            "curves": {name: curve.as_dict() for name, curve in self.curves.items()},
        }


def measure_noise(  # noqa: PLR0915 (one measurement after the other)
    problem: Problem, effort: Effort = FULL, say: Say = lambda stage: None, error: Truth = lambda trial: None
) -> NoiseReport:
    """Measure the noise of mini-batches on a problem and hold the theory against it.

    Args:
        problem: the problem; its network, quadrature and seed are used, its method is not.
        effort: how much is measured at most; ``QUICK`` is meant for about a minute.
        say: told what is measured next.
        error: trial space → error of the solution of parameters, None where it is not known.

    Raises:
        InputError: the gradient is zero or not finite, there are too many points, or a form has derivatives of order three.
    """
    began = time.process_time()
    seed = problem.settings.solver.seed
    generator = np.random.default_rng(seed)
    def made(space: Trial, placement: Placement, unit: float) -> Objective:
        return make_objective(problem, space, placement, unit=unit)

    begun = make_start(problem, make_trial(problem), made, HERE.precise(problem.settings.solver.precision))
    trial, theta = begun.trial, begun.plain
    objective = _as_sampled(_drawn(problem, begun))
    if not math.isfinite(objective.value(theta)):
        where = objective.non_finite(theta)
        raise InputError(f"the loss is not finite at the initial weights{where}; check the form, or try another solver.seed")
    say("gradients at the start")
    first = population(objective, theta, generator, 0)
    middle = _middle(problem, objective)
    effort = fitted(effort, objective, middle)
    sizes = sorted({max(4, min(round(middle * f), objective.measures[0].points.size)) for f in (1.0, *effort.multiples)})
    say("trials of learning rates")
    trials = best_rate(objective, theta, middle, effort.trial, seed)
    rate = min(trials, key=lambda t: t.loss).rate
    say("a pilot run")
    steps = sorted({effort.pilot * k // 16 for k in LOOKS[-effort.looks :]})
    pilot = descend(objective, theta, middle, rate, effort.pilot, seed, steps, effort.pilot // 20)
    places = [theta, *pilot.places]
    say("noise over the run")
    place = places[len(places) // 2]
    people = kept(population(objective, place, generator), generator)
    course = [first, *(people if at is place else population(objective, at, generator, 0) for at in pilot.places)]
    product = difference_product(objective.gradient, place)
    bend = Bend.at(people, product, generator)
    stiffest = _stiffest(objective, place, generator)
    bottom = polish(objective, places[-1], effort.polish)
    minimum = Minimum.at(objective, bottom, generator)
    questions, uniform = estimators.samplers(people, sizes, generator)
    rows, weighted = signals.progress(people, bend, uniform, generator)
    costly, spent = costs.costs(people, bend, sizes, weighted, np.random.default_rng((seed, COSTS)))
    limits_of, limit = limits.batch_limits(objective, theta, middle, generator)
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
    findings += timed
    curves = {name: curve for question in (*questions, *costly) for name, curve in question.curves().items()}
    findings += [limits.stability(minimum), _floor(course[-1], minimum)]
    say("where noise leads")
    walked = (effort.pilot // 4, effort.polish // 4)
    top, unseen = torch.from_numpy(minimum.vectors[:, 0].copy()), _unseen(problem, trial, objective)
    ended, ends = basins(objective, unseen, error(trial), places[-1], top, rate, middle, walked, generator)
    findings += ended
    curves |= ends
    say("a population search")
    searched, found = search.compare(objective, theta, rate, effort.evaluations, seed, objective.value(bottom))
    findings += searched
    curves["search"] = found
    at = np.array([0.0, *map(float, steps)])
    scales = np.array([theory.noise_scale(p.trace, p.square) for p in course])
    curves["noise scale"] = Curve(at, scales)
    summed = median_seconds(lambda: begun.objective.gradient(place))
    variances = {name.removeprefix("variance: "): curve for name, curve in curves.items() if name.startswith("variance: ")}
    best = recommend.size(float(scales[-1]), spent, objective.measures[0].points.size, variances, summed)
    whole, step = best.points == objective.measures[0].points.size, batches_of(objective) * best.points
    clipped = curves["clipping"]
    threshold = float(clipped.x[clipped.measured.argmin()])
    say("samplers as training will draw them")
    known = estimators.points_per_cell(people)
    per_cell = None if known is None else known[0]
    seen = places[1], places[-1]
    drawings = [] if whole else compared(problem.settings, objective, seen, step, seed, None, per_cell, effort.drawn)
    samplers = () if whole else simplest(drawings).samplers
    say("trials of learning rates with the batch recommended")
    trials = best_rate(begun.objective if whole else objective, theta, best.points, effort.trial, seed, samplers)
    settings = [
        Setting("batch", "size", '"full"' if whole else str(step), best.reason),
        *(recommend.drawing(drawings) if drawings else []),
        Setting("solver", "method", '"adam"', "the settings below are those of a first-order method"),
        recommend.learning_rate(trials, limit),
        recommend.warmup(pilot.norms, problem.settings.solver.steps or effort.pilot),
        Setting("solver", "schedule", '"cosine"', "noise leaves an error proportional to the step size: let it fall"),
        recommend.clip(pilot.norms, threshold),
    ]
    numbers = {
        "points_drawn": points + more,
        "quadrature_points": objective.size,
        "parameters": len(theta),
        "batch": middle,
        "measured": effort.counts(),
        "noise_scale": [float(s) if np.isfinite(s) else None for s in scales],
        "noise_scale_by_curvature": float(weighted) if np.isfinite(weighted) else None,
        "seconds_per_step": spent[0],
        "seconds_per_point": spent[1],
        "seconds_of_all_points": summed,
        "drawings": [{**c.keys, "variance": c.variance, "error": c.error} for c in drawings],
        "seconds": time.process_time() - began,
    }
    findings.sort(key=lambda f: f.item)
    return NoiseReport(problem.title, tuple(findings), curves, tuple(settings), numbers)


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
    mesh = isinstance(problem.domain, Mesh)
    degree = min(MAX_DEGREE, quadrature_degree(problem, objective.test_space) + FINER) if mesh else None
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
