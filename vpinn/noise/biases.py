"""Item 5 on a problem: squares of sampled residuals, a batch used for two loops, normalisation over a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from vpinn.noise import bias
from vpinn.noise.contributions import FLOPS, Contributions
from vpinn.noise.draws import Array, drawer, estimate, mean_and_error, samplers_for
from vpinn.noise.finding import Finding
from vpinn.noise.gradients import chunks, streams
from vpinn.noise.population import Population, kept, population
from vpinn.objective import Objective
from vpinn.optimization.spectrum import Product
from vpinn.sampling import Sampler

NORMAL = 0.05
"""Distance of a distribution from the normal one up to which values count as Gaussian."""
SINGLE = 2_000
"""Points whose squares tell the bias of a squared residual."""
SHORT = 0.03
"""Inner step of a meta-gradient, in units of the largest curvature's inverse."""
PARTS = 4
"""Parts of the signs that tell how well a derivative of a variance is known."""
NUDGE = 1e-4
"""Length of the difference that a derivative of a variance is taken from, relative to the parameters'."""


def reuse(
    people: Population,
    product: Product,
    stiffest: float,
    size: int,
    counts: tuple[int, int],
    generator: np.random.Generator,
) -> Finding:
    """Measure the bias of the meta-gradient (1 − αH_B)∇J_B(θ − αg_B) by the batch B's being used twice, along ∇J.

    Held against −α times the derivative of tr Cov(g_b). To first order in α the bias is −α of the mean derivative of
    ‖g_B − ∇J‖², which few batches make most of: it is told by many of them, from what points contribute, and the rest of the
    meta-gradient by a few through the network.

    Args:
        people: all points.
        product: with the Hessian there.
        stiffest: largest curvature there, > 0.
        size: points of the batch.
        counts: batches that tell the first order, and those that tell the rest.
        generator: of the draws.
    """
    objective, theta, rate = people.objective, people.theta, SHORT / stiffest
    direction = torch.from_numpy(people.gradient / math.sqrt(people.square))
    step, made = NUDGE * float(theta.norm()), samplers_for(objective, "uniform", size)
    places = [theta + sign * step * direction for sign in (1, -1)]
    parts = 1 if people.quadratic is None else PARTS
    slopes = []
    there = [population(objective, place, generator, 0) for place in places]
    for seed in generator.integers(2**31, size=parts).tolist():  # the same signs on both sides
        ahead, behind = (
            one if people.quadratic is None else kept(one, np.random.default_rng(seed), FLOPS / (2 * PARTS)) for one in there
        )
        slopes.append((float(ahead.variances(made).sum()) - float(behind.variances(made).sum())) / (2 * step))
    slope, wrong = mean_and_error(np.array(slopes)) if parts > 1 else (slopes[0], 0.0)
    predicted = float(bias.reused_batch(rate, slope))
    first = _first_order(objective, places, step, made, counts[0], generator)
    rest = _meta(people, product, rate, made, counts[1], generator)
    if first is None:
        value, error = mean_and_error(rest.sum(0))
    else:
        (value, error), (added, spread) = mean_and_error(-rate * first), mean_and_error(rest[1])
        value, error = value + added, math.hypot(error, spread)
    return Finding(
        5,
        f"a batch of {size} used for both loops: bias of the meta-gradient along the gradient",
        predicted,
        value,
        math.hypot(error, rate * wrong),
        "the step is too long for the first order of α",
    )


def _first_order(
    objective: Objective,
    places: Sequence[Tensor],
    step: float,
    made: Sequence[Sampler],
    count: int,
    generator: np.random.Generator,
) -> Array | None:
    """Return the derivative of ‖g_B − ∇J‖² [count] by the same batches at two places 2·``step`` apart.

    None where there are too many points to keep what they contribute.
    """
    seed, squares = int(generator.integers(2**31)), []
    for place in places:
        found = Contributions.at(objective, place)
        if found is None:
            return None
        gradient = objective.gradient(place)[1].double().numpy()
        drawn = found.repeat(drawer(made, np.random.default_rng(seed)), count).gradients
        squares.append(((drawn - gradient) ** 2).sum(1))
    return np.asarray((squares[0] - squares[1]) / (2.0 * step))


def _meta(
    people: Population, product: Product, rate: float, made: Sequence[Sampler], count: int, generator: np.random.Generator
) -> Array:
    """Return the bias of the meta-gradient along ∇J by single batches [2, count]: to first order in α, and the rest.

    The noise of g_B and of H_B by themselves has mean zero and is taken off.
    """
    objective, theta = people.objective, people.theta
    gradient = torch.from_numpy(people.gradient)
    direction = gradient / gradient.norm()
    bend, nudge = product(direction), 1e-5 * float(theta.norm()) * direction
    draw, samples = drawer(made, generator), np.empty((2, count))
    for k in range(count):
        closure = estimate(objective, draw)
        before = closure(theta)[1]
        bent = (closure(theta + nudge)[1] - closure(theta - nudge)[1]) / (2 * float(nudge.norm()))
        chain, place = direction - rate * bent, theta - rate * before
        biased = chain @ (closure(place)[1] - objective.gradient(place)[1]) - direction @ (before - gradient)
        whole = float(biased + rate * (bend @ (before - gradient) + (bent - bend) @ gradient))
        samples[0, k] = -2.0 * rate * float((bent - bend) @ (before - gradient))
        samples[1, k] = whole - samples[0, k]
    return samples


def squares(people: Population, size: int, count: int, generator: np.random.Generator) -> list[Finding]:
    """Measure the bias of ½‖r̂‖² by one batch against ½ Σ tr Σ_r/b over the measures of a weak form: item 5."""
    if people.objective.test_space is None or people.kept is None:
        linear = "an energy or strong form squares nothing that is sampled"
        reason = linear if people.objective.test_space is None else "there are too many points to keep what they contribute"
        return [Finding(5, "bias of a squared residual", math.nan, math.nan, reason=reason)]
    made, one = samplers_for(people.objective, "uniform", size), replace(people.kept, batches=1)
    predicted, wrong = 0.0, 0.0
    for part, sampler in zip(one.parts, made, strict=True):
        alone, n = replace(one, parts=(part,)), sampler.points
        chosen = generator.choice(n, min(n, SINGLE), replace=False)
        points = [[(index, np.array([float(n)]))] for index in chosen[:, None]]
        squared = alone.estimates(points)[0] - n * part.losses[chosen].numpy()  # ½‖Nrᵢ‖²
        whole = alone.estimates([[(np.arange(n), np.ones(n))]])[0][0] - float(part.losses.sum())
        value, error = mean_and_error(squared)
        predicted += float(bias.squared_residual(2.0 * (value - whole), float(sampler.size)))
        wrong = math.hypot(wrong, error / sampler.size * math.sqrt(1.0 - len(chosen) / n))
    value, error = mean_and_error(one.repeat(drawer(made, generator), count).losses - people.objective.value(people.theta))
    return [Finding(5, f"bias of ½‖r̂‖², b = {size}: ½ tr Σ_r/b", predicted, value, math.hypot(error, wrong))]


def batch_normalisation(people: Population, size: int, count: int, generator: np.random.Generator) -> list[Finding]:
    """Normalise a hidden unit's values over batches of points, as batch normalisation would, and see its bias.

    The gradient of (γx̂)⁴/12 by γ at γ = 1 is x̂⁴/3, 1 on average over a population of Gaussian values. The unit is the one of the
    last hidden layer whose distribution over the points is nearest to a normal one (Kolmogorov's distance); its own mean fourth
    power is what the batches are held against.
    """
    measure, found = people.objective.measures[0], []
    with torch.no_grad():
        for k, _, chunk, points in chunks(people.objective):
            if k == 0:
                found.append(streams(chunk.network, people.theta, points.x, ((),)).inputs[-1][0])
    units = torch.cat(found).numpy()
    spread = units.std(0)
    units = units[:, spread > 1e-6 * spread.max()]
    units = (units - units.mean(0)) / units.std(0)
    fourth, apart = (units**4).mean(0) / 3.0, from_normal(units)
    unit = int(apart.argmin())
    drawn = units[generator.integers(measure.points.size, size=(count, size)), unit]
    square = drawn.var(1)
    scaled: Array = (drawn - drawn.mean(1, keepdims=True)) / np.sqrt(np.maximum(square, 1e-300))[:, None]
    seen = (scaled**4).mean(1) / 3.0
    value, error = mean_and_error(seen)
    factor = float(bias.normalised_correction(size))
    far = f"it takes Gaussian values, and their distribution is up to {apart[unit]:.2f} off" if apart[unit] > NORMAL else ""
    return [
        Finding(
            5,
            f"batch normalisation of a hidden unit over {size} points: bias of ∂/∂γ, over its mean",
            float(bias.normalised(size, 1.0, 1.0 / 3.0)),
            value / float(fourth[unit]) - 1.0,
            error / float(fourth[unit]),
            outside=far,
        ),
        Finding(
            5,
            f"the same times (m + 1)/(m − 1), over the mean at m = {size}",
            1.0,
            factor * value / float(fourth[unit]),
            factor * error / float(fourth[unit]),
            outside=far,
        ),
    ]


def from_normal(values: Array) -> Array:
    """Return Kolmogorov's distance [k] of the distributions of values [n, k], of mean 0 and deviation 1, from the normal one."""
    n, normal = len(values), ndtr(np.sort(values, axis=0))
    above, below = np.arange(1, n + 1)[:, None] / n - normal, normal - np.arange(n)[:, None] / n
    return np.asarray(np.maximum(above, below).max(0))
