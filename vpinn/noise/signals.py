"""Items 3, 6 and 10 on a problem: noise scale and progress, the steps of Adam, clipping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vpinn.noise import bias, rates
from vpinn.noise import variance as theory
from vpinn.noise.draws import RARE, Array, Draws, mean_and_error, samplers_for
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.population import Population
from vpinn.optimization import Adam, Closure
from vpinn.optimization.spectrum import Product

LEFT_OUT = 0.03
"""Share of tr(HΣ) at most that directions not looked at may add, at the largest curvature seen."""
SETTLING, WALKS = 0.25, 6
"""Share of Adam's steps in which its mean square settles, and walks that tell how well its mean step is known."""
DOMINATED = 0.3
"""Mean of a gradient over its root mean square up to which noise dominates: √b is then right to a twentieth."""
ISOTROPIC = 0.1
"""By how much, relative to it, the noise scale weighted by curvature may be off the one without."""
EXPONENTIAL = 0.2
"""By how much the spread of norms over their mean may be off one, that of exponential ones."""
RESAMPLES = 200
"""Times that draws are drawn again from themselves, to see how well they know where an error is least (Efron 1979)."""


def scale(people: Population, uniform: dict[int, Draws]) -> Finding:
    """Hold the noise scale of all points against that from gradient norms at two batch sizes (McCandlish et al. 2018, A.1)."""
    small, large = min(uniform), max(uniform)
    (a, da), (b, db) = (mean_and_error((uniform[size].gradients ** 2).sum(1)) for size in (small, large))
    inverse = [people.variance(samplers_for(people.objective, "uniform", size)) / people.trace for size in (small, large)]
    trace, square = (a - b) / (inverse[0] - inverse[1]), (inverse[0] * b - inverse[1] * a) / (inverse[0] - inverse[1])
    value = trace / square if square > 0 else math.nan
    error = value * math.hypot(
        math.hypot(da, db) / abs(a - b), math.hypot(inverse[0] * db, inverse[1] * da) / abs(square) / (inverse[0] - inverse[1])
    )
    return Finding(
        3,
        f"noise scale S, from gradient norms at b = {small} and {large}",
        theory.noise_scale(people.trace, people.square),
        value,
        error,
        "the norm of the gradient drowns in noise at these sizes" if square <= 0 else RARE if people.batches == 2 else "",
    )


def progress(people: Population, product: Product, uniform: dict[int, Draws], falls: int) -> tuple[list[Finding], Curve, float]:
    """Measure the decrease of J by one best step at every batch size.

    Args:
        people: all points.
        product: with the Hessian there.
        uniform: draws by batch size.
        falls: steps tried per batch size.

    Returns:
        findings on progress and the best step, progress over b relative to the full gradient's, and S weighted by curvature,
        tr(HΣ)/gᵀHg, which replaces tr Σ/‖g‖² where the Hessian is far from a multiple of the identity.
    """
    g = torch.from_numpy(people.gradient)
    bend = float(g @ product(g))
    if bend <= 0:
        reason = "the curvature along the gradient is not positive here"
        return [Finding(3, "progress of one step", math.nan, math.nan, reason=reason)], Curve(np.empty(0), np.empty(0)), math.nan
    weighted = max(_shaken(people, product), 0.0) / bend
    isotropic = theory.noise_scale(people.trace, people.square)
    full = 0.5 * people.square**2 / bend
    x, measured, errors, best = [], [], [], []
    for size, draws in sorted(uniform.items()):
        effective = people.trace / people.variance(samplers_for(people.objective, "uniform", size))
        rate = people.square / bend * theory.progress(effective, weighted)
        decrease = decreases(people, draws.gradients[:falls], rate, (1.0, 2.0))
        value, error = mean_and_error(decrease[:, 0])
        x.append(effective)
        measured.append(value / full)
        errors.append(error / full)
        best.append(_vertex(*decrease.T))
    sizes = np.array(x)
    lines = {
        "1/(1 + S/b), S = tr(HΣ)/gᵀHg": theory.progress(sizes, weighted),
        "1/(1 + S/b), S = tr Σ/‖g‖²": theory.progress(sizes, isotropic),
    }
    curve = Curve(sizes, np.array(measured), np.array(errors), lines)
    k = len(x) // 2
    curved = "the decrease is not quadratic over a step as long as this"
    rows = [
        Finding(
            3,
            f"progress of one step at b = {x[k]:.0f}, over the full gradient's; S = {weighted:.0f} weighted by curvature",
            float(theory.progress(x[k], weighted)),
            measured[k],
            errors[k],
            curved,
        ),
        Finding(
            3,
            f"the same with S = tr Σ/‖g‖² = {isotropic:.0f}",
            float(theory.progress(x[k], isotropic)),
            measured[k],
            errors[k],
            outside=""
            if abs(weighted - isotropic) <= ISOTROPIC * isotropic
            else f"it takes H as a multiple of the identity: tr(HΣ)/gᵀHg is {weighted / isotropic:.2f} of tr Σ/‖g‖²",
        ),
        Finding(6, f"best step at b = {x[k]:.0f}, over η₁/(1 + S/b)", 1.0, *best[k], curved),
    ]
    return rows, curve, weighted


def decreases(people: Population, gradients: Array, rate: float, factors: Sequence[float] = (1.0,)) -> Array:
    """Return by how much steps along some gradients [n, size], of one rate times some factors, decrease J: [n, factors]."""
    start = people.objective.value(people.theta)
    rows = torch.from_numpy(gradients)
    return np.array([[start - people.objective.value(people.theta - f * rate * row) for f in factors] for row in rows])


def _vertex(one: Array, two: Array) -> tuple[float, float]:
    """Return the best step in units of the first, of the parabola through the mean decreases of none, one and two, and its error.

    The error is that of the mean of every draw's influence on it.
    """
    a, b = float(one.mean()), float(two.mean())
    width = 4.0 * a - 2.0 * b
    influence = (4.0 * a * two - 4.0 * b * one) / width**2
    return (4.0 * a - b) / width, mean_and_error(influence)[1]


def _shaken(people: Population, product: Product) -> float:
    """Return tr(HΣ) by the leading directions of Σ, as many as leave next to nothing to the others."""
    total, top, left = 0.0, 0.0, people.trace
    for s, v in zip(people.spread, people.directions.T, strict=True):
        bend = float(v @ product(torch.from_numpy(v.copy())).numpy())
        total, top, left = total + s * bend, max(top, abs(bend)), left - s
        if left * top <= LEFT_OUT * abs(total):
            break
    return total


def adam(people: Population, uniform: dict[int, Draws]) -> tuple[list[Finding], Curve]:
    """Let Adam take steps with the gradients of batches, and hold its mean step against μ/(√(μ² + σ²/b) + ε) of every weight.

    The steps are looked at where the gradients were drawn: they do not add up. Several walks have gradients of their own: the
    mean square remembers a thousand steps, so that parts of one walk do not tell how well it knows its mean.

    Returns:
        findings, and the mean of Adam's steps along −sign ∇J over the learning rate, by batch size.
    """
    x, measured, errors, predicted, root = [], [], [], [], rates.square_root
    for size, draws in sorted(uniform.items()):
        made = samplers_for(people.objective, "uniform", size)
        variance = people.variances(made)
        predicted.append(float(np.abs(rates.adam_drift(people.gradient, variance, Adam().epsilon)).mean()))
        value, error = mean_and_error(_walks_of_adam(people, draws.gradients))
        x.append(float(sum(sampler.size for sampler in made)))
        measured.append(value)
        errors.append(error)
    signal = float(np.abs(rates.adam_drift(people.gradient, variance, 0.0)).mean())
    sizes = np.array(x)
    curve = Curve(
        sizes,
        np.array(measured),
        np.array(errors),
        {"mean of ∣μ∣/(√(μ² + σ²/b) + ε)": np.array(predicted), "∝ √b": np.asarray(root(measured[0], sizes, sizes[0]))},
    )
    why = RARE if people.batches == 2 else "rare large gradients raise the mean square in the steps in which they raise the mean"
    rows = [
        Finding(6, f"Adam's mean step over η at b = {size:.0f}: mean of |μ|/(√(μ² + σ²/b) + ε)", p, value, error, why)
        for size, p, value, error in zip(x, predicted, measured, errors, strict=True)
    ]
    growth = measured[-1] / measured[0]
    rows.append(
        Finding(
            6,
            f"Adam's step at b = {x[-1]:.0f} over that at {x[0]:.0f}: √(b/b₀) where noise dominates",
            float(root(1.0, x[-1], x[0])),
            growth,
            growth * math.hypot(errors[0] / measured[0], errors[-1] / measured[-1]),
            outside=f"noise does not dominate: the signal is {signal:.0%} of the root mean square of the larger batch's gradients"
            if signal > DOMINATED
            else "",
        )
    )
    return rows, curve


def _walks_of_adam(people: Population, gradients: Array) -> Array:
    """Return −Δθ·sign(∇J)/size over the learning rate, its mean over the steps of every walk [WALKS] once they have settled."""
    steps, size = len(gradients) // WALKS, len(people.gradient)
    method, sign = Adam(), torch.from_numpy(np.sign(people.gradient))
    theta = torch.zeros(WALKS, size, dtype=torch.float64)
    state, moved = method.initial(theta), torch.zeros(WALKS, dtype=torch.float64)
    settled = int(SETTLING * steps)
    for k, rows in enumerate(torch.from_numpy(gradients[: WALKS * steps].reshape(steps, WALKS, size))):
        new, state, _ = method.step(theta, state, Closure(partial(_found, rows)), 1.0, False)
        if k >= settled:
            moved -= new @ sign
    return moved.numpy() / (size * (steps - settled))


def _found(gradient: Tensor, theta: Tensor) -> tuple[float, Tensor]:
    return 0.0, gradient


def clipping(people: Population, draws: Draws, size: int) -> tuple[list[Finding], Curve, float]:
    """Clip a batch's gradients at many thresholds: item 10.

    Returns:
        findings, mean-squared error over thresholds, and the best threshold measured.
    """
    norms = np.linalg.norm(draws.gradients, axis=1)
    along = draws.gradients @ people.gradient
    variance = people.variance(samplers_for(people.objective, "uniform", size))
    length = math.sqrt(people.square)
    thresholds = np.geomspace(0.1, 4.0, 60) * math.sqrt(people.square + variance)
    factor = np.minimum(1.0, thresholds[:, None] / norms)  # [thresholds, draws]
    errors = factor**2 * norms**2 - 2 * factor * along + people.square
    measured = errors.mean(1)
    best = int(measured.argmin())
    gaussian = bias.clipped_gaussian(thresholds, people.square, variance)
    exponential = bias.clipped_exponential(thresholds, length)[2]
    nearest = int(np.abs(thresholds - bias.best_threshold(people.square, variance)).argmin())
    value, error = mean_and_error(errors[nearest])
    least = thresholds[_resampled(errors).argmin(1)]
    apart = thresholds[best] * math.log(thresholds[1] / thresholds[0])
    wrong = math.hypot(float(least.std(ddof=1)), apart / math.sqrt(12.0)) / length
    rest, vary = 1.0 - thresholds[nearest] / math.sqrt(people.square + variance), float(norms.std(ddof=1) / norms.mean())
    equal = f"it takes equal norms, and clips all by {rest:.1%}; these norms vary by {vary:.1%}" if vary > rest else ""
    magnitudes = f"it takes exponential magnitudes, which vary by all of their mean; these norms vary by {vary:.0%} of it"
    rows = [
        Finding(
            10,
            f"clipping at ‖g‖/√(1 + S/b), b = {size}: mean-squared error",
            float(gaussian[nearest]),
            value,
            error,
            outside=equal,
        ),
        Finding(
            10,
            "best threshold over ‖g‖: many dimensions",
            bias.best_threshold(people.square, variance) / length,
            thresholds[best] / length,
            wrong,
            tolerance=0.2,
            outside=equal,
        ),
        Finding(
            10,
            "best threshold over ‖g‖: exponential magnitudes",
            1.0,
            thresholds[best] / length,
            wrong,
            tolerance=0.2,
            outside=magnitudes if abs(vary - 1.0) > EXPONENTIAL else "",
        ),
    ]
    lines = {"equal norms in many dimensions": gaussian, "exponential magnitudes": exponential}
    return rows, Curve(thresholds, measured, errors.std(1, ddof=1) / math.sqrt(len(norms)), lines), float(thresholds[best])


def _resampled(samples: Array) -> Array:
    """Return means [times, k] of draws [k, n] drawn again from themselves."""
    n = samples.shape[1]
    counts = np.random.default_rng(0).multinomial(n, np.full(n, 1.0 / n), size=RESAMPLES)
    return np.asarray(counts @ samples.T / n)
