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

SCALINGS: Final[Mapping[str, Callable[[float], float]]] = {
    "none": lambda ratio: 1.0,
    "square-root": math.sqrt,
    "linear": lambda ratio: ratio,
}
"""Names → factor of the step size where the batch is ``ratio`` times the first one.

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
