"""Separation of nodes into factors of parameters and others: the parts, and that they add up to the node."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from vpinn.forms import Geometry, Graph, Node, Parameter, build, compile_tape, separate
from vpinn.problem import make_scope, make_symbols, parse_expression
from vpinn.problem.parameters import Parameters


def graph_of(text: str) -> tuple[Graph, Node]:
    """Return the node of an expression of x, y and the parameters a and b."""
    import ufl

    symbols = make_symbols(2)
    constant = ufl.Constant(symbols.mesh, shape=(2,))
    scope = make_scope(symbols).define("a", constant[0]).define("b", constant[1])
    graph = Graph()
    return graph, build(graph, parse_expression(text, scope))


def value(graph: Graph, node: Node, inputs: Mapping[object, torch.Tensor]) -> torch.Tensor:
    tape = compile_tape(graph, [node])
    fixed = tape.fixed([inputs[slot] for slot in tape.fixed_slots])
    (found,) = tape.moving([*fixed, *(inputs[slot] for slot in tape.moving_slots)])
    return found + torch.zeros(7, dtype=torch.float64)


@pytest.mark.parametrize(
    ("text", "terms", "rests"),
    [
        ("x*y", 1, 0),
        ("a*x + b*y + 3", 3, 0),
        ("(a - 1)*x + y*a", 2, 0),
        ("(a + x)*(b + y)", 4, 0),
        ("x/(1 + a) + (x + a)/(b*y)", 3, 0),
        ("(x + a)**3", 4, 0),
        ("exp(a + x*y)*sin(b)", 1, 0),
        ("abs(a*x)", 1, 0),
        ("conditional(x > 0.3, a, b*y)", 2, 0),
        ("conditional(a > 0.3, x, b*y)", 2, 0),
        ("a*x + sin(a*x)", 1, 1),
        ("y*(a*x + sin(a*x) - x)", 2, 1),
        ("exp(a*x)", 0, 1),
        ("sqrt(a + x)*(1 + b)", 0, 1),
    ],
)
def test_a_node_is_the_sum_of_its_parts(text: str, terms: int, rests: int) -> None:
    graph, node = graph_of(text)
    found = separate(graph, node)
    assert (len(found.terms), len(found.rest)) == (terms, rests)
    for factor, other in found.terms.items():
        assert all(isinstance(slot, Parameter) for slot in graph.slots([factor]))
        assert not any(isinstance(slot, Parameter) for slot in graph.slots([other]))
    draw = np.random.default_rng(3)
    slots: list[object] = [Geometry("x", 0), Geometry("x", 1), Parameter(0), Parameter(1)]
    inputs = {slot: torch.from_numpy(draw.uniform(0.1, 0.9, 7)) for slot in slots}
    total = sum((value(graph, f, inputs) * value(graph, g, inputs) for f, g in found.terms.items()), torch.zeros(7))
    total = total + sum((value(graph, one, inputs) for one in found.rest), torch.zeros(7))
    np.testing.assert_allclose(total, value(graph, node, inputs), rtol=1e-14)


def test_parameters_fill_their_box() -> None:
    import ufl

    symbol = ufl.Constant(make_symbols(1).mesh, shape=(2,))
    box = Parameters(("a", "b"), np.array([0.1, -1.0]), np.array([10.0, 3.0]), np.array([True, False]), symbol, ("", ""))
    np.testing.assert_allclose(box.center, [1.0, 1.0], rtol=1e-14)
    np.testing.assert_allclose(box.at(np.array([[0.0, 0.0], [1.0, 1.0], [0.25, 0.25]])), [[0.1, -1], [10, 3], [0.1**0.5, 0]])
