"""How random features are drawn: their kind, scale, and the share with poles behind the boundary.

Features σ(w·x + b) with wᵢ ~ N(0, (aᵢR)²) and b = −w·x₀, x₀ uniform in the domain's box (normalised to [−1, 1]^d); a share of
them may be functions with poles behind the boundary instead. Kind, scale R and share are those that make the residual
smallest, never the error. The aspect aᵢ is that of the mesh: its cells say where a solution is expected to vary, and what is
steeper than they are escapes the tests. On a strip 20 × 1 of square cells 400 features of one slope for all directions of the
box fit the residual of sin(2x + 0.3 sin x) sin(πy) eʸ and are 1e4 from the solution; with the aspect, 6e-6.
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
"""Feature functions that are tried."""
SCALES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Coarse grid of R, in units of one over half the domain's width."""
OSCILLATION = 2.0
"""R of features with a window, in units of one over its radius."""
RISE = 10.0
"""Factor above the smallest score of a row of scales or shares at which the rest of the row is passed over."""
SHARES = (0.5, 0.75)
"""Shares of functions with poles behind the boundary that are tried beside none, on meshes."""
SEEN = 1.0
"""Smallest distance of a pole from the boundary, in units of its facet's length, where tests are of degree one. Nearer ones fit
the residual between these, and not the solution: 1,600 features, half of them with poles, are 2.2e-4 from finite elements on a
gear of 14,192 cells where poles may be as near as a quarter, and 6.6e-5 where they keep one."""


@dataclass(frozen=True)
class Recipe:
    """How features are drawn.

    Attributes:
        kind: name of their activation.
        scale: R > 0.
        share: of the features that are functions with poles behind the boundary, 0 to 1.
        patches: centre and radius of the windows of features that have one [count][d + 1].
    """

    kind: str
    scale: float
    share: float = 0.0
    patches: tuple[tuple[float, ...], ...] = ()

    def features(self, base: Enriched, width: int, domain: Domain, degree: int = 0) -> Features:
        """Return ``width`` features per component on the box and outputs of a network, beside its functions of corners.

        The ``degree`` of the tests tells how near to the boundary poles may be; 0 stands for no tests.
        """
        count, least = round(self.share * width), SEEN if degree == 1 else LEAST
        places = _sources(domain.mesh, count, least) if count and domain.mesh is not None else ()
        width += base.outputs * base.tied
        return Features.restored(base, (base.dimension, width, base.outputs), self.kind, places, self.patches)

    def bolder(self, leap: float, dimension: int) -> tuple[Recipe, ...]:
        """Return the recipes to try with ``leap`` times the features: this one, and R larger by the leap in every direction.

        Where it has no poles behind the boundary, one with these, too; without a leap, this one alone.
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
    """Return the recipe with the smallest score of those tried: kinds and scales first, then shares, then scales between.

    Scores rise on both sides of the best scale, and of the best share, so what lies beyond a clear rise is not tried.

    Args:
        score: what to minimise.
        shares: to try beside none, in rising order.
        start: the best recipe of a trial space much like this one, which the search then begins from; None to look at all.
        enough: whether a recipe with a score is so good that no other needs to be tried.
    """
    scores: dict[Recipe, float] = {}

    def best(recipes: Iterable[Recipe]) -> Recipe:
        """Return the best recipe so far, after those of one more family until its scores have clearly risen."""
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
    """Return poles, found once for all recipes."""
    return tuple(map(tuple, sources_behind(mesh, count, least=least).tolist()))
