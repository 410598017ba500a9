"""The variance of gradients from drawn second derivatives, for item 13: each point is a cluster of derivatives."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import torch

from vpinn.noise.draws import drawer, samplers_for
from vpinn.noise.finding import Array, Finding
from vpinn.noise.population import Population
from vpinn.noise.questions import OpenSamples, Question
from vpinn.objective import Batch, Objective
from vpinn.placement import host

GROUPS, PROBES, PAIRS = 32, 8, 32
"""Batches and directions of θ from which the variance is predicted, and pairs of draws from which it is first measured."""


def drawn_derivatives(people: Population, size: int, generator: np.random.Generator) -> list[Question]:
    """Compare the variance that drawn second derivatives add to a gradient with theory; [] where all of them are taken.

    Args:
        people: Statistics over all points.
        size: Points of a batch.
        generator: Generator of the draws.
    """
    objective, theta = people.objective, people.theta
    directions = objective.directions
    if directions is None:
        return []
    draw = drawer(samplers_for(objective, "uniform", size), generator)

    def points() -> Batch:
        return [(measure, measure.batch(*one)) for measure, one in zip(objective.measures, draw(), strict=True)]

    seeds = torch.Generator().manual_seed(int(generator.integers(2**63)))
    parts = np.zeros((GROUPS, 2))
    for row in parts:
        for measure, some in points():
            if measure.directions is not None:
                row += measure.directions.variances(theta, some.x, some.w, some.fixed, seeds, PROBES)

    def pairs(taken: Objective, count: int) -> Array:
        """Return ½‖g − g'‖² [count, 1] of gradients that differ in their derivatives alone."""
        found = np.empty((count, 1))
        for row in found:
            batch = points()
            one, other = (host(taken.sampled(theta, _redrawn(taken, batch, generator))[1]) for _ in range(2))
            row[0] = 0.5 * ((one - other) ** 2).sum()
        return found

    questions = []
    for count in sorted({2, directions.count, (2 + directions.most) // 2} - {directions.most}):
        predicted = np.array([directions.variance_of((one, two), count) for one, two in parts])
        taken = objective.taking(count)
        seen = OpenSamples(partial(pairs, taken), 2.0 * size * (1 + count), PAIRS)
        named = f"{count} of {directions.most} second derivatives at each of {size} points: tr Cov of the gradient due to them"
        questions.append(Question((seen,), partial(_rows, named, predicted, seen)))
    return questions


def _rows(named: str, predicted: Array, seen: OpenSamples) -> list[Finding]:
    measured = seen.values[:, 0]
    error = np.hypot(measured.std(ddof=1) / len(measured) ** 0.5, predicted.std(ddof=1) / len(predicted) ** 0.5)
    return [Finding(13, named, float(predicted.mean()), float(measured.mean()), float(error))]


def _redrawn(objective: Objective, batch: Batch, generator: np.random.Generator) -> Batch:
    """Return the same points with newly drawn second derivatives."""
    made = []
    for measure, (_, points) in zip(objective.measures, batch, strict=True):
        if measure.directions is not None:
            chosen = measure.placement.put(measure.directions.draw(len(points.w), generator))
            points = dataclasses.replace(points, chosen=chosen)
        made.append((measure, points))
    return made
