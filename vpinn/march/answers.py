"""Quantities of a problem in time: integrals at every instant, with errors estimated by the following stage of the march."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vpinn.analysis import field_errors, quantities_of
from vpinn.march.stage import MarchStage
from vpinn.problem import output_times, steady_at

MOST = 101
"""Largest number of instants at which quantities are computed."""


def answers_in_time(stage: MarchStage, times: Sequence[float]) -> dict[str, Any]:
    """Return the quantities, and the errors of the further fields, of a problem file as entries of the metrics.

    Args:
        stage: the march.
        times: instants that are written, rising; the last is the end. At most `MOST` of them, evenly chosen, are used.

    Returns:
        "quantities": name → "value" and "error" at the end, and lists "times", "values", "errors" of the instants; "fields":
        those of `field_errors` at the end, with "_final" in their keys. Entries without a request in the file are left out.
    """
    answers = stage.problem.answers
    chosen = np.unique(np.linspace(0, len(times) - 1, min(MOST, len(times))).round().astype(int))
    instants = [times[k] for k in chosen]
    entries: dict[str, Any] = {}
    if answers.quantities:
        course = [_at(stage, t, quantities_of) for t in instants]
        entries["quantities"] = {
            name: {
                **course[-1][name],
                "times": instants,
                "values": [moment[name]["value"] for moment in course],
                "errors": [moment[name]["error"] for moment in course],
            }
            for name in answers.quantities
        }
    if answers.fields:
        found = _at(stage, instants[-1], field_errors)
        entries["fields"] = {name: {f"{key}_final": value for key, value in known.items()} for name, known in found.items()}
    return entries


def times_of(stage: MarchStage) -> tuple[float, ...]:
    """Return the instants that are written and that the march has reached, rising."""
    return tuple(float(t) for t in output_times(stage.problem) if t <= stage.marched.course.end)


def _at(stage: MarchStage, t: float, asked: Any) -> Any:
    """Return the result of a function for the march at an instant, compared with the following stage as the better solution."""
    steady = steady_at(stage.problem, t)
    following = stage.following
    better = None if following is None else following.trial_at(t, steady_at(following.problem, t))
    return asked(steady, *stage.trial_at(t, steady), better)
