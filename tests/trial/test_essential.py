"""Test essential conditions: when they are met exactly, how accurately, and what is done when they cannot be.

If all parameters are zero, the network is zero and u is the lift L; if the last bias is one, u is L + D with the distance D.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vpinn.domain import (
    CellPoints,
    Domain,
    FacetPoints,
    Hypercube,
    LagrangeSpace,
    Mesh,
    MonteCarloFacetPoints,
    MonteCarloPoints,
    Points,
    PointSet,
    bare_points,
    box,
    disk,
    interval,
    l_shape,
    make_mesh,
    read_mesh,
    rectangle,
)
from vpinn.errors import InputError
from vpinn.forms import Background, evaluate
from vpinn.objective import make_objective
from vpinn.optimization import Lbfgs, Plan, Schedule, Training, train
from vpinn.problem import Problem, make_problem, make_scope, parse_expression
from vpinn.trial import Evaluator, Trial, make_trial

Array = NDArray[np.float64]
FORM = "0.5*inner(grad(u), grad(u))*dx"


def stated(domain: Domain, boundary: list[dict[str, Any]], **sections: Any) -> Problem:
    form = {"energy": FORM} if not {"weak", "strong"} & set(sections) else {}
    unknowns = sections.pop("unknowns", {"u": "scalar"})
    return make_problem(domain, unknowns=unknowns, boundary=boundary, network={"layers": [6]}, **form, **sections)


def parts(problem: Problem, trial: Trial, points: Points) -> tuple[Array, Array]:
    """Return lift and distance of all unknowns, [components, n] each."""
    evaluator = Evaluator.of(problem, trial, [u.function for u in problem.unknowns])
    theta = torch.zeros(trial.network.size, dtype=torch.float64)
    lift = evaluator(theta, points)
    theta[-trial.network.outputs :] = 1.0
    return lift, evaluator(theta, points) - lift


def everything(points: PointSet) -> Points:
    return points.take(range(points.size))


def on_facets(domain: Domain, tags: str | tuple[str, ...]) -> Points:
    rows = domain.facets(tags)
    if isinstance(domain, Hypercube):
        return everything(MonteCarloFacetPoints(domain, rows, 40 * len(rows), "monte-carlo", 3))
    return everything(FacetPoints(domain, rows, 7))


def inside(domain: Domain) -> Points:
    return everything(MonteCarloPoints(domain, 500, "monte-carlo", 4) if isinstance(domain, Hypercube) else CellPoints(domain, 6))


def values_of(problem: Problem, text: str, points: Points) -> Array:
    scope = make_scope(problem.symbols, tuple(problem.domain.facet_tags), (), isinstance(problem.domain, Mesh))
    return evaluate([parse_expression(text, scope)], points, Background(problem.domain))[0]


def how(trial: Trial) -> list[str]:
    return [i.how for i in trial.imposed]


BOXES: Mapping[int, Domain] = {
    1: interval(-1.0, 2.5, 3),
    2: rectangle((-1.0, 0.5), (2.5, 1.25), [3, 2], "quadrilateral"),
    3: box((-1.0, 0.5, 0.0), (2.5, 1.25, 3.0), [2, 2, 2]),
    4: Hypercube((-1.0, 0.5, 0.0, -2.0), (2.5, 1.25, 3.0, -1.0)),
}
GLOBAL = {
    1: "sin(1 + x)",
    2: "sin(1 + x)*exp(y) + x*y",
    3: "sin(1 + x)*exp(y) + x*z**2",
    4: "sin(1 + x[0])*exp(x[1]) + x[2]*x[3]**2",
}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dimension", [1, 2, 3, 4])
def test_boxes(dimension: int, seed: int) -> None:
    """A random subset of faces, each with its own expression that agrees with the others where faces meet."""
    domain = BOXES[dimension]
    generator = np.random.default_rng(100 * dimension + seed)
    names = [name for name in domain.tags if name != "all"]
    chosen = [name for name in names if generator.random() < 0.6] or [names[-1]]
    axes = ["x[0]", "x[1]", "x[2]", "x[3]"] if dimension == 4 else ["x", "y", "z"]
    boundary, own = [], {}
    for name in chosen:
        axis, side = divmod(names.index(name), 2)
        end = float(domain.bounds[side][axis])
        # what is added vanishes on this face, so that it says something inside the domain only
        own[name] = f"{GLOBAL[dimension]} + ({axes[axis]} - ({end}))*cos({axes[-1 if dimension == 4 else dimension - 1]})"
        boundary.append({"on": name, "value": own[name]})
    problem = stated(domain, boundary)
    trial = make_trial(problem)
    assert how(trial) == ["exact"] * len(chosen)
    for name in chosen:
        points = on_facets(domain, name)
        lift, distance = parts(problem, trial, points)
        wanted = values_of(problem, GLOBAL[dimension], points)
        assert np.abs(lift[0] - wanted).max() <= 1e-12 * (1 + np.abs(wanted).max())
        assert np.abs(distance).max() <= 1e-14
    lift, distance = parts(problem, trial, inside(domain))
    assert np.isfinite(lift).all()
    assert distance.min() > 0
    others = [name for name in names if name not in chosen]
    if others:
        free = on_facets(domain, tuple(others))
        assert parts(problem, trial, free)[1].max() > 0.01


def test_components_have_their_own_faces() -> None:
    problem = stated(
        BOXES[2],
        [
            {"on": "left", "unknown": "w", "value": ["y", "1 + y**2"]},
            {"on": ["bottom", "top"], "unknown": "w", "component": 1, "value": "1 + y**2"},
            {"on": "right", "unknown": "p", "value": 3},
        ],
        unknowns={"w": "vector", "p": "scalar"},
        weak="inner(grad(w), grad(v))*dx + p*v_p*dx",
    )
    trial = make_trial(problem)
    assert how(trial) == ["exact"] * 4
    domain = problem.domain
    for name, values in {"left": {0: "y", 1: "1 + y**2"}, "top": {1: "1 + y**2"}, "right": {2: "3"}}.items():
        points = on_facets(domain, name)
        lift, distance = parts(problem, trial, points)
        for component in range(3):
            if component in values:
                assert np.abs(lift[component] - values_of(problem, values[component], points)).max() <= 1e-13
                assert np.abs(distance[component]).max() <= 1e-15
            else:
                assert np.abs(distance[component]).max() > 0.01


@pytest.mark.parametrize("form", [{}, {"strong": "div(grad(u))"}])
def test_l_shape(form: dict[str, str]) -> None:
    domain = l_shape(3)
    problem = stated(domain, [{"on": "all", "value": 1.5}], **form)
    trial = make_trial(problem)
    assert [(i.how, i.why) for i in trial.imposed] == [("exact", "distance to straight segments")]
    points = on_facets(domain, "all")
    lift, distance = parts(problem, trial, points)
    assert np.abs(lift[0] - 1.5).max() <= 1e-12
    assert np.abs(distance).max() <= 1e-14
    _, distance = parts(problem, trial, inside(domain))
    assert distance.min() > 0


def test_polygons_have_values_and_slopes_at_their_corners_and_sides() -> None:
    """Fields are written at vertices: no 0/0 there, the value at corners, D = 0 and ∇D the inward normal on sides."""
    domain = l_shape(2)
    problem = stated(domain, [{"on": "all", "value": 2.5}])
    trial = make_trial(problem)
    vertices = domain.nodes
    lift, distance = parts(problem, trial, bare_points(vertices))
    assert np.isfinite(lift).all()
    rim = np.unique(domain.facet_vertices(domain.facets("all")))
    assert np.abs(lift[0, rim] - 2.5).max() <= 1e-12
    assert np.abs(distance[0, rim]).max() <= 1e-14
    assert np.delete(distance[0], rim).min() > 0.1
    middle = np.array([[-0.25, -1.0], [0.0, -0.25], [0.5, 0.0], [1.0, 0.25], [0.5, 1.0], [-1.0, 0.5]])
    normal = np.array([[0, 1], [-1, 0], [0, 1], [-1, 0], [0, -1], [1, 0]], dtype=float)
    gradient = Evaluator.of(problem, trial, [u_grad(problem)])
    theta = torch.zeros(trial.network.size, dtype=torch.float64)
    at_zero = gradient(theta, bare_points(middle)).T
    theta[-1] = 1.0
    slope = gradient(theta, bare_points(middle)).T - at_zero
    assert np.abs(slope - normal).max() <= 1e-12
    assert np.isfinite(gradient(theta, bare_points(vertices))).all()


def u_grad(problem: Problem) -> Any:
    import ufl

    return ufl.grad(problem.unknowns[0].function)


def test_disk_with_a_constant_value() -> None:
    domain = disk((0.5, -0.25), 1.5, 3)
    problem = stated(domain, [{"on": "boundary", "value": 2}])
    trial = make_trial(problem)
    assert [i.why for i in trial.imposed] == ["distance to a circle"]
    angle = np.linspace(0, 6, 50)
    circle = np.array([0.5, -0.25]) + 1.5 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lift, distance = parts(problem, trial, bare_points(circle))
    assert np.abs(lift - 2).max() == 0
    assert np.abs(distance).max() <= 1e-15
    radius = np.linalg.norm(inside(domain).x - [0.5, -0.25], axis=1)
    _, distance = parts(problem, trial, inside(domain))
    assert np.abs(distance[0] - (1.5**2 - radius**2) / 3).max() <= 1e-15


def bent_squares() -> Mesh:
    """Return a second-order mesh of quadrilaterals with curved sides."""
    flat = rectangle((0.0, 0.0), (1.0, 1.0), 3, "quadrilateral")
    space = LagrangeSpace(flat, 2)
    x = space.locations()
    return make_mesh(x + 0.08 * np.sin(2.5 * np.roll(x, 1, axis=1) + 0.3), space.dofs, "quadrilateral", 2)


CURVED = {
    "disk": lambda: dataclasses.replace(disk((0.5, -0.25), 1.5, 4), shape=None),
    "bent squares": bent_squares,
    "tetrahedra": lambda: dataclasses.replace(box(cells=2), shape=None),
}


@pytest.mark.parametrize("name", CURVED)
def test_meshes(name: str) -> None:
    """The torsion function vanishes on the boundary; the lift has any value of isoparametric degree two there."""
    domain = CURVED[name]()
    text = "1 + x - 2*y"
    problem = stated(domain, [{"on": "all", "value": text}])
    trial = make_trial(problem)
    assert [i.why for i in trial.imposed] == ["torsion function and harmonic extension on the mesh"]
    points = on_facets(domain, "all")
    lift, distance = parts(problem, trial, points)
    assert np.abs(lift[0] - values_of(problem, text, points)).max() <= 1e-12
    assert np.abs(distance).max() <= 1e-14
    lift, distance = parts(problem, trial, inside(domain))
    assert distance.min() > 0
    assert distance.max() <= 1.1
    # coordinates are discrete harmonic in an isoparametric space
    assert np.abs(lift[0] - values_of(problem, text, inside(domain))).max() <= 1e-10


def test_a_mesh_with_one_fixed_part() -> None:
    domain = dataclasses.replace(rectangle((0.0, 0.0), (2.0, 1.0), [6, 3]), shape=None)
    problem = stated(domain, [{"on": "left", "value": 0}])
    trial = make_trial(problem)
    assert [i.why for i in trial.imposed] == ["torsion function of the mesh"]
    assert np.abs(parts(problem, trial, on_facets(domain, "left"))[1]).max() <= 1e-15
    points = on_facets(domain, ("right", "bottom", "top"))
    # the torsion function of a strip held on one side is x(4 − x)/4, of degree two
    assert np.abs(parts(problem, trial, points)[1][0] - points.x[:, 0] * (4 - points.x[:, 0]) / 4).max() <= 1e-12


def test_a_mesh_file_with_curved_cells(tmp_path: Any) -> None:
    gmsh = pytest.importorskip("gmsh")
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        plate = gmsh.model.occ.addRectangle(0, 0, 0, 2, 1)
        hole = gmsh.model.occ.addDisk(0.7, 0.5, 0, 0.2, 0.2)
        gmsh.model.occ.cut([(2, plate)], [(2, hole)])
        gmsh.model.occ.synchronize()
        curves = [c for _, c in gmsh.model.getEntities(1)]
        round_ = [c for c in curves if gmsh.model.getType(1, c) in ("Circle", "Ellipse")]
        for number, (part, tag) in enumerate(((round_, "hole"), ([c for c in curves if c not in round_], "outside")), 1):
            gmsh.model.addPhysicalGroup(1, part, number, tag)
        gmsh.model.addPhysicalGroup(2, [s for _, s in gmsh.model.getEntities(2)], 9, "plate")
        gmsh.option.setNumber("Mesh.MeshSizeMax", 0.25)
        gmsh.model.mesh.generate(2)
        gmsh.model.mesh.setOrder(2)
        gmsh.write(str(tmp_path / "plate.msh"))
    finally:
        gmsh.finalize()
    domain = read_mesh(tmp_path / "plate.msh")
    assert domain.order == 2
    problem = stated(domain, [{"on": "outside", "value": "x + y"}, {"on": "hole", "value": 3}])
    trial = make_trial(problem)
    assert how(trial) == ["exact", "exact"]
    for tag, text in (("outside", "x + y"), ("hole", "3")):
        points = on_facets(domain, tag)
        lift, distance = parts(problem, trial, points)
        assert np.abs(lift[0] - values_of(problem, text, points)).max() <= 1e-12
        assert np.abs(distance).max() <= 1e-15
    assert parts(problem, trial, inside(domain))[1].min() > 0


SAME_ON_THE_BOUNDARY = {
    "rectangle": (rectangle(cells=4, cell="quadrilateral"), "sin(x)*y", "sin(x)*y + exp(x)*x*(1 - x)*y*(1 - y)"),
    "disk": (disk(cells=3), "1", "1 + 3*(1 - x**2 - y**2)"),
    "disk with varying values": (disk(cells=3), "x", "x + conditional(lt(x**2 + y**2, 0.6), 7*y, 0)"),
    "l-shape": (l_shape(3), "x*y", "x*y + conditional(And(gt(x, -1/10), gt(y, 1/10)), (1 - x)*(1 - y), 0)"),
}


@pytest.mark.parametrize("name", SAME_ON_THE_BOUNDARY)
def test_a_value_changed_inside_the_domain_alone_changes_no_result(name: str) -> None:
    domain, *texts = SAME_ON_THE_BOUNDARY[name]
    trained = []
    for text in texts:
        problem = stated(domain, [{"on": "all", "value": text}])
        trial = make_trial(problem)
        assert how(trial) == ["exact"]
        objective = make_objective(problem, trial)
        plan = Plan(Lbfgs(), Schedule(1.0, steps=5))
        start = trial.network.initial(torch.Generator().manual_seed(3))
        trained.append(train(objective, Training.start(start, plan.method, 3), plan).theta)
    assert (trained[0] - start).abs().max() > 0.01
    assert (trained[0] - trained[1]).abs().max() <= 1e-12


CLASH = [{"on": "left", "value": 0}, {"on": "bottom", "value": "1 + x"}]


@pytest.mark.parametrize(
    ("domain", "form", "fallback"),
    [
        (rectangle(cells=3), {}, "nitsche"),
        (rectangle(cells=3), {"weak": "inner(grad(u), grad(v))*dx"}, "nitsche"),
        (rectangle(cells=3), {"strong": "div(grad(u))"}, "penalty"),
        (Hypercube((0.0, 0.0), (1.0, 1.0)), {}, "penalty"),
        (dataclasses.replace(rectangle(cells=3), shape=None), {}, "nitsche"),
    ],
)
def test_values_that_disagree_are_imposed_otherwise(domain: Domain, form: dict[str, str], fallback: str) -> None:
    trial = make_trial(stated(domain, CLASH, **form))
    assert {(i.how, i.why.split(";")[0]) for i in trial.imposed} == {
        (fallback, "the boundary values disagree where two parts meet")
    }
    refused = [{**CLASH[0], "impose": "exact"}, CLASH[1]]
    with pytest.raises(InputError, match="disagree where two parts meet") as caught:
        make_trial(stated(domain, refused, **form))
    assert "\n" not in str(caught.value)
    assert "nitsche" in str(caught.value)


def test_where_no_smooth_lift_is_known() -> None:
    varying = [{"on": "all", "value": "x"}]
    trial = make_trial(stated(disk(cells=2), varying, strong="div(grad(u))"))
    assert [(i.how, i.why) for i in trial.imposed] == [("penalty", "the values vary along the circle")]
    trial = make_trial(stated(bent_squares(), varying, strong="div(grad(u))"))
    assert [(i.how, i.why) for i in trial.imposed] == [("penalty", "no smooth distance to this boundary")]
    with pytest.raises(InputError, match="no smooth distance"):
        make_trial(stated(bent_squares(), [{"on": "all", "value": "x", "impose": "exact"}], strong="div(grad(u))"))


@pytest.mark.parametrize("domain", [rectangle(cells=3), disk(cells=2), dataclasses.replace(rectangle(cells=3), shape=None)])
@pytest.mark.parametrize("text", ["n[0]", "1 + h"])
def test_values_of_the_normal_and_the_cell_size(domain: Mesh, text: str) -> None:
    """What exists at the points of the boundary alone is imposed there, and by no lift."""
    problem = stated(domain, [{"on": "all", "value": text}])
    trial = make_trial(problem)
    assert how(trial) == ["nitsche"]
    assert "depend on n or h" in trial.imposed[0].why
    theta = torch.zeros(trial.network.size, dtype=torch.float64)
    points = on_facets(domain, "all")
    value = points.normal[:, 0] if text == "n[0]" else 1 + points.h  # type: ignore[index]
    assert make_objective(problem, trial).value(theta) == pytest.approx(
        float((points.w * 10 / points.h * value**2).sum()), rel=1e-6
    )


def test_what_is_asked_for_is_done() -> None:
    asked = [
        {"on": "left", "value": 0, "impose": "penalty"},
        {"on": "top", "value": 0, "impose": "nitsche"},
        {"on": "right", "value": "y"},
    ]
    trial = make_trial(stated(rectangle(cells=3), asked))
    assert {i.condition.on: (i.how, i.why) for i in trial.imposed} == {
        ("left",): ("penalty", "as the problem file asks"),
        ("top",): (
            "nitsche",
            "as the problem file asks; the energy's first variation is tested, "
            "as Nitsche's energy has no least value for networks",
        ),
        ("right",): ("exact", "transfinite lift on a box"),
    }


@pytest.mark.parametrize("value", ["sqrt(x - 1.5)", "log(-1 + x)", "exp(1000*(x + 1))", "1/(x - 1)"])
def test_values_that_are_no_numbers_are_told(value: str) -> None:
    """UFL folds constants by Python's functions, which raise what is no message for a user."""
    problem = make_problem(
        rectangle(cells=2),
        unknowns={"u": "scalar"},
        energy="inner(grad(u), grad(u))*dx",
        boundary=[{"on": "bottom", "value": 0}, {"on": ["left", "right", "top"], "value": value}],
    )
    with pytest.raises(InputError):
        make_trial(problem)
