from __future__ import annotations

import math

import pytest
import ufl
from ufl.classes import IntValue, Power, Zero

from vpinn.errors import InputError
from vpinn.problem import Scope, make_scope, make_symbols, parse_expression, parse_form

from .conftest import scope_of

NUMBERS = {
    "2**3": 8.0,
    "-2**2": -4.0,
    "2**-1": 0.5,
    "1 - 2 - 3": -4.0,
    "8/2/2": 2.0,
    "-(1 - 3)*2": 4.0,
    "- -3 + +1": 4.0,
    "sqrt(2)": math.sqrt(2),
    "exp(1)": math.e,
    "ln(10)": math.log(10),
    "log(10)": math.log(10),
    "atan2(1, 2)": math.atan2(1, 2),
    "abs(-3)": 3.0,
    "erf(0.5)": math.erf(0.5),
    "pow(2, 10)": 1024.0,
    "cos(pi)": -1.0,
    "kappa": 2.5,
    "conditional(1 < 2 < 3 and not 2 > 3, 7, 8)": 7.0,
    "conditional(And(lt(2, 1), gt(2, 1)), 7, 8)": 8.0,
    "conditional(1 >= 2 or 1 != 1, 7, 8)": 8.0,
    "min_value(1, 2) + max_value(1, 2)": 3.0,
    "sign(-2)": -1.0,
    "[1, 2][1]": 2.0,
    "[[1, 2], [3, 4]][1, 0]": 3.0,
    "[[1, 2], [3, 4]][1][0]": 3.0,
    "inner([1, 2], [3, 4])": 11.0,
    "det([[1, 2], [3, 4]])": -2.0,
    "tr(Identity(3))": 3.0,
    "([[1, 2], [3, 4]]*[1, 1])[1]": 7.0,
    "[1, 2]**2": 5.0,
    "transpose([[1, 2], [3, 4]])[0, 1]": 3.0,
    "as_matrix(((1, 2), (3, 4)))[0, 1]": 2.0,
    "1\n + # comment\n 1": 2.0,
}


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers(text: str, scope: Scope) -> None:
    value = ufl.algorithms.apply_algebra_lowering.apply_algebra_lowering(parse_expression(text, scope))
    assert value((0.0, 0.0)) == pytest.approx(NUMBERS[text], rel=1e-15)


COORDINATES = {
    "x*y - x[1]": lambda x, y: x * y - y,
    "sin(pi*x)*exp(-y)": lambda x, y: math.sin(math.pi * x) * math.exp(-y),
    "Dx(x**3*y, 0)": lambda x, y: 3 * x**2 * y,
    "Dx(x**3*y, 0, 1)": lambda x, y: 3 * x**2,
    "-div(grad(x**2*y))": lambda x, y: -2 * y,
    "grad([x*y, y])[0, 1]": lambda x, y: x,
    "nabla_grad([x*y, y])[1, 0]": lambda x, y: x,
    "curl([y*x, x*x])": lambda x, y: x,
    "grad(3)[0] + div([1, 2]) + x": lambda x, y: x,
    "conditional(x < y, x, y)": min,
    "dev([[x, 0], [0, y]])[0, 0]": lambda x, y: (x - y) / 2,
    "inv([[x, 0], [0, y]])[1, 1]": lambda x, y: 1 / y,
}


@pytest.mark.parametrize("text", COORDINATES)
def test_functions_of_the_point(text: str, scope: Scope) -> None:
    value = parse_expression(text, scope)
    for point in ((0.3, 0.7), (0.9, 0.2)):
        assert value(point) == pytest.approx(COORDINATES[text](*point), rel=1e-13)


@pytest.mark.parametrize("dimension", [1, 3, 10])
def test_any_dimension(dimension: int) -> None:
    scope = scope_of(dimension)
    assert parse_expression("grad(u)", scope).ufl_shape == (dimension,)
    assert parse_expression("grad(w)", scope).ufl_shape == (dimension, dimension)
    parse_expression(f"x[{dimension - 1}]", scope)
    with pytest.raises(InputError, match="no such component"):
        parse_expression(f"x[{dimension}]", scope)


def test_powers_of_whole_numbers_stay_exact(scope: Scope) -> None:
    for text in ("u**2", "u**2.0", "pow(u, 2)"):
        power = parse_expression(text, scope)
        assert isinstance(power, Power)
        assert power.ufl_operands[1] == IntValue(2)
    assert not isinstance(parse_expression("u**2.5", scope).ufl_operands[1], IntValue)
    assert not isinstance(parse_expression("u**65", scope).ufl_operands[1], IntValue)


def test_measures_carry_the_positions_of_tags(scope: Scope) -> None:
    form = parse_form("u*dx + u*dx('steel') - u*ds + u*ds('all') + u*ds('left', 'right')", scope)
    found = [(integral.integral_type(), integral.subdomain_id()) for integral in form.integrals()]
    assert sorted(found, key=str) == sorted(
        [
            ("cell", "everywhere"),
            ("cell", 2),
            *[("exterior_facet", "everywhere")] * 2,
            ("exterior_facet", 0),
            ("exterior_facet", 1),
        ],
        key=str,
    )
    assert scope.tags == ("left", "right", "steel")


def test_forms_scale_and_add(scope: Scope) -> None:
    assert len(parse_form("2*(u*dx - u*ds)/kappa", scope).integrals()) == 2


def test_long_sums_are_balanced(scope: Scope) -> None:
    parse_expression("x" + " + u*x - y" * 600, scope)
    with pytest.raises(InputError, match="levels deep"):
        parse_expression("x" + "*x" * 200, scope)


def test_h_needs_cells() -> None:
    scope = make_scope(make_symbols(2), meshed=False)
    with pytest.raises(InputError, match="needs a mesh"):
        parse_expression("h", scope)


def test_chains_of_names_are_bounded(scope: Scope) -> None:
    for k in range(24):
        scope = scope.define(f"e{k}", parse_expression(f"sin(e{k - 1}*e{k - 1} + y)" if k else "x", scope))
    with pytest.raises(InputError, match="levels deep"):
        parse_expression("sin(" * 40 + "e23" + ")" * 40, scope)
    with pytest.raises(InputError, match="derivatives of order"):
        parse_expression("Dx(u, 0, 0, 0, 0, 0, 0, 0)", scope)


def test_zero_keeps_its_shape(scope: Scope) -> None:
    assert parse_expression("0*grad(u)", scope) == Zero((2,))
    assert parse_expression("grad(kappa)", scope) == Zero((2,))
