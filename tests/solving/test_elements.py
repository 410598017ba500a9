"""Elements as a solution: right, estimated, saved and loaded, and taken by default where features are slow or worse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import vpinn
from tests.finite_elements.test_level import FLOW
from vpinn.analysis.marking import concentrated, refined
from vpinn.domain import Mesh, box, disk, interval, l_shape, make_mesh, rectangle
from vpinn.errors import InputError
from vpinn.features import Elements
from vpinn.optimization import COLUMNS
from vpinn.problem import make_problem
from vpinn.process import settle_process
from vpinn.solving import element_stages, solve
from vpinn.solving.element_stages import ElementStage, counted, solve_by_elements

SMOOTH = "x*(1 - x)*y*(1 - y)*exp(x)"
FILE = """
title = "Re-entrant corner"
[domain]
shape = "l-shape"
cells = 4
[unknowns]
u = "scalar"
[expressions]
theta = "3*pi/4 + atan2(-x - y, y - x)"
[form]
energy = "0.5*inner(grad(u), grad(u))*dx"
[[boundary]]
on = "all"
value = "(x**2 + y**2)**(1/3)*sin(2*theta/3)"
[solver]
method = "elements"
"""


def poisson(**sections: object) -> vpinn.Problem:
    """−Δu = f on a square, with a known solution."""
    return make_problem(
        rectangle(cells=4),
        unknowns={"u": "scalar"},
        weak="inner(grad(u), grad(v))*dx + div(grad(s))*v*dx",
        expressions={"s": SMOOTH},
        boundary=[{"on": "all", "value": 0}],
        reference={"exact": {"u": SMOOTH}},
        **sections,  # type: ignore[arg-type]
    )


def test_degrees_rise_where_the_solution_is_smooth() -> None:
    """The estimate is the error, to a few per cent, and both fall to the aim."""
    solution = solve(poisson(solver={"method": "elements"}), threads=1)
    assert solution.metrics["method"] == "elements"
    assert solution.metrics["degree"] >= 6
    assert solution.metrics["checks"] == []
    assert solution.metrics["stopped"] == "tolerance"
    assert solution.error_estimate["effectivity"] == pytest.approx(1.0, abs=0.05)
    assert solution.errors["u"]["relative_h1"] < 1e-8


@pytest.fixture(scope="module")
def corner(tmp_path_factory: pytest.TempPathFactory) -> tuple[vpinn.Solution, Path]:
    folder = tmp_path_factory.mktemp("corner")
    (folder / "corner.toml").write_text(FILE)
    return solve(vpinn.read_problem(folder / "corner.toml"), folder / "run", threads=1), folder


def test_cells_get_smaller_at_a_singular_corner(corner: tuple[vpinn.Solution, Path]) -> None:
    """r^(2/3) sin(2θ/3): the gradient is infinite in the corner, and found to four digits in the mean."""
    solution, _ = corner
    mesh = solution.problem.domain
    assert isinstance(mesh, Mesh)
    smallest = mesh.nodes[mesh.vertices[mesh.h.argmin()]]
    assert np.abs(smallest).max() < 1e-2
    assert mesh.h.min() < 1e-3 * mesh.h.max()
    assert solution.error_estimate["relative_energy"] < 2e-4
    assert solution.metrics["checks"] == []
    r, angle = 0.5, np.array([0.25, 0.75, 1.25]) * np.pi  # from the edge right of the corner on
    x = r * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    exact = r ** (2 / 3) * np.sin(2 / 3 * angle)
    assert solution.evaluate(x)["u"] == pytest.approx(exact, abs=1e-6)


def test_a_run_folder_holds_them(corner: tuple[vpinn.Solution, Path]) -> None:
    solution, folder = corner
    loaded = vpinn.load(folder / "run")
    x = np.array([[-0.5, -0.5], [-0.01, -0.02], [0.5, 0.7]])
    assert np.array_equal(loaded.evaluate(x)["u"], solution.evaluate(x)["u"])
    assert np.array_equal(loaded.gradient(x)["u"], solution.gradient(x)["u"])
    assert json.loads((folder / "run" / "metrics.json").read_text())["cells"] == solution.metrics["cells"]
    again = solve(vpinn.read_problem(folder / "corner.toml"), folder / "run", threads=1, resume=True)
    assert np.array_equal(again.evaluate(x)["u"], solution.evaluate(x)["u"])


def test_systems_and_gradients_of_components() -> None:
    """A linear displacement is found to rounding, with its estimate."""
    problem = make_problem(
        rectangle(cells=2),
        unknowns={"u": "vector"},
        energy="inner(sym(grad(u)), sym(grad(u)))*dx",
        boundary=[{"on": "all", "value": ["x + 2*y", "3*y - x"]}],
        reference={"exact": {"u": ["x + 2*y", "3*y - x"]}},
        solver={"method": "elements"},
    )
    solution = solve(problem, threads=1)
    assert solution.errors["u"]["relative_h1"] < 1e-13
    assert solution.gradient([[0.3, 0.4]])["u"] == pytest.approx(np.array([[[1, 2], [-1, 3]]]), abs=1e-12)


@pytest.mark.slow
def test_a_cavity_driven_by_its_lid() -> None:
    """Re = 100: velocity in the middle against Marchi, Suero & Araki 2009, pressure with one degree less.

    The velocity jumps in the corners of the lid, which is told and is what the estimate sees.
    """
    problem = make_problem(
        rectangle(cells=8),
        unknowns={"u": "vector", "p": "scalar"},
        weak="(0.01*inner(grad(u), grad(v)) + dot(dot(grad(u), u), v) - p*div(v) + v_p*div(u))*dx",
        boundary=[
            {"on": ["left", "right", "bottom"], "unknown": "u", "value": [0, 0]},
            {"on": "top", "unknown": "u", "value": [1, 0]},
        ],
        solver={"method": "elements"},
    )
    solution = solve(problem, threads=1)
    assert solution.metrics["degrees"]["p"] == solution.metrics["degrees"]["u"] - 1
    assert solution.evaluate([[0.5, 0.5]])["u"][0] == pytest.approx([-0.20914914, 0.05753652], abs=1e-4)
    assert [check.split(":")[0] for check in solution.metrics["checks"]] == ["boundary values", "error estimate"]


@pytest.mark.slow
def test_a_flow_in_a_box_is_estimated_and_passes_all_checks() -> None:
    """Stokes: velocity and pressure are right, the estimate is the error, and the pressure's constant is no fault."""
    problem = make_problem(
        rectangle(cells=2),
        unknowns={"u": "vector", "p": "scalar"},
        expressions=FLOW,
        weak="(inner(grad(u), grad(v)) - p*div(v) + v_p*div(u) - dot(f, v))*dx",
        boundary=[{"on": "all", "unknown": "u", "value": ["a", "b"]}],
        reference={"exact": {"u": ["a", "b"], "p": "q"}},
        solver={"method": "elements", "tolerance": 1e-4},
    )
    solution = solve(problem, threads=1)
    assert solution.metrics["checks"] == []
    assert solution.error_estimate["effectivity"] == pytest.approx(1.0, abs=0.2)
    assert max(errors["relative_h1"] for errors in solution.errors.values()) < 1e-3


@pytest.mark.slow
def test_they_stand_in_where_features_are_slow_and_worse() -> None:
    """Two materials: features bend across the joint, elements do not."""
    mesh = rectangle(cells=8)
    middle = mesh.nodes[mesh.vertices].mean(axis=1)[:, 0]
    tagged = Mesh(
        mesh.cell,
        mesh.order,
        mesh.nodes,
        mesh.cells,
        mesh.boundary,
        mesh.facet_tags,
        {"left_part": np.flatnonzero(middle < 0.5), "right_part": np.flatnonzero(middle > 0.5)},
    )
    problem = make_problem(
        tagged,
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx('left_part') + 50*inner(grad(u), grad(u))*dx('right_part')",
        boundary=[{"on": "left", "value": 0}, {"on": "right", "value": 1}],
    )
    solution = solve(problem, threads=1)
    assert solution.metrics["method"] == "elements"
    assert solution.metrics["checks"] == []
    flux = 1 / (0.5 + 0.5 / 100)
    assert solution.gradient([[0.2, 0.3], [0.8, 0.3]])["u"][:, 0] == pytest.approx([flux, flux / 100], rel=1e-9)
    columns = dict(zip(COLUMNS, solution.history.T, strict=True))
    assert np.isfinite(columns["residual"]).any()
    assert np.isnan(columns["residual"][-1])
    assert (np.diff(columns["seconds"]) > 0).all()  # those of elements come after those of features


def test_features_stay_where_they_are_asked_for() -> None:
    solution = solve(poisson(solver={"method": "least-squares"}), threads=1)
    assert solution.metrics["method"] == "least-squares"


def test_a_time_limit_ends_their_stages() -> None:
    best, ended = solve_by_elements(poisson(), Elements(None, 1e-6))
    assert ended == "time limit"
    assert best.found.space.degree == 2


def test_a_tolerance_that_was_asked_for_holds() -> None:
    best, ended = solve_by_elements(poisson(), Elements(1e-3))
    assert ended == "tolerance"
    assert best.relative <= 1e-3
    assert best.found.space.degree == 4


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"solver": {"method": "elements"}, "batch": {"size": 64}}, "needs all points"),
        ({"solver": {"method": "elements", "precision": "float32"}}, "float64"),
        ({"solver": {"method": "elements", "features": 10}}, "features belongs to"),
    ],
)
def test_settings_that_contradict(sections: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        solve(poisson(**sections), threads=1)


def test_equations_at_points_have_no_elements() -> None:
    problem = make_problem(
        rectangle(cells=2),
        unknowns={"u": "scalar"},
        strong="div(grad(u)) + 1",
        boundary=[{"on": "all", "value": 0}],
        solver={"method": "elements"},
    )
    with pytest.raises(InputError, match="need a weak form or an energy"):
        solve(problem, threads=1)


def test_cells_are_marked_where_the_error_is() -> None:
    mesh = rectangle(cells=8)
    shares = np.full(mesh.n_cells, 1e-3)
    corner = np.flatnonzero((mesh.nodes[mesh.vertices] == 0.0).all(axis=2).any(axis=1))
    shares[corner] = 1.0
    assert concentrated(mesh, shares)
    assert not concentrated(mesh, np.ones(mesh.n_cells))
    fine = refined(mesh, shares)
    assert np.abs(fine.nodes[fine.vertices[fine.h.argmin()]]).max() < 0.02
    assert fine.h.max() == mesh.h.max()


def test_layers_come_where_the_boundary_of_a_body_turns_inwards() -> None:
    """A cube without an octant: cells at its inner edges get a layer; with it, degree 3 gains more than without."""
    cube = box((-1, -1, -1), (1, 1, 1), (2, 2, 2))
    kept = cube.cells[~(cube.nodes[cube.vertices].mean(axis=1) > 0).all(axis=1)]
    problem = make_problem(
        make_mesh(cube.nodes, kept, cube.cell),
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx - u*dx",
        boundary=[{"on": "all", "value": 0}],
    )
    stages = []

    def note(stage: ElementStage) -> bool:
        stages.append(stage)
        return len(stages) < 4

    solve_by_elements(problem, Elements(), note)
    meshes = [stage.found.mesh for stage in stages]
    assert [stage.found.space.degree for stage in stages] == [1, 2, 2, 3]
    assert meshes[0] is meshes[1]
    assert meshes[2] is meshes[3]
    assert len(meshes[2].bisected) == 1
    assert meshes[2].bisected[0].ndim == 2  # lines
    assert meshes[2].n_cells < 200
    assert stages[3].relative < 0.25 * stages[1].relative  # 0.34 without the layer


def test_threads_hold_for_every_library() -> None:
    before = max(info["num_threads"] for info in threadpool_info())
    try:
        settle_process(1)
        assert {info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"} == {1}
    finally:
        settle_process(before)


def test_a_narrow_load_is_found_by_default() -> None:
    """Width 0.002 on eight cells: u(0.2) is that of a unit point load at 0.37, 0.2·0.63."""
    problem = make_problem(
        interval(cells=8),
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx - f*u*dx",
        expressions={"f": "exp(-0.5*((x - 0.37)/0.002)**2)/(0.002*sqrt(2*pi))"},
        boundary=[{"on": "all", "value": 0}],
    )
    solution = solve(problem, threads=1)
    assert solution.metrics["checks"] == []
    assert solution.evaluate([[0.2], [0.9]])["u"] == pytest.approx([0.126, 0.037], abs=1e-7)


@pytest.mark.slow
def test_a_joint_inside_cells_is_found_by_default() -> None:
    """Quadrilaterals are cut into triangles, and these bisected, where the joint of two materials crosses them."""
    exact = "min_value(x + y/3, 0.6) + 0.5*max_value(x + y/3 - 0.6, 0)"
    problem = make_problem(
        rectangle(cells=3, cell="quadrilateral"),
        unknowns={"u": "scalar"},
        energy="0.5*k*inner(grad(u), grad(u))*dx",
        expressions={"k": "conditional(lt(x + y/3, 0.6), 1, 2)"},
        boundary=[{"on": "all", "value": exact}],
        reference={"exact": {"u": exact}},
    )
    solution = solve(problem, threads=1)
    assert isinstance(solution.problem.domain, Mesh)
    assert solution.problem.domain.cell == "triangle"
    assert solution.errors["u"]["relative_h1"] < 2e-2
    assert 0.5 < solution.error_estimate["effectivity"] < 2.0
    assert solution.metrics["checks"] == []


def test_a_form_that_has_no_derivative_at_constants() -> None:
    """The p-Laplacian, p = 4, whose Newton matrix vanishes where u is zero: u = ¾·2^(−1/3)(1 − r^(4/3)) on the unit disk."""
    problem = make_problem(
        disk(cells=3),
        unknowns={"u": "scalar"},
        energy="0.25*inner(grad(u), grad(u))**2*dx - u*dx",
        boundary=[{"on": "all", "value": 0}],
        reference={"exact": {"u": "0.75*2**(-1/3)*(1 - (x**2 + y**2)**(2/3))"}},
    )
    assert vpinn.solve_fem(problem, degree=4).errors["u"]["relative_l2"] < 1e-3


def test_a_degree_between_follows_where_two_more_are_too_dear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elements of degree 3 after those of degree 2, where degree 4 is beyond the seconds that are left."""
    square = poisson()
    monkeypatch.setattr(element_stages, "SPENT", 0.5 * (counted(square, 3) + counted(square, 4)))
    monkeypatch.setattr(element_stages, "NEEDED", 0.5 * (counted(square, 3) + counted(square, 4)))
    best, _ = solve_by_elements(square, Elements(1e-8))
    assert best.found.space.degree == 3


def test_stages_go_on_while_a_check_would_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the flux unresolved is no answer: more seconds are given for it than for further digits."""
    wavy = make_problem(
        rectangle(cells=4),
        unknowns={"u": "scalar"},
        weak="inner(grad(u), grad(v))*dx + div(grad(s))*v*dx",
        expressions={"s": "sin(3*pi*x)*sin(3*pi*y)"},
        boundary=[{"on": "all", "value": 0}],
    )
    monkeypatch.setattr(element_stages, "SPENT", 0.0)
    best, _ = solve_by_elements(wavy, Elements(1e-8))
    assert best.found.space.degree == 4
    assert best.relative <= 0.1
    monkeypatch.setattr(element_stages, "NEEDED", 0.0)
    best, _ = solve_by_elements(wavy, Elements(1e-8))
    assert best.relative > 0.1


@pytest.mark.slow
def test_functions_of_corners_are_looked_at_where_elements_went_first() -> None:
    """r^(2/3) sin(2θ/3) is one of them: 2e-15 where elements end at 1e-7. With a source that a few of them miss elements stay."""
    theta = "3*pi/4 + atan2(-x - y, y - x)"
    singular = f"sqrt(x**2 + y**2)**(2/3)*sin(2*({theta})/3)"
    pure, other = (
        make_problem(
            l_shape(cells=8),
            unknowns={"u": "scalar"},
            energy=f"0.5*inner(grad(u), grad(u))*dx - {source}*u*dx",
            boundary=[{"on": "all", "value": singular}],
            reference={"exact": {"u": singular}} if source == "0" else {},
        )
        for source in ("0", "exp(sin(9*x) + cos(7*y))")
    )
    solution = solve(pure, threads=1)
    assert solution.metrics["method"] == "least-squares"
    assert solution.errors["u"]["relative_l2"] < 1e-13
    assert solve(other, threads=1).metrics["method"] == "elements"


def test_the_error_on_a_disk_is_that_of_the_elements_and_not_of_its_facets(tmp_path: Path) -> None:
    """One parabola per facet is 1e-5 off a circle: an error of the flux that the estimate on such facets does not see."""
    problem = make_problem(
        disk(cells=4),
        unknowns={"u": "scalar"},
        weak="inner(grad(u), grad(v))*dx + div(grad(truth))*v*dx",
        expressions={"truth": "(1 - x**2 - y**2)*exp(x)"},
        boundary=[{"on": "all", "value": 0}],
        reference={"exact": {"u": "truth"}},
        solver={"method": "elements", "tolerance": 1e-5},
    )
    solution = solve(problem, tmp_path / "run", threads=1)
    assert solution.problem.domain.n_cells > problem.domain.n_cells
    assert solution.errors["u"]["relative_l2"] < 1e-6
    assert 0.5 < solution.error_estimate["effectivity"] < 2.0
    x = [[0.3, 0.2], [-0.99, 0.1]]
    np.testing.assert_array_equal(vpinn.load(tmp_path / "run", problem).evaluate(x)["u"], solution.evaluate(x)["u"])


def test_facets_stay_where_a_given_field_may_end_at_them(tmp_path: Path) -> None:
    corners = [(x, y) for x in (-1, 1) for y in (-1, 1)]
    (tmp_path / "k.csv").write_text("x,y,k\n" + "".join(f"{x},{y},2\n" for x, y in corners))
    problem = make_problem(
        disk(cells=3),
        unknowns={"u": "scalar"},
        fields={"k": {"file": "k.csv"}},
        weak="k*inner(grad(u), grad(v))*dx - v*dx",
        boundary=[{"on": "all", "value": 0}],
        folder=tmp_path,
    )
    best, _ = solve_by_elements(problem, Elements(1e-3))
    assert best.found.mesh is problem.domain


def test_stages_of_systems_in_the_plane_count_by_their_functions() -> None:
    """Three components take three times the seconds of one, not nine times: with nine, growth ended at a fifth of its time."""

    def stated(unknown: object) -> vpinn.Problem:
        return make_problem(rectangle(cells=4), unknowns={"u": unknown}, weak="inner(grad(u), grad(v))*dx + inner(u, v)*dx")

    one, three = (counted(stated(kind), 4) for kind in ("scalar", {"shape": 3}))
    assert three == pytest.approx(3.0 * one)
