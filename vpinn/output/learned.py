"""Table rows and the figure about learning from members of a family: which way to solve further members is best.

Errors and times are geometric means over the members that were not learned from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vpinn.output.style import figure, powers_of_ten
from vpinn.solution import Solution

Array = NDArray[np.float64]
Rows = list[tuple[str, str]]
NAMES: Final[Mapping[str, str]] = {
    "cold": "cold start",
    "nearest": "nearest solved member",
    "weights": "learned weights",
    "features": "learned features",
    "least-squares": "plain least squares",
    "reduced": "reduced space",
}
"""Ways to solve a member, as tables name them."""
TRAINED = ("cold", "nearest", "weights")
"""Those that train all weights."""
COLOURS = ("#9aa5b1", "#52606d", "#0b6e99", "#d1495b", "#e9a23b", "#3c8d53")
"""Of the ways, in their order."""


@dataclass(frozen=True)
class Standing:
    """What a way reached on the members that were not learned from.

    Attributes:
        name: how tables name it.
        error: relative L² error at equal time, dimensionless; infinite where it has nothing by then.
        seconds: processor seconds to equal accuracy; infinite where a member does not get there.
        offline: processor seconds spent before the first member.
    """

    name: str
    error: float
    seconds: float
    offline: float


@dataclass(frozen=True)
class Standings:
    """The comparison of all ways.

    Attributes:
        time: processor seconds at which errors are compared: those of a whole training from learned weights.
        accuracy: error to which times are compared: the largest that a whole training from random weights leaves.
        ways: key in ``NAMES`` → what it reached; those that do not apply are left out.
    """

    time: float
    accuracy: float
    ways: Mapping[str, Standing]

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> Standings | None:
        """Return the comparison that metrics hold, None where there is none."""
        ways, seconds = metrics.get("learning", {}).get("ways", {}), metrics.get("processor_seconds") or {}
        courses = {
            name: list(zip(seconds[name]["members"], ways[name]["errors"], strict=True))
            for name in ways
            if ways[name]["errors"] and not ways[name]["refused"]
        }
        if "weights" not in courses or "cold" not in courses:
            return None
        time = _mean(taken[-1] for taken, _ in courses["weights"])
        accuracy = max(errors[-1] for _, errors in courses["cold"])
        found = {
            name: Standing(
                NAMES[name],
                _mean(_reached(*course, time) for course in courses[name]),
                _mean(_needed(*course, accuracy) for course in courses[name]),
                seconds[name]["offline"],
            )
            for name in courses
        }
        return cls(time, accuracy, found)

    def best(self, what: str, among: Iterable[str] = NAMES) -> str:
        """Return the name of the way with the least of an attribute of `Standing`, among some."""
        known = [self.ways[name] for name in among if name in self.ways]
        return min(known, key=lambda one: float(getattr(one, what))).name


def _mean(values: Iterable[float]) -> float:
    """Return the geometric mean; infinite where a value is."""
    found = [max(value, 1e-300) for value in values]
    return math.exp(sum(map(math.log, found)) / len(found)) if all(map(math.isfinite, found)) else math.inf


def _reached(seconds: Sequence[float], errors: Sequence[float], time: float) -> float:
    """Return the last error up to a time; infinite where there is none."""
    return next((error for one, error in zip(reversed(seconds), reversed(errors), strict=True) if one <= time), math.inf)


def _needed(seconds: Sequence[float], errors: Sequence[float], accuracy: float) -> float:
    """Return the first time at which an error is at most as large as another; infinite where there is none."""
    slack = accuracy * (1.0 + 1e-9)
    return next((one for one, error in zip(seconds, errors, strict=True) if error <= slack), math.inf)


def learned_rows(metrics: Mapping[str, Any]) -> Rows:
    """Return what the metrics tell of learning from members; nothing of other runs."""
    told = metrics.get("learning")
    if told is None:
        return []
    batches = "one batch for inner steps and outer gradient" if told["reuse"] else "fresh batches"
    rows = [
        ("learned from", f"{told['members']} members, {told['inner']} inner steps of size {told['rate']:g} on each; {batches}")
    ]
    for k, one in enumerate(told["bias"]):
        if None in (one["predicted"], one["measured"]):
            continue
        kind = "with the factor 1 − αH of the inner step" if k == 0 else "without this factor, as here"
        text = f"bias along the gradient {one['predicted']:.2e} predicted, {one['measured']:.2e} ± {one['error']:.0e} measured"
        rows.append(("reused batch" if k == 0 else "", f"{text}, {kind}: {one['verdict']}"))
    refused = [(NAMES[name], way["refused"]) for name, way in told.get("ways", {}).items() if way["refused"]]
    rows += [("not compared" if k == 0 else "", f"{name}: {why}") for k, (name, why) in enumerate(refused)]
    if late := told.get("late"):
        rows.append(("not compared", f"{late} unseen members, for which the time limit left no time"))
    if (standings := Standings.of(metrics)) is None:
        return rows
    ways = standings.ways.values()
    errors = ", ".join(f"{one.name} {_number(one.error, '.1e')}" for one in ways)
    times = ", ".join(f"{one.name} {_number(one.seconds, '.2g')}{' s' if math.isfinite(one.seconds) else ''}" for one in ways)
    before = ", ".join(f"{one.name} {one.offline:.3g} s" for one in ways if one.offline)
    most, soon = standings.best("error"), standings.best("seconds")
    trained = [standings.best(what, TRAINED) for what in ("error", "seconds")]
    wins = f"{most}, at equal time and at equal accuracy" if most == soon else f"{most} at equal time, {soon} at equal accuracy"
    best = trained[0] if trained[0] == trained[1] else f"{trained[0]} at equal time, {trained[1]} at equal accuracy"
    return [
        *rows,
        (f"{len(told['unseen'])} unseen members", f"{told['adapt']} steps of {told['train']} from each start"),
        ("at equal time", f"L² error after {standings.time:.2g} s of processor time: {errors}"),
        ("equal accuracy", f"processor time to {standings.accuracy:.1e}, which the cold start reaches on all of them: {times}"),
        ("before these", f"processor time: {before}"),
        ("wins", f"{wins}; of trained networks, {best}"),
    ]


def _number(value: float, how: str) -> str:
    return format(value, how) if math.isfinite(value) else "not reached"


def learned_figure(solution: Solution) -> Figure | None:
    """Return errors against processor time for all ways; None where nothing was compared."""
    metrics = solution.metrics
    if Standings.of(metrics) is None:
        return None
    ways, seconds = metrics["learning"]["ways"], metrics["processor_seconds"]
    shown = figure(7.0, 4.2, "Members not seen before")
    axes = shown.subplots()
    for (name, label), colour in zip(NAMES.items(), COLOURS, strict=True):
        if name not in ways or ways[name]["refused"] or not ways[name]["errors"]:
            continue
        both = seconds[name]["members"], ways[name]["errors"]
        time, error = (np.exp(np.log(np.maximum(found, 1e-300)).mean(0)) for found in both)
        axes.plot(time, error, color=colour, label=label, marker="" if len(time) > 1 else "o", linestyle="-")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("processor time per member [s]")
    axes.set_ylabel("relative L² error")
    powers_of_ten(axes.yaxis)
    axes.grid(True)
    axes.legend(loc="best")
    return shown
