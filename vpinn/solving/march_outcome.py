"""The outcome of a march, and its assessment: errors, error estimate and checks over space and time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from vpinn.analysis import is_near, is_right
from vpinn.domain import CellPoints
from vpinn.errors import InputError
from vpinn.march import (
    Collapse,
    Distance,
    Marches,
    MarchStage,
    answers_in_time,
    as_metrics,
    beside_elements,
    exact_field,
    gap_between,
    times_of,
)
from vpinn.metrics import Accuracy, Metrics
from vpinn.problem import Case
from vpinn.solution import Solution
from vpinn.solving.strategy import Outcome

UNRESOLVED = 0.1
"""Relative error estimate above which a check fails."""
FINER = 4
"""How much higher the degree of the quadrature for true errors is than that of the march."""


@dataclass(frozen=True)
class MarchOutcome(Outcome):
    """Outcome of a strategy for problems that depend on time.

    Attributes:
        timed: The problem that depends on time.
        stage: The best march, with its error estimate.
        stages: All marches of the run.
        ended: Why there is no further march, as ``stages.ended`` tells it.
        answers: Quantities and errors of further fields, as entries of the metrics; None to compute them.
    """

    _: KW_ONLY
    timed: Case
    stage: MarchStage
    stages: Marches
    ended: str
    answers: Mapping[str, Any] | None = None

    @property
    def space(self) -> MarchStage:
        """The march."""
        return self.stage

    def assessed(self) -> Solution:
        """Return the solution with its errors, error estimate and failed checks over space and time in its metrics."""
        errors, effectivity, checks = self._accuracy()
        estimate = self.stage.estimate
        assert estimate is not None
        if self.timed.reference is not None:
            errors = {**self._against_reference(), **errors}
        more: dict[str, Any] = {"estimate_over_time": estimate.curve.tolist(), **self._answers()}
        if (asked := self.timed.settings.reference.fem) is not None:
            assert isinstance(asked.degree, int)
            try:
                more["fem"] = beside_elements(self.stage, asked.degree, asked.refine, self.stages.instants)
                if not errors:
                    errors, more["errors_against"] = more["fem"]["difference"], "elements"
            except (InputError, Collapse) as error:
                checks.append(f"reference.fem: {error}")
        told = {
            "relative_energy": estimate.relative,
            "relative_energy_final": estimate.final,
            "relative_l2": {name: found["relative_l2"] for name, found in estimate.unknowns.items()},
            "relative_l2_final": {name: found["relative_l2_final"] for name, found in estimate.unknowns.items()},
            **effectivity,
        }
        accuracy = Accuracy(errors, told, checks, more=more)
        metrics = dataclasses.replace(Metrics.of(self.solution.metrics), accuracy=accuracy)
        return dataclasses.replace(self.solution, metrics=metrics)

    def _answers(self) -> Mapping[str, Any]:
        """Return quantities and errors of further fields: those that are known, if they are all that are asked for."""
        asked = self.timed.answers
        if self.answers is not None and self.answers.get("quantities", {}).keys() == asked.quantities.keys():
            return self.answers
        return answers_in_time(self.stage, times_of(self.stage))

    def _accuracy(self) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
        """Return errors against the exact solution, the effectivity of the estimate, and the failed checks."""
        estimate, checks = self.stage.estimate, list[str]()
        assert estimate is not None
        if not estimate.relative <= UNRESOLVED:
            checks.append(
                f"error estimate: {estimate.relative:.0%} of the solution is unresolved over space and time; refine the mesh, or "
                "give more solver.features"
            )
        if self.ended == "collapse":
            checks.append(
                "march: with more features the steps became too small; the solution may cease to exist, refine the mesh"
            )
        if not self.timed.exact:
            return {}, {}, checks
        gap = true_gap(self.stage, self.stages)
        both = {"effectivity": (estimate.relative, gap.relative), "effectivity_final": (estimate.final, gap.final)}
        found = {name: one / true if true > 0 else None for name, (one, true) in both.items()}
        told = estimate.relative, gap.relative
        if gap.relative > 0 and not is_near(*told) and not is_right(*told, self.timed):
            checks.append(
                f"error estimate: it is {found['effectivity']:.2g} times the error, {estimate.relative:.1e} over space and time; "
                "do not trust it on problems like this, refine the mesh"
            )
        return as_metrics(gap), found | {"true_over_time": gap.curve.tolist()}, checks

    def _against_reference(self) -> dict[str, dict[str, Any]]:
        """Return the relative error against reference values: over all of them, and over those at the last instant."""
        reference = self.timed.reference
        assert reference is not None
        values, instants = self.solution.evaluate(reference.points), reference.points[:, -1]
        last = instants == instants.max()
        errors = {}
        for name, truth in reference.values.items():
            gap = values[name].reshape(len(truth), -1) - truth
            known = {
                key: float(np.linalg.norm(gap[rows]) / (max(np.linalg.norm(truth[rows]), 1e-6 * np.linalg.norm(truth)) or 1.0))
                for key, rows in (("relative_l2", slice(None)), ("relative_l2_final", last))
            }
            errors[name] = {**known, "points": len(truth), "outside": reference.outside}
        return errors


def true_gap(stage: MarchStage, stages: Marches) -> Distance:
    """Return the distance of a stage from the exact solution."""
    problem = stage.problem
    mesh = problem.domain.with_cells()
    finer = CellPoints(mesh, min(30, stage.points.degree + FINER), refine=stage.points.refine)
    points = finer.take(range(finer.size))
    names = [u.name for u in problem.unknowns if u.name in problem.exact]
    exact = exact_field(problem, points, stage.opened)
    return gap_between(problem, stage.at(points), exact, names, points.w, stages.instants)
