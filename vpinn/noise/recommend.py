"""What the measurements imply for training, ready to paste into a problem file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vpinn.noise import rates
from vpinn.noise.finding import Curve
from vpinn.noise.pilot import Trial

FEWEST = 32
"""Points of a recommended batch at least: below, a step's time no longer falls."""
WORTHWHILE = 0.7
"""Share of the proportional variance below which another allocation is worth its pilots."""


@dataclass(frozen=True)
class Setting:
    """One line of a problem file, with its reason.

    Attributes:
        section: of the file.
        key: in the section.
        value: as TOML.
        reason: why.
    """

    section: str
    key: str
    value: str
    reason: str


def batch_size(scale: float, costs: tuple[float, float], points: int) -> tuple[int, Setting]:
    """Return the batch of least time to an accuracy, and its line; "full" where it would be half of the points or more.

    Args:
        scale: noise scale where training ends, the largest of the run as a rule: what is left of the noise there is the error.
        costs: c₀ and c₁ of a step's time.
        points: of the domain.
    """
    step, point = costs
    best = rates.fastest_batch(scale, step, point) if math.isfinite(scale) else points
    size = max(FEWEST, 16 * round(best / 16))
    cost = f"{1e3 * step:.2g} ms a step and {1e6 * point:.2g} µs a point"
    told = f"√(S c₀/c₁) = {best:.0f}: noise scale {scale:.0f} points at the end, {cost}"
    if 2 * size >= points:
        return points, Setting("batch", "size", '"full"', told + f", of {points} points")
    return size, Setting("batch", "size", str(size), told)


def sampling(curves: Mapping[str, Curve], size: int, shares: Mapping[str, float]) -> list[Setting]:
    """Return the sampler of least variance near a batch size, and how strata share a batch where it has them.

    Args:
        curves: variance over batch size by sampler.
        size: points per batch.
        shares: variance by allocation.
    """
    found = {}
    for name, curve in curves.items():
        near = int(np.abs(np.log(curve.x / size)).argmin())
        found[name] = float(curve.measured[near] * curve.x[near])
    best = min(found, key=lambda name: found[name])
    gain = found["uniform"] / found[best]
    chosen = Setting("batch", "sampler", f'"{best}"', f"1/{gain:.2g} of the variance of uniform draws near this size")
    if best != "stratified":
        return [chosen]
    ratio = shares["neyman"] / shares["proportional"]
    rule = "neyman" if ratio < WORTHWHILE else "proportional"
    reason = f"on a few blocks Neyman's variance is {ratio:.2f} of the proportional one"
    return [chosen, Setting("batch", "allocation", f'"{rule}"', reason)]


def learning_rate(trials: Sequence[Trial], limit: float) -> Setting:
    """Return the line of the rate whose short trial, with the batch that is recommended, ended lowest."""
    best = min(trials, key=lambda t: t.loss)
    worse = [t.rate for t in trials if t.rate > best.rate]
    beyond = f", and {worse[0]:.2g} is worse" if worse else ", the largest tried"
    tried = ", ".join(f"{t.rate:.2g}" for t in trials)
    told = f"the lowest loss of trials at {tried}{beyond}; plain descent is stable to {limit:.1e}"
    return Setting("solver", "learning_rate", f"{best.rate:g}", told)


def warmup(norms: Sequence[float], steps: int) -> Setting:
    """Return as many steps as the first gradients stay twice as long as those of the pilot's middle, 10 to a tenth of the run."""
    smooth = np.convolve(norms, np.full(10, 0.1), mode="valid")
    usual = float(np.median(norms[len(norms) // 3 : 2 * len(norms) // 3]))
    long = np.flatnonzero(smooth > 2 * usual)
    length = int(np.clip(long[-1] + 10 if len(long) else 10, 10, max(10, steps // 10)))
    return Setting("solver", "warmup", str(length), "while gradients are over twice as long as in the middle of the pilot run")


def clip(norms: Sequence[float], best: float) -> Setting:
    """Return the larger of the threshold of least error and the length that one gradient in twenty exceeds."""
    half = np.array(norms[len(norms) // 2 :])
    tail = float(np.quantile(half, 0.95))
    threshold = max(best, tail)
    told = f"one gradient in twenty is longer than {tail:.2g}; the least mean-squared error is at {best:.2g}"
    return Setting("solver", "clip", f"{threshold:.2g}", told)


def block(settings: Sequence[Setting]) -> str:
    """Return settings as TOML with their reasons as comments, section by section."""
    lines: list[str] = []
    width = max(len(f"{s.key} = {s.value}") for s in settings)
    for section in dict.fromkeys(s.section for s in settings):
        lines += ["", f"[{section}]"]
        lines += [f"{f'{s.key} = {s.value}':<{width}}  # {s.reason}" for s in settings if s.section == section]
    return "\n".join(lines[1:]) + "\n"
