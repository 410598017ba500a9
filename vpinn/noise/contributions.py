"""Stored contributions of every quadrature point to J and ∇J at fixed parameters, from which batches are summed up quickly.

At fixed θ a batch's estimate is a sum of rows that belong to its points, without the network: equal to that of training up to
rounding, in a tenth of the time or less. Start from `Contributions.at`. With quadrature weights w and the scales c of the draws:

- A density ℓ (energy, strong form) has Ĵ = Σ cᵢwᵢℓᵢ and ∇Ĵ = Σ cᵢwᵢ∇ℓᵢ.
- In a weak form, point i adds rᵢ = wᵢ Σ_t a_t v_t(xᵢ) to the residual, a sum over test jets v_t (values and derivatives of test
  functions). With Jᵢ = ∂rᵢ/∂θ and their Gram matrix G, batches A and B estimate ∇J by ½(J_AᵀG⁻¹r_B + J_BᵀG⁻¹r_A).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array
from torch import Tensor

from vpinn.noise.draws import Array, Drawer, Drawn, Draws
from vpinn.noise.gradients import chunks, integrands, separate, streams
from vpinn.objective import Objective, TestSpace
from vpinn.placement import HOST, host

MOST_BYTES = 700e6
"""Memory for contributions [bytes]; if they need more, batches are evaluated through the network."""
CHUNK_BYTES = 64e6
"""Memory for the rows and test functions of batches that are evaluated together [bytes]."""
RARE = 0.06
"""Share of all points that is in a batch from which dense sums are faster than sparse ones."""
DRAWN, POINT_FLOPS = 30, 1e5
"""Costs by experience: to draw a batch takes as long as 30 points through the network, one point as long as 1e5 operations."""
SIGNS, FLOPS = (64, 800), 2e10
"""Smallest and largest number of pairs of random sign vectors in `products`, and the floating-point operations they may take."""


@dataclass(frozen=True)
class Part:
    """Contributions of one measure: N points, P parameters, T test jets, l test functions that are not zero at a point.

    Attributes:
        losses: wℓ at the points [N].
        rows: w∇ℓ at the points [N, P]; None if the density does not depend on the parameters.
        coefficients: w a_t at the points [T, N].
        slopes: w∇a_t at the points [T, N, P].
        basis: Jets v_t of the test functions at the points [T, N, l].
        functions: Numbers of these test functions [N, l], within one component.
        offsets: What to add to these numbers for the component that jet t belongs to, one per t.
    """

    losses: Tensor
    rows: Tensor | None
    coefficients: Tensor
    slopes: Tensor
    basis: Tensor
    functions: Tensor
    offsets: tuple[int, ...]


@dataclass(frozen=True)
class Contributions:
    """Contributions of all points at one θ.

    Attributes:
        parts: Contributions of each measure.
        space: Space of the test functions; None for an energy or a strong form.
        outputs: Number of components of the test functions.
        batches: 2 if estimates are products of two independent batches, else 1.
        size: Number P of parameters, or of directions along which gradients are stored.
    """

    parts: tuple[Part, ...]
    space: TestSpace | None
    outputs: int
    batches: int
    size: int

    @classmethod
    def at(
        cls, objective: Objective, theta: Tensor, onto: Array | None = None, most: float | None = None
    ) -> Contributions | None:
        """Evaluate all points and return their contributions; None if they need too much memory, or for a U-statistic.

        Args:
            objective: Objective whose integrals are stored.
            theta: Parameters [size].
            onto: Directions [size, P] along which gradients are stored; by default, gradients by all parameters.
            most: Memory that contributions may take [bytes]; ``MOST_BYTES`` by default.
        """
        if objective.test_space is not None and objective.estimator == "u-statistic":
            return None
        basis = None if onto is None else torch.from_numpy(onto)
        weights = len(theta) if onto is None else onto.shape[1]
        need = sum(m.points.size * max(1, len(m.tests)) for m in objective.measures) * (weights + 50) * 8
        if need > (most or MOST_BYTES):
            return None
        found: list[list[tuple[Tensor, ...]]] = [[] for _ in objective.measures]
        for k, _, measure, points in chunks(objective):
            seen = streams(measure.network, theta.detach(), points.x, measure.derivatives)
            density, values = integrands(measure, points, seen)
            n = len(points.w)
            loss = points.w * density
            moving = isinstance(loss, Tensor) and loss.requires_grad
            rows = _along(separate(loss, seen), basis) if moving else loss.new_zeros(n, 0)
            weighted = [points.w * value for value in values]
            coefficients = torch.stack([c.detach() for c in weighted]) if weighted else loss.new_zeros(0, n)
            slopes = torch.stack([_along(separate(c, seen), basis) for c in weighted]) if weighted else loss.new_zeros(0, n, 0)
            if measure.contraction is not None and points.frame is not None:
                tested, functions = measure.contraction.basis(measure.tests, points.frame)
            else:
                tested, functions = loss.new_zeros(0, n, 0), torch.zeros(n, 0, dtype=torch.int64, device=HOST)
            parts = (loss.detach(), rows, coefficients.T, slopes.transpose(0, 1), tested.transpose(0, 1), functions)
            found[k].append(parts)
        made = []
        size = 0 if objective.test_space is None else objective.test_space.space.size
        for measure, pieces in zip(objective.measures, found, strict=True):
            loss, rows, coefficients, slopes, tested, functions = (torch.cat(column) for column in zip(*pieces, strict=True))
            offsets = tuple(test.component * size for test in measure.tests)
            held = rows if rows.shape[1] else None
            made.append(
                Part(
                    loss,
                    held,
                    coefficients.T.contiguous(),
                    slopes.transpose(0, 1).contiguous(),
                    tested.transpose(0, 1).contiguous(),
                    functions,
                    offsets,
                )
            )
        two = objective.test_space is not None and objective.estimator == "two-batch"
        return cls(tuple(made), objective.test_space, objective.outputs, 2 if two else 1, weights)

    @property
    def cost(self) -> float:
        """Largest cost of one estimate (draws, sums, products with G⁻¹), in points through the network."""
        sums = sum(2.0 * part.slopes.numel() + (0 if part.rows is None else 2.0 * part.rows.numel()) for part in self.parts)
        duals = 0.0 if self.space is None else 2.0 * self.batches * self.outputs * float(self.space.space.size) ** 2
        return DRAWN + (sums + duals) / POINT_FLOPS

    def repeat(self, draw: Drawer, count: int) -> Draws:
        """Return ``count`` ≥ 1 independent estimates from stored rows; ``draws.repeat`` does the same through the network."""
        losses, gradients = np.empty(count), np.empty((count, self.size))
        done = 0
        while done < count:
            drawn = draw()
            width = 8.0 * sum(len(index) * (8 + part.basis.shape[2]) for (index, _), part in zip(drawn, self.parts, strict=True))
            some = min(count - done, max(1, int(CHUNK_BYTES / width)))
            first = [drawn, *(draw() for _ in range(some - 1))]
            second = [draw() for _ in range(some)] if self.batches == 2 else None
            losses[done : done + some], gradients[done : done + some] = self.estimates(first, second)
            done += some
        return Draws(losses, gradients)

    def estimates(self, first: Sequence[Drawn], second: Sequence[Drawn] | None = None) -> tuple[Array, Array]:
        """Return estimates of J [n] and ∇J [n, P] from n batches, or from n pairs of independent batches."""
        drawn = [first] if second is None else [first, second]
        groups = [[_matrix(group, k, part) for k, part in enumerate(self.parts)] for group in drawn]
        losses, gradients, share = np.zeros(len(first)), np.zeros((len(first), self.size)), 1.0 / len(groups)
        for group in groups:
            for part, matrix in zip(self.parts, group, strict=True):
                losses += share * (matrix @ host(part.losses))
                if part.rows is not None:
                    gradients += share * _summed(matrix, host(part.rows))
        if self.space is None:
            return losses, gradients
        sums = [self._residuals(group) for group in groups]
        duals = [self.space.riesz(r) for r in sums]
        losses += 0.5 * host((sums[0] * duals[-1]).sum((0, 1)))
        for k, part in enumerate(self.parts):
            jets = [_jets(part, group[k], dual) for group, dual in zip(groups, reversed(duals), strict=True)]
            for t, slopes in enumerate(part.slopes):
                tested = [
                    csr_array((matrix.data * jet[t], matrix.indices, matrix.indptr), matrix.shape)
                    for matrix, jet in zip((group[k] for group in groups), jets, strict=True)
                ]
                gradients += share * _summed(sum(tested[1:], tested[0]), host(slopes))
        return losses, gradients

    def _residuals(self, group: Sequence[csr_array]) -> Tensor:
        """Return the residual r of each of n batches [outputs, space.size, n]."""
        assert self.space is not None
        found = sum((matrix @ tested).toarray() for matrix, tested in zip(group, self._tested, strict=True))
        return torch.from_numpy(np.ascontiguousarray(found.T)).view(self.outputs, self.space.space.size, -1)

    @cached_property
    def _tested(self) -> tuple[csr_array, ...]:
        """Contributions rᵢ of the points of every measure to the residual [N, outputs · space.size]."""
        found = []
        for part in self.parts:
            total = csr_array((len(part.losses), self.outputs * self.space.space.size if self.space else 0))
            for t, values in enumerate(host(part.coefficients)):
                total = total + diags_array(values) @ self._functions(part, t)
            found.append(csr_array(total))
        return tuple(found)

    def products(self, generator: np.random.Generator, operations: float = FLOPS) -> Array | None:
        """Return the second-order part Q_kl of the variances of two-batch estimates [measures, measures, P + 1].

        With b_k uniform draws from measure k, ½(δJ_AᵀG⁻¹δr_B + δJ_BᵀG⁻¹δr_A) has the variance Σ_kl Q_kl/(b_k b_l), and the loss
        (last entry) E(½δr_AᵀG⁻¹δr_B)². They depend on the covariances of single points only. Sums with random signs εᵢ have the
        same covariances, δr = √N Σ (εᵢ − ε̄) rᵢ and δJ alike, so that Q is a mean square over pairs of sign vectors. None if
        estimates use one batch.

        Args:
            generator: Generator of the signs.
            operations: Floating-point operations to spend; they determine the number of sign vectors.
        """
        if self.batches == 1 or self.space is None:
            return None
        counts = [len(part.losses) for part in self.parts]
        entries = sum(part.slopes.numel() for part in self.parts)
        total, chunk = int(np.clip(operations / (4.0 * max(1, entries)), *SIGNS)), max(1, int(CHUNK_BYTES / (32.0 * sum(counts))))
        tests = [[self._functions(part, t) for t in range(len(part.offsets))] for part in self.parts]
        pairs = range(len(self.parts))
        squares = np.zeros((len(self.parts), len(self.parts), self.size + 1))
        for done in range(0, total, chunk):
            some = min(chunk, total - done)
            signs = [generator.choice([-1.0, 1.0], size=(2, some, n)) for n in counts]
            scales = [math.sqrt(n) * (sign - sign.mean(2, keepdims=True)) for n, sign in zip(counts, signs, strict=True)]
            squares += [[self._square(scales, tests, {j, k}) / total for k in pairs] for j in pairs]
        return np.array(
            [[squares[j, k] if j == k else 0.5 * (squares[j, k] - squares[j, j] - squares[k, k]) for k in pairs] for j in pairs]
        )

    def _square(self, scales: Sequence[Array], tests: Sequence[Sequence[csr_array]], measures: set[int]) -> Array:
        """Return the squared deviations [P + 1], summed over n pairs of sign vectors [2, n, N], due to some of the measures."""
        assert self.space is not None
        seen = [(self.parts[k], scales[k], tests[k]) for k in sorted(measures)]
        n = scales[0].shape[1]
        residuals = np.zeros((2, self.outputs * self.space.space.size, n))
        for part, scale, jets in seen:
            for one, weight in zip(jets, host(part.coefficients), strict=True):
                for side in (0, 1):
                    residuals[side] += one.T @ (scale[side] * weight).T
        duals = [host(self.space.riesz(torch.from_numpy(r).view(self.outputs, -1, n)).view(-1, n)) for r in residuals]
        total = np.zeros((n, self.size))
        for part, scale, jets in seen:
            for one, slope in zip(jets, host(part.slopes), strict=True):
                for side in (0, 1):
                    total += 0.5 * (scale[side] * (one @ duals[1 - side]).T) @ slope
        product = 0.5 * (residuals[0] * duals[1]).sum(0)
        return np.append((total**2).sum(0), (product**2).sum())

    def influences(self) -> list[Array]:
        """Return the influence wℓ + rᵢᵀG⁻¹r of every point, per measure [N]: the derivative of J by a factor of its weight."""
        whole = [[(np.arange(len(part.losses)), np.ones(len(part.losses))) for part in self.parts]]
        group = [_matrix(whole, k, part) for k, part in enumerate(self.parts)]
        found = [host(part.losses) for part in self.parts]
        if self.space is None:
            return found
        dual = self.space.riesz(self._residuals(group))
        return [
            loss + sum(c * jets for c, jets in zip(host(part.coefficients), _jets(part, matrix, dual), strict=True))
            for loss, part, matrix in zip(found, self.parts, group, strict=True)
        ]

    def _functions(self, part: Part, t: int) -> csr_array:
        """Return jet t of all test functions at all points, as a sparse matrix [N, outputs · space.size]."""
        assert self.space is not None
        n, local = part.functions.shape
        place = host((part.functions + part.offsets[t]).reshape(-1))
        shape = (n, self.outputs * self.space.space.size)
        return csr_array((host(part.basis[t].reshape(-1)), place, local * np.arange(n + 1)), shape)


def _along(gradients: Tensor, basis: Tensor | None) -> Tensor:
    return gradients.detach() if basis is None else gradients.detach() @ basis


def _matrix(group: Sequence[Drawn], k: int, part: Part) -> csr_array:
    """Return the scales of the points of one measure in n batches as a sparse matrix [n, N]; repeated draws are repeated."""
    lengths = [len(drawn[k][0]) for drawn in group]
    index, scale = (np.concatenate([drawn[k][side] for drawn in group]) for side in (0, 1))
    return csr_array((scale, index, np.concatenate([[0], np.cumsum(lengths)])), (len(group), len(part.losses)))


def _summed(matrix: csr_array, rows: Array) -> Array:
    """Return the sums [n, P] of rows [N, P] over the draws of n batches [n, N], by a dense product if draws are not sparse."""
    n, points = matrix.shape
    return np.asarray((matrix.toarray() if matrix.nnz > RARE * n * points else matrix) @ rows)


def _drawn(matrix: csr_array) -> tuple[Tensor, Tensor, Tensor]:
    """Return point, batch and scale of every draw."""
    batch = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return torch.from_numpy(matrix.indices.astype(np.int64)), torch.from_numpy(batch), torch.from_numpy(matrix.data)


def _jets(part: Part, matrix: csr_array, dual: Tensor) -> list[Array]:
    """Return every test jet, at the points of each of n batches, of the batch's function in ``dual`` [outputs, space.size, n]."""
    point, batch, _ = _drawn(matrix)
    n = matrix.shape[0]
    rows = dual.reshape(-1, n).T.contiguous()  # coefficients of one batch are contiguous
    place, flat = part.functions[point] + (batch * rows.shape[1])[:, None], rows.reshape(-1)
    values = {offset: flat[place + offset] for offset in set(part.offsets)}
    return [host(torch.linalg.vecdot(values[offset], part.basis[t, point])) for t, offset in enumerate(part.offsets)]
