from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from vpinn.errors import InputError
from vpinn.forms import Geometry, Graph, Jet, Node, compile_tape, derivatives
from vpinn.forms.adjoint import PARTIALS
from vpinn.forms.graph import SUM, WIDEST
from vpinn.forms.operations import CONDITIONS, FIXED, TORCH, folded

X, Y = Geometry("x", 0), Geometry("x", 1)
U, UX = Jet(7), Jet(7, 0, (0,))
INPUTS = {X: 0.3, Y: -1.25, U: 0.7, UX: -0.2}


@pytest.fixture
def graph() -> Graph:
    return Graph(frozenset({7}))


def run(graph: Graph, node: Node) -> float:
    """Return the value of a node at ``INPUTS``."""
    tape = compile_tape(graph, [node])
    fixed = tape.fixed([torch.tensor([INPUTS[s]], dtype=torch.float64) for s in tape.fixed_slots])
    (value,) = tape.moving([*fixed, *(torch.tensor([INPUTS[s]], dtype=torch.float64) for s in tape.moving_slots)])
    return float(value)


def test_equal_nodes_are_stored_once(graph: Graph) -> None:
    x, u = graph.slot(X), graph.slot(U)
    assert graph.slot(X) == x
    assert graph.call("sin", x) == graph.call("sin", x)
    assert graph.multiply([x, u]) == graph.multiply([u, x])
    assert graph.add([x, u, graph.number(2)]) == graph.add([graph.number(2.0), u, x])
    assert graph.call("divide", x, u) != graph.call("divide", u, x)


def test_numbers_are_folded(graph: Graph) -> None:
    x, u, two, three = graph.slot(X), graph.slot(U), graph.number(2), graph.number(3)
    assert graph.add([two, three]) == graph.number(5)
    assert graph.multiply([two, three]) == graph.number(6)
    assert graph.add([]) == graph.number(0)
    assert graph.multiply([]) == graph.number(1)
    assert graph.multiply([u, graph.number(0)]) == graph.number(0)
    assert graph.multiply([u, graph.number(1)]) == u
    assert graph.add([u, graph.number(0)]) == u
    assert graph.add([graph.add([u, two]), graph.number(-2)]) == u
    assert graph.multiply([graph.multiply([two, u]), graph.number(0.5)]) == u
    assert graph.call("power", u, two) == graph.multiply([u, u])
    assert graph.call("power", u, graph.number(1)) == u
    assert graph.call("power", u, graph.number(0)) == graph.number(1)
    assert graph.call("divide", u, two) == graph.multiply([u, graph.number(0.5)])
    assert graph.call("divide", graph.number(0), u) == graph.number(0)
    assert graph.call("sqrt", graph.number(9)) == three
    yes = graph.call("less", two, three)
    assert graph.call("where", yes, x, u) == x
    assert graph.call("where", graph.call("not", yes), x, u) == u
    some = graph.call("less", x, u)
    assert graph.call("and", some, yes) == some
    assert graph.call("or", some, yes) == yes
    assert graph.call("and", some, graph.call("not", yes)) == graph.number(0)


@pytest.mark.parametrize(
    ("operation", "numbers"), [("ln", [0.0]), ("sqrt", [-1.0]), ("divide", [1.0, 0.0]), ("exp", [1e4]), ("power", [-1.0, 0.5])]
)
def test_numbers_without_a_value_are_refused(graph: Graph, operation: str, numbers: list[float]) -> None:
    with pytest.raises(InputError, match="finite value"):
        graph.call(operation, *map(graph.number, numbers))


def test_division_by_the_constant_zero_is_refused(graph: Graph) -> None:
    with pytest.raises(InputError, match="constant zero"):
        graph.call("divide", graph.slot(X), graph.number(0))


def test_what_never_varies_is_gathered(graph: Graph) -> None:
    x, y, u, ux = map(graph.slot, (X, Y, U, UX))
    product = graph.multiply([u, x, ux, graph.number(3), y])
    first, *rest = graph.nodes[product][1:]
    assert graph.static[first]
    assert rest == sorted([u, ux])
    assert set(graph.nodes[first][1:]) == {graph.number(3), x, y}
    total = graph.add([u, graph.call("sin", x), y])
    assert sum(graph.static[i] for i in graph.nodes[total][1:]) == 1
    assert not graph.static[total]
    assert graph.static[graph.call("atan2", x, y)]
    tape = compile_tape(graph, [product, total])
    assert {X, Y} == set(tape.fixed_slots)
    assert {U, UX} == set(tape.moving_slots)
    assert len(tape.fixed.outputs) == 2


def test_substitution(graph: Graph) -> None:
    x, u, ux = map(graph.slot, (X, U, UX))
    node = graph.add([graph.multiply([x, u]), graph.call("cos", ux), graph.call("where", graph.call("less", u, x), ux, x)])
    (image,) = graph.substitute([node], {U: 0.0, UX: 0.0})
    assert run(graph, image) == pytest.approx(1.0 + 0.0, abs=1e-15)
    assert graph.slots([image]) == [X]
    (same,) = graph.substitute([node], {})
    assert same == node
    (partly,) = graph.substitute([node], {UX: INPUTS[UX]})
    assert run(graph, partly) == pytest.approx(run(graph, node), abs=1e-15)


PYTHON: dict[str, Callable[..., float]] = {
    "divide": operator.truediv,
    "power": math.pow,
    "abs": abs,
    "min": min,
    "max": max,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "equal": operator.eq,
    "not_equal": operator.ne,
    "and": lambda a, b: bool(a) and bool(b),
    "or": lambda a, b: bool(a) or bool(b),
    "not": lambda a: not a,
    "where": lambda c, a, b: a if c else b,
    "ln": math.log,
}
"""Operations that the ``math`` module does not have by the same name."""
TWO = {"divide", "power", "min", "max", "atan2", "and", "or", *(name for name in PYTHON if "less" in name or "great" in name)}


@pytest.mark.parametrize("operation", sorted(TORCH))
def test_operations_are_those_of_python(operation: str) -> None:
    """Every operation on numbers gives what it gives on tensors, with numbers in any of the places."""
    meant = PYTHON.get(operation) or getattr(math, operation)
    arity = 3 if operation == "where" else 2 if operation in TWO or operation.endswith("equal") else 1
    generator = np.random.default_rng(3)
    for _ in range(20):
        numbers = generator.uniform(0.1, 0.9, arity).tolist()
        if operation in ("and", "or", "not"):
            numbers = [float(n > 0.5) for n in numbers]
        if operation == "where":
            numbers[0] = float(numbers[0] > 0.5)
        expected = float(meant(*numbers))
        tensors = [torch.tensor([n], dtype=torch.float64) for n in numbers]
        if operation == "where":
            tensors[0] = tensors[0].bool()
        assert folded(operation, numbers) == pytest.approx(expected, rel=1e-15)
        assert float(TORCH[operation](*tensors)) == pytest.approx(expected, rel=1e-15)
        if operation in ("divide", "power", "min", "max", "atan2"):
            assert float(TORCH[operation](numbers[0], tensors[1])) == pytest.approx(expected, rel=1e-15)
            assert float(TORCH[operation](tensors[0], numbers[1])) == pytest.approx(expected, rel=1e-15)
        if operation == "where":
            for a in (numbers[1], tensors[1]):
                for b in (numbers[2], tensors[2]):
                    assert float(TORCH[operation](tensors[0], a, b)) == pytest.approx(expected, rel=1e-15)


def test_shared_parts_cost_their_number_and_not_their_paths(graph: Graph) -> None:
    """A chain of 60 sums, each the one before added to itself, has 2⁶⁰ paths."""
    began = time.process_time()
    node = graph.add([graph.slot(X), graph.slot(U)])
    for _ in range(60):
        node = graph.add([node, node])
    assert len(graph.nodes) < 1_000
    assert max(len(n) for n in graph.nodes if n[0] == SUM) <= WIDEST + 3
    assert run(graph, node) == pytest.approx(math.ldexp(INPUTS[X] + INPUTS[U], 60), rel=1e-12)
    assert time.process_time() - began < 5


BOTH = ("divide", "power", "min", "max", "atan2")


@pytest.mark.parametrize("operation", sorted(PARTIALS))
def test_derivatives_of_every_operation(graph: Graph, operation: str) -> None:
    """Against central differences, along with sums, products with repeated factors and both branches of a conditional."""
    u, ux, x = graph.slot(U), graph.slot(UX), graph.slot(X)
    first = graph.add([graph.multiply([u, u, x]), graph.number(0.2)])
    second = graph.add([graph.multiply([ux, ux]), graph.number(0.4)])
    node = graph.call(operation, first, second) if operation in BOTH else graph.call(operation, first)
    node = graph.add([graph.multiply([node, node, ux]), node, u])
    node = graph.call("where", graph.call("less", ux, u), node, graph.multiply([node, node]))
    found = [run(graph, d) for d in derivatives(graph, node, [u, ux])]
    for slot, slope in zip((U, UX), found, strict=True):
        step, here = 1e-5, INPUTS[slot]
        values = []
        for sign in (1, -1):
            INPUTS[slot] = here + sign * step
            values.append(run(graph, node))
        INPUTS[slot] = here
        assert slope == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-7, abs=1e-8), operation


def test_derivatives_know_every_operation_that_varies() -> None:
    conditions = {"less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "and", "or", "not", "where"}
    assert set(PARTIALS) == set(TORCH) - conditions


def test_the_derivative_of_what_does_not_depend_is_zero(graph: Graph) -> None:
    u, ux = graph.slot(U), graph.slot(UX)
    assert derivatives(graph, graph.call("sin", u), [ux]) == [graph.number(0)]
    assert derivatives(graph, u, [u]) == [graph.number(1)]
    sign = derivatives(graph, graph.call("abs", u), [u])[0]
    assert run(graph, sign) == 1.0


@pytest.mark.parametrize("operation", sorted(name for name in FIXED if name not in {*CONDITIONS, "where"}))
def test_what_the_points_fix_has_the_same_bits_in_every_batch(operation: str) -> None:
    """Values one by one, in threes, sevens and elevens, and by two threads: as all 70,001 at once."""
    generator = torch.Generator().manual_seed(5)
    a, b = 0.1 + 0.8 * torch.rand(2, 70_001, generator=generator, dtype=torch.float64)
    operands: list[tuple[Any, ...]] = [(a, b), (a, 2.5), (1.7, a)] if operation in BOTH else [(a,)]
    for values in operands:
        whole = FIXED[operation](*values)
        for step in (1, 3, 7, 11):
            parts = [[v[i : i + step].clone() if isinstance(v, torch.Tensor) else v for v in values] for i in range(0, 770, step)]
            assert torch.equal(torch.cat([FIXED[operation](*part) for part in parts]), whole[: step * len(parts)])
        torch.set_num_threads(2)
        try:
            assert torch.equal(FIXED[operation](*values), whole)
        finally:
            torch.set_num_threads(1)
