"""Singular functions of corners as features: solutions in a sector (`vpinn.trial.wedge`), moved to the corners of a domain.

Start with `CornerChart`, which evaluates them with their derivatives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vpinn.placement import HOST
from vpinn.trial.charts import Chart, Derivative
from vpinn.trial.wedge import Term, WedgeSolution

TINY = 1e-100
"""Value of z used at the corner itself, where z = 0 and ln z has no value."""


@dataclass(frozen=True)
class CornerFunction:
    """A solution in a sector, moved to a corner of the domain.

    Attributes:
        place: coordinates of the corner [2], in units of the mesh.
        middle: direction β of the bisector of the corner's angle, in radians.
        solution: solution in a sector of this angle, whose bisector is the x axis.
    """

    place: tuple[float, float]
    middle: float
    solution: WedgeSolution


@dataclass(frozen=True)
class CornerChart(Chart):
    """Corner functions as features that are not random: first component of all functions, then second component, and so on.

    They consist of terms y^j z^q (ln z)^m with z = x + py, in coordinates (x, y) around the corner with x along β; the branch cut
    lies opposite to β, outside the domain. Near a corner, a solution is a combination of such functions plus a smooth function:
    exactly for the principal part of the equation, and to leading order otherwise (Grisvard 1985, Elliptic problems in nonsmooth
    domains, ch. 4; Kozlov, Maz'ya & Rossmann 2001).

    Attributes:
        functions: corner functions, of all corners.
    """

    functions: tuple[CornerFunction, ...]
    plain = True

    @cached_property
    def components(self) -> int:
        """Number of components of every function."""
        return len(self.functions[0].solution.shares[0])

    @property
    def count(self) -> int:
        """Number of features: functions times components."""
        return len(self.functions) * self.components

    @cached_property
    def _groups(self) -> tuple[_Terms, ...]:
        """The terms of all functions, each distinct term once, grouped by their power j of y."""
        found = dict[int, dict[tuple[tuple[float, float], float, Term], int]]()
        shares = list[tuple[int, int, int, tuple[complex, ...]]]()
        for k, function in enumerate(self.functions):
            for term, share in zip(function.solution.terms, function.solution.shares, strict=True):
                group = found.setdefault(term[1], {})
                shares.append((term[1], group.setdefault((function.place, function.middle, term), len(group)), k, share))
        groups = []
        for j, terms in found.items():
            matrix = torch.zeros(len(terms), self.components, len(self.functions), dtype=torch.complex128, device=HOST)
            for power, row, k, share in shares:
                if power == j:
                    matrix[row, :, k] = torch.tensor(share, dtype=torch.complex128, device=HOST)
            groups.append(_Terms.of(j, list(terms), matrix.flatten(1)))
        return tuple(groups)

    def jets(self, x: Tensor, pairs: Sequence[Derivative]) -> dict[Derivative, Tensor]:
        """Return the functions and their derivatives, [n, count] each."""
        found: dict[Derivative, Tensor] = {}
        for group in self._groups:
            for key, values in group.jets(x, pairs):
                found[key] = found[key].add_(values) if key in found else values
        return found


@dataclass(frozen=True)
class _Terms:
    """Terms y^j W(z) of the same j, where W(z) = z^q (ln z)^m. A frame is a corner with its direction β and a root p.

    Attributes:
        j: power of y, ≥ 0.
        place: coordinates of the corner of every frame [frames, 2], in units of the mesh.
        z_by: derivatives of z by the two coordinates [2][frames].
        y_by: derivatives of y by the two coordinates [2][frames].
        frame: index of the frame of every term [terms].
        q: power of z of every term [terms].
        log: m of every term, 0 or 1 [terms].
        shares: factors of the terms in the features [terms, count]; [terms] if every term is one feature.
    """

    j: int
    place: Tensor
    z_by: tuple[Tensor, Tensor]
    y_by: tuple[Tensor, Tensor]
    frame: Tensor
    q: Tensor
    log: Tensor
    shares: Tensor

    @classmethod
    def of(cls, j: int, terms: Sequence[tuple[tuple[float, float], float, Term]], shares: Tensor) -> _Terms:
        """Return terms of one j, each given with its corner and its direction β.

        Args:
            j: power of y.
            terms: place of the corner, β in radians, and term.
            shares: factors of the terms in the features [terms, count].
        """
        frames = list(dict.fromkeys((*place, middle, term[0]) for place, middle, term in terms))
        a, b, beta, p = torch.tensor(frames, dtype=torch.complex128, device=HOST).T
        cos, sin = torch.cos(beta.real), torch.sin(beta.real)
        at = torch.tensor([frames.index((*place, middle, term[0])) for place, middle, term in terms], device=HOST)
        q, log = torch.tensor([term[2:] for _, _, term in terms], dtype=torch.complex128, device=HOST).T
        own = shares.shape[0] == shares.shape[1] and bool((shares == torch.diag(shares.diagonal())).all())
        kept = shares.diagonal() if own else shares
        return cls(j, torch.stack([a.real, b.real], 1), (cos - p * sin, sin + p * cos), (-sin, cos), at, q, log.real, kept)

    def jets(self, x: Tensor, pairs: Sequence[Derivative]) -> Iterator[tuple[Derivative, Tensor]]:
        """Yield the features and their derivatives [n, count], by the product rule for y^j W(z)."""
        away = x[:, :1] - self.place[:, 0], x[:, 1:] - self.place[:, 1]
        z = away[0] * self.z_by[0] + away[1] * self.z_by[1]
        z = torch.where(z == 0, torch.full_like(z, TINY), z)
        ln, inverse = torch.log(z)[:, self.frame], z.reciprocal()[:, self.frame]
        z_by = tuple(slope[self.frame] for slope in self.z_by)
        power = torch.exp(self.q * ln)
        q = self.q
        log = self.log
        j = self.j
        sums = 1.0 - log + log * ln if bool(log.any()) else log.new_ones(())
        w = [power * sums]
        power = power * inverse
        w.append(power * (q * sums + log))
        if pairs:
            w.append(power * inverse * (q * (q - 1) * sums + log * (2 * q - 1)))
        y_by = tuple(slope[self.frame] for slope in self.y_by)
        factors: list[Tensor] = []
        if j:  # y^j and its derivatives by y
            y = (away[0] * self.y_by[0] + away[1] * self.y_by[1])[:, self.frame]
            factors = [y**j, j * y ** (j - 1), j * (j - 1) * y ** max(j - 2, 0)]
        yield (), self._summed(factors[0] * w[0] if j else w[0])
        for i in (0, 1):
            slope = w[1] * z_by[i]
            yield (i,), self._summed(factors[0] * slope + factors[1] * y_by[i] * w[0] if j else slope)
        for i, k in pairs:
            bend = w[2] * (z_by[i] * z_by[k])
            if j:
                mixed = y_by[i] * z_by[k] + y_by[k] * z_by[i]
                bend = factors[0] * bend + factors[1] * mixed * w[1] + factors[2] * (y_by[i] * y_by[k]) * w[0]
            yield (i, k), self._summed(bend)

    def _summed(self, values: Tensor) -> Tensor:
        """Return the features [n, count]: real parts of the terms [n, terms] combined with their shares."""
        if self.shares.ndim == 1:
            return values.real * self.shares.real - values.imag * self.shares.imag
        return values.real @ self.shares.real - values.imag @ self.shares.imag
