"""Items 1, 2, 4, 13 and 14 on a problem: bias and covariance of what samplers estimate, clusters, compression."""

from __future__ import annotations

import contextlib
import math

import numpy as np

from vpinn.errors import InputError
from vpinn.noise import variance as theory
from vpinn.noise.draws import RARE, Array, Draws, drawer, mean_and_error, samplers_for
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.population import Population
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
TOLD, MORE, MOST_BYTES = ("uniform", "stratified"), 4, 200e6
"""Samplers whose variance at the middle size is told more exactly, by so many times the draws, as long as these fit memory."""
LED, PER_DIRECTION = 48, 5
"""Leading directions of the covariance at most that a mean's offset is looked at along, and draws for each."""
SAME = 1e-10
"""Variance along a direction, relative to the largest, that is rounding."""
QUADRATIC = "products of two batches have a closed form for uniform draws"


def samplers(
    people: Population, sizes: list[int], draws: int, generator: np.random.Generator
) -> tuple[list[Finding], dict[str, Curve], dict[int, Draws]]:
    """Draw batches by every sampler at several sizes.

    Args:
        people: all points.
        sizes: of the batches, ascending; the middle one is reported.
        draws: batches each; half as many of sizes that curves alone show.
        generator: of the draws.

    Returns:
        findings on bias and covariance, the variance over b by sampler, and the uniform draws by size.
    """
    findings, curves, uniform = [], {}, {}
    middle, known = sizes[len(sizes) // 2], points_per_cell(people)
    best = None if known is None else Choice("cells", per_cell=known[0])
    for name in SAMPLERS:
        x, measured, errors, predicted = [], [], [], []
        for size in sizes:
            with contextlib.suppress(InputError):
                made = samplers_for(people.objective, name, size, best if name == "cells" else None)
                told = size == middle and name in TOLD
                count = draws if size == middle or name == "uniform" else max(2, draws // 2)
                if told:
                    count = max(draws, min(MORE * draws, int(MOST_BYTES / (8 * len(people.gradient)))))
                found = people.repeat(drawer(made, generator), count)
                value, error = found.mean_square_error(people.gradient)
                x.append(sum(s.size for s in made))
                measured.append(value)
                errors.append(error)
                predicted.append(people.variance(made))
                if name == "uniform":
                    uniform[size] = found
                if size == middle:
                    findings += _about(people, name, made, found, predicted[-1])
        if x:
            lines = {"closed form": np.array(predicted)} if np.isfinite(predicted).all() else {}
            curves[name] = Curve(np.array(x, float), np.array(measured), np.array(errors), lines)
    return findings, curves, uniform


def _about(people: Population, name: str, made: tuple[Sampler, ...], found: Draws, predicted: float) -> list[Finding]:
    """Return findings on the mean and the covariance of one sampler's draws, held against the covariance predicted."""
    value, error = found.mean_square_error(people.gradient)
    n = len(found.losses)
    size = sum(s.size for s in made)
    biased = "the square of a residual is biased" if people.batches == 1 and people.objective.test_space else ""
    along, error_along = mean_and_error(found.gradients @ people.gradient / people.square)
    led = people.directions[:, : min(LED, n // PER_DIRECTION)]
    count, apart, expected, wrong = offsets((found.gradients - people.gradient) @ led)
    bias = [
        Finding(1, f"{name}, b = {size}: mean of {n} gradients along ∇J, over ‖∇J‖", 1.0, along, error_along, biased),
        Finding(
            1,
            f"{name}, b = {size}: square of its offset along {count} directions over their covariance (Hotelling's F)",
            expected,
            apart,
            wrong,
            biased,
            0.5,
        ),
    ]
    item = 4 if name not in ("uniform", "cells") else 2
    reason = QUADRATIC if people.batches == 2 else ""
    return [*bias, Finding(item, f"{name}, b = {size}: tr Cov of the gradient", predicted, value, error, reason)]


def offsets(off: Array) -> tuple[int, float, float, float]:
    """Return Hotelling's F of the mean of samples, with the mean and the standard deviation that it has where that mean is zero.

    F = (n − k)/(k(n − 1)) n m̄ᵀC⁻¹m̄ with the samples' own covariance C, which does not take directions as uncorrelated.

    Args:
        off: samples less what their mean should be [n, k], n > k + 4.

    Returns:
        directions k in which samples differ, F, its mean and its standard deviation.
    """
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(off, rowvar=False)))
    vectors = vectors[:, values > SAME * values[-1]] / np.sqrt(values[values > SAME * values[-1]])
    n, k = len(off), vectors.shape[1]
    rest, square = n - k, n * float(((off.mean(0) @ vectors) ** 2).sum())
    deviation = rest / (rest - 2) * math.sqrt(2.0 * (n - 2) / (k * (rest - 4)))
    return k, rest / (k * (n - 1)) * square, rest / (rest - 2), deviation


def allocations(people: Population, size: int, draws: int, generator: np.random.Generator) -> list[Finding]:
    """Draw from a few blocks of cells by every allocation, after pilots have learned the deviations."""
    objective, found, rows = people.objective, {}, []
    for rule in ALLOCATIONS:
        made = samplers_for(objective, "stratified", size, Choice(allocation=rule, count=min(BLOCKS, size // 2)))
        learned: tuple[State, ...] = ()
        for _ in range(PILOTS):
            learned = pilots(objective, made, generator, people.theta, learned)
        value, error = people.repeat(drawer(made, generator, learned), draws).mean_square_error(people.gradient)
        found[rule] = value
        rows.append(
            Finding(
                4,
                f"{BLOCKS} blocks, {rule}, b = {size}: tr Cov of the gradient",
                people.variance(shared(made, learned), learned),
                value,
                error,
                QUADRATIC if people.batches == 2 else "",
            )
        )
    uniform = people.variance(samplers_for(objective, "uniform", size))
    rows.append(
        Finding(
            4,
            f"{BLOCKS} blocks: variance by Neyman over that of uniform draws",
            rows[1].predicted / uniform,
            found["neyman"] / uniform,
            rows[1].error / uniform,
            QUADRATIC if people.batches == 2 else "",
        )
    )
    return rows


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


def clusters(people: Population, largest: int, draws: int, generator: np.random.Generator) -> list[Finding]:
    """Draw M cells and A points in each of them: item 13, and all points of cells with their correlation for item 2."""
    objective, points = people.objective, people.objective.measures[0].points
    known = points_per_cell(people)
    if known is None:
        return [Finding(13, "points in cells", math.nan, math.nan, reason="the points have no cells")]
    _, q, between, within = known
    others = samplers_for(objective, "uniform", max(2, min(points.size, 64)))[1:]
    total = between + within
    rho = (between / total - 1.0 / q) / (1.0 - 1.0 / q) if total > 0 else 0.0
    rows = []
    for m, a in ((8, min(q, 8)), (32, 2), (max(1, largest // q), q)):
        if m * a > points.size:
            continue
        made = (make_sampler("cells", points, m * a, Choice("cells", per_cell=a)), *others)
        value, error = people.repeat(drawer(made, generator), draws).mean_square_error(people.gradient)
        quantity = f"{m} cells × {a} points: tr Cov of the gradient"
        if a == q:
            quantity = f"whole cells, b = {m * q}: σ²(1 + (q − 1)ρ)/b, q = {q}, ρ = {rho:.2f}"
        reason = QUADRATIC if people.batches == 2 else ""
        rows.append(Finding(2 if a == q else 13, quantity, people.variance(made), value, error, reason))
    return rows


def compression(people: Population, size: int, draws: int, generator: np.random.Generator) -> list[Finding]:
    """Send the gradients of four workers through two compressors: item 14."""
    objective, parameters = people.objective, len(people.gradient)
    local = max(2, size // WORKERS)
    worker = people.variance(samplers_for(objective, "uniform", local))  # tr Cov of one worker's gradient
    step = math.sqrt(6.0 * ROUNDED * worker / parameters)
    grid = theory.rounded(step, parameters)
    larger = theory.batch_to_compensate(worker, float(WORKERS), WORKERS, grid) / WORKERS
    kept, rounded, compensated = np.empty(draws), np.empty(draws), np.empty(draws)
    draw, more = (drawer(samplers_for(objective, "uniform", points), generator) for points in (local, round(local * larger)))
    for k in range(draws):
        gradients, others = (
            people.repeat(one, WORKERS).gradients for one in (draw, more)
        )
        sparse = gradients * (generator.random(gradients.shape) < KEEP) / KEEP
        kept[k] = ((sparse.mean(0) - people.gradient) ** 2).sum()
        for values, target in ((gradients, rounded), (others, compensated)):
            scaled = values / step
            sent = step * (np.floor(scaled) + (generator.random(scaled.shape) < scaled % 1.0))
            target[k] = ((sent.mean(0) - people.gradient) ** 2).sum()
    share = theory.sparsified(worker, people.square, float(WORKERS), WORKERS, KEEP)
    small = "entries far below one step cost less than a sixth of its square"
    return [
        Finding(
            14,
            f"{WORKERS} workers of {local} points, a quarter of the entries sent: tr Cov",
            theory.compressed(worker, float(WORKERS), WORKERS, share),
            *mean_and_error(kept),
            RARE if people.batches == 2 else "",
        ),
        Finding(
            14,
            f"{WORKERS} workers of {local} points, entries rounded: tr Cov",
            theory.compressed(worker, float(WORKERS), WORKERS, grid),
            *mean_and_error(rounded),
            small if people.batches == 1 else RARE,
        ),
        Finding(
            14,
            f"{WORKERS} workers of {round(local * larger)} points, entries rounded: tr Cov is that of {local} without",
            worker / WORKERS,
            *mean_and_error(compensated),
            small if people.batches == 1 else RARE,
        ),
    ]
