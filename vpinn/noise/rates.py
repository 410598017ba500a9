"""Step sizes: how they scale with the batch, and where they stop being stable. η and 1/λ have the same unit."""

from __future__ import annotations

import numpy as np

from vpinn.noise.variance import Array, Numbers, root


def square_root(rate: float, batch: Numbers, reference: float = 1.0) -> Numbers:
    """Return η₀√(b/b₀), which keeps the size η√(Σ/b) of the random part of a step.

    Args:
        rate: η₀ > 0 at the batch b₀.
        batch: b ≥ 1.
        reference: b₀ ≥ 1.
    """
    return rate * root(batch / reference)


def linear(rate: float, batch: Numbers, reference: float = 1.0) -> Numbers:
    """Return η₀b/b₀, which keeps the temperature and the mean path per point; arguments as ``square_root``."""
    return rate * (batch / reference)


def adam_drift(mean: Array, variance: Array, epsilon: float) -> Array:
    """Return μ/(√(μ² + σ²/b) + ε), Adam's mean step in units of the learning rate, of every weight: ∝ √b while noise dominates.

    Args:
        mean: gradients μ [size].
        variance: σ²/b ≥ 0 of the batch gradients [size]; a weight without gradient and noise does not move.
        epsilon: ε ≥ 0 that Adam adds to the root, in the unit of a gradient: weights of saturated units, whose gradients are no
            larger than that, take shorter steps.
    """
    length = np.sqrt(mean**2 + variance) + epsilon
    return np.divide(mean, length, out=np.zeros_like(mean), where=length > 0.0)


def stability(curvature: float, momentum: float = 0.0) -> float:
    """Return 2(1 + μ)/λ_max, the largest stable step size of gradient descent with heavy-ball momentum (Polyak 1964).

    Args:
        curvature: λ_max > 0.
        momentum: 0 ≤ μ < 1; p ← μp + g.
    """
    return 2.0 * (1.0 + momentum) / curvature


def warmup_limit(batch: Numbers, curvature: float, spread: float) -> Numbers:
    """Return 2λ/(λ² + v/b), the largest η for which E(1 − ηĥ)² < 1: batches that see different curvatures lower it.

    Args:
        batch: b ≥ 1.
        curvature: mean λ > 0.
        spread: variance v ≥ 0 of the curvature of single points; 2λ² for linear regression on Gaussian data.
    """
    return 2.0 * curvature / (curvature**2 + spread / batch)


def heterogeneous(batch: Numbers, high: float, low: float) -> Numbers:
    """Return (L_H + (b − 1)L_L)/b, the largest curvature of batches with at most one point of Lipschitz constant L_H.

    ``stability`` of it, 2b/(L_H + (b − 1)L_L), is a stable step size for every one of them.

    Args:
        batch: b ≥ 1.
        high: L_H of the outlier, ≥ L_L.
        low: L_L > 0 of the others.
    """
    return (high + (batch - 1.0) * low) / batch


def steps_to_accuracy(batch: Numbers, scale: float, least: float = 1.0) -> Numbers:
    """Return K_min(1 + S/b) steps; the points seen, bK, are at least K_min S (McCandlish et al. 2018, 2.11).

    Args:
        batch: b ≥ 1.
        scale: S ≥ 0, in points.
        least: steps K_min > 0 with the full gradient.
    """
    return least * (1.0 + scale / batch)


def fastest_batch(scale: float, step_cost: float, point_cost: float) -> float:
    """Return b = √(S c₀/c₁), where (1 + S/b)(c₀ + c₁b), the time to a given accuracy, is least; at least 1.

    Args:
        scale: S ≥ 0, in points.
        step_cost: c₀ ≥ 0 of a step whatever the batch, in seconds.
        point_cost: c₁ > 0 of a point, in seconds.
    """
    return max(1.0, float(np.sqrt(scale * step_cost / point_cost)))


def evolution_progress(parents: int, offspring: int, strength: float, draws: Array) -> float:
    """Return φ* = cσ* − σ*²/(2μ), the relative progress times the dimension of one generation on ‖x‖² (Beyer 2001, 6.1.3.1).

    The mean of the μ best of λ mutations of standard deviation σ = σ*R/P comes closer by φ*R/P, for large P; c is the mean
    of the μ largest of λ normal numbers. Largest at σ* = μc: μc²/2.

    Args:
        parents: 1 ≤ μ ≤ λ.
        offspring: λ ≥ 2 evaluations per generation.
        strength: σ* > 0.
        draws: standard normal numbers [many, λ] that c is the mean over.
    """
    c = float(np.sort(draws, axis=1)[:, offspring - parents :].mean())
    return c * strength - strength**2 / (2.0 * parents)
