"""Test how forms are taken apart: integrals, coefficients of test functions, what is computed once, and what is refused."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
import ufl

from vpinn.domain import BoundaryPart, CellPoints, FacetPoints, Inside, rectangle
from vpinn.errors import InputError
from vpinn.forms import Background, Geometry, Graph, Jet, Tape, build, compile_tape, evaluate, integrals, lower, split, tag
from vpinn.forms.operations import FIXED, TORCH
from vpinn.problem import make_scope, make_symbols, parse_expression
from vpinn.problem.symbols import Symbols

from .values import DOMAINS, points_of, run

S = make_symbols(2)
U = S.coefficient()


def coefficients(integrand: ufl.core.expr.Expr, varying: set[int]) -> tuple[list[Jet], Tape]:
    graph = Graph(frozenset(varying))
    parts = split(graph, build(graph, integrand))
    return list(parts), compile_tape(graph, list(parts.values()))


def test_a_weak_form_is_split_into_its_coefficients() -> None:
    """F(v) = k ∇u·∇v + (b·∇u) v + u³ v − f v has a = b·∇u + u³ − f and B = k ∇u."""
    v = S.test_function()
    x, y = S.x
    k, b, f = 1 + x**2, ufl.as_vector([y, -x]), ufl.sin(x * y)
    tests, tape = coefficients(
        k * ufl.inner(ufl.grad(U), ufl.grad(v)) + ufl.dot(b, ufl.grad(U)) * v + U**3 * v - f * v, {U.count()}
    )
    assert set(tests) == {Jet(-1), Jet(-1, 0, (0,)), Jet(-1, 0, (1,))}
    points = points_of(2)
    generator = np.random.default_rng(0)
    jets = {Jet(U.count(), 0, d): generator.normal(size=len(points.w)) for d in ((), (0,), (1,))}
    found = dict(zip(tests, run(tape, DOMAINS[2], points, jets), strict=True))
    u, ux, uy = jets.values()
    px, py = points.x.T
    expected = {
        Jet(-1): py * ux - px * uy + u**3 - np.sin(px * py),
        Jet(-1, 0, (0,)): (1 + px**2) * ux,
        Jet(-1, 0, (1,)): (1 + px**2) * uy,
    }
    for jet, values in expected.items():
        assert np.abs(found[jet] - values).max() <= 1e-14 * np.abs(values).max()


def test_tests_of_several_unknowns_are_told_apart() -> None:
    w, p = S.coefficient((2,)), S.coefficient()
    z, q = S.test_function((2,), 0), S.test_function((), 1)
    tests, tape = coefficients(ufl.inner(ufl.grad(w), ufl.grad(z)) - p * ufl.div(z) + q * ufl.div(w), {w.count(), p.count()})
    points = points_of(2)
    generator = np.random.default_rng(1)
    jets = {Jet(w.count(), c, (k,)): generator.normal(size=len(points.w)) for c in (0, 1) for k in (0, 1)}
    jets[Jet(p.count())] = generator.normal(size=len(points.w))
    found = dict(zip(tests, run(tape, DOMAINS[2], points, jets), strict=True))
    wx = {(c, k): jets[Jet(w.count(), c, (k,))] for c in (0, 1) for k in (0, 1)}
    expected = {Jet(-1, c, (k,)): wx[c, k] - (c == k) * jets[Jet(p.count())] for c in (0, 1) for k in (0, 1)}
    expected[Jet(-2)] = wx[0, 0] + wx[1, 1]
    assert set(found) == set(expected)
    for jet, values in expected.items():
        assert np.abs(found[jet] - values).max() <= 1e-14 * np.abs(values).max()


X, Y = S.x
W = S.coefficient((2,))
STANDS = {
    "lift and distance": X**3 * Y + X * (1 - X) * Y * W[0],
    "roots and powers": ufl.sqrt(1 + X * W[0]) * (2 + Y) ** 2.5 * (1 + X) ** W[1] / (1 + Y**2 + W[1] ** 4),
    "exponentials": ufl.exp(X * W[0]) * ufl.ln(2 + Y + X) + ufl.erf(X * Y) + ufl.sinh(X) * ufl.cosh(W[1]) * ufl.tanh(Y * W[0]),
    "angles": ufl.sin(X * W[0]) * ufl.cos(Y) * ufl.tan(0.3 * X * Y) + ufl.atan(X * W[1]) + ufl.atan2(1 + X, 2 + Y * W[0]),
    "arcs": ufl.asin(0.3 * X * Y) * ufl.acos(0.2 * W[0]),
    "kinks": ufl.conditional(ufl.lt(X, Y), X * W[0], Y**2) + abs(X - 2 * Y) * W[1] + ufl.max_value(X, W[0]) * ufl.min_value(Y, X),
    "a number": ufl.as_ufl(2.5),
}


@pytest.mark.parametrize("name", STANDS)
def test_known_functions_are_put_in_with_their_derivatives(name: str) -> None:
    """Differentiated in the graph, or by UFL after the replacement: the same up to the second order, in every component."""
    known = {U: STANDS[name], (vector := S.coefficient((2,))): ufl.as_vector([Y * W[1], STANDS[name]])}
    jets = [U, *ufl.grad(U), ufl.Dx(U, 0, 0), ufl.Dx(U, 1, 0), ufl.div(ufl.grad(U)), ufl.div(vector), ufl.grad(vector)[1, 0]]
    stated = [*jets, U**2 * ufl.inner(ufl.grad(U), ufl.grad(U)) + X * ufl.div(U * ufl.grad(vector[1])) - ufl.exp(U) * Y]
    graph, points, generator = Graph(frozenset({W.count()})), points_of(2), np.random.default_rng(4)
    tapes = [
        compile_tape(graph, [build(graph, e, known) for e in stated]),
        compile_tape(graph, [build(graph, ufl.replace(e, known)) for e in stated]),
    ]
    slots = {slot for tape in tapes for slot in tape.moving_slots}
    values = {slot: generator.uniform(0.1, 0.9, len(points.w)) for slot in slots}
    found, expected = (run(tape, DOMAINS[2], points, values) for tape in tapes)
    assert np.abs(found - expected).max() <= 1e-12 * (1 + np.abs(expected).max())


def test_normals_and_sizes_do_not_vary_inside_a_cell() -> None:
    graph = Graph()
    node = build(graph, ufl.grad(U)[0], {U: X * S.n[0] + S.h * Y})
    assert graph.nodes[node] == ("slot", Geometry("n", 0))
    assert graph.value(build(graph, U.dx(0), {U: ufl.conditional(ufl.lt(X, Y), 1.0, 2.0)})) == 0.0


def test_the_first_variation_of_an_energy() -> None:
    """d/du ∫ ½|∇u|² + ¼u⁴ − u = ∫ ∇u·∇v + u³v − v."""
    v = S.test_function()
    dx = ufl.Measure("dx", domain=S.mesh)
    energy = (ufl.inner(ufl.grad(U), ufl.grad(U)) / 2 + U**4 / 4 - U) * dx
    (part,) = integrals(ufl.derivative(energy, U, v))
    tests, tape = coefficients(part.integrand, {U.count()})
    points = points_of(2)
    jets = {Jet(U.count(), 0, d): np.random.default_rng(len(d)).normal(size=len(points.w)) for d in ((), (0,), (1,))}
    found = dict(zip(tests, run(tape, DOMAINS[2], points, jets), strict=True))
    assert np.abs(found[Jet(-1)] - (jets[Jet(U.count())] ** 3 - 1)).max() <= 1e-12
    assert np.abs(found[Jet(-1, 0, (1,))] - jets[Jet(U.count(), 0, (1,))]).max() <= 1e-14


def test_integrals_name_their_parts() -> None:
    v = S.test_function()
    dx, ds = ufl.Measure("dx", domain=S.mesh), ufl.Measure("ds", domain=S.mesh)
    parts = integrals(U * v * dx + v * ds(2) - U * v * ds((0, 1)) + v * dx(3))
    assert {(p.region, t) for p in parts for t in p.tags or ("all",)} == {
        (Inside, "all"),
        (Inside, 3),
        (BoundaryPart, 0),
        (BoundaryPart, 1),
        (BoundaryPart, 2),
    }
    with pytest.raises(InputError, match="use dx, ds"):
        integrals(ufl.avg(U) * ufl.Measure("dS", domain=S.mesh))


def test_what_the_points_fix_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A manufactured source −∇·(k∇u₀) costs no instruction and no call during training."""
    calls = {name: 0 for name in ("sin", "cos", "exp")}

    def counted(name: str) -> None:
        original = TORCH[name]

        def call(a: torch.Tensor) -> torch.Tensor:
            calls[name] += 1
            return original(a)

        for table in (TORCH, FIXED):
            monkeypatch.setitem(table, name, call)  # type: ignore[arg-type]

    for name in calls:
        counted(name)
    x, y = S.x
    k, truth = 1 + ufl.exp(-x), ufl.sin(3 * x) * ufl.cos(2 * y)
    f = -ufl.div(k * ufl.grad(truth)) + truth**3
    graph = Graph(frozenset({U.count()}))
    density = build(graph, k * ufl.inner(ufl.grad(U), ufl.grad(U)) / 2 - f * U + ufl.sin(x) * U**2)
    tape = compile_tape(graph, [density])
    points = points_of(2)
    fixed = tape.fixed(Background(DOMAINS[2]).values(tape.fixed_slots, points))
    assert sum(calls.values()) > 0
    assert len(fixed) <= 3  # k/2, −f, sin x
    before = dict(calls)
    jets = [torch.ones(len(points.w), dtype=torch.float64) for _ in tape.moving_slots]
    for _ in range(5):
        tape.moving([*fixed, *jets])
    assert calls == before
    # every instruction of the moving program has an operand that moves
    moving = {len(fixed) + i for i in range(len(tape.moving_slots))}
    for i, (_, operands) in enumerate(tape.moving.instructions):
        assert moving & set(operands), f"instruction {i} depends on the points alone"
        moving.add(len(tape.moving.inputs) + i)
    assert len(tape.moving.instructions) <= 12


def test_outputs_that_are_numbers_or_fixed() -> None:
    graph = Graph(frozenset({U.count()}))
    tape = compile_tape(graph, [build(graph, e) for e in (ufl.as_ufl(2.5), S.x[0] ** 2, U, ufl.as_ufl(0))])
    points = points_of(2)
    u = np.linspace(0, 1, len(points.w))
    found = run(tape, DOMAINS[2], points, {Jet(U.count()): u})
    assert (found == np.stack([np.full(len(u), 2.5), points.x[:, 0] ** 2, u, 0 * u])).all()


def test_tapes_keep_the_precision_of_their_inputs() -> None:
    graph = Graph(frozenset({U.count()}))
    expression = ufl.conditional(ufl.lt(U, 0.5), 1.0, 2.0) * ufl.max_value(U, 0.25) + ufl.atan2(1.0, U) + S.x[0] * U
    tape = compile_tape(graph, [build(graph, expression)])
    points = points_of(2)
    (found,) = run(tape, DOMAINS[2], points, {Jet(U.count()): np.linspace(0.1, 0.9, len(points.w))}, torch.float32)
    assert found.dtype == np.float32


def test_a_condition_on_the_points_chooses_between_values_that_move() -> None:
    """Also where it was stored as 0 and 1 in the precision of training, and where both conditions mix."""
    x, y = S.x
    fixed, mixed = ufl.lt(x, y), ufl.And(ufl.lt(x, y), ufl.Not(ufl.gt(U, 0.5)))
    graph = Graph(frozenset({U.count()}))
    expressions = [ufl.conditional(fixed, U, 2 * U), ufl.conditional(mixed, 3.0, 4.0), ufl.conditional(mixed, U, x)]
    tape = compile_tape(graph, [build(graph, e) for e in expressions])
    points = points_of(2)
    u = np.linspace(0.1, 0.9, len(points.w))
    px, py = points.x.T
    expected = np.stack(
        [np.where(px < py, u, 2 * u), np.where((px < py) & (u <= 0.5), 3.0, 4.0), np.where((px < py) & (u <= 0.5), u, px)]
    )
    for dtype, bound in ((torch.float64, 0.0), (torch.float32, 1e-7)):
        values = [v.to(dtype) for v in tape.fixed(Background(DOMAINS[2]).values(tape.fixed_slots, points))]  # type: ignore[union-attr]
        found = tape.moving([*values, *(torch.from_numpy(u).to(dtype) for _ in tape.moving_slots)])
        assert all(isinstance(v, torch.Tensor) and v.dtype == dtype for v in found)
        assert np.abs(np.stack([np.asarray(v) for v in found]) - expected).max() <= bound


def test_normals_and_tags() -> None:
    mesh = rectangle((0.0, 0.0), (2.0, 1.0), [4, 2])
    facets = FacetPoints(mesh, mesh.facets("all"), 3)
    points = facets.take(range(facets.size))
    n = evaluate([S.n], points, Background(mesh))
    assert np.abs((n**2).sum(0) - 1).max() <= 1e-15
    right = points.x[:, 0] > 2.0 - 1e-12
    assert np.abs(n[:, right] - np.array([[1.0], [0.0]])).max() <= 1e-15
    (mark,) = Background(mesh).values([tag("right", BoundaryPart)], points)
    assert (mark.numpy() == right).all()
    inside = CellPoints(mesh, 1).take(range(3))
    with pytest.raises(InputError, match="on the boundary only"):
        evaluate([S.n], inside, Background(mesh))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (U, "no value here"),
        (ufl.bessel_J(0, S.x[0]), "BesselJ"),
        (ufl.CellVolume(S.mesh), "CellVolume"),
        (S.x[0] / ufl.conditional(ufl.lt(1, 2), 0, S.x[1]), "constant zero"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(expression: ufl.core.expr.Expr, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        evaluate([expression], points_of(2), Background(DOMAINS[2]))
    assert "\n" not in str(caught.value)


def test_a_term_without_a_test_function_is_refused() -> None:
    v = S.test_function()
    with pytest.raises(InputError, match="no test function"):
        coefficients(U * v + U, {U.count()})


def test_shared_parts_cost_their_number_and_not_their_paths() -> None:
    """Twenty-four names, each of which uses the one before twice: 2²⁴ paths, 25 sums."""
    scope = make_scope(S, ("left",))
    expression = parse_expression("sin(x) + y", scope)
    for _ in range(24):
        expression = expression * 0.5 + expression * 0.5
    began = time.process_time()
    (found,) = evaluate([expression, ufl.grad(expression)], points_of(2), Background(DOMAINS[2]))[:1]
    assert time.process_time() - began < 5
    x, y = points_of(2).x.T
    assert np.abs(found - np.sin(x) - y).max() <= 1e-13


@pytest.mark.parametrize(("depth", "order"), [(49, 1), (47, 2), (12, 4)])
def test_deep_expressions_have_derivatives(depth: int, order: int) -> None:
    """The deepest expressions that a problem file may hold; UFL's own passes would leave Python's recursion limit."""
    assert_derivative(S, depth, order)


def assert_derivative(symbols: Symbols, depth: int, order: int) -> None:
    e = symbols.x[0]
    for _ in range(depth):
        e = ufl.sin(e) * 0.9
    for _ in range(order):
        e = ufl.Dx(e, 0)
    (found,) = evaluate([e], points_of(2), Background(DOMAINS[2]))
    # Taylor coefficients of the composed sines at each point, by truncated series
    x = points_of(2).x[:, 0]
    series = np.zeros((order + 1, len(x)))
    series[0], series[1] = x, 1.0
    for _ in range(depth):
        s, c = np.zeros_like(series), np.zeros_like(series)
        s[0], c[0] = np.sin(series[0]), np.cos(series[0])
        for k in range(1, order + 1):
            s[k] = sum(j * series[j] * c[k - j] for j in range(1, k + 1)) / k
            c[k] = -sum(j * series[j] * s[k - j] for j in range(1, k + 1)) / k
        series = 0.9 * s
    expected = series[order] * float(np.prod(np.arange(1, order + 1)))
    assert np.abs(found - expected).max() <= 1e-10 * np.abs(expected).max()


def test_too_deep_is_one_line() -> None:
    e = S.x[0]
    for _ in range(3_000):
        e = ufl.sin(e) * 0.9
    with pytest.raises(InputError, match="too deeply"):
        lower(ufl.Dx(ufl.Dx(e, 0), 0))


def test_geometry_slots_are_static() -> None:
    graph = Graph(frozenset({1}))
    assert graph.static[graph.slot(Geometry("x", 0))]
    assert graph.static[graph.slot(Jet(2))]
    assert not graph.static[graph.slot(Jet(1))]
    assert graph.static[graph.slot(Jet(-1))]


def test_what_is_asked_for_again_is_kept_by_what_it_says() -> None:
    """An equal form has the same integrals, which equal expressions need to be equal; another function or number has others."""
    v, dx = S.test_function(), ufl.dx(domain=S.mesh)

    def form(function: ufl.Coefficient, factor: float) -> ufl.Form:
        return ufl.derivative(factor * ufl.inner(ufl.grad(function), ufl.grad(function)) * dx, function, v)

    other = S.coefficient()
    found = [integrals(form(function, factor)) for function, factor in ((U, 2.0), (U, 2.0), (other, 2.0), (U, 3.0))]
    assert found[1] is found[0]
    graphs = [Graph(frozenset({U.count()})) for _ in found]
    nodes = [build(graph, part[0].integrand) for graph, part in zip(graphs, found, strict=True)]
    assert [slot for slot in graphs[0].slots([nodes[0]]) if isinstance(slot, Jet) and slot.function == other.count()] == []
    assert [slot for slot in graphs[2].slots([nodes[2]]) if isinstance(slot, Jet) and slot.function == other.count()] != []
    assert found[3][0].integrand != found[0][0].integrand
