"""The objective's curvature as rows: G = Σ sᵢ aᵢaᵢᵀ with the derivatives aᵢ of what the objective is made of.

| objective | row | G is that of |
|---|---|---|
| squares (strong forms, penalties) | √w ∂R/∂θ | Gauss–Newton |
| squared dual norm (weak forms) | L⁻¹ ∂r/∂θ, LLᵀ the Gram matrix of the test functions | Gauss–Newton |
| energy ∫ℓ | √(w|λₖ|) vₖᵀ ∂(jets)/∂θ, λₖ and vₖ the eigenpairs of ∂²ℓ at the point | energy natural gradient |

sᵢ is −1 where a weight or an eigenvalue is negative (Nitsche's terms, energies that are not convex), else 1. Source of the
last: Müller & Zeinhofer 2023, energy natural gradient descent (arXiv 2302.13163).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import torch
from scipy.linalg.blas import dsyrk
from torch import Tensor

from vpinn.forms import Value
from vpinn.objective.measure import Measure, Prepared
from vpinn.objective.objective import Batch, Objective, Part
from vpinn.placement import HOST, host
from vpinn.trial import Network
from vpinn.trial.jacobian import Keys, jet_jacobian

Over: TypeAlias = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
Jacobian: TypeAlias = Callable[[Network, Tensor, Tensor, Keys, Tensor], Tensor]
"""``jet_jacobian``, or ``last_layer_jacobian``."""
BLOCKS = 4
"""Blocks of rows of G, or of columns of what is whitened, that threads share."""
ROWS_BYTES = 1e9
"""Memory up to which rows are kept; beyond it only their sum G is."""
SINGULAR = 1e-13
"""Eigenvalues of ∂²ℓ below this share of the largest one count as zero."""


@dataclass(frozen=True)
class Curvature:
    """G at some parameters.

    Attributes:
        over: applies work to parts; results in order.
        rows: aᵢ [rows, size]; none [0, size] where they would take more than ``ROWS_BYTES``.
        signs: sᵢ [rows].
        residual: ρᵢ [rows] with rows ∂ρᵢ/∂θ, where the objective is ½Σ sᵢρᵢ²; else None.
        image: θ → quantities [rows] whose derivatives at these parameters the rows are.
        rest: what G holds beside the rows [size, size]; None: nothing.
    """

    rows: Tensor
    signs: Tensor
    residual: Tensor | None
    image: Callable[[Tensor], Tensor]
    rest: Tensor | None = None
    over: Over = map

    @property
    def diagonal(self) -> Tensor:
        """Diagonal [size] of G."""
        if self.rest is not None:
            return self.rest.diagonal()
        return self.signs @ self.rows.square()

    @property
    def slope(self) -> Tensor | None:
        """Gradient [size] of half the sum of squares; None for an energy, or where rows are not kept."""
        return None if self.residual is None or self.rest is not None else self.rows.T @ (self.signs * self.residual)

    @cached_property
    def gram(self) -> Tensor:
        """G [size, size]."""
        if self.rest is not None:
            return self.rest
        parts = torch.tensor_split(self.rows, BLOCKS), torch.tensor_split(self.signs, BLOCKS)
        total = self.rows.new_zeros(self.rows.shape[1], self.rows.shape[1])
        for gram in self.over(lambda part: _gram(*part), zip(*parts, strict=True)):
            total += gram
        return total


@dataclass(frozen=True)
class _Share:
    """What one part of the points contributes: factors [r, K, n] of its jets in the rows, their signs and residuals [r, n]."""

    part: Part
    factors: Tensor
    signs: Tensor
    residual: Tensor


def curvature(objective: Objective, theta: Tensor, parts: Batch | None = None, jacobian: Jacobian = jet_jacobian) -> Curvature:
    """Return G over all points, or an unbiased estimate over drawn ones, whose weights say how many each stands for.

    Args:
        objective: of any formulation.
        theta: parameters [size], float64.
        parts: drawn points; None for all. Of a squared dual norm the rows are those of the batch's own square.
        jacobian: by which parameters rows are derivatives: all of them, or those of the last layer.

    Raises:
        InputError: a derivative of third or higher order in the form.
    """
    if objective.test_space is not None:
        return _of_dual_norm(objective, theta, parts, jacobian)
    energy = not is_sum_of_squares(objective)
    split = _split_energy if energy else _split_squares
    shares = list(objective.over_parts(lambda part: split(part, theta), parts))
    signs = _joined([share.signs for share in shares])
    residual = None if energy else _joined([share.residual for share in shares])

    def image(moved: Tensor) -> Tensor:
        return _joined([_energy_image(share, moved) if energy else split(share.part, moved).residual for share in shares])

    over, size = objective.over_parts, _width(objective, theta, jacobian)
    if signs.numel() * size * 8 <= ROWS_BYTES:
        rows, at = theta.new_empty(signs.numel(), size), 0
        for block in over(lambda share: _rows(share, theta, jacobian), shares):
            rows[at : at + len(block)] = block
            at += len(block)
        return Curvature(rows, signs, residual, image, over=over)
    total = theta.new_zeros(size, size)
    for gram in over(lambda share: _gram(_rows(share, theta, jacobian), _joined([share.signs])), shares):
        total += gram
    return Curvature(theta.new_zeros(0, size), signs, residual, image, total, over)


def _width(objective: Objective, theta: Tensor, jacobian: Jacobian) -> int:
    """Return the number of parameters that rows are derivatives by."""
    network = objective.measures[0].network
    return jacobian(network, theta, theta.new_zeros(1, network.dimension), [], theta.new_zeros(1, 0, 1)).shape[2]


def count_rows(objective: Objective) -> int:
    """Return the number of rows: tests, what is squared at the points, and of an energy at most one per jet there."""
    tested = 0 if objective.test_space is None else objective.test_space.size
    roots = [len(m.tape.moving.outputs) - 1 - len(m.tests) for m in objective.measures]
    energy = objective.test_space is None and not is_sum_of_squares(objective)
    each = [len(m.keys) for m in objective.measures] if energy else roots
    return tested + sum(m.points.size * count for m, count in zip(objective.measures, each, strict=True))


def is_sum_of_squares(objective: Objective) -> bool:
    """Return whether the objective is ½ Σ w R² over the points, as that of a strong form is."""
    return objective.test_space is None and all(len(measure.tape.moving.outputs) > 1 for measure in objective.measures)


def _gram(rows: Tensor, signs: Tensor) -> Tensor:
    """Return Σ sᵢ aᵢaᵢᵀ, of which BLAS works out one half."""
    total = rows.new_zeros(rows.shape[1], rows.shape[1])
    for sign in (1.0, -1.0):
        chosen = rows if bool((signs == sign).all()) else rows[signs == sign]
        if len(chosen):
            blas = chosen.device == HOST
            total += torch.from_numpy(dsyrk(sign, host(chosen).T, lower=1)).T if blas else sign * chosen.T @ chosen
    return total.triu() + total.triu(1).T


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts])


def _rows(share: _Share, theta: Tensor, jacobian: Jacobian) -> Tensor:
    measure, points = share.part
    return jacobian(measure.network, theta, points.x, measure.keys, share.factors).flatten(0, 1)


def _leaves(measure: Measure, points: Prepared, theta: Tensor) -> list[Tensor]:
    """Return the jets that the integrands take [n] each, to differentiate by."""
    jets = measure.network.jets(theta, points.x, measure.derivatives)
    return [jets[key].detach().clone().requires_grad_() for key in measure.keys]


def _slopes(value: Value, leaves: Sequence[Tensor], again: bool = False) -> list[Tensor]:
    """Return the derivatives [n] of values at points by the jets there; ``again``: with a graph of their own."""
    if not isinstance(value, Tensor) or not value.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(value.sum(), leaves, create_graph=again, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(leaf) if slope is None else slope for leaf, slope in zip(leaves, found, strict=True)]


def _outputs(part: Part, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Return coefficients of the tests and roots [outputs, n], and their derivatives [outputs, K, n] by the jets."""
    measure, points = part
    leaves = _leaves(measure, points, theta)
    _, *outputs = measure.tape.moving([*points.fixed, *leaves])
    values, slopes = points.w.new_zeros(len(outputs), len(points.w)), points.w.new_zeros(len(outputs), len(leaves), len(points.w))
    for k, output in enumerate(outputs):
        values[k] = output.detach() if isinstance(output, Tensor) else output
        for i, slope in enumerate(_slopes(output, leaves)):
            slopes[k, i] = slope
    return values, slopes


def _split_squares(part: Part, theta: Tensor) -> _Share:
    """Return rows of ½ Σ w R², one per root R."""
    return _squares(part, *_outputs(part, theta))


def _squares(part: Part, values: Tensor, slopes: Tensor) -> _Share:
    """Return rows of ½ Σ w R² for the outputs [outputs, n] of a part, and their derivatives [outputs, K, n]."""
    measure, points = part
    size, first = points.w.abs().sqrt(), len(measure.tests)
    signs = torch.where(points.w < 0, -1.0, 1.0).to(size).expand(len(values) - first, -1)
    return _Share(part, slopes[first:] * size, signs, values[first:] * size)


def _split_energy(part: Part, theta: Tensor) -> _Share:
    """Return rows of the energy's second derivative, one per eigenvalue of ∂²ℓ that is not zero at all points."""
    measure, points = part
    leaves = _leaves(measure, points, theta)
    density = measure.tape.moving([*points.fixed, *leaves])[0]
    second = torch.stack([torch.stack(_slopes(slope, leaves)) for slope in _slopes(density, leaves, again=True)])
    values, vectors = torch.linalg.eigh(second.permute(2, 0, 1))  # [n, K], [n, K, K]
    used = values.abs().amax(0) > SINGULAR * values.abs().max()
    weighted = (points.w[:, None] * values)[:, used]
    factors = (vectors[:, :, used] * weighted.abs().sqrt()[:, None]).permute(2, 1, 0).contiguous()
    return _Share(part, factors, torch.sign(weighted).T, torch.zeros_like(weighted.T))


def _energy_image(share: _Share, theta: Tensor) -> Tensor:
    measure, points = share.part
    return torch.einsum("rkn,kn->rn", share.factors, torch.stack(_leaves(measure, points, theta)).detach())


def _of_dual_norm(objective: Objective, theta: Tensor, parts: Batch | None, jacobian: Jacobian) -> Curvature:
    """Return rows of ½‖r‖² in the dual norm, after those of what is penalised."""
    space, size = objective.test_space, _width(objective, theta, jacobian)
    assert space is not None

    def columns(part: Part) -> tuple[_Share, Tensor, Tensor | None]:
        """Return the squares with their rows, and the residual beside its derivatives [outputs, tests, 1 + size]."""
        measure, points = part
        found = _outputs(part, theta)
        share = _squares(part, *found)
        squared = _rows(share, theta, jacobian) if share.signs.numel() else theta.new_empty(0, size)
        if measure.contraction is None or points.frame is None:
            return share, squared, None
        values, slopes = (part[: len(measure.tests)] for part in found)
        rows = jacobian(measure.network, theta, points.x, measure.keys, slopes)
        wide = list(torch.cat([values[:, :, None], rows], 2))
        w, frame, aligned = points.w, points.frame, points.aligned
        return share, squared, measure.contraction.assemble(measure.tests, wide, w, frame, aligned, objective.outputs)

    shares, squares, put = list[_Share](), list[Tensor](), objective.placement.put
    tested: Tensor | None = None
    for share, block, part in objective.over_parts(columns, parts):
        shares.append(share)
        squares.append(block)
        if part is not None:
            tested = part if tested is None else tested.add_(part)
    assert tested is not None
    spread = torch.tensor_split(tested, BLOCKS, 2)
    whitened = torch.cat([put(w) for w in objective.over_parts(space.whiten, spread)], 1)
    rows = torch.cat([*squares, whitened[:, 1:]])

    def with_squares(residuals: Sequence[Tensor], whitened: Tensor) -> Tensor:
        return torch.cat([*(residual.reshape(-1) for residual in residuals), whitened])

    def image(moved: Tensor) -> Tensor:
        squares = [_split_squares(share.part, moved).residual for share in shares if share.signs.numel()]
        return with_squares(squares, put(space.whiten(objective.residual(moved, parts)[:, :, None]))[:, 0])

    signs = with_squares([share.signs for share in shares], rows.new_ones(space.size))
    residual = with_squares([share.residual for share in shares], whitened[:, 0])
    return Curvature(rows, signs, residual, image, over=objective.over_parts)
