"""What a run settled itself, and what it would, as rows of a label and a text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vpinn.optimization import Plan

RULES = {
    "none": "of one size",
    "noise-scale": "as the noise scale asks",
    "norm-test": "growing by the norm test",
    "geometric": "growing geometrically",
    "logarithmic": "growing with the logarithm of the step",
}
"""Names of growths → what batches do."""


def settled_rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a run settled, from the "policy" of its metrics."""
    rows = []
    if batch := found.get("batch"):
        times = f"{batch['changes']} change{'s' * (batch['changes'] != 1)}"
        drawn = f"{batch['first']:,} points → {batch['last']:,}, {times}" if batch["changes"] else f"{batch['first']:,} points"
        pilot = "" if batch["pilot_noise"] is None else f"; noise over signal of the least batch {batch['pilot_noise']:.2g}"
        ends = "" if batch["all_from"] is None else f"; all points from step {batch['all_from']:,} on"
        rows.append(("batches", f"{RULES[batch['growth']]}: {drawn}{ends}{pilot}"))
    if cell := found.get("per_cell"):
        variances = f"variance {cell['between']:.1e} between cells, {cell['within']:.1e} within"
        rows.append(("points per cell", f"{cell['points']} of {cell['rule']}: {variances}"))
    if rule := found.get("quadrature"):
        rows.append(("quadrature", f"{rule['first']:,} points → {rule['last']:,}: steps began to use the gaps between them"))
    if warmup := found.get("warmup"):
        limit = f"up to {warmup['stable']:.1e} is stable" if math.isfinite(warmup["stable"]) else "every step size is stable"
        rows.append(("warm-up", f"{warmup['steps']:,} steps: {limit} at the start"))
    if clip := found.get("clip"):
        last = "nothing yet" if clip["threshold"] is None else f"{clip['threshold']:.2e} at the end"
        rows.append(
            ("clipping", f"at the least error, or one gradient in twenty: {last}; {100 * clip['share']:.0f} % of the steps")
        )
    return rows


def planned(plan: Plan) -> str:
    """Return how the batches of a plan go on, as the end of a sentence; "" where they stay as they are."""
    if plan.batching is None:
        return ""
    policy, finish = plan.batching.policy, plan.batching.finish
    bounds = "" if policy.name == "none" else f", at most {policy.largest:,}"
    return f", {RULES[policy.name]}{bounds}" + (f", and all points in the last {100 * finish:g} % of the steps" if finish else "")
