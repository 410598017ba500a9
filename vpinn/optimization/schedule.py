"""Step size over a run: linear warm-up, then constant, cosine or exponential; and rules by which it follows the batch size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

COURSES: Final[Mapping[str, Callable[[float, float], float]]] = {
    "constant": lambda progress, decay: 1.0,
    "cosine": lambda progress, decay: decay + (1 - decay) * 0.5 * (1 + math.cos(math.pi * progress)),
    "exponential": lambda progress, decay: decay**progress,
}
"""Names → factor of the step size from the progress after warm-up, 0 to 1, and the final factor ``decay``, 0 to 1."""

Scaling = Callable[[float, float], float]
"""(b/b₀, η₀ over the largest stable step size, 0 to 1) → η/η₀."""


def quadratic(ratio: float, share: float) -> float:
    """Return η/η₀ = √r/(1 + (√r − 1) η₀/η_max), the best on a quadratic model, with r = b/b₀ and η_max = 2/λ.

    Descent on ½λx² with gradients of variance σ²/b has the stationary mean-squared error e(η) = ησ²/(bλ(2 − ηλ)), and forgets
    its start within 1/(ηλ) steps. To minimise the error for a bounded number of steps, minimise e(η) + κ/η, with a price κ of
    slow progress that does not depend on the batch: 2σ²η² = κbλ(2 − ηλ)², or η/(2 − ηλ) ∝ √b. Choosing κ so that η₀ is best at b₀
    gives this rule. It is the square root where noise is the limit (ηλ ≪ 2), and never exceeds η_max.

    Args:
        ratio: r > 0.
        share: η₀/η_max, 0 to 1.

    Returns:
        η/η₀, dimensionless.
    """
    root = math.sqrt(ratio)
    return root / (1.0 + (root - 1.0) * share)


SCALINGS: Final[Mapping[str, Scaling]] = {
    "none": lambda ratio, share: 1.0,
    "square-root": lambda ratio, share: math.sqrt(ratio),
    "linear": lambda ratio, share: ratio,
    "quadratic": quadratic,
}
"""Names → factor of the step size when the batch is ``ratio`` times the first one, before the bound by stability.

The square root keeps the size η√(tr Σ/b) of the random part of a step; for Adam it is the rule of Malladi et al. 2022 (arXiv
2205.10287). The linear rule keeps the temperature ∝ η/b of plain descent.
"""


@dataclass(frozen=True)
class Schedule:
    """Step sizes of a run.

    Attributes:
        learning_rate: step size after the warm-up, > 0.
        warmup: number of steps over which the step size rises linearly, ≥ 0.
        steps: number of steps of the run, ≥ 1.
        course: name in ``COURSES``.
        decay: final factor of the decreasing courses, 0 to 1.
    """

    learning_rate: float
    warmup: int = 0
    steps: int = 1
    course: str = "constant"
    decay: float = 0.01

    def __call__(self, step: int) -> float:
        """Return the size of the step with the number ``step`` = 0, 1, 2, …."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        progress = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.learning_rate * COURSES[self.course](progress, self.decay)
