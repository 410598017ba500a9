"""Obstacles, contact, loads and values at points as a problem file states them: solutions with them, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vpinn
from vpinn.domain import Hypercube, Mesh, bisect, box, interval, rectangle, tag_vertices
from vpinn.errors import InputError
from vpinn.problem import Problem, make_problem

STRETCHED = {"E": 1000, "nu": 0.3, "sigma": 5}
ELASTIC = {"eps": "sym(grad(u))", "stress": "E/(1 - nu**2)*((1 - nu)*eps + nu*tr(eps)*Identity(2))"}
CLAMPED = [{"on": "all", "value": 0}]


def string(form: str = "Dx(u, 0)*Dx(v, 0)*dx - F*v*delta(a)", **sections: Any) -> Problem:
    """A string with a load where no vertex of its mesh is."""
    given: dict[str, Any] = {"unknowns": {"u": "scalar"}, "constants": {"a": 0.3, "F": 2}, "boundary": CLAMPED, "weak": form}
    return make_problem(sections.pop("domain", interval(cells=7)), **{**given, **sections})


def test_a_string_with_a_load_and_a_spring_is_exact() -> None:
    """Green's function of the string, whose force is less what the spring takes."""
    problem = string("Dx(u, 0)*Dx(v, 0)*dx - F*v*delta(a) + 4*u*v*delta(0.3)")
    mesh = problem.domain
    assert isinstance(mesh, Mesh)
    assert mesh.n_cells == 8  # the mesh has a vertex there
    assert sorted(mesh.facet_tags) == ["left", "right"]
    x = np.array([[0.1], [0.3], [0.31], [0.9]])
    green = np.where(x < 0.3, 0.7 * x, 0.3 * (1 - x))[:, 0]
    found = vpinn.solve(problem, threads=1)
    np.testing.assert_allclose(found.evaluate(x)["u"], 2 * green / (1 + 4 * 0.21), rtol=1e-12)
    assert found.metrics["checks"] == []
    assert "a load at a point" in found.metrics["method_reason"]


def test_an_energy_takes_loads_at_points() -> None:
    problem = string("", weak=None, energy="0.5*Dx(u, 0)**2*dx - F*u*delta(a)")
    found = vpinn.solve(problem, threads=1)
    assert found.evaluate([[0.3]])["u"][0] == pytest.approx(2 * 0.21, rel=1e-12)
    assert found.metrics["energy"] == pytest.approx(-0.5 * 4 * 0.21, rel=1e-9)  # half the work of the load


def test_a_load_in_python_is_that_of_the_text() -> None:
    problem = string("", weak=lambda names: names.u.dx(0) * names.v.dx(0) * names.dx - names.F * names.v * names.delta(0.3))
    assert vpinn.solve_fem(problem, 2).evaluate([[0.3]])["u"][0] == pytest.approx(0.42, rel=1e-12)


@pytest.mark.slow
def test_the_error_near_a_load_at_a_point_is_estimated_by_its_weighted_flux() -> None:
    """Whose energy is infinite in the plane."""
    problem = make_problem(
        {"shape": "disk", "cells": 4},
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx - u*delta(0, 0)",
        boundary=CLAMPED,
        reference={"exact": {"u": "-ln(x**2 + y**2)/(4*pi)"}},
        solver={"tolerance": 1e-2},
    )
    metrics = vpinn.solve(problem, threads=1).metrics
    assert metrics["errors"]["u"]["relative_l2"] < 1e-3
    assert 0.5 < metrics["error_estimate"]["effectivity"] < 2.0


def stretched(point: list[dict[str, Any]], domain: Any = None) -> Problem:
    """A plate that is pulled at both ends."""
    return make_problem(
        domain or rectangle((0, 0), (2, 1), (6, 3)),
        unknowns={"u": "vector"},
        constants=STRETCHED,
        expressions=ELASTIC,
        energy="0.5*inner(stress, eps)*dx - sigma*u[0]*ds('right') + sigma*u[0]*ds('left')",
        point=point,
        reference={"exact": {"u": ["sigma*x/E", "-nu*sigma*y/E"]}},
    )


def test_supports_at_points_hold_a_body_that_needs_no_others() -> None:
    metrics = vpinn.solve(stretched([{"at": [0, 0], "value": [0, 0]}, {"at": [2, 0], "component": 1}]), threads=1).metrics
    assert metrics["errors"]["u"]["relative_l2"] < 1e-12
    assert metrics["error_estimate"]["relative_energy"] < 1e-10
    assert metrics["checks"] == []


def test_a_support_holds_the_nearest_vertex_and_moves_with_its_value() -> None:
    problem = stretched([{"at": [0.03, 0.01], "value": ["0.5", "0.25 + 10*x"]}, {"at": [2, 0], "component": 1, "value": 0.25}])
    assert problem.supports[0].at == ((0.0, 0.0),)
    found = vpinn.solve_fem(problem, 1).evaluate([[0.0, 0.0], [2.0, 0.0]])["u"]
    np.testing.assert_allclose(found, [[0.5, 0.25], [0.51, 0.25]], atol=1e-12)


def test_one_support_leaves_a_turn_that_is_told() -> None:
    with pytest.raises(InputError, match="singular"):
        vpinn.solve(stretched([{"at": [0, 0], "value": [0, 0]}]), threads=1)


def test_tagged_vertices_are_supports() -> None:
    plain = rectangle((0, 0), (2, 1), (6, 3))
    mesh = tag_vertices(plain, {"feet": np.array([[0, 0], [2, 0]]), "pin": np.array([[0, 0], [0.1, 0.1]])})
    problem = stretched([{"on": "feet", "component": 1}, {"on": "pin", "component": 0}], mesh)
    assert vpinn.solve_fem(problem, 2).errors["u"]["relative_l2"] < 1e-12
    with pytest.raises(InputError, match="no tagged vertices 'foot'; known are feet, pin"):
        stretched([{"on": "foot"}], mesh)


def test_vertices_of_a_mesh_file_keep_their_tags(tmp_path: Path) -> None:
    text = """$MeshFormat\n2.2 0 8\n$EndMeshFormat\n$PhysicalNames\n2\n0 1 "pin"\n2 2 "plate"\n$EndPhysicalNames
$Nodes\n4\n1 0 0 0\n2 1 0 0\n3 1 1 0\n4 0 1 0\n$EndNodes
$Elements\n3\n1 15 2 1 1 3\n2 2 2 2 1 1 2 3\n3 2 2 2 1 1 3 4\n$EndElements\n"""
    (tmp_path / "square.msh").write_text(text)
    mesh = vpinn.domain.read_mesh(tmp_path / "square.msh")
    np.testing.assert_array_equal(mesh.nodes[mesh.vertex_tags["pin"]], [[1.0, 1.0]])


def test_a_pressure_is_held_at_a_point() -> None:
    """Which sets its level, in place of a mean of zero."""
    flow = "inner(grad(u), grad(v))*dx - p*div(v)*dx + q*div(u)*dx"
    problem = make_problem(
        rectangle(cells=4),
        unknowns={"u": "vector", "p": {"shape": "scalar", "test": "q"}},
        weak=flow,
        boundary=[{"on": "all", "unknown": "u", "value": ["y*(1 - y)", 0]}],
        point=[{"at": [0, 0], "unknown": "p", "value": 7}],
    )
    found = vpinn.solve_fem(problem, 2).evaluate([[0.0, 0.0], [1.0, 0.5]])["p"]
    np.testing.assert_allclose(found, [7.0, 5.0], atol=1e-9)


PLAIN = {"unknowns": {"u": "scalar"}, "boundary": CLAMPED}
OBSTACLE = {"energy": "0.5*inner(grad(u), grad(u))*dx", "obstacle": [{"at_least": -1}]}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a point outside": ({"weak": "inner(grad(u), grad(v))*dx - v*delta(2, 0)"}, r"the point \(2, 0\) lies outside the domain"),
    "coordinates": ({"weak": "inner(grad(u), grad(v))*dx - v*delta(0.5)"}, "a point of this domain has 2 coordinates, got 1"),
    "a moving point": ({"weak": "inner(grad(u), grad(v))*dx - v*delta(x, 0)"}, "numbers and constants"),
    "points alone": ({"weak": "u*v*delta(0.5, 0.5)"}, "terms at points or edges alone"),
    "no integrand": ({"weak": "inner(grad(u), grad(v))*dx - delta(0.5, 0.5)"}, "a measure needs an integrand"),
    "no test": ({"weak": "inner(grad(u), grad(v))*dx - u*delta(0.5, 0.5)"}, "linear in the test functions"),
    "strong delta": ({"strong": "-div(grad(u)) - delta(0.5, 0.5)"}, "a measure needs an integrand"),
    "modes over an obstacle": (
        {"weak": "inner(grad(u), grad(v))*dx", "obstacle": [{"at_least": -1}], "eigen": {"mass": "u*v*dx"}},
        "an obstacle is no part of an eigenproblem",
    ),
    "modes with a load": (
        {"weak": "inner(grad(u), grad(v))*dx + u*v*delta(0.5, 0.5)", "eigen": {"mass": "u*v*dx"}},
        "an eigenproblem has no terms at points",
    ),
    "strong obstacle": ({"strong": "-div(grad(u)) - 1", "obstacle": [{"at_least": 0}]}, "needs an energy or weak form"),
    "no bound": ({**OBSTACLE, "obstacle": [{}]}, "give at_least, at_most, or both"),
    "bound of u": ({**OBSTACLE, "obstacle": [{"at_least": "u - 1"}]}, "cannot depend on the unknown u"),
    "which unknown": ({**OBSTACLE, "obstacle": [{"at_least": 0, "unknown": "w"}]}, "'w' is not an unknown"),
    "shape": ({**OBSTACLE, "obstacle": [{"at_least": [0, 1]}]}, "the unknown u is a scalar|u is a scalar"),
    "both": ({**OBSTACLE, "boundary": [{"on": "left", "value": 0, "at_most": 1}]}, "give exactly one of value"),
    "imposed": ({**OBSTACLE, "boundary": [{"on": "left", "at_most": 1, "impose": "penalty"}]}, "hold at the nodes of elements"),
    "overlap": (
        {**OBSTACLE, "boundary": [{"on": "left", "value": 0}, {"on": ["left", "top"], "at_most": 1}]},
        "already has a value on left",
    ),
    "no such side": ({**OBSTACLE, "boundary": [{"on": "lid", "at_most": 1}]}, "no boundary part 'lid'"),
    "where": ({**OBSTACLE, "point": [{"at": [3, 3]}]}, "lies outside the domain"),
    "at and on": ({**OBSTACLE, "point": [{"at": [0, 0], "on": "pin"}]}, "exactly one of at and on"),
    "no tags": ({**OBSTACLE, "point": [{"on": "pin"}]}, "no tagged vertices 'pin'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_meant_is_told_in_one_line(name: str) -> None:
    sections, told = REFUSED[name]
    with pytest.raises(InputError, match=told) as error:
        make_problem(rectangle(cells=4), **{**PLAIN, **sections})
    assert "\n" not in error.value.message


@pytest.mark.parametrize(
    ("sections", "what"),
    [
        (OBSTACLE, "an obstacle"),
        ({"energy": OBSTACLE["energy"], "boundary": [{"on": "left", "value": 0}, {"on": "top", "at_most": 1}]}, "contact"),
        ({"energy": OBSTACLE["energy"], "point": [{"at": [0.5, 0.5]}]}, "a value held at a point"),
        ({"energy": "0.5*inner(grad(u), grad(u))*dx - u*delta(0.5, 0.5)"}, "a load at a point"),
    ],
)
@pytest.mark.parametrize("method", ["least-squares", "adam"])
def test_methods_without_nodes_refuse_by_name(sections: dict[str, Any], what: str, method: str) -> None:
    problem = make_problem(rectangle(cells=4), **{**PLAIN, **sections}, solver={"method": method})
    with pytest.raises(InputError, match=f'{what}.* got solver.method = "{method}"'):
        vpinn.solve(problem, threads=1)


def test_time_and_hypercubes_refuse_them() -> None:
    cube = Hypercube((0.0, 0.0), (1.0, 1.0))
    with pytest.raises(InputError, match="delta needs a mesh"):
        make_problem(cube, **PLAIN, energy="0.5*inner(grad(u), grad(u))*dx - u*delta(0.5, 0.5)")
    with pytest.raises(InputError, match="needs a mesh, whose elements have nodes"):
        make_problem(cube, **PLAIN, **OBSTACLE)
    warm = {"shape": "interval", "cells": 4, "time": [0, 1]}
    start = [*CLAMPED, {"on": "initial", "value": 0}]
    with pytest.raises(InputError, match=r"delta.* steady problems"):
        make_problem(warm, unknowns={"u": "scalar"}, boundary=start, weak="dt(u)*v*dx + Dx(u, 0)*Dx(v, 0)*dx - v*delta(0.5)")
    with pytest.raises(InputError, match="steady problems"):
        make_problem(
            warm, unknowns={"u": "scalar"}, boundary=start, weak="dt(u)*v*dx + Dx(u, 0)*Dx(v, 0)*dx", obstacle=[{"at_least": 0}]
        )


def test_a_load_at_a_point_of_space() -> None:
    """Of a ball of influence: by symmetry each of the eight corners of a cube feels the same."""
    problem = make_problem(
        box(cells=3),
        unknowns={"u": "scalar"},
        weak="inner(grad(u), grad(v))*dx + u*v*dx - v*delta(0.5, 0.5, 0.5)",
    )
    found = vpinn.solve_fem(problem, 2)
    total = found.points.take(range(found.points.size))
    assert found.at(total)["u"] @ total.w == pytest.approx(1.0, rel=1e-10)  # ∫u = 1, by the constant as a test


def test_a_load_along_a_line_inside_kinks_the_membrane() -> None:
    """The flux jumps by the load: u is linear on either side, on refined and bisected meshes too."""
    plain = rectangle(cells=4)
    ends = np.array([[[0.5, 0.25 * k], [0.5, 0.25 * (k + 1)]] for k in range(4)])
    sides = [{"on": ["left", "right"], "value": 0}]
    form = "0.5*inner(grad(u), grad(u))*dx - f*u*ds('wire')"
    known = {"exact": {"u": "0.75*min_value(x, 1 - x)"}}
    problem = make_problem(
        replace(plain, edge_tags={"wire": ends}),
        unknowns={"u": "scalar"},
        constants={"f": 1.5},
        energy=form,
        boundary=sides,
        reference=known,
    )
    for refinements in (0, 2):
        assert vpinn.solve_fem(problem, 1, refinements).errors["u"]["relative_h1"] < 1e-12
    fine = replace(problem, domain=bisect(problem.domain, np.array([3, 9])))
    assert vpinn.solve_fem(fine, 3).errors["u"]["relative_h1"] < 1e-12
    metrics = vpinn.solve(problem, threads=1).metrics
    assert metrics["error_estimate"]["relative_energy"] < 1e-12
    assert metrics["energy"] == pytest.approx(-0.5 * 1.5 * 0.375)
    assert metrics["checks"] == []
    with pytest.raises(InputError, match="no boundary part 'wires'; did you mean wire"):
        make_problem(problem.domain, unknowns={"u": "scalar"}, energy="0.5*u**2*dx - u*ds('wires')")


def test_lines_of_a_mesh_file_carry_loads(tmp_path: Path) -> None:
    """A line inside a plate, and the edge of a tetrahedron."""
    text = """$MeshFormat\n2.2 0 8\n$EndMeshFormat\n$PhysicalNames\n3\n1 1 "wire"\n1 3 "left"\n2 2 "plate"\n$EndPhysicalNames
$Nodes\n4\n1 0 0 0\n2 1 0 0\n3 1 1 0\n4 0 1 0\n$EndNodes
$Elements\n4\n1 1 2 1 1 1 3\n2 1 2 3 3 4 1\n3 2 2 2 1 1 2 3\n4 2 2 2 1 1 3 4\n$EndElements\n"""
    (tmp_path / "square.msh").write_text(text)
    mesh = vpinn.domain.read_mesh(tmp_path / "square.msh")
    assert list(mesh.facet_tags) == ["left"]
    np.testing.assert_array_equal(mesh.edge_tags["wire"], [[[0.0, 0.0], [1.0, 1.0]]])
    problem = make_problem(mesh, unknowns={"u": "scalar"}, weak="inner(grad(u), grad(v))*dx + u*v*ds('left') - v*ds('wire')")
    found = vpinn.solve_fem(problem, 2)
    left = vpinn.solve_fem(problem, 2).evaluate([[0.0, 0.0], [0.0, 0.5], [0.0, 1.0]])["u"]
    assert (left * [1, 4, 1]).sum() / 6 == pytest.approx(np.sqrt(2), rel=1e-12)  # what the wire gives leaves at the left
    assert found.dofs == 9
    solid = """$MeshFormat\n2.2 0 8\n$EndMeshFormat\n$PhysicalNames\n2\n1 1 "rim"\n3 2 "body"\n$EndPhysicalNames
$Nodes\n4\n1 0 0 0\n2 1 0 0\n3 0 1 0\n4 0 0 1\n$EndNodes
$Elements\n2\n1 1 2 1 1 1 2\n2 4 2 2 1 1 2 3 4\n$EndElements\n"""
    (tmp_path / "solid.msh").write_text(solid)
    mesh = vpinn.domain.read_mesh(tmp_path / "solid.msh")
    np.testing.assert_array_equal(mesh.edge_tags["rim"], [[[0.0, 0, 0], [1.0, 0, 0]]])
    problem = make_problem(mesh, unknowns={"u": "scalar"}, weak="u*v*dx + inner(grad(u), grad(v))*dx - 3*v*ds('rim')")
    points = (found := vpinn.solve_fem(problem, 1)).points.take(range(found.points.size))
    assert found.at(points)["u"] @ points.w == pytest.approx(3.0, rel=1e-12)


def test_delta_is_also_a_name_that_a_file_may_give() -> None:
    """Called it is a point, by itself the constant: both in one form."""
    problem = vpinn.make_problem(
        {"shape": "interval", "cells": 4},
        unknowns={"u": "scalar"},
        constants={"delta": 3.0},
        energy="0.5*delta*inner(grad(u), grad(u))*dx - u*delta(0.5)",
        boundary=[{"on": "all", "value": 0}],
    )
    found = vpinn.solve_fem(problem, degree=1).evaluate([[0.5]])["u"]
    assert found[0] == pytest.approx(0.25 / 3.0, rel=1e-12)
