"""Last-layer least squares: random features, whose linear combination makes the residual smallest.

Features σ(w·x + b) with w ~ N(0, R²) and b = −w·x₀, x₀ uniform in the domain's box (normalised to [−1, 1]^d); a share of
them may be functions with poles behind the boundary instead. Kind, scale R and share are those that make the residual
smallest, never the error. Nonlinear problems take Newton steps on top. Source: Dong & Li 2021 (local extreme learning
machines, arXiv 2012.02895); ``methods`` of vpinn's theory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import lstsq
from torch import Tensor

from vpinn.domain import Domain, Mesh, sources_behind
from vpinn.domain.sources import LEAST
from vpinn.objective import Objective, Part
from vpinn.objective.linearisation import everything, linearise, residual_norm
from vpinn.trial import Enriched, Features

Array = NDArray[np.float64]
RCOND = 1e-14
"""Singular values below this share of the largest are left out."""
KINDS = ("sin", "tanh")
"""Feature functions that are tried."""
SCALES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Coarse grid of R, in units of one over half the domain's width."""
RISE = 10.0
"""Factor above the smallest score of a row of scales or shares at which the rest of the row is passed over."""
SHARES = (0.5, 0.75)
"""Shares of functions with poles behind the boundary that are tried beside none, on meshes."""
SEEN = 1.0
"""Smallest distance of a pole from the boundary, in units of its facet's length, where tests are of degree one. Nearer ones fit
the residual between these, and not the solution: 1,600 features, half of them with poles, are 2.2e-4 from finite elements on a
gear of 14,192 cells where poles may be as near as a quarter, and 6.6e-5 where they keep one."""
PILOT = 120
"""Features per component with which kind and scale are chosen."""
PILOT_ROWS = 12
"""Points per feature with which they are chosen in a strong form."""
NEWTON = 20
"""Most Newton steps."""
NEARLY = 1e-3
"""Relative difference to what a Newton step predicts, or gain by it, below which there is no further one."""


Points: TypeAlias = Callable[[], Iterable[Part] | None]
"""Gives the points that are summed over, None for all."""


def all_points() -> None:
    """Return None: all points."""


@dataclass(frozen=True)
class Fit:
    """Features with their best combination.

    Attributes:
        network: one hidden layer of features.
        theta: its parameters [network.size].
        residual: ‖ρ‖, the square root of twice the objective.
        initial: the same before the first step.
        steps: Newton steps taken; one for a linear problem.
        points: drawn points that it was fitted to; None: all.
    """

    network: Features
    theta: Tensor
    residual: float
    initial: float
    steps: int
    points: int | None = None


@dataclass(frozen=True)
class Recipe:
    """How features are drawn.

    Attributes:
        kind: name of their activation.
        scale: R > 0.
        share: of the features that are functions with poles behind the boundary, 0 to 1.
    """

    kind: str
    scale: float
    share: float = 0.0

    def features(self, base: Enriched, width: int, domain: Domain, degree: int = 0) -> Features:
        """Return ``width`` features per component on the box and outputs of a network, beside its functions of corners.

        The ``degree`` of the tests tells how near to the boundary poles may be; 0 stands for no tests.
        """
        count, least = round(self.share * width), SEEN if degree == 1 else LEAST
        places = _sources(domain, count, least) if count and isinstance(domain, Mesh) else ()
        width += len(base.corners) if isinstance(base, Features) else 0
        return Features.restored(base, (base.layers[0], width, base.outputs), self.kind, places)

    def bolder(self, leap: float, dimension: int) -> tuple[Recipe, ...]:
        """Return the recipes to try with ``leap`` times the features: this one, and R larger by the leap in every direction.

        Where it has no poles behind the boundary, one with these, too; without a leap, this one alone.
        """
        steeper = replace(self, scale=self.scale * max(1.0, leap) ** (1 / dimension))
        if leap <= 1.0:
            return (self,)
        return (self, steeper) if self.share else (self, steeper, replace(steeper, share=SHARES[0]))

    def draw(self, network: Features, generator: torch.Generator) -> Tensor:
        """Return parameters [size] with random features and a last layer of zeros."""
        (d, h, _), theta = network.layers, torch.zeros(network.size, dtype=torch.float64)
        weight = torch.randn(h, d, generator=generator, dtype=torch.float64)
        center = 2 * torch.rand(h, d, generator=generator, dtype=torch.float64) - 1
        weight *= self.scale
        (first, bias), _ = network.unpack(theta)
        first.copy_(weight)
        bias.copy_(-(weight * center).sum(1))
        return theta


@dataclass(frozen=True)
class Step:
    """The last layer that solves the equations linearised at some fields.

    Attributes:
        network: one hidden layer of features.
        theta: its parameters [network.size].
        before: ‖ρ‖ of those fields.
        predicted: ‖ρ‖ of the linearised equations at ``theta``.
        steepness: ‖ρ‖ that one feature alone adds, the median of all.
    """

    network: Features
    theta: Tensor
    before: float
    predicted: float
    steepness: float


@lru_cache(maxsize=16)
def _sources(mesh: Mesh, count: int, least: float) -> tuple[tuple[float, ...], ...]:
    """Return poles, found once for all recipes."""
    return tuple(map(tuple, sources_behind(mesh, count, least=least).tolist()))


def step(
    objective: Objective,
    network: Features,
    theta: Tensor,
    points: Iterable[Part] | None = None,
    at: tuple[Enriched, Tensor] | None = None,
) -> Step:
    """Solve the linearised equations for the whole last layer, not for its change, which would pile up what no column sees.

    Args:
        objective: weak or strong.
        network: the features.
        theta: their parameters [network.size]; those of the last layer matter where ``at`` is None.
        points: that are summed over; None for all.
        at: network and parameters of the fields to linearise at; None for ``network`` and ``theta``.
    """
    rows = linearise(objective, network, theta, points, at)
    layer = solve_columns(rows.columns, -rows.constant)
    return Step(
        network,
        add_to_last_layer(network, theta, layer - last_layer(network, theta)),
        float(np.linalg.norm(rows.residual)),
        float(np.linalg.norm(rows.constant + rows.columns @ layer)),
        float(np.median(np.linalg.norm(rows.columns, axis=0))),
    )


def fit(
    objective: Objective,
    network: Features,
    theta: Tensor,
    points: Points = all_points,
    first: Step | None = None,
    linear: bool = False,
) -> Fit:
    """Minimise the residual over the last layer: Gauss–Newton with step halving, one step for a linear problem.

    Args:
        objective: weak or strong.
        network: the features.
        theta: parameters to start from [network.size].
        points: gives the points that are summed over, the same every time.
        first: the first step, where it is known already, from ``theta`` or from other fields; one that leads farther away
            than they were is not taken.
        linear: whether the first step is known to be the last.
    """
    first = first or step(objective, network, theta, points())
    found, predicted, steps = first.theta, first.predicted, 1
    norm = predicted if linear else residual_norm(objective, network, found, points())
    if not linear and not norm < first.before:
        found, norm, predicted, steps = theta, residual_norm(objective, network, theta, points()), 0.0, 0
    while not linear and steps < NEWTON and not norm <= predicted * (1 + NEARLY) + 1e-13:
        made = step(objective, network, found, points())
        change = last_layer(network, made.theta) - last_layer(network, found)
        for halving in range(10):
            moved = add_to_last_layer(network, found, change / 2**halving)
            reached = residual_norm(objective, network, moved, points())
            if reached < norm:
                break
        else:
            break
        gain = norm - reached
        found, norm, predicted, steps = moved, reached, made.predicted, steps + 1
        if gain <= NEARLY * norm:
            break
    return Fit(network, found, norm, first.before, steps)


def tests_degree(objective: Objective) -> int:
    """Return the degree of the tests, 0 without any."""
    return objective.test_space.space.degree if objective.test_space is not None else 0


def solve_columns(columns: Array, right: Array) -> Array:
    """Return the least-squares solution [k] by a rank-revealing factorisation of the scaled columns [rows, k]."""
    size = np.linalg.norm(columns, axis=0)
    size[size == 0] = 1.0
    scaled: Array = lstsq(columns / size, right, cond=RCOND, lapack_driver="gelsy", check_finite=False)[0]
    found: Array = scaled / size
    return found


def last_layer(network: Enriched, theta: Tensor) -> Array:
    """Return the last layer, component by component, each bias after its weights; then the enrich functions' coefficients."""
    weight, bias = network.unpack(theta)[-1]
    flat: Array = torch.cat([torch.cat([weight, bias[:, None]], 1).reshape(-1), network.coefficients(theta)]).numpy()
    return flat


def add_to_last_layer(network: Enriched, theta: Tensor, change: Array) -> Tensor:
    """Return parameters whose last layer has moved by ``change`` [outputs·(h + 1) + extra]."""
    moved = theta.clone()
    weight, bias = network.unpack(moved)[-1]
    layer = network.outputs * (network.layers[-2] + 1)
    block = torch.from_numpy(change[:layer]).view(network.outputs, -1)
    weight += block[:, :-1]
    bias += block[:, -1]
    network.coefficients(moved).add_(torch.from_numpy(change[layer:]))
    return moved


def pilot(
    objective: Objective, base: Enriched, width: int, seed: int, domain: Domain, recipe: Recipe, points: Points = all_points
) -> Step:
    """Return what few features make of the linearised equations, with few points where the form is strong.

    Args:
        objective: weak or strong.
        base: network of the trial space.
        width: features per component.
        seed: of the features.
        domain: where the problem is posed.
        recipe: of the features.
        points: gives drawn points; all, or every so manyth of a strong form, where it gives None.
    """
    stride = max(1, objective.size // (PILOT_ROWS * width * base.outputs)) if objective.test_space is None else 1
    network = recipe.features(base, width, domain, tests_degree(objective))
    few = points() or everything(objective, network, stride)
    return step(objective, network, recipe.draw(network, torch.Generator().manual_seed(seed)), few)


def choose_features(score: Callable[[Recipe], float], shares: Iterable[float] = (), start: Recipe | None = None) -> Recipe:
    """Return the recipe with the smallest score of those tried: kinds and scales first, then shares, then scales between.

    Scores rise on both sides of the best scale, and of the best share, so what lies beyond a clear rise is not tried.

    Args:
        score: what to minimise.
        shares: to try beside none, in rising order.
        start: the best recipe of a trial space much like this one, which the search then begins from; None to look at all.
    """
    scores: dict[Recipe, float] = {}

    def best(recipes: Iterable[Recipe]) -> Recipe:
        """Return the best recipe so far, after those of one more family until its scores have clearly risen."""
        least = math.inf
        for recipe in recipes:
            scores[recipe] = score(recipe)
            if scores[recipe] > RISE * least:
                break
            least = min(least, scores[recipe])
        return min(scores, key=lambda recipe: scores[recipe])

    if start is None:
        for kind in KINDS:
            found = best(Recipe(kind, scale) for scale in SCALES)
    else:
        best(replace(start, kind=kind) for kind in KINDS)
        found = best(replace(start, scale=start.scale * factor) for factor in (2.0, 0.5))
    found = best(replace(found, share=share) for share in (0.0, *shares))
    return best(replace(found, scale=found.scale * factor) for factor in (math.sqrt(2), 1 / math.sqrt(2)))
