"""Elements of rising degree for an inverse problem, until what is inferred no longer depends on them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.errors import VpinnError
from vpinn.finite_elements import expected_functions, lowest_degree
from vpinn.inference.basis import MARGINS
from vpinn.inference.elements import ElementModel, forward_problem
from vpinn.inference.gauss_newton import Fitted, fit
from vpinn.inference.marches import MarchModel
from vpinn.inference.posterior import Posterior
from vpinn.problem import Case

Array = NDArray[np.float64]
DEGREES = {1: (2, 4, 6, 8, 10), 2: (2, 4, 6, 8), 3: (1, 2, 3, 4)}
"""Dimension → degrees of the stages."""
MOST = {1: 50_000, 2: 60_000, 3: 30_000}
"""Dimension → functions that a stage after the first may have."""
ENTRIES = 4e7
"""Entries that the derivative of the solution by the coefficients may have in a stage after the first."""
SMALL = 0.02
"""Change of what is inferred, in standard deviations, below which higher degrees gain nothing."""
NEAR = 0.9
"""Share of the longest length that a field's box resolves, from which a wider box is tried."""


@dataclass(frozen=True, eq=False)
class InferenceStage:
    """What elements of one degree infer.

    Attributes:
        model: the elements.
        posterior: what is known of the unknowns.
        shift: largest change of an unknown from the stage before, in standard deviations; infinite in the first.
        seconds: since the first stage began.
        steps: of Gauss–Newton in this stage.
    """

    model: ElementModel | MarchModel
    posterior: Posterior
    shift: float
    seconds: float
    steps: int

    @property
    def margin(self) -> float:
        """Margin of the boxes of fields."""
        return next(iter(self.model.bases.values())).margin

    @property
    def elements(self) -> ElementModel:
        """The elements of a steady problem."""
        assert isinstance(self.model, ElementModel)
        return self.model

    @property
    def record(self) -> dict[str, Any]:
        """Margin and coefficients, JSON-compatible: what ``found_problem`` takes beside the problem."""
        found = {name: [float(c) for c in self.posterior.coefficients[part]] for name, part in self.model.parts.items()}
        return {"margin": self.margin, "coefficients": found}


def infer_in_stages(
    problem: Case,
    note: Callable[[InferenceStage], bool] = lambda stage: True,
    step: Callable[[int, float], None] = lambda number, value: None,
) -> tuple[InferenceStage, str]:
    """Return the last stage, and why there is no further one: "tolerance" or "grown".

    Args:
        problem: an inverse problem on a mesh.
        note: told every stage; False ends them.
        step: told every step of Gauss–Newton with the objective.

    Raises:
        InputError: elements cannot state the problem, or no measurement depends on an unknown.
        VpinnError: the first stage finds no solution.
    """
    began, stage = time.perf_counter(), None
    d, count = problem.domain.dimension, len(problem.inverse.inferred) if problem.inverse else 0
    plain = forward_problem(problem, np.zeros(count))
    for degree in DEGREES[d]:
        functions = expected_functions(plain, degree)
        if degree < lowest_degree(plain):
            continue
        if stage is not None and (functions > MOST[d] or functions * stage.model.size > ENTRIES):
            return stage, "grown"
        try:
            before, stage = stage, _stage(problem, degree, stage, step, began)
        except VpinnError:
            if stage is None:
                raise
            return stage, "grown"
        if not note(stage) or (before is not None and stage.shift <= SMALL):
            return stage, "tolerance" if stage.shift <= SMALL else "grown"
    assert stage is not None
    return stage, "grown"


def _stage(
    problem: Case, degree: int, before: InferenceStage | None, step: Callable[[int, float], None], began: float
) -> InferenceStage:
    """Return a stage, with boxes as wide as the fields need."""
    wider = [margin for margin in MARGINS if before is None or margin >= before.margin]
    model: ElementModel | MarchModel | None = None
    found: Fitted | None = None
    for margin in wider:
        model = ElementModel(problem, degree, margin) if problem.clock is None else MarchModel(problem, degree)
        if before is not None and margin == before.margin:
            found = fit(model, before.posterior.coefficients, before.posterior.fit.chosen, step)
        else:
            found = fit(model, np.zeros(model.size), None, step, _narrow if margin < wider[-1] else lambda found: False)
        if not _narrow(found):
            break
    assert model is not None
    assert found is not None
    posterior = Posterior(model, found)
    shift = np.inf if before is None else _shift(before.posterior, posterior)
    return InferenceStage(model, posterior, shift, time.perf_counter() - began, found.steps)


def _narrow(found: Fitted) -> bool:
    """Return whether a field's length is as long as its box allows."""
    prior = found.linear.prior
    at = int(prior.open.sum())
    for field in prior.chosen_fields:
        if found.chosen[at + 1] > np.log(NEAR) + field.limits[1, 1]:
            return True
        at += 3
    return False


def _shift(before: Posterior, now: Posterior) -> float:
    """Return the largest change of a number, and of a field on the average, in standard deviations."""
    changes = [0.0]
    for name, found in now.numbers.items():
        changes.append(abs(found["value"] - before.numbers[name]["value"]) / max(found["std"], 1e-300))
    x = now.forward.mixed.mesh.nodes if isinstance(now.forward, ElementModel) else np.empty((0, 1))
    for one in now.forward.inverse.fields:
        (old, _), (new, deviation) = before.field(one.name, x), now.field(one.name, x)
        changes.append(float(np.sqrt(np.mean(((new - old) / np.maximum(deviation, 1e-300)) ** 2))))
    return max(changes)
