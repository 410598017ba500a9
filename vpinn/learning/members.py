"""The members of a family in one trial space: the same network with the same scales, so that weights mean the same for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vpinn.features import LeastSquares
from vpinn.features.least_squares import fit
from vpinn.finite_elements import Level
from vpinn.objective import Objective, make_objective
from vpinn.objective.variation import is_linear
from vpinn.optimization import Closure, Start, make_start, stated_problem, trained_objective, with_layers
from vpinn.optimization.batches import drawn
from vpinn.optimization.batching import independent, samplers_of
from vpinn.optimization.method import Adam
from vpinn.optimization.projection import few_points, projected
from vpinn.placement import HERE, Placement, wide
from vpinn.problem import Case, Settings, member
from vpinn.trial import Scales, Trial, make_trial

if TYPE_CHECKING:
    from vpinn.trial import Features

Array = NDArray[np.float64]
SHARE, FEWEST = 16, 32
"""Divisor of all points that gives the size of mini-batches where the problem file says nothing, and fewest points of them."""
FINE = 1e-6
"""Damping of solves for the last layer of learned features, relative to the diagonal of the curvature."""


@dataclass(frozen=True, eq=False)
class FamilyMember:
    """A member of a family with its trial space and its objective.

    Attributes:
        problem: the member.
        trial: its trial space, whose network and scales are those of all members.
        objective: what training minimises.
    """

    problem: Case
    trial: Trial
    objective: Objective

    def closure(self, size: int, settings: Settings, generator: np.random.Generator) -> Closure:
        """Return J and ∇J on a mini-batch drawn now, which draws fresh ones with the same generator.

        Args:
            size: points of the domain per batch; all points where it is no less.
            settings: how batches are drawn.
            generator: random numbers of the draws.
        """
        objective = self.objective
        if size >= objective.batched[0].points.size:
            return Closure(objective.gradient)
        count = independent(objective, Adam())
        return drawn(objective, samplers_of(settings, objective, size, count), count, generator, ())

    def solved(self, theta: Tensor, generator: np.random.Generator) -> Tensor:
        """Return the parameters [size] after a solve for the last layer, on all points or on many drawn ones."""
        return projected(self.objective, self.trial.network, theta, few_points(self.objective, generator), FINE)[0]


@dataclass(frozen=True, eq=False)
class Members:
    """The members of a family in one trial space.

    Attributes:
        family: the family.
        settings: how members are trained, with the layers of the network.
        placement: where the steps work.
        scales: scales of the trial space of every member.
        unit: unit of the objective of every member, > 0, in the unit of the problem file's functional.
        name: name of the method whose objective is minimised.
        points: quadrature points of the domain.
        plain: weights at which learning starts, as the network draws them [size].
    """

    family: Case
    settings: Settings
    placement: Placement
    scales: Scales
    unit: float
    name: str
    points: int
    plain: Tensor

    @classmethod
    def of(cls, family: Case, settings: Settings, placement: Placement, name: str) -> Members:
        """Return the members of a family, with the scales of the one in the middle.

        Raises:
            InputError: a member cannot be stated for a network.
        """
        settings = with_layers(settings, name)
        start = begun(member(family, family.ranges.center), settings, placement, name)
        scales = start.trial.scales
        assert scales is not None
        points = start.objective.batched[0].points.size
        return cls(family, settings, placement, scales, start.objective.unit, name, points, start.plain)

    def space(self, problem: Case) -> Trial:
        """Return the trial space of a member."""
        return make_trial(problem, layers=self.settings.network.layers).scaled(self.scales)

    @property
    def batch(self) -> int:
        """Points of a mini-batch: those that the problem file asks for, else a share of all points."""
        asked = self.settings.batch.size
        return asked if isinstance(asked, int) else max(FEWEST, self.points // SHARE)

    def at(self, values: Array) -> FamilyMember:
        """Return the member at values of the parameters [P]."""
        problem = member(self.family, values)
        trial = self.space(problem)
        return FamilyMember(
            problem, trial, trained_objective(problem, self.settings, trial, self.name, self.placement, self.unit)
        )


def begun(problem: Case, settings: Settings, placement: Placement, name: str) -> Start:
    """Return the start of a network alone on a problem, with scales of its own."""

    def made(space: Trial, where: Placement, unit: float) -> Objective:
        return trained_objective(problem, settings, space, name, where, unit)

    return make_start(problem, make_trial(problem, layers=settings.network.layers), made, placement)


def last_layer_solved(problem: Case, trial: Trial, theta: Tensor) -> tuple[Objective, Tensor, float]:
    """Return the parameters whose last layer is found by least squares, with the hidden layers held as features.

    A nonlinear problem takes Newton steps that start from the given parameters.

    Args:
        problem: the problem.
        trial: its trial space, with a network of any depth.
        theta: parameters [size].

    Returns:
        The objective of least squares, the parameters [size], and its value there.

    Raises:
        InputError: the form cannot be solved by least squares.
    """
    stated = stated_problem(problem, trial, LeastSquares.name)
    objective = make_objective(stated, trial, HERE)
    network = cast("Features", trial.network)  # of any depth: the fit asks for the features of the last layer alone
    found = fit(objective, network, wide(theta), linear=is_linear(stated))
    return objective, Level.of(problem)(trial, found.theta), 0.5 * found.residual**2
