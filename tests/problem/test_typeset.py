"""Test the equations and conditions of a report: signs, brackets and fractions, for every worked example."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import vpinn
from vpinn.output.conditions import conditions_figure
from vpinn.output.style import styled
from vpinn.problem.typeset import equations, typeset

PROBLEMS = Path(__file__).parents[2] / "problems"


def plain(text: str, vectors: bool = False) -> str:
    """Return the text of MathML, with fractions as a/b, powers as a^b and indices as a_b."""
    signs = {"mfrac": "/", "msup": "^", "msub": "_"}

    def read(node: ET.Element) -> str:
        parts = [(node.text or "").strip("\n"), *map(read, node)]
        return signs.get(node.tag, "").join(parts[1:] if node.tag in signs else parts)

    return read(ET.fromstring(f"<math>{typeset(text, vectors)}</math>".replace("&#160;", " ")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5*inner(grad(u), grad(u))*dx - f*u*ds('top')", "∫0.5∇u·∇udx−∫_topfuds"),
        ("(a + b)*c/(1 - nu)**2", "(a+b)c/(1−ν)^2"),
        ("-2*x*(-y)", "−2x(−y)"),
        ("E_steel*lam1", "E_steelλ_1"),
        ("sqrt(abs(x[0]))", "|x_0|"),
        ("conditional(x < 0.5, [1, 2], 3e-7)", "((1,2) if x<0.5, else 3e-07)"),
        ("Dx(u, 0) + dt(u)", "∂_0u+∂_tu"),
        ("inner(jump(u), v)*dS('a', 'b') + 2*v*delta(0, 1)", "∫_a,b⟦u⟧·vdS+2vδ(0,1)"),
        ("atan2(y, x)", "atan2(y,x)"),
    ],
)
def test_expressions_read_as_in_a_book(text: str, expected: str) -> None:
    assert plain(text) == expected
    assert ":" in plain("inner(S, E)", vectors=True)


def test_every_worked_example_is_typeset() -> None:
    """Only sums over many coordinates stay text; the rest is well-formed."""
    for file in ("poisson", "drum", "kovasznay", "cylinder", "elasticity", "hypercube_strong"):
        problem = vpinn.read_problem(PROBLEMS / f"{file}.toml")
        page = equations(problem)
        assert "<code>" not in page, file
        tree = ET.fromstring(page)
        assert len(tree.findall("tr")) >= 1 + len(problem.source.data.get("expressions", ()))
    assert "<mi>λ</mi>" in equations(vpinn.read_problem(PROBLEMS / "drum.toml"))
    tenfold = vpinn.read_problem(PROBLEMS / "poisson_10d.toml")
    assert "<code>" in equations(tenfold)
    assert tenfold._repr_html_() == f"<p><b>Poisson in ten dimensions</b></p>{equations(tenfold)}"


@pytest.mark.parametrize("cell", ["quadrilateral", "tetrahedron"])
def test_conditions_are_drawn_on_their_parts(cell: str) -> None:
    shape = {"quadrilateral": "rectangle", "tetrahedron": "box"}[cell]
    problem = vpinn.make_problem(
        {"shape": shape, "cells": 2, "cell": cell},
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx - u*ds('right')",
        boundary=[{"on": "left", "value": 0}],
    )
    with styled():
        shown = conditions_figure(problem)
    assert shown is not None
    assert [text.get_text() for text in shown.legends[0].texts] == ["value of u on left", "term of the form on right"]
    if cell == "quadrilateral":
        _, left, right = shown.axes[0].collections
        assert np.concatenate(left.get_segments())[:, 0].max() == 0.0
        assert np.concatenate(right.get_segments())[:, 0].min() == 1.0
    assert re.match("Boundary", shown.get_suptitle())
