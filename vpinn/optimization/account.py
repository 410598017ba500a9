"""Report what a training run decided itself: batch sizes, points per cell, quadrature, warm-up and clipping.

The dictionaries go into metrics.json and into the table that closes a run.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vpinn.objective import Objective
from vpinn.optimization.method import Method
from vpinn.optimization.planned import Plan
from vpinn.optimization.split import noise_by_tag
from vpinn.optimization.training import COLUMNS, Training
from vpinn.sampling import Cells


def policy_found(training: Training, plan: Plan, points: int) -> dict[str, Any]:
    """Return the quantities that the problem file left to the run; {} where it left none, or where no step was taken.

    Entries, each present only where the run decided it:
        "batch": "growth", name of the growth rule; points of the "first" and of the "last" drawn batch; "changes", how often the
            size changed from row to row of the history; "all_from", the step (from 1) from which all points were used to the
            end, None if the last step drew a batch; "pilot_noise", noise over signal S/b of batches drawn before the first step,
            dimensionless.
        "per_cell": "points" drawn in each drawn cell; "rule", number of points of the cell's rule; variances "between" and
            "within" cells, measured by pilots.
        "quadrature": points of the "first" and of the "last" quadrature rule.
        "warmup": its "steps", and the largest "stable" step size at the start.
        "clip": the last "threshold" of the gradient norm, and the "share" of the steps that were clipped, 0 to 1.

    Args:
        training: state at the end of the run.
        plan: plan of the run.
        points: number of quadrature points of all measures at the end.
    """
    found: dict[str, Any] = {}
    history = training.history.table
    if not len(history):
        return found
    settled = training.settled
    if plan.batching is not None:
        size = history[:, COLUMNS.index("batch_size")]
        drawn = np.flatnonzero(size != points)
        found["batch"] = {
            "growth": plan.batching.policy.name,
            "first": int(size[0]),
            "last": int(size[drawn[-1]]) if len(drawn) else points,
            "changes": int((np.diff(size) != 0).sum()),
            "all_from": _all_from(drawn, history[:, COLUMNS.index("step")]),
            "pilot_noise": None if settled is None or math.isnan(settled.noise) else settled.noise,
        }
    domain = plan.samplers[0] if plan.samplers else None
    if isinstance(domain, Cells) and domain.per_cell is None and training.learned:
        state = training.learned[0]
        found["per_cell"] = {"points": domain.points_per_cell(state), "rule": len(domain.curve.local)}
        found["per_cell"] |= {name: float(state[name][0]) for name in ("between", "within")}
    if training.rule and training.rule.level:
        found["quadrature"] = {"first": int(history[0, COLUMNS.index("batch_size")]), "last": points}
    if plan.warmup and settled is not None:
        found["warmup"] = {"steps": int(settled.warmup), "stable": settled.stable}
    if plan.clip == "auto":
        share = float(np.average(history[:, COLUMNS.index("clipped")], weights=steps_of(history)))
        found["clip"] = {"threshold": training.clipping.threshold, "share": share}
    return found


def steps_of(history: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for how many steps each row of a history [rows, columns] stands [rows]: those since the row before."""
    return np.diff(history[:, COLUMNS.index("step")], prepend=0.0)


def _all_from(drawn: NDArray[np.int64], steps: NDArray[np.float64]) -> int | None:
    """Return the step from which all points were seen to the end, None if the last was drawn.

    Args:
        drawn: rows of the history that drew a batch.
        steps: numbers of the steps of all rows, from 1.
    """
    if not len(drawn):
        return 1
    return int(steps[drawn[-1]]) + 1 if drawn[-1] + 1 < len(steps) else None


def strata_found(objective: Objective, plan: Plan, training: Training, theta: Tensor) -> list[dict[str, Any]]:
    """Return the noise of the gradient in each stratum by tag of the last drawn batches; [] where there are no such strata.

    Args:
        objective: what was minimised.
        plan: plan of the run.
        training: state at the end of the run.
        theta: parameters found [size].

    Returns:
        One dictionary per stratum, see ``split.noise_by_tag``.
    """
    samplers = plan.samplers
    if not samplers or not isinstance(plan.method, Method):
        return []
    if plan.batching is not None and training.settled is not None:
        samplers = plan.batching.samplers(int(training.settled.batch))
    return noise_by_tag(objective, samplers, np.random.default_rng(training.step), theta, training.learned)
