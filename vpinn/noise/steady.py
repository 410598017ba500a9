"""Theory of the steady state of noisy gradient steps near a minimum: items 8, 9 and 11. Every function returns one closed form.

f has Hessian H with eigenvalues λᵢ > 0 and eigenvectors uᵢ at its minimum θ*; sᵢ = uᵢᵀΣuᵢ is the variance of single-point
gradients along uᵢ; steps have size η and batches b points. Sources: theory of mini-batch methods; Mandt, Hoffman & Blei (2017,
arXiv 1704.04289) for the Langevin limit.
"""

from __future__ import annotations

import numpy as np

from vpinn.noise.variance import Array, Numbers


def stationary_error(rate: float, batch: float, curvature: Numbers, variance: Numbers, momentum: float = 0.0) -> Numbers:
    """Return eᵢ = ηsᵢ(1 + μ)/(bλᵢ(1 − μ)(2(1 + μ) − ηλᵢ)), the mean squared distance from θ* along an eigenvector.

    It is the variance of heavy-ball steps x ← (1 + μ − ηλ)x − μx' − ηξ, an autoregression of order two (Box & Jenkins 1976,
    3.2.4). Without momentum it is ηsᵢ/(bλᵢ(2 − ηλᵢ)). Its unit is that of a squared parameter.

    Args:
        rate: Step size 0 < η < 2(1 + μ)/λᵢ.
        batch: Batch size b ≥ 1.
        curvature: Eigenvalue λᵢ > 0.
        variance: Variance sᵢ ≥ 0 of single-point gradients along the eigenvector.
        momentum: Momentum 0 ≤ μ < 1, in p ← μp + g.
    """
    damping = (1.0 - momentum) * (2.0 * (1.0 + momentum) - rate * curvature)
    return rate * variance * (1.0 + momentum) / (batch * curvature * damping)


def exploration(rate: float, batch: float, curvature: Array, variance: Array) -> float:
    """Return the squared radius E‖θ − θ*‖² = Σ eᵢ over k directions, ∝ η/b for small η; arguments as of ``stationary_error``."""
    return float(np.sum(stationary_error(rate, batch, curvature, variance)))


def excess_loss(rate: float, batch: float, curvature: Array, variance: Array) -> float:
    """Return the mean excess loss E f − f* = ½ Σ λᵢeᵢ = Σ ηsᵢ/(2b(2 − ηλᵢ)); arguments as of ``exploration``."""
    return 0.5 * float(curvature @ stationary_error(rate, batch, curvature, variance))


def temperature(rate: float, batch: Numbers, variance: float, momentum: float = 0.0) -> Numbers:
    """Return the temperature T = ησ²/(2b(1 − μ)) of Langevin dynamics with the same noise as mini-batch steps.

    It is the limit of λe for small η, with e of ``stationary_error``. Momentum adds up 1/(1 − μ) gradients, so that slow motion
    is that of steps of size η/(1 − μ).

    Args:
        rate: Step size η > 0.
        batch: Batch size b ≥ 1.
        variance: Variance σ² ≥ 0 of single-point gradients in one direction; tr Σ/P, the mean over directions, if all are alike.
        momentum: Momentum 0 ≤ μ < 1, in p ← μp + g.
    """
    return rate * variance / (2.0 * batch * (1.0 - momentum))


def equipartition(rate: float, curvature: Numbers, error: Numbers, momentum: float = 0.0) -> Numbers:
    """Return the temperature λe(1 − ηλ/(2(1 + μ))) that follows from a measured mean squared distance e along an eigenvector.

    The factor in brackets corrects for finite steps, so that the result equals ``temperature`` for every stable η.

    Args:
        rate: Step size 0 < η < 2(1 + μ)/λ.
        curvature: Eigenvalue λ > 0.
        error: Mean squared distance e ≥ 0.
        momentum: Momentum 0 ≤ μ < 1.
    """
    return curvature * error * (1.0 - rate * curvature / (2.0 * (1.0 + momentum)))


def gibbs(values: Array, temperature: float, spacing: float) -> Array:
    """Return the Gibbs density exp(−f/T)/Z on a grid [n], normalised by the midpoint rule.

    Args:
        values: Values of f on a uniform grid [n].
        temperature: Temperature T > 0, in the unit of f.
        spacing: Spacing of the grid > 0.
    """
    weight = np.exp(-(values - values.min()) / temperature)
    return np.asarray(weight / (weight.sum() * spacing))


def gibbs_energy(values: Array, temperature: float, spacing: float) -> float:
    """Return the mean ⟨f⟩ = ∫ f exp(−f/T)/Z by the midpoint rule; it is T/2 for f = ½λx². Arguments as of ``gibbs``."""
    return float(values @ gibbs(values, temperature, spacing)) * spacing


def annealing_batch(step: Numbers, rate: float, variance: float, barrier: float) -> Numbers:
    """Return the batch size b_k = ησ² log(k + 2)/(2c) of step k, with which the temperature falls like T_k = c/log(k + 2).

    Such slow annealing converges in probability to the lowest of several minima if c is at least the largest barrier around any
    other minimum (Hajek 1988).

    Args:
        step: Number k ≥ 0 of the step.
        rate: Step size η > 0.
        variance: Variance σ² > 0 of single-point gradients in one direction.
        barrier: Barrier c > 0, in the unit of f.
    """
    logarithm: Numbers = np.log(step + 2.0)
    return rate * variance / (2.0 * barrier) * logarithm
