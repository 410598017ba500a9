"""How far a batch gradient lies from the full one: covariance, noise scale, strata, compression.

Throughout, a single-point gradient gᵢ = N wᵢ ∇ℓᵢ has mean g over the points and covariance Σ; traces and squared norms
have the unit of a squared gradient. Sources: theory of mini-batch methods as statistics; Cochran, *Sampling Techniques*
(1977) for finite populations and strata; McCandlish et al. (2018, arXiv 1812.06162) for the noise scale.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Numbers = TypeVar("Numbers", float, Array)
"""One number or several at once."""


def root(value: Numbers) -> Numbers:
    """Return the square root of numbers ≥ 0."""
    taken: Numbers = np.sqrt(value)
    return taken


def noise_scale(trace: float, square: float) -> float:
    """Return S = tr Σ/‖g‖², the batch at which noise and signal are as strong; infinite where g = 0, in points.

    Args:
        trace: tr Σ ≥ 0.
        square: ‖g‖² ≥ 0.
    """
    return trace / square if square > 0.0 else np.inf


def progress(batch: Numbers, scale: float) -> Numbers:
    """Return 1/(1 + S/b): progress of one step at its best step size, relative to that with the full gradient.

    For f with Hessian H along the gradient, E f(θ − ηg_b) is least at η = η₁/(1 + S/b), and the decrease is that fraction
    of the full gradient's. b ≪ S: proportional to b; b ≫ S: saturated.

    Args:
        batch: b ≥ 1.
        scale: S ≥ 0, in points.
    """
    return 1.0 / (1.0 + scale / batch)


def compressed(trace: float, batch: Numbers, workers: int, share: Numbers) -> Numbers:
    """Return tr Σ/b + q/W: the mean of W workers, each sending its gradient through an unbiased compressor.

    Args:
        trace: tr Σ ≥ 0.
        batch: points b of all workers together, ≥ W.
        workers: W ≥ 1.
        share: q ≥ 0, the compressor's E‖Q(v) − v‖² for one worker; see ``sparsified`` and ``rounded``.
    """
    return trace / batch + share / workers


def sparsified(trace: float, square: float, batch: Numbers, workers: int, keep: float) -> Numbers:
    """Return q = (1/p − 1)(‖g‖² + W tr Σ/b) of keeping each entry with probability p and scaling it by 1/p.

    Args:
        trace: tr Σ ≥ 0.
        square: ‖g‖² ≥ 0.
        batch: b ≥ W.
        workers: W ≥ 1.
        keep: 0 < p ≤ 1.
    """
    return (1.0 / keep - 1.0) * (square + trace * workers / batch)


def rounded(step: float, size: int) -> float:
    """Return q = PΔ²/6 of rounding P entries to multiples of Δ at random, for entries that spread over many steps.

    An entry at fraction f between two multiples has variance f(1 − f)Δ², 1/6 on average over f.

    Args:
        step: Δ > 0, in the unit of a gradient.
        size: number of entries P ≥ 1.
    """
    return size * step**2 / 6.0


def batch_to_compensate(trace: float, batch: float, workers: int, share: float) -> float:
    """Return the batch that has, compressed, the variance tr Σ/b of an uncompressed one; infinite where none has.

    Args:
        trace: tr Σ > 0.
        batch: b ≥ W.
        workers: W ≥ 1.
        share: q ≥ 0, taken as independent of the batch.
    """
    left = trace / batch - share / workers
    return trace / left if left > 0.0 else np.inf
