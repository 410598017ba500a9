"""Networks of one hidden layer with random features, whose units take the coordinates of different charts as input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from vpinn.errors import InputError
from vpinn.trial.charts import BoxChart, Chart, PatchChart, SourceChart
from vpinn.trial.corner_chart import CornerChart, CornerFunction
from vpinn.trial.enrichment import Enriched
from vpinn.trial.graph import through_graph
from vpinn.trial.network import FEW, Derivative, Jets, Pullback

BYTES = 4_000_000
"""Memory in bytes for the features of the points that are evaluated together; small enough for the processor's caches."""
HIGHEST_ORDER = 4
"""Highest order of derivatives that features of the box have; features of other charts have derivatives up to order two."""
LEAST = 64
"""Smallest number of points that are evaluated together."""


@dataclass(frozen=True)
class Features(Enriched):
    """A network with one hidden layer of random features, whose last layer is found by least squares.

    Attributes:
        charts: the charts in the order of the hidden layer, each with its number of features; () for the box alone.
    """

    charts: tuple[tuple[Chart, int], ...] = ()

    @classmethod
    def restored(
        cls,
        base: Enriched,
        layers: Sequence[int],
        activation: str,
        sources: Sequence[Sequence[float]],
        patches: Sequence[Sequence[float]] = (),
    ) -> Features:
        """Return features from the arrays of a run folder.

        Args:
            base: network with the box, the enrich coefficients and the corner functions.
            layers: widths from inputs to outputs.
            activation: name in ``ACTIVATIONS``.
            sources: poles outside the domain [count][d], in units of the mesh.
            patches: centre and radius of the windows [count][d + 1], in units of the mesh.
        """
        corners = base.corners if isinstance(base, Features) else ()
        cornered = CornerChart(corners) if corners else None
        width = layers[1] - len(patches) - len(sources) - (cornered.count if cornered else 0)
        charts: tuple[tuple[Chart, int], ...] = ((BoxChart(base.lower, base.upper), width),)
        if patches:
            charts += ((PatchChart(base.lower, base.upper, tuple(map(tuple, patches))), len(patches)),)
        if sources:
            charts += ((SourceChart(tuple(map(tuple, sources))), len(sources)),)
        if cornered:
            charts += ((cornered, cornered.count),)
        return cls(tuple(layers), activation, base.lower, base.upper, base.extra, charts)

    @property
    def sources(self) -> tuple[tuple[float, ...], ...]:
        """Poles of all features that have one [count][d], in units of the mesh."""
        return tuple(place for chart, _ in self.charts if isinstance(chart, SourceChart) for place in chart.places)

    @property
    def patches(self) -> tuple[tuple[float, ...], ...]:
        """Centre and radius of all windows [count][d + 1], in units of the mesh."""
        return tuple(one for chart, _ in self.charts if isinstance(chart, PatchChart) for one in chart.patches)

    @property
    def corners(self) -> tuple[CornerFunction, ...]:
        """Corner functions, which are the last features; each gives one feature per component."""
        return tuple(one for chart, _ in self.charts if isinstance(chart, CornerChart) for one in chart.functions)

    @property
    def tied(self) -> int:
        """Number of corner functions, each of which has one coefficient for all components."""
        return len(self.corners)

    @property
    def parts(self) -> tuple[tuple[Chart, slice], ...]:
        """Charts, each with the positions of its features in the hidden layer."""
        parts, at = [], 0
        for chart, count in self.charts or ((BoxChart(self.lower, self.upper), self.layers[1]),):
            parts.append((chart, slice(at, at + count)))
            at += count
        return tuple(parts)

    def features(self, theta: Tensor, x: Tensor, wanted: Iterable[Derivative]) -> dict[Derivative, Tensor]:
        """Return the features and their derivatives, chart by chart; arguments and result as of ``Network.features``.

        Derivatives of order three and four exist if all features are those of the box, because its map is affine.

        Raises:
            InputError: the features have no derivatives of the wanted order.
        """
        wanted = list(wanted)
        pairs, higher = [p for p in wanted if len(p) == 2], [p for p in wanted if len(p) > 2]
        weight, bias = self.unpack(theta)[0]
        n, d = x.shape
        keys: list[Derivative] = [(), *((i,) for i in range(d)), *pairs]
        result = {key: x.new_empty(n, self.layers[1]) for key in [*keys, *higher]}
        here = self.restore(x)
        for chart, part in self.parts:
            if higher and (type(chart) is not BoxChart or max(map(len, higher)) > HIGHEST_ORDER):
                raise InputError(f"features have derivatives up to order {HIGHEST_ORDER}, with windows or poles up to 2")
            w, jets = weight[part].T, chart.jets(here, pairs)
            if chart.plain:
                for key in keys:
                    result[key][:, part] = jets[key]
                continue
            window = chart.window(here) if isinstance(chart, PatchChart) else None
            a = torch.addmm(bias[part], jets[()], w)
            slopes = [jets[i,] @ w for i in range(d)]
            z = self.sigma.value(a.clone())
            t = self.sigma.slope(a, z)
            result[()][:, part] = z
            for i, slope in enumerate(slopes):
                result[i,][:, part] = t * slope
            c = self.sigma.curvature(a, z, t) if pairs else t
            for i, j in pairs:
                bent = c * slopes[i] * slopes[j]
                result[i, j][:, part] = torch.addcmul(bent, t, jets[i, j] @ w) if (i, j) in jets else bent
            for key in higher:
                derivative = self.sigma.third(a, z, t) if len(key) == 3 else self.sigma.fourth(a, z, t)
                result[key][:, part] = derivative * torch.stack([slopes[i] for i in key]).prod(0)
            if window is not None:
                _seen_through(window, {key: values[:, part] for key, values in result.items()})
        return result

    def restore(self, x: Tensor) -> Tensor:
        """Return normalised coordinates [n, d] in units of the mesh."""
        lower, upper = x.new_tensor(self.lower), x.new_tensor(self.upper)
        return (x * (upper - lower) + (lower + upper)) / 2

    def jets(self, theta: Tensor, x: Tensor, wanted: Iterable[Derivative]) -> Jets:
        """Return the components, linear combinations of the features, and the enrich coefficients; see ``Enriched.jets``."""
        wanted = list(wanted)
        together = max(LEAST, BYTES // (8 * self.layers[1])) * FEW // max(FEW, len(wanted))
        if len(x) > together:
            parts = [self.jets(theta, part, wanted) for part in torch.split(x, together)]
            return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        weight, bias = self.unpack(theta)[-1]
        if not weight.requires_grad and not weight.any():
            keys: list[Derivative] = [(), *((i,) for i in range(x.shape[1])), *(p for p in wanted if len(p) > 1)]
            flat = {(c, key): x.new_zeros(len(x)) for key in keys for c in range(self.outputs)}
            return flat | {(c, ()): bias[c].expand(len(x)) for c in range(self.outputs)} | self.numbers(theta, x)
        result: Jets = {}
        for derivative, values in self.features(theta, x, wanted).items():
            rows = values @ weight.T if derivative else torch.addmm(bias, values, weight.T)
            result |= {(c, derivative): rows[:, c] for c in range(self.outputs)}
        return result | self.numbers(theta, x)

    def record(self, theta: Tensor, x: Tensor, wanted: Iterable[Derivative]) -> tuple[Jets, Pullback]:
        """Return the jets and their pullback, which goes through the graph of autograd."""
        leaf = theta.detach().requires_grad_()
        with torch.enable_grad():
            recorded = self.jets(leaf, x, wanted)
        return {key: value.detach() for key, value in recorded.items()}, partial(through_graph, leaf, recorded)


def _seen_through(window: tuple[Tensor, list[Tensor], Tensor], jets: dict[Derivative, Tensor]) -> None:
    """Multiply features and their derivatives [n, count] by windows g, in place.

    With l = ∂ ln g the product rule reads ∂(gz) = g(∂z + lz), and alike for second derivatives.
    """
    g, slopes, bend = window
    value = jets[()]
    for key in jets:
        if len(key) == 2:
            i, j = key
            jets[key].addcmul_(jets[i,], slopes[j]).addcmul_(jets[j,], slopes[i]).addcmul_(value, slopes[i] * slopes[j])
            if i == j:
                jets[key].addcmul_(value, bend)
    for i, slope in enumerate(slopes):
        jets[i,].addcmul_(value, slope)
    for values in jets.values():
        values.mul_(g)
