"""The noise report of a problem: a pilot run, predictions beside measurements, and recommended training settings.

Start from `measure_noise`; its stages are in `vpinn.noise.parts`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from vpinn.noise import recommend
from vpinn.noise.advice import simplest
from vpinn.noise.effort import FULL, Effort
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.parts import (
    Say,
    Subject,
    Truth,
    candidates,
    drawings_of,
    over_the_run,
    pilot_of,
    pilot_run,
    scale_of,
    searched_by,
    seconds_of_all,
    walks_ends,
)
from vpinn.noise.pilot import best_rate
from vpinn.noise.population import population
from vpinn.noise.recommend import Setting
from vpinn.noise.record import Record
from vpinn.optimization.split import batches_of
from vpinn.problem import Case

_Part = TypeVar("_Part")


@dataclass(frozen=True)
class NoiseReport:
    """The result of `measure_noise`.

    Attributes:
        title: Title of the problem.
        findings: Predictions beside measurements, ordered by item.
        curves: Name → data of a figure; variances are called "variance: " and the name of the sampler.
        settings: Recommended lines of the problem file.
        numbers: Further numbers of noise.json, such as points, parameters and seconds.
    """

    title: str
    findings: tuple[Finding, ...]
    curves: dict[str, Curve]
    settings: tuple[Setting, ...]
    numbers: dict[str, Any]

    @property
    def recommendation(self) -> str:
        """Recommended settings as TOML, to paste into the problem file."""
        return recommend.block(self.settings)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-compatible values, the content of noise.json."""
        return {
            "title": self.title,
            **self.numbers,
            "findings": [finding.as_row() for finding in self.findings],
            "recommendation": {f"{s.section}.{s.key}": {"value": s.value.strip('"'), "reason": s.reason} for s in self.settings},
            "curves": {name: curve.as_dict() for name, curve in self.curves.items()},
        }


def measure_noise(
    problem: Case,
    effort: Effort = FULL,
    say: Say = lambda stage: None,
    error: Truth = lambda trial: None,
    record: Record | None = None,
) -> NoiseReport:
    """Measure the noise of mini-batch gradients on a problem, compare it with theory, and recommend settings.

    Args:
        problem: The problem; its network, quadrature and seed are used, its method is not.
        effort: Budget of the report; ``QUICK`` takes about a minute.
        say: Function that is told what is measured next.
        error: Function from the trial space to the error of the solution as a function of parameters; None if it is not known.
        record: Record of the report; parts that it holds are not measured again.

    Raises:
        InputError: The gradient is zero or not finite, there are too many points, or the form has derivatives above order two.
    """
    record, generator = record or Record(), np.random.default_rng(problem.settings.solver.seed)
    subject = Subject.of(problem, effort, error)

    def part(stage: str, find: Callable[[], _Part]) -> _Part:
        def told() -> _Part:
            say(stage)
            return find()

        return record.part(stage, told, generator)

    start = part("gradients at the start", lambda: scale_of(population(subject.objective, subject.theta, generator, 0)))
    trials = part(
        "trials of learning rates",
        lambda: best_rate(subject.objective, subject.theta, subject.middle, subject.effort.trial, subject.seed),
    )
    rate = min(trials, key=lambda t: t.loss).rate
    course = pilot_of(part("a pilot run", lambda: pilot_run(subject, rate)), subject)
    seen = part("noise over the run", lambda: over_the_run(subject, course, generator, say))
    ends = part("where noise leads", lambda: walks_ends(subject, course, seen, generator))
    searched = part("a population search", lambda: searched_by(subject, rate, seen))
    curves = {**seen["curves"], **ends[1], "search": searched[1]}
    scales = np.array([start, *seen["scales"]])
    curves["noise scale"] = Curve(np.array([0.0, *map(float, course.steps)]), scales)
    summed = part("seconds of all points", lambda: seconds_of_all(subject, course))
    variances = {name.removeprefix("variance: "): curve for name, curve in curves.items() if name.startswith("variance: ")}
    best = recommend.size(float(scales[-1]), seen["spent"], subject.points, variances, summed)
    whole, step = best.points == subject.points, batches_of(subject.objective) * best.points
    drawings = [] if whole else candidates(subject, step, part("samplers", lambda: drawings_of(subject, course, seen, step)))
    settled = part(
        "trials of learning rates with the batch recommended",
        lambda: best_rate(
            subject.begun.objective if whole else subject.objective,
            subject.theta,
            best.points,
            subject.effort.trial,
            subject.seed,
            () if whole else simplest(drawings).samplers,
        ),
    )
    clipped = curves["clipping"]
    settings = [
        Setting("batch", "size", '"full"' if whole else str(step), best.reason),
        *(recommend.drawing(drawings) if drawings else []),
        Setting("solver", "method", '"adam"', "the settings below are for a first-order method"),
        recommend.learning_rate(settled, seen["limit"]),
        recommend.warmup(course.norms, problem.settings.solver.steps or subject.effort.pilot),
        Setting("solver", "schedule", '"cosine"', "noise leaves an error proportional to the step size, so let it fall"),
        recommend.clip(course.norms, float(clipped.x[clipped.measured.argmin()])),
    ]
    numbers = {
        "points_drawn": seen["points"],
        "quadrature_points": subject.objective.size,
        "parameters": len(subject.theta),
        "batch": subject.middle,
        "measured": subject.effort.counts(),
        "noise_scale": [float(s) if np.isfinite(s) else None for s in scales],
        "noise_scale_by_curvature": seen["weighted"] if np.isfinite(seen["weighted"]) else None,
        "seconds_per_step": seen["spent"][0],
        "seconds_per_point": seen["spent"][1],
        "seconds_of_all_points": summed,
        "drawings": [{**c.keys, "variance": c.variance, "error": c.error} for c in drawings],
        "seconds": record.seconds,
    }
    findings = sorted((*seen["findings"], *ends[0], *searched[0]), key=lambda f: f.item)
    return NoiseReport(problem.title, tuple(findings), curves, tuple(settings), numbers)
