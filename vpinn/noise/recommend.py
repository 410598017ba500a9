"""Training settings that follow from the measurements, each with its reason, ready to paste into a problem file.

Every function returns one or a few settings from some of the measurements; `block` writes them as TOML.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vpinn.noise.advice import Candidate, simplest
from vpinn.noise.finding import Array, Curve
from vpinn.noise.pilot import RateTrial

FEWEST = 32
"""Smallest recommended batch size; with fewer points the time of a step hardly falls."""
EQUAL = 0.1
"""Relative difference up to which times of batches count as equal; measured times differ as much from run to run."""
WORTH = 0.5
"""Largest share of the time with all points for which mini-batches are recommended.

The predicted time is for a quadratic J and the best step sizes, and is trusted to a factor of two only.
"""


@dataclass(frozen=True)
class Setting:
    """One recommended line of a problem file, with its reason.

    Attributes:
        section: Section of the problem file.
        key: Key in the section.
        value: Value as TOML text.
        reason: Why this value is recommended.
    """

    section: str
    key: str
    value: str
    reason: str


@dataclass(frozen=True)
class Size:
    """A recommended batch size, with its reason.

    Attributes:
        points: Points of the domain per batch; all of them if mini-batches are not recommended.
        reason: Why this size is recommended.
    """

    points: int
    reason: str


def size(scale: float, costs: tuple[float, float], points: int, curves: Mapping[str, Curve], whole: float | None = None) -> Size:
    """Return the batch size b of least predicted time to an accuracy, (1 + S/b)(c₀ + c₁b), or all points.

    Batch sizes are powers of two, every size is judged with its best sampler, and times within 10 % count as equal, so that the
    recommendation hardly depends on speed and load of the machine. All points are recommended unless mini-batches need less than
    half of the time: they are the simpler choice, and the prediction is trusted to a factor of two only.

    Args:
        scale: Noise scale S of uniform draws at the end of the pilot run, in points. It is usually the largest of the run, and
            the noise there limits the final error.
        costs: Processor seconds c₀ per step and c₁ per point.
        points: Number of quadrature points in the domain.
        curves: Variance over batch size by name of the sampler; "uniform" is among them.
        whole: Measured seconds of a step on all points; None for c₀ + c₁·points.
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
    noise = f"; the noise scale at the end is {scale:.0f} points" if math.isfinite(scale) else ""
    least = min(times.values(), default=math.inf)
    if least > WORTH * whole:
        also = "" if whole < least else f"; mini-batches need {least / whole:.2g} of the time by theory, not clearly less"
        return Size(points, f"mini-batches would gain little, a step on all points takes {1e3 * whole:.2g} ms{noise}{also}")
    best = min(times, key=lambda b: times[b])
    equal = [b for b in sorted(times) if times[b] <= (1.0 + EQUAL) * least]
    also = f"; {equal[0]} to {equal[-1]} points are equal within 10 %" if len(equal) > 1 else ""
    told = f"noise scale S = {scale:.0f} points at the end, c₀/c₁ = {step / point:.0f} points"
    return Size(best, f"least time (1 + S/b)(c₀ + c₁b): {told}; {least / whole:.2g} of the time with all points{also}")


def drawing(found: Sequence[Candidate]) -> list[Setting]:
    """Return the settings of the recommended way to draw batches, which is `advice.simplest` of the candidates."""
    chosen = simplest(found)
    others = [c for c in found if c is not chosen]
    equal = [c.name for c in found[found.index(chosen) + 1 :] if not chosen.better(c)]
    same = f"; not clearly worse: {', '.join(equal)}; of these the simplest is taken" if equal else ""
    uniform = next((c.variance[-1] for c in found if c.name == "uniform"), math.nan)
    share = f", {chosen.variance[-1] / uniform:.2g} times that of uniform draws" if chosen.name != "uniform" and uniform else ""
    lines = [Setting("batch", "sampler", f'"{chosen.keys["sampler"]}"', f"variance {_told(chosen)} over the run{share}{same}")]
    if chosen.keys["sampler"] == "stratified":
        strata, rule = chosen.keys.get("strata", "blocks"), chosen.keys.get("allocation", "proportional")
        alike = [c for c in others if c.keys["sampler"] == "stratified" and c.keys.get("strata", "blocks") == strata]
        rest = ", ".join(f"{c.keys.get('allocation', 'proportional')} {_told(c)}" for c in alike)
        lines.append(Setting("batch", "allocation", f'"{rule}"', f"variance {_told(chosen)}{' beside ' * bool(rest)}{rest}"))
        lines += [Setting("batch", "strata", f'"{strata}"', "as in the file")] if strata != "blocks" else []
    if "per_cell" in chosen.keys:
        lines.append(Setting("batch", "per_cell", str(chosen.keys["per_cell"]), "least variance for the cost of a step"))
    return lines


def _told(candidate: Candidate) -> str:
    """Return the variances at all places as text, in the order of the run."""
    return " → ".join(f"{v:.3g} ± {e:.1g}" for v, e in zip(candidate.variance, candidate.error, strict=True))


def _level(curve: Curve, sizes: Array) -> Array:
    """Return log(b·variance) at some batch sizes b [n], interpolated linearly in log b between the sizes measured."""
    return np.asarray(np.interp(np.log(sizes), np.log(curve.x), np.log(curve.x * curve.measured)))


PART = 0.25
"""Recommended learning rate over the best one of short trials, by experience; long runs need smaller steps than short ones."""


def learning_rate(trials: Sequence[RateTrial], limit: float) -> Setting:
    """Return the recommended learning rate: a quarter (`PART`) of the rate whose short trial ended with the lowest loss.

    A rate that is best for a few steps is too large for thousands of steps, whose final error it would limit.

    Args:
        trials: Short runs with different rates and the recommended batch.
        limit: Largest stable step size of gradient descent with mini-batches at the start, for the reason only.
    """
    best = min(trials, key=lambda t: t.loss)
    worse = [t.rate for t in trials if t.rate > best.rate]
    beyond = f", and {worse[0]:.2g} is worse" if worse else ", the largest tried"
    tried = ", ".join(f"{t.rate:.2g}" for t in trials)
    told = f"a quarter of {best.rate:g}, which had the lowest loss in short trials of {tried}{beyond}"
    told += f"; gradient descent is stable up to {limit:.1e}"
    return Setting("solver", "learning_rate", f"{PART * best.rate:g}", told)


def warmup(norms: Sequence[float], steps: int) -> Setting:
    """Return the recommended warm-up, which lasts while gradients are much longer than usual.

    Args:
        norms: Gradient norms of the pilot run; usual is the median of its middle third, and much longer is twice that.
        steps: Steps of the run; the warm-up takes at least 10 steps and at most a tenth of them.
    """
    smooth = np.convolve(norms, np.full(10, 0.1), mode="valid")
    usual = float(np.median(norms[len(norms) // 3 : 2 * len(norms) // 3]))
    long = np.flatnonzero(smooth > 2 * usual)
    length = int(np.clip(long[-1] + 10 if len(long) else 10, 10, max(10, steps // 10)))
    return Setting("solver", "warmup", str(length), "while gradient norms are over twice those in the middle of the pilot run")


def clip(norms: Sequence[float], best: float) -> Setting:
    """Return the recommended clipping threshold of the gradient norm.

    Args:
        norms: Gradient norms of the pilot run; the threshold is not below the norm that one in twenty exceeds in its second half.
        best: Threshold with the least mean-squared error.
    """
    half = np.array(norms[len(norms) // 2 :])
    tail = float(np.quantile(half, 0.95))
    threshold = max(best, tail)
    told = f"one gradient norm in twenty exceeds {tail:.2g}; the mean-squared error is least at {best:.2g}"
    return Setting("solver", "clip", f"{threshold:.2g}", told)


def block(settings: Sequence[Setting]) -> str:
    """Return settings as TOML text, by section, with their reasons as comments."""
    lines: list[str] = []
    width = max(len(f"{s.key} = {s.value}") for s in settings)
    for section in dict.fromkeys(s.section for s in settings):
        lines += ["", f"[{section}]"]
        lines += [f"{f'{s.key} = {s.value}':<{width}}  # {s.reason}" for s in settings if s.section == section]
    return "\n".join(lines[1:]) + "\n"
