"""Measure the noise of the gradients during training, from the gradients of the steps themselves, at almost no cost.

Batch gradients g_k with mean g and covariance Σ/b_k are independent from step to step, and g changes little between steps.
Hence E ½‖g_k − g_{k−1}‖² = tr Σ (1/b_k + 1/b_{k−1})/2 (successive differences, von Neumann et al. 1941), and
E g_k·g_{k−1} = ‖g‖², whatever the sizes of the batches. The noise scale S = tr Σ/‖g‖² is the ratio of the moving averages of both
(McCandlish et al. 2018, arXiv 1812.06162). Where the second average is not positive, noise hides the signal, and S is infinite.

Gradients are stored and evaluated 25 steps at a time, because 25 products cost as much as one: between the operations of a
step, both wait for memory and for Python. `Watch.after` is called once per step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vpinn.optimization.method import Closure
from vpinn.placement import HOST

WATCHED = ("noise_scale", "signal_to_noise", "clip_fraction", "temperature", "curvature")
"""Columns of the history: noise scale S in points; ‖g‖²/(tr Σ/b); share of clipped steps; temperature; largest curvature.

Between two evaluations they keep the values of the last one. On all points, two steps in fifty are evaluated, and the curvature
is that along the step between them.

The temperature is that at which the noise of the batches keeps the weights, cη tr(PΣ)/(2b·size), with the scales P of the
method (``Method.bath``). For gradient descent with momentum μ this is ησ²/(2b(1 − μ)); for Adam, with P = 1/√v̂, it is a mean
over the weights, which have no common temperature unless PΣ is a multiple of the identity. It is nan for methods whose steps are
of another kind.
"""
MEMORY = 0.02
"""Weight of the newest step in the moving averages."""
LOOK_EVERY = 25
"""Steps between evaluations of the stored gradients; the first steps are evaluated one by one."""
CURVATURE_EVERY = 50
"""Steps between evaluations of the curvature, each of which costs one gradient, 2 % of the run."""
NUDGE = 1e-5
"""Length of the difference from which a curvature is computed, relative to the length of the parameters."""

_NUMBERS = ("trace", "heat", "square", "pairs", "clipped", "weight", "curvature")

Gradient = Callable[[Tensor], tuple[float, Tensor]]
"""θ [size] → J, ∇J [size]."""
Bath = Callable[[], tuple[float, Tensor] | None]
"""Returns the factor c and the scales P of ``Method.bath``, None where the method has none."""
State = dict[str, Tensor]
"""Named tensors in a checkpoint."""
Values = tuple[float, ...]
"""One value for each column in ``WATCHED``."""
UNKNOWN: Values = (math.nan,) * len(WATCHED)
"""Values of ``WATCHED`` where none is known."""


def watches_all(step: int) -> bool:
    """Return whether a step on all points is evaluated: two neighbouring steps suffice, since there is no noise to average."""
    return step % CURVATURE_EVERY in (0, 1)


@dataclass
class Watch:
    """Moving averages of the noise, changed in place.

    Attributes:
        trace: moving average of tr Σ.
        heat: moving average of c tr(PΣ); nan after steps of another kind.
        square: moving average of ‖g‖².
        pairs: 1 − βᵏ after k pairs, the factor by which averages that began at zero are too small.
        clipped: moving average of clipped steps, too small by the factor ``weight``.
        weight: 1 − βᵏ after k steps.
        curvature: last curvature measured, 0 before the first.
        top: vector of the power iteration for the direction of largest curvature [P]; None before the first.
        kept: gradients [P] since the last evaluation, with the last one of it, and 1/b of each.
        last: parameters [P] and gradient [P] of the last evaluated step on all points, () before the first.
        told: values of ``WATCHED`` at the last evaluation.
    """

    trace: float = 0.0
    heat: float = 0.0
    square: float = 0.0
    pairs: float = 0.0
    clipped: float = 0.0
    weight: float = 0.0
    curvature: float = 0.0
    top: Tensor | None = None
    kept: list[tuple[Tensor, float]] = field(default_factory=list)
    last: tuple[Tensor, ...] = ()
    told: Values = UNKNOWN

    def after(self, closure: Closure, theta: Tensor, rate: float, size: int | None, step: int, bath: Bath) -> Values:
        """Return the values of ``WATCHED`` after a step.

        Args:
            closure: J and ∇J of the step, already evaluated.
            theta: parameters before the step [P].
            rate: step size η.
            size: points of the batch; None: all points.
            step: number of the step.
            bath: returns c and P of the method.
        """
        gradient = closure.gradient
        if gradient is None or (size is None and not watches_all(step)):
            return UNKNOWN
        self.count(closure.clipped)
        if size is None:
            return self.observe_all(theta, gradient, step)
        return self.observe(theta, gradient, rate, size, closure.evaluate, step, bath)

    def observe(
        self,
        theta: Tensor,
        gradient: Tensor,
        rate: float,
        size: int,
        evaluate: Gradient,
        step: int,
        bath: Bath = lambda: None,
    ) -> Values:
        """Return the values of ``WATCHED`` after a step on a batch.

        Args:
            theta: parameters before the step [P].
            gradient: ∇J of the batch there [P], before clipping.
            rate: step size η.
            size: points of the batch.
            evaluate: θ → J and ∇J of the same batch.
            step: number of the step.
            bath: returns c and P of the method.
        """
        self.kept.append((gradient, 1.0 / size))
        if step % CURVATURE_EVERY == CURVATURE_EVERY - 1:
            self._stretch(theta, gradient, evaluate)
        if step % LOOK_EVERY == LOOK_EVERY - 1 or step < LOOK_EVERY:
            self._compare(bath())
            self.told = self._values(rate, size, len(theta))
        return self.told

    def observe_all(self, theta: Tensor, gradient: Tensor, step: int) -> Values:
        """Return the values of ``WATCHED`` after a step on all points.

        The curvature along the step between two neighbouring evaluations is a lower bound of the largest curvature.
        """
        if step % CURVATURE_EVERY == 1 and self.last:
            way = theta - self.last[0]
            square = float(way @ way)
            if square > 0.0:
                self.curvature = float((gradient - self.last[1]) @ way) / square
        self.last = (theta, gradient)
        return (math.nan, math.nan, self.clipped / max(self.weight, MEMORY), math.nan, self.curvature or math.nan)

    def count(self, clipped: bool) -> None:
        """Count a step, and whether its gradient was clipped."""
        self.clipped += MEMORY * (clipped - self.clipped)
        self.weight += MEMORY * (1.0 - self.weight)

    def _compare(self, bath: tuple[float, Tensor] | None) -> None:
        """Average over the pairs of neighbouring gradients, and keep the newest gradient for the next pair."""
        rows, shares = torch.stack([row for row, _ in self.kept]), [share for _, share in self.kept]
        change, product = (rows[1:] - rows[:-1]).square_(), (rows[1:] * rows[:-1]).sum(1).tolist()
        gain, scales = (math.nan, torch.ones_like(rows[0])) if bath is None else bath
        seen = zip(change.sum(1).tolist(), (change @ scales).tolist(), product, strict=True)
        trace, heat, square, pairs = self.trace, self.heat, self.square, self.pairs
        for k, (apart, scaled, along) in enumerate(seen):
            share = shares[k] + shares[k + 1]
            trace += MEMORY * (apart / share - trace)
            heat += MEMORY * (gain * scaled / share - heat)
            square += MEMORY * (along - square)
            pairs += MEMORY * (1.0 - pairs)
        self.trace = trace
        self.heat = heat
        self.square = square
        self.pairs = pairs
        self.kept = self.kept[-1:]

    def _values(self, rate: float, size: int, parameters: int) -> Values:
        """Return the values of ``WATCHED`` from the moving averages."""
        share, curvature = self.clipped / max(self.weight, MEMORY), self.curvature or math.nan
        if not self.pairs:
            return (math.nan, math.nan, share, math.nan, curvature)
        trace, square = self.trace / self.pairs, max(self.square / self.pairs, 0.0)
        scale = trace / square if square > 0.0 else math.inf
        ratio = square / trace * size if trace > 0.0 else math.nan
        return (scale, ratio, share, rate * self.heat / self.pairs / (2.0 * size * parameters), curvature)

    def _stretch(self, theta: Tensor, gradient: Tensor, evaluate: Gradient) -> None:
        """Take one step of a power iteration, from the first gradient on, and store the curvature along its vector."""
        top = gradient if self.top is None else self.top
        length = float(torch.linalg.vector_norm(top))
        nudge = NUDGE * max(1.0, float(torch.linalg.vector_norm(theta)))
        if not length > 0.0 or theta.dtype != torch.float64:
            return
        top = top / length
        stretched = (evaluate(theta + nudge * top)[1] - gradient) / nudge
        if math.isfinite(float(stretched.sum())):
            self.top, self.curvature = stretched, float(stretched @ top)
        else:
            self.top = top

    def state(self) -> State:
        """Return the averages as tensors, for a checkpoint."""
        found = {"numbers": torch.tensor([getattr(self, name) for name in _NUMBERS], dtype=torch.float64, device=HOST)}
        found["told"] = torch.tensor(self.told, dtype=torch.float64, device=HOST)
        if self.top is not None:
            found["top"] = self.top
        if self.kept:
            found["kept"] = torch.stack([row for row, _ in self.kept])
            found["shares"] = torch.tensor([share for _, share in self.kept], dtype=torch.float64, device=HOST)
        if self.last:
            found["last"] = torch.stack(self.last)
        return found

    @classmethod
    def from_state(cls, state: State) -> Watch:
        """Return the averages stored in ``state``, equal to the last bit."""
        kept = list(zip(state["kept"], state["shares"].tolist(), strict=True)) if "kept" in state else []
        numbers = dict(zip(_NUMBERS, state["numbers"].tolist(), strict=True))
        last = tuple(state["last"]) if "last" in state else ()
        return cls(**numbers, top=state.get("top"), kept=kept, last=last, told=tuple(state["told"].tolist()))
