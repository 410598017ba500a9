"""Training without units: what unknowns and functional are multiples of, found by a solve for the last layer.

Random features of a few scales are combined by least squares, which shows in a moment how large the unknowns are. The network's
outputs then are multiples of that size, and the functional is one of its fall from no features to these. Step sizes, clipping,
warm-up and damping mean the same for temperatures in kelvin, displacements in metres and stresses in pascals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vpinn.forms import evaluate
from vpinn.objective import Batch, Objective, is_sum_of_squares
from vpinn.optimization.method import Method
from vpinn.optimization.projection import few_points, last_layer, projected
from vpinn.problem import Problem
from vpinn.trial import Enriched, Scales, Trial

FEATURES = (0.5, 1.0, 2.0, 4.0)
"""Scales R of the first layer's weights N(0, R²) that are tried, in units of one over half the domain's width."""
SHOWN = 8_192
"""Points at most at which mean and deviation of the outputs are taken."""
ROUNDING = 1e-14
"""Fall of an energy, relative to the energy, that is rounding."""


@dataclass(frozen=True)
class Start:
    """A trial space and an objective without units, and where training starts.

    Attributes:
        trial: with scales.
        objective: in its own unit.
        plain: parameters as networks are always drawn [size].
        solved: hidden weights as random features, the last layer solved for [size].
    """

    trial: Trial
    objective: Objective
    plain: Tensor
    solved: Tensor

    def start(self, method: Method, drawn: bool) -> Tensor:
        """Return where a method starts [size], in the precision of training.

        Steps along gradients start from a solved last layer, and so do steps with curvature over all points of a sum of
        squares. Steps with curvature of other objectives start from plain weights, from which they were measured to be faster.

        Args:
            method: what takes the steps.
            drawn: whether they see mini-batches.
        """
        plain = method.blind or (method.curved and (drawn or not is_sum_of_squares(self.objective)))
        return (self.plain if plain else self.solved).to(self.objective.measures[0].dtype)


def make_start(
    problem: Problem, trial: Trial, made: Callable[[Trial, torch.dtype, float], Objective]
) -> Start:
    """Return a problem's trial space and objective without units.

    Args:
        problem: in the formulation of the file.
        trial: its trial space.
        made: trial space, precision and unit → objective.
    """
    seed, network, objective = problem.settings.solver.seed, trial.network, made(trial, torch.float64, 1.0)
    plain = network.initial(torch.Generator().manual_seed(seed))
    parts = few_points(objective, np.random.default_rng(seed))
    best, _, least = min((projected(objective, network, theta, parts) for theta in _draws(network, plain, seed)), key=_last)
    scales = _scales(problem, trial, objective, best)
    flat = _flat(network, best, scales.shifts)
    most = _value(objective, flat, parts)
    unit = most - least if _is_energy(objective) else most
    scaled, precision = trial.scaled(scales), getattr(torch, problem.settings.solver.precision)
    found = made(scaled, precision, max(unit, ROUNDING * abs(most)) or 1.0)
    if precision == torch.float64:  # the factors of the test space's norm are made already
        found = replace(found, test_space=objective.test_space)
    return Start(scaled, found, plain, _in_scales(network, best, scales))


def _value(objective: Objective, theta: Tensor, parts: Batch) -> float:
    return objective.sampled(theta, parts)[0]


def _last(found: tuple[Tensor, float, float]) -> float:
    return found[2] if math.isfinite(found[2]) else math.inf


def _is_energy(objective: Objective) -> bool:
    return objective.test_space is None and not is_sum_of_squares(objective)


def _draws(network: Enriched, plain: Tensor, seed: int) -> Iterator[Tensor]:
    """Yield parameters [size] with a last layer of zeros: the plain ones, and those with a first layer of each scale."""
    last, (h, d) = last_layer(network), (network.layers[1], network.layers[0])
    theta = plain.clone()
    theta[last] = 0.0
    yield theta
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(h, d, generator=generator, dtype=torch.float64)
    center = 2 * torch.rand(h, d, generator=generator, dtype=torch.float64) - 1
    for scale in FEATURES:
        theta = theta.clone()
        (weight, bias), *_ = network.unpack(theta)
        weight.copy_(scale * direction)
        bias.copy_(-scale * (direction * center).sum(1))
        yield theta


def _scales(problem: Problem, trial: Trial, objective: Objective, theta: Tensor) -> Scales:
    """Return mean and deviation of every output of the network, the largest deviation of an unknown's components for all.

    Outputs behind a distance, which is zero where their unknown is given, are not shifted.
    """
    network, measure = trial.network, objective.measures[0]
    index = np.unique(np.linspace(0, measure.points.size - 1, min(SHOWN, measure.points.size)).astype(np.int64))
    points = measure.points.take(index)
    x = network.normalise(torch.tensor(points.x))
    jets = network.jets(theta, x, [()])
    w = np.abs(points.w) / np.abs(points.w).sum()
    outputs = np.stack([jets[c, ()].numpy() for c in range(network.outputs)])
    exact = {(i.condition.unknown, i.component) for i in trial.imposed if i.how == "exact"}
    names = [(u.name, c) for u in problem.unknowns for c in range(u.components)]
    shifts = [0.0 if name in exact else float(mean) for name, mean in zip(names, outputs @ w, strict=True)]
    spread = np.sqrt(((outputs - np.array(shifts)[:, None]) ** 2) @ w)
    sizes: list[float] = []
    for unknown in problem.unknowns:
        at = len(sizes)
        sizes += [float(spread[at : at + unknown.components].max()) or 1.0] * unknown.components
    extras: tuple[float, ...] = ()
    if problem.enrich:
        functions = np.sqrt(evaluate(problem.enrich, points, trial.background) ** 2 @ w)
        extras = tuple(size / (float(f) or 1.0) for size in sizes for f in functions)
    return Scales(tuple(shifts), tuple(sizes), extras)


def _flat(network: Enriched, theta: Tensor, shifts: tuple[float, ...]) -> Tensor:
    """Return parameters [size] whose outputs are numbers."""
    flat = theta.clone()
    flat[last_layer(network)] = 0.0
    network.unpack(flat)[-1][1].copy_(flat.new_tensor(shifts))
    return flat


def _in_scales(network: Enriched, theta: Tensor, scales: Scales) -> Tensor:
    """Return parameters [size] that give the same functions in a scaled trial space."""
    moved, size = theta.clone(), theta.new_tensor(scales.sizes)
    weight, bias = network.unpack(moved)[-1]
    weight /= size[:, None]
    bias.sub_(bias.new_tensor(scales.shifts)).div_(size)
    if scales.extras:
        network.coefficients(moved).div_(moved.new_tensor(scales.extras))
    return moved
