"""Theory of step sizes, batch sizes and speed: items 6, 7, 12 and 15. η and 1/λ have the same unit.

Every function returns one closed form: how step sizes scale with the batch size, up to which step size training is stable, and
which batch size needs the least time.
"""

from __future__ import annotations

import numpy as np

from vpinn.noise.variance import Array, Numbers, root


def square_root(rate: float, batch: Numbers, reference: float = 1.0) -> Numbers:
    """Return η₀√(b/b₀), with which the random part of a step, of size η√(Σ/b), is the same for all batch sizes b.

    Args:
        rate: Step size η₀ > 0 at batch size b₀.
        batch: Batch size b ≥ 1.
        reference: Batch size b₀ ≥ 1.
    """
    return rate * root(batch / reference)


def linear(rate: float, batch: Numbers, reference: float = 1.0) -> Numbers:
    """Return η₀b/b₀, with which temperature and mean progress per point are the same for all b; arguments as ``square_root``."""
    return rate * (batch / reference)


def adam_drift(mean: Array, variance: Array, epsilon: float) -> Array:
    """Return Adam's mean step μ/(√(μ² + σ²/b) + ε) of every parameter, in units of the learning rate.

    It is proportional to √b while noise dominates, and zero for a parameter with neither gradient nor noise.

    Args:
        mean: Gradients μ [size].
        variance: Variances σ²/b ≥ 0 of the batch gradients [size].
        epsilon: Constant ε ≥ 0 that Adam adds to the root, in the unit of a gradient. Parameters of saturated units, whose
            gradients are not larger than ε, take shorter steps.
    """
    length = np.sqrt(mean**2 + variance) + epsilon
    return np.divide(mean, length, out=np.zeros_like(mean), where=length > 0.0)


def stability(curvature: float, momentum: float = 0.0) -> float:
    """Return 2(1 + μ)/λ_max, the largest stable step size of gradient descent with heavy-ball momentum (Polyak 1964).

    Args:
        curvature: Largest curvature λ_max > 0.
        momentum: Momentum 0 ≤ μ < 1, in p ← μp + g.
    """
    return 2.0 * (1.0 + momentum) / curvature


def warmup_limit(batch: Numbers, curvature: float, spread: float) -> Numbers:
    """Return 2λ/(λ² + v/b), the largest stable step size if the curvature ĥ varies between batches.

    Up to it E(1 − ηĥ)² ≤ 1, so that the mean squared distance from a minimum does not grow.

    Args:
        batch: Batch size b ≥ 1.
        curvature: Mean curvature λ > 0.
        spread: Variance v ≥ 0 of the curvature of single points; 2λ² for linear regression on Gaussian data.
    """
    return 2.0 * curvature / (curvature**2 + spread / batch)


def heterogeneous(batch: Numbers, high: float, low: float) -> Numbers:
    """Return (L_H + (b − 1)L_L)/b, a bound of the curvature of batches with at most one point of large curvature L_H.

    The step size 2b/(L_H + (b − 1)L_L), which ``stability`` returns for it, is stable for every such batch.

    Args:
        batch: Batch size b ≥ 1.
        high: Curvature (Lipschitz constant of the gradient) L_H ≥ L_L of the outlier.
        low: Bound L_L > 0 of the curvature of the other points.
    """
    return (high + (batch - 1.0) * low) / batch


def steps_to_accuracy(batch: Numbers, scale: float, least: float = 1.0) -> Numbers:
    """Return K = K_min(1 + S/b), the number of steps to a given accuracy (McCandlish et al. 2018, 2.11).

    The number of points evaluated, bK, is at least K_min S.

    Args:
        batch: Batch size b ≥ 1.
        scale: Noise scale S ≥ 0, in points.
        least: Number of steps K_min > 0 with the full gradient.
    """
    return least * (1.0 + scale / batch)


def fastest_batch(scale: float, step_cost: float, point_cost: float) -> float:
    """Return the batch size b = √(S c₀/c₁), at least 1, that minimises the time (1 + S/b)(c₀ + c₁b) to a given accuracy.

    Args:
        scale: Noise scale S ≥ 0, in points.
        step_cost: Part c₀ ≥ 0 of a step's time that does not depend on the batch, in seconds.
        point_cost: Time c₁ > 0 per point, in seconds.
    """
    return max(1.0, float(np.sqrt(scale * step_cost / point_cost)))


def evolution_progress(parents: int, offspring: int, strength: float, draws: Array) -> float:
    """Return the normalised progress φ* = cσ* − σ*²/(2μ) of one generation of an evolution strategy on f(x) = ‖x‖².

    In P dimensions, at distance R from the minimum, mutations have the standard deviation σ = σ*R/P, and the mean of the μ best
    of λ of them is closer to the minimum by φ*R/P, for large P (Beyer 2001, 6.1.3.1). The constant c is the expected mean of the
    μ largest of λ standard normal numbers. The maximum μc²/2 is at σ* = μc.

    Args:
        parents: Number of parents 1 ≤ μ ≤ λ.
        offspring: Number of offspring λ ≥ 2, one evaluation each, per generation.
        strength: Normalised mutation strength σ* > 0.
        draws: Standard normal numbers [many, λ] from which c is estimated.
    """
    c = float(np.sort(draws, axis=1)[:, offspring - parents :].mean())
    return c * strength - strength**2 / (2.0 * parents)
