"""Where noisy steps settle: stationary errors, exploration, temperature, Gibbs measures, annealing.

f has Hessian H with eigenvalues λᵢ > 0 at its minimum; sᵢ = uᵢᵀΣuᵢ is the variance of single-point gradients along the
eigenvectors. Source: theory of mini-batch methods; Mandt, Hoffman & Blei (2017, arXiv 1704.04289) for the Langevin limit.
"""

from __future__ import annotations

import numpy as np

from vpinn.noise.variance import Array, Numbers


def stationary_error(rate: float, batch: float, curvature: Numbers, variance: Numbers, momentum: float = 0.0) -> Numbers:
    """Return eᵢ = ηsᵢ(1 + μ)/(bλᵢ(1 − μ)(2(1 + μ) − ηλᵢ)), the mean squared distance along an eigenvector, in weights squared.

    Heavy-ball steps x ← (1 + μ − ηλ)x − μx' − ηξ are an autoregression of order two, whose variance this is (Box & Jenkins 1976,
    3.2.4); without momentum it is ηsᵢ/(bλᵢ(2 − ηλᵢ)).

    Args:
        rate: 0 < η < 2(1 + μ)/λᵢ.
        batch: b ≥ 1.
        curvature: λᵢ > 0.
        variance: sᵢ ≥ 0.
        momentum: 0 ≤ μ < 1; p ← μp + g.
    """
    damping = (1.0 - momentum) * (2.0 * (1.0 + momentum) - rate * curvature)
    return rate * variance * (1.0 + momentum) / (batch * curvature * damping)


def exploration(rate: float, batch: float, curvature: Array, variance: Array) -> float:
    """Return E‖θ − θ*‖² = Σ eᵢ, ∝ η/b for small η: ``stationary_error`` summed over eigenvectors [k]; arguments as there."""
    return float(np.sum(stationary_error(rate, batch, curvature, variance)))


def excess_loss(rate: float, batch: float, curvature: Array, variance: Array) -> float:
    """Return E f − f* = ½ Σ λᵢeᵢ = Σ ηsᵢ/(2b(2 − ηλᵢ)) at the steady state; arguments as ``exploration``."""
    return 0.5 * float(curvature @ stationary_error(rate, batch, curvature, variance))


def temperature(rate: float, batch: Numbers, variance: float, momentum: float = 0.0) -> Numbers:
    """Return T = ησ²/(2b(1 − μ)), at which Langevin dynamics have the noise of mini-batch steps.

    Momentum adds up 1/(1 − μ) gradients, so that slow motion is that of steps η/(1 − μ); it is the limit λe of
    ``stationary_error`` for small η.

    Args:
        rate: η > 0.
        batch: b ≥ 1.
        variance: σ² ≥ 0 of a single-point gradient in one direction; the mean over directions, tr Σ/P, for isotropic noise.
        momentum: 0 ≤ μ < 1; p ← μp + g.
    """
    return rate * variance / (2.0 * batch * (1.0 - momentum))


def equipartition(rate: float, curvature: Numbers, error: Numbers, momentum: float = 0.0) -> Numbers:
    """Return the temperature λe(1 − ηλ/(2(1 + μ))) that the mean squared distance e along an eigenvector shows.

    ``temperature`` of the noise along it, whatever η: what finite steps add to λe = T is taken out.

    Args:
        rate: 0 < η < 2(1 + μ)/λ.
        curvature: λ > 0.
        error: e ≥ 0.
        momentum: 0 ≤ μ < 1.
    """
    return curvature * error * (1.0 - rate * curvature / (2.0 * (1.0 + momentum)))


def gibbs(values: Array, temperature: float, spacing: float) -> Array:
    """Return the density exp(−f/T)/Z on a grid [n], normalised by the midpoint rule.

    Args:
        values: f on a uniform grid [n].
        temperature: T > 0, in units of f.
        spacing: of the grid.
    """
    weight = np.exp(-(values - values.min()) / temperature)
    return np.asarray(weight / (weight.sum() * spacing))


def gibbs_energy(values: Array, temperature: float, spacing: float) -> float:
    """Return ⟨f⟩ = ∫ f exp(−f/T)/Z by the midpoint rule, T/2 of a parabola with least value zero; arguments as above."""
    return float(values @ gibbs(values, temperature, spacing)) * spacing


def annealing_batch(step: Numbers, rate: float, variance: float, barrier: float) -> Numbers:
    """Return b_k = ησ² log(k + 2)/(2c): cooling T_k = c/log(k + 2), slow enough to find the lowest of several minima.

    Convergence in probability needs c ≥ the largest barrier around a minimum that is not the lowest (Hajek 1988).

    Args:
        step: k ≥ 0.
        rate: η > 0.
        variance: σ² > 0 of a single-point gradient in one direction.
        barrier: c > 0, in units of f.
    """
    logarithm: Numbers = np.log(step + 2.0)
    return rate * variance / (2.0 * barrier) * logarithm
