"""Theory of the variance of batch gradients: noise scale, progress of a step, compression; one closed form per function.

A single-point gradient gᵢ = N wᵢ ∇ℓᵢ, with the number N of points and quadrature weights wᵢ, has the mean g over the points and
the covariance Σ. A batch has b points. Traces and squared norms have the unit of a squared gradient. Sources: theory of
mini-batch methods as statistics; Cochran, *Sampling Techniques* (1977) for finite populations and strata; McCandlish et al.
(2018, arXiv 1812.06162) for the noise scale.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Numbers = TypeVar("Numbers", float, Array)
"""One number, or an array of numbers."""


def root(value: Numbers) -> Numbers:
    """Return the square root of one or several numbers ≥ 0."""
    taken: Numbers = np.sqrt(value)
    return taken


def noise_scale(trace: float, square: float) -> float:
    """Return the noise scale S = tr Σ/‖g‖² in points: the batch size whose variance equals ‖g‖²; inf if g = 0.

    Args:
        trace: Trace of the covariance tr Σ ≥ 0.
        square: Squared norm ‖g‖² ≥ 0 of the full gradient.
    """
    return trace / square if square > 0.0 else np.inf


def progress(batch: Numbers, scale: float) -> Numbers:
    """Return 1/(1 + S/b), the decrease of f by one step of the best size, relative to that by a step along the full gradient.

    If η₁ is the best step size with the full gradient, E f(θ − ηg_b) is smallest at η = η₁/(1 + S/b), and the decrease has the
    same factor. It is proportional to b for b ≪ S, and 1 for b ≫ S.

    Args:
        batch: Batch size b ≥ 1.
        scale: Noise scale S ≥ 0, in points.
    """
    return 1.0 / (1.0 + scale / batch)


def compressed(trace: float, batch: Numbers, workers: int, share: Numbers) -> Numbers:
    """Return tr Σ/b + q/W, the variance of the mean gradient of W workers that send theirs through an unbiased compressor Q.

    Args:
        trace: Trace of the covariance tr Σ ≥ 0.
        batch: Points b ≥ W of all workers together.
        workers: Number of workers W ≥ 1.
        share: Variance q = E‖Q(v) − v‖² ≥ 0 that the compressor adds for one worker; see ``sparsified`` and ``rounded``.
    """
    return trace / batch + share / workers


def sparsified(trace: float, square: float, batch: Numbers, workers: int, keep: float) -> Numbers:
    """Return q = (1/p − 1)(‖g‖² + W tr Σ/b) for a compressor that keeps each entry with probability p and scales it by 1/p.

    Args:
        trace: Trace of the covariance tr Σ ≥ 0.
        square: Squared norm ‖g‖² ≥ 0 of the full gradient.
        batch: Points b ≥ W of all workers together.
        workers: Number of workers W ≥ 1.
        keep: Probability 0 < p ≤ 1 of an entry to be kept.
    """
    return (1.0 / keep - 1.0) * (square + trace * workers / batch)


def rounded(step: float, gradients: Array) -> float:
    """Return q = Δ² E Σ f(1 − f) for a compressor that rounds every entry randomly, without bias, to multiples of Δ.

    An entry at the fraction f between two multiples has the variance f(1 − f)Δ². That is Δ²/6 on average for entries that spread
    over many multiples, and less for entries far below Δ, of which a gradient has many.

    Args:
        step: Rounding step Δ > 0, in the unit of a gradient.
        gradients: Gradients of n batches [n, P], as they are sent.
    """
    fraction = gradients / step % 1.0
    return step**2 * float((fraction * (1.0 - fraction)).sum(1).mean())


def batch_to_compensate(linear: float, quadratic: float, batch: float, share: float) -> float:
    """Return the batch size with which compressed gradients have the variance of uncompressed ones; inf if there is none.

    The variance of a worker's gradient is L/t + Q/t² with t times as many points.

    Args:
        linear: Part L > 0 of the variance for ``batch`` points that is proportional to 1/b.
        quadratic: Part Q ≥ 0 that is proportional to 1/b²; zero for estimates from one batch.
        batch: Points b ≥ 1 of one worker, without compression.
        share: Variance q ≥ 0 that the compressor adds for one worker, assumed to be independent of the batch size.
    """
    left = linear + quadratic - share
    return batch * (linear + math.sqrt(linear**2 + 4.0 * quadratic * left)) / (2.0 * left) if left > 0.0 else math.inf
