"""Items 11 and 12 on a problem: how much the loss of a batch fluctuates, and what batches cost."""

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
"""Times that a step is timed anew."""
RESAMPLES = 200
"""Times that draws are drawn again from themselves, to see how well they know where time is least (Efron 1979)."""
TOLD = 0.95
"""Share of the draws from the draws that have to show a least time inside of the sizes tried."""
PRECISE = 0.02
"""Relative error that seconds have at least."""
PROPORTIONAL = 1.5
"""Factor up to which b times the variance may differ between the smallest and the largest batch."""
PAIRED = 32
"""Points of a batch at least where products of two are timed: rare pairs make most of the variance by smaller ones."""
LOST = 1.1
"""Factor of the least time that still counts as the least."""
FLAT = 0.5
"""Share by which the best batch may be off: around it the time is flat, and half as much again costs a twelfth at most."""


def fluctuation(people: Population, uniform: dict[int, OpenSamples]) -> Question:
    """Hold the spread of a batch's loss against σ/√b, of two batches' products against √(L/b + Q/b²): item 11."""
    if people.objective.test_space is not None and (people.kept is None or people.loss_quadratic is None):
        reason = "plain squares are biased, or there are too many points to keep what they contribute"
        silent = Finding(11, "standard deviation of the loss of a batch", math.nan, math.nan, reason=reason)
        return Question((), lambda: [silent])
    weak = people.kept if people.objective.test_space is not None else None
    losses = point_losses(people.objective, people.theta) if weak is None else weak.influences()
    sizes, x, predicted = sorted(uniform), [], []
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
    """Time steps, and find the batch of least time to an accuracy: item 12.

    Theory has the seconds of a step c₀ + c₁b and the steps to an accuracy ∝ 1 + S/b, hence √(S c₀/c₁) as the best batch. Held
    against it is A + Bb + C/b fitted to seconds and progress as they are measured, with its least value at √(C/B).

    Args:
        people: all points.
        bend: curvatures there.
        sizes: of batches, ascending.
        scale: noise scale S weighted by curvature, nan where it is not known.
        generator: of the draws.

    Returns:
        questions, with seconds to the full gradient's progress over b; and c₀, c₁ in seconds.
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
    times, falls, noise = seconds_per_step(objective, people.theta, wanted, generator), list[Falls](), list[float]()
    for size in wanted:
        noise.append(bend.noise(people, samplers_for(objective, "uniform", size)))
        rate = people.square / bend.along * theory.progress(1.0, noise[-1])
        falls.append(Falls.by(people, bend, size, rate, (1.0,) if falls else (1.0, 2.0), generator))
    at, (step, point) = np.array(wanted, dtype=np.float64), cost_of(wanted, times)
    line = np.array([rates.steps_to_accuracy(1.0, one) for one in noise]) * (step + point * at)
    each, full = np.array(noise) * at, 0.5 * people.square**2 / bend.along
    flat = f"it takes a variance ∝ 1/b: that at b = {at[0]:.0f} is {each[0] / each.min():.2g} times as large, by products"
    outside = flat if each.max() > PROPORTIONAL * each.min() else ""

    def found() -> tuple[list[Finding], Curve]:
        gains = np.array([one.each() / full for one in falls])
        resampled = np.random.default_rng(len(gains[0]))
        curved = falls[0].curved(full / (1.0 + noise[0]))
        return fastest(at, times, gains, rates.fastest_batch(scale, step, point), line, resampled, (outside, curved))

    samples = tuple(one for fall in falls for one in (fall.few, fall.many))
    return [*questions, Question(samples, lambda: found()[0], lambda: {"seconds": found()[1]})], spent


def _epoch(people: Population, tried: list[int], generator: np.random.Generator) -> Finding:
    """Hold the seconds of an epoch, b points at a time, against (c₀/b + c₁)N with c₀ and c₁ from the other sizes."""
    k, points = len(tried) // 2, people.objective.measures[0].points.size
    times = np.array([seconds_per_step(people.objective, people.theta, tried, generator, 2) for _ in range(REPEATS)])
    step, point = cost_of([*tried[:k], *tried[k + 1 :]], np.delete(np.median(times, axis=0), k))
    value, error = mean_and_error(times[:, k] * points / tried[k])
    return Finding(
        12,
        f"seconds of an epoch, b = {tried[k]} at a time: (c₀/b + c₁)N fitted to other sizes",
        (step / tried[k] + point) * points,
        value,
        error,
        "caches and calls make the time of a step no straight line over b",
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
    """Fit A + Bb + C/b to seconds over mean progress, of the draws and of draws from them, and compare where it is least.

    Args:
        at: batch sizes [k], ascending.
        times: seconds of a step [k].
        gains: progress of single steps over the full gradient's [k, n].
        predicted: best batch by theory.
        line: seconds to the full gradient's progress by theory [k].
        generator: of the draws from the draws.
        outside: of what batch is best, and of the smallest batch's progress, see ``Finding``.
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
    why = "progress does not follow 1 + S/b, or seconds c₀ + c₁b"
    unknown = "within its errors, time is not least inside of these sizes"
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
            "time to an accuracy at √(S c₀/c₁) over the least",
            LOST,
            float(lost[0]) if told else math.nan,
            float(lost[1:].std(ddof=1)),
            "the batch that theory says is not the fastest" if told else unknown,
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
