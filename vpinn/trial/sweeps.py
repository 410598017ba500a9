"""Values and gradients of a network at many points, and the pullback of their cotangents, written out without autograd.

A bias is the weight of an extra unit that is always 1 (homogeneous coordinates), so that every layer is one matrix product, and
so is the derivative by its weights. Gradients are computed by a sweep from the outputs to the inputs ("down") with m·n rows,
one for each of m components and n points:

====  ==============================================================================
up    zₖ = σ(aₖ), aₖ = zₖ₋₁Wₖᵀ, u = z_L W_outᵀ
down  δₖ = σ'(aₖ) ∘ rₖ with r_L = W_out, rₖ₋₁ = δₖWₖ, ∇u = δ₁W₁
up    r̄ₖ = σ'(aₖ) ∘ r̄ₖ₋₁Wₖᵀ with r̄₀ the cotangent of ∇u
down  āₖ = σ'(aₖ) ∘ āₖ₊₁Wₖ₊₁ + σ''(aₖ) ∘ Σ rₖ ∘ r̄ₖ₋₁Wₖᵀ with ā_out the cotangent of u
====  ==============================================================================

A bar denotes a cotangent, ∘ the product entry by entry. Then W̄ₖ = āₖᵀzₖ₋₁ + δₖᵀr̄ₖ₋₁. In all, a hidden layer takes six products
of size n·h², compared with nine for forward-mode differentiation in two dimensions. Only z and δ are stored for the pullback.
σ' is computed again, which is cheaper than reading it from memory. If σ'' is a bounded multiple of σ', δ replaces r and shares
its memory.

The points are processed in blocks that fit into the second-level cache. The torch calls of a block with their memory are listed
once (``Calls``), because looking up a function takes as long as evaluating it at a hundred points. Start with `record`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from vpinn.trial.layout import Key, Layout

BLOCK_BYTES = 480_000
"""Bytes for the values of all units at the points of a block, about a tenth of all memory that the sweeps write for it."""
SMALLEST = 1_024
"""Smallest number of points of a block."""

Calls = list[Callable[[], object]]


class Sweeps:
    """Memory for the sweeps at n points, with all views of it and all calls on it prepared once.

    Args:
        layout: position of the parameters in the matrices.
        key: number of points n; order, 0 for values only, 1 for gradients, too; precision; device; and number of partial sums
            over the points, 1 or 2 (2 lets threads share matrix products that sum over the points).
    """

    def __init__(self, layout: Layout, key: Key) -> None:
        n, order, dtype, device, sums = self.key = key
        d, m = layout.layers[0], layout.layers[-1]
        self._layout = layout
        numbers, self._theta = layout.numbers(dtype, device)
        self.flat, self.onward, self.w_t = layout.matrices(dtype, device)
        self.flat_bar, self.first_bar_t, self.onward_bar = layout.cotangents(dtype, device)
        self.parts = [bar[None] if sums == 1 else bar.new_empty(2, *bar.shape) for bar in self.onward_bar[:-1]]
        self.stretch = torch.tensor(layout.stretch, dtype=dtype, device=device)[:, None]
        first_t = self.w_t[0][:d]
        self.inward, self.inward_bar = torch.empty_like(first_t), torch.empty_like(first_t)
        x = torch.ones(n, d + 1, dtype=dtype, device=device)
        self._x = x[:, :d]
        self.values, self.values_bar = torch.empty(2, m, n, dtype=dtype, device=device)
        self.slopes, self.slopes_bar = torch.empty(2, d, m, n if order else 0, dtype=dtype, device=device)
        width = sum(columns for _, columns in layout.shapes[1:])
        self.bytes = n * dtype.itemsize * width * (1 + order * m)
        points = max(SMALLEST, BLOCK_BYTES // (dtype.itemsize * width)) * sums
        size = -(-n // (max(1, round(n / points)) * sums)) * sums
        memory = Block.scratch(layout, size, key)
        self._blocks = [Block(x, layout, slice(at, min(at + size, n)), key, memory) for at in range(0, n, max(1, size))]
        self._set: Calls = [
            partial(layout.gathered, numbers, self.flat),
            partial(torch.mul, first_t, self.stretch, out=self.inward),
        ]
        self._evaluations: dict[bool, Calls] = {}
        self._pullbacks: dict[tuple[bool, bool], Calls] = {}

    def evaluate(self, theta: Tensor, x: Tensor, values: bool) -> tuple[Tensor | None, Tensor | None]:
        """Return values [m, n] (None unless wanted), and gradients by the original coordinates [d, m, n] (None at order 0).

        Args:
            theta: parameters [size].
            x: normalised coordinates [n, d].
            values: whether values are wanted.
        """
        if values not in self._evaluations:
            self._evaluations[values] = self._set + [call for block in self._blocks for call in block.evaluation(self, values)]
        with torch.inference_mode():  # saves autograd's bookkeeping, about a sixth of the time of a small operation
            self._theta.copy_(theta)
            self._x.copy_(x)
            for call in self._evaluations[values]:
                call()
        return self.values.clone() if values else None, self.slopes.clone() if self.key[1] else None

    def pullback(self, values_bar: Tensor | None, gradients_bar: Tensor | None) -> Tensor:
        """Return the cotangent of the parameters [size].

        Args:
            values_bar: cotangent of the values [m, n]; None for zero.
            gradients_bar: cotangent of the gradients [d, m, n]; None for zero. Not both are None.
        """
        kind = values_bar is not None, gradients_bar is not None
        if kind not in self._pullbacks:
            self._pullbacks[kind] = self._pulling(*kind)
        with torch.inference_mode():
            if values_bar is not None:
                self.values_bar.copy_(values_bar)
            if gradients_bar is not None:
                self.slopes_bar.copy_(gradients_bar)
            for call in self._pullbacks[kind]:
                call()
        return self._layout.parameters(self.flat_bar)

    def _pulling(self, valued: bool, bent: bool) -> Calls:
        """Return the calls of a pullback of values, gradients or both."""
        shared = self.key[4] > 1
        calls: Calls = [total.zero_ for total in (self.flat_bar, self.inward_bar, *(self.parts if shared else ()))]
        for block in self._blocks:
            calls += block.pullback(self, valued, bent)
        if shared:
            calls += [partial(torch.sum, part, 0, out=bar) for part, bar in zip(self.parts, self.onward_bar, strict=False)]
        if bent:
            calls.append(partial(self.first_bar_t[: len(self.inward)].addcmul_, self.inward_bar, self.stretch))
        return calls


class Block:
    """Memory for a block of the points, and the calls that write to it.

    A block keeps no reference to its `Sweeps`, so that these are freed as soon as they are no longer used.

    Args:
        x: homogeneous coordinates of all points [n, d + 1].
        layout: position of the parameters in the matrices.
        points: the points of this block.
        key: key of the sweeps.
        memory: result of ``Block.scratch`` for at least as many points, shared by all blocks.
    """

    def __init__(self, x: Tensor, layout: Layout, points: slice, key: Key, memory: list[Tensor]) -> None:
        self._layout, self._points = layout, points
        _, self._order, dtype, device, self._sums = key
        self._m = layout.layers[-1]
        sigma = layout.sigma
        widths = [columns for _, columns in layout.shapes[1:]]
        n, rows = points.stop - points.start, (points.stop - points.start) * self._m
        self._z = [x[points], *(torch.empty(n, width, dtype=dtype, device=device) for width in widths)]
        self._a = [torch.empty_like(z) for z in self._z[1:]] if sigma.keeps_argument else self._z[1:]
        slopes, bends, passing = memory[: len(widths)], memory[len(widths) : -2], memory[-2:]
        self._slopes = [_rows(part, n, width) for part, width in zip(slopes, widths, strict=True)]
        self._a_bar = [_rows(passing[k % 2], n, width) for k, width in enumerate(widths)]
        if self._order:
            self._delta = [torch.empty(rows, width, dtype=dtype, device=device) for width in widths]
            self._r = self._delta[:-1] if sigma.takes_product else [torch.empty_like(part) for part in self._delta[:-1]]
            self._bend = [_rows(part, rows, width) for part, width in zip(bends, widths, strict=True)]
            self._r_bar = [_rows(passing[k % 2], rows, width) for k, width in enumerate(widths)]

    @staticmethod
    def scratch(layout: Layout, n: int, key: Key) -> list[Tensor]:
        """Return memory that one block of n points needs at a time: for σ', for r̄W, and twice for what layers hand on."""
        _, order, dtype, device, _ = key
        m = layout.layers[-1] if order else 1
        widths = [columns for _, columns in layout.shapes[1:]]
        rows = [n * width for width in widths], [m * n * width for width in widths if order], [m * n * max(widths)] * 2
        return [torch.empty(size, dtype=dtype, device=device) for part in rows for size in part]

    def evaluation(self, sweeps: Sweeps, values: bool) -> Calls:
        """Return the calls that compute values, if wanted, and gradients at order 1."""
        calls: Calls = []
        sigma = self._layout.sigma
        z = self._z
        last = len(self._a) - 1
        for k, a in enumerate(self._a):
            calls.append(partial(torch.mm, z[k], sweeps.w_t[k], out=z[k + 1]))
            if sigma.keeps_argument:
                calls.append(partial(a.copy_, z[k + 1]))
            calls.append(partial(sigma.overwrite, z[k + 1]))
        if values:
            calls.append(partial(torch.mm, sweeps.onward[-1], z[-1].T, out=sweeps.values[:, self._points]))
        if not self._order:
            return calls
        r = sweeps.onward[-1][:, None]
        for k in range(last, -1, -1):
            calls.append(partial(sigma.through, r, self._a[k], z[k + 1], self._slopes[k], self._wide(self._delta[k])))
            if k:
                calls.append(partial(torch.mm, self._delta[k], sweeps.onward[k - 1], out=self._r[k - 1]))
                r = self._wide(self._r[k - 1])
        here = sweeps.slopes[..., self._points]
        inner = here[:, 0] if self._m == 1 else here.new_empty(here.shape).flatten(1)
        calls.append(partial(torch.mm, sweeps.inward, self._delta[0].T, out=inner))
        return calls if self._m == 1 else [*calls, partial(here.copy_, inner.view(here.shape))]

    def pullback(self, sweeps: Sweeps, valued: bool, bent: bool) -> Calls:
        """Return the calls that add this block's part to the cotangents of the matrices.

        Args:
            sweeps: the sweeps of all blocks.
            valued: whether values have cotangents.
            bent: whether gradients have cotangents.
        """
        calls = self._upwards(sweeps) if bent else []
        values_bar = sweeps.values_bar[:, self._points]
        out = sweeps.onward[-1]
        out_bar = sweeps.onward_bar[-1]
        if valued:
            calls.append(partial(out_bar.addmm_, values_bar, self._z[-1]))
            product = torch.mul if self._m == 1 else torch.mm  # an outer product is slow as a matrix product
            calls.append(partial(product, values_bar.T, out, out=self._a_bar[-1]))
        return calls + self._downwards(sweeps, valued, bent)

    def _upwards(self, sweeps: Sweeps) -> Calls:
        """Return the calls that carry the cotangent of the gradients from the inputs to the outputs."""
        sigma, last = self._layout.sigma, len(self._a) - 1
        here = sweeps.slopes_bar[..., self._points]
        outer = here[:, 0] if self._m == 1 else here.new_empty(here.shape).flatten(1)
        calls: Calls = [] if self._m == 1 else [partial(outer.view(here.shape).copy_, here)]
        calls.append(partial(sweeps.inward_bar.addmm_, outer, self._delta[0]))
        calls.append(partial(torch.mm, outer.T, sweeps.inward, out=self._bend[0]))
        total = torch.empty_like(sweeps.onward[-1])
        for k, (a, bend, r_bar) in enumerate(zip(self._a, self._bend, self._r_bar, strict=True)):
            bent = self._delta[k] if sigma.takes_product else [*self._r, sweeps.onward[-1]][k]
            calls.append(partial(sigma.through, self._wide(bend), a, self._z[k + 1], self._slopes[k], self._wide(r_bar)))
            if k < last:
                calls.append(partial(torch.mm, r_bar, sweeps.w_t[k + 1], out=self._bend[k + 1]))
                calls.append(partial(sweeps.parts[k].baddbmm_, self._shared(self._delta[k + 1]).mT, self._shared(r_bar)))
            calls.append(partial(self._wide(bend).mul_, bent.view(self._m, -1, bend.shape[1])))
        return [*calls, partial(torch.sum, self._wide(r_bar), 1, out=total), partial(sweeps.onward_bar[-1].add_, total)]

    def _downwards(self, sweeps: Sweeps, valued: bool, bent: bool) -> Calls:
        """Return the calls that carry the cotangents of the units' arguments from the outputs to the inputs."""
        calls: Calls = []
        sigma, last = self._layout.sigma, len(self._a) - 1
        for k in range(last, -1, -1):
            arriving, known = self._a_bar[k], (self._a[k], self._z[k + 1], self._slopes[k])
            if k < last:
                calls.append(partial(torch.mm, self._a_bar[k + 1], sweeps.onward[k], out=arriving))
            if bent:
                bend = self._bend[k] if self._m == 1 else torch.empty_like(arriving)
                if self._m > 1:
                    calls.append(partial(torch.sum, self._wide(self._bend[k]), 0, out=bend))
                calls.append(partial(sigma.adjoint, arriving, bend, *known, k == last and not valued))
            else:
                calls.append(partial(sigma.through, arriving, *known, arriving))
            if k:
                calls.append(partial(sweeps.parts[k - 1].baddbmm_, self._shared(arriving).mT, self._shared(self._z[k])))
        return [*calls, partial(sweeps.first_bar_t.addmm_, self._z[0].T, self._a_bar[0])]

    def _wide(self, rows: Tensor) -> Tensor:
        """Return rows [m·n, width] by component [m, n, width]."""
        return rows.view(self._m, -1, rows.shape[1])

    def _shared(self, rows: Tensor) -> Tensor:
        """Return rows split into as many parts as there are partial sums [sums, rows/sums, width]."""
        return rows.view(self._sums, -1, rows.shape[1])


def _rows(memory: Tensor, rows: int, width: int) -> Tensor:
    """Return the first entries of ``memory`` as a matrix [rows, width]."""
    return memory[: rows * width].view(rows, width)


@dataclass(frozen=True)
class Recording:
    """The pullback of one evaluation; when it is deleted, its memory is returned to the layout.

    Attributes:
        layout: position of the parameters in the matrices, and owner of the memory.
        sweeps: memory with the evaluation.
    """

    layout: Layout
    sweeps: Sweeps

    def __call__(self, values_bar: Tensor | None, gradients_bar: Tensor | None) -> Tensor:
        """Return the cotangent of the parameters [size]; see ``Sweeps.pullback``."""
        return self.sweeps.pullback(values_bar, gradients_bar)

    def __del__(self) -> None:
        self.layout.give_back(self.sweeps)


def record(
    layout: Layout, theta: Tensor, x: Tensor, order: int, values: bool = True
) -> tuple[Tensor | None, Tensor | None, Recording]:
    """Return values [m, n] (None unless wanted), gradients [d, m, n] (None at order 0), and the pullback of both.

    Args:
        layout: position of the parameters in the matrices.
        theta: parameters [size].
        x: inputs of the first layer [n, inputs].
        order: 0 for values only, 1 for gradients, too.
        values: whether values are wanted.
    """
    sums = 2 if torch.get_num_threads() > 1 and len(x) % 2 == 0 else 1
    sweeps = layout.borrow(Sweeps, (len(x), order, theta.dtype, theta.device, sums))
    return *sweeps.evaluate(theta, x, values), Recording(layout, sweeps)
