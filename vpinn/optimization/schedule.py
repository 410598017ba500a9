"""Step size over the steps: linear warm-up, then constant, cosine or exponential; and over the size of the batch."""

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
"""Names → factor of the step size for progress 0 … 1 after the warm-up, ending at ``decay`` where it falls."""

Scaling = Callable[[float, float], float]
"""(b/b₀, η₀ over the largest stable step size, 0 to 1) → η/η₀."""


def quadratic(ratio: float, share: float) -> float:
    """Return η/η₀ = √r/(1 + (√r − 1) η₀/η_max), the best on a quadratic model, with r = b/b₀ and η_max = 2/λ.

    Descent on ½λx² with gradients of variance σ²/b settles at the mean-squared error e(η) = ησ²/(bλ(2 − ηλ)), and forgets where
    it began within 1/(ηλ) steps. The least error under a bound on those steps makes e(η) + κ/η smallest, with a price κ of slow
    progress that is no matter of the batch: 2σ²η² = κbλ(2 − ηλ)², or η/(2 − ηλ) ∝ √b. With κ such that η₀ is best at b₀ this is
    the rule: the square root where noise is what limits (ηλ ≪ 2), and never beyond η_max.

    Args:
        ratio: r > 0.
        share: η₀/η_max, 0 to 1.
    """
    root = math.sqrt(ratio)
    return root / (1.0 + (root - 1.0) * share)


SCALINGS: Final[Mapping[str, Scaling]] = {
    "none": lambda ratio, share: 1.0,
    "square-root": lambda ratio, share: math.sqrt(ratio),
    "linear": lambda ratio, share: ratio,
    "quadratic": quadratic,
}
"""Names → factor of the step size where the batch is ``ratio`` times the first one, before it is bounded by what is stable.

The root keeps the size η√(tr Σ/b) of a step's random part, and is Adam's rule (Malladi et al. 2022, arXiv 2205.10287); the
linear rule keeps the temperature ∝ η/b of plain descent.
"""


@dataclass(frozen=True)
class Schedule:
    """Step sizes of a run.

    Attributes:
        learning_rate: after the warm-up, > 0.
        warmup: steps over which it rises linearly, ≥ 0.
        steps: steps of the run.
        course: name in ``COURSES``.
        decay: final factor of the falling courses, 0 … 1.
    """

    learning_rate: float
    warmup: int = 0
    steps: int = 1
    course: str = "constant"
    decay: float = 0.01

    def __call__(self, step: int) -> float:
        """Return the step size of step 0, 1, 2, …."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        progress = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.learning_rate * COURSES[self.course](progress, self.decay)
