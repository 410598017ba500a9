"""What the measurements imply for training, ready to paste into a problem file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vpinn.noise.advice import Candidate, simplest
from vpinn.noise.finding import Array, Curve
from vpinn.noise.pilot import RateTrial

FEWEST = 32
"""Points of a recommended batch at least: below, a step's time no longer falls."""
EQUAL = 0.1
"""Share up to which times of batches count as equal: processors' own vary as much from run to run."""
WORTH = 0.5
"""Share of the time with all points that batches have to stay below: theory tells progress on a parabola, by the best steps."""


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
class Size:
    """How many points a step sees.

    Attributes:
        points: of the domain per batch; all of them where nothing is drawn.
        reason: why.
    """

    points: int
    reason: str


def size(
    scale: float, costs: tuple[float, float], points: int, curves: Mapping[str, Curve], whole: float | None = None
) -> Size:
    """Return the batch of least time to an accuracy, (1 + S/b)(c₀ + c₁b), or all points, whose sum has no noise.

    Batches are powers of two, the least time is that of the best sampler, and times within a tenth count as equal: what is
    recommended does not depend on the speed of a machine, and on its load at the edges only. All points are the simpler choice,
    and are taken unless batches need less than half of the time: what training gains by them is told to a factor of two.

    Args:
        scale: noise scale of uniform draws where training ends, the largest of the run as a rule: what is left of the noise
            there is the error.
        costs: c₀ and c₁ of a step's processor time.
        points: of the domain.
        curves: variance over batch size by sampler, "uniform" among them.
        whole: seconds of a step on all points as measured, which needs no second batch and no numbering of drawn points; None
            for c₀ + c₁N.
    """
    step, point = costs
    whole, times = step + point * points if whole is None else whole, dict[int, float]()
    for curve in curves.values():
        first, last = max(FEWEST, float(curve.x[0])), min(float(curve.x[-1]), points / 2)
        if first > last or not math.isfinite(scale):
            continue
        for power in range(math.ceil(math.log2(first) - 1e-9), math.floor(math.log2(last) + 1e-9) + 1):
            at = np.array([2.0**power])
            ratio = float(np.exp(_level(curve, at) - _level(curves["uniform"], at))[0])
            spent = (1.0 + scale * ratio / at[0]) * (step + point * at[0])
            times[2**power] = min(spent, times.get(2**power, math.inf))
    noise = f": the noise scale is {scale:.0f} points at the end" if math.isfinite(scale) else ""
    least = min(times.values(), default=math.inf)
    if least > WORTH * whole:
        also = "" if whole < least else f"; batches take {least / whole:.2g} of the time by theory, equal within a factor of two"
        return Size(points, f"a step takes {1e3 * whole:.2g} ms, and nothing is drawn{noise}{also}")
    best = min(times, key=lambda b: times[b])
    equal = [b for b in sorted(times) if times[b] <= (1.0 + EQUAL) * least]
    also = f"; {equal[0]} to {equal[-1]} are equal within a tenth" if len(equal) > 1 else ""
    told = f"S = {scale:.0f} points at the end of uniform draws, c₀/c₁ = {step / point:.0f} points"
    return Size(best, f"(1 + S/b)(c₀ + c₁b) is least: {told}; {least / whole:.2g} of the time with all points{also}")


def drawing(found: Sequence[Candidate]) -> list[Setting]:
    """Return the lines that say how batches are drawn: the simplest way that none is better than beyond errors."""
    chosen = simplest(found)
    others = [c for c in found if c is not chosen]
    equal = [c.name for c in found[found.index(chosen) + 1 :] if not chosen.better(c)]
    same = f"; equal within errors, or by turns better and worse: {', '.join(equal)}; the simplest is taken" if equal else ""
    uniform = next((c.variance[-1] for c in found if c.name == "uniform"), math.nan)
    share = f", {chosen.variance[-1] / uniform:.2g} of that of uniform draws" if chosen.name != "uniform" and uniform else ""
    lines = [Setting("batch", "sampler", f'"{chosen.keys["sampler"]}"', f"variance {_told(chosen)} as drawn{share}{same}")]
    if chosen.keys["sampler"] == "stratified":
        strata, rule = chosen.keys.get("strata", "blocks"), chosen.keys.get("allocation", "proportional")
        alike = [c for c in others if c.keys["sampler"] == "stratified" and c.keys.get("strata", "blocks") == strata]
        rest = ", ".join(f"{c.keys.get('allocation', 'proportional')} {_told(c)}" for c in alike)
        lines.append(Setting("batch", "allocation", f'"{rule}"', f"variance {_told(chosen)}{' beside ' * bool(rest)}{rest}"))
        lines += [Setting("batch", "strata", f'"{strata}"', "as in the file")] if strata != "blocks" else []
    if "per_cell" in chosen.keys:
        lines.append(Setting("batch", "per_cell", str(chosen.keys["per_cell"]), "of least variance at the cost of a step"))
    return lines


def _told(candidate: Candidate) -> str:
    """Return the variances at the places, in the order of the run."""
    return " → ".join(f"{v:.3g} ± {e:.1g}" for v, e in zip(candidate.variance, candidate.error, strict=True))


def _level(curve: Curve, sizes: Array) -> Array:
    """Return log b·Var at some batch sizes [n], between those measured along straight lines."""
    return np.asarray(np.interp(np.log(sizes), np.log(curve.x), np.log(curve.x * curve.measured)))


PART = 0.25
"""Part of the best rate of short trials that long runs are given."""


def learning_rate(trials: Sequence[RateTrial], limit: float) -> Setting:
    """Return the line of a part of the rate whose short trial, with the batch that is recommended, ended lowest.

    A few steps go farthest by a rate that thousands of them do not bear: on ``problems/disk.toml`` 3,186 steps at the best rate
    of trials ended at an error of 1.6e-3, and at a quarter of it at 2.0e-5.
    """
    best = min(trials, key=lambda t: t.loss)
    worse = [t.rate for t in trials if t.rate > best.rate]
    beyond = f", and {worse[0]:.2g} is worse" if worse else ", the largest tried"
    tried = ", ".join(f"{t.rate:.2g}" for t in trials)
    told = f"a quarter of {best.rate:g}, the lowest loss of short trials at {tried}{beyond}"
    told += f"; plain descent is stable to {limit:.1e}"
    return Setting("solver", "learning_rate", f"{PART * best.rate:g}", told)


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
