"""Values and gradients of a network at many points, and the pullback of their cotangents, written out.

Biases are weights of one more unit per layer that is always 1 (homogeneous coordinates), so that a layer is one matrix
product, and so is the derivative by its weights. Gradients travel down with the components, m·n rows of them:

====  ==============================================================================
up    zₖ = σ(aₖ), aₖ = zₖ₋₁Wₖᵀ, u = z_L W_outᵀ
down  δₖ = σ'(aₖ) ∘ rₖ with r_L = W_out, rₖ₋₁ = δₖWₖ, ∇u = δ₁W₁
up    r̄ₖ = σ'(aₖ) ∘ r̄ₖ₋₁Wₖᵀ with r̄₀ the cotangent of ∇u
down  āₖ = σ'(aₖ) ∘ āₖ₊₁Wₖ₊₁ + σ''(aₖ) ∘ Σ rₖ ∘ r̄ₖ₋₁Wₖᵀ with ā_out the cotangent of u
====  ==============================================================================

Then W̄ₖ = āₖᵀzₖ₋₁ + δₖᵀr̄ₖ₋₁: six products of size n·h² per hidden layer in all, where a forward-mode jet in two dimensions
takes nine. Steps are bound by memory, not by arithmetic: only z and δ are kept for the pullback. σ' is cheaper to make than
to fetch, for tanh within the product that takes it, and where σ'' is a bounded multiple of σ', so that δ serves in the place
of r, it stands in r's memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vpinn.trial.layout import Layout


class Sweeps:
    """Memory for the sweeps at n points with all its views made once: small operations cost less than views of them.

    Args:
        layout: of the parameters.
        n: number of points.
        order: 0 for values, 1 for gradients as well.
        dtype: of everything.
        sums: partial ones over the points, 1 or 2; threads share a product of matrices by its rows only.
    """

    def __init__(self, layout: Layout, n: int, order: int, dtype: torch.dtype, sums: int) -> None:
        d, m = layout.layers[0], layout.layers[-1]
        self.key = n, order, dtype, sums
        self._layout, self._order = layout, order
        self._flat = torch.empty(sum(rows * columns for rows, columns in layout.shapes), dtype=dtype)
        self._flat_bar = torch.empty_like(self._flat)
        self._w, self._w_bar = layout.split(self._flat), layout.split(self._flat_bar)
        self._w_t = [w.T for w in self._w]
        bars = self._w_bar[:-1]
        self._parts = [w[None] for w in bars] if sums == 1 else [w.new_empty(2, *w.shape) for w in bars]
        widths = [w.shape[1] for w in self._w]
        self._z = [torch.empty(n, width, dtype=dtype) for width in widths]
        self._z_last_t = self._z[-1].T
        self._z_parts = [z.view(sums, -1, z.shape[1]) for z in self._z]
        self._a = [torch.empty_like(z) for z in self._z[1:]] if layout.sigma.keeps_argument else self._z[1:]
        self._x = self._z[0][:, :d]
        self._z[0][:, d] = 1.0
        if not order:
            return
        self._delta = [torch.empty(m * n, width, dtype=dtype) for width in widths[1:]]
        self._delta_t = self._delta[0].T
        self._delta_parts = [delta.view(sums, -1, delta.shape[1]).transpose(1, 2) for delta in self._delta]
        self._delta_3 = [delta.view(m, n, -1) for delta in self._delta]
        same = layout.sigma.takes_product
        self._r = self._delta[:-1] if same else [torch.empty_like(delta) for delta in self._delta[:-1]]
        self._r_3 = [*(r.view(m, n, -1) for r in self._r), self._w[-1][:, None]]
        self._bent = self._delta_3 if same else self._r_3
        self._first, self._first_bar = self._w[0][:, :d], self._w_bar[0][:, :d]
        self._inward = torch.empty(d, widths[1], dtype=dtype)
        self._inward_t = self._inward.T

    def evaluate(self, theta: Tensor, x: Tensor, stretch: Tensor, values: bool) -> tuple[Tensor | None, Tensor | None]:
        """Return values [m, n] if asked for, and at order 1 gradients by the original coordinates [d, m, n].

        Args:
            theta: parameters [size].
            x: normalised coordinates [n, d].
            stretch: their derivative by the original ones [d], in 1/length.
            values: whether values are wanted.
        """
        sigma, hidden = self._layout.sigma, len(self._a)
        self._layout.fill(self._flat, theta)
        self._x.copy_(x)
        for k in range(hidden):
            z = torch.mm(self._z[k], self._w_t[k], out=self._z[k + 1])
            if self._a[k] is not z:
                self._a[k].copy_(z)
            sigma.overwrite(z)
        found = torch.mm(self._w[-1], self._z_last_t) if values else None
        if not self._order:
            return found, None
        scratch = self._layout.borrow(Scratch, self.key)
        for k in range(hidden - 1, -1, -1):
            sigma.through(self._r_3[k], self._a[k], self._z[k + 1], scratch.slopes[k], self._delta_3[k])
            if k:
                torch.mm(self._delta[k], self._w[k], out=self._r[k - 1])
        self._layout.give_back(scratch)
        torch.mul(self._first, stretch, out=self._inward_t)
        return found, torch.mm(self._inward, self._delta_t).view(len(stretch), -1, len(x))

    def pullback(self, values_bar: Tensor | None, gradients_bar: Tensor | None, stretch: Tensor) -> Tensor:
        """Return the cotangent of the parameters [size].

        Args:
            values_bar: cotangent of the values [m, n]; None for zero.
            gradients_bar: cotangent of the gradients [d, m, n]; None for zero. Not both are None.
            stretch: as in ``evaluate``.
        """
        scratch = self._layout.borrow(Scratch, self.key)
        if gradients_bar is None:
            self._w_bar[-1].zero_()
        else:
            self._up(scratch, gradients_bar.view(len(stretch), -1))
        if values_bar is not None:
            self._w_bar[-1].addmm_(values_bar, self._z[-1])
        self._down(scratch, values_bar, gradients_bar is not None)
        if gradients_bar is not None:
            self._first_bar.addcmul_(scratch.first, stretch)
        self._layout.give_back(scratch)
        return self._layout.parameters(self._flat_bar)

    def _up(self, scratch: Scratch, outer: Tensor) -> None:
        """Send the cotangent of the gradients [d, m·n] from the inputs to the outputs."""
        sigma, hidden = self._layout.sigma, len(self._a)
        torch.mm(outer, self._delta[0], out=scratch.first_t)
        torch.mm(outer.T, self._inward, out=scratch.bend[0])
        for k in range(hidden):
            sigma.through(scratch.bend_3[k], self._a[k], self._z[k + 1], scratch.slopes[k], scratch.r_bar_3[k])
            if k + 1 < hidden:
                torch.mm(scratch.r_bar[k], self._w_t[k + 1], out=scratch.bend[k + 1])
                torch.bmm(self._delta_parts[k + 1], scratch.r_bar_parts[k], out=self._parts[k + 1])
            scratch.bend_3[k].mul_(self._bent[k])
        torch.sum(scratch.r_bar_3[-1], 1, out=self._w_bar[-1])

    def _down(self, scratch: Scratch, values_bar: Tensor | None, bent: bool) -> None:
        """Send the cotangents of values and of what the slopes bend from the outputs to the inputs."""
        sigma, last, m = self._layout.sigma, len(self._a) - 1, self._layout.layers[-1]
        a_bar = None if values_bar is None else values_bar.T
        for k in range(last, -1, -1):
            arriving = scratch.a_bar[k]
            if a_bar is not None and m == 1 and k == last:
                torch.mul(a_bar, self._w[k + 1], out=arriving)  # an outer product is slow as a matrix product
            elif a_bar is not None:
                torch.mm(a_bar, self._w[k + 1], out=arriving)
            if bent:
                bend = scratch.bend[k] if m == 1 else scratch.bend_3[k].sum(0)
                sigma.adjoint(arriving, bend, self._a[k], self._z[k + 1], scratch.slopes[k], a_bar is None)
            else:
                sigma.through(arriving, self._a[k], self._z[k + 1], scratch.slopes[k], arriving)
            self._parts[k].baddbmm_(scratch.a_bar_parts[k], self._z_parts[k], beta=int(bent and k > 0))
            if self.key[3] > 1:
                torch.sum(self._parts[k], 0, out=self._w_bar[k])
            a_bar = arriving


class Scratch:
    """Memory that an evaluation or a pullback needs while it lasts.

    Args:
        layout: of the parameters.
        n: number of points.
        order: 0 for values, 1 for gradients as well.
        dtype: of everything.
        sums: partial ones over the points, 1 or 2; threads share a product of matrices by its rows only.
    """

    def __init__(self, layout: Layout, n: int, order: int, dtype: torch.dtype, sums: int) -> None:
        d, m = layout.layers[0], layout.layers[-1]
        self.key = n, order, dtype, sums
        widths = [columns for _, columns in layout.shapes[1:]]
        self.slopes = [torch.empty(n, width, dtype=dtype) for width in widths]
        self.a_bar = _alternating(n, widths, dtype)
        self.a_bar_parts = [a.view(sums, -1, a.shape[1]).transpose(1, 2) for a in self.a_bar]
        if not order:
            return
        self.r_bar = _alternating(m * n, widths, dtype)
        self.r_bar_3 = [r.view(m, n, -1) for r in self.r_bar]
        self.r_bar_parts = [r.view(sums, -1, r.shape[1]) for r in self.r_bar]
        self.first_t = torch.empty(d, widths[0], dtype=dtype)
        self.first = self.first_t.T
        self.bend = [torch.empty(m * n, width, dtype=dtype) for width in widths]
        self.bend_3 = [bend.view(m, n, -1) for bend in self.bend]


def _alternating(rows: int, widths: list[int], dtype: torch.dtype) -> list[Tensor]:
    """Return matrices [rows, width] of which only neighbours are in use at a time, in two pieces of memory."""
    memory = torch.empty(2, rows * max(widths), dtype=dtype)
    return [memory[k % 2, : rows * width].view(rows, width) for k, width in enumerate(widths)]


@dataclass(frozen=True)
class Recording:
    """An evaluation that can be pulled back; its memory is given back when it is forgotten.

    Attributes:
        layout: of the parameters.
        sweeps: holding the evaluation.
        stretch: derivative of the normalised coordinates [d].
    """

    layout: Layout
    sweeps: Sweeps
    stretch: Tensor

    def __call__(self, values_bar: Tensor | None, gradients_bar: Tensor | None) -> Tensor:
        """Return the cotangent of the parameters [size]; see ``Sweeps.pullback``."""
        return self.sweeps.pullback(values_bar, gradients_bar, self.stretch)

    def __del__(self) -> None:
        self.layout.give_back(self.sweeps)


def record(
    layout: Layout, theta: Tensor, x: Tensor, stretch: Tensor, order: int, values: bool = True
) -> tuple[Tensor | None, Tensor | None, Recording]:
    """Return values [m, n] if asked for, gradients [d, m, n] at order 1, and the recording to pull cotangents back through."""
    sums = 2 if torch.get_num_threads() > 1 and len(x) % 2 == 0 else 1
    sweeps = layout.borrow(Sweeps, (len(x), order, theta.dtype, sums))
    return *sweeps.evaluate(theta, x, stretch, values), Recording(layout, sweeps, stretch)
