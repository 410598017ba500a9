"""Table rows about settings that a run chooses itself ("auto" or growing): batch size, points per cell, warm-up, clipping.

`settled_rows` tells what a finished run chose, `planned` how its batches would grow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vpinn.optimization import Plan

RULES = {
    "none": "constant size",
    "noise-scale": "following the noise scale",
    "norm-test": "growing by the norm test",
    "geometric": "growing geometrically",
    "logarithmic": "growing with the logarithm of the step",
}
"""Value of ``batch.growth`` → how the batch size changes during training, in words."""


def settled_rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return table rows (label, text) about the settings that a run chose, from the "policy" of its metrics."""
    rows = []
    if batch := found.get("batch"):
        times = f"{batch['changes']} change{'s' * (batch['changes'] != 1)}"
        drawn = f"{batch['first']:,} points → {batch['last']:,}, {times}" if batch["changes"] else f"{batch['first']:,} points"
        pilot = "" if batch["pilot_noise"] is None else f"; noise/signal of the smallest batch {batch['pilot_noise']:.2g}"
        ends = "" if batch["all_from"] is None else f"; all points from step {batch['all_from']:,} on"
        rows.append(("batches", f"{RULES[batch['growth']]}: {drawn}{ends}{pilot}"))
    if cell := found.get("per_cell"):
        variances = f"variance {cell['between']:.1e} between cells, {cell['within']:.1e} within"
        rows.append(("points per cell", f"{cell['points']} of {cell['rule']}: {variances}"))
    if rule := found.get("quadrature"):
        rows.append(("quadrature", f"{rule['first']:,} points → {rule['last']:,}, as J began to fall at the points only"))
    if warmup := found.get("warmup"):
        limit = f"step sizes up to {warmup['stable']:.1e} are stable" if math.isfinite(warmup["stable"]) else "all are stable"
        rows.append(("warm-up", f"{warmup['steps']:,} steps: {limit} at the start"))
    if clip := found.get("clip"):
        last = "none, too few steps" if clip["threshold"] is None else f"{clip['threshold']:.2e} at the end"
        rows.append(
            ("clipping", f"threshold of least error, at most 1 in 20 clipped: {last}; {100 * clip['share']:.0f} % of the steps")
        )
    if sent := found.get("compression"):
        rows += _compressed(sent)
    return rows


def _compressed(sent: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return table rows about compressed gradients."""
    size = f"{sent['bytes']:,} bytes per step and worker instead of {sent['plain']:,}"
    noise = f"adds a variance of {sent['measured']:.1e} to the gradient, predicted {sent['predicted']:.1e}"
    rows = [("compression", f"{sent['name']}: {size}"), ("", f"every message {noise}; the next one makes it good")]
    if sent["sampling"] > 0.0:
        more = f"{sent['batch']:,.0f} points make up for it" if math.isfinite(sent["batch"]) else "no batch makes up for it"
        rows.append(("", f"the batches have {sent['sampling']:.1e}: {more}"))
    return rows


def planned(plan: Plan) -> str:
    """Return how the batch size will change during a run, as a text that follows it; "" if it stays the same."""
    if plan.batching is None:
        return ""
    policy, finish = plan.batching.policy, plan.batching.finish
    bounds = "" if policy.name == "none" else f", at most {policy.largest:,}"
    return f", {RULES[policy.name]}{bounds}" + (f", and all points in the last {100 * finish:g} % of the steps" if finish else "")
