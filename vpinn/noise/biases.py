"""Item 5 on a problem: squares of sampled residuals, a batch used for two loops, normalisation over a batch."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from vpinn.noise import bias
from vpinn.noise.contributions import FLOPS
from vpinn.noise.draws import Array, drawer, estimate, mean_and_error, samplers_for
from vpinn.noise.finding import Finding
from vpinn.noise.gradients import chunks, streams
from vpinn.noise.population import Population, kept, population
from vpinn.optimization.spectrum import Product

SINGLE = 2_000
"""Points whose squares tell the bias of a squared residual."""
SHORT = 0.03
"""Inner step of a meta-gradient, in units of the largest curvature's inverse."""
NUDGE = 1e-4
"""Length of the difference that a derivative of a variance is taken from, relative to the parameters'."""


def reuse(
    people: Population, product: Product, stiffest: float, size: int, count: int, generator: np.random.Generator
) -> Finding:
    """Measure the bias of the meta-gradient (1 − αH_B)∇J_B(θ − αg_B) by the batch B's being used twice, along ∇J.

    Held against −α times the derivative of tr Cov(g_b). The noise of g_B and of H_B by themselves has mean zero and is taken off.

    Args:
        people: all points.
        product: with the Hessian there.
        stiffest: largest curvature there, > 0.
        size: points of the batch.
        count: batches.
        generator: of the draws.
    """
    objective, theta, rate = people.objective, people.theta, SHORT / stiffest
    direction = torch.from_numpy(people.gradient / math.sqrt(people.square))
    step, seed = NUDGE * float(theta.norm()), int(generator.integers(2**31))
    made = samplers_for(objective, "uniform", size)

    def variance(place: torch.Tensor) -> float:
        there = population(objective, place, generator, 0)
        if people.quadratic is not None:  # the same signs on both sides
            there = kept(there, np.random.default_rng(seed), FLOPS / 8)
        return float(there.variances(made).sum())

    slope = (variance(theta + step * direction) - variance(theta - step * direction)) / (2 * step)
    gradient, bend, nudge = torch.from_numpy(people.gradient), product(direction), 1e-5 * float(theta.norm()) * direction
    draw, samples = drawer(made, generator), np.empty(count)
    for k in range(count):
        closure = estimate(objective, draw)
        before = closure(theta)[1]
        bent = (closure(theta + nudge)[1] - closure(theta - nudge)[1]) / (2 * float(nudge.norm()))
        chain, place = direction - rate * bent, theta - rate * before
        biased = chain @ (closure(place)[1] - objective.gradient(place)[1]) - direction @ (before - gradient)
        samples[k] = float(biased + rate * (bend @ (before - gradient) + (bent - bend) @ gradient))
    return Finding(
        5,
        f"a batch of {size} used for both loops: bias of the meta-gradient along the gradient",
        float(bias.reused_batch(rate, slope)),
        *mean_and_error(samples),
        "the step is too long for the first order of α",
    )


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
    last hidden layer whose values over the points are nearest to that; their own mean is what the batches are held against.
    """
    measure, found = people.objective.measures[0], []
    with torch.no_grad():
        for k, _, chunk, points in chunks(people.objective):
            if k == 0:
                found.append(streams(chunk.network, people.theta, points.x, ((),)).inputs[-1][0])
    units = torch.cat(found).numpy()
    spread = units.std(0)
    units = units[:, spread > 1e-6 * spread.max()]
    fourth = (((units - units.mean(0)) / units.std(0)) ** 4).mean(0) / 3.0
    unit = int(np.abs(fourth - 1.0).argmin())
    drawn = units[generator.integers(measure.points.size, size=(count, size)), unit]
    square = drawn.var(1)
    scaled: Array = (drawn - drawn.mean(1, keepdims=True)) / np.sqrt(np.maximum(square, 1e-300))[:, None]
    seen = (scaled**4).mean(1) / 3.0
    value, error = mean_and_error(seen)
    factor = float(bias.normalised_correction(size))
    far = f"the values are not Gaussian: their mean fourth power is {3.0 * float(fourth[unit]):.2g}, not 3"
    return [
        Finding(
            5,
            f"batch normalisation of a hidden unit over {size} points: bias of ∂/∂γ, over its mean",
            float(bias.normalised(size, 1.0, 1.0 / 3.0)),
            value / float(fourth[unit]) - 1.0,
            error / float(fourth[unit]),
            far,
        ),
        Finding(
            5,
            f"the same times (m + 1)/(m − 1), over the mean at m = {size}",
            1.0,
            factor * value / float(fourth[unit]),
            factor * error / float(fourth[unit]),
            far,
        ),
    ]
