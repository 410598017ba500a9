"""Measured decrease of J over all points by single steps along mini-batch gradients, with variance reduction.

J at the new place is expensive, since it is a sum over all points. The decrease of a parabola with known curvatures costs next to
nothing, and serves as a control variate. Start from `Bend.at` (curvatures) and `Falls.by` (steps).
"""

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
"""Bound on the share of tr(HΣ) in directions whose curvature is not computed, if none exceeds the largest curvature found."""
BEYOND = 0.1
"""Share of the decrease that may be due to orders above the second if J counts as quadratic."""
FEWEST, LOOKED = 16, 128
"""Initial numbers of steps whose decrease of J is evaluated, and of gradients for the mean decrease of the parabola."""


@dataclass(frozen=True)
class Bend:
    """Curvature of J along ∇J and along the leading directions of the gradient noise; H is the Hessian of J.

    Attributes:
        along: Curvature ∇JᵀH∇J along the gradient.
        shaken: tr(HΣ), with the covariance Σ of single-point gradients.
        matrix: VᵀHV for the m leading directions V of Σ [m, m].
        quadratic: Second-order part of tr(HΣ) for two-batch estimates [measures, measures], see ``Contributions.products``; None
            for estimates from one batch.
    """

    along: float
    shaken: float
    matrix: Array
    quadratic: Array | None = None

    @classmethod
    def at(cls, people: Population, product: Product, generator: np.random.Generator) -> Bend:
        """Compute the curvature along ∇J and along leading directions of Σ, until the others are negligible (`LEFT_OUT`).

        Args:
            people: Statistics over all points.
            product: Product with the Hessian at the same parameters.
            generator: Generator of the random signs in ``Contributions.products``.
        """
        g = torch.from_numpy(people.gradient)
        total = 0.0
        top = 0.0
        left = people.trace
        images = list[Array]()
        for s, v in zip(people.spread, people.directions.T, strict=True):
            images.append(host(product(torch.from_numpy(v.copy()))))
            bend = float(v @ images[-1])
            total = total + s * bend
            top = max(top, abs(bend))
            left = left - s
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
        """Return tr(H Cov)/∇JᵀH∇J for uniform draws, which is S/b with the noise scale S = tr(HΣ)/∇JᵀH∇J."""
        shares = np.array([1.0 / sampler.size for sampler in samplers])
        linear = float(shares @ people.traces) / people.batches / people.trace * self.shaken
        added = 0.0 if self.quadratic is None else float(shares @ self.quadratic @ shares)
        return max(linear + added, 0.0) / self.along


@dataclass(frozen=True)
class Falls:
    """Decrease of J by single steps along mini-batch gradients, estimated with a control variate.

    The control variate is the decrease of a parabola with the curvatures ``Bend.matrix``. Its mean is estimated from many
    gradients, without evaluating J; the mean of the difference to the decrease of J is estimated from few steps.

    Attributes:
        people: Statistics over all points.
        bend: Curvatures at the same parameters.
        rate: Step size η > 0.
        factors: Lengths of the steps, in units of η.
        few: Samples with J evaluated: decrease for each factor, ĝ·∇J, and Vᵀĝ [n, factors + 1 + m].
        many: Samples of gradients only, see ``Population.seen``.
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
        """Prepare steps with uniform draws of ``size`` points; ``many`` are samples of such gradients, if there are any."""
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
        """Return the two parts of the decrease [n, factors] whose means add up to the mean decrease.

        The first is the decrease minus the weighted control variate, from few steps. The second is the weighted control variate,
        from many gradients.
        """
        m, count = len(self.bend.matrix), len(self.factors)
        few, many = self.few.values, self.many.values
        start = self.people.directions[:, :m].T @ self.people.gradient
        near = self._parabola(few[:, count], few[:, count + 1 :])
        far = self._parabola(many[:, ALONG], many[:, LED : LED + m] + start)
        weight = np.array([_weight(few[:, k], near[:, k]) for k in range(count)])
        return few[:, :count] - weight * near, weight * far

    def fallen(self) -> tuple[Array, Array]:
        """Return the mean decrease of J for each factor, and its standard error [factors]."""
        few, many = self.told()
        (a, da), (b, db) = ((x.mean(0), x.std(0, ddof=1) / math.sqrt(len(x))) for x in (few, many))
        return a + b, np.hypot(da, db)

    def each(self) -> Array:
        """Return the decrease by each of the few steps with the first factor [n], with its variance reduced."""
        few, many = self.told()
        return np.asarray(few[:, 0] + np.array([part.mean() for part in np.array_split(many[:, 0], len(few))]))

    def bent(self) -> tuple[float, float]:
        """Return the part of the mean decrease that is due to orders above the second, and its standard error.

        It is for the first of two factors. In a decrease aη − bη² − cη³ the slope a is known, so that steps of two lengths
        determine b and c.
        """
        values, (one, two) = self.few.values, self.factors
        linear = self.rate * values[:, 2]
        curved = ((one * linear - values[:, 0]) / one**2, (two * linear - values[:, 1]) / two**2)
        value, error = mean_and_error((curved[1] - curved[0]) / (two - one) * one**3)
        return -value, error

    def curved(self, predicted: float) -> str:
        """Return a text that says how much higher orders change the predicted decrease; "" if J counts as quadratic."""
        beyond, unsure = self.bent()
        if abs(beyond) <= max(BEYOND * predicted, CONFIDENCE * unsure):
            return ""
        return f"theory assumes a quadratic J; higher orders change the decrease of this step by {beyond / predicted:+.0%}"

    def vertex(self) -> tuple[float, float]:
        """Return the best step size of the quadratic part, in units of η, and its standard error; the factors must be 1 and 2."""
        return vertex(self.rate * self.people.square, *self.told())

    def _parabola(self, along: Array, led: Array) -> Array:
        """Return the decrease of the parabola [n, factors] by steps along gradients with ĝ·∇J [n] and Vᵀĝ [n, m]."""
        square = np.einsum("nm,mk,nk->n", led, self.bend.matrix, led)
        steps = self.rate * np.array(self.factors)
        return np.asarray(along[:, None] * steps - 0.5 * square[:, None] * steps**2)


def vertex(slope: float, few: Array, many: Array) -> tuple[float, float]:
    """Return the best step a/(2b) from the mean decreases at − bt² − ct³ by steps t = 1 and 2, and its standard error.

    The slope a is known, so that c, which moves the largest decrease by 1.5c/b of the step, is separated from b. The standard
    error is computed from the influence of every sample on b (delta method).

    Args:
        slope: Slope a > 0: η‖∇J‖², since gradients are unbiased.
        few: First part of the decreases by steps 1 and 2 [n, 2], see ``Falls.told``.
        many: Second part, from other samples [N, 2].
    """
    parts = [mean_and_error(0.25 * x[:, 1] - 2.0 * x[:, 0]) for x in (few, many)]
    bend = float(1.5 * slope + sum(mean for mean, _ in parts))
    best = 0.5 * slope / bend
    return best, abs(best / bend) * math.hypot(*(error for _, error in parts))


def decreases(people: Population, gradients: Array, rate: float, factors: Sequence[float] = (1.0,)) -> Array:
    """Return the decrease of J over all points [n, factors] by steps of rate·factor along each of the gradients [n, size]."""
    start = people.objective.value(people.theta)
    rows = torch.from_numpy(gradients)
    return np.array([[start - people.objective.value(people.theta - f * rate * row) for f in factors] for row in rows])


def _weight(values: Array, known: Array) -> float:
    """Return the multiple, 0 to 1, of a control variate [n] whose difference from the values [n] has the least variance."""
    spread = float(known.var())
    return float(np.clip(((values - values.mean()) * (known - known.mean())).mean() / spread, 0.0, 1.0)) if spread > 0.0 else 0.0
