"""A march on finite elements: its field, its arrays in a checkpoint, and its distance from a march of higher degree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from vpinn.domain import CellPoints, LagrangeSpace, Points, replayed
from vpinn.finite_elements import MixedSpace
from vpinn.march.assembler import embedded
from vpinn.march.integrate import Marched
from vpinn.march.measure import Distance, Field, changing, distance_of, instants_of
from vpinn.march.stage import MarchStage
from vpinn.placement import HOST
from vpinn.problem import Case, Problem
from vpinn.trial import Imposed, Trial, elements_trial

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class ElementMarch(MarchStage):
    """A march on elements. Its state holds the coefficients of all functions, including those on the boundary.

    Attributes:
        mixed: elements of every component.
    """

    kind: ClassVar[str] = "elements"
    mixed: MixedSpace

    @property
    def size(self) -> int:
        """Number of functions."""
        return self.mixed.size

    @property
    def how(self) -> str:
        """The functions of space that the march uses, in words."""
        return f"elements of degree {self.mixed.highest.degree}, {self.size:,} functions"

    @property
    def imposed(self) -> tuple[Imposed, ...]:
        """How every condition on the boundary is imposed."""
        return elements_trial(self.problem, self.mixed.highest, self.values(self.marched.course.end)).imposed

    def values(self, t: float) -> Array:
        """Return the coefficients in the space of the highest degree at an instant [components, highest.size]."""
        return embedded(self.mixed, self.marched.course(t))

    def at(self, points: Points) -> Field:
        """Return values and gradients at points, as a function of time."""
        space = self.mixed.highest

        def field(t: float) -> Array:
            return np.moveaxis(space.jets(self.values(t), points.cell, points.reference, 1), 2, 1)

        return field

    def trial_at(self, t: float, steady: Problem) -> tuple[Trial, torch.Tensor]:
        """Return the trial space at an instant and the parameters of the field."""
        trial = elements_trial(steady, self.mixed.highest, self.values(t))
        return trial, torch.zeros(trial.network.size, dtype=torch.float64, device=HOST)

    def described(self) -> dict[str, Any]:
        """Return the entries of metrics.json that describe the functions."""
        cells = self.mixed.mesh.n_cells
        return {"degree": self.mixed.highest.degree, "degrees": list(self.mixed.degrees), "cells": cells}

    def kept(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the arrays and the JSON-compatible values that a checkpoint holds."""
        arrays: dict[str, Any] = {f"bisected.{k}": marked for k, marked in enumerate(self.mixed.mesh.bisected)}
        meta = {"kind": self.kind, "degrees": list(self.mixed.degrees), "constants": list(self.opened)}
        return arrays, meta | {"degree": self.points.degree, "refine": self.points.refine}

    @classmethod
    def restored(cls, problem: Case, marched: Marched, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> ElementMarch:
        """Return the march that a checkpoint holds."""
        marks = (arrays[f"bisected.{k}"] for k in range(sum(name.startswith("bisected.") for name in arrays)))
        mesh = replayed(problem.domain.with_cells(), marks)
        points = CellPoints(mesh, meta["degree"], refine=meta["refine"])
        mixed = MixedSpace.of(mesh, meta["degrees"])
        moved = problem if mesh is problem.domain else replace(problem, domain=mesh)
        return cls(moved, marched, points, mixed=mixed, opened=tuple(meta["constants"]))


def gap_of(found: ElementMarch, truth: ElementMarch, instants: Sequence[float]) -> tuple[Distance, Array]:
    """Return the distance of a march from one of a higher degree on the same mesh, and each cell's share of it [n_cells].

    Both are written in elements of the higher degree; square norms are then quadratic forms of the matrices of cells.
    """
    space, problem = truth.mixed.highest, found.problem
    owner = np.repeat(np.arange(len(problem.unknowns)), [u.components for u in problem.unknowns])
    times, weights = instants_of(instants)
    sums, shares = np.zeros((len(times), 4, len(problem.unknowns))), np.zeros(space.mesh.n_cells)
    blocks = [
        (cells, mass, stiffness) for (cells, mass), (_, stiffness) in zip(space.cell_mass(), space.cell_stiffness(), strict=True)
    ]
    raised = _Raised(found.mixed.highest, space)
    names = [u.name for u in problem.unknowns]
    counts = changing(problem, names)[owner]
    for k, t in enumerate(times):
        exact = truth.values(float(t))
        error = raised(found.values(float(t))) - exact
        for cells, mass, stiffness in blocks:
            dofs = space.dofs[cells]
            for column, field in ((0, error), (2, exact)):
                local = field[:, dofs]
                squares = [np.einsum("cmi,mij,cmj->cm", local, matrix, local, optimize=True) for matrix in (mass, stiffness)]
                for row, square in enumerate(squares):
                    np.add.at(sums[k, column + row], owner, square.sum(1))
                if column == 0:
                    shares[cells] += weights[k] * (squares[0] + squares[1])[counts].sum(0)
    return distance_of(problem, names, times, weights, sums), np.sqrt(shares)


class _Raised:
    """Fields of a lower degree as elements of a higher one on the same mesh."""

    def __init__(self, lower: LagrangeSpace, higher: LagrangeSpace) -> None:
        self._lower, self._higher = lower, higher
        self._table = lower.tabulate(higher.reference_nodes)[0].T

    def __call__(self, values: Array) -> Array:
        """Return coefficients [k, lower.size] as [k, higher.size]."""
        result = np.empty((len(values), self._higher.size))
        result[:, self._higher.dofs] = values[:, self._lower.dofs] @ self._table
        return result
