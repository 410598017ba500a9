"""Choose the threshold of gradient clipping from the gradients of the last steps.

``Clipping.noted`` records the gradient of each step, ``Clipping.threshold`` computes the threshold from the record.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.placement import host, wide

WINDOW = 200
"""Number of last steps from which a threshold is computed."""
FEWEST = 20
"""Steps before the first threshold; no gradient is clipped until then."""
TAIL = 0.95
"""Share of the recorded gradients that is never clipped, 0 to 1."""


@dataclass(frozen=True)
class Clipping:
    """Record of the last gradients, from which the threshold is computed.

    Attributes:
        rows: norm of the gradient before clipping, and its product with the gradient of the step before, of the last ``WINDOW``
            steps [n, 2]; None before the first step.
        before: gradient of the last step before clipping [size]; None before the first step.
    """

    rows: Tensor | None = None
    before: Tensor | None = None

    def noted(self, gradient: Tensor) -> Clipping:
        """Return the record with one more step, whose gradient before clipping is given [size]."""
        before = torch.zeros_like(gradient) if self.before is None else self.before
        row = wide(torch.stack([torch.linalg.vector_norm(gradient), gradient @ before])[None])
        return Clipping(row if self.rows is None else torch.cat([self.rows, row])[-WINDOW:], gradient)

    @property
    def threshold(self) -> float | None:
        """Largest gradient norm that is not clipped, None while fewer than ``FEWEST`` steps are recorded.

        It is the larger of two values: the ``TAIL`` quantile of the norms, and the threshold of least error (`best_threshold`).
        """
        if self.rows is None or len(self.rows) < FEWEST:
            return None
        norms, along = host(self.rows[1:]).T
        return max(float(np.quantile(norms, TAIL)), best_threshold(norms, along))

    def arrays(self) -> dict[str, Tensor]:
        """Return what there is as tensors, for a checkpoint; ``Clipping(**arrays)`` is the same again."""
        return {name: value for name, value in vars(self).items() if value is not None}


def best_threshold(norms: NDArray[np.float64], along: NDArray[np.float64]) -> float:
    """Return the C ≥ 0 that minimises Σ ‖min(1, C/‖g_i‖) g_i − g‖² exactly, from norms ‖g_i‖ and products g_i·g with the mean g.

    With the m longest gradients clipped, the sum is a parabola in C whose minimum is the mean of their g_i·g/‖g_i‖. The overall
    minimum is therefore at such a vertex, at one of the norms, or at zero. For exponentially distributed magnitudes it is their
    mean; for gradients in many dimensions it is ‖g‖/√(1 + S/b), with the noise scale S and the batch size b.

    Args:
        norms: ‖g_i‖ > 0 [n].
        along: g_i·g [n], or unbiased estimates of it: g_i·g_{i−1} of independent batches.
    """
    order = np.argsort(-norms)
    length, cosine = norms[order], (along / norms)[order]
    count = np.arange(1, len(length) + 1)
    low = np.append(length[1:], 0.0)
    best = np.clip(np.cumsum(cosine) / count, low, length)  # the best C if exactly the longest 1, 2, … are clipped
    free = np.append(np.cumsum((length**2 - 2.0 * along[order])[::-1])[::-1][1:], 0.0)
    error = free + count * best**2 - 2.0 * best * np.cumsum(cosine)
    k = int(error.argmin())
    return float(best[k])
