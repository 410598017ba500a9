"""Values that a run determines itself and its checkpoint keeps: batches, warm-up, and the quadrature rule in use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from vpinn.optimization.method import number
from vpinn.placement import HOST


@dataclass(frozen=True)
class Settled:
    """Values measured before the first step, and the current batch; nan where a value is not needed.

    Attributes:
        first: points of the first drawn batch.
        batch: points of the last one.
        noise: S/b of the first one, dimensionless.
        trace: tr Σ of single points at the start, for annealing.
        heat: temperature of a step over tr Σ/b.
        stable: largest stable step size at the start.
        warmup: length of the warm-up in steps.
        limit: largest stable step size measured last.
        seen_at: points of the batch that it was measured with, 0 before.
    """

    first: float = math.nan
    batch: float = math.nan
    noise: float = math.nan
    trace: float = math.nan
    heat: float = math.nan
    stable: float = math.nan
    warmup: float = math.nan
    limit: float = math.nan
    seen_at: float = 0.0

    def numbers(self) -> dict[str, float]:
        """Return what is known, for a checkpoint."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if not math.isnan(value) and (name != "seen_at" or value)}

    @classmethod
    def of(cls, numbers: Mapping[str, float]) -> Settled | None:
        """Return what numbers of a checkpoint say, None where there are none."""
        return cls(**numbers) if numbers else None


@dataclass(frozen=True)
class RuleLook:
    """An evaluation of J on the finer quadrature rule.

    Attributes:
        level: number of the quadrature rule that steps use, counted from 0.
        theta: parameters of the evaluation [size].
        seen: J there on that rule.
        finer: J there on the next finer rule.
    """

    level: int
    theta: Tensor
    seen: float
    finer: float

    def arrays(self) -> dict[str, Tensor]:
        """Return it as tensors."""
        numbers = {"seen": number(self.seen), "finer": number(self.finer)}
        return {"level": torch.tensor(self.level, device=HOST), "theta": self.theta, **numbers}

    @classmethod
    def of(cls, arrays: Mapping[str, Tensor]) -> RuleLook | None:
        """Return what tensors of a checkpoint say, None where there are none."""
        if not arrays:
            return None
        return cls(int(arrays["level"]), arrays["theta"], float(arrays["seen"]), float(arrays["finer"]))
