"""By how much single steps along batches' gradients lower J over all points, with what is known of it taken off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vpinn.noise.contributions import Contributions
from vpinn.noise.draws import Array, drawer, mean_and_error, samplers_for, step_cost
from vpinn.noise.finding import CONFIDENCE
from vpinn.noise.population import ALONG, LED, Population
from vpinn.noise.questions import OpenSamples
from vpinn.optimization.spectrum import Product
from vpinn.placement import host
from vpinn.sampling import Sampler

LEFT_OUT = 0.03
"""Share of tr(HΣ) at most that directions not looked at may add, at the largest curvature seen."""
BEYOND = 0.1
"""Share of the decrease that may be due to orders beyond the second where J counts as a parabola."""
FEWEST, LOOKED = 16, 128
"""Steps tried at first, and gradients whose steps are told from a few curvatures."""


@dataclass(frozen=True)
class Bend:
    """Curvature along ∇J and along leading directions of the noise.

    Attributes:
        along: ∇JᵀH∇J.
        shaken: tr(HΣ).
        matrix: VᵀHV of the first directions V [m, m].
        quadratic: what two batches add to tr(HΣ) [measures, measures], see ``Contributions.products``; None if nothing.
    """

    along: float
    shaken: float
    matrix: Array
    quadratic: Array | None = None

    @classmethod
    def at(cls, people: Population, product: Product, generator: np.random.Generator) -> Bend:
        """Look along as many leading directions of Σ as leave next to nothing to the others.

        Args:
            people: all points.
            product: with the Hessian there.
            generator: of the signs that tell what two batches add.
        """
        g = torch.from_numpy(people.gradient)
        total, top, left, images = 0.0, 0.0, people.trace, list[Array]()
        for s, v in zip(people.spread, people.directions.T, strict=True):
            images.append(host(product(torch.from_numpy(v.copy()))))
            bend = float(v @ images[-1])
            total, top, left = total + s * bend, max(top, abs(bend)), left - s
            if left * top <= LEFT_OUT * abs(total):
                break
        directions = people.directions[:, : len(images)]
        matrix = directions.T @ np.array(images).T
        matrix, added = 0.5 * (matrix + matrix.T), None
        if people.quadratic is not None:
            values, vectors = np.linalg.eigh(matrix)
            found = Contributions.at(people.objective, people.theta, directions @ vectors)
            squares = None if found is None else found.products(generator)
            added = None if squares is None else squares[..., :-1] @ values
        return cls(float(g @ product(g)), total, matrix, added)

    def noise(self, people: Population, samplers: Sequence[Sampler]) -> float:
        """Return tr(H Cov)/∇JᵀH∇J of uniform draws, S/b where S = tr(HΣ)/∇JᵀH∇J."""
        shares = np.array([1.0 / sampler.size for sampler in samplers])
        linear = float(shares @ people.traces) / people.batches / people.trace * self.shaken
        added = 0.0 if self.quadratic is None else float(shares @ self.quadratic @ shares)
        return max(linear + added, 0.0) / self.along


@dataclass(frozen=True)
class Falls:
    """Steps of one length along the gradients of batches.

    A step's fall of J is compared with that of a parabola with the curvatures ``Bend.matrix``. Many gradients, which need no
    further look at J, tell the mean of the latter, and few steps tell the mean of the difference (a control variate).

    Attributes:
        people: all points.
        bend: curvatures.
        rate: η > 0.
        factors: of the steps over η.
        few: falls by steps of each factor, the gradients' ĝ·∇J, and Vᵀĝ [n, factors + 1 + m].
        many: see ``Population.seen``.
    """

    people: Population
    bend: Bend
    rate: float
    factors: tuple[float, ...]
    few: OpenSamples
    many: OpenSamples

    @classmethod
    def by(
        cls,
        people: Population,
        bend: Bend,
        size: int,
        rate: float,
        factors: tuple[float, ...],
        generator: np.random.Generator,
        many: OpenSamples | None = None,
    ) -> Falls:
        """Take steps by uniform draws of ``size`` points; ``many`` are others of the same kind, made here by default."""
        made = samplers_for(people.objective, "uniform", size)
        draw, directions = drawer(made, generator), people.directions[:, : len(bend.matrix)]

        def fallen(count: int) -> Array:
            gradients = people.repeat(draw, count).gradients
            falls = decreases(people, gradients, rate, factors)
            return np.column_stack([falls, gradients @ people.gradient, gradients @ directions])

        cost = people.cost(made) + len(factors) * step_cost(people.objective, people.objective.size / 3.0)
        told = people.seen(made, drawer(made, generator), LOOKED) if many is None else many
        return cls(people, bend, rate, factors, OpenSamples(fallen, cost, FEWEST), told)

    def told(self) -> tuple[Array, Array]:
        """Return falls of the few steps less their control variates', and those of the many [n, factors], each with its mean."""
        m, count = len(self.bend.matrix), len(self.factors)
        few, many = self.few.values, self.many.values
        start = self.people.directions[:, :m].T @ self.people.gradient
        near = self._parabola(few[:, count], few[:, count + 1 :])
        far = self._parabola(many[:, ALONG], many[:, LED : LED + m] + start)
        weight = np.array([_weight(few[:, k], near[:, k]) for k in range(count)])
        return few[:, :count] - weight * near, weight * far

    def fallen(self) -> tuple[Array, Array]:
        """Return mean falls and their standard errors [factors]."""
        few, many = self.told()
        (a, da), (b, db) = ((x.mean(0), x.std(0, ddof=1) / math.sqrt(len(x))) for x in (few, many))
        return a + b, np.hypot(da, db)

    def each(self) -> Array:
        """Return falls by the first factor of every one of the few steps [n], with the noise that is known taken off."""
        few, many = self.told()
        return np.asarray(few[:, 0] + np.array([part.mean() for part in np.array_split(many[:, 0], len(few))]))

    def bent(self) -> tuple[float, float]:
        """Return what orders beyond the second add to the mean fall by the first factor, and the standard error; 2 factors.

        Of a fall aη − bη² − cη³ the part aη is known, and steps of two lengths tell b and c apart.
        """
        values, (one, two) = self.few.values, self.factors
        linear = self.rate * values[:, 2]
        curved = ((one * linear - values[:, 0]) / one**2, (two * linear - values[:, 1]) / two**2)
        value, error = mean_and_error((curved[1] - curved[0]) / (two - one) * one**3)
        return -value, error

    def curved(self, predicted: float) -> str:
        """Return by how much J is no parabola over a step, relative to the fall predicted; "" where it hardly is none."""
        beyond, unsure = self.bent()
        if abs(beyond) <= max(BEYOND * predicted, CONFIDENCE * unsure):
            return ""
        return f"it takes J as a parabola: higher orders change the decrease of this step by {beyond / predicted:+.0%}"

    def vertex(self) -> tuple[float, float]:
        """Return the best step in units of η, and its standard error; factors 1, 2."""
        return vertex(*self.told())

    def _parabola(self, along: Array, led: Array) -> Array:
        """Return falls [n, factors] of a parabola by steps along gradients with ĝ·∇J [n] and Vᵀĝ [n, m]."""
        square = np.einsum("nm,mk,nk->n", led, self.bend.matrix, led)
        steps = self.rate * np.array(self.factors)
        return np.asarray(along[:, None] * steps - 0.5 * square[:, None] * steps**2)


def vertex(few: Array, many: Array) -> tuple[float, float]:
    """Return where the parabola through mean falls of steps 0, 1 and 2 is largest, and the standard error.

    The error is that of the mean of every sample's influence on it.

    Args:
        few: part of the falls by steps 1 and 2 [n, 2].
        many: the other part, whose mean is told by other samples [N, 2].
    """
    one, two = few.mean(0) + many.mean(0)
    width = 4.0 * one - 2.0 * two
    error = math.hypot(*(mean_and_error((4.0 * one * x[:, 1] - 4.0 * two * x[:, 0]) / width**2)[1] for x in (few, many)))
    return float((4.0 * one - two) / width), error


def decreases(people: Population, gradients: Array, rate: float, factors: Sequence[float] = (1.0,)) -> Array:
    """Return by how much steps along some gradients [n, size], of one rate times some factors, decrease J: [n, factors]."""
    start = people.objective.value(people.theta)
    rows = torch.from_numpy(gradients)
    return np.array([[start - people.objective.value(people.theta - f * rate * row) for f in factors] for row in rows])


def _weight(values: Array, known: Array) -> float:
    """Return the multiple of what is known that leaves least variance, 0 to 1."""
    spread = float(known.var())
    return float(np.clip(((values - values.mean()) * (known - known.mean())).mean() / spread, 0.0, 1.0)) if spread > 0.0 else 0.0
