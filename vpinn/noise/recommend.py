"""What the measurements imply for training, ready to paste into a problem file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vpinn.noise.finding import Array, Curve
from vpinn.noise.pilot import Trial

FEWEST = 32
"""Points of a recommended batch at least: below, a step's time no longer falls."""
TRIED = 33
"""Sizes between the smallest and the largest batch measured."""
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


@dataclass(frozen=True)
class Batches:
    """How batches are best drawn.

    Attributes:
        size: points of the domain; all of them where nothing is drawn.
        sampler: name.
        settings: lines of the problem file.
    """

    size: int
    sampler: str
    settings: tuple[Setting, ...]


def batches(
    scale: float,
    costs: tuple[float, float],
    points: int,
    curves: Mapping[str, Curve],
    shares: Mapping[str, float],
    cells: tuple[int, int, float, float] | None = None,
) -> Batches:
    """Return the sampler and the batch of least time to an accuracy, (1 + S/b)(c₀ + c₁b), or all points, whose sum has no noise.

    Args:
        scale: noise scale of uniform draws where training ends, the largest of the run as a rule: what is left of the noise
            there is the error.
        costs: c₀ and c₁ of a step's time.
        points: of the domain.
        curves: variance over batch size by sampler, "uniform" among them.
        shares: variance by allocation of strata.
        cells: points of a drawn cell as sampler "cells" was measured, of how many, and the variances between and within cells.
    """
    step, point = costs
    whole = step + point * points
    best, told = (whole, points, "uniform", 1.0), f"a step takes {1e3 * whole:.2g} ms, and nothing is drawn"
    for name, curve in curves.items():
        first, last = max(FEWEST, float(curve.x[0])), min(float(curve.x[-1]), points / 2)
        if first > last or not math.isfinite(scale):
            continue
        sizes = np.geomspace(first, last, TRIED)
        ratio = np.exp(_level(curve, sizes) - _level(curves["uniform"], sizes))
        seconds = (1.0 + scale * ratio / sizes) * (step + point * sizes)
        k = int(seconds.argmin())
        best = min(best, (float(seconds[k]), int(16 * max(1, round(sizes[k] / 16))), name, float(ratio[k])))
    least, size, sampler, share = best
    if size == points:
        told += f": the noise scale is {scale:.0f} points at the end" if math.isfinite(scale) else ""
        return Batches(points, "uniform", (Setting("batch", "size", '"full"', told),))
    lines = [
        Setting(
            "batch",
            "size",
            str(size),
            f"(1 + S/b)(c₀ + c₁b) is least: S = {scale * share:.0f} points at the end, c₀ = {1e3 * step:.2g} ms, "
            f"c₁ = {1e6 * point:.2g} µs; {least / whole:.2g} of the time with all points",
        ),
        Setting("batch", "sampler", f'"{sampler}"', f"{share:.2g} of the variance of uniform draws at this size"),
    ]
    if sampler == "cells" and cells is not None:
        told = f"of {cells[1]}: the variance within cells is {cells[3] / max(cells[2], 1e-300):.2g} of that between them"
        lines.append(Setting("batch", "per_cell", str(cells[0]), told))
    if sampler == "stratified":
        gain = shares["neyman"] / shares["proportional"]
        rule = "neyman" if gain < WORTHWHILE else "proportional"
        told = f"on a few blocks Neyman's variance is {gain:.2f} of the proportional one"
        lines.append(Setting("batch", "allocation", f'"{rule}"', told))
    return Batches(size, sampler, tuple(lines))


def _level(curve: Curve, sizes: Array) -> Array:
    """Return log b·Var at some batch sizes [n], between those measured along straight lines."""
    return np.asarray(np.interp(np.log(sizes), np.log(curve.x), np.log(curve.x * curve.measured)))


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
