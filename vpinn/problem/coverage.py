"""Cells without an equation: where a form is written with subdomains, every unknown needs a term on every cell."""

# mypy: disable-error-code="no-untyped-call"
# UFL's constructors carry no annotations.

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from ufl.algorithms.analysis import extract_arguments, extract_coefficients

from vpinn.domain import Mesh
from vpinn.errors import InputError
from vpinn.problem.formulation import Formulation
from vpinn.problem.unknown import Unknown


def check_covered(formulation: Formulation, unknowns: Sequence[Unknown], mesh: Mesh, tags: Sequence[str]) -> None:
    """Refuse an energy or weak form that leaves cells without any term with an unknown, or with its test function.

    Nothing would determine the unknown there. A system may split its terms: the pressure of a flow is in one equation and its
    test function is in another, so the two are looked for apart.

    Args:
        formulation: the equation; pointwise equations hold on all cells.
        unknowns: unknowns of the problem.
        mesh: cells with their tags.
        tags: tags of the domain; ``tags[i]`` has the UFL subdomain id i.

    Raises:
        InputError: names the tag and the unknown.
    """
    if formulation.pointwise:
        return
    for unknown in unknowns:
        covered = np.zeros((2, len(mesh.cells)), dtype=bool)  # by terms with the unknown, by its equation
        for part in formulation.integrals.integrals():
            if part.integral_type() != "cell":
                continue
            number, integrand = part.subdomain_id(), part.integrand()
            ids = number if isinstance(number, tuple) else (number,)
            where = [slice(None) if i == "everywhere" else mesh.cell_tags[tags[i]] for i in ids]
            known = bool({unknown.function, *unknown.rates} & set(extract_coefficients(integrand)))
            tested = known if not formulation.tested else unknown.test in extract_arguments(integrand)
            for cells in where:
                covered[0, cells] |= known
                covered[1, cells] |= tested
        bare: NDArray[np.bool_] = np.asarray(~covered.all(axis=0))
        if bare.any():
            raise InputError(_told(unknown, mesh, bare, bool((~covered[0]).any())))


def _told(unknown: Unknown, mesh: Mesh, bare: NDArray[np.bool_], absent: bool) -> str:
    """Return the message about cells [number of cells, bool] without the unknown, or else without its test function."""
    inside = [name for name, cells in mesh.cell_tags.items() if len(cells) and bare[cells].all()]
    count = f"{bare.sum():,} of {len(bare):,} cells"
    place = f"the cells of {inside[0]!r} ({count})" if inside else count
    what = f"unknown {unknown.name}" if absent else f"test function {unknown.test_name}"
    return (
        f"the form has no term with the {what} on {place}, so that nothing determines {unknown.name} there; "
        "add a term over them, or cut them out of the mesh"
    )
