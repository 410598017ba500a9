"""Statistics of a Langevin chain: its temperature, how far it has forgotten its start, and whether its samples can be trusted.

For the law exp(−J/T) in r directions, integration by parts gives E (θ − c)·∇J = E z·s = rT, whatever J and c are
(equipartition; where J is quadratic, its mean is rT/2 above the minimum). Without the Metropolis rule, the stationary chain
z ← z − ηs + noise of variance 2ηT' has E z·s = rT' + ½ηE|s|² instead. That is r times its actual temperature, which includes the
noise of the mini-batches and the error of the step. Both hold for stationary chains only: one that drifts, or has not yet
explored its directions, shows other values. The standard errors of this mean and of the means of every zₖ are estimated from
blocks (batch means); those of zₖ give the number of independent samples.

The directions held fixed contribute the deviation of the linearised field (see ``tangents``). The decrease of J that they
still predict at the start of the chain, Σ (vₖ·∇J)²/(2λₖ), must be less than rT/2 of the chain itself. Otherwise training stopped
too early for this temperature. `recorded` accumulates the statistics, `walk_found` evaluates them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vpinn.optimization.method import State
from vpinn.placement import HOST, wide

KEPT = 64
"""Number of samples that are kept, equally spaced in the sampled part of the chain."""
BLOCKS = 8
"""Number of blocks of the sampled part."""
INDEPENDENT = 2 * BLOCKS
"""Fewest independent samples along any direction; a chain that only drifts appears to have one per block."""
ASTRAY = 0.1
"""Accepted difference between the measured temperature and T, relative to T, beside three standard errors."""
BLURRED = 0.15
"""Largest accepted standard error of the measured temperature, relative to T."""
OPEN = 0.1
"""Largest accepted share of the field's variance along directions with hardly any curvature."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of the weights from a Langevin chain, and tangents for the directions that the chain held fixed.

    Attributes:
        weights: samples of the weights [n, size].
        center: weights at which the chain began [size].
        tangents: samples of changes of the center along the fixed directions [n, size], of mean zero; fields are linear in them.
    """

    weights: Tensor
    center: Tensor
    tangents: Tensor


def empty_walk(directions: int) -> State:
    """Return zero sums for a chain in r directions: of z and its squares, and per block of steps, z·s, J and acceptance."""
    zero = torch.zeros(directions, dtype=torch.float64, device=HOST)
    return {"means": zero.repeat(BLOCKS, 1), "squares": zero, "sums": torch.zeros(BLOCKS, 4, dtype=torch.float64, device=HOST)}


def recorded(state: State, theta: Tensor, done: int, span: int, virial: float, value: float, share: float) -> State:
    """Return the state with one step of the sampled part added to its sums, and to its samples where one is due.

    Args:
        state: state with "place" z [r] after the step.
        theta: parameters after the step [size].
        done: number of this step in the sampled part, 1 to ``span``.
        span: number of steps in the sampled part.
        virial: z·s.
        value: J.
        share: probability with which the step was accepted.
    """
    block = min(BLOCKS - 1, (done - 1) * BLOCKS // span)
    sums, means = state["sums"].clone(), state["means"].clone()
    sums[block] += torch.tensor([1.0, virial, value, share], dtype=torch.float64, device=HOST)
    means[block] += state["place"]
    state = {**state, "sums": sums, "means": means, "squares": state["squares"] + state["place"] ** 2}
    taken = int(state["taken"])
    if taken < min(KEPT, math.floor(done * KEPT / span)):
        samples = state["samples"].clone()
        samples[taken] = theta
        state |= {"samples": samples, "taken": state["taken"] + 1}
    return state


def walk_found(state: State, unit: float = 1.0) -> dict[str, Any] | None:
    """Return the statistics of a Langevin chain and the checks that it fails; None for states of other methods.

    Args:
        state: state of the method.
        unit: unit of J, > 0; temperature and loss are returned in the units of the problem file.

    Returns:
        "temperature" T; "measured" temperature over T and its "standard_error"; number of "directions" r; "step" size η (stable
        up to 2); predicted decrease "left" in the fixed directions over rT/2; mean acceptance probability "accepted"; number of
        "independent" samples along the direction with the fewest; mean "loss"; share of the field's variance along directions
        that are "held" fixed; and "checks", one text for each check that fails.
    """
    if "sums" not in state:
        return None
    sums, heat = state["sums"], float(state["temperature"])
    steps, directions = sums[:, 0], state["means"].shape[1]
    found: dict[str, Any] = {"temperature": unit * heat, "directions": directions, "step": float(state["rate"])}
    found["left"] = float(state["left"]) / (0.5 * directions * heat)
    if not bool((steps > 0).all()):
        return {**found, "checks": ["the Langevin chain was not finished; give it more time, or fewer steps"]}
    total = float(steps.sum())
    ratio = sums[:, 1] / steps / (directions * heat)
    mean, error = float(sums[:, 1].sum()) / total / (directions * heat), float(ratio.std() / math.sqrt(BLOCKS))
    means = state["means"] / steps[:, None]
    middle = state["means"].sum(0) / total
    spread = state["squares"] / total - middle**2
    apart = means.var(0)
    independent = float(torch.where(apart > 0, BLOCKS * spread / apart, torch.zeros_like(apart)).min())
    found |= {"measured": mean, "standard_error": error, "accepted": float(sums[:, 3].sum()) / total}
    found |= {"independent": independent, "loss": unit * float(sums[:, 2].sum()) / total, "checks": []}
    if not independent >= INDEPENDENT or not error <= BLURRED:
        found["checks"].append(
            f"the Langevin chain has not mixed: it has {independent:.0f} independent samples, and {INDEPENDENT} are needed; "
            "give it more steps, or larger batches"
        )
    elif not abs(mean - 1.0) <= ASTRAY + 3.0 * error:
        found["checks"].append(
            f"the measured temperature of the Langevin chain is {mean:.3g} ± {error:.1g} times its nominal "
            f"temperature {unit * heat:.2e}; give it more steps, or larger batches"
        )
    if not found["left"] <= 1.0:
        found["checks"].append(
            f"training stopped {found['left']:.3g} times as far above the lowest loss as the Langevin chain at temperature "
            f"{unit * heat:.2e} is; give it more steps, or a higher temperature"
        )
    if "held" in state:
        held = float(state["held"])
        found |= {} if math.isnan(held) else {"held": held}
        if math.isnan(held):
            found["checks"].append(
                f"the deviation covers {directions} directions of the weights only, because the curvature of the loss is not "
                "computed for so many weights, or for derivatives of third order; take a smaller network, or split the equation"
            )
        elif not float(state["open"]) <= OPEN:
            found["checks"].append(
                f"{100 * float(state['open']):.0f} % of the field's variance is along weights on which the loss hardly depends, "
                "and may be unbounded; take more points or test functions, or a smaller network"
            )
    return found


def samples_of(state: State) -> Samples | None:
    """Return the samples of a chain; None where it has fewer than two, or fails a check."""
    found = walk_found(state)
    if found is None or found["checks"] or "tangents" not in state or int(state["taken"]) < 2:
        return None
    return Samples(state["samples"][: int(state["taken"])], wide(state["center"]), state["tangents"])
