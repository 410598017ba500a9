"""An eigenproblem on continuous elements of one degree: its eigenpairs, and how far they are from those on richer elements.

Modes of degree p are compared with those of degree p + 2 on the same mesh. For a symmetric problem both eigenvalues lie above the
true one (Courant–Fischer), so that their difference is what degree p misses, up to the much smaller error of degree p + 2; it is
also the energy of the error of the mode, which the cells share (Babuška & Osborn 1991, Handbook of Numerical Analysis II, §8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vpinn.eigen.pairs import Pairs, check_mass, eigenpairs
from vpinn.errors import InputError
from vpinn.finite_elements import (
    Discrete,
    Kernel,
    Level,
    MixedSpace,
    assemble,
    degrees_of,
    discretised,
    factorise,
    integrands,
    prescribed,
)
from vpinn.forms import Background
from vpinn.placement import host
from vpinn.problem import Problem

Array = NDArray[np.float64]
MORE = 4
"""Eigenpairs that are computed beyond those asked for, so that a multiple eigenvalue at the end is not cut in two."""


@dataclass(frozen=True, eq=False)
class Discretised:
    """Eigenpairs on elements of one degree.

    Attributes:
        problem: the eigenproblem, on the mesh of the elements.
        mixed: the elements of every component.
        pairs: the eigenpairs nearest to the wanted number, a few more than asked for; modes on the free functions.
        mass: M on the free functions, sparse [free, free].
        free: whether a function has no prescribed coefficient [mixed.size].
        forms: assemblers of a, the left side.
        level: motions that neither side sees, such as the constant of a pressure; modes are orthogonal to them.
    """

    problem: Problem
    mixed: MixedSpace
    pairs: Pairs
    mass: Any
    free: NDArray[np.bool_]
    forms: Sequence[Discrete]
    level: Kernel

    @property
    def modes(self) -> NDArray[Any]:
        """Coefficients of the modes [k, mixed.size], zero where they are held."""
        found = np.zeros((len(self.pairs.values), self.mixed.size), dtype=self.pairs.vectors.dtype)
        found[:, self.free] = self.pairs.vectors.T
        if not len(self.level.functions):
            return found
        return np.array([self.level.without(mode) for mode in found])

    @property
    def nodal(self) -> NDArray[Any]:
        """The modes as coefficients of the highest degree of all components [k, components, nodes]."""
        return _nodal(self.mixed, self.modes)


def discretise(problem: Problem, degree: int, generator: np.random.Generator) -> Discretised:
    """Return the eigenpairs of an eigenproblem on elements of a degree.

    Args:
        problem: an eigenproblem on a mesh.
        degree: degree of the elements, 1 to 12; multipliers have one less.
        generator: random numbers of the vector from which the search for eigenvalues starts.

    Raises:
        InputError: elements cannot state the problem, the mass form is not symmetric and positive, or the mesh has too few
            functions for so many eigenvalues.
        DivergenceError: the search does not converge.
    """
    mesh, eigen = problem.domain.with_cells(), problem.eigen
    assert eigen is not None
    left = integrands(problem)
    mixed, background = MixedSpace.of(mesh, degrees_of(problem, left, degree)), Background(mesh)
    zero = np.zeros(mixed.size)
    mass = _mass(problem, mixed, background)
    free = ~prescribed(problem, mixed, background)[1]
    opened = Level.of(problem).motions
    unseen = Kernel.of(mixed, opened).unseen(mass, free)
    level = Kernel.of(mixed, [motion for motion, one in zip(opened, unseen, strict=True) if one])
    free[level.pins] = False
    wanted = eigen.count + MORE
    if free.sum() < wanted + 2:
        raise InputError(
            f"the mesh has {free.sum()} functions of degree {degree}, too few for {eigen.count} eigenvalues; "
            "refine it, or ask for fewer",
            problem.where("eigen", "count"),
        )
    forms = discretised(left, mixed, background)
    stiffness = assemble(forms, mixed, zero, np.where(free, np.cumsum(free) - 1, -1))[1]
    mass = mass.tocsr()[free][:, free].tocsc()
    pairs = eigenpairs(stiffness, mass, wanted, eigen.near, factorise, generator)
    return Discretised(problem, mixed, pairs, mass, free, forms, level)


def check_form(problem: Problem, degree: int, generator: np.random.Generator) -> None:
    """Refuse a mass form that is not symmetric and positive on elements of a degree; see ``check_mass``.

    Raises:
        InputError: it is not, or elements cannot state the problem.
    """
    mesh = problem.domain.with_cells()
    mixed = MixedSpace.of(mesh, degrees_of(problem, integrands(problem), degree))
    try:
        check_mass(_mass(problem, mixed, Background(mesh)), generator)
    except InputError as error:
        raise error.at(problem.where("eigen", "mass")) from None


def _mass(problem: Problem, mixed: MixedSpace, background: Background) -> Any:
    """Return the mass form as a sparse matrix [mixed.size, mixed.size]."""
    assert problem.eigen is not None
    forms = discretised(integrands(replace(problem, formulation=problem.eigen.mass)), mixed, background)
    return assemble(forms, mixed, np.zeros(mixed.size), np.arange(mixed.size))[1]


@dataclass(frozen=True, eq=False)
class EigenErrors:
    """What eigenpairs on elements miss, seen on richer elements of the same mesh.

    Attributes:
        differences: distance of every eigenvalue from its partner on the richer elements [k], in units of λ.
        rounding: error of both by rounding [k], in units of λ.
        cells: root of the energy of all modes' errors in each cell, each relative to the mode's own [n_cells], dimensionless.
    """

    differences: Array
    rounding: Array
    cells: Array


def compare(coarse: Discretised, fine: Discretised, count: int) -> EigenErrors:
    """Return what the first eigenpairs miss, seen on elements of a higher degree on the same mesh.

    Args:
        coarse: the eigenpairs to judge.
        fine: those to judge them by.
        count: how many of them, those nearest to the wanted number.
    """
    chosen = nearest(coarse, count)
    partners = _partners(coarse.pairs.values[chosen], fine.pairs.values)
    differences = np.abs(coarse.pairs.values[chosen] - fine.pairs.values[partners])
    values, modes = coarse.pairs.values[chosen], coarse.mixed.raised(coarse.modes[chosen], fine.mixed)
    vectors = fine.pairs.vectors
    # the error of a mode is what its projection on the richer modes, orthogonal in the mass product, leaves of it
    shares = np.linalg.lstsq(vectors.conj().T @ (fine.mass @ vectors), vectors.conj().T @ (fine.mass @ modes[:, fine.free].T))[0]
    errors = modes.copy()
    errors[:, fine.free] -= (vectors @ shares).T
    scale = np.maximum(np.abs(values), np.abs(values).max() * 1e-3)
    weighted = _nodal(fine.mixed, errors / np.sqrt(scale)[:, None])
    cells = _cell_energies(fine.forms, fine.mixed, np.concatenate([weighted.real, weighted.imag]))
    rounding = coarse.pairs.rounding[chosen] + fine.pairs.rounding[partners]
    return EigenErrors(differences, rounding, np.sqrt(cells))


def nearest(found: Discretised, count: int) -> NDArray[np.int64]:
    """Return the positions of the eigenvalues nearest to the wanted number, in their order [count].

    Conjugate eigenvalues are equally near, so that the last one may be without its partner.
    """
    eigen = found.problem.eigen
    assert eigen is not None
    distance = np.abs(found.pairs.values - eigen.near)
    return np.sort(np.argsort(distance, kind="stable")[:count])


def _partners(values: NDArray[Any], others: NDArray[Any]) -> NDArray[np.int64]:
    """Return a different eigenvalue for each of some, so that their distances are smallest together."""
    from scipy.optimize import linear_sum_assignment

    return np.asarray(linear_sum_assignment(np.abs(values[:, None] - others[None]))[1])


def _nodal(mixed: MixedSpace, modes: NDArray[Any]) -> NDArray[Any]:
    """Return coefficients [k, mixed.size] as values at the nodes of the highest degree [k, components, nodes]."""
    parts = [[mixed.embedded(part) for part in np.ascontiguousarray(side)] for side in (modes.real, modes.imag)]
    return np.array(parts[0]) if np.isrealobj(modes) else np.array(parts[0]) + 1j * np.array(parts[1])


def _cell_energies(forms: Sequence[Discrete], mixed: MixedSpace, fields: Array) -> Array:
    """Return |a(e, e)| of some fields [k, components, nodes] summed over them in each cell [n_cells]."""
    highest, found = mixed.highest, np.zeros(mixed.mesh.n_cells)
    zero, coefficients = torch.from_numpy(np.zeros(fields.shape[1:])), torch.from_numpy(fields)
    for form in forms:
        for index in form.points.chunks(form.entities_at_a_time * form.points.per_entity):
            local = form.local(index, zero, True)
            own = coefficients[:, :, torch.from_numpy(highest.dofs[local.cells])]  # [k, components, m, n]
            for (c, other), block in local.blocks.items():
                energy = torch.einsum("kmi,mij,kmj->m", own[:, c], block, own[:, other])
                np.add.at(found, local.cells, host(energy))
    return np.abs(found)
