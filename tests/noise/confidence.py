"""Compare simulated means with predictions by confidence intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

LIMIT = 4.0
"""Standard errors that a mean may be off: one sound comparison in 16,000 fails, and seeds are fixed."""


def agrees(predicted: float, samples: Any, tightness: float = 0.05) -> None:
    """Assert that the mean of independent samples agrees with a prediction.

    Args:
        predicted: expected mean.
        samples: independent samples [n].
        tightness: the interval must be at most this wide relative to the prediction (absolute where that is zero), so that
            it means something.
    """
    samples = np.asarray(samples, dtype=np.float64)
    mean, error = samples.mean(), samples.std(ddof=1) / np.sqrt(len(samples))
    assert error > 0
    assert LIMIT * error <= tightness * (abs(predicted) or 1.0), f"interval ±{LIMIT * error:.2e} around {mean:.4e} is too wide"
    assert abs(mean - predicted) <= LIMIT * error, f"{mean:.6e} ± {error:.1e}, predicted {predicted:.6e}"


def square_error(samples: Any, center: Any) -> Any:
    """Return squared distances [n] of vectors [n, P] from a point [P]; their mean is the trace of a covariance."""
    return ((np.asarray(samples) - center) ** 2).sum(axis=-1)
