"""Theory of biased estimators, whose mean over batches is not the full gradient or loss (item 5), and of clipping (item 10).

Biases arise from squares of sampled residuals, batch normalisation, the reuse of a batch, and clipping. Every function returns
one closed form.
"""

from __future__ import annotations

import numpy as np

from vpinn.noise.variance import Numbers


def squared_residual(trace: float, batch: Numbers) -> Numbers:
    """Return the bias E ½‖r̂‖² − ½‖r‖² = ½ tr Σ_r/b of half the square of a residual r̂ that is a mean over b points.

    Args:
        trace: Trace tr Σ_r ≥ 0 of the covariance of single-point residuals, in the norm of the loss.
        batch: Number b ≥ 1 of independent points.
    """
    return 0.5 * trace / batch


def normalised(size: Numbers, scale: float, strength: float) -> Numbers:
    """Return the bias −6λγ³/(m + 1) of ∂/∂γ of λ/4 (γx̂)⁴ under batch normalisation of Gaussian data.

    If x̂ is normalised with the batch's own mean and variance, E x̂⁴ = 3(m − 1)/(m + 1); with those of the population it is 3.

    Args:
        size: Points per batch m ≥ 2.
        scale: Scale γ of the normalised value.
        strength: Factor λ.
    """
    return -6.0 * strength * scale**3 / (size + 1.0)


def normalised_correction(size: Numbers) -> Numbers:
    """Return (m + 1)/(m − 1), the factor that removes the bias of `normalised`, for m ≥ 2 points per batch."""
    return (size + 1.0) / (size - 1.0)


def reused_batch(step: float, slope: Numbers) -> Numbers:
    """Return the bias −α ∂(tr Cov g_b) of a meta-gradient whose inner step and outer gradient use the same batch.

    The gradient of J_B'(θ − αg_B) by θ is (1 − αH_B) g_B'(θ − αg_B) = g_B' − α(H_B g_B' + H_B' g_B) + O(α²). If B and B' are
    independent, its mean is g − 2αHg. If they are the same batch, it is g − 2αE H_B g_B, and E H_B g_B − Hg = Cov(H_B, g_B) =
    ½∇ tr Cov(g_B). The factor 1 − αH_B causes half of the bias. For linear regression with x ~ N(0, 1), tr Σ = 2u² + σ² and the
    bias is −4αu/b.

    Args:
        step: Inner step size α ≥ 0, small compared with 1/H.
        slope: Derivative of tr Cov(g_b), which is tr Σ/b for independent points, in the direction in which the bias is wanted.
    """
    return -step * slope


def clipped_exponential(threshold: Numbers, mean: float) -> tuple[Numbers, Numbers, Numbers]:
    """Return bias, variance and mean-squared error of the clipped magnitude min(|g|, C), if |g| is exponential with mean μ.

    The bias is −μe^(−C/μ), E min² = 2μ²(1 − e^(−C/μ)) − 2Cμe^(−C/μ), and the mean-squared error is μ² − 2Cμe^(−C/μ), which is
    smallest at C = μ.

    Args:
        threshold: Threshold C ≥ 0, in the unit of a gradient.
        mean: Mean magnitude μ > 0, in the unit of a gradient.
    """
    tail = np.exp(-threshold / mean)
    bias = -mean * tail
    second = 2.0 * mean**2 * (1.0 - tail) - 2.0 * threshold * mean * tail
    return bias, second - (mean + bias) ** 2, mean**2 - 2.0 * threshold * mean * tail


def clipped_gaussian(threshold: Numbers, square: float, variance: float) -> Numbers:
    """Return the mean-squared error of a clipped batch gradient in many dimensions, where its norm hardly varies.

    With ‖g_b‖ ≈ R = √(‖g‖² + tr Σ/b), clipping at C < R multiplies every gradient by a = C/R, and the mean-squared error is
    (1 − a)²‖g‖² + a² tr Σ/b.

    Args:
        threshold: Threshold C ≥ 0 of the norm, in the unit of a gradient.
        square: Squared norm ‖g‖² > 0 of the full gradient.
        variance: Variance tr Σ/b ≥ 0 of the batch gradient.
    """
    factor: Numbers = np.minimum(1.0, threshold / np.sqrt(square + variance))
    return (1.0 - factor) ** 2 * square + factor**2 * variance


def best_threshold(square: float, variance: float) -> float:
    """Return the threshold C = ‖g‖/√(1 + S/b) that minimises ``clipped_gaussian``; arguments as there.

    Clipping then multiplies g_b by 1/(1 + S/b), which is also the factor of the best linear estimate of g.
    """
    return float(square / np.sqrt(square + variance))
