"""Estimators whose mean is not the full gradient: squares, clipping, batch normalisation, a batch used twice."""

from __future__ import annotations

import numpy as np

from vpinn.noise.variance import Numbers


def squared_residual(trace: float, batch: Numbers) -> Numbers:
    """Return E ½‖r̂‖² − ½‖r‖² = ½ tr Σ_r/b: a squared mean is too large by half its variance.

    Args:
        trace: tr Σ_r ≥ 0 of single-point residuals in the norm of the loss.
        batch: independent points b ≥ 1.
    """
    return 0.5 * trace / batch


def normalised(size: Numbers, scale: float, strength: float) -> Numbers:
    """Return the bias −6λγ³/(m + 1) of ∂/∂γ of λ/4 (γx̂)⁴ under batch normalisation of Gaussian data.

    With the batch's own mean and variance E x̂⁴ = 3(m − 1)/(m + 1), with the population's it is 3.

    Args:
        size: batch m ≥ 2.
        scale: γ.
        strength: λ.
    """
    return -6.0 * strength * scale**3 / (size + 1.0)


def normalised_correction(size: Numbers) -> Numbers:
    """Return (m + 1)/(m − 1), the factor that removes that bias, for a batch m ≥ 2."""
    return (size + 1.0) / (size - 1.0)


def reused_batch(step: float, slope: Numbers) -> Numbers:
    """Return the bias −α ∂(tr Cov g_b) of a meta-gradient that takes inner step and outer gradient from the same batch.

    The meta-gradient of J_B'(θ − αg_B) by θ is (1 − αH_B) g_B'(θ − αg_B) = g_B' − α(H_B g_B' + H_B' g_B) + O(α²). Of two batches
    its mean is g − 2αHg, of the same batch g − 2αE H_B g_B, and E H_B g_B − Hg = Cov(H_B, g_B) = ½∇ tr Cov(g_B). Half of it
    comes from the factor 1 − αH_B. For linear regression with x ~ N(0, 1), tr Σ = 2u² + σ² and the bias is −4αu/b.

    Args:
        step: inner step size α ≥ 0, small against 1/H.
        slope: derivative of tr Cov(g_b), tr Σ/b for independent points, along the direction the bias is wanted in.
    """
    return -step * slope


def clipped_exponential(threshold: Numbers, mean: float) -> tuple[Numbers, Numbers, Numbers]:
    """Return bias, variance and mean-squared error of min(|g|, C) for exponential magnitudes of mean μ.

    Bias −μe^(−C/μ); E min² = 2μ²(1 − e^(−C/μ)) − 2Cμe^(−C/μ); MSE = μ² − 2Cμe^(−C/μ), least at C = μ, the true magnitude.

    Args:
        threshold: C ≥ 0, in the unit of a gradient.
        mean: μ > 0.
    """
    tail = np.exp(-threshold / mean)
    bias = -mean * tail
    second = 2.0 * mean**2 * (1.0 - tail) - 2.0 * threshold * mean * tail
    return bias, second - (mean + bias) ** 2, mean**2 - 2.0 * threshold * mean * tail


def clipped_gaussian(threshold: Numbers, square: float, variance: float) -> Numbers:
    """Return the mean-squared error of a clipped gradient in many dimensions, whose length hardly varies.

    ‖g_b‖ ≈ R = √(‖g‖² + tr Σ/b), so that clipping at C < R multiplies by a = C/R: MSE = (1 − a)²‖g‖² + a² tr Σ/b.

    Args:
        threshold: C ≥ 0, in the unit of a gradient.
        square: ‖g‖² > 0.
        variance: tr Σ/b ≥ 0.
    """
    factor: Numbers = np.minimum(1.0, threshold / np.sqrt(square + variance))
    return (1.0 - factor) ** 2 * square + factor**2 * variance


def best_threshold(square: float, variance: float) -> float:
    """Return the C = ‖g‖/√(1 + S/b) that makes ``clipped_gaussian`` least; arguments as there.

    It shrinks g_b by 1/(1 + S/b), the factor of the best linear estimate.
    """
    return float(square / np.sqrt(square + variance))
