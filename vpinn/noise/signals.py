"""Items 3, 6 and 10 on a problem: noise scale, progress of one step, steps of Adam, and clipping of gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vpinn.noise import bias, rates
from vpinn.noise import variance as theory
from vpinn.noise.draws import RARE, Array, drawer, mean_and_error, samplers_for
from vpinn.noise.falls import Bend, Falls
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.population import ALONG, CHUNK, OFF, Population
from vpinn.noise.questions import OpenSamples, Question
from vpinn.optimization import Adam, Closure
from vpinn.placement import HOST, host
from vpinn.sampling import Sampler

SETTLING, SETTLED, WALKS = 0.25, 64, 8
"""Share of Adam's steps that is discarded until its mean square has settled; initial number of steps; number of replicas.

The spread of the replicas gives the standard error of the mean step.
"""
DOMINATED = 0.3
"""Ratio of a gradient's mean to its root mean square up to which noise dominates; the law ∝ √b is then accurate to 5 %."""
ISOTROPIC = 0.1
"""Relative difference up to which the noise scales with and without weighting by curvature count as equal."""
UNEQUAL = 0.25
"""Standard deviation of gradient norms over their mean up to which norms count as equal."""
EXPONENTIAL = 0.2
"""Difference from 1, the value of an exponential distribution, that this ratio may have for norms to count as exponential."""
RESAMPLES = 200
"""Number of bootstrap resamples, from which the error of the best threshold is estimated (Efron 1979)."""


def scale(people: Population, uniform: dict[int, OpenSamples]) -> Question:
    """Compare the noise scale of all points with that from gradient norms at two batch sizes (McCandlish et al. 2018, A.1)."""
    small, large = sorted(uniform)[-2 if people.batches == 2 else 0], max(uniform)  # see `RARE` for products of small batches
    inverse = [people.variance(samplers_for(people.objective, "uniform", size)) / people.trace for size in (small, large)]

    def rows() -> list[Finding]:
        (a, da), (b, db) = (mean_and_error(_squares(people, uniform[size])) for size in (small, large))
        trace, square = (a - b) / (inverse[0] - inverse[1]), (inverse[0] * b - inverse[1] * a) / (inverse[0] - inverse[1])
        value = trace / square if square > 0 else math.nan
        wrong = math.hypot(inverse[0] * db, inverse[1] * da) / (inverse[0] - inverse[1])
        error = value * math.hypot(math.hypot(da, db) / abs(a - b), wrong / abs(square))
        doubt = RARE if people.batches == 2 else ""
        if square <= 0:
            doubt = "the norm of the gradient drowns in noise at these sizes"
        return [
            Finding(
                3,
                f"noise scale S, from gradient norms at b = {small} and {large}",
                theory.noise_scale(people.trace, people.square),
                value,
                error,
                doubt,
            )
        ]

    return Question((uniform[small], uniform[large]), rows)


def _squares(people: Population, seen: OpenSamples) -> Array:
    """Return the squared norms ‖ĝ‖² [n] of sampled gradients."""
    return np.asarray(seen.values[:, OFF] + 2.0 * seen.values[:, ALONG] - people.square)


def progress(
    people: Population, bend: Bend, uniform: dict[int, OpenSamples], generator: np.random.Generator
) -> tuple[list[Question], float]:
    """Compare the decrease of J by one step of the best size with theory, for every batch size: items 3 and 6.

    Args:
        people: Statistics over all points.
        bend: Curvatures at the same parameters.
        uniform: Samples of uniform draws by batch size.
        generator: Generator of further draws.

    Returns:
        Questions on progress and best step, with the curve of progress over b, relative to a full-gradient step; and the noise
        scale weighted by curvature tr(HΣ)/gᵀHg, which replaces tr Σ/‖g‖² if the Hessian H is far from a multiple of the identity.
    """
    if bend.along <= 0:
        silent = Finding(
            3, "progress of one step", math.nan, math.nan, reason="the curvature along the gradient is not positive here"
        )
        return [Question((), lambda: [silent])], math.nan
    weighted = max(bend.shaken, 0.0) / bend.along
    isotropic, full = theory.noise_scale(people.trace, people.square), 0.5 * people.square**2 / bend.along
    x, noise, falls = [], [], []
    for size, many in sorted(uniform.items()):
        made = samplers_for(people.objective, "uniform", size)
        x.append(people.trace / people.variance(made))
        noise.append(bend.noise(people, made))
        rate = people.square / bend.along * theory.progress(1.0, noise[-1])
        falls.append(Falls.by(people, bend, size, rate, (1.0, 2.0), generator, many))
    sizes, k = np.array(x), len(x) // 2
    predicted = float(theory.progress(1.0, noise[k]))

    def rows() -> list[Finding]:
        (measured, *_), (error, *_) = (found / full for found in falls[k].fallen())
        outside = falls[k].curved(predicted * full)
        same = f"theory assumes H ∝ identity; tr(HΣ)/gᵀHg is {weighted / isotropic:.2f} times tr Σ/‖g‖²"
        return [
            Finding(
                3,
                f"progress of one step at b = {x[k]:.0f}, over the full gradient's; S/b = {noise[k]:.2g} weighted by curvature",
                predicted,
                float(measured),
                float(error),
                outside=outside,
            ),
            Finding(
                3,
                f"progress of one step at b = {x[k]:.0f}, over the full gradient's; S = tr Σ/‖g‖² = {isotropic:.0f}",
                float(theory.progress(x[k], isotropic)),
                float(measured),
                float(error),
                outside=outside or (same if abs(weighted - isotropic) > ISOTROPIC * isotropic else ""),
            ),
            Finding(6, f"best step at b = {x[k]:.0f}, quadratic J, over η₁/(1 + S/b)", 1.0, *falls[k].vertex(), outside=outside),
        ]

    def curves() -> dict[str, Curve]:
        measured, errors = np.array([[found[0] / full for found in one.fallen()] for one in falls]).T
        lines = {
            "1/(1 + S/b), S = tr(HΣ)/gᵀHg": np.array([theory.progress(1.0, one) for one in noise]),
            "1/(1 + S/b), S = tr Σ/‖g‖²": theory.progress(sizes, isotropic),
        }
        return {"progress": Curve(sizes, measured, errors, lines)}

    shown = tuple(one for fall in falls for one in (fall.few, fall.many))
    return [Question((falls[k].few, falls[k].many), rows), Question(shown, list, curves)], weighted


def adam(people: Population, sizes: Sequence[int], generator: np.random.Generator) -> list[Question]:
    """Compare the mean step of Adam with μ/(√(μ² + σ²/b) + ε), averaged over parameters: item 6.

    Gradients are always drawn at the same θ; Adam's steps are recorded but not taken. Several replicas run with independent
    gradients, because Adam's mean square averages over a thousand steps, so that steps of one replica are correlated.

    Args:
        people: Statistics over all points.
        sizes: Batch sizes, ascending.
        generator: Generator of the draws.

    Returns:
        Questions, with the curve over b of the mean of Adam's steps along −sign ∇J, in units of the learning rate.
    """
    made = [samplers_for(people.objective, "uniform", size) for size in sizes]
    x = np.array([float(sum(sampler.size for sampler in one)) for one in made])
    variances = [people.variances(one) for one in made]
    predicted = [float(np.abs(rates.adam_drift(people.gradient, v, Adam().epsilon)).mean()) for v in variances]
    signal = float(np.abs(rates.adam_drift(people.gradient, variances[-1], 0.0)).mean())
    walks = [OpenSamples(_walks_of_adam(people, one, generator), WALKS * people.cost(one), SETTLED) for one in made]
    why = RARE if people.batches == 2 else "rare large gradients raise mean square and step together"
    loud = f"theory assumes dominant noise; the mean is {signal:.0%} of the root mean square of the larger batch's gradients"

    def stepped(k: int) -> tuple[float, float]:
        return mean_and_error(walks[k].values[int(SETTLING * len(walks[k].values)) :].mean(0))

    def row(k: int) -> list[Finding]:
        named = f"Adam's mean step over η at b = {x[k]:.0f}: mean of |μ|/(√(μ² + σ²/b) + ε)"
        return [Finding(6, named, predicted[k], *stepped(k), why)]

    def growth() -> list[Finding]:
        (small, wrong), (large, far) = stepped(0), stepped(-1)
        return [
            Finding(
                6,
                f"Adam's step at b = {x[-1]:.0f} over that at {x[0]:.0f}: √(b/b₀) where noise dominates",
                float(rates.square_root(1.0, x[-1], x[0])),
                large / small,
                large / small * math.hypot(wrong / small, far / large),
                outside=loud if signal > DOMINATED else "",
            )
        ]

    def curves() -> dict[str, Curve]:
        measured, errors = np.array([stepped(k) for k in range(len(x))]).T
        lines = {
            "mean of ∣μ∣/(√(μ² + σ²/b) + ε)": np.array(predicted),
            "∝ √b": np.asarray(rates.square_root(float(measured[0]), x, x[0])),
        }
        return {"adam": Curve(x, measured, errors, lines)}

    return [
        *(Question((walk,), partial(row, k)) for k, walk in enumerate(walks)),
        Question((walks[0], walks[-1]), growth),
        Question(tuple(walks), list, curves),
    ]


def _walks_of_adam(people: Population, made: Sequence[Sampler], generator: np.random.Generator) -> Callable[[int], Array]:
    """Return a function from a number of steps to −Δθ·sign(∇J)/size of further steps of all replicas [count, WALKS].

    Steps are in units of the learning rate.
    """
    method = Adam()
    sign = torch.from_numpy(np.sign(people.gradient))
    size = len(people.gradient)
    theta, draw = torch.zeros(WALKS, size, dtype=torch.float64, device=HOST), drawer(made, generator)
    state = method.initial(theta)

    def walk(count: int) -> Array:
        nonlocal state
        seen, at_once = np.empty((count, WALKS)), CHUNK // WALKS
        for start in range(0, count, at_once):
            few = min(at_once, count - start)
            gradients = torch.from_numpy(people.repeat(draw, few * WALKS).gradients).view(few, WALKS, size)
            for k, rows in enumerate(gradients):
                new, state, _ = method.step(theta, state, Closure(partial(_found, rows)), 1.0, False)
                seen[start + k] = -host(new @ sign) / size
        return seen

    return walk


def _found(gradient: Tensor, theta: Tensor) -> tuple[float, Tensor]:
    return 0.0, gradient


def clipping(people: Population, seen: OpenSamples, size: int) -> Question:
    """Compare the mean-squared error of clipped batch gradients, and its best threshold, with theory: item 10."""
    variance = people.variance(samplers_for(people.objective, "uniform", size))
    length, usual = math.sqrt(people.square), math.sqrt(people.square + variance)
    thresholds = np.geomspace(0.1, 4.0, 60) * usual
    gaussian = bias.clipped_gaussian(thresholds, people.square, variance)
    exponential = bias.clipped_exponential(thresholds, length)[2]
    nearest = int(np.abs(thresholds - bias.best_threshold(people.square, variance)).argmin())
    rest = 1.0 - thresholds[nearest] / usual

    def errors() -> tuple[Array, Array]:
        norms = np.sqrt(_squares(people, seen))
        factor = np.minimum(1.0, thresholds[:, None] / norms)  # [thresholds, draws]
        return norms, factor**2 * norms**2 - 2 * factor * seen.values[:, ALONG] + people.square

    def rows() -> list[Finding]:
        norms, off = errors()
        best = int(off.mean(1).argmin())
        vary = float(norms.std(ddof=1) / norms.mean())
        unequal = f"theory assumes equal norms, all clipped by {rest:.1%}; these norms vary by {vary:.1%}"
        equal = unequal if vary > min(rest, UNEQUAL) else ""
        magnitudes = f"theory assumes exponential norms, which vary by 100 % of their mean; these norms vary by {vary:.0%}"
        least = thresholds[_resampled(off).argmin(1)]
        apart = thresholds[best] * math.log(thresholds[1] / thresholds[0])
        wrong = math.hypot(float(least.std(ddof=1)), apart / math.sqrt(12.0)) / length
        return [
            Finding(
                10,
                f"clipping at ‖g‖/√(1 + S/b), b = {size}: mean-squared error",
                float(gaussian[nearest]),
                *mean_and_error(off[nearest]),
                outside=equal,
            ),
            Finding(
                10,
                "best clipping threshold over ‖g‖: equal norms in many dimensions",
                bias.best_threshold(people.square, variance) / length,
                thresholds[best] / length,
                wrong,
                tolerance=0.2,
                outside=equal,
            ),
            Finding(
                10,
                "best clipping threshold over ‖g‖: exponential norms",
                1.0,
                thresholds[best] / length,
                wrong,
                tolerance=0.2,
                outside=magnitudes if abs(vary - 1.0) > EXPONENTIAL else "",
            ),
        ]

    def curves() -> dict[str, Curve]:
        norms, off = errors()
        lines = {"equal norms in many dimensions": gaussian, "exponential magnitudes": exponential}
        return {"clipping": Curve(thresholds, off.mean(1), off.std(1, ddof=1) / math.sqrt(len(norms)), lines)}

    return Question((seen,), rows, curves)


def _resampled(samples: Array) -> Array:
    """Return the means [`RESAMPLES`, k] of bootstrap resamples of samples [k, n]."""
    n = samples.shape[1]
    counts = np.random.default_rng(0).multinomial(n, np.full(n, 1.0 / n), size=RESAMPLES)
    return np.asarray(counts @ samples.T / n)
