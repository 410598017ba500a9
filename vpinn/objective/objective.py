"""The objective J(θ) = Σ ∫ density + ½‖r‖²: its value and gradient over all points or over drawn batches.

Energies and strong forms have a density and no residual. Weak forms have a residual, and a density for conditions imposed by
penalty. The points are evaluated part by part, each small enough for the processor's caches. Parts follow one another and torch's
threads share each operation, so that Python's lock plays no role and equal numbers of threads give equal bits.

Every worker of the placement evaluates its own share of the points, and the sums are added up over all workers: J, ∇J, and the
residual of a weak form before it is squared. All workers call these functions in the same order, and get the same results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TypeVar

import torch
from torch import Tensor

from vpinn.forms import Value
from vpinn.objective.directions import Directions
from vpinn.objective.measure import Measure, Recorded, integral
from vpinn.objective.pairs import added, pair_products
from vpinn.objective.parts import Part, bytes_per_point, fewest, filled, part_bytes
from vpinn.objective.test_space import TestSpace
from vpinn.placement import HERE, Placement

SWEPT = 4.0
"""Factor by which parts are larger if only `vpinn.trial.sweeps` evaluates them, which needs less memory and has own blocks."""
RECORDED_BYTES = 512e6
"""Bytes up to which evaluations of the network are kept between value and gradient of a residual; above, they are repeated."""

Batch = Sequence[Part]
"""Drawn points of every measure."""
Gradient = tuple[float, Tensor]
_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True)
class Objective:
    """The function of the parameters that training minimises.

    Attributes:
        measures: integrals over the domain and over the boundary.
        test_space: test space of a weak form, else None.
        outputs: number of components of the test functions.
        estimator: "plain", "two-batch", "u-statistic" or "control-variate": how squared residuals are estimated from batches.
        placement: device, precision and threads of the computation.
        why: reason for the estimator.
        controlled: the same integrals with a control variate; () without one.
        unit: unit of J, > 0, in the units of the functional in the problem file: the functional is unit · J, and residuals are
            divided by √unit.
    """

    measures: tuple[Measure, ...]
    test_space: TestSpace | None
    outputs: int
    estimator: str = "plain"
    placement: Placement = HERE
    why: str = ""
    controlled: tuple[Measure, ...] = ()
    unit: float = 1.0

    @property
    def batched(self) -> tuple[Measure, ...]:
        """The measures from which batches are drawn."""
        return self.controlled or self.measures

    @cached_property
    def alone(self) -> Objective:
        """The same objective of one worker, which evaluates all points itself."""
        if self.placement.group.size == 1:
            return self
        both = self.measures, self.controlled
        measures, controlled = (tuple(replace(m, placement=m.placement.alone) for m in some) for some in both)
        return replace(self, measures=measures, controlled=controlled, placement=self.placement.alone)

    @property
    def directions(self) -> Directions | None:
        """Second derivatives of equations in many dimensions, and how many of them batches draw; None elsewhere."""
        return next((m.directions for m in self.measures if m.directions is not None), None)

    def taking(self, count: int) -> Objective:
        """Return the same objective with ``count`` drawn second derivatives per point.

        Raises:
            InputError: there are fewer.
        """
        if self.directions is None:
            return self
        directions = self.directions.taking(count)
        return replace(
            self, measures=tuple(m if m.directions is None else replace(m, directions=directions) for m in self.measures)
        )

    @cached_property
    def size(self) -> int:
        """Number of quadrature points of all measures."""
        return sum(m.points.size for m in self.measures)

    def value(self, theta: Tensor) -> float:
        """Return J over all points, for parameters [size]."""
        with torch.no_grad():
            density, residual = self._sum(map(partial(self._evaluate, theta), filled(self.parts())))
            if self.test_space is None or residual is None:
                return density
            return density + 0.5 * float((residual * self.test_space.riesz(residual)).sum())

    def residual(self, theta: Tensor, batch: Batch | None = None) -> Tensor:
        """Return the residual [outputs, space.size] over all points, or an estimate of it from drawn ones.

        Args:
            theta: parameters [size].
            batch: drawn points; None for all points.
        """
        with torch.no_grad():
            _, residual = self._sum(self.over_parts(partial(self._evaluate, theta), filled(batch or self.parts())))
        assert residual is not None
        return residual

    def gradient(self, theta: Tensor, own: bool = False) -> Gradient:
        """Return J and ∇J [size] over all points, for parameters [size]; with ``own`` this worker's part of ∇J."""
        swept = partial(self.parts, SWEPT)
        return self._densities(theta, swept(), own) if self.test_space is None else self._squares(theta, [swept], own=own)

    def sampled(self, theta: Tensor, first: Batch, second: Batch | None = None, *, own: bool = False) -> Gradient:
        """Return estimates of J and ∇J [size] from drawn batches.

        A density is linear in the points, so that its estimate is unbiased. For a residual, the product of two independent
        batches ½ r₁ᵀG⁻¹r₂ is unbiased, with gradient ½(J₁ᵀG⁻¹r₂ + J₂ᵀG⁻¹r₁). The square of one batch is too large by half the
        trace of G⁻¹Cov(r), which the U-statistic subtracts.

        Args:
            theta: parameters [size].
            first: drawn points of every measure.
            second: an independent batch for the product of two; None otherwise.
            own: whether to return this worker's part of ∇J, whose sum over all workers is ∇J.
        """
        if self.test_space is None:
            return self._densities(theta, first, own)
        if self.estimator == "u-statistic" and second is None:
            return pair_products(self.test_space, first, theta, self.outputs, own)
        return self._squares(theta, [lambda: first] if second is None else [lambda: first, lambda: second], True, own)

    def over_parts(self, work: Callable[[_In], _Out], parts: Iterable[_In] | None = None) -> Iterator[_Out]:
        """Apply ``work`` to given parts, or to parts of all points, one after the other."""
        return map(work, self.parts() if parts is None else parts)  # type: ignore[arg-type]

    def non_finite(self, theta: Tensor) -> str:
        """Return the end of a sentence that names an integral without a finite value; "" if all are finite."""
        with torch.no_grad():
            for measure, points in self.parts():
                values, coefficients = measure.integrands(theta, points)
                if not all(bool(torch.isfinite(integral(points.w, v))) for v in (values, *coefficients)):
                    return f" in the {measure.region.name} integral"
        return ""

    def _densities(self, theta: Tensor, parts: Iterable[Part], own: bool) -> Gradient:
        """Return the integral of the densities over some parts, and its gradient."""

        def work(part: Part) -> Gradient:
            measure, points = part
            value, gradient = measure.gradient(theta, points)
            return float(value), gradient

        found = list(map(work, filled(parts)))
        gradient = total([gradient for _, gradient in found], theta)
        return added(self.placement.group, sum(value for value, _ in found), gradient, own)

    def _squares(
        self, theta: Tensor, groups: Sequence[Callable[[], Iterable[Part]]], drawn: bool = False, own: bool = False
    ) -> Gradient:
        """Return value and gradient of density + ½ r₁ᵀG⁻¹r₂, for the residuals of two groups of points, or of one.

        The gradient needs the Riesz representative y = G⁻¹r of the whole residual, so that all parts are evaluated first. The
        evaluations of the network are kept for the gradient if they fit ``RECORDED_BYTES``, and repeated otherwise.

        Args:
            theta: parameters [size].
            groups: one or two functions that yield the parts of a group.
            drawn: whether the groups are drawn batches, whose evaluations are always kept.
            own: whether to return this worker's part of the gradient.
        """
        assert self.test_space is not None
        keep = drawn or sum(m.points.size * bytes_per_point(m) for m in self.measures) <= RECORDED_BYTES
        share = 1.0 / len(groups)

        def forward(part: Part) -> tuple[Recorded | None, Tensor, Tensor | None]:
            measure, points = part
            recorded = measure.record(theta, points)
            return recorded if keep else None, *self._contract(part, *measure.evaluate(points, recorded[0]))

        def backward(dual: Tensor, job: tuple[Part, Recorded | None]) -> Tensor:
            (measure, points), recorded = job
            return measure.pull_back(points, recorded or measure.record(theta, points), dual, share)[1]

        evaluated = [list(map(forward, filled(group()))) for group in groups]
        sums = [self._sum((d, r) for _, d, r in found) for found in evaluated]
        duals = [self.test_space.riesz(_present(r)) for _, r in sums]
        gradients: list[Tensor] = []
        for group, found, dual in zip(groups, evaluated, reversed(duals), strict=True):
            gradients += map(partial(backward, dual), zip(filled(group()), (kept for kept, *_ in found), strict=True))
        value = share * sum(density for density, _ in sums) + 0.5 * float((_present(sums[0][1]) * duals[-1]).sum())
        part = total(gradients, theta)
        return value, part if own else self.placement.group.sum(part)[0]

    def _evaluate(self, theta: Tensor, part: Part) -> tuple[Tensor, Tensor | None]:
        """Return the integral of the density and the residual [outputs, space.size] over some points."""
        measure, points = part
        return self._contract(part, *measure.integrands(theta, points))

    def _contract(self, part: Part, values: Value, coefficients: Sequence[Value]) -> tuple[Tensor, Tensor | None]:
        """Return the integral of the density, and the residual [outputs, space.size] of the coefficients."""
        measure, points = part
        density = integral(points.w, values)
        if measure.contraction is None or points.frame is None:
            return density, None
        w, frame, aligned = points.w, points.frame, points.aligned
        return density, measure.contraction.assemble(measure.tests, coefficients, w, frame, aligned, self.outputs)

    def _sum(self, found: Iterable[tuple[Tensor, Tensor | None]]) -> tuple[float, Tensor | None]:
        """Return the sums of densities and of residuals, in order, over the parts of all workers."""
        density, residual = 0.0, None
        for value, part in found:
            density += float(value)
            if part is not None:
                residual = part if residual is None else residual + part
        group, placement = self.placement.group, self.placement
        if group.size == 1:
            return density, residual
        shape = (0, 0) if self.test_space is None else (self.outputs, self.test_space.space.size)
        if residual is None:
            residual = torch.zeros(shape, dtype=placement.dtype, device=placement.device)
        residual, number = group.sum(residual, residual.new_full((1,), density))
        return float(number), residual if residual.numel() else None

    @cached_property
    def _parts(self) -> dict[float, list[Part]]:
        return {}

    def parts(self, times: float = 1.0) -> Iterable[Part]:
        """Return all points in parts that fit the caches.

        Args:
            times: factor by which parts may be larger if only values and first derivatives of the network are needed.
        """
        if any(m.everything is None for m in self.measures):
            return self._split(times)
        if times not in self._parts:
            self._parts[times] = list(self._split(times))
        return self._parts[times]

    def _split(self, times: float) -> Iterator[Part]:
        """Yield this worker's share of all points, in parts of equal size."""
        for measure in self.measures:
            room = part_bytes(self.placement.threads) * (times if max(map(len, measure.derivatives), default=0) <= 1 else 1.0)
            largest = max(fewest(measure), int(room / bytes_per_point(measure)))
            size, entity = max(1, measure.own.stop - measure.own.start), measure.points.per_entity
            part = -(-size // -(-size // largest))
            for points in measure.whole(-(-part // entity) * entity if entity < part else part):
                yield measure, points


def total(gradients: Sequence[Tensor], theta: Tensor) -> Tensor:
    """Return the sum of gradients [size]; zeros like the parameters where there are none."""
    if len(gradients) < 2:
        return gradients[0] if gradients else torch.zeros_like(theta)
    return torch.stack(list(gradients)).sum(0)


def _present(residual: Tensor | None) -> Tensor:
    assert residual is not None
    return residual
