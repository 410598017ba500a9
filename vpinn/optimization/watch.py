"""What the gradients of training's own steps tell about their noise, at next to no cost.

Of batch gradients with mean g and covariance Σ/b, those of successive steps are independent, and g changes little between
them: E ½‖g_k − g_{k−1}‖² = tr Σ (1/b_k + 1/b_{k−1})/2 (successive differences, von Neumann et al. 1941) and
E g_k·g_{k−1} = ‖g‖², whatever the sizes of the batches. Moving averages of both, numerator and denominator apart
(McCandlish et al. 2018, arXiv 1812.06162), tell the noise scale; where the second is not positive, the signal drowns, and the
noise scale is told as infinite.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

WATCHED = ("noise_scale", "signal_to_noise", "clip_fraction", "temperature", "curvature")
"""Columns of the history: S in points, ‖g‖²/(tr Σ/b), share of clipped steps, η tr Σ/(2bP), largest curvature. Where every
step sees all points, two in fifty are looked at, and the curvature is that along the step between them."""
MEMORY = 0.02
"""Weight of the newest step in the averages."""
CURVATURE_EVERY = 50
"""Steps between looks at the curvature, each of which costs one gradient: 2 % of the run."""
NUDGE = 1e-5
"""Length of the difference that a curvature is taken from, relative to the parameters'."""

_NUMBERS = ("trace", "square", "pairs", "share", "clipped", "weight", "curvature")
"""Averages that are numbers, kept in one tensor: a small tensor's operations cost as much as a large one's."""

Gradient = Callable[[Tensor], tuple[float, Tensor]]
State = dict[str, Tensor]


def watches_all(step: int) -> bool:
    """Return whether a step on all points is looked at: pairs of neighbours, since the sums have no noise to average."""
    return step % CURVATURE_EVERY in (0, 1)


def observe(
    state: State,
    theta: Tensor,
    gradient: Tensor,
    clipped: bool,
    rate: float,
    size: int | None,
    evaluate: Gradient | None,
    step: int,
) -> tuple[State, tuple[float, ...]]:
    """Return the averages after a step, and the values of ``WATCHED``.

    Args:
        state: averages so far, {} before the first step.
        theta: parameters [P] of the step.
        gradient: ∇J there [P], before clipping.
        clipped: whether it was clipped.
        rate: step size η.
        size: points of a batch, None for all points, which have no noise.
        evaluate: J and ∇J of the same batch; None for all points, whose curvature shows in consecutive gradients.
        step: number of the step.
    """
    state = dict(state) or {"top": gradient}
    known = state["numbers"].tolist() if "numbers" in state else [0.0] * len(_NUMBERS)
    numbers = dict(zip(_NUMBERS, known, strict=True))
    numbers["clipped"] += MEMORY * (clipped - numbers["clipped"])
    numbers["weight"] += MEMORY * (1.0 - numbers["weight"])  # 1 − βᵏ, by which averages that began at zero are too small
    if size is not None:
        if "before" in state:
            before, share = state["before"], 1.0 / size
            change = gradient - before
            numbers["trace"] += MEMORY * (float(change @ change) / (share + numbers["share"]) - numbers["trace"])
            numbers["square"] += MEMORY * (float(gradient @ before) - numbers["square"])
            numbers["pairs"] += MEMORY * (1.0 - numbers["pairs"])
        state["before"], numbers["share"] = gradient, 1.0 / size
    pairs = numbers["pairs"]
    trace, square = (numbers[name] / pairs if pairs and size else math.nan for name in ("trace", "square"))
    if evaluate is None:
        found, numbers["curvature"] = _along(state, theta, gradient, step, numbers["curvature"])
        state |= found
    elif step % CURVATURE_EVERY == CURVATURE_EVERY - 1:
        state["top"], numbers["curvature"] = _curvature(state["top"], theta, gradient, evaluate, numbers["curvature"])
    state["numbers"] = torch.tensor([*numbers.values()], dtype=torch.float64)
    square = max(square, 0.0) if math.isfinite(square) else square
    told = math.isfinite(trace)
    scale = trace / square if told and square > 0.0 else math.inf if told else math.nan
    snr = square / trace * (size or 0) if told and trace > 0.0 else math.nan
    heat = rate * trace / (2.0 * (size or 1) * len(theta))
    return state, (scale, snr, numbers["clipped"] / numbers["weight"], heat, numbers["curvature"] or math.nan)


def _along(state: State, theta: Tensor, gradient: Tensor, step: int, known: float) -> tuple[State, float]:
    """Return the curvature along the last step, a lower bound of the largest, from the gradients at its ends."""
    if step % CURVATURE_EVERY == 1 and "theta" in state:
        way = theta - state["theta"]
        square = way @ way
        if float(square) > 0.0:
            known = float((gradient - state["gradient"]) @ way / square)
    return {"theta": theta, "gradient": gradient}, known


def _curvature(top: Tensor, theta: Tensor, gradient: Tensor, evaluate: Gradient, known: float) -> tuple[Tensor, float]:
    """Return one step of a power iteration: the direction most stretched so far, and the curvature along it."""
    length = float(torch.linalg.vector_norm(top))
    nudge = NUDGE * max(1.0, float(torch.linalg.vector_norm(theta)))
    if not length > 0.0 or theta.dtype != torch.float64:
        return top, known
    top = top / length
    stretched = (evaluate(theta + nudge * top)[1] - gradient) / nudge
    return (stretched, float(stretched @ top)) if math.isfinite(float(stretched.sum())) else (top, known)
