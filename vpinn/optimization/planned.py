"""How a run trains: `Plan`, all that the training loop is told before the first step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from vpinn.features.direct import Direct
from vpinn.optimization.batches import Batching
from vpinn.optimization.method import Method
from vpinn.optimization.rules import Rules
from vpinn.optimization.schedule import Schedule
from vpinn.sampling import Sampler
from vpinn.workers import Compressor


@dataclass(frozen=True)
class Plan:
    """How a run trains.

    Attributes:
        method: method that takes the steps.
        schedule: step sizes; its ``steps`` is the length of the run.
        samplers: one per measure, or () for all points in every step.
        batches: independent batches of a step, 1 or 2.
        clip: largest gradient norm > 0; None: no clipping; "auto": computed from the gradients of the last steps.
        tolerance: error estimate below which the run stops, > 0; None: never.
        time_limit: seconds after which the run stops; None: never.
        monitor_every: steps between calls of the monitor.
        checkpoint_every: seconds between checkpoints.
        warmup: whether the length of the warm-up is computed from the stable step size at the start.
        probe: samplers of the batch on which the curvature is measured, () for all points.
        batching: how the size of batches changes; None: it does not.
        rules: finer quadrature rules for steps that exploit the gaps between points; None: there are none.
        compressor: how workers send their parts of a gradient; None: as they are.
        project: steps between solves for the last layer while all layers train; 0: none.
    """

    method: Method | Direct
    schedule: Schedule
    samplers: tuple[Sampler, ...] = ()
    batches: int = 1
    clip: float | Literal["auto"] | None = None
    tolerance: float | None = None
    time_limit: float | None = None
    monitor_every: int = 100
    checkpoint_every: float = 60.0
    warmup: bool = False
    probe: tuple[Sampler, ...] = ()
    batching: Batching | None = None
    rules: Rules | None = None
    project: int = 0
    compressor: Compressor | None = None

    @cached_property
    def batch_size(self) -> int | None:
        """Points per step of all measures, those of the first batch where the size changes; None for all points."""
        return self.points_of(self.samplers)

    def points_of(self, samplers: Sequence[Sampler]) -> int | None:
        """Return the points per step of all measures with given samplers, None for all points."""
        return self.batches * sum(s.size for s in samplers) or None
