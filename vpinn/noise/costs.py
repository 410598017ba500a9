"""Items 11 and 12 on a problem: how much the loss of a batch fluctuates, and what batches cost."""

from __future__ import annotations

import math

import numpy as np

from vpinn.noise import rates
from vpinn.noise.draws import Draws, cost_of, samplers_for, seconds_per_step
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.population import Population, point_losses


def fluctuation(people: Population, uniform: dict[int, Draws]) -> tuple[list[Finding], Curve | None]:
    """Hold the spread of a batch's loss against σ/√b, of two batches' products against √(L/b + Q/b²): item 11."""
    if people.objective.test_space is not None and (people.kept is None or people.loss_quadratic is None):
        reason = "plain squares are biased, or there are too many points to keep what they contribute"
        return [Finding(11, "standard deviation of the loss of a batch", math.nan, math.nan, reason=reason)], None
    weak = people.kept if people.objective.test_space is not None else None
    losses = point_losses(people.objective, people.theta) if weak is None else weak.influences()
    x, measured, errors, predicted = [], [], [], []
    for size, draws in sorted(uniform.items()):
        made = samplers_for(people.objective, "uniform", size)
        shares = np.array([1.0 / sampler.size for sampler in made])
        x.append(float(sum(s.size for s in made)))
        variance = sum(s.variance(v) for s, v in zip(made, losses, strict=True)) / people.batches
        added = 0.0 if people.loss_quadratic is None else float(shares @ people.loss_quadratic @ shares)
        predicted.append(math.sqrt(variance + added))
        deviation = draws.losses - draws.losses.mean()
        spread = math.sqrt(float((deviation**2).mean()))
        measured.append(spread)
        errors.append(float((deviation**2).std(ddof=1)) / math.sqrt(len(deviation)) / (2 * spread) if spread else 0.0)
    k = len(x) // 2
    row = Finding(11, f"standard deviation of the loss of a batch, b = {x[k]:.0f}", predicted[k], measured[k], errors[k])
    line = "σ/√b" if weak is None else "√(L/b + Q/b²)"
    return [row], Curve(np.array(x), np.array(measured), np.array(errors), {line: np.array(predicted)})


def costs(
    people: Population, sizes: list[int], weighted: float, measured: Curve, generator: np.random.Generator
) -> tuple[list[Finding], tuple[float, float]]:
    """Time steps and find the batch of most progress per second: item 12.

    Returns:
        findings, and c₀, c₁ of a step's time c₀ + c₁b in seconds.
    """
    tried = sorted({*sizes, min(people.objective.measures[0].points.size, 8 * sizes[-1])})
    seconds = seconds_per_step(people.objective, people.theta, tried, generator)
    step, point = cost_of(tried, seconds)
    rows = [
        Finding(
            12,
            f"seconds of an epoch at b = {tried[0]} over that at b = {tried[-1]}: (c₀/b + c₁) fitted",
            (step / tried[0] + point) / (step / tried[-1] + point),
            float(seconds[0] / tried[0] / (seconds[-1] / tried[-1])),
            0.0,
            "caches and calls make the time of a step no straight line over b",
            0.25,
        )
    ]
    if not len(measured.x) or not math.isfinite(weighted):
        return rows, (step, point)
    speed = measured.measured / (step + point * measured.x)
    best = float(measured.x[speed.argmax()])
    predicted = rates.fastest_batch(weighted, step, point)
    nearest = float(measured.x[np.abs(np.log(measured.x / min(max(predicted, measured.x[0]), measured.x[-1]))).argmin()])
    rows.append(
        Finding(
            12,
            f"batch of most progress per second, among {', '.join(f'{v:.0f}' for v in measured.x)}; √(S c₀/c₁) = {predicted:.0f}",
            nearest,
            best,
            0.0,
            "flat optimum",
            1.01,
        )
    )
    return rows, (step, point)
