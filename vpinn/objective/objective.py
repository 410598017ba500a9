"""The objective J(θ) = Σ ∫ density + ½‖r‖²: its value and gradient over all points or over a drawn batch.

Energy and strong forms have a density and no residual; weak forms have a residual, and a density where conditions are
imposed by penalty. Points are worked through in chunks, so memory is bounded; a residual over several chunks takes a
second pass, since its Riesz representative y = G⁻¹r must be known before ∇J = ∇(r·y) can be accumulated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vpinn.objective.measure import Measure, Prepared, integral
from vpinn.objective.test_space import TestSpace

CHUNK_BYTES = 24e6
"""Memory for the activations of one chunk of a density: small enough for the caches to help."""
RESIDUAL_BYTES = 512e6
"""Memory up to which a residual's graph is kept, which saves the second pass."""

Batch = Sequence[tuple[Measure, Prepared]]
"""Drawn points of every measure."""


@dataclass(frozen=True)
class Objective:
    """What training minimises.

    Attributes:
        measures: integrals over the domain and over the boundary.
        test_space: of a weak form, else None.
        outputs: number of test components.
        estimator: "plain" or "two-batch", for the squared residual of drawn batches.
    """

    measures: tuple[Measure, ...]
    test_space: TestSpace | None
    outputs: int
    estimator: str = "plain"

    @property
    def size(self) -> int:
        """Number of quadrature points of all measures."""
        return sum(m.points.size for m in self.measures)

    def value(self, theta: Tensor) -> float:
        """Return J over all points."""
        with torch.no_grad():
            if self.test_space is None:
                return sum(float(self._density(theta, part)) for part in self._whole(CHUNK_BYTES))
            density, residual = self._evaluate(theta, self._whole(RESIDUAL_BYTES))
            return float(density) + 0.5 * float((residual * self.test_space.riesz(residual)).sum())

    def residual(self, theta: Tensor) -> Tensor:
        """Return the residual [outputs, space.size] over all points, without a graph."""
        with torch.no_grad():
            return self._evaluate(theta, self._whole(RESIDUAL_BYTES))[1]

    def non_finite(self, theta: Tensor) -> str:
        """Return which integral has no finite value, as the end of a sentence; "" where all have."""
        with torch.no_grad():
            for measure, points in self._whole(CHUNK_BYTES):
                values, coefficients = measure.integrands(theta, points)
                if not all(bool(torch.isfinite(integral(points.w, v))) for v in (values, *coefficients)):
                    return f" in the {'boundary' if measure.facet else 'domain'} integral"
        return ""

    def gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return J and ∇J [size] over all points."""
        if self.test_space is None:
            return _accumulate(theta, (lambda leaf, part=part: self._density(leaf, part) for part in self._whole(CHUNK_BYTES)))
        parts = list(self._whole(RESIDUAL_BYTES))
        if len(parts) <= len(self.measures):
            return self._paired(theta, parts, parts)
        with torch.no_grad():
            _, residual = self._evaluate(theta, parts)
            y = self.test_space.riesz(residual)
        value, gradient = _accumulate(theta, (lambda leaf, part=part: self._linear(leaf, part, y) for part in parts))
        return value - 0.5 * float((residual * y).sum()), gradient

    def sampled(self, theta: Tensor, first: Batch, second: Batch | None = None) -> tuple[float, Tensor]:
        """Return estimates of J and ∇J from drawn batches.

        With a residual and two independent batches, J ≈ density + ½ r₁ᵀG⁻¹r₂ and its gradient are unbiased
        (``methods``: the product of two independent batches); with one batch the square is biased by tr Cov/2.
        """
        if self.test_space is None:
            return _accumulate(theta, (lambda leaf, part=part: self._density(leaf, part) for part in first))
        return self._paired(theta, first, second or first)

    def _paired(self, theta: Tensor, first: Batch, second: Batch) -> tuple[float, Tensor]:
        """Return value and gradient of density + ½ r₁ᵀG⁻¹r₂, densities averaged over both batches."""
        assert self.test_space is not None
        leaf = theta.detach().requires_grad_()
        same = first is second
        densities, residuals = [], []
        for batch in (first,) if same else (first, second):
            density, residual = self._evaluate(leaf, batch)
            densities.append(density)
            residuals.append(residual)
        with torch.no_grad():
            dual = [self.test_space.riesz(r.detach()) for r in residuals]
        r1, r2, y1, y2 = residuals[0], residuals[-1], dual[0], dual[-1]
        surrogate = (r1 * y1).sum() if same else 0.5 * ((r1 * y2).sum() + (r2 * y1).sum())
        density = sum(densities[1:], densities[0]) / len(densities)
        (gradient,) = torch.autograd.grad(density + surrogate, leaf)
        return float(density.detach()) + 0.5 * float((r1.detach() * y2).sum()), gradient

    def _evaluate(self, theta: Tensor, batch: Iterable[tuple[Measure, Prepared]]) -> tuple[Tensor, Tensor]:
        """Return the integral of the densities and the residual [outputs, space.size] over parts of the measures."""
        assert self.test_space is not None
        density, residual = theta.new_zeros(()), theta.new_zeros(self.outputs, self.test_space.space.size)
        for measure, points in batch:
            values, coefficients = measure.integrands(theta, points)
            density = density + integral(points.w, values)
            if measure.contraction is not None and points.frame is not None:
                residual = residual + measure.contraction.assemble(
                    measure.tests, coefficients, points.w, points.frame, points.aligned, self.outputs
                )
        return density, residual

    def _density(self, theta: Tensor, part: tuple[Measure, Prepared]) -> Tensor:
        measure, points = part
        return integral(points.w, measure.integrands(theta, points)[0])

    def _linear(self, theta: Tensor, part: tuple[Measure, Prepared], y: Tensor) -> Tensor:
        density, residual = self._evaluate(theta, [part])
        return density + (residual * y).sum()

    def _whole(self, limit: float) -> Iterator[tuple[Measure, Prepared]]:
        for measure in self.measures:
            width = sum(measure.network.layers) * (1 + max(map(len, measure.derivatives), default=0))
            chunk = max(256, int(limit / (8 * 6 * width)))
            for part in measure.whole(chunk):
                yield measure, part


def _accumulate(theta: Tensor, terms: Iterable[Callable[[Tensor], Tensor]]) -> tuple[float, Tensor]:
    """Return Σ terms and its gradient, one term's graph at a time."""
    leaf = theta.detach().requires_grad_()
    value, gradient = 0.0, torch.zeros_like(theta)
    for term in terms:
        result = term(leaf)
        if result.requires_grad:
            gradient += torch.autograd.grad(result, leaf)[0]
        value += float(result.detach())
    return value, gradient
