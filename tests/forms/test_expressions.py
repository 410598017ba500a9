"""Test the value of every expression of the language against numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import ufl
from numpy.typing import NDArray
from scipy.special import erf

from vpinn.domain import Hypercube, bare_points
from vpinn.forms import Background, Jet, evaluate
from vpinn.problem import make_scope, make_symbols, parse_expression

from .values import DOMAINS, points_of, value

Array = NDArray[np.float64]

SCALARS: dict[str, Callable[[Array, Array], Array]] = {
    "1.5": lambda x, y: 1.5 + 0 * x,
    "x + 2*y - 3": lambda x, y: x + 2 * y - 3,
    "-x*y/(1 + x)": lambda x, y: -x * y / (1 + x),
    "x**3 - y**2": lambda x, y: x**3 - y**2,
    "(1 + x)**y": lambda x, y: (1 + x) ** y,
    "2**x": lambda x, y: 2**x,
    "x**-2": lambda x, y: x**-2.0,
    "x**0.5": lambda x, y: x**0.5,
    "sqrt(x)": lambda x, y: np.sqrt(x),
    "abs(x - 0.5)": lambda x, y: np.abs(x - 0.5),
    "sign(x - 0.5)": lambda x, y: np.sign(x - 0.5),
    "exp(x*y)": lambda x, y: np.exp(x * y),
    "ln(x) + log(y)": lambda x, y: np.log(x) + np.log(y),
    "sin(pi*x)*cos(y)": lambda x, y: np.sin(np.pi * x) * np.cos(y),
    "tan(x)": lambda x, y: np.tan(x),
    "asin(x) + acos(y) + atan(x - y)": lambda x, y: np.arcsin(x) + np.arccos(y) + np.arctan(x - y),
    "atan2(x - 0.5, y - 0.5)": lambda x, y: np.arctan2(x - 0.5, y - 0.5),
    "atan2(1, y)": lambda x, y: np.arctan2(1, y),
    "sinh(x) + cosh(y) + tanh(x)": lambda x, y: np.sinh(x) + np.cosh(y) + np.tanh(x),
    "erf(x)": lambda x, y: erf(x),
    "max_value(x, y) - min_value(x, 0.5)": lambda x, y: np.maximum(x, y) - np.minimum(x, 0.5),
    "conditional(lt(x, y), sin(x), cos(y))": lambda x, y: np.where(x < y, np.sin(x), np.cos(y)),
    "conditional(le(x, 0.5), 1, 2)": lambda x, y: np.where(x <= 0.5, 1.0, 2.0),
    "conditional(And(gt(x, 0.3), Not(ge(y, 0.6))), x, 0)": lambda x, y: np.where((x > 0.3) & ~(y >= 0.6), x, 0),
    "conditional(Or(lt(x, 0.2), lt(y, 0.2)), 1, -1)": lambda x, y: np.where((x < 0.2) | (y < 0.2), 1.0, -1.0),
    "conditional(eq(x, x), y, 0) + conditional(ne(x, x), 1, 0)": lambda x, y: y,
    "conditional(lt(1, 2), x, y)": lambda x, y: x,
    "inner(as_vector([x, y]), as_vector([y, 3]))": lambda x, y: x * y + 3 * y,
    "dot(as_matrix([[x, 1], [2, y]]), as_vector([x, y]))[1]": lambda x, y: 2 * x + y**2,
    "tr(as_matrix([[x, 1], [2, y]]))": lambda x, y: x + y,
    "det(as_matrix([[x, 1], [2, y]]))": lambda x, y: x * y - 2,
    "inv(as_matrix([[x, 1], [2, y]]))[0, 1]": lambda x, y: -1 / (x * y - 2),
    "transpose(as_matrix([[x, 1], [2, y]]))[0, 1]": lambda x, y: 2 + 0 * x,
    "sym(as_matrix([[x, 1], [2, y]]))[1, 0]": lambda x, y: 1.5 + 0 * x,
    "skew(as_matrix([[x, 1], [2, y]]))[1, 0]": lambda x, y: 0.5 + 0 * x,
    "dev(as_matrix([[x, 1], [2, y]]))[0, 0]": lambda x, y: (x - y) / 2,
    "cofac(as_matrix([[x, 1], [2, y]]))[0, 1]": lambda x, y: -2.0 + 0 * x,
    "outer(as_vector([x, y]), as_vector([1, 2]))[1, 1]": lambda x, y: 2 * y,
    "perp(as_vector([x, y]))[0]": lambda x, y: -y,
    "diag(as_vector([x, y]))[1, 1] + diag_vector(as_matrix([[x, 1], [2, y]]))[0]": lambda x, y: y + x,
    "Identity(2)[0, 0] + Identity(2)[0, 1]": lambda x, y: 1 + 0 * x,
    "grad(sin(x)*y)[0]": lambda x, y: np.cos(x) * y,
    "Dx(x**2*y**3, 1)": lambda x, y: 3 * x**2 * y**2,
    "Dx(x**y, 0)": lambda x, y: y * x ** (y - 1),
    "Dx(abs(x - 0.5)*max_value(x, y), 0)": lambda x, y: np.sign(x - 0.5) * np.maximum(x, y) + np.abs(x - 0.5) * (x > y),
    "div(as_vector([x**2*y, exp(y)]))": lambda x, y: 2 * x * y + np.exp(y),
    "div(grad(sin(2*x)*cos(3*y)))": lambda x, y: -13 * np.sin(2 * x) * np.cos(3 * y),
    "curl(as_vector([x*y, x**2]))": lambda x, y: x,
    "rot(x*y)[1]": lambda x, y: -y,
    "inner(grad(as_vector([x*y, y**2])), grad(as_vector([x*y, y**2])))": lambda x, y: y**2 + x**2 + 4 * y**2,
    "nabla_grad(as_vector([x*y, y**2]))[0, 1]": lambda x, y: 0 * x,
    "nabla_div(outer(as_vector([x, y]), as_vector([y, x])))[0]": lambda x, y: 3 * y,
    "div(outer(as_vector([x, y]), as_vector([y, x])))[0]": lambda x, y: y,
    "Dx(conditional(lt(x, 0.5), x**2, y), 0)": lambda x, y: np.where(x < 0.5, 2 * x, 0),
    "Dx(erf(x) + atan2(x, y) + tanh(x), 0)": lambda x, y: (
        2 / np.sqrt(np.pi) * np.exp(-(x**2)) + y / (x**2 + y**2) + 1 / np.cosh(x) ** 2
    ),
}


@pytest.mark.parametrize("text", SCALARS)
def test_expressions_of_the_plane(text: str) -> None:
    points = points_of(2)
    expression = parse_expression(text, make_scope(make_symbols(2), ("left",)))
    (found,) = evaluate([expression], points, Background(DOMAINS[2]))
    expected = SCALARS[text](*points.x.T)
    assert np.isfinite(expected).all()
    assert np.abs(found - expected).max() <= 1e-13 * (1 + np.abs(expected).max())


def test_vectors_of_space() -> None:
    points = points_of(3)
    x, y, z = points.x.T
    symbols = make_symbols(3)
    scope = make_scope(symbols, ("left",))
    curl, cross, determinant = (
        parse_expression(text, scope)
        for text in (
            "curl(as_vector([y*z, x**2, sin(x*y)]))",
            "cross(as_vector([x, y, z]), as_vector([1, 2, 3]))",
            "det(as_matrix([[x, 1, 0], [y, 2, z], [0, 1, 3]]))",
        )
    )
    found = evaluate([curl, cross, determinant], points, Background(DOMAINS[3]))
    expected = np.stack(
        [
            *(x * np.cos(x * y), y - y * np.cos(x * y), 2 * x - z),
            *(3 * y - 2 * z, z - 3 * x, 2 * x - y),
            x * (6 - z) - 3 * y,
        ]
    )
    assert np.abs(found - expected).max() <= 1e-13


def test_cell_size_and_higher_dimensions() -> None:
    points = points_of(1)
    (h,) = evaluate([make_symbols(1).h], points, Background(DOMAINS[1]))
    assert np.abs(h - 1 / 3).max() <= 1e-15
    symbols = make_symbols(6)
    x = np.random.default_rng(0).uniform(size=(4, 6))
    cube = Hypercube((0.0,) * 6, (1.0,) * 6)
    (found,) = evaluate([ufl.div(ufl.grad(ufl.inner(symbols.x, symbols.x) ** 2))], bare_points(x), Background(cube))
    assert np.abs(found - (4 * 6 + 8) * (x**2).sum(1)).max() <= 1e-12


def test_jets_of_unknowns() -> None:
    """Values and derivatives of a scalar p and a vector w in the plane go where the expression says."""
    symbols = make_symbols(2)
    p, w = symbols.coefficient(), symbols.coefficient((2,))
    generator = np.random.default_rng(1)
    n = len(points_of(2))
    jets = {
        Jet(f.count(), c, d): generator.normal(size=n)
        for f, size in ((p, 1), (w, 2))
        for c in range(size)
        for d in ((), (0,), (1,), (0, 0), (0, 1), (1, 1))
    }
    j = {name: jets[Jet(f.count(), c, d)] for name, f, c, d in names(p, w)}
    x, y = points_of(2).x.T
    eps = ufl.sym(ufl.grad(w))
    table = {
        "energy": (ufl.inner(ufl.grad(p), ufl.grad(p)) / 2, (j["px"] ** 2 + j["py"] ** 2) / 2),
        "diffusion": (ufl.div(symbols.x[0] * ufl.grad(p)), j["px"] + x * (j["pxx"] + j["pyy"])),
        "cross": (ufl.Dx(ufl.Dx(p, 1), 0), j["pxy"]),
        "divergence": (ufl.div(w), j["ux"] + j["vy"]),
        "curl": (ufl.curl(w), j["vx"] - j["uy"]),
        "convection": (ufl.dot(w, ufl.nabla_grad(w))[1], j["u"] * j["vx"] + j["v"] * j["vy"]),
        "strain": (ufl.inner(eps, eps), j["ux"] ** 2 + j["vy"] ** 2 + (j["uy"] + j["vx"]) ** 2 / 2),
        "bulk": (ufl.grad(ufl.div(w))[1], j["uxy"] + j["vyy"]),
        "chain": (ufl.grad(ufl.exp(p))[0], np.exp(j["p"]) * j["px"]),
        "power": (p**4, j["p"] ** 4),
        "choice": (ufl.conditional(ufl.lt(p, 0.0), -p, symbols.x[1]), np.where(j["p"] < 0, -j["p"], y)),
        "laplace of square": (
            ufl.div(ufl.grad(p**2)),
            2 * (j["px"] ** 2 + j["py"] ** 2) + 2 * j["p"] * (j["pxx"] + j["pyy"]),
        ),
    }
    for name, (expression, expected) in table.items():
        (found,) = value([expression], 2, jets)
        assert np.abs(found - expected).max() <= 1e-13 * np.abs(expected).max(), name


def names(p: ufl.Coefficient, w: ufl.Coefficient) -> list[tuple[str, ufl.Coefficient, int, tuple[int, ...]]]:
    suffixes = {"": (), "x": (0,), "y": (1,), "xx": (0, 0), "xy": (0, 1), "yy": (1, 1)}
    return [(name + suffix, f, c, d) for name, f, c in (("p", p, 0), ("u", w, 0), ("v", w, 1)) for suffix, d in suffixes.items()]


def test_derivatives_by_a_variable() -> None:
    """Stress as the derivative of a stored energy by a tensor variable: all components, not the first one four times."""
    symbols = make_symbols(2)
    w = symbols.coefficient((2,))
    jets = {
        Jet(w.count(), c, (k,)): np.random.default_rng(2).normal(size=len(points_of(2))) + c - k for c in (0, 1) for k in (0, 1)
    }
    strain = ufl.variable(ufl.grad(w))
    stress = ufl.diff(ufl.inner(strain, strain) ** 2 / 4, strain)
    g = np.stack([jets[Jet(w.count(), c, (k,))] for c in (0, 1) for k in (0, 1)])
    found = value([stress, strain], 2, jets)
    expected = np.concatenate([(g**2).sum(0) * g, g])
    assert np.abs(found - expected).max() <= 1e-12 * np.abs(expected).max()
