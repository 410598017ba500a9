"""Item 8 on a problem: how noise affects the minimum that training ends in, by its sharpness and its loss on unused points.

Adam trains at one constant step size η with batches of several sizes b, hence at several noise levels η/b. Theory gives no
prediction, so that the findings are measurements only.
"""

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
"""Function from parameters to the error of the solution, if the exact solution is known."""
SPREAD = (0.25, 1.0, 4.0)
"""Batch sizes relative to the middle one; at one step size they span a factor of 16 in η/b."""
WALKS = 3
"""Number of training runs at every η/b."""
QUANTITIES = {"sharpness": "sharpness λ_max", "unseen": "J on unused points", "solution": "relative L² error of the solution"}
"""Name of a curve → quantity in the table. Unused points are quadrature points that training does not use."""
PRODUCTS = 2
"""Number of power iterations, each a product with the Hessian, for the largest eigenvalue."""


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
    """Train with Adam at a constant step size and several batch sizes, descend to the minimum nearby, and measure there: item 8.

    Args:
        objective: Objective that is minimised.
        unseen: The same objective on points that training does not use.
        error: Error of the solution; None if it is not known.
        theta: Parameters from which every run starts [size].
        top: Eigenvector of the largest curvature at a minimum nearby [size].
        rate: Step size η of Adam, > 0.
        size: Points of the middle batch.
        steps: Steps of Adam, and steps of L-BFGS on all points after it.
        generator: Generator of the batches.

    Returns:
        Findings without predictions, and curves of the quantities over η/b.
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
    told = f"after training at b = {sizes[0]} and {steps[1]} steps of L-BFGS,"
    rows, curves = [], {}
    for k, (key, name) in enumerate(list(QUANTITIES.items())[: values.shape[2]]):
        mean, wrong = np.array([mean_and_error(row) for row in values[:, :, k]]).T
        curves[key] = Curve(x, mean, wrong)
        if key == "unseen":  # J may be an energy, which can be negative: its difference is reported, not its ratio
            how = "minus"
            found = mean[-1] - mean[0]
            error_of = math.hypot(wrong[-1], wrong[0])
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
                f"no closed form; values {mean[-1]:.3g} ± {wrong[-1]:.1g} and {mean[0]:.3g} ± {wrong[0]:.1g}",
            )
        )
    return rows, curves


def _walk(objective: Objective, theta: Tensor, rate: float, size: int, steps: int, generator: np.random.Generator) -> Tensor:
    """Return the parameters after some steps of Adam on batches of one size, drawn uniformly."""
    method, draw = Adam(), drawer(samplers_for(objective, "uniform", size), generator)
    state = method.initial(theta)
    for _ in range(steps):
        theta, state, _ = method.step(theta, state, Closure(estimate(objective, draw)), rate, False)
    return theta


def _sharpness(objective: Objective, theta: Tensor, top: Tensor) -> float:
    """Return the largest curvature at θ, by power iteration from the eigenvector ``top`` of a minimum nearby."""
    product, image = difference_product(objective.gradient, theta), top
    for _ in range(PRODUCTS):
        top = image / image.norm()
        image = product(top)
    return float(image @ top)
