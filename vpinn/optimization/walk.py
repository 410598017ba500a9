"""What a Langevin walk showed: its temperature, how far it forgot its start, and whether its samples can be believed.

For the law exp(−J/T) integration by parts gives E (θ − c)·∇J = E z·s = rT in r directions, whatever J and c (equipartition: where
J is quadratic it says that the mean of J is rT/2 above the least). Without Metropolis' rule z ← z − ηs + noise of variance 2ηT'
has E z·s = rT' + ½ηE|s|² instead, since E|z|² is stationary: the temperature that it has, with that of its mini-batches and of
its step. Both hold for stationary walks only; one that drifts, or has not filled its directions, shows other values. The mean
over the walk has its standard error from blocks (batch means), and so have the means of every zₖ, which tell how many
independent samples the walk is worth.

Directions that the walk holds have their part of the deviation from the linearised field (see ``tangents``). What they promise,
Σ (vₖ·∇J)²/(2λₖ) at the walk's start over those that are known, must be less than the walk's own rT/2: more says that training
stopped too early for this temperature.
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
"""Samples that are kept, evenly."""
BLOCKS = 8
"""Blocks of the part that is sampled."""
INDEPENDENT = 2 * BLOCKS
"""Fewest independent samples along any direction; a walk that only drifts seems to have one per block."""
ASTRAY = 0.1
"""Distance of the measured temperature from T, relative to T, that is let pass beside three standard errors."""
BLURRED = 0.15
"""Largest standard error of the measured temperature, relative to T."""
OPEN = 0.1
"""Share of the field's variance that directions with hardly any curvature may have."""


@dataclass(frozen=True, eq=False)
class Samples:
    """What a walk leaves: weights that it went through, and tangents for the directions that it held.

    Attributes:
        weights: [n, size].
        center: weights at which the walk began [size].
        tangents: changes of the center in the held directions [n, size], along which fields are linear; their law has mean zero.
    """

    weights: Tensor
    center: Tensor
    tangents: Tensor


def empty_walk(directions: int) -> State:
    """Return the sums of a walk that has not begun: per block of steps, z·s, J and accepted share, and means of z."""
    zero = torch.zeros(directions, dtype=torch.float64, device=HOST)
    return {"means": zero.repeat(BLOCKS, 1), "squares": zero, "sums": torch.zeros(BLOCKS, 4, dtype=torch.float64, device=HOST)}


def recorded(state: State, theta: Tensor, done: int, span: int, virial: float, value: float, share: float) -> State:
    """Return the state with step ``done`` = 1 … ``span`` of the sampled part in its sums, and its samples where one is due.

    Args:
        state: with "place" z [r] after the step.
        theta: parameters after the step [size].
        done: steps of the sampled part so far, with this one.
        span: all of them.
        virial: z·s.
        value: J.
        share: probability that the step was accepted with.
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
    """Return what the walk of a state showed, None where there is none.

    Args:
        state: of a Langevin walk.
        unit: what J is a multiple of, > 0; temperature and loss are told in units of the problem file.

    Returns:
        "temperature" T, "measured" over T with its "standard_error", "directions" r, "step" η (2 is the limit of
        stability), decrease that is "left" in the held directions over rT/2, share "accepted", "independent" samples along the
        direction with the fewest, mean "loss", share of the field's variance that is "held" (of directions that are not walked),
        and "checks": what fails, one text each.
    """
    if "sums" not in state:
        return None
    sums, heat = state["sums"], float(state["temperature"])
    steps, directions = sums[:, 0], state["means"].shape[1]
    found: dict[str, Any] = {"temperature": unit * heat, "directions": directions, "step": float(state["rate"])}
    found["left"] = float(state["left"]) / (0.5 * directions * heat)
    if not bool((steps > 0).all()):
        return {**found, "checks": ["the walk was not finished; give it more time, or fewer steps"]}
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
            f"the walk has not mixed: it is worth {independent:.0f} independent samples, and {INDEPENDENT} are needed; "
            "give it more steps, or larger batches"
        )
    elif not abs(mean - 1.0) <= ASTRAY + 3.0 * error:
        found["checks"].append(
            f"the mean loss of the walk is that of {mean:.3g} ± {error:.1g} times its temperature {unit * heat:.2e}; "
            "give it more steps, or larger batches"
        )
    if not found["left"] <= 1.0:
        found["checks"].append(
            f"training stopped {found['left']:.3g} times as far above the least loss as the walk at temperature "
            f"{unit * heat:.2e} is; give it more steps, or a higher temperature"
        )
    if "held" in state:
        held = float(state["held"])
        found |= {} if math.isnan(held) else {"held": held}
        if math.isnan(held):
            found["checks"].append(
                f"the deviation would be that of {directions} directions only, since the curvature of J is not formed for so "
                "many weights, or derivatives of third order; take a smaller network, or split the equation"
            )
        elif not float(state["open"]) <= OPEN:
            found["checks"].append(
                f"{100 * float(state['open']):.0f} % of the field's variance is along weights that the loss hardly sees, and may "
                "have no end; take more points or test functions, or a smaller network"
            )
    return found


def samples_of(state: State) -> Samples | None:
    """Return what a walk left; None where it has fewer than two samples, or where its checks fail."""
    found = walk_found(state)
    if found is None or found["checks"] or "tangents" not in state or int(state["taken"]) < 2:
        return None
    return Samples(state["samples"][: int(state["taken"])], wide(state["center"]), state["tangents"])
