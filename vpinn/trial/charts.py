"""Charts: the coordinates T(x) that random features σ(w·T(x) + b) take as input, and features that are not random.

With the coordinates of the whole bounding box (`BoxChart`), features vary on the scale of the box. Solutions vary on smaller
scales near holes, in thin parts and at corners. There features with windows (`PatchChart`) or functions with poles outside the
domain (`SourceChart`) approximate them better. `vpinn.trial.features` puts the charts together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Derivative = tuple[int, ...]


class Chart(ABC):
    """Coordinates T(x) that some of the features take as input."""

    #: whether the coordinates [n, count] are themselves the features, so that no random function σ(w·T + b) is applied
    plain = False

    @abstractmethod
    def jets(self, x: Tensor, pairs: Sequence[Derivative]) -> dict[Derivative, Tensor]:
        """Return T and its derivatives at points, [n, number of coordinates] each, by the coordinates that they differentiate by.

        Args:
            x: points [n, d], in units of the mesh.
            pairs: second derivatives wanted; the value () and first derivatives (i,) are always returned.
        """


@dataclass(frozen=True)
class BoxChart(Chart):
    """The bounding box mapped to [−1, 1]^d.

    Attributes:
        lower: smallest coordinates of the box [d], in units of the mesh.
        upper: largest coordinates of the box [d], in units of the mesh.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def jets(self, x: Tensor, pairs: Sequence[Derivative]) -> dict[Derivative, Tensor]:
        """Return the affine map and its constant first derivatives; second derivatives are zero and left out."""
        lower, upper = x.new_tensor(self.lower), x.new_tensor(self.upper)
        slopes = torch.diag(2 / (upper - lower))
        found: dict[Derivative, Tensor] = {(): (2 * x - (lower + upper)) / (upper - lower)}
        return found | {(i,): slopes[i].expand(len(x), -1) for i in range(x.shape[1])}


@dataclass(frozen=True)
class PatchChart(BoxChart):
    """The coordinates of the box with a Gaussian window for each feature, so that the feature is concentrated on a patch.

    Each feature is multiplied by its window exp(−|x − c|²/ρ²), which is as smooth as the feature (Gabor atoms). With windows that
    sum up to one this would be the random feature method of Chen, Chi, E & Yang (2022, JML 1, 268–298).

    Attributes:
        patches: centre c (d coordinates) and radius ρ > 0 of each feature [count][d + 1], in units of the mesh.
    """

    patches: tuple[tuple[float, ...], ...]

    def place(self, weight: Tensor, center: Tensor) -> None:
        """Move features from [−1, 1]^d to their patches, in place.

        Args:
            weight: weights w of the features [count, d].
            center: centres of the features in the coordinates of the box [count, d].
        """
        lower, upper, patches = (weight.new_tensor(corner) for corner in (self.lower, self.upper, self.patches))
        stretch = 2 * patches[:, -1:] / (upper - lower)
        weight /= stretch
        center.mul_(stretch).add_((2 * patches[:, :-1] - (lower + upper)) / (upper - lower))

    def window(self, x: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """Return the windows of all features and their logarithmic derivatives at points.

        Args:
            x: points [n, d], in units of the mesh.

        Returns:
            windows g [n, count], slopes ∂ᵢ ln g of every coordinate i [n, count] each, and the curvature ∂ᵢᵢ ln g [count], which
            is the same at every point and for every i.
        """
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

    They are features as they are (method of fundamental solutions; Fairweather & Karageorghis 1998). Inside the domain they vary
    on the scale of the distance to their pole, which makes them useful for other equations, too.

    Attributes:
        places: poles s [count][d], in units of the mesh.
    """

    places: tuple[tuple[float, ...], ...]
    plain = True

    def jets(self, x: Tensor, pairs: Sequence[Derivative]) -> dict[Derivative, Tensor]:
        """Return the functions and their derivatives, [n, count] each.

        As functions g(q) of q = |y|², y = x − s, they have the derivatives ∂ᵢ = 2yᵢg' and ∂ᵢⱼ = 2δᵢⱼg' + 4yᵢyⱼg''.
        """
        d = x.shape[1]
        y = [x[:, i, None] - x.new_tensor([place[i] for place in self.places]) for i in range(d)]
        q = y[0] * y[0]
        for c in y[1:]:
            q = torch.addcmul(q, c, c)
        power = 1 - d / 2  # g = q**power; in the plane power is 0 and g = ln(q)/2
        value = 0.5 * torch.log(q) if d == 2 else q**power
        twice = q.reciprocal() if d == 2 else 2 * power * value / q  # 2g'
        first = [c * twice for c in y]
        found: dict[Derivative, Tensor] = {(): value} | {(i,): slope for i, slope in enumerate(first)}
        ratios = first if d == 2 or not pairs else [c / q for c in y]  # yⱼ/q, for 4g'' = 4(power − 1)g'/q
        for i, j in pairs:
            bent = first[i] * ratios[j]
            found[i, j] = torch.add(twice, bent, alpha=2 * (power - 1)) if i == j else bent.mul_(2 * (power - 1))
        return found
