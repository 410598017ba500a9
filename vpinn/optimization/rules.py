"""Quadrature that follows training: a finer rule takes over where steps use the gaps between the points that they see.

A network with more weights than a rule has points, or nearly so, can lower J at the points and raise it between them; good
optimisers find that out. So every few steps J is evaluated on an independent, finer rule. Its fall since the last look
over the fall on the points trained with is a ratio of actual to predicted decrease, as of a trust region (Conn, Gould & Toint
2000, chapter 6): where it is below ``LEAST`` the finer rule takes over, and where it is negative the steps are taken back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property

import torch
from torch import Tensor

from vpinn.domain.quadrature import MAX_DEGREE
from vpinn.objective import Objective, quadrature_degree, quadrature_rule
from vpinn.objective.statement import SUMMED
from vpinn.optimization.method import Method, State, number
from vpinn.optimization.training import Training
from vpinn.placement import HOST
from vpinn.problem import Problem

EVERY = {False: 20, True: 5}
"""Steps between looks at the finer rule, of methods without and with curvature; a look costs two values of J."""
LEAST = 0.5
"""Least share of a fall that the finer rule has to see."""
ROUNDING = 1e-12
"""Falls below this share of J are rounding."""
FINER = 4
"""Degrees by which a rule is finer than the one before."""
DEGREES = 3
"""Degrees tried before cells are halved, which has as many points as about eight degrees more."""


@dataclass(frozen=True)
class Rules:
    """An objective on finer and finer rules.

    Attributes:
        first: on the rule that training starts with.
        make: level ≥ 1 → the objective on a finer rule.
        levels: how many there are, ≥ 1; 1: the first alone, which stays whatever steps do.
    """

    first: Objective
    make: Callable[[int], Objective] | None = None
    levels: int = 1

    @cached_property
    def _made(self) -> Callable[[int], Objective]:
        return cache(lambda level: self.make(level) if level and self.make else self.first)

    def at(self, training: Training) -> Objective:
        """Return the objective that a state is trained on."""
        return self._made(_level(training))

    def judge(self, training: Training) -> Objective | None:
        """Return the objective on the next finer rule, None where there is none."""
        level = _level(training) + 1
        return self._made(level) if level < self.levels else None

    def follow(self, training: Training, method: Method) -> None:
        """Look at the finer rule, when it is time, and change to it where it sees too little of what was gained.

        Args:
            training: after a step; changed in place.
            method: what takes the steps.
        """
        judge, due = self.judge(training), training.step % EVERY[method.curved] == 0 or training.idle
        if judge is None or not due:
            return
        theta, before = training.theta, training.rule
        seen, finer = self.at(training).value(theta), judge.value(theta)
        if not before:
            training.rule = _noted(0, theta, seen, finer)
            return
        fall, true = float(before["seen"]) - seen, float(before["finer"]) - finer
        if not fall > ROUNDING * abs(seen):
            return
        if true >= LEAST * fall:
            training.rule = _noted(_level(training), theta, seen, finer)
            return
        if not true >= 0.0:
            theta, finer = before["theta"], float(before["finer"])
        training.rule = _noted(_level(training) + 1, theta, finer, torch.inf)
        if (judge := self.judge(training)) is not None:
            training.rule["finer"] = number(judge.value(theta))
        training.theta, training.state, training.idle = theta, method.initial(theta), 0
        training.anchor, training.best = (theta, training.state), (theta, finer)


def make_rules(problem: Problem, objective: Objective, made: Callable[[Problem], Objective]) -> Rules | None:
    """Return finer rules for an objective over all points; None where the file asks for a rule, or where there is none.

    Args:
        problem: what is solved, in the file's formulation.
        objective: on the rule that training starts with.
        made: a problem → its objective on the same trial space.
    """
    settings = problem.settings.quadrature
    if settings.degree is not None or settings.points is not None or settings.refine or objective.size > SUMMED:
        return None
    kind, count = quadrature_rule(problem)
    gauss, times = kind == "gauss", SUMMED // objective.size
    if not gauss and problem.domain.n_cells:
        return None
    levels = DEGREES * int(math.log2(times)) // problem.domain.dimension if gauss else times.bit_length()
    lowest = min(quadrature_degree(problem, objective.test_space), MAX_DEGREE - (DEGREES - 1) * FINER)

    def make(level: int) -> Objective:
        halvings, step = divmod(level, DEGREES)
        finer = {"degree": lowest + step * FINER, "refine": halvings} if gauss else {"points": count << level}
        quadrature = settings.model_copy(update=finer)
        found = made(replace(problem, settings=problem.settings.model_copy(update={"quadrature": quadrature})))
        return replace(found, test_space=objective.test_space)

    return Rules(objective, make, max(1, levels))


def _level(training: Training) -> int:
    return int(training.rule["level"]) if training.rule else 0


def _noted(level: int, theta: Tensor, seen: float, finer: float) -> State:
    return {"level": torch.tensor(level, device=HOST), "theta": theta, "seen": number(seen), "finer": number(finer)}
