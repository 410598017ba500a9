"""Clipping thresholds from the gradients of the last steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.placement import host, wide

WINDOW = 200
"""Steps that a threshold is taken from."""
FEWEST = 20
"""Steps before the first threshold: before, nothing is clipped."""
TAIL = 0.95
"""Share of the gradients that are never clipped."""


@dataclass(frozen=True)
class Clipping:
    """What a threshold is taken from.

    Attributes:
        rows: norm of the gradient of a step, before clipping, and its product with the one before, of the last steps [n, 2];
            None before the first.
        before: the last gradient [size]; None before the first.
    """

    rows: Tensor | None = None
    before: Tensor | None = None

    def noted(self, gradient: Tensor) -> Clipping:
        """Return it with the gradient [size] of one more step."""
        before = torch.zeros_like(gradient) if self.before is None else self.before
        row = wide(torch.stack([torch.linalg.vector_norm(gradient), gradient @ before])[None])
        return Clipping(row if self.rows is None else torch.cat([self.rows, row])[-WINDOW:], gradient)

    @property
    def threshold(self) -> float | None:
        """The longest norm that is let through, None while too little is known.

        The larger of the norm that one gradient in twenty exceeds, and of the threshold of least error.
        """
        if self.rows is None or len(self.rows) < FEWEST:
            return None
        norms, along = host(self.rows[1:]).T
        return max(float(np.quantile(norms, TAIL)), best_threshold(norms, along))

    def arrays(self) -> dict[str, Tensor]:
        """Return what there is as tensors, for a checkpoint; ``Clipping(**arrays)`` is the same again."""
        return {name: value for name, value in vars(self).items() if value is not None}


def best_threshold(norms: NDArray[np.float64], along: NDArray[np.float64]) -> float:
    """Return the C ≥ 0 of least Σ ‖min(1, C/‖g_i‖) g_i − g‖², exactly, from the norms and products g_i·g [n].

    With the longest m clipped the sum is a parabola in C, lowest at the mean of their g_i·g/‖g_i‖, and the least of all is
    at such a vertex, at one of the norms, or at zero. Magnitudes of an exponential law have it at their mean, gradients in
    many dimensions at ‖g‖/√(1 + S/b).

    Args:
        norms: ‖g_i‖ > 0.
        along: g_i·g, or unbiased estimates of it: g_i·g_{i−1} of independent batches.
    """
    order = np.argsort(-norms)
    length, cosine = norms[order], (along / norms)[order]
    count = np.arange(1, len(length) + 1)
    low = np.append(length[1:], 0.0)
    best = np.clip(np.cumsum(cosine) / count, low, length)  # with the longest 1, 2, … clipped
    free = np.append(np.cumsum((length**2 - 2.0 * along[order])[::-1])[::-1][1:], 0.0)
    error = free + count * best**2 - 2.0 * best * np.cumsum(cosine)
    k = int(error.argmin())
    return float(best[k])
