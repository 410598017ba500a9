"""Items 11 and 12 on a problem: fluctuation of the loss of a mini-batch, and the batch size of least time to an accuracy."""

from __future__ import annotations

import math

import numpy as np

from vpinn.noise import rates
from vpinn.noise import variance as theory
from vpinn.noise.draws import Array, cost_of, mean_and_error, samplers_for, seconds_per_step
from vpinn.noise.falls import Bend, Falls
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.population import LOSS, Population, point_losses
from vpinn.noise.questions import OpenSamples, Question

REPEATS = 5
"""Number of repetitions of a timing."""
RESAMPLES = 200
"""Number of bootstrap resamples, from which the error of the best batch size is estimated (Efron 1979)."""
TOLD = 0.95
"""Share of the bootstrap resamples whose best batch size has to be between the smallest and the largest one tried."""
PRECISE = 0.02
"""Smallest relative error that is assumed for measured seconds."""
PROPORTIONAL = 1.5
"""Largest ratio of b·variance between two batch sizes for which the variance counts as proportional to 1/b."""
PAIRED = 32
"""Smallest batch that is timed for two-batch estimates; with fewer points, rare pairs of points make most of the variance."""
LOST = 1.1
"""Ratio to the least time up to which a time counts as least."""
FLAT = 0.5
"""Relative tolerance of the best batch size: around it the time is flat, and a size 50 % larger costs at most 8 % more."""


def fluctuation(people: Population, uniform: dict[int, OpenSamples]) -> Question:
    """Compare the standard deviation of a batch's loss with theory: item 11.

    Theory is σ/√b for a mean over one batch, and √(L/b + Q/b²) for a product of two batches.
    """
    if people.objective.test_space is not None and (people.kept is None or people.loss_quadratic is None):
        reason = "squares over one batch are biased, or there are too many points to store their contributions"
        silent = Finding(11, "standard deviation of the loss of a batch", math.nan, math.nan, reason=reason)
        return Question((), lambda: [silent])
    weak = people.kept if people.objective.test_space is not None else None
    losses = point_losses(people.objective, people.theta) if weak is None else weak.influences()
    sizes = sorted(uniform)
    x = []
    predicted = []
    for size in sizes:
        made = samplers_for(people.objective, "uniform", size)
        shares = np.array([1.0 / sampler.size for sampler in made])
        x.append(float(sum(s.size for s in made)))
        variance = sum(s.variance(v) for s, v in zip(made, losses, strict=True)) / people.batches
        added = 0.0 if people.loss_quadratic is None else float(shares @ people.loss_quadratic @ shares)
        predicted.append(math.sqrt(variance + added))

    def spread(size: int) -> tuple[float, float]:
        squares = (uniform[size].values[:, LOSS] - uniform[size].values[:, LOSS].mean()) ** 2
        value = math.sqrt(float(squares.mean()))
        return value, float(squares.std(ddof=1)) / math.sqrt(len(squares)) / (2 * value) if value else 0.0

    k, line = len(x) // 2, "σ/√b" if weak is None else "√(L/b + Q/b²)"

    def rows() -> list[Finding]:
        return [Finding(11, f"standard deviation of the loss of a batch, b = {x[k]:.0f}", predicted[k], *spread(sizes[k]))]

    def curves() -> dict[str, Curve]:
        measured, errors = np.array([spread(size) for size in sizes]).T
        return {"fluctuation": Curve(np.array(x), measured, errors, {line: np.array(predicted)})}

    return Question((uniform[sizes[k]],), rows, curves)


def costs(
    people: Population, bend: Bend, sizes: list[int], scale: float, generator: np.random.Generator
) -> tuple[list[Question], tuple[float, float]]:
    """Time training steps, and compare the batch size of least time to an accuracy with theory: item 12.

    In theory a step takes c₀ + c₁b seconds, and the number of steps to an accuracy is proportional to 1 + S/b, so that the best
    batch has √(S c₀/c₁) points. The measurement is a fit A + Bb + C/b to measured seconds over measured progress, which is least
    at √(C/B).

    Args:
        people: Statistics over all points.
        bend: Curvatures at the same parameters.
        sizes: Batch sizes, ascending.
        scale: Noise scale S weighted by curvature, in points; nan if it is not known.
        generator: Generator of the draws.

    Returns:
        Questions, with the curve of seconds to the progress of one full-gradient step over b; and c₀, c₁ in seconds.
    """
    objective, points = people.objective, people.objective.measures[0].points.size
    tried = sorted({*sizes, min(points, 8 * sizes[-1])})
    spent = cost_of(tried, seconds_per_step(objective, people.theta, tried, generator))
    epoch = [_epoch(people, tried, generator)]
    questions = [Question((), lambda: epoch)]
    if not (math.isfinite(scale) and scale > 0.0 and bend.along > 0.0):
        return questions, spent
    predicted = rates.fastest_batch(scale, *spent)
    centre = math.sqrt(max(4.0, predicted / 8.0) * min(points / 2.0, predicted * 8.0)) if points >= 8 else predicted
    least = 2 if people.batches == 1 else PAIRED
    wanted = np.unique(np.round(np.clip(centre * 2.0 ** np.arange(-3, 4), least, points)).astype(int)).tolist()
    times = seconds_per_step(objective, people.theta, wanted, generator)
    falls = list[Falls]()
    noise = list[float]()
    for size in wanted:
        noise.append(bend.noise(people, samplers_for(objective, "uniform", size)))
        rate = people.square / bend.along * theory.progress(1.0, noise[-1])
        falls.append(Falls.by(people, bend, size, rate, (1.0,) if falls else (1.0, 2.0), generator))
    at, (step, point) = np.array(wanted, dtype=np.float64), cost_of(wanted, times)
    line = np.array([rates.steps_to_accuracy(1.0, one) for one in noise]) * (step + point * at)
    each, full = np.array(noise) * at, 0.5 * people.square**2 / bend.along
    flat = f"theory assumes a variance ∝ 1/b; products of two at b = {at[0]:.0f} have {each[0] / each.min():.2g} times that"
    outside = flat if each.max() > PROPORTIONAL * each.min() else ""

    def found() -> tuple[list[Finding], Curve]:
        gains = np.array([one.each() / full for one in falls])
        resampled = np.random.default_rng(len(gains[0]))
        curved = falls[0].curved(full / (1.0 + noise[0]))
        return fastest(at, times, gains, rates.fastest_batch(scale, step, point), line, resampled, (outside, curved))

    samples = tuple(one for fall in falls for one in (fall.few, fall.many))
    return [*questions, Question(samples, lambda: found()[0], lambda: {"seconds": found()[1]})], spent


def _epoch(people: Population, tried: list[int], generator: np.random.Generator) -> Finding:
    """Compare the seconds of an epoch in batches of b points with (c₀/b + c₁)N, where c₀ and c₁ are fitted to other sizes."""
    k, points = len(tried) // 2, people.objective.measures[0].points.size
    times = np.array([seconds_per_step(people.objective, people.theta, tried, generator, 2) for _ in range(REPEATS)])
    step, point = cost_of([*tried[:k], *tried[k + 1 :]], np.delete(np.median(times, axis=0), k))
    value, error = mean_and_error(times[:, k] * points / tried[k])
    return Finding(
        12,
        f"seconds of an epoch in batches of b = {tried[k]}: (c₀/b + c₁)N fitted to other sizes",
        (step / tried[k] + point) * points,
        value,
        error,
        "owing to caches and call overhead, the time of a step is not linear in b",
        0.25,
    )


def fastest(
    at: Array,
    times: Array,
    gains: Array,
    predicted: float,
    line: Array,
    generator: np.random.Generator,
    outside: tuple[str, str] = ("", ""),
) -> tuple[list[Finding], Curve]:
    """Fit A + Bb + C/b to seconds over mean progress, and compare its minimum with theory; errors are from the bootstrap.

    Args:
        at: Batch sizes [k], ascending.
        times: Seconds of a step [k].
        gains: Progress of n single steps, relative to a step with the full gradient [k, n].
        predicted: Best batch size by theory.
        line: Seconds to the progress of one full-gradient step by theory [k].
        generator: Generator of the bootstrap resamples.
        outside: Violated assumptions about the best batch, and about the progress of the smallest one; see ``Finding.outside``.
    """
    n = gains.shape[1]
    counts = np.concatenate([np.ones((1, n)), generator.multinomial(n, np.full(n, 1.0 / n), size=RESAMPLES)])
    progress, spread = counts @ gains.T / n, gains.std(1, ddof=1) / math.sqrt(n)  # [1 + resamples, k]
    spent = times / np.maximum(progress, 0.1 * spread)
    wrong = spent[0] * np.maximum(spread / np.maximum(progress[0], spread), PRECISE)
    columns = np.stack([np.ones_like(at), at, 1.0 / at], 1) / wrong[:, None]
    fit = np.linalg.lstsq(columns, (spent / wrong).T, rcond=None)[0].T
    best = np.sqrt(np.maximum(fit[:, 2], 0.0) / np.maximum(fit[:, 1], 1e-300)).clip(at[0], at[-1])

    def seconds(batch: Array | float) -> Array:
        return np.asarray(fit[:, 0] + fit[:, 1] * batch + fit[:, 2] / batch)

    lost = seconds(min(max(predicted, at[0]), at[-1])) / seconds(best)
    speed, wide = progress[0] / times, spread / times
    ratio = speed[0] / speed[-1]
    told = bool(((best > at[0]) & (best < at[-1])).mean() >= TOLD)
    why = "progress does not follow 1 + S/b, or seconds do not follow c₀ + c₁b"
    unknown = "within errors, the time is not smallest between these sizes"
    rows = [
        Finding(
            12,
            f"batch of least time to an accuracy, b = {at[0]:.0f} to {at[-1]:.0f}: √(S c₀/c₁)",
            predicted,
            float(best[0]) if told else math.nan,
            float(best[1:].std(ddof=1)),
            why if told else unknown,
            FLAT,
            outside=outside[0],
        ),
        Finding(
            12,
            "time to an accuracy at √(S c₀/c₁), over the least time",
            LOST,
            float(lost[0]) if told else math.nan,
            float(lost[1:].std(ddof=1)),
            "the batch size of theory is not the fastest" if told else unknown,
            bound="at most",
            outside=outside[0],
        ),
        Finding(
            12,
            f"progress per second at b = {at[0]:.0f} over that at {at[-1]:.0f}: 1/((1 + S/b)(c₀ + c₁b))",
            float(line[-1] / line[0]),
            float(ratio),
            math.hypot(wide[0], max(abs(ratio), line[-1] / line[0]) * wide[-1]) / abs(float(speed[-1])),
            why,
            0.25,
            outside=outside[1],
        ),
    ]
    return rows, Curve(at, spent[0], wrong, {"(1 + S/b)(c₀ + c₁b)": line})
