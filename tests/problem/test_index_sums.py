"""Test sums over indices, lists of constants, and named expressions in many dimensions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ufl

from vpinn.domain import Hypercube, bare_points
from vpinn.errors import InputError
from vpinn.forms import Background, Graph, build, evaluate
from vpinn.problem import make_problem, make_scope, make_symbols, parse_expression

X = np.random.default_rng(1).random((6, 5))


def value(text: str, dimension: int = 5, **names: Any) -> np.ndarray[Any, Any]:
    scope = make_scope(make_symbols(dimension))
    for name, one in names.items():
        scope = scope.define(name, ufl.as_vector(one) if isinstance(one, list) else ufl.as_ufl(one))
    found = evaluate([parse_expression(text, scope)], bare_points(X), Background(Hypercube((0.0,) * 5, (1.0,) * 5)))
    return np.asarray(found[0])


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("sum(x[i] for i in range(5))", X.sum(axis=1)),
        ("2*sum(x[i]*x[i + 1] for i in range(4)) - 1", 2 * (X[:, :-1] * X[:, 1:]).sum(axis=1) - 1),
        ("sum(c[i]*x[4 - i] for i in range(1, 4))", X[:, 3] + 4 * X[:, 2] + 9 * X[:, 1]),
        ("sum(i*x[0] + 1 for i in range(3))", 3 * X[:, 0] + 3),
        ("sum(x[i]*x[j] for i in range(5) for j in range(i))", (X.sum(axis=1) ** 2 - (X**2).sum(axis=1)) / 2),
        ("sum(x[i]*sum(x[j] for j in range(i, 5)) for i in range(5))", (X.sum(axis=1) ** 2 + (X**2).sum(axis=1)) / 2),
        ("sum(x[2*i] for i in range(1))", X[:, 0]),
    ],
)
def test_a_sum_has_the_value_of_its_terms(text: str, truth: np.ndarray[Any, Any]) -> None:
    assert np.allclose(value(text, c=[0.0, 1.0, 4.0, 9.0]), truth, rtol=1e-13)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sum(x[0] for i in range(10001))", "at most 10,000 terms, got 10,001"),
        ("sum(sum(x[0] for j in range(101)) for i in range(100))", "at most 10,000 terms"),
        ("sum(x[i + 1] for i in range(5))", "no such component"),
        ("sum(x[i - 1] for i in range(5))", "whole number from 0, got -1"),
        ("sum(c[i] for i in range(3))", "no such component"),
        ("sum(x[i] for i in range(0))", "no terms"),
        ("sum(x[i] for i in range(5) if i > 2)", "no condition"),
        ("sum(x[i] for i in range(n))", "whole numbers"),
        ("sum(x[i] for i in [0, 1])", "runs over range"),
        ("sum(c for c in range(2))", "another meaning"),
        ("sum(x[0], x[1])", "unknown function 'sum'"),
    ],
)
def test_bad_sums_are_told(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        value(text, c=[1.0, 2.0])


def stated(**more: Any) -> dict[str, Any]:
    return {
        "domain": {"shape": "hypercube", "dimension": 6},
        "unknowns": {"u": "scalar"},
        "strong": "-div(grad(u)) - f",
        "boundary": [{"on": "all", "value": 0}],
        **more,
    }


def test_a_list_of_constants_from_a_file(tmp_path: Path) -> None:
    from vpinn import read_problem

    (tmp_path / "c.csv").write_text("c\n1.5\n-2.0\n")
    text = '[domain]\nshape = "hypercube"\ndimension = 6\n[unknowns]\nu = "scalar"\n[constants]\nc = { file = "c.csv" }\n'
    text += '[form]\nstrong = "-div(grad(u)) - c[0]*x[0] - c[1]"\n[[boundary]]\non = "all"\nvalue = 0\n'
    (tmp_path / "a.toml").write_text(text)
    problem = read_problem(tmp_path / "a.toml")
    graph = Graph()
    build(graph, problem.formulation.equations[0])
    assert {-1.5, 2.0} <= {graph.value(node) for node in range(len(graph.nodes)) if graph.is_number(node)}
    (tmp_path / "c.csv").write_text("c\nmany\n")
    with pytest.raises(InputError, match="cannot be read as numbers"):
        read_problem(tmp_path / "a.toml")
    (tmp_path / "c.csv").write_text("c\n")
    with pytest.raises(InputError, match="1 to 10,000 numbers, got 0"):
        read_problem(tmp_path / "a.toml")


def test_derivatives_of_named_expressions_are_those_of_their_definition() -> None:
    scope = make_scope(make_symbols(5))
    whole = parse_expression("sum(sin(x[i]*x[i + 1]) for i in range(4))*exp(x[0])", scope)
    named = scope.define("g", scope.symbols.named(whole)).names["g"]
    background, points = Background(Hypercube((0.0,) * 5, (1.0,) * 5)), bare_points(X)
    for operator in (lambda g: g, ufl.grad, lambda g: ufl.div(ufl.grad(g)), lambda g: ufl.grad(ufl.grad(g))):
        assert np.allclose(*(evaluate([operator(g)], points, background) for g in (named, whole)), rtol=1e-12)


def test_parts_of_a_sum_are_differentiated_by_their_own_coordinates_only() -> None:
    """The lowered Laplacian of a product of two sums of 100 terms grows with the number of terms, not with its square."""

    def nodes(d: int) -> int:
        g = f"sum(x[i]**2 for i in range({d}))*sum(sin(x[i]*x[i + 1]) for i in range({d - 1}))"
        expressions = {"g": g, "f": "div(grad(g))"}
        problem = make_problem(**stated(domain={"shape": "hypercube", "dimension": d}, expressions=expressions))
        graph = Graph()
        build(graph, problem.formulation.equations[0])
        return len(graph.nodes)

    assert nodes(100) < 2.2 * nodes(50)
