"""Charts: what random features see of a point, and functions that come as they are.

A random feature σ(w·T(x) + b) of the whole box is smooth on the scale of the box. What a solution owes to its boundary, near
holes, in thin parts and beside corners, varies on smaller scales there; functions with poles behind the boundary do as well.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vpinn.trial.wedge import Solution

Derivative = tuple[int, ...]
TINY = 1e-100
"""Distance from its corner that stands for none, where a logarithm has no value."""


class Chart(ABC):
    """Coordinates T(x) for some of the features."""

    #: whether the coordinates [n, count] are the features themselves, and not what random functions are taken of
    plain = False

    @abstractmethod
    def jets(self, x: Tensor, pairs: Sequence[Derivative]) -> dict[Derivative, Tensor]:
        """Return T, its first derivatives and its second ones by ``pairs``, [n, d] each, at points [n, d].

        Args:
            x: coordinates in units of the mesh.
            pairs: second derivatives wanted.
        """


@dataclass(frozen=True)
class BoxChart(Chart):
    """The bounding box mapped to [−1, 1]^d.

    Attributes:
        lower: its corner [d].
        upper: its opposite corner [d].
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def jets(self, x: Tensor, pairs: Sequence[Derivative]) -> dict[Derivative, Tensor]:
        """Return an affine map and its constant derivatives; second ones are left out, being zero."""
        lower, upper = x.new_tensor(self.lower), x.new_tensor(self.upper)
        slopes = torch.diag(2 / (upper - lower))
        found: dict[Derivative, Tensor] = {(): (2 * x - (lower + upper)) / (upper - lower)}
        return found | {(i,): slopes[i].expand(len(x), -1) for i in range(x.shape[1])}


@dataclass(frozen=True)
class PatchChart(BoxChart):
    """The box's coordinates seen through windows, so that each feature lives on a patch of the domain.

    The window is exp(−|x − c|²/ρ²): as smooth as the feature itself, so that sums with features of the whole box are as smooth as
    these (Gabor atoms; with windows that sum up to one, the random feature method of Chen, Chi, E & Yang 2022, JML 1, 268–298).

    Attributes:
        patches: centre c (d coordinates) and radius ρ > 0 of each feature [count][d + 1], in units of the mesh.
    """

    patches: tuple[tuple[float, ...], ...]

    def place(self, weight: Tensor, center: Tensor) -> None:
        """Turn directions and centres of features in [−1, 1]^d [count, d] into those on their patches, in place."""
        lower, upper, patches = (weight.new_tensor(corner) for corner in (self.lower, self.upper, self.patches))
        stretch = 2 * patches[:, -1:] / (upper - lower)
        weight /= stretch
        center.mul_(stretch).add_((2 * patches[:, :-1] - (lower + upper)) / (upper - lower))

    def window(self, x: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """Return windows g and the slopes ∂ᵢ ln g [n, count] at points [n, d], and the curvature ∂ᵢᵢ ln g [count]."""
        patches = x.new_tensor(self.patches)
        bend = -2 * patches[:, -1] ** -2
        away = [x[:, i, None] - patches[:, i] for i in range(x.shape[1])]
        slopes = [y * bend for y in away]
        exponent = away[0] * slopes[0]
        for y, slope in zip(away[1:], slopes[1:], strict=True):
            exponent.addcmul_(y, slope)
        return exponent.mul_(0.5).exp_(), slopes, bend


@dataclass(frozen=True)
class SourceChart(Chart):
    """Fundamental solutions of Laplace's equation with poles outside the domain: log|x − s| in the plane, else |x − s|^(2−d).

    These are the features themselves (method of fundamental solutions; Fairweather & Karageorghis 1998). In the domain they
    are smooth on the scale of their distance, for any equation.

    Attributes:
        places: the poles s [count][d].
    """

    places: tuple[tuple[float, ...], ...]
    plain = True

    def jets(self, x: Tensor, pairs: Sequence[Derivative]) -> dict[Derivative, Tensor]:
        """Return g(q), ∂ᵢ = 2yᵢg' and ∂ᵢⱼ = 2δᵢⱼg' + 4yᵢyⱼg'' of q = |y|², y = x − s, [n, count] each."""
        d = x.shape[1]
        y = [x[:, i, None] - x.new_tensor([place[i] for place in self.places]) for i in range(d)]
        q = y[0] * y[0]
        for c in y[1:]:
            q = torch.addcmul(q, c, c)
        power = 1 - d / 2  # of q in g, and minus one in its logarithm's slope
        value = 0.5 * torch.log(q) if d == 2 else q**power
        twice = q.reciprocal() if d == 2 else 2 * power * value / q  # 2g'
        first = [c * twice for c in y]
        found: dict[Derivative, Tensor] = {(): value} | {(i,): slope for i, slope in enumerate(first)}
        ratios = first if d == 2 or not pairs else [c / q for c in y]  # yⱼ/q, for 4g'' = 4(power − 1)g'/q
        for i, j in pairs:
            bent = first[i] * ratios[j]
            found[i, j] = torch.add(twice, bent, alpha=2 * (power - 1)) if i == j else bent.mul_(2 * (power - 1))
        return found


@dataclass(frozen=True)
class CornerFunction:
    """A solution in a sector, put to a corner.

    Attributes:
        place: the corner, two coordinates.
        middle: direction β that halves its angle, in radians.
        solution: of the sector.
    """

    place: tuple[float, float]
    middle: float
    solution: Solution


@dataclass(frozen=True)
class CornerChart(Chart):
    """Functions of corners, all components of each: features as they are, one after the other for the first component, and so on.

    Their terms are y^j z^q (ln z)^m with z = x + py, in coordinates (x, y) with x along β, cut opposite to it. A solution of the
    principal part's equation, and to leading order of others, is such functions beside smooth ones (Grisvard 1985, Elliptic
    problems in nonsmooth domains, ch. 4; Kozlov, Maz'ya & Rossmann 2001).

    Attributes:
        functions: of corners [count].
    """

    functions: tuple[CornerFunction, ...]
    plain = True

    @cached_property
    def components(self) -> int:
        """Number of components of the functions."""
        return len(self.functions[0].solution.shares[0])

    @property
    def count(self) -> int:
        """Number of features: functions times components."""
        return len(self.functions) * self.components

    @cached_property
    def _terms(self) -> tuple[Tensor, ...]:
        """Function, corner's coordinates, β, p, j, q and m of every term [terms] each, and its shares [terms, components]."""
        solutions = [function.solution for function in self.functions]
        owner = torch.tensor([k for k, solution in enumerate(solutions) for _ in solution.terms])
        frames = torch.tensor([(*function.place, function.middle) for function in self.functions], dtype=torch.float64)
        p, j, q, log = torch.tensor([term for solution in solutions for term in solution.terms], dtype=torch.complex128).T
        shares = torch.tensor([share for solution in solutions for share in solution.shares], dtype=torch.complex128)
        return owner, *frames[owner].T, p, j.real, q, log.real, shares

    def jets(self, x: Tensor, pairs: Sequence[Derivative]) -> dict[Derivative, Tensor]:
        """Return the functions and their derivatives, [n, count] each: of y^j W(z), by those of y and of z."""
        _, a, b, beta, p, j, q, log, _ = self._terms
        away, cos, sin = (x[:, :1] - a, x[:, 1:] - b), torch.cos(beta), torch.sin(beta)
        z_by, y_by = (cos - p * sin, sin + p * cos), (-sin, cos)
        z = away[0] * z_by[0] + away[1] * z_by[1]
        z = torch.where(z == 0, torch.full_like(z, TINY), z)
        ln = torch.log(z)
        power, sums = torch.exp(q * ln), 1.0 - log + log * ln
        bare = (power * sums, power / z * (q * sums + log), power / z**2 * (q * (q - 1) * sums + log * (2 * q - 1)))
        factor = None
        if bool(j.any()):  # y^j and its derivatives by y
            y = away[0] * y_by[0] + away[1] * y_by[1]
            factor = (y**j, j * y ** (j - 1).clamp(min=0), j * (j - 1) * y ** (j - 2).clamp(min=0))
        found: dict[Derivative, Tensor] = {(): bare[0] if factor is None else factor[0] * bare[0]}
        for i in (0, 1):
            slope = bare[1] * z_by[i]
            found[i,] = slope if factor is None else factor[0] * slope + factor[1] * y_by[i] * bare[0]
        for i, k in pairs:
            bend = bare[2] * (z_by[i] * z_by[k])
            if factor is not None:
                mixed = y_by[i] * z_by[k] + y_by[k] * z_by[i]
                bend = factor[0] * bend + factor[1] * mixed * bare[1] + factor[2] * (y_by[i] * y_by[k]) * bare[0]
            found[i, k] = bend
        return {key: self._summed(values) for key, values in found.items()}

    def _summed(self, values: Tensor) -> Tensor:
        """Return the components of the functions [n, count], real parts of sums of their terms [n, terms]."""
        owner, *_, shares = self._terms
        parts = [values.real * share.real - values.imag * share.imag for share in shares.T]
        if len(owner) > len(self.functions):
            parts = [part.new_zeros(len(part), len(self.functions)).index_add_(1, owner, part) for part in parts]
        return torch.cat(parts, dim=1)
