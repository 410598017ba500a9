"""The curvature matrix of an objective, G = Σ sᵢ aᵢaᵢᵀ, by its rows aᵢ and signs sᵢ, which several workers may share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import torch
from scipy.linalg.blas import dsyrk
from torch import Tensor

from vpinn.placement import HOST, host
from vpinn.workers import ALONE, Group

Over: TypeAlias = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
BLOCKS = 4
"""Number of blocks into which rows, or columns to be whitened, are divided for the threads."""


@dataclass(frozen=True)
class Curvature:
    """The curvature matrix G at some parameters; ``size`` is the number of parameters that the rows are derivatives by.

    Every worker has the rows of its own points, and functions of test functions are shared, too. G and all products with
    transposed rows are sums over all workers.

    Attributes:
        rows: aᵢ [rows, size] of this worker; [0, size] if those of all workers would take more than ``ROWS_BYTES``.
        signs: sᵢ, 1 or −1 [rows].
        residual: ρᵢ [rows] with aᵢ = ∂ρᵢ/∂θ, if the objective is ½Σ sᵢρᵢ²; else None.
        image: function of θ that returns the quantities [rows] whose derivatives at these parameters are the rows.
        rest: G [size, size] if the rows are not stored; else None.
        over: function that applies work to blocks, with results in order.
        group: workers that share the rows.
        order: number of every row's measure and square [rows], by which ``gathered`` sorts; None in a group of one.
    """

    rows: Tensor
    signs: Tensor
    residual: Tensor | None
    image: Callable[[Tensor], Tensor]
    rest: Tensor | None = None
    over: Over = map
    group: Group = ALONE
    order: Tensor | None = None

    @cached_property
    def count(self) -> int:
        """Number of the rows that all workers store."""
        return sum(self.group.counts(len(self.rows)))

    @cached_property
    def positive(self) -> bool:
        """Whether all signs are 1."""
        return self.group.largest([float((self.signs < 0).any())]) == [0.0]

    @property
    def diagonal(self) -> Tensor:
        """Diagonal [size] of G."""
        if self.rest is not None:
            return self.rest.diagonal()
        return self.group.sum(self.signs @ self.rows.square())[0]

    @property
    def slope(self) -> Tensor | None:
        """Gradient of ½Σ sᵢρᵢ² [size]; None for an energy, or if the rows are not stored."""
        if self.residual is None or self.rest is not None:
            return None
        return self.group.sum(self.rows.T @ (self.signs * self.residual))[0]

    def gathered(self) -> Curvature:
        """Return the curvature with the rows of all workers on each of them, in the order that one worker would have them.

        Methods that need products of rows take these; drawn points are few, and their products ill-conditioned.
        """
        if self.order is None:
            return self
        image, place = self.image, torch.argsort(self.group.joined(self.order), stable=True)

        def join(rows: Tensor) -> Tensor:
            return self.group.joined(rows)[place]

        residual = None if self.residual is None else join(self.residual)
        return Curvature(join(self.rows), join(self.signs), residual, lambda theta: join(image(theta)), self.rest, self.over)

    @cached_property
    def gram(self) -> Tensor:
        """G [size, size]."""
        if self.rest is not None:
            return self.rest
        parts = torch.tensor_split(self.rows, BLOCKS), torch.tensor_split(self.signs, BLOCKS)
        total = self.rows.new_zeros(self.rows.shape[1], self.rows.shape[1])
        for gram in self.over(lambda part: gram_of(*part), zip(*parts, strict=True)):
            total += gram
        return self.group.sum(total)[0]


def gram_of(rows: Tensor, signs: Tensor) -> Tensor:
    """Return Σ sᵢ aᵢaᵢᵀ [size, size]; on the CPU, BLAS computes one half and the other is its mirror image."""
    total = rows.new_zeros(rows.shape[1], rows.shape[1])
    for sign in (1.0, -1.0):
        chosen = rows if bool((signs == sign).all()) else rows[signs == sign]
        if len(chosen):
            blas = chosen.device == HOST
            total += torch.from_numpy(dsyrk(sign, host(chosen).T, lower=1)).T if blas else sign * chosen.T @ chosen
    return total.triu() + total.triu(1).T
