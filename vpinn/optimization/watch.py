"""What the gradients of training's own steps tell about their noise, at next to no cost.

Of batch gradients with mean g and covariance Σ/b, those of successive steps are independent, and g changes little between
them: E ½‖g_k − g_{k−1}‖² = tr Σ (1/b_k + 1/b_{k−1})/2 (successive differences, von Neumann et al. 1941) and
E g_k·g_{k−1} = ‖g‖², whatever the sizes of the batches. Moving averages of both, numerator and denominator apart
(McCandlish et al. 2018, arXiv 1812.06162), tell the noise scale; where the second is not positive, the signal drowns, and the
noise scale is told as infinite.

A step's gradient is kept as it is, and those of 25 steps are looked at together: 25 products cost what one does, since
between the operations of a step both wait for memory and for Python.
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
"""Columns of the history: S in points, ‖g‖²/(tr Σ/b), share of clipped steps, temperature, largest curvature; between two
looks those of the last one. Where every step sees all points, two in fifty are looked at, and the curvature is that along the
step between them.

The temperature is that of the bath which the noise of the batches is to the method, cη tr(PΣ)/(2b·size): ησ²/(2b(1 − μ)) of
gradient descent with momentum μ, and with the scales P = 1/√v̂ of Adam, of which it is the mean over the weights: with PΣ no
multiple of the identity they have no common temperature. It is not told of methods whose steps are of another kind."""
MEMORY = 0.02
"""Weight of the newest step in the averages."""
LOOK_EVERY = 25
"""Steps between looks at the gradients kept since; each of the first steps is looked at by itself."""
CURVATURE_EVERY = 50
"""Steps between looks at the curvature, each of which costs one gradient: 2 % of the run."""
NUDGE = 1e-5
"""Length of the difference that a curvature is taken from, relative to the parameters'."""

_NUMBERS = ("trace", "heat", "square", "pairs", "clipped", "weight", "curvature")

Gradient = Callable[[Tensor], tuple[float, Tensor]]
Bath = Callable[[], tuple[float, Tensor] | None]
"""Tells the gain c and the scales P of ``Method.bath``, where the method has them."""
State = dict[str, Tensor]
Values = tuple[float, ...]
"""One for each of ``WATCHED``."""
UNKNOWN: Values = (math.nan,) * len(WATCHED)


def watches_all(step: int) -> bool:
    """Return whether a step on all points is looked at: pairs of neighbours, since the sums have no noise to average."""
    return step % CURVATURE_EVERY in (0, 1)


@dataclass
class Watch:
    """What was seen so far; changed in place.

    Attributes:
        trace: average of tr Σ.
        heat: average of c tr(PΣ), nan once steps were of another kind.
        square: of ‖g‖².
        pairs: 1 − βᵏ of k pairs, by which averages that began at zero are too small.
        clipped: share of clipped steps, times weight.
        weight: 1 − βᵏ of k steps.
        curvature: the last one seen, 0 before.
        top: direction most stretched so far [P].
        kept: gradients [P] since the last look, with that of the look, and 1/b of each.
        last: parameters [P] and gradient [P] of the last step on all points that was looked at, () before.
        told: values at the last look.
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
        """Return the values of ``WATCHED`` after a step from θ [P]; as for ``observe``, with ``size`` None for all points."""
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
            theta: parameters [P] of the step.
            gradient: ∇J of the batch there [P], before clipping.
            rate: step size η.
            size: points of the batch.
            evaluate: J and ∇J of the same batch.
            step: number of the step.
            bath: tells what the method makes of noise.
        """
        self.kept.append((gradient, 1.0 / size))
        if step % CURVATURE_EVERY == CURVATURE_EVERY - 1:
            self._stretch(theta, gradient, evaluate)
        if step % LOOK_EVERY == LOOK_EVERY - 1 or step < LOOK_EVERY:
            self._compare(bath())
            self.told = self._values(rate, size, len(theta))
        return self.told

    def observe_all(self, theta: Tensor, gradient: Tensor, step: int) -> Values:
        """Return the values of ``WATCHED`` after a step on all points; the curvature along the last step bounds the largest."""
        if step % CURVATURE_EVERY == 1 and self.last:
            way = theta - self.last[0]
            square = float(way @ way)
            if square > 0.0:
                self.curvature = float((gradient - self.last[1]) @ way) / square
        self.last = (theta, gradient)
        return (math.nan, math.nan, self.clipped / max(self.weight, MEMORY), math.nan, self.curvature or math.nan)

    def count(self, clipped: bool) -> None:
        """Take notice of a step, and of whether its gradient was clipped."""
        self.clipped += MEMORY * (clipped - self.clipped)
        self.weight += MEMORY * (1.0 - self.weight)

    def _compare(self, bath: tuple[float, Tensor] | None) -> None:
        """Take the pairs of neighbouring gradients kept into the averages, and keep the newest for the next pair."""
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
        self.trace, self.heat, self.square, self.pairs = trace, heat, square, pairs
        self.kept = self.kept[-1:]

    def _values(self, rate: float, size: int, parameters: int) -> Values:
        share, curvature = self.clipped / max(self.weight, MEMORY), self.curvature or math.nan
        if not self.pairs:
            return (math.nan, math.nan, share, math.nan, curvature)
        trace, square = self.trace / self.pairs, max(self.square / self.pairs, 0.0)
        scale = trace / square if square > 0.0 else math.inf
        ratio = square / trace * size if trace > 0.0 else math.nan
        return (scale, ratio, share, rate * self.heat / self.pairs / (2.0 * size * parameters), curvature)

    def _stretch(self, theta: Tensor, gradient: Tensor, evaluate: Gradient) -> None:
        """Take one step of a power iteration from the first gradient: the curvature along the direction most stretched so far."""
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
        """Return everything as tensors, for a checkpoint."""
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
        """Return the watch that ``state`` described, equal to the last bit."""
        kept = list(zip(state["kept"], state["shares"].tolist(), strict=True)) if "kept" in state else []
        numbers = dict(zip(_NUMBERS, state["numbers"].tolist(), strict=True))
        last = tuple(state["last"]) if "last" in state else ()
        return cls(**numbers, top=state.get("top"), kept=kept, last=last, told=tuple(state["told"].tolist()))
