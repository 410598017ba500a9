"""How random features are drawn: their activation, their scale, and the share of functions with poles behind the boundary.

Features are σ(w·x + b) with wᵢ ~ N(0, (aᵢR)²) and b = −w·x₀, x₀ uniform in the domain's box (normalised to [−1, 1]^d); a share of
them may be functions with poles behind the boundary instead. Activation, scale R and share are chosen by the smallest residual,
never by the error (`choose_features`). The aspect aᵢ is that of the mesh: the size of its cells shows where the solution is
expected to vary, and features steeper than the cells resolve would escape the tests, so that a small residual would not mean a
small error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from vpinn.domain import Domain, Mesh, sources_behind
from vpinn.domain.sources import LEAST
from vpinn.placement import HOST
from vpinn.trial import Enriched, Features, PatchChart

KINDS = ("sin", "tanh")
"""Activations that are tried."""
SCALES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Scales R that are tried first, in units of one over half the domain's width."""
OSCILLATION = 2.0
"""R of features with a window, in units of one over its radius."""
RISE = 10.0
"""Ratio to the smallest score of a row of scales or shares above which the rest of the row is skipped."""
SHARES = (0.5, 0.75)
"""Shares of functions with poles behind the boundary that are tried besides zero, on meshes."""
SEEN = 1.0
"""Smallest distance of a pole from the boundary, in units of its facet's length, where tests are of degree one.

Functions with nearer poles lower the residual between these tests and not the error.
"""


@dataclass(frozen=True)
class Recipe:
    """How features are drawn.

    Attributes:
        kind: name of the activation.
        scale: R > 0, in units of one over half the domain's width.
        share: share of functions with poles behind the boundary, 0 to 1.
        patches: centre and radius of the window of each feature that has one [count][d + 1].
    """

    kind: str
    scale: float
    share: float = 0.0
    patches: tuple[tuple[float, ...], ...] = ()

    def features(self, base: Enriched, width: int, domain: Domain, degree: int = 0) -> Features:
        """Return a network of ``width`` features per component, with the box, the outputs and the corner functions of ``base``.

        Args:
            base: network of the trial space.
            width: features per component.
            domain: domain of the problem.
            degree: degree of the tests, which limits how near to the boundary poles may be; 0: no tests.
        """
        count, least = round(self.share * width), SEEN if degree == 1 else LEAST
        places = _sources(domain.mesh, count, least) if count and domain.mesh is not None else ()
        width += base.outputs * base.tied
        return Features.restored(base, (base.dimension, width, base.outputs), self.kind, places, self.patches)

    def bolder(self, leap: float, dimension: int) -> tuple[Recipe, ...]:
        """Return the recipes to try with ``leap`` times as many features: this one, and one with a correspondingly larger R.

        If this one has no poles behind the boundary, a third recipe adds them. Without more features this one alone is returned.

        Args:
            leap: ratio of the numbers of features, > 0.
            dimension: dimension of the domain.
        """
        steeper = replace(self, scale=self.scale * max(1.0, leap) ** (1 / dimension))
        if leap <= 1.0:
            return (self,)
        return (self, steeper) if self.share else (self, steeper, replace(steeper, share=SHARES[0]))

    def draw(self, network: Features, domain: Domain, generator: torch.Generator) -> Tensor:
        """Return parameters [size] with random features and a last layer of zeros."""
        (d, h, _), theta = network.layers, torch.zeros(network.size, dtype=torch.float64, device=HOST)
        aspect = torch.from_numpy(domain.aspect)
        weight = torch.randn(h, d, generator=generator, dtype=torch.float64, device=HOST)
        center = 2 * torch.rand(h, d, generator=generator, dtype=torch.float64, device=HOST) - 1
        for chart, part in network.parts:
            weight[part] *= OSCILLATION if isinstance(chart, PatchChart) else self.scale * aspect
            if isinstance(chart, PatchChart):
                chart.place(weight[part], center[part])
        (first, bias), _ = network.unpack(theta)
        first.copy_(weight)
        bias.copy_(-(weight * center).sum(1))
        return theta


def choose_features(
    score: Callable[[Recipe], float],
    shares: Iterable[float] = (),
    start: Recipe | None = None,
    enough: Callable[[Recipe], bool] = lambda recipe: False,
) -> Recipe:
    """Return the recipe with the smallest score among those tried: first activations and scales, then shares, then finer scales.

    Scores are assumed to rise on both sides of the best scale and of the best share; nothing beyond a clear rise is tried.

    Args:
        score: function to minimise.
        shares: shares to try besides zero, in ascending order.
        start: best recipe of a similar trial space, from which the search starts; None: all activations and scales are tried.
        enough: whether a recipe with a known score is so good that no other needs to be tried.
    """
    scores: dict[Recipe, float] = {}

    def best(recipes: Iterable[Recipe]) -> Recipe:
        """Return the best recipe so far after trying one more row until its scores have clearly risen."""
        least = math.inf
        for recipe in recipes:
            if any(map(enough, scores)):
                break
            scores[recipe] = score(recipe)
            if scores[recipe] > RISE * least:
                break
            least = min(least, scores[recipe])
        return min(scores, key=lambda recipe: scores[recipe])

    if start is None:
        for kind in KINDS:
            found = best(Recipe(kind, scale) for scale in SCALES)
    else:
        best(replace(start, kind=kind) for kind in KINDS)
        found = best(replace(start, scale=start.scale * factor) for factor in (2.0, 0.5))
    found = best(replace(found, share=share) for share in (0.0, *shares))
    return best(replace(found, scale=found.scale * factor) for factor in (math.sqrt(2), 1 / math.sqrt(2)))


@lru_cache(maxsize=16)
def _sources(mesh: Mesh, count: int, least: float) -> tuple[tuple[float, ...], ...]:
    """Return the poles, cached because all recipes share them."""
    return tuple(map(tuple, sources_behind(mesh, count, least=least).tolist()))
