"""What noise does to where training ends: sharpness, and the loss on points that it never saw, after walks at several η/b."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from torch import Tensor

from vpinn.noise.draws import drawer, estimate, mean_and_error, samplers_for
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.pilot import polish
from vpinn.objective import Objective
from vpinn.optimization import Adam, Closure
from vpinn.optimization.spectrum import difference_product

Error = Callable[[Tensor], float]
"""Parameters → error of the solution, where it is known."""
SPREAD = (0.25, 1.0, 4.0)
"""Batches of the walks over the middle one, at one step size: η/b over a factor of 16."""
WALKS = 3
"""Walks at every η/b."""
QUANTITIES = {"sharpness": "sharpness λ_max", "unseen": "J on unseen points", "solution": "relative L² error of the solution"}
"""Names of the curves → what is measured."""
PRODUCTS = 2
"""Products with the Hessian that the largest eigenvalue is taken from."""


def basins(  # noqa: PLR0913 (budgets of a measurement)
    objective: Objective,
    unseen: Objective,
    error: Error | None,
    theta: Tensor,
    top: Tensor,
    rate: float,
    size: int,
    steps: tuple[int, int],
    generator: np.random.Generator,
) -> tuple[list[Finding], dict[str, Curve]]:
    """Walk by Adam at a constant step size with batches of several sizes, go down to the minimum nearby, and look around: item 8.

    Args:
        objective: what is minimised.
        unseen: the same on points that training does not see.
        error: of the solution, None where it is not known.
        theta: where every walk starts [size].
        top: stiffest direction at a minimum nearby [size].
        rate: step size η of Adam.
        size: points of the middle batch.
        steps: of a walk, and of L-BFGS after it.
        generator: of the batches.

    Returns:
        what was measured, without a prediction: theory has none; and the same over η/b.
    """
    points = objective.measures[0].points.size
    sizes = sorted({max(2, min(round(f * size), points)) for f in SPREAD})
    seen: list[list[list[float]]] = []
    for b in sizes:
        ends = [polish(objective, _walk(objective, theta, rate, b, steps[0], generator), steps[1]) for _ in range(WALKS)]
        found = [[_sharpness(objective, end, top), unseen.value(end)] for end in ends]
        seen.append(found if error is None else [[*values, error(end)] for values, end in zip(found, ends, strict=True)])
    values = np.array(seen)[::-1]  # [sizes from large to small, walks, quantities]
    x = rate / np.array(sizes[::-1], dtype=np.float64)
    told = f"{steps[1]} steps of L-BFGS after walks at b = {sizes[0]}"
    rows, curves = [], {}
    for k, (key, name) in enumerate(list(QUANTITIES.items())[: values.shape[2]]):
        mean, wrong = np.array([mean_and_error(row) for row in values[:, :, k]]).T
        curves[key] = Curve(x, mean, wrong)
        if key == "unseen":  # an energy has any sign
            how, found, error_of = "less", mean[-1] - mean[0], math.hypot(wrong[-1], wrong[0])
        else:
            how, found = "over", mean[-1] / mean[0]
            error_of = abs(found) * math.hypot(wrong[-1] / mean[-1], wrong[0] / mean[0])
        rows.append(
            Finding(
                8,
                f"{name}, {told} {how} that at b = {sizes[-1]}",
                math.nan,
                float(found),
                float(error_of),
                f"no closed form; {mean[-1]:.3g} ± {wrong[-1]:.1g} and {mean[0]:.3g} ± {wrong[0]:.1g}",
            )
        )
    return rows, curves


def _walk(objective: Objective, theta: Tensor, rate: float, size: int, steps: int, generator: np.random.Generator) -> Tensor:
    method, draw = Adam(), drawer(samplers_for(objective, "uniform", size), generator)
    state = method.initial(theta)
    for _ in range(steps):
        theta, state, _ = method.step(theta, state, Closure(estimate(objective, draw)), rate, False)
    return theta


def _sharpness(objective: Objective, theta: Tensor, top: Tensor) -> float:
    """Return the largest curvature at θ by a power iteration from the stiffest direction nearby."""
    product, image = difference_product(objective.gradient, theta), top
    for _ in range(PRODUCTS):
        top = image / image.norm()
        image = product(top)
    return float(image @ top)
