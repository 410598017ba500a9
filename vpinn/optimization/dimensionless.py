"""Make training dimensionless: choose the scales of the unknowns and of the objective before the first step.

Random features with a few scales of the first layer are combined by least squares, which takes much less time than training
and shows how large the unknowns are. The network's outputs are then multiplied by that size. The objective is divided by its
decrease from no features to the best combination if it is an energy, and by its value without features if it is a sum of
squares. Step sizes, clipping, warm-up and damping therefore mean the same for temperatures in kelvin, displacements in metres
and stresses in pascals. Start with `make_start`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from vpinn.features.stages import with_network
from vpinn.forms import evaluate
from vpinn.objective import Batch, Objective, candidate_values, is_sum_of_squares
from vpinn.optimization.method import Method
from vpinn.optimization.projection import few_points, projected
from vpinn.placement import HOST, Placement
from vpinn.problem import Case, Problem
from vpinn.trial import Enriched, Evaluator, Scales, Trial

SCALES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Standard deviations R of the first layer's weights N(0, R²) that are tried, in units of one over half the domain's width."""
WIDTH = (20, 120)
"""Fewest and most features from which the size of the unknowns is found."""
PER_FEATURE = 8
"""Fewest quadrature points per feature, unless that leaves fewer than the fewest features: with fewer points, an energy can be
lowered without bound between them.
"""
FEW = 5_000
"""Number of points up to which all are used, and about how many are drawn otherwise, to find the size of the unknowns."""
COLUMNS = 20_000_000
"""Most entries of the matrix of a weak form's residuals, one column per feature; bounds the memory."""
SHOWN = 8_192
"""Most points at which the size of the outputs is measured."""
FREE = 1e-9
"""Relative range of a component's distance function below which it is constant, so that no condition fixes the component."""
ROUNDING = 1e-14
"""Decrease of an energy, relative to the energy, below which it counts as rounding."""


@dataclass(frozen=True)
class Start:
    """A dimensionless trial space and objective, and the parameters at which training starts.

    Attributes:
        trial: trial space with scales.
        objective: objective in its own unit.
        seed: seed of the first weights.
        least: lowest objective of random features with their last layer solved for, in the unit of the problem file's functional.
        look: trial space of these features, without scales, and their parameters.
        given: parameters at which every method starts [size]; None: each starts as ``start`` says.
    """

    trial: Trial
    objective: Objective
    seed: int
    least: float
    look: tuple[Trial, Tensor]
    given: Tensor | None = None

    @property
    def plain(self) -> Tensor:
        """Random parameters as the network draws them [size], on the host in float64."""
        return self.trial.network.initial(torch.Generator().manual_seed(self.seed))

    @cached_property
    def solved(self) -> Tensor:
        """Parameters with the last layer solved for [size]: the best of the plain ones and of random features as first layer."""
        objective, network = self.objective, self.trial.network
        parts = few_points(objective, np.random.default_rng(self.seed))
        starts = [flat_parameters(network, self.plain), *_draws(network, self.plain, self.seed)]
        return _best(objective, network, [theta.to(objective.placement.device) for theta in starts], parts)[0]

    def start(self, method: Method, drawn: bool) -> Tensor:
        """Return the parameters at which a method starts [size], in the precision of training.

        Methods with curvature that minimise a sum of squares over all points start from the solved last layer. Others start from
        plain weights, from which most of them reach a lower loss in as many steps (``tests/benchmarks/starts.py``).

        Args:
            method: method that takes the steps.
            drawn: whether the steps use mini-batches.
        """
        if self.given is not None:
            return self.objective.placement.put(self.given)
        solved = method.curved and not drawn and is_sum_of_squares(self.objective)
        return self.objective.placement.put(self.solved if solved else self.plain)


def make_start(
    problem: Case,
    trial: Trial,
    made: Callable[[Trial, Placement, float], Objective],
    placement: Placement,
    given: tuple[Scales | None, Tensor] | None = None,
) -> Start:
    """Return the dimensionless trial space and objective of a problem.

    Args:
        problem: the problem, in the formulation of the problem file.
        trial: its trial space.
        made: makes the objective from a trial space, a placement and a unit.
        placement: where the steps work; the sizes are found on the host in float64.
        given: scales and weights [size] of another run, to be taken over; None: they are found and drawn.
    """
    seed = problem.settings.solver.seed
    network = trial.network
    objective = made(trial, placement.home, 1.0)
    few, many = WIDTH
    if objective.test_space is not None:
        many = max(few, min(many, COLUMNS // (network.outputs**2 * objective.test_space.space.size)))
    width = int(np.clip(objective.size // (PER_FEATURE * network.outputs), few, many))
    wide = replace(network, layers=(network.layers[0], width, network.outputs))
    seen = with_network(objective, wide)
    # few points bias the square of a weak residual; beside finite elements their noise exceeds what is left of the energy
    enough = (FEW, FEW) if objective.test_space is None and trial.beside is None else ()
    parts = few_points(seen, np.random.default_rng(seed), *enough)
    drawn = wide.initial(torch.Generator().manual_seed(seed))
    best, least = _best(seen, wide, list(_draws(wide, drawn, seed)), parts)
    scales = _scales(problem, trial, seen, best)
    most = _value(seen, flat_parameters(wide, best, scales.shifts), parts)
    unit = most - least if _is_energy(seen) else most
    if given is not None:
        scales = given[0] or scales
    scaled = trial.scaled(scales)
    found = made(scaled, placement, max(unit, ROUNDING * abs(most)) or 1.0)
    if placement == placement.home:  # reuse the factorised norm of the test space
        found = replace(found, test_space=objective.test_space)
    return Start(scaled, found, seed, least, (replace(trial, network=wide), best), None if given is None else given[1])


def _best(objective: Objective, network: Enriched, starts: Sequence[Tensor], parts: Batch) -> tuple[Tensor, float]:
    """Return the parameters [size] with the lowest objective after a solve for their last layer, and that objective."""
    found = [projected(objective, network, theta, parts) for theta in starts]
    theta, _, value = min(found, key=lambda f: f[2] if math.isfinite(f[2]) else math.inf)
    return theta, value


def _value(objective: Objective, theta: Tensor, parts: Batch) -> float:
    if objective.test_space is None:  # the gradient, which is not wanted, takes most of the time
        return float(candidate_values(objective, theta[None], parts)[0])
    return objective.sampled(theta, parts)[0]


def _is_energy(objective: Objective) -> bool:
    """Return whether the objective is an energy, neither a sum of squares nor a dual norm."""
    return objective.test_space is None and not is_sum_of_squares(objective)


def _draws(network: Enriched, plain: Tensor, seed: int) -> Iterator[Tensor]:
    """Yield parameters [size] whose first layer has random features of one scale each, and whose last layer is zero."""
    h, d = network.layers[1], network.layers[0]
    theta = flat_parameters(network, plain)
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(h, d, generator=generator, dtype=torch.float64, device=HOST)
    center = 2 * torch.rand(h, d, generator=generator, dtype=torch.float64, device=HOST) - 1
    for scale in SCALES:
        theta = theta.clone()
        (weight, bias), *_ = network.unpack(theta)
        weight.copy_(scale * direction)
        bias.copy_(-scale * (direction * center).sum(1))
        yield theta


def _scales(problem: Problem, trial: Trial, objective: Objective, theta: Tensor) -> Scales:
    """Return the scales of the fields, measured from a network with parameters θ: ‖u − lift‖/‖distance‖ in L² for each component.

    All components of an unknown get the largest of theirs. A component whose distance is constant is shifted by its mean, if the
    mean exceeds the largest deviation from it; a temperature in kelvin is an example.
    """
    measure = objective.measures[0]
    assert isinstance(measure.network, Enriched)
    index = np.unique(np.linspace(0, measure.points.size - 1, min(SHOWN, measure.points.size)).astype(np.int64))
    points, flat = measure.points.take(index), flat_parameters(measure.network, theta)
    w = np.abs(points.w) / np.abs(points.w).sum()
    fields = Evaluator.of(problem, replace(trial, network=measure.network), [u.function for u in problem.unknowns])
    lift, found = fields(flat, points), fields(theta, points)
    distance = fields(flat_parameters(measure.network, theta, [1.0] * len(lift)), points) - lift
    moved = found - lift
    means, free = moved @ w, np.ptp(distance, axis=1) <= FREE * np.abs(distance).max(1)
    offset = free & (np.abs(means) > np.abs(moved - means[:, None]).max(1))
    shifts = np.where(offset, means, 0.0)
    rest = moved - shifts[:, None]
    norms = np.sqrt(distance**2 @ w)
    sizes = list[float]()
    spread = np.sqrt(rest**2 @ w) / np.where(norms > 0, norms, 1.0)
    for unknown in problem.unknowns:
        at = len(sizes)
        sizes += [float(spread[at : at + unknown.components].max()) or 1.0] * unknown.components
    extras: tuple[float, ...] = ()
    if problem.enrich:
        functions = np.sqrt(evaluate(problem.enrich, points, trial.background) ** 2 @ w)
        extras = tuple(size / (float(f) or 1.0) for size in sizes for f in functions)
    return Scales(tuple(shifts.tolist()), tuple(sizes), extras)


def flat_parameters(network: Enriched, theta: Tensor, outputs: Sequence[float] = ()) -> Tensor:
    """Return the parameters [size] for which each output is a constant, zero by default."""
    flat = theta.clone()
    flat[network.last] = 0.0
    if outputs:
        network.unpack(flat)[-1][1].copy_(flat.new_tensor(outputs))
    return flat
