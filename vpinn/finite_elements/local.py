"""What cells and facets contribute to a residual and its derivative, and the points where this is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import Points

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Local:
    """Contributions of m cells or boundary facets to residual and matrix.

    Attributes:
        cells: numbers of the cells, or of the cells at the facets [m].
        residual: residuals of every component [components, m, n_local].
        blocks: (test component, trial component) → matrices [m, n_local, n_local].
        far: on an interface on which functions have two values, the cells on the other side [m], and the numbers of the facets
            among ``LagrangeSpace.joints`` [m]; there the functions of both sides follow each other, 2 n_local of them.
    """

    cells: NDArray[np.int64]
    residual: Tensor
    blocks: dict[tuple[int, int], Tensor]
    far: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    @property
    def sides(self) -> list[tuple[NDArray[np.int64], int]]:
        """The cells of the functions [m], with the number of the side that these are on."""
        return [(self.cells, 0)] + ([] if self.far is None else [(self.far[0], 1)])

    def entry(self, tests: int, trials: int, n_cells: int, n_joints: int) -> NDArray[np.int64]:
        """Return where in ``Pattern.places`` the matrices of functions of two sides are [m]."""
        if tests == trials:
            return self.sides[tests][0]
        assert self.far is not None
        return np.asarray(n_cells + tests * n_joints + self.far[1])


@dataclass(frozen=True)
class Placed:
    """Quadrature points of m cells or facets, q each, and their geometry.

    Attributes:
        points: the points.
        cells: their numbers [m].
        dofs: of the space [m, n_local].
        table: values and reference gradients of the local functions [m or 1, q, 1 + d, n_local].
        pull: from value and reference gradient to value and gradient [m, q or 1, 1 + d, 1 + d].
        w: weights [m, q].
        far: see ``Local.far``.
    """

    points: Points
    cells: NDArray[np.int64]
    dofs: Tensor
    table: Tensor
    pull: Tensor
    w: Tensor
    far: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None


def jets_map(inverse_transpose: Array) -> Tensor:
    """Return P = diag(1, J⁻ᵀ), from value and reference gradient to value and gradient [..., 1 + d, 1 + d]."""
    *shape, d, _ = inverse_transpose.shape
    made = np.zeros((*shape, 1 + d, 1 + d))
    made[..., 0, 0], made[..., 1:, 1:] = 1.0, inverse_transpose
    return torch.from_numpy(made)


def block_diagonal(blocks: Sequence[Array]) -> Array:
    """Return the block diagonal matrix of one or two arrays of matrices [m, q, rows, columns] each."""
    if len(blocks) == 1:
        return blocks[0]
    one, other = blocks
    zeros = np.zeros_like(one)
    return np.concatenate([np.concatenate([one, zeros], axis=3), np.concatenate([zeros, other], axis=3)], axis=2)
