"""Ways to solve new members of a family, compared by error and processor time.

A network is trained from random weights, from those of the nearest member that was solved, and from learned weights; the last
layer of learned features, and of random ones, is found by least squares; and a reduced space is asked. Start with `contest`.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.analysis import TrueError, independent_points
from vpinn.domain import Points
from vpinn.errors import VpinnError
from vpinn.families import Family, FamilyStage, solve_in_stages
from vpinn.features import Elements
from vpinn.finite_elements import Level
from vpinn.interrupt import Interrupt
from vpinn.learning import FamilyMember, Learning, begun, last_layer_solved
from vpinn.optimization import Training, make_plan, train
from vpinn.placement import HOST, Placement, wide
from vpinn.problem import Case, Settings, member
from vpinn.problem.numerics import Solver
from vpinn.process import release_memory
from vpinn.solution import Solution
from vpinn.solving.element_stages import solve_by_elements
from vpinn.solving.least_squares import LeastSquaresStrategy
from vpinn.solving.preparation import prepare
from vpinn.solving.strategy import Hooks
from vpinn.trial import Trial

Array = NDArray[np.float64]
MARKS = 40
"""Number of instants of a training, besides its start, at which the error is computed."""
TRUE = 1e-8
"""Tolerance of the elements whose solution is taken as exact where the problem file states none."""
NORM = 12
"""Degree of the quadrature of errors."""
REDUCED = 1e-5
"""Tolerance of the reduced space where the problem file gives none."""

Course = list[tuple[float, Trial, Tensor]]
"""Processor seconds since the start, trial space and parameters [size], in order."""


@dataclass
class Way:
    """A way to solve a member.

    Attributes:
        solve: values of the parameters [P] and the member as a problem → course.
        offline: processor seconds spent before the first member.
        errors: relative L² error at every mark, for every member that was tried.
        seconds: processor seconds at every mark, for every member.
        refused: why it does not apply; "" if it does.
    """

    solve: Callable[[Array, Case], Course]
    offline: float = 0.0
    errors: list[list[float]] = field(default_factory=list)
    seconds: list[list[float]] = field(default_factory=list)
    refused: str = ""


def contest(
    learning: Learning,
    weights: Tensor,
    features: Tensor,
    unseen: Sequence[Array],
    spent: float,
    signals: Interrupt,
    until: float = math.inf,
) -> dict[str, Way]:
    """Return the ways to solve members, with what each reached on those that were not learned from.

    Args:
        learning: what was learned from.
        weights: common weights [size].
        features: weights with learned hidden layers [size].
        unseen: values of the parameters of the members [P] each.
        spent: processor seconds that learning took.
        signals: signals received, which end the work.
        until: time, by ``time.perf_counter``, after which no further way is tried; members that not all ways have solved by then
            are left out.

    Returns:
        Name → way: "cold", "nearest", "weights", "features", "least-squares" and "reduced".
    """
    contestants = _Contestants(learning, signals)
    ways = {
        "cold": Way(contestants.cold),
        "nearest": Way(contestants.nearest),
        "weights": Way(lambda values, problem: contestants.trained_from(values, weights), spent),
        "features": Way(lambda values, problem: contestants.featured(problem, features), spent),
        "least-squares": Way(contestants.least_squares),
        "reduced": Way(contestants.reduced),
    }
    for number, values in enumerate(unseen):
        if not _all_tried(ways.values(), values, member(learning.members.family, values), until):
            for way in ways.values():
                del way.seconds[number:], way.errors[number:]
            break
    ways["nearest"].offline = contestants.solving
    ways["reduced"].offline = contestants.reducing
    return ways


def _all_tried(ways: Iterable[Way], values: Array, problem: Case, until: float) -> bool:
    """Solve a member by all ways that apply; return False, without the rest of them, where the time is over."""
    error = None
    for way in ways:
        if time.perf_counter() > until:
            return False
        if error is None:
            error = error_function(problem)
            release_memory()
        if way.refused:
            continue
        try:
            course = way.solve(values, problem)
        except VpinnError as refused:
            way.refused = str(refused)
            continue
        way.seconds.append([seconds for seconds, *_ in course])
        way.errors.append([error(trial, theta) for _, trial, theta in course])
    return True


class _Contestants:
    """The ways, with what they share between members."""

    def __init__(self, learning: Learning, signals: Interrupt) -> None:
        self._learning, self._signals = learning, signals
        self._family: Family | None = None
        self._solved: dict[int, Tensor] = {}
        self.solving = self.reducing = 0.0

    @property
    def _settings(self) -> Settings:
        """Settings of training on a member: those of the file, with the method that [learn] names."""
        settings = self._learning.members.settings
        solver = Solver(method=settings.learn.train, steps=settings.learn.adapt, seed=settings.solver.seed)
        return settings.model_copy(update={"solver": solver})

    def _trained(self, one: FamilyMember, theta: Tensor, began: float) -> Course:
        """Return the course of a training."""
        plan = make_plan(self._settings.learn.train, self._settings, one.objective)
        training = Training.start(one.objective.placement.put(theta), plan.method, self._settings.solver.seed)
        course: Course = [(time.process_time() - began, one.trial, wide(theta))]

        def mark(theta: Tensor) -> Mapping[str, float]:
            course.append((time.process_time() - began, one.trial, wide(theta)))
            return {}

        plan = dataclasses.replace(plan, monitor_every=max(1, plan.schedule.steps // MARKS))
        train(one.objective, training, plan, mark, interrupt=self._signals)
        return course

    def cold(self, values: Array, problem: Case) -> Course:
        """Train from random weights, with the scales that this member asks for."""
        began, members = time.process_time(), self._learning.members
        start = begun(problem, members.settings, members.placement, members.name)
        plan = make_plan(members.name, self._settings, start.objective)
        theta = start.start(plan.method, bool(plan.samplers))  # type: ignore[arg-type]
        return self._trained(FamilyMember(problem, start.trial, start.objective), theta, began)

    def trained_from(self, values: Array, theta: Tensor) -> Course:
        """Train from given weights."""
        began = time.process_time()
        return self._trained(self._learning.members.at(values), theta, began)

    def nearest(self, values: Array, problem: Case) -> Course:
        """Train from the weights of the nearest of the members that were learned from, trained alike from random weights."""
        parameters = self._learning.members.family.ranges
        places = parameters.places(np.vstack([values, self._learning.values]))
        nearest = int(np.linalg.norm(places[1:] - places[0], axis=1).argmin())
        if nearest not in self._solved:
            began = time.process_time()
            one = self._learning.members.at(self._learning.values[nearest])
            self._solved[nearest] = self._trained(one, self._learning.members.plain, began)[-1][-1]
            self.solving = max(self.solving, len(self._learning.values) * (time.process_time() - began))
        return self.trained_from(values, self._solved[nearest])

    def featured(self, problem: Case, theta: Tensor) -> Course:
        """Find the last layer of learned features by least squares."""
        began = time.process_time()
        trial = self._learning.members.space(problem)
        found = last_layer_solved(problem, trial, theta)[1]
        return [(time.process_time() - began, trial, found)]

    def least_squares(self, values: Array, problem: Case) -> Course:
        """Find the last layer of random features by least squares, as many as the tolerance needs."""
        began, solver = time.process_time(), self._learning.members.settings.solver
        own = Solver(method="least-squares", tolerance=solver.tolerance, seed=solver.seed)
        settings = problem.settings.model_copy(update={"solver": own})
        strategy = LeastSquaresStrategy(prepare(problem, Placement.of(None, 1), settings=settings))
        state = strategy.start()
        found = strategy.solve(state, Hooks(lambda training: None, lambda *kept: None, self._signals))().solution
        return [(time.process_time() - began, found.trial, found.theta)]

    def reduced(self, values: Array, problem: Case) -> Course:
        """Ask a reduced space, made before the first member."""
        if self._family is None:
            began, members = time.process_time(), self._learning.members
            solver = members.settings.solver
            generator = np.random.default_rng(solver.seed)
            stage, _ = solve_in_stages(members.family, solver.tolerance or REDUCED, generator, self._goes_on)
            self._family = Family.of(stage)
            self.reducing = time.process_time() - began
        began = time.process_time()
        _, trial, _ = self._family.query(values)
        return [(time.process_time() - began, trial, torch.zeros(trial.network.size, dtype=torch.float64, device=HOST))]

    def _goes_on(self, stage: FamilyStage) -> bool:
        return self._signals.signal is None


def error_function(problem: Case) -> Callable[[Trial, Tensor], float]:
    """Return trial space and parameters → largest relative L² error of all unknowns.

    The truth is the exact solution of the problem file, where it states one, else elements of high degree.

    Raises:
        InputError: there is neither.
    """
    points = independent_points(problem, NORM)
    if problem.exact:
        return lambda trial, theta: max(found["relative_l2"] for found in TrueError(problem, trial, points)(wide(theta)).values())
    truth = solve_by_elements(problem, Elements(TRUE))[0].found
    taken = points.take(np.arange(points.size))
    values = truth.evaluate(taken.x)

    def error(trial: Trial, theta: Tensor) -> float:
        theta = Level.of(problem)(trial, wide(theta))
        found = Solution(problem, trial, theta).evaluate(taken.x)
        return max(_gap(found[name], values[name], taken) for name in values)

    return error


def _gap(found: Array, truth: Array, points: Points) -> float:
    """Return the relative L² norm of a difference of fields [n, …] at n points."""
    squares = [points.w @ (one**2).reshape(len(one), -1).sum(1) for one in (found - truth, truth)]
    return float(np.sqrt(squares[0] / (squares[1] or 1.0)))


def told(ways: Mapping[str, Way]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return errors and refusals of all ways, and their processor seconds, as JSON-compatible values."""
    errors = {name: {"errors": way.errors, "refused": way.refused} for name, way in ways.items()}
    return errors, {name: {"offline": way.offline, "members": way.seconds} for name, way in ways.items()}
