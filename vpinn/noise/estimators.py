"""Items 1, 2, 4, 13 and 14 on a problem: bias and covariance of what samplers estimate, clusters, compression."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
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
"""Of the data-parallel step."""
KEEP = 0.25
"""Share of the entries that a sparsified gradient keeps."""
ROUNDED = 0.2
"""Variance that rounding adds, over that of one worker's gradient."""
BLOCKS, PILOTS = 16, 8
"""Strata that allocations are compared on, and the pilots that learn about them."""
FEWEST, SHOWN = 128, 64
"""Batches that questions begin with, and those that only figures show."""
LED_BY, PER_DIRECTION = 32, 8
"""Leading directions of the covariance at most that a mean's offset is looked at along, and draws for each."""
CHANCE = 1.0 - float(ndtr(CONFIDENCE))
"""How often a mean without an offset shows one."""
SAME = 1e-10
"""Variance along a direction, relative to the largest, that is rounding."""
QUADRATIC = "products of two batches have a closed form for uniform draws"


def samplers(
    people: Population, sizes: list[int], generator: np.random.Generator
) -> tuple[list[Question], dict[int, OpenSamples]]:
    """Draw batches by every sampler at several sizes.

    Args:
        people: all points.
        sizes: of the batches, ascending; the middle one is reported.
        generator: of the draws.

    Returns:
        questions on bias and covariance, with the variance over b by sampler, and the uniform draws by size.
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
    """Return the variance over b."""
    x, predicted = np.array([[points, variance] for points, variance, _ in found]).T
    measured, errors = np.array([mean_and_error(samples.values[:, OFF]) for *_, samples in found]).T
    return {name: Curve(x, measured, errors, {"closed form": predicted} if np.isfinite(predicted).all() else {})}


def _about(people: Population, name: str, size: float, predicted: float, seen: OpenSamples) -> list[Finding]:
    """Return findings on the mean and the covariance of one sampler's draws, held against the covariance predicted."""
    n = len(seen.values)
    biased = "the square of a residual is biased" if people.batches == 1 and people.objective.test_space else ""
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
            biased or f"beyond what chance makes of one mean in {1.0 / CHANCE:.0f}",
            bound="at most",
        ),
    ]
    item = 4 if name not in ("uniform", "cells") else 2
    reason = QUADRATIC if people.batches == 2 else ""
    value, error = mean_and_error(seen.values[:, OFF])
    return [*bias, Finding(item, f"{name}, b = {size:.0f}: tr Cov of the gradient", predicted, value, error, reason)]


def offsets(off: Array) -> tuple[int, float, float]:
    """Return Hotelling's F of the mean of samples, and what it is beyond where that mean is zero only by a chance of ``CHANCE``.

    F = (n − k)/(k(n − 1)) n m̄ᵀC⁻¹m̄ with the samples' own covariance C, which does not take directions as uncorrelated.

    Args:
        off: samples less what their mean should be [n, k], n > k.

    Returns:
        directions k in which samples differ, F, and the quantile.
    """
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(off, rowvar=False)))
    vectors = vectors[:, values > SAME * values[-1]] / np.sqrt(values[values > SAME * values[-1]])
    n, k = len(off), vectors.shape[1]
    square = n * float(((off.mean(0) @ vectors) ** 2).sum())
    return k, (n - k) / (k * (n - 1)) * square, float(fdtri(k, n - k, 1.0 - CHANCE))


def allocations(people: Population, size: int, generator: np.random.Generator) -> list[Question]:
    """Draw from a few blocks of cells by every allocation, after pilots have learned the deviations."""
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
    """Return the question whether tr Cov of the gradient, over a number, is the one predicted."""

    def rows() -> list[Finding]:
        return [Finding(item, named, predicted, *mean_and_error(seen.values[:, OFF] / over), reason)]

    return Question((seen,), rows)


def points_per_cell(people: Population) -> tuple[int, int, float, float] | None:
    """Return the best points A of a drawn cell of the domain, its points q, and σ_b², σ_w² along the directions; see ``Cells``.

    None where the points have no cells with several points.
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
    """Draw M cells and A points in each of them: item 13, and all points of cells with their correlation for item 2."""
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
    """Send the gradients of four workers through two compressors: item 14."""
    objective, parameters = people.objective, len(people.gradient)
    local = max(2, size // WORKERS if people.batches == 1 else size)  # rare pairs make most of smaller products' variance
    made = samplers_for(objective, "uniform", local)
    worker = people.variance(made)  # tr Cov of one worker's gradient
    step = math.sqrt(6.0 * ROUNDED * worker / parameters)
    grid = theory.rounded(step, parameters)
    larger = theory.batch_to_compensate(worker, float(WORKERS), WORKERS, grid) / WORKERS
    more = samplers_for(objective, "uniform", round(local * larger))

    def sparse(gradients: Array) -> Array:
        return gradients * (generator.random(gradients.shape) < KEEP) / KEEP

    def rounded(gradients: Array) -> Array:
        scaled = gradients / step
        return np.asarray(step * (np.floor(scaled) + (generator.random(scaled.shape) < scaled % 1.0)))

    share = theory.sparsified(worker, people.square, float(WORKERS), WORKERS, KEEP)
    small = RARE if people.batches == 2 else "entries far below one step cost less than a sixth of its square"
    workers = f"{WORKERS} workers of {local} points"
    return [
        _covariance(14, named, predicted, _sent(people, samplers, compressor, generator), reason)
        for named, predicted, samplers, compressor, reason in (
            (
                f"{workers}, a quarter of the entries sent: tr Cov",
                theory.compressed(worker, float(WORKERS), WORKERS, share),
                made,
                sparse,
                RARE if people.batches == 2 else "",
            ),
            (
                f"{workers}, entries rounded: tr Cov",
                theory.compressed(worker, float(WORKERS), WORKERS, grid),
                made,
                rounded,
                small,
            ),
            (
                f"{WORKERS} workers of {round(local * larger)} points, entries rounded: tr Cov is that of {local} without",
                worker / WORKERS,
                more,
                rounded,
                small,
            ),
        )
    ]


def _sent(
    people: Population, made: tuple[Sampler, ...], compressor: Callable[[Array], Array], generator: np.random.Generator
) -> OpenSamples:
    """Return ‖·‖² of the workers' mean compressed gradient less ∇J, in the column ``OFF``."""
    draw = drawer(made, generator)

    def sent(count: int) -> Array:
        seen = np.zeros((count, OFF + 1))
        for start in range(0, count, CHUNK // WORKERS):
            part = seen[start : start + CHUNK // WORKERS]
            found = compressor(people.repeat(draw, WORKERS * len(part)).gradients)
            part[:, OFF] = ((found.reshape(len(part), WORKERS, -1).mean(1) - people.gradient) ** 2).sum(1)
        return seen

    return OpenSamples(sent, WORKERS * (people.cost(made) + 2e-1 * len(people.gradient) / WORKERS), SHOWN)
