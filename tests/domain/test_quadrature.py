from __future__ import annotations

from itertools import product
from math import factorial, prod

import numpy as np
import pytest

from vpinn.domain import facet_gauss, gauss, reference_cell
from vpinn.domain.reference import CELLS, FACET_CELL
from vpinn.errors import InputError


def monomial_integral(cell: str, powers: tuple[int, ...]) -> float:
    if cell in ("quadrilateral", "hexahedron"):
        return prod(1.0 / (p + 1) for p in powers)
    return prod(map(factorial, powers)) / factorial(sum(powers) + len(powers))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 17, 20])
def test_monomials_are_integrated_exactly(cell: str, degree: int):
    rule = gauss(cell, degree)
    d = reference_cell(cell).dimension
    simplex = reference_cell(cell).simplex
    for powers in product(range(degree + 1), repeat=d):
        if simplex and sum(powers) > degree:
            continue
        if not simplex and d == 3 and degree > 10 and max(powers) not in (0, degree):
            continue
        value = (rule.weights * (rule.points ** np.array(powers)).prod(axis=1)).sum()
        assert abs(value - monomial_integral(cell, powers)) <= 1e-13


@pytest.mark.parametrize("cell", CELLS)
def test_every_rule_has_positive_weights_that_sum_to_the_volume_and_points_inside(cell: str):
    reference = reference_cell(cell)
    for degree in range(31):
        rule = gauss(cell, degree)
        assert rule.weights.min() > 0.0
        assert abs(rule.weights.sum() - reference.volume) <= 1e-13
        assert rule.points.min() >= 0.0
        assert (rule.points.sum(axis=1) if reference.simplex else rule.points.max(axis=1)).max() <= 1.0


@pytest.mark.parametrize("cell", CELLS)
def test_facet_rules_live_on_the_facet_cell(cell: str):
    rule = facet_gauss(cell, 4)
    assert rule is gauss(FACET_CELL[cell], 4)
    assert rule.points.shape[1] == reference_cell(cell).dimension - 1


@pytest.mark.parametrize("degree", [-1, 31, 2.5, True, "4"])
def test_degrees_out_of_range_are_refused(degree):
    with pytest.raises(InputError, match="quadrature degree"):
        gauss("triangle", degree)


def test_unknown_cells_are_refused_with_the_choices():
    with pytest.raises(InputError, match="tetrahedron"):
        gauss("prism", 2)
