"""Quadrature that adapts to training: a finer rule takes over when steps exploit the gaps between quadrature points.

A network with about as many weights as there are quadrature points, or more, can lower J at the points and raise it between
them, and good optimisers find such parameters. Every few steps J is therefore evaluated on an independent, finer rule. Its
decrease since the last evaluation, divided by the decrease on the points used for training, is a ratio of actual to predicted
decrease as in trust-region methods (Conn, Gould & Toint 2000, chapter 6). If the ratio is below ``LEAST`` the finer rule takes
over; if it is negative the steps since the last evaluation are undone, too. Decreases that are small beside the error by the last
estimate are no progress (see ``stagnation``), and are not judged. `make_rules` makes the rules of a problem.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from torch import Tensor

from vpinn.domain.quadrature import MAX_DEGREE
from vpinn.objective import Curvature, Objective, curvature, is_sum_of_squares, quadrature_degree, quadrature_rule
from vpinn.objective.resolution import SUMMED
from vpinn.optimization.method import Method
from vpinn.optimization.projection import few_points
from vpinn.optimization.settled import RuleLook
from vpinn.optimization.stagnation import FLOOR, estimated_gap
from vpinn.optimization.training import Training
from vpinn.problem import Case, Settings

EVERY = {False: 20, True: 5}
"""Steps between evaluations on the finer rule (two values of J each), for methods without (False) and with curvature (True)."""
LEAST = 0.5
"""Smallest accepted ratio of the decreases of J on the finer rule and on the points used for training."""
ROUNDING = 1e-12
"""Decrease of J, relative to J, below which it is a rounding error."""
PER_WEIGHT = 20
"""Points per weight from which the curvature of an energy is estimated if it has more."""
FINER = 4
"""Difference of the degrees of successive rules on a mesh."""
DEGREES = 3
"""Number of degrees tried before all cells are halved, which gives as many points as about eight degrees more."""


@dataclass(frozen=True)
class Rules:
    """An objective on a sequence of finer and finer quadrature rules.

    Attributes:
        first: objective on the rule with which training starts.
        make: level ≥ 1 → objective on a finer rule.
        levels: number of rules, ≥ 1; 1: only the first, which is then never replaced.
    """

    first: Objective
    make: Callable[[int], Objective] | None = None
    levels: int = 1

    @cached_property
    def _made(self) -> Callable[[int], Objective]:
        return cache(lambda level: self.make(level) if level and self.make else self.first)

    def at(self, training: Training) -> Objective:
        """Return the objective on the rule that training currently uses."""
        return self._made(_level(training))

    def curvature(self, objective: Objective, generator: np.random.Generator, theta: Tensor) -> Curvature:
        """Return the curvature of J over all points; of an energy over at most ``PER_WEIGHT`` points per weight.

        The curvature of an energy only proposes steps, which J and ∇J over all points accept or refuse. For a sum of squares,
        steps use the residuals of its rows, too.

        Args:
            objective: objective on the rule that training currently uses.
            generator: random numbers of the draws.
            theta: parameters [size].
        """
        if objective.test_space is not None or is_sum_of_squares(objective):
            return curvature(objective, theta)
        most = PER_WEIGHT * len(theta)
        return curvature(self.first, theta, few_points(self.first, generator, most, most))

    def judge(self, training: Training) -> Objective | None:
        """Return the objective on the next finer rule, None where there is none."""
        level = _level(training) + 1
        return self._made(level) if level < self.levels else None

    def follow(self, training: Training, method: Method) -> None:
        """Evaluate J on the finer rule, when it is due, and change to that rule if its J has decreased too little.

        Args:
            training: state after a step; changed in place.
            method: method that takes the steps.
        """
        judge, due = self.judge(training), training.step % EVERY[method.curved] == 0 or training.idle
        if judge is None or not due or not method.searches(training.state):
            return
        theta, before = training.theta, training.rule
        seen, finer = self.at(training).value(theta), judge.value(theta)
        if before is None:
            training.rule = RuleLook(0, theta, seen, finer)
            return
        fall, true = before.seen - seen, before.finer - finer
        if not fall > max(ROUNDING * abs(seen), FLOOR * estimated_gap(training, seen)):
            return
        if true >= LEAST * fall:
            training.rule = replace(before, theta=theta, seen=seen, finer=finer)
            return
        if not true >= 0.0:
            theta, finer = before.theta, before.finer
        training.rule = RuleLook(before.level + 1, theta, finer, math.inf)
        if (judge := self.judge(training)) is not None:
            training.rule = replace(training.rule, finer=judge.value(theta))
        training.theta = theta
        training.state = method.restarted(theta, training.state)
        training.idle = 0
        training.anchor, training.best = (theta, training.state), (theta, finer)


def make_rules(problem: Case, settings: Settings, objective: Objective, made: Callable[[Settings], Objective]) -> Rules | None:
    """Return finer rules for an objective over all points; None where the settings fix the rule, or none is finer.

    Args:
        problem: what is solved, in the formulation of the problem file.
        settings: how it is solved.
        objective: objective on the rule with which training starts.
        made: makes the objective of settings on the same trial space.
    """
    asked = settings.quadrature
    if asked.degree is not None or asked.points is not None or asked.refine or objective.size > SUMMED:
        return None
    kind, count = quadrature_rule(problem, settings)
    gauss, times = kind == "gauss", SUMMED // objective.size
    if not gauss and problem.domain.n_cells:
        return None
    levels = DEGREES * int(math.log2(times)) // problem.domain.dimension if gauss else times.bit_length()
    lowest = min(quadrature_degree(problem, settings, objective.test_space), MAX_DEGREE - (DEGREES - 1) * FINER)

    def make(level: int) -> Objective:
        halvings, step = divmod(level, DEGREES)
        finer = {"degree": lowest + step * FINER, "refine": halvings} if gauss else {"points": count << level}
        found = made(settings.model_copy(update={"quadrature": asked.model_copy(update=finer)}))
        return replace(found, test_space=objective.test_space)

    return Rules(objective, make, max(1, levels))


def _level(training: Training) -> int:
    """Return the level of the rule that training currently uses."""
    return training.rule.level if training.rule else 0
