"""Training without units: what unknowns and functional are multiples of, found by a solve for the last layer.

Random features of a few scales are combined by least squares, which shows in a moment how large the unknowns are. The network's
outputs then are multiples of that size, and the functional is one of its fall from no features to these. Step sizes, clipping,
warm-up and damping mean the same for temperatures in kelvin, displacements in metres and stresses in pascals.
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
from vpinn.objective import Batch, Objective, is_sum_of_squares
from vpinn.optimization.method import Method
from vpinn.optimization.projection import few_points, last_layer, projected
from vpinn.problem import Problem
from vpinn.trial import Enriched, Evaluator, Scales, Trial

SCALES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Scales R of the first layer's weights N(0, R²) that are tried, in units of one over half the domain's width."""
WIDTH = (20, 120)
"""Fewest and most features that the size of the unknowns is found with."""
PER_FEATURE = 8
"""Points per feature, at least, where that leaves more than the fewest: an energy dives between fewer."""
FEW = 5_000
"""Points up to which all, and above which about so many, tell the size of the unknowns."""
COLUMNS = 20_000_000
"""Numbers that the columns of a weak form's residual may hold."""
SHOWN = 8_192
"""Points at most at which the size of the outputs is taken."""
FREE = 1e-9
"""Relative range of a distance below which it is none."""
ROUNDING = 1e-14
"""Fall of an energy, relative to the energy, that is rounding."""


@dataclass(frozen=True)
class Start:
    """A trial space and an objective without units, and where training starts.

    Attributes:
        trial: with scales.
        objective: in its own unit.
        seed: of the first weights.
        least: objective of random features with their last layer solved for, in units of the file.
    """

    trial: Trial
    objective: Objective
    seed: int
    least: float

    @property
    def plain(self) -> Tensor:
        """Parameters as networks are always drawn [size]."""
        return self.trial.network.initial(torch.Generator().manual_seed(self.seed))

    @cached_property
    def solved(self) -> Tensor:
        """Parameters with the last layer solved for, the best of plain ones and of random features in the first layer [size]."""
        objective, network = self.objective, self.trial.network
        parts = few_points(objective, np.random.default_rng(self.seed))
        return _best(objective, network, [_flat(network, self.plain), *_draws(network, self.plain, self.seed)], parts)[0]

    def start(self, method: Method, drawn: bool) -> Tensor:
        """Return where a method starts [size], in the precision of training.

        Steps with curvature over all points of a sum of squares start from the solved last layer, others from plain weights, from
        which most come farther in as many steps (``tests/benchmarks/starts.py``).

        Args:
            method: what takes the steps.
            drawn: whether they see mini-batches.
        """
        solved = method.curved and not drawn and is_sum_of_squares(self.objective)
        return (self.solved if solved else self.plain).to(self.objective.measures[0].dtype)


def make_start(problem: Problem, trial: Trial, made: Callable[[Trial, torch.dtype, float], Objective]) -> Start:
    """Return a problem's trial space and objective without units.

    Args:
        problem: in the formulation of the file.
        trial: its trial space.
        made: trial space, precision and unit → objective.
    """
    seed, network, objective = problem.settings.solver.seed, trial.network, made(trial, torch.float64, 1.0)
    few, many = WIDTH
    if objective.test_space is not None:
        many = max(few, min(many, COLUMNS // (network.outputs**2 * objective.test_space.space.size)))
    width = int(np.clip(objective.size // (PER_FEATURE * network.outputs), few, many))
    wide = replace(network, layers=(network.layers[0], width, network.outputs))
    seen = with_network(objective, wide)
    # a residual over drawn points, squared, holds their noise; what elements leave is less than the noise of an energy over them
    enough = (FEW, FEW) if objective.test_space is None and trial.beside is None else ()
    parts = few_points(seen, np.random.default_rng(seed), *enough)
    drawn = wide.initial(torch.Generator().manual_seed(seed))
    best, least = _best(seen, wide, list(_draws(wide, drawn, seed)), parts)
    scales = _scales(problem, trial, seen, best)
    most = _value(seen, _flat(wide, best, scales.shifts), parts)
    unit = most - least if _is_energy(seen) else most
    scaled, precision = trial.scaled(scales), getattr(torch, problem.settings.solver.precision)
    found = made(scaled, precision, max(unit, ROUNDING * abs(most)) or 1.0)
    if precision == torch.float64:  # the factors of the test space's norm are made already
        found = replace(found, test_space=objective.test_space)
    return Start(scaled, found, seed, least)


def _best(objective: Objective, network: Enriched, starts: Sequence[Tensor], parts: Batch) -> tuple[Tensor, float]:
    """Return the parameters [size] with the lowest objective once the last layer is solved for, and that objective."""
    found = [projected(objective, network, theta, parts) for theta in starts]
    theta, _, value = min(found, key=lambda f: f[2] if math.isfinite(f[2]) else math.inf)
    return theta, value


def _value(objective: Objective, theta: Tensor, parts: Batch) -> float:
    return objective.sampled(theta, parts)[0]


def _is_energy(objective: Objective) -> bool:
    return objective.test_space is None and not is_sum_of_squares(objective)


def _draws(network: Enriched, plain: Tensor, seed: int) -> Iterator[Tensor]:
    """Yield parameters [size] with a first layer of random features of each scale, and a last layer of zeros."""
    h, d = network.layers[1], network.layers[0]
    theta = _flat(network, plain)
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(h, d, generator=generator, dtype=torch.float64)
    center = 2 * torch.rand(h, d, generator=generator, dtype=torch.float64) - 1
    for scale in SCALES:
        theta = theta.clone()
        (weight, bias), *_ = network.unpack(theta)
        weight.copy_(scale * direction)
        bias.copy_(-scale * (direction * center).sum(1))
        yield theta


def _scales(problem: Problem, trial: Trial, objective: Objective, theta: Tensor) -> Scales:
    """Return what fields, of a network with parameters θ, are multiples of: ‖u − lift‖/‖distance‖ of every component, in L².

    The largest of an unknown's components holds for all. A component that no distance multiplies is shifted by its mean where
    that is more than its largest deviation from it, as a temperature in kelvin is.
    """
    measure = objective.measures[0]
    assert isinstance(measure.network, Enriched)
    index = np.unique(np.linspace(0, measure.points.size - 1, min(SHOWN, measure.points.size)).astype(np.int64))
    points, flat = measure.points.take(index), _flat(measure.network, theta)
    w = np.abs(points.w) / np.abs(points.w).sum()
    fields = Evaluator.of(problem, replace(trial, network=measure.network), [u.function for u in problem.unknowns])
    lift, found = fields(flat, points), fields(theta, points)
    distance = fields(_flat(measure.network, theta, [1.0] * len(lift)), points) - lift
    moved = found - lift
    means, free = moved @ w, np.ptp(distance, axis=1) <= FREE * np.abs(distance).max(1)
    offset = free & (np.abs(means) > np.abs(moved - means[:, None]).max(1))
    shifts = np.where(offset, means, 0.0)
    rest, norms, sizes = moved - shifts[:, None], np.sqrt(distance**2 @ w), list[float]()
    spread = np.sqrt(rest**2 @ w) / np.where(norms > 0, norms, 1.0)
    for unknown in problem.unknowns:
        at = len(sizes)
        sizes += [float(spread[at : at + unknown.components].max()) or 1.0] * unknown.components
    extras: tuple[float, ...] = ()
    if problem.enrich:
        functions = np.sqrt(evaluate(problem.enrich, points, trial.background) ** 2 @ w)
        extras = tuple(size / (float(f) or 1.0) for size in sizes for f in functions)
    return Scales(tuple(shifts.tolist()), tuple(sizes), extras)


def _flat(network: Enriched, theta: Tensor, outputs: Sequence[float] = ()) -> Tensor:
    """Return parameters [size] whose outputs are numbers, zero by default."""
    flat = theta.clone()
    flat[last_layer(network)] = 0.0
    if outputs:
        network.unpack(flat)[-1][1].copy_(flat.new_tensor(outputs))
    return flat
