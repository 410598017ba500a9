"""Continuous Lagrange spaces of any degree on a mesh, for test functions and finite elements. Start with `LagrangeSpace`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from vpinn.domain.build import unique_rows
from vpinn.domain.geometry import Frames
from vpinn.domain.interfaces import broken, joint_facets
from vpinn.domain.mesh import Mesh
from vpinn.domain.quadrature import MAX_DEGREE, gauss
from vpinn.domain.reference import Floats, Integers, lagrange, tabulate

_CHUNK_BYTES = 64e6  # workspace of one assembly step
_VALUES = 1_000_000  # largest number of basis function values in one step of an evaluation


def number_nodes(mesh: Mesh, element: Any) -> tuple[Integers, int]:
    """Return global numbers of an element's nodes, which are equal exactly where cells share a node.

    A node on an edge or face is identified by the vertices of that edge or face and by its barycentric weights there, not by its
    coordinates, so that curved cells and slits are treated correctly.

    Args:
        mesh: the mesh.
        element: Lagrange element of its cell type, from `lagrange`.

    Returns:
        node numbers [n_cells, n_local] and the number of nodes. Vertices are numbered first, interiors of cells last.
    """
    d = mesh.dimension
    weights, _ = tabulate(lagrange(mesh.cell, 1), np.asarray(element.points))  # [n_local, n_v]
    levels = np.unique(np.round(weights, 9))
    codes = np.searchsorted(levels, np.round(weights, 9))
    used = np.zeros(len(mesh.nodes), dtype=bool)
    used[mesh.vertices] = True
    vertices = (np.cumsum(used) - 1)[mesh.vertices]
    numbers = np.empty((mesh.n_cells, len(weights)), dtype=np.int64)
    total = 0
    for dimension in range(d):
        local = np.array([dof for entity in element.entity_dofs[dimension] for dof in entity], dtype=np.int64)
        if not len(local):
            continue
        # the vertices of the node's edge or face: those with nonzero weight, equally many for all nodes of one dimension
        support = np.nonzero(codes[local] != np.searchsorted(levels, 0.0))[1].reshape(len(local), -1)
        keys = vertices[:, support] * len(levels) + codes[local[:, None], support]
        _, inverse, count = unique_rows(np.sort(keys, axis=2).reshape(-1, support.shape[1]))
        numbers[:, local] = total + inverse.reshape(-1, len(local))
        total += len(count)
    inner = np.array(element.entity_dofs[d][0], dtype=np.int64)
    numbers[:, inner] = total + np.arange(mesh.n_cells * len(inner)).reshape(mesh.n_cells, -1)
    return numbers, total + mesh.n_cells * len(inner)


class LagrangeSpace:
    """Piecewise polynomials, continuous but for joints: P_degree on simplices, Q_degree on quadrilaterals and hexahedra.

    Args:
        mesh: the mesh.
        degree: polynomial degree in reference coordinates, 1 … 30.

    Attributes:
        dofs: global number of each local function [n_cells, n_local].
        size: number of global functions.
        joints: facets [k, 4] across which they are not continuous, see ``joint_facets``.

    Raises:
        InputError: the degree is out of range.
    """

    def __init__(self, mesh: Mesh, degree: int) -> None:
        self.mesh = mesh
        self.degree = degree
        self.element = lagrange(mesh.cell, degree)
        self.dofs, self.size = number_nodes(mesh, self.element)
        self.joints = joint_facets(mesh)
        if mesh.joints:
            closure = np.array(self.element.entity_closure_dofs[mesh.dimension - 1], dtype=np.int64)
            self.dofs, self.size = broken(mesh, self.dofs, closure, self.joints)
        self.dofs.setflags(write=False)

    @cached_property
    def reference_nodes(self) -> Floats:
        """Reference coordinates of the local nodes [n_local, d]."""
        return np.array(self.element.points)

    def boundary_dofs(self, facets: Integers) -> Integers:
        """Return the functions that do not vanish on boundary facets (rows of `mesh.boundary`), in ascending order."""
        closure = np.array(self.element.entity_closure_dofs[self.mesh.dimension - 1], dtype=np.int64)  # [n_f, n]
        cell, local = self.mesh.boundary[facets].T
        return np.unique(self.dofs[cell[:, None], closure[local]])

    def tabulate(self, reference: Floats) -> tuple[Floats, Floats]:
        """Return values [..., n_local] and reference gradients [..., d, n_local] of local functions at points [..., d]."""
        return tabulate(self.element, reference)

    def functions(self, cells: Integers, reference: Floats) -> tuple[Floats, Floats]:
        """Return the local functions of cells [n] at one reference point in each [n, d].

        Returns:
            values [n, n_local] and physical gradients [n, d, n_local].
        """
        values, gradients = self.tabulate(reference)
        return values, self.mesh.frames_at(cells, reference).inverse_transpose @ gradients

    def evaluate(self, coefficients: Floats, cells: Integers, reference: Floats) -> Floats:
        """Return the values of Σ_j c_j φ_j in cells [n] at reference points [n, d]: [n, ...] for coefficients [size, ...]."""
        values, _ = self.tabulate(reference)
        found: Floats = np.einsum("nj,nj...->n...", values, coefficients[self.dofs[cells]])
        return found

    def jets(self, coefficients: Floats, cells: Integers, reference: Floats, order: int) -> Floats:
        """Return values, and physical gradients if ``order`` is 1, of functions Σ_j c_j φ_j at points.

        If all cells have the same reference points, as with a quadrature rule, the basis functions are tabulated once.

        Args:
            coefficients: coefficients of k functions [k, size].
            cells: cell of each point [n].
            reference: reference coordinates of the points [n, d].
            order: 0 or 1.

        Returns:
            values, followed by the components of the gradient [k, n, 1 or 1 + d].
        """
        n, d = reference.shape
        result = np.empty((len(coefficients), n, 1 + d * order))
        per_cell = repeated(cells, reference)
        at_once = max(1, _VALUES // (self.dofs.shape[1] * (1 if per_cell else 1 + d)))
        step = max(per_cell, at_once * per_cell) if per_cell else at_once
        for start in range(0, n, step):
            part = slice(start, start + step)
            here, placed = cells[part], reference[part]
            if per_cell:
                here, placed = here[::per_cell], placed[:per_cell]
            local = coefficients[:, self.dofs[here]]  # [k, cells or points, n_local]
            values, gradients = self.tabulate(placed)
            if per_cell:
                result[:, part, 0] = (local @ values.T).reshape(len(local), -1)
            else:
                result[:, part, 0] = np.einsum("kpj,pj->kp", local, values)
            if not order:
                continue
            if per_cell:
                slopes = (local @ gradients.reshape(-1, values.shape[1]).T).reshape(*local.shape[:2], -1, d, 1)
                inverse = self.mesh.frames(here, placed).inverse_transpose
            else:
                slopes = np.einsum("kpj,pij->kpi", local, gradients)[..., None]
                inverse = self.mesh.frames_at(here, placed).inverse_transpose
            result[:, part, 1:] = (inverse @ slopes).reshape(len(local), -1, d)
        return result

    def locations(self) -> Floats:
        """Return the physical coordinates of the nodes [size, d]."""
        placed = np.empty((self.size, self.mesh.dimension))
        placed[self.dofs] = self.mesh.frames(np.arange(self.mesh.n_cells), self.reference_nodes).x
        return placed

    def values_at(self, cells: Integers, reference: Floats) -> Any:
        """Return the values of all functions in cells [n] at reference points [n, d], as scipy.sparse CSC [n, size]."""
        from scipy.sparse import coo_array

        values, _ = self.tabulate(reference)
        rows = np.repeat(np.arange(len(cells)), values.shape[1])
        return coo_array((values.ravel(), (rows, self.dofs[cells].ravel())), shape=(len(cells), self.size)).tocsc()

    def stiffness(self) -> Any:
        """Return ∫ ∇φ_i·∇φ_j dx as scipy.sparse CSR [size, size]; exact on affine cells."""
        return self._assemble(self.cell_stiffness())

    def mass(self) -> Any:
        """Return ∫ φ_i φ_j dx as scipy.sparse CSR [size, size]; exact up to degree 12."""
        return self._assemble(self.cell_mass())

    def cell_stiffness(self, along: int | None = None) -> Iterator[tuple[Integers, Floats]]:
        """Yield cells [m] with their matrices ∫ ∇φ_i·∇φ_j dx of local functions [m, n_local, n_local].

        Args:
            along: number of coordinates, the first ones, whose derivatives count; None for all.
        """

        def metric(geometry: Frames) -> Floats:
            inverse = geometry.inverse_transpose[..., :along, :]
            return np.swapaxes(inverse, -1, -2) @ inverse

        return self._by_cell(lambda points: self.tabulate(points)[1], metric)

    def cell_mass(self) -> Iterator[tuple[Integers, Floats]]:
        """Yield cells [m] with their matrices ∫ φ_i φ_j dx of local functions [m, n_local, n_local]."""
        return self._by_cell(lambda points: self.tabulate(points)[0][:, None], lambda geometry: np.ones((1, 1, 1, 1)))

    def cell_gram(self, mass: bool = True) -> Iterator[tuple[Integers, Floats]]:
        """Yield cells [m] with their Gram matrices of the norm of test functions [m, n_local, n_local].

        It is ∫ ∇φ_i·∇φ_j dx, with derivatives in space alone where the last coordinate is time: a form in space and time is one
        in space at every instant, whose tests need no derivative in time.

        Args:
            mass: whether ∫ φ_i φ_j dx is added, for functions that no value holds.
        """
        along = self.mesh.dimension - 1 if self.mesh.timed else None
        if not mass:
            return self.cell_stiffness(along)
        pairs = zip(self.cell_stiffness(along), self.cell_mass(), strict=True)
        return ((cells, stiffness + mass) for (cells, stiffness), (_, mass) in pairs)

    def gram(self, mass: bool = True) -> Any:
        """Return the matrix of `cell_gram` as scipy.sparse CSR [size, size]."""
        return self._assemble(self.cell_gram(mass))

    def _by_cell(
        self, table: Callable[[Floats], Floats], metric: Callable[[Frames], Floats]
    ) -> Iterator[tuple[Integers, Floats]]:
        """Yield cells with ∫ DᵀMD dx, D = table(points) [q, k, n_local] and M = metric(geometry) [m, q or 1, k, k]."""
        mesh, d = self.mesh, self.mesh.dimension
        # the degree of det J: in all variables on simplices, in each on quadrilaterals and hexahedra
        bend = d * (mesh.order - 1) if mesh.reference.simplex else d * mesh.order - 1
        rule = gauss(mesh.cell, min(2 * self.degree + (0 if mesh.affine else max(bend, 2)), MAX_DEGREE))
        known = table(rule.points)
        q, k, n = known.shape
        flat = known.reshape(q * k, n)
        # on affine cells M is constant, and what is left of the integral is the same for all cells
        shared = np.einsum("q,qin,qjm->ijnm", rule.weights, known, known, optimize=True).reshape(k * k, n * n)
        step = max(1, int(_CHUNK_BYTES / (8 * n * (n + q * d))))
        for start in range(0, self.mesh.n_cells, step):
            cells = np.arange(start, min(start + step, self.mesh.n_cells))
            geometry = self.mesh.frames(cells, rule.points)
            scaled = metric(geometry) * geometry.determinant[..., None, None]
            if self.mesh.affine:
                local = (scaled.reshape(len(cells), k * k) @ shared).reshape(-1, n, n)
            else:
                local = flat.T @ (rule.weights[:, None, None] * scaled @ known).reshape(len(cells), q * k, n)
            yield cells, (local + np.swapaxes(local, 1, 2)) / 2.0

    def _assemble(self, parts: Iterator[tuple[Integers, Floats]]) -> Any:
        """Return the sum over cells as scipy.sparse CSR [size, size]."""
        return assemble_cells(((self.dofs[cells], local) for cells, local in parts), self.size)


def assemble_cells(parts: Iterable[tuple[Integers, Floats]], size: int) -> Any:
    """Return the sum of cell matrices as scipy.sparse CSR [size, size].

    Args:
        parts: pairs of the global functions of m cells [m, n] and their matrices [m, n, n].
        size: number of global functions.
    """
    from scipy.sparse import csr_array

    matrix = csr_array((size, size))
    rows, columns = list[Integers](), list[Integers]()
    entries = list[Floats]()

    def flush() -> Any:
        where = (np.concatenate(rows), np.concatenate(columns))
        return csr_array((np.concatenate(entries), where), shape=matrix.shape)

    for dofs, local in parts:
        n = dofs.shape[1]
        rows.append(np.repeat(dofs, n, axis=1).ravel())
        columns.append(np.tile(dofs, n).ravel())
        entries.append(local.ravel())
        if sum(map(len, entries)) > 2e7:
            matrix += flush()
            rows, columns, entries = [], [], []
    return matrix + flush() if entries else matrix


def repeated(cells: Integers, reference: Floats) -> int:
    """Return the number of points per cell if all cells have the same reference points, cell after cell; else 0."""
    n, d = reference.shape
    q = int((cells != cells[0]).argmax()) or n if n else 0
    if not q or n % q:
        return 0
    same = (cells.reshape(-1, q) == cells[::q, None]).all() and (reference.reshape(-1, q, d) == reference[:q]).all()
    return q if same else 0


def functions_per_cell(mesh: Mesh, degree: int, bubbles: bool = False) -> float:
    """Return the approximate number of functions of a degree per cell; for bubbles the exact number."""
    d = mesh.dimension
    if bubbles:
        return float(math.comb(degree - 1, d) if mesh.reference.simplex else (degree - 1) ** d)
    return float(degree**d) / (math.factorial(d) if mesh.reference.simplex else 1)
