"""One measure of a weak form in time on elements: coefficients of the test functions, and their derivatives by u, u′ and u″."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import Points
from vpinn.errors import InputError
from vpinn.features.orthonormal.form import Derivative, IntegralInTime
from vpinn.finite_elements import MixedSpace, lower, rule_degree
from vpinn.finite_elements.assembly import Assembler
from vpinn.finite_elements.local import Placed
from vpinn.forms import Background, Value
from vpinn.placement import HOST
from vpinn.problem import Problem

Array = NDArray[np.float64]


@dataclass(frozen=True)
class InTime(Assembler):
    """One measure of a form in time. Its derivatives are with respect to jets, numbered order · components + component.

    Attributes:
        integral: coefficients of the test functions, and their derivatives, as tapes.
        background: fields and constants that do not depend on the unknowns.
    """

    integral: IntegralInTime
    background: Background
    _placed: dict[int, Placed] = field(default_factory=dict)
    _fixed: dict[int, list[Value]] = field(default_factory=dict)
    _time: list[float] = field(default_factory=lambda: [0.0])

    @classmethod
    def of(cls, integral: IntegralInTime, mixed: MixedSpace, background: Background) -> InTime:
        """Return the assembler of an integral on elements.

        Raises:
            InputError: the form has second derivatives of an unknown.
        """
        mesh = mixed.mesh
        count = len(mixed.spaces)
        rule = rule_degree(mixed.highest.degree, mixed.mesh)
        points = integral.region.of(mesh, integral.tags).on_cells(rule)
        tests = tuple((c, _place(derivative)) for c, derivative in integral.tests)
        slopes = tuple(
            ((c, _place(derivative)), (order * count + other, _place(its)))
            for (c, derivative), (order, other, its) in integral.slopes
        )
        return cls(mixed.highest, count, points, tests, slopes, integral, background)

    @cached_property
    def chunks(self) -> list[range]:
        """Ranges of points that are evaluated at a time; each consists of whole cells or facets."""
        return list(self.points.chunks(self.entities_at_a_time * self.points.per_entity))

    @property
    def pairs(self) -> set[tuple[int, int]]:
        """Pairs of components, of the test function and of the unknown, between which the matrices have entries."""
        return {(c, numbered % self.components) for (c, _), (numbered, _) in self.slopes}

    def placed(self, index: range) -> Placed:
        """Return points with the values that do not depend on the unknowns; they are computed once and stored."""
        if index.start not in self._placed:
            self._placed[index.start] = super().placed(index)
        return self._placed[index.start]

    def at(self, t: float) -> InTime:
        """Return the assembler at an instant."""
        self._time[0] = t
        return self

    def outputs(self, points: Points, jets: Tensor | None, matrix: bool) -> Sequence[Value]:
        """Return the coefficients for jets [orders · components, n, 1 + d], and their derivatives if ``matrix`` is true."""
        assert jets is not None
        integral = self.integral
        tape = integral.linearised if matrix else integral.residual
        key = int(points.entity[0])
        if key not in self._fixed:
            self._fixed[key] = list(integral.linearised.fixed(self.background.values(integral.linearised.fixed_slots, points)))
        inputs: list[Tensor] = []
        for one in integral.inputs(tape):
            if one is None:
                inputs.append(torch.tensor(self._time[0], dtype=torch.float64, device=HOST))
            else:
                order, component, derivative = one
                inputs.append(jets[order * self.components + component, :, _place(derivative)])
        return tape.moving([*self._fixed[key], *inputs])


def _place(derivative: Derivative) -> int:
    if len(derivative) > 1:
        raise InputError(
            "the form has second derivatives, which continuous elements do not have; integrate by parts, or split the "
            "equation into several of lower order"
        )
    return 1 + derivative[0] if derivative else 0


def embedded(mixed: MixedSpace, values: Array) -> Array:
    """Return coefficients [mixed.size] in the space of the highest degree [components, highest.size]."""
    if all(within is None for within in mixed.within):
        return values.reshape(len(mixed.spaces), -1)
    return mixed.embedded(values)


def degrees(problem: Problem, parts: Sequence[IntegralInTime], degree: int) -> tuple[int, ...]:
    """Return the degree of every component: one less for multipliers."""
    count = sum(u.components for u in problem.unknowns)
    pairs = [
        ((c, _place(derivative)), (other, _place(its))) for part in parts for (c, derivative), (_, other, its) in part.slopes
    ]
    return tuple(max(1, degree - one) for one in lower(count, pairs, problem.symbols.dimension))
