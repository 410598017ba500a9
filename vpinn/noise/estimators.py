"""Items 1, 2, 4, 13 and 14 on a problem: bias and variance of gradients by sampler, cluster sampling, compressed gradients.

Every function returns questions that compare the variance of drawn batches with closed forms, computed from all points.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from scipy.optimize import brentq
from scipy.special import fdtri, ndtr

from vpinn.errors import InputError
from vpinn.noise import variance as theory
from vpinn.noise.draws import RARE, Array, drawer, mean_and_error, samplers_for
from vpinn.noise.finding import CONFIDENCE, Curve, Finding
from vpinn.noise.population import ALONG, CHUNK, LED, OFF, Population
from vpinn.noise.questions import OpenSamples, Question
from vpinn.optimization.batches import pilots
from vpinn.sampling import ALLOCATIONS, SAMPLERS, Cells, Choice, Sampler, State, make_sampler, shared

WORKERS = 4
"""Number of workers of the simulated data-parallel step."""
KEEP = 0.25
"""Share of the entries that a sparsified gradient keeps."""
ROUNDED, ROUNDING = 0.2, 256
"""Variance due to rounding, relative to that of one worker's gradient, and gradients from which the rounding step is computed."""
BLOCKS, PILOTS = 16, 8
"""Number of strata for the comparison of allocations, and of pilot batches from which their deviations are learned."""
FEWEST, SHOWN = 128, 64
"""Initial number of batches per question, and of batches for curves in figures."""
LED_BY, PER_DIRECTION = 32, 8
"""Largest number of leading directions in which the mean is tested for bias, and smallest number of draws per direction."""
CHANCE = 1.0 - float(ndtr(CONFIDENCE))
"""Probability that the test finds a bias where there is none."""
SAME = 1e-10
"""Variance in a direction relative to the largest one, dimensionless, below which it is rounding."""
QUADRATIC = "the closed form for products of two batches is for uniform draws only"


def samplers(
    people: Population, sizes: list[int], generator: np.random.Generator
) -> tuple[list[Question], dict[int, OpenSamples]]:
    """Draw batches with every sampler at several sizes, to test for bias and to measure the variance: items 1, 2 and 4.

    Args:
        people: Statistics over all points.
        sizes: Batch sizes, ascending; findings are about the middle one, curves about all.
        generator: Generator of the draws.

    Returns:
        Questions, with the curve of the variance over b for each sampler; and the samples of uniform draws by batch size.
    """
    questions, uniform = [], {}
    middle, known = sizes[len(sizes) // 2], points_per_cell(people)
    best = None if known is None else Choice("cells", per_cell=known[0])
    for name in SAMPLERS:
        found: dict[int, tuple[float, float, OpenSamples]] = {}  # points, variance predicted, draws
        for size in sizes:
            with contextlib.suppress(InputError):
                made = samplers_for(people.objective, name, size, best if name == "cells" else None)
                told = FEWEST if size == middle or name == "uniform" else SHOWN
                points = float(sum(s.size for s in made))
                found[size] = points, people.variance(made), people.seen(made, drawer(made, generator), told)
        if name == "uniform":
            uniform = {size: samples for size, (*_, samples) in found.items()}
        if middle in found:
            questions.append(Question((found[middle][-1],), partial(_about, people, name, *found[middle])))
        if found:
            shown = partial(_variances, f"variance: {name}", list(found.values()))
            questions.append(Question(tuple(samples for *_, samples in found.values()), list, shown))
    return questions, uniform


def _variances(name: str, found: Sequence[tuple[float, float, OpenSamples]]) -> dict[str, Curve]:
    """Return the curve of measured and predicted variance over b; ``found`` has points, predicted variance and samples."""
    x, predicted = np.array([[points, variance] for points, variance, _ in found]).T
    measured, errors = np.array([mean_and_error(samples.values[:, OFF]) for *_, samples in found]).T
    return {name: Curve(x, measured, errors, {"closed form": predicted} if np.isfinite(predicted).all() else {})}


def _about(people: Population, name: str, size: float, predicted: float, seen: OpenSamples) -> list[Finding]:
    """Return findings on the bias and the variance of one sampler's draws, with the variance predicted."""
    n = len(seen.values)
    biased = "the square of a residual over one batch is biased" if people.batches == 1 and people.objective.test_space else ""
    along, error_along = mean_and_error(seen.values[:, ALONG] / people.square)
    count, apart, most = offsets(seen.values[:, LED : LED + min(LED_BY, n // PER_DIRECTION)])
    bias = [
        Finding(1, f"{name}, b = {size:.0f}: mean of gradients along ∇J, over ‖∇J‖", 1.0, along, error_along, biased),
        Finding(
            1,
            f"{name}, b = {size:.0f}: offset of the mean of {n} gradients along {count} directions (Hotelling's F)",
            most,
            apart,
            0.0,
            biased or f"chance alone exceeds this bound in one of {1.0 / CHANCE:.0f} cases",
            bound="at most",
        ),
    ]
    item = 4 if name not in ("uniform", "cells") else 2
    reason = QUADRATIC if people.batches == 2 else ""
    value, error = mean_and_error(seen.values[:, OFF])
    return [*bias, Finding(item, f"{name}, b = {size:.0f}: tr Cov of the gradient", predicted, value, error, reason)]


def offsets(off: Array) -> tuple[int, float, float]:
    """Test whether the mean of samples is zero, with Hotelling's F.

    F = (n − k)/(k(n − 1)) n m̄ᵀC⁻¹m̄ with the mean m̄ and the covariance C of the samples; directions may be correlated.

    Args:
        off: Samples minus their expected mean [n, k], n > k.

    Returns:
        Number k of directions in which the samples vary, F, and the quantile that F exceeds with probability ``CHANCE`` if the
        mean is zero.
    """
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(off, rowvar=False)))
    vectors = vectors[:, values > SAME * values[-1]] / np.sqrt(values[values > SAME * values[-1]])
    n, k = len(off), vectors.shape[1]
    square = n * float(((off.mean(0) @ vectors) ** 2).sum())
    return k, (n - k) / (k * (n - 1)) * square, float(fdtri(k, n - k, 1.0 - CHANCE))


def allocations(people: Population, size: int, generator: np.random.Generator) -> list[Question]:
    """Compare the variance of stratified draws with theory for every allocation rule: item 4.

    Strata are a few blocks of cells, whose deviations are first learned from pilot batches.

    Args:
        people: Statistics over all points.
        size: Points per batch.
        generator: Generator of the draws.
    """
    objective, found = people.objective, {}
    reason = QUADRATIC if people.batches == 2 else ""
    questions = []
    for rule in ALLOCATIONS:
        made = samplers_for(objective, "stratified", size, Choice(allocation=rule, count=min(BLOCKS, size // 2)))
        learned: tuple[State, ...] = ()
        for _ in range(PILOTS):
            learned = pilots(objective, made, generator, people.theta, learned)
        found[rule] = people.seen(made, drawer(made, generator, learned), FEWEST)
        predicted = people.variance(shared(made, learned), learned)
        named = f"{BLOCKS} blocks, {rule}, b = {size}: tr Cov of the gradient"
        questions.append(_covariance(4, named, predicted, found[rule], reason))
        if rule == "neyman":
            uniform = people.variance(samplers_for(objective, "uniform", size))
            named = f"{BLOCKS} blocks: variance by Neyman over that of uniform draws"
            questions.append(_covariance(4, named, predicted / uniform, found[rule], reason, uniform))
    return questions


def _covariance(item: int, named: str, predicted: float, seen: OpenSamples, reason: str, over: float = 1.0) -> Question:
    """Return the question whether tr Cov of the gradient, divided by ``over``, equals the prediction."""

    def rows() -> list[Finding]:
        return [Finding(item, named, predicted, *mean_and_error(seen.values[:, OFF] / over), reason)]

    return Question((seen,), rows)


def points_per_cell(people: Population) -> tuple[int, int, float, float] | None:
    """Return the best number A of points per drawn cell, the points q of a cell, and the variances between and within cells.

    The variances σ_b² and σ_w² are summed over the directions of the population; see ``Cells``. None if the domain has no cells
    or one point per cell.
    """
    points = people.objective.measures[0].points
    if points.per_entity < 2 or points.entities < 2:
        return None
    whole = make_sampler("cells", points, points.size)
    if not isinstance(whole, Cells):
        return None
    between, within = (float(v) for v in np.sum([whole.components(column) for column in people.along[0].T], axis=0))
    q = len(whole.curve.local)
    return whole.best(between, within, range(1, q + 1)), q, between, within


def clusters(people: Population, largest: int, generator: np.random.Generator) -> list[Question]:
    """Compare the variance of cluster sampling, A points in each of M drawn cells, with theory.

    Item 13 has A below the number of points per cell. With all points of the drawn cells it is item 2, where the correlation ρ of
    points in a cell enters.

    Args:
        people: Statistics over all points.
        largest: Points of the largest batch, for draws of whole cells.
        generator: Generator of the draws.
    """
    objective, points = people.objective, people.objective.measures[0].points
    known = points_per_cell(people)
    if known is None:
        silent = Finding(13, "points in cells", math.nan, math.nan, reason="the points have no cells")
        return [Question((), lambda: [silent])]
    _, q, between, within = known
    others = samplers_for(objective, "uniform", max(2, min(points.size, 64)))[1:]
    total = between + within
    rho = (between / total - 1.0 / q) / (1.0 - 1.0 / q) if total > 0 else 0.0
    questions = []
    for m, a in ((8, min(q, 8)), (32, 2), (max(1, largest // q), q)):
        if m * a > points.size:
            continue
        made = (make_sampler("cells", points, m * a, Choice("cells", per_cell=a)), *others)
        quantity = f"{m} cells × {a} points: tr Cov of the gradient"
        if a == q:
            quantity = f"whole cells, b = {m * q}: σ²(1 + (q − 1)ρ)/b, q = {q}, ρ = {rho:.2f}"
        reason = QUADRATIC if people.batches == 2 else ""
        seen = people.seen(made, drawer(made, generator), FEWEST)
        questions.append(_covariance(2 if a == q else 13, quantity, people.variance(made), seen, reason))
    return questions


def compression(people: Population, size: int, generator: np.random.Generator) -> list[Question]:
    """Compare the variance of the mean of four workers' compressed gradients with theory, for two compressors: item 14."""
    objective = people.objective
    local = max(2, size // WORKERS if people.batches == 1 else size)  # see `RARE` for products of small batches
    made = samplers_for(objective, "uniform", local)
    worker, linear = people.variance(made), people.linear(made)  # tr Cov of one worker's gradient
    seen = people.repeat(drawer(made, generator), ROUNDING).gradients
    step = _rounding(ROUNDED * worker, seen)
    grid = theory.rounded(step, seen)
    larger = round(theory.batch_to_compensate(linear, worker - linear, local, grid))
    more = samplers_for(objective, "uniform", larger)

    def sparse(gradients: Array) -> Array:
        return gradients * (generator.random(gradients.shape) < KEEP) / KEEP

    def rounded(gradients: Array) -> Array:
        scaled = gradients / step
        return np.asarray(step * (np.floor(scaled) + (generator.random(scaled.shape) < scaled % 1.0)))

    share = theory.sparsified(worker, people.square, float(WORKERS), WORKERS, KEEP)
    rare = RARE if people.batches == 2 else ""
    workers = f"{WORKERS} workers of {local} points"
    return [
        _covariance(14, named, predicted, _sent(people, samplers, compressor, generator), reason)
        for named, predicted, samplers, compressor, reason in (
            (
                f"{workers}, a quarter of the entries sent: tr Cov",
                theory.compressed(worker, float(WORKERS), WORKERS, share),
                made,
                sparse,
                rare,
            ),
            (
                f"{workers}, entries rounded: tr Cov",
                theory.compressed(worker, float(WORKERS), WORKERS, grid),
                made,
                rounded,
                rare,
            ),
            (
                f"{WORKERS} workers of {larger} points, entries rounded: tr Cov is that of {local} without",
                worker / WORKERS,
                more,
                rounded,
                rare,
            ),
        )
    ]


def _rounding(added: float, gradients: Array) -> float:
    """Return the rounding step that adds the variance ``added`` > 0 to gradients [n, P]."""
    lengths = np.abs(gradients)
    least = math.sqrt(added / gradients.shape[1])  # adds a quarter of that at most, since f(1 − f) ≤ 1/4
    most = lengths.max() + (added + (gradients**2).sum(1).mean()) / lengths.sum(1).mean()  # adds more, Σ|v|(Δ − |v|)
    return float(brentq(lambda step: theory.rounded(step, gradients) - added, least, most, rtol=1e-4))


def _sent(
    people: Population, made: tuple[Sampler, ...], compressor: Callable[[Array], Array], generator: np.random.Generator
) -> OpenSamples:
    """Return samples of ‖ḡ − ∇J‖², in the column ``OFF``, where ḡ is the mean of the workers' compressed gradients."""
    draw = drawer(made, generator)

    def sent(count: int) -> Array:
        seen = np.zeros((count, OFF + 1))
        for start in range(0, count, CHUNK // WORKERS):
            part = seen[start : start + CHUNK // WORKERS]
            found = compressor(people.repeat(draw, WORKERS * len(part)).gradients)
            part[:, OFF] = ((found.reshape(len(part), WORKERS, -1).mean(1) - people.gradient) ** 2).sum(1)
        return seen

    return OpenSamples(sent, WORKERS * (people.cost(made) + 2e-1 * len(people.gradient) / WORKERS), SHOWN)
