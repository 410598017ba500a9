"""Item 5 on a problem: biases of squared residuals, of a batch that is used in two loops, and of batch normalisation.

Each function returns a `Question` that holds a measured bias against its closed form in `vpinn.noise.bias`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from vpinn.noise import bias
from vpinn.noise.contributions import FLOPS, Contributions
from vpinn.noise.draws import Array, drawer, estimate, mean_and_error, samplers_for, step_cost
from vpinn.noise.finding import Finding
from vpinn.noise.gradients import chunks, streams
from vpinn.noise.population import CHUNK, Population, kept, population
from vpinn.noise.questions import OpenSamples, Question
from vpinn.objective import Objective
from vpinn.optimization.spectrum import Product
from vpinn.placement import host, wide
from vpinn.sampling import Sampler

NORMAL = 0.02
"""Kolmogorov distance from the normal distribution up to which values count as Gaussian, dimensionless."""
SINGLE = 2_000
"""Number of points from which tr Σ_r, and hence the predicted bias of a squared residual, is estimated."""
SHORT = 0.03
"""Inner step of a meta-gradient times the largest curvature, dimensionless."""
PROBED, DERIVED, NORMALISED = 16, 500, 20_000
"""Initial numbers of samples: meta-gradients through the network; batches for derivatives and squares; normalised batches."""
PARTS = 4
"""Number of independent sets of random signs, from whose spread the error of a derivative of a variance is estimated."""
NUDGE = 1e-4
"""Half step of central differences of variances, relative to the norm of the parameters."""


@dataclass(frozen=True)
class InnerStep:
    """The inner step of a meta-gradient, a plain one along the gradient of a batch.

    Attributes:
        size: Points of the batch.
        stiffest: Largest curvature, > 0, which bounds the length of the step.
        factor: Whether the meta-gradient has the factor 1 − αH_B of this step; first-order MAML leaves it out.
    """

    size: int
    stiffest: float
    factor: bool = True

    @property
    def rate(self) -> float:
        """Step size α."""
        return SHORT / self.stiffest


def reuse(people: Population, product: Product, inner: InnerStep, generator: np.random.Generator) -> Question:
    """Measure the bias, along ∇J, of the meta-gradient (1 − αH_B)∇J_B(θ − αg_B) that uses the batch B twice.

    The prediction is −α times the derivative of tr Cov(g_b) along ∇J, and half of that without the factor 1 − αH_B, as in
    first-order MAML. To first order in α the bias is −α, or half of it, times the mean derivative of ‖g_B − ∇J‖². Rare batches
    make most of this mean, so it is measured with many batches, from stored contributions. The remainder of higher order is
    measured with few batches through the network.

    Args:
        people: Statistics over all points.
        product: Product with the Hessian at the same parameters.
        inner: The inner step.
        generator: Generator of the draws.
    """
    objective = people.objective
    theta = people.theta
    size, rate = inner.size, inner.rate
    share = 1.0 if inner.factor else 0.5
    direction = torch.from_numpy(people.gradient / math.sqrt(people.square))
    step, made = NUDGE * float(theta.norm()), samplers_for(objective, "uniform", size)
    there = [population(objective, theta + sign * step * direction, generator, 0) for sign in (1, -1)]
    slopes = []
    for seed in generator.integers(2**31, size=1 if people.quadratic is None else PARTS).tolist():  # same signs at both places
        ahead, behind = (
            one if people.quadratic is None else kept(one, np.random.default_rng(seed), FLOPS / (2 * PARTS)) for one in there
        )
        slopes.append((float(ahead.variances(made).sum()) - float(behind.variances(made).sum())) / (2 * step))
    slope, wrong = mean_and_error(np.array(slopes)) if len(slopes) > 1 else (slopes[0], 0.0)
    predicted = share * float(bias.reused_batch(rate, slope))
    first = _first_order(objective, [one.theta for one in there], step, made, generator)
    cost = 6.0 * step_cost(objective, people.batches * size, people.batches) + objective.size
    rest = OpenSamples(_meta(people, product, inner, made, generator), cost, PROBED)
    named = "meta-gradient" if inner.factor else "meta-gradient without the factor 1 − αH"

    def rows() -> list[Finding]:
        if first is None:
            value, error = mean_and_error(rest.values.sum(1))
        else:
            value, error = mean_and_error(-share * rate * first.values[:, 0])
            added, spread = mean_and_error(rest.values[:, 1])
            value, error = value + added, math.hypot(error, spread)
        return [
            Finding(
                5,
                f"batch of {size} used in inner and outer step: bias of the {named} along the gradient",
                predicted,
                value,
                math.hypot(error, share * rate * wrong),
                "the inner step is too long for a theory of first order in α",
            )
        ]

    return Question((rest,) if first is None else (first, rest), rows)


def _first_order(
    objective: Objective, places: Sequence[Tensor], step: float, made: Sequence[Sampler], generator: np.random.Generator
) -> OpenSamples | None:
    """Return samples of the derivative of ‖g_B − ∇J‖², as differences between two places 2·``step`` apart with equal batches.

    None if there are too many points to store their contributions.
    """
    found = [Contributions.at(objective, place) for place in places]
    if found[0] is None or found[1] is None:
        return None
    ahead, behind = found[0], found[1]
    gradients = [host(wide(objective.gradient(place)[1])) for place in places]

    def derivative(count: int) -> Array:
        parts = []
        for start in range(0, count, CHUNK):
            seed = int(generator.integers(2**31))
            few = min(CHUNK, count - start)
            squares = []
            for one, gradient in zip((ahead, behind), gradients, strict=True):
                drawn = one.repeat(drawer(made, np.random.default_rng(seed)), few).gradients
                squares.append(((drawn - gradient) ** 2).sum(1))
            parts.append((squares[0] - squares[1])[:, None] / (2.0 * step))
        return np.concatenate(parts)

    return OpenSamples(derivative, ahead.cost + behind.cost, DERIVED)


def _meta(
    people: Population, product: Product, inner: InnerStep, made: Sequence[Sampler], generator: np.random.Generator
) -> Callable[[int], Array]:
    """Return a function that samples the bias of the meta-gradient along ∇J: the part of first order in α, and the remainder.

    Terms that are linear in the noise of g_B or of H_B have mean zero; they are subtracted from every sample to lower its
    variance.
    """
    objective, theta = people.objective, people.theta
    rate, factor = inner.rate, inner.factor
    gradient = torch.from_numpy(people.gradient)
    direction = gradient / gradient.norm()
    bend, nudge = product(direction), 1e-5 * float(theta.norm()) * direction
    draw = drawer(made, generator)

    def biased(count: int) -> Array:
        samples = np.empty((count, 2))
        for k in range(count):
            closure = estimate(objective, draw)
            before = closure(theta)[1]
            bent = (closure(theta + nudge)[1] - closure(theta - nudge)[1]) / (2 * float(nudge.norm()))
            chain, place = direction - (rate * bent if factor else 0.0), theta - rate * before
            off = chain @ (closure(place)[1] - objective.gradient(place)[1]) - direction @ (before - gradient)
            linear = (bent - bend) @ gradient + (bend @ (before - gradient) if factor else 0.0)
            whole = float(off + rate * linear)
            samples[k, 0] = -(2.0 if factor else 1.0) * rate * float((bent - bend) @ (before - gradient))
            samples[k, 1] = whole - samples[k, 0]
        return samples

    return biased


def squares(people: Population, size: int, generator: np.random.Generator) -> Question:
    """Measure the bias of ½‖r̂‖² with one batch, against ½ tr Σ_r/b summed over the measures of a weak form: item 5."""
    if people.objective.test_space is None or people.kept is None:
        linear = "an energy or strong form squares no mean over a batch"
        reason = linear if people.objective.test_space is None else "there are too many points to store their contributions"
        silent = Finding(5, "bias of a squared residual", math.nan, math.nan, reason=reason)
        return Question((), lambda: [silent])
    made, one = samplers_for(people.objective, "uniform", size), replace(people.kept, batches=1)
    predicted, wrong = 0.0, 0.0
    for part, sampler in zip(one.parts, made, strict=True):
        alone, n = replace(one, parts=(part,)), sampler.points
        chosen = generator.choice(n, min(n, SINGLE), replace=False)
        points = [[(index, np.array([float(n)]))] for index in chosen[:, None]]
        squared = alone.estimates(points)[0] - n * host(part.losses[chosen])  # ½‖Nrᵢ‖²
        whole = alone.estimates([[(np.arange(n), np.ones(n))]])[0][0] - float(part.losses.sum())
        value, error = mean_and_error(squared)
        predicted += float(bias.squared_residual(2.0 * (value - whole), float(sampler.size)))
        wrong = math.hypot(wrong, error / sampler.size * math.sqrt(1.0 - len(chosen) / n))
    draw, exact = drawer(made, generator), people.objective.value(people.theta)
    seen = OpenSamples(lambda count: one.repeat(draw, count).losses[:, None] - exact, one.cost, DERIVED)

    def rows() -> list[Finding]:
        value, error = mean_and_error(seen.values[:, 0])
        return [Finding(5, f"bias of ½‖r̂‖², b = {size}: ½ tr Σ_r/b", predicted, value, math.hypot(error, wrong))]

    return Question((seen,), rows)


def batch_normalisation(people: Population, size: int, generator: np.random.Generator) -> Question:
    """Measure the bias of batch normalisation on the values of a hidden unit of the network, over batches of points.

    The gradient of (γx̂)⁴/12 by γ at γ = 1 is x̂⁴/3, whose mean is 1 for Gaussian values that are normalised over all points. The
    unit is that of the last hidden layer whose values over all points are closest to Gaussian (Kolmogorov distance). Means over
    batches are compared with the mean of x̂⁴/3 of this unit over all points.

    Args:
        people: Statistics over all points, for the network and its parameters.
        size: Points per batch, ≥ 2.
        generator: Generator of the batches.
    """
    measure, found = people.objective.measures[0], []
    with torch.no_grad():
        for k, _, chunk, points in chunks(people.objective):
            if k == 0:
                found.append(streams(chunk.network, people.theta, points.x, ((),)).inputs[-1][0])
    units = host(torch.cat(found))
    spread = units.std(0)
    units = units[:, spread > 1e-6 * spread.max()]
    units = (units - units.mean(0)) / units.std(0)
    fourth, apart = (units**4).mean(0) / 3.0, from_normal(units)
    unit = int(apart.argmin())
    own, factor = float(fourth[unit]), float(bias.normalised_correction(size))

    def normalised(count: int) -> Array:
        drawn = units[generator.integers(measure.points.size, size=(count, size)), unit]
        deviation = np.sqrt(np.maximum(drawn.var(1), 1e-300))[:, None]
        scaled: Array = (drawn - drawn.mean(1, keepdims=True)) / deviation
        return np.asarray((scaled**4).mean(1, keepdims=True) / (3.0 * own))

    seen = OpenSamples(normalised, 0.2, NORMALISED)
    far = f"theory assumes Gaussian values; their distribution is off by {apart[unit]:.2f}" if apart[unit] > NORMAL else ""

    def rows() -> list[Finding]:
        value, error = mean_and_error(seen.values[:, 0])
        named = f"batch normalisation of a hidden unit over m = {size} points: bias of ∂/∂γ, over its mean"
        again = f"∂/∂γ of that batch normalisation times (m + 1)/(m − 1), over its mean at m = {size}"
        return [
            Finding(5, named, float(bias.normalised(size, 1.0, 1.0 / 3.0)), value - 1.0, error, outside=far),
            Finding(5, again, 1.0, factor * value, factor * error, outside=far),
        ]

    return Question((seen,), rows)


def from_normal(values: Array) -> Array:
    """Return the Kolmogorov distance [k] between the distributions of values [n, k], of mean 0 and variance 1, and N(0, 1)."""
    n, normal = len(values), ndtr(np.sort(values, axis=0))
    above, below = np.arange(1, n + 1)[:, None] / n - normal, normal - np.arange(n)[:, None] / n
    return np.asarray(np.maximum(above, below).max(0))
