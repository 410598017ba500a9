"""A weak form in time on continuous elements: F(t, u, u′, u″) = 0 for their coefficients, with sparse derivatives.

Boundary values hold at the nodes at every instant. Eliminated are their coefficients, those that periodic sides share, and
constants that the form does not determine. Unknowns without a time derivative, such as a pressure, are not treated apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.features.orthonormal.form import integrals_in_time
from vpinn.finite_elements import Kernel, MixedSpace, Motion, motions
from vpinn.forms import Background
from vpinn.march.assembler import InTime, degrees, embedded
from vpinn.march.prescribed import Prescribed
from vpinn.march.sparse import Places, Sparse
from vpinn.march.ties import Ties
from vpinn.placement import HOST, host
from vpinn.problem import Problem, stated_in

Array = NDArray[np.float64]
UNSEEN = 1e-10
"""The equations do not determine a constant if its derivative is below this share of the sum of its terms' sizes."""


class ElementEquations:
    """The equations of a problem in time on elements; see `Equations`.

    Args:
        problem: the problem in time, in weak form.
        degree: degree of the elements, ≥ 1; multipliers have one less.

    Attributes:
        mixed: elements of every component.
        numbering: position of each function among the coefficients, -1 where it is prescribed or left out [mixed.size].
        orders: order of the highest time derivative of every coefficient, 0 to 2 [size].
        linear: whether the equations are linear with constant coefficients, apart from a drive that may depend on time.
        steady: whether the drive does not depend on time.
        opened: constants that neither equations nor conditions determine.
    """

    def __init__(self, problem: Problem, degree: int) -> None:
        mesh, clock = problem.domain.with_cells(), problem.time
        self.problem, parts = problem, integrals_in_time(problem)
        stated = stated_in(problem.formulation)
        self._by_component = [clock.order(u.function, stated) for u in problem.unknowns for _ in range(u.components)]
        self.mixed = MixedSpace.of(mesh, degrees(problem, parts, degree))
        background = Background(mesh)
        self._assemblers = [InTime.of(part, self.mixed, background) for part in parts]
        self._prescribed = Prescribed(problem, self.mixed)
        self._levels = 1 + max(order for part in parts for _, (order, _, _) in part.slopes)
        self.linear = all(all(part.constant) for part in parts)
        self.steady = self._prescribed.constant and not any(part.timed for part in parts)
        self._ties = Ties.of(problem, self.mixed)
        self._number(self._prescribed.given)
        self.opened = self._open()
        self.kernel = Kernel.of(self.mixed, self.opened)
        self._unpinned = copy(self)
        if len(self.kernel.pins):
            fixed = self._prescribed.given.copy()
            fixed[self.kernel.pins] = True
            self._number(fixed)
        self._drive: Any = None

    def _number(self, fixed: NDArray[np.bool_]) -> None:
        """Number the free functions; functions that periodic sides share have one number."""
        ties = self._ties
        held = np.zeros(self.mixed.size, dtype=bool)
        np.logical_or.at(held, ties.root, fixed)
        free = ~held[ties.root]
        root = free & (ties.root == np.arange(self.mixed.size))
        self.numbering = np.where(free, (np.cumsum(root) - 1)[ties.root], -1)
        self._free, self._signs = np.flatnonzero(free), ties.sign[free]
        self.size = int(root.sum())
        by_function = np.concatenate(
            [np.full(space.size, order) for space, order in zip(self.mixed.spaces, self._by_component, strict=True)]
        )
        self.orders = np.zeros(self.size, dtype=np.int64)
        self.orders[self.numbering[self._free]] = by_function[self._free]
        self._places = Places.of(self.mixed, self.numbering, {pair for a in self._assemblers for pair in a.pairs})
        numbers = np.where(self.numbering < 0, self.size, self.numbering)
        parts = [(self.mixed.numbers(c), np.array(space.dofs)) for c, space in enumerate(self.mixed.spaces)]
        self._where = [torch.from_numpy(numbers[own][dofs]) for own, dofs in parts]
        opposite = bool((ties.sign < 0).any())
        self._local_signs = [torch.from_numpy(ties.sign[own][dofs]) if opposite else None for own, dofs in parts]

    def _open(self) -> list[Motion]:
        """Return the constants that appear in no condition and do not change the equations."""
        named = {
            (c.unknown, k)
            for c in self.problem.boundary
            if c.value is not None and c.unknown is not None
            for k in (range(self.problem.unknown(c.unknown).components) if c.component is None else (c.component,))
        }
        every = [(u.name, k) for u in self.problem.unknowns for k in range(u.components)]
        found = []
        for motion in motions(self.problem):
            at = motion.components[0]
            if not motion.axes and every[at] not in named and self._by_component[at] == 0:
                found.append(motion)
        if not found:
            return []
        somewhere = 1.0 + 0.5 * np.cos(np.arange(self.size) ** 2)
        derivative = self._derivatives(self.problem.time.start, (somewhere, somewhere, somewhere))
        whole = Kernel.of(self.mixed, found)
        restricted = np.zeros((len(found), self.size))
        restricted[:, self.numbering[self._free]] = self._signs * whole.functions[:, self._free]
        sizes = abs(derivative.combined((1.0, 1.0, 1.0)))
        seen = np.abs(derivative.combined((1.0, 1.0, 1.0)) @ restricted.T).max(0)
        unseen = seen <= UNSEEN * (sizes @ np.abs(restricted.T)).max(0)
        return [motion for motion, one in zip(found, unseen, strict=True) if one]

    def whole(self, t: float, u: Array, derivatives: int = 0) -> Array:
        """Return the coefficients of all functions at an instant [mixed.size], or a time derivative of them."""
        full = self._prescribed(t)[derivatives].copy()
        full[self._free] = self._signs * u[self.numbering[self._free]]
        return np.asarray(full)

    def imbalance(self, t: float, moments: Sequence[Array]) -> float:
        """Return what is left of the equations that a value fixed for each open constant replaced, relative to their terms.

        Args:
            t: instant.
            moments: u, u′ and u″ [size] each, as far as they are known.
        """
        if not self.opened:
            return 0.0
        whole, rows = self._unpinned, np.zeros((len(self.opened), self._unpinned.size))
        inner, signs = whole.numbering[whole._free], whole._signs
        rows[:, inner] = signs * self.kernel.functions[:, whole._free]
        raised, others = [], np.ones(self.mixed.size)
        for motion in self.opened:
            others[self.mixed.numbers(motion.components[0])] = 0.0
        for order, own in enumerate(moments):
            one = np.zeros(whole.size)
            one[inner] = signs * self.whole(t, own, order)[whole._free]
            raised.append(one)
        kept = np.zeros(whole.size)
        kept[inner] = others[whole._free]
        slopes = whole._derivatives(t, raised)
        sizes = np.abs(whole._assembled(t, ()))
        for order, one in enumerate(raised):
            sizes += abs(slopes.combined(np.eye(3)[order])) @ np.abs(kept * one)
        left, terms = np.abs(rows @ whole._assembled(t, raised)), np.abs(rows) @ sizes
        return float(np.max(left / np.where(terms > 0.0, terms, np.inf)))

    def _inputs(self, t: float, moments: Sequence[Array]) -> Tensor:
        """Return those of u, u′ and u″ that occur, in the space of the highest degree [orders · components, highest.size]."""
        known = self._prescribed(t)
        full = known[: self._levels].copy()
        for row, own in zip(full, moments, strict=False):
            row[self._free] = self._signs * own[self.numbering[self._free]]
        return torch.from_numpy(np.concatenate([embedded(self.mixed, row) for row in full]))

    def _assembled(self, t: float, moments: Sequence[Array]) -> Array:
        at = self._inputs(t, moments)
        total = torch.zeros(self.size + 1, dtype=torch.float64, device=HOST)  # functions without a number share the last entry
        for assembler in self._assemblers:
            for index in assembler.at(t).chunks:
                local = assembler.local(index, at, False)
                for c, within in enumerate(self.mixed.within):
                    own = local.residual[c] if within is None else local.residual[c] @ within
                    cells, signs = torch.from_numpy(local.cells), self._local_signs[c]
                    own = own if signs is None else own * signs[cells]
                    total.index_add_(0, self._where[c][cells].reshape(-1), own.reshape(-1))
        return host(total[:-1])

    def residual(self, t: float, u: Array, first: Array, second: Array) -> Array:
        """Return F [size]."""
        if not self.linear:
            return self._assembled(t, (u, first, second))
        a0, a1, a2 = self._operators
        found = self.drive(t) + a0 @ u + a1 @ first
        return np.asarray(found + a2 @ second if self._levels > 2 else found)

    def linearise(self, t: float, u: Array, first: Array, second: Array) -> Sparse:
        """Return the derivatives of F."""
        return self._constant if self.linear else self._derivatives(t, (u, first, second))

    def _derivatives(self, t: float, moments: Sequence[Array]) -> Sparse:
        at = self._inputs(t, moments)
        count = len(self.mixed.spaces)
        places = self._places
        entries = torch.zeros(3, len(places.rows) + 1, dtype=torch.float64, device=HOST)
        for assembler in self._assemblers:
            for index in assembler.at(t).chunks:
                local = assembler.local(index, at, True)
                cells = torch.from_numpy(local.cells)
                for (c, numbered), block in local.blocks.items():
                    order, other = divmod(numbered, count)
                    tests, trials = self.mixed.within[c], self.mixed.within[other]
                    own = block if tests is None else tests.T @ block
                    own = own if trials is None else own @ trials
                    left, right = self._local_signs[c], self._local_signs[other]
                    if left is not None and right is not None:
                        own = own * left[cells][:, :, None] * right[cells][:, None, :]
                    entries[order].index_add_(0, places.blocks[c, other][cells].reshape(-1), own.reshape(-1))
        return Sparse(host(entries[:, :-1]), places.rows, places.starts)

    @cached_property
    def _constant(self) -> Sparse:
        zero = np.zeros(self.size)
        return self._derivatives(self.problem.time.start, (zero, zero, zero))

    @cached_property
    def _operators(self) -> tuple[Any, Any, Any]:
        a0, a1, a2 = (self._constant.combined(np.eye(3)[k]).tocsr() for k in range(3))
        return a0, a1, a2

    @cached_property
    def _driven_at_start(self) -> Array:
        return self._assembled(self.problem.time.start, ())

    def drive(self, t: float) -> Array:
        """Return F for free coefficients of zero [size]."""
        if self.steady:
            return self._driven_at_start
        return self._assembled(t, ()) if self._drive is None else np.asarray(self._drive(t))

    def tabulate(self, drive: Any) -> None:
        """Use a function of time as the drive of the equations, instead of sums over quadrature points."""
        self._drive = drive

    def place(self, values: Array) -> Array:
        """Return the place [d] where coefficients [mixed.size] are largest, relative to the size of their component."""
        sizes = [np.abs(values[self.mixed.numbers(c)]) for c in range(len(self.mixed.spaces))]
        peaks = [one.max(initial=0.0) / max(float(np.sqrt(np.mean(one**2))), 1e-300) for one in sizes]
        component = int(np.argmax(peaks))
        return np.asarray(self.mixed.spaces[component].locations()[sizes[component].argmax()])

    def fold(self, component: int) -> Any:
        """Return the map from all coefficients to the functions of a component as scipy.sparse CSR [functions, size]."""
        from scipy.sparse import csr_array

        own = self.mixed.numbers(component)
        numbers = self.numbering[own]
        rows = np.flatnonzero(numbers >= 0)
        return csr_array((self._ties.sign[own][rows], (rows, numbers[rows])), shape=(len(numbers), self.size))

    @property
    def multipliers(self) -> NDArray[np.bool_]:
        """Which coefficients are multipliers: without a time derivative, and absent from their own equations [size]."""
        own = {c for a in self._assemblers for c, other in a.pairs if c == other}
        found = np.zeros(self.size, dtype=bool)
        for c, order in enumerate(self._by_component):
            numbers = self.numbering[self.mixed.numbers(c)]
            if order == 0 and c not in own:
                found[numbers[numbers >= 0]] = True
        return found
