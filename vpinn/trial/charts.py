"""Charts: what random features see of a point, and functions that come as they are.

A random feature σ(w·T(x) + b) of the whole box is smooth on the scale of the box. What a solution owes to its boundary, near
holes, in thin parts and beside corners, varies on smaller scales there; functions with poles behind the boundary do as well.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Derivative = tuple[int, ...]


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
