"""Where noisy steps settle: stationary errors, exploration, temperature, Gibbs measures, annealing.

f has Hessian H with eigenvalues λᵢ > 0 at its minimum; sᵢ = uᵢᵀΣuᵢ is the variance of single-point gradients along the
eigenvectors. Source: theory of mini-batch methods; Mandt, Hoffman & Blei (2017, arXiv 1704.04289) for the Langevin limit.
"""

from __future__ import annotations

import numpy as np

from vpinn.noise.variance import Array, Numbers, root


def stationary_error(rate: float, batch: float, curvature: Numbers, variance: Numbers) -> Numbers:
    """Return eᵢ = ηsᵢ/(bλᵢ(2 − ηλᵢ)), the mean squared distance along an eigenvector, in units of the weights squared.

    Args:
        rate: 0 < η < 2/λᵢ.
        batch: b ≥ 1.
        curvature: λᵢ > 0.
        variance: sᵢ ≥ 0.
    """
    return rate * variance / (batch * curvature * (2.0 - rate * curvature))


def exploration(rate: float, batch: Numbers, curvature: Array, variance: Array) -> Numbers:
    """Return E‖θ − θ*‖² = Σ eᵢ, ∝ η/b for small η: ``stationary_error`` summed over eigenvectors [k]; arguments as there."""
    return float(np.sum(rate * variance / (curvature * (2.0 - rate * curvature)))) / batch


def excess_loss(rate: float, batch: Numbers, curvature: Array, variance: Array) -> Numbers:
    """Return E f − f* = ½ Σ λᵢeᵢ = Σ ηsᵢ/(2b(2 − ηλᵢ)) at the steady state; arguments as ``exploration``."""
    return float(np.sum(0.5 * rate * variance / (2.0 - rate * curvature))) / batch


def temperature(rate: float, batch: Numbers, variance: float) -> Numbers:
    """Return T = ησ²/(2b), at which Langevin dynamics have the noise of mini-batch steps.

    Args:
        rate: η > 0.
        batch: b ≥ 1.
        variance: σ² ≥ 0 of a single-point gradient in one direction; the mean over directions, tr Σ/P, for isotropic noise.
    """
    return rate * variance / (2.0 * batch)


def langevin_noise(temperature: float, rate: float) -> float:
    """Return Var ξ = 2T/η per direction, the gradient noise that makes steps of size η a Langevin path at temperature T.

    Args:
        temperature: T = 1/β ≥ 0.
        rate: η > 0.
    """
    return 2.0 * temperature / rate


def gibbs(values: Array, temperature: float, spacing: float) -> Array:
    """Return the density exp(−f/T)/Z on a grid [n], normalised by the midpoint rule.

    Args:
        values: f on a uniform grid [n].
        temperature: T > 0, in units of f.
        spacing: of the grid.
    """
    weight = np.exp(-(values - values.min()) / temperature)
    return np.asarray(weight / (weight.sum() * spacing))


def basin_odds(depth: float, flat: float, sharp: float, temperature: float) -> float:
    """Return P(flat)/P(sharp) = √(h_sharp/h_flat) exp(−ΔF/T) of two minima, each taken as a parabola (Laplace's method).

    Args:
        depth: ΔF = f(flat) − f(sharp).
        flat: curvature of the flat one, > 0.
        sharp: curvature of the sharp one, > 0.
        temperature: T > 0, in units of f, well below the barrier.
    """
    return float(np.sqrt(sharp / flat) * np.exp(-depth / temperature))


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


def loss_fluctuation(variance: float, batch: Numbers) -> Numbers:
    """Return σ_ℓ/√b, the standard deviation of the loss of a batch.

    Args:
        variance: σ_ℓ² ≥ 0 of single-point losses N wᵢ ℓᵢ.
        batch: independent points b ≥ 1.
    """
    return root(variance / batch)
