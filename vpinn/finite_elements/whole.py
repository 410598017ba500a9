"""The residual of all basis functions, and the derivative by all of them times a vector, beside the matrix of the free ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.finite_elements.mixed import MixedSpace

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Whole:
    """Residual of all basis functions, and the whole derivative times a vector, of which no matrix is kept.

    Attributes:
        vector: the vector w [mixed.size].
        residual: F(u; φ_i) [mixed.size].
        image: F'(u)[w, φ_i] [mixed.size].
    """

    vector: Array
    residual: Array
    image: Array

    @classmethod
    def of(cls, vector: Array) -> Whole:
        """Return what ``assemble`` fills for a vector."""
        return cls(vector, np.zeros_like(vector), np.zeros_like(vector))

    def add(
        self, mixed: MixedSpace, pair: tuple[int, int], cells: tuple[NDArray[np.int64], NDArray[np.int64]], block: Tensor
    ) -> None:
        """Add the product of matrices [m, n, k] of the cells of tests and of trials [m], between a pair of components."""
        tests, trials = ((mixed.first[c] + mixed.spaces[c].dofs[own]) for c, own in zip(pair, cells, strict=True))
        if (taken := self.vector[trials]).any():
            found = block @ torch.from_numpy(taken)[:, :, None]
            torch.from_numpy(self.image).index_add_(0, torch.from_numpy(tests.ravel()), found.reshape(-1))
