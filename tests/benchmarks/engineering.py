"""Parts that engineers bring, with what is known of their solutions: for ``parts.py --beside``.

Built-in shapes where these do, meshes made here, a channel past a cylinder meshed by Gmsh, and problem files of a folder of
cases (CASES=DIR says which); what is not at hand is left out. A measure takes fields by point and returns the relative error of
what is read off.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import vpinn
from vpinn.domain import Mesh, box, make_mesh, rectangle
from vpinn.finite_elements import FiniteElementSolution
from vpinn.problem import Evaluable, Problem, make_problem, read_problem

PROBLEMS = Path(__file__).parents[2] / "problems"
CASES = Path(os.environ.get("CASES", Path(__file__).parents[3] / "shared" / "cases"))
Measure = Callable[[Evaluable], float]
ELASTIC = {"eps": "sym(grad(u))"}
PLANE_STRESS = {**ELASTIC, "s": "E/(1 - nu**2)*((1 - nu)*eps + nu*tr(eps)*Identity(2))"}
PLANE_STRAIN = {**ELASTIC, "s": "E/(1 + nu)*(eps + nu/(1 - 2*nu)*tr(eps)*Identity(2))"}
FLOW = "inner(grad(u)*u, v)*dx + nu*inner(grad(u), grad(v))*dx - p*div(v)*dx + q*div(u)*dx"
MIXED = {"u": "vector", "p": {"shape": "scalar", "test": "q"}}


@dataclasses.dataclass(frozen=True)
class Part:
    """A problem to be made, and what is measured of it; without a measure its distance from richer elements is."""

    make: Callable[[], Problem]
    measure: Measure | None = None


def at(name: str, *known: tuple[list[float], float], component: int = 0) -> Measure:
    """Return the measure of an unknown at points: pairs of a point and a value."""

    def error(fields: Evaluable) -> float:
        found = np.asarray(fields.evaluate(np.array([x for x, _ in known]))[name]).reshape(len(known), -1)[:, component]
        return float(max(abs(value - right) / abs(right) for value, (_, right) in zip(found, known, strict=True)))

    return error


def stress(x: list[float], entry: int, modulus: float, right: float, nu: float = 0.3) -> Measure:
    """Return the measure of a normal stress of plane stress at a point."""

    def error(fields: Evaluable) -> float:
        slope = np.asarray(fields.gradient(np.array([x]))["u"])[0]
        strain = 0.5 * (slope + slope.T)
        found = modulus / (1 - nu**2) * ((1 - nu) * strain + nu * np.trace(strain) * np.eye(2))
        return abs(float(found[entry, entry]) / right - 1)

    return error


def exact(fields: Evaluable) -> float:
    """Return the relative L² error against the exact solution, the largest of all unknowns."""
    errors = fields.errors if isinstance(fields, FiniteElementSolution) else fields.metrics["errors"]  # type: ignore[attr-defined]
    return float(max(entry["relative_l2"] for entry in errors.values()))


def mapped(mesh: Mesh, to: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> Mesh:
    """Return a mesh whose nodes are moved."""
    sides = {name: mesh.facet_vertices(rows) for name, rows in mesh.facet_tags.items()}
    return make_mesh(to(mesh.nodes), mesh.cells, mesh.cell, mesh.order, sides, mesh.cell_tags)


def without(mesh: Mesh, hole: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]], name: str) -> Mesh:
    """Return a mesh without the cells whose centre is in a hole, whose rim gets a name."""
    kept = mesh.cells[~hole(mesh.nodes[mesh.vertices].mean(axis=1))]
    bare = make_mesh(mesh.nodes, kept, mesh.cell)
    middle = bare.nodes[bare.facet_vertices(np.arange(len(bare.boundary)))].mean(axis=1)
    low, high = bare.bounds
    return bare.tagged({name: (np.abs(middle - low).min(axis=1) > 1e-9) & (np.abs(middle - high).min(axis=1) > 1e-9)})


def case(name: str) -> Callable[[], Problem]:
    """Return a problem file of the folder of cases, to be read."""
    return lambda: read_problem(CASES / f"{name}.toml")


def worked(name: str) -> Callable[[], Problem]:
    """Return a problem file of this project, to be read."""
    return lambda: read_problem(PROBLEMS / f"{name}.toml")


def cook(nearly_incompressible: bool = False) -> Problem:
    """Cook's panel, clamped at its left, sheared at its right: plane stress, or plane strain of ν = 0.4999 with a pressure."""
    mesh = mapped(rectangle(cells=8), lambda x: np.stack([48 * x[:, 0], 44 * x[:, 0] + x[:, 1] * (44 - 28 * x[:, 0])], axis=1))
    clamped = [{"on": "left", "unknown": "u", "value": [0, 0]}]
    if nearly_incompressible:
        return make_problem(
            mesh,
            unknowns=MIXED,
            constants={"mu": 70 / (2 * 1.4999), "lmbda": 70 * 0.4999 / (1.4999 * 0.0002)},
            expressions=ELASTIC,
            weak="2*mu*inner(eps, sym(grad(v)))*dx - p*div(v)*dx - q*div(u)*dx - p*q/lmbda*dx - 6.25*v[1]*ds('right')",
            boundary=clamped,
        )
    energy = "0.5*inner(s, eps)*dx - u[1]/16*ds('right')"
    constants = {"E": 1, "nu": 1 / 3}
    return make_problem(
        mesh, unknowns={"u": "vector"}, constants=constants, expressions=PLANE_STRESS, energy=energy, boundary=clamped
    )


def thick_cylinder() -> Problem:
    """A quarter of Lamé's cylinder, radii 1 and 2, pressed inside; plane strain."""

    def bent(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        r, angle = 1 + x[:, 0], np.pi / 2 * x[:, 1]
        return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1)

    from vpinn.domain import LagrangeSpace

    flat = rectangle(cells=6)
    space = LagrangeSpace(flat, 2)
    sides = {name: flat.facet_vertices(rows) for name, rows in flat.facet_tags.items()}
    nodes, vertices = space.locations(), {tuple(x): i for i, x in enumerate(space.locations().round(9))}
    renumbered = {
        name: np.array([[vertices[tuple(flat.nodes[v].round(9))] for v in facet] for facet in facets])
        for name, facets in sides.items()
    }
    mesh = make_mesh(bent(nodes), space.dofs, flat.cell, 2, renumbered)
    expressions = {**PLANE_STRAIN, "r2": "x**2 + y**2", "k": "(1 + nu)/(3*E)*((1 - 2*nu) + 4/r2)"}
    return make_problem(
        mesh,
        unknowns={"u": "vector"},
        constants={"E": 1, "nu": 0.3},
        expressions=expressions,
        energy="0.5*inner(s, eps)*dx + dot(n, u)*ds('left')",
        boundary=[{"on": "bottom", "component": 1, "value": 0}, {"on": "top", "component": 0, "value": 0}],
        reference={"exact": {"u": ["k*x", "k*y"]}},
    )


def chip() -> Problem:
    """Silicon on solder on copper, heated in a part of its top layer, cooled below."""
    layers = {"copper": "y < 1", "solder": "y > 1 and y < 1.25", "silicon": "y > 1.25"}
    materials = {"copper": 400, "solder": 50, "silicon": 130}
    conduct = [f"0.5*{k}*inner(grad(T), grad(T))*dx('{name}')" for name, k in materials.items()]
    return make_problem(
        {"shape": "rectangle", "upper": [4, 1.75], "cells": [16, 7], "tags": {**layers, "hot": "y > 1.5 and x > 1 and x < 2"}},
        unknowns={"T": "scalar"},
        energy=" + ".join([*conduct, "5*T**2*ds('bottom') - 300*T*dx('hot')"]),
    )


def fichera() -> Problem:
    """A cube without an octant, uniformly loaded, zero on all of its boundary."""
    mesh = without(box((-1, -1, -1), (1, 1, 1), (4, 4, 4)), lambda x: (x > 0).all(axis=1), "notch")
    energy = "0.5*inner(grad(u), grad(u))*dx - u*dx"
    return make_problem(mesh, unknowns={"u": "scalar"}, energy=energy, boundary=[{"on": "all", "value": 0}])


def flow(mesh: Mesh, nu: float, boundary: list[dict[str, Any]], **sections: Any) -> Problem:
    """Steady flow of a Navier–Stokes fluid."""
    return make_problem(mesh, unknowns=MIXED, constants={"nu": nu}, weak=FLOW, boundary=boundary, **sections)


def cavity(reynolds: float) -> Problem:
    """A box whose lid moves along. At its corners the later condition holds, that of the walls, so that no fluid leaks there."""
    lid = [{"on": "top", "unknown": "u", "value": [1, 0]}, {"on": ["left", "right", "bottom"], "unknown": "u", "value": [0, 0]}]
    return flow(rectangle(cells=16), 1 / reynolds, lid)


def step() -> Problem:
    """A channel that becomes twice as high, at a Reynolds number of 100."""
    mesh = without(rectangle((0, 0), (8, 1), (32, 8)), lambda x: (x[:, 0] < 1) & (x[:, 1] < 0.5), "step")
    middle = mesh.nodes[mesh.facet_vertices(np.arange(len(mesh.boundary)))].mean(axis=1)
    inlet, outlet = middle[:, 0] < 1e-9, middle[:, 0] > 8 - 1e-9
    mesh = mesh.tagged({"in": inlet, "out": outlet, "wall": ~inlet & ~outlet})
    still, profile = {"on": "wall", "unknown": "u", "value": [0, 0]}, ["24*(y - 0.5)*(1 - y)", 0]
    return flow(mesh, 0.01, [still, {"on": "in", "unknown": "u", "value": profile}])


def cylinder() -> Problem:
    """Flow past a cylinder in a channel, DFG 2-D 1; Gmsh makes the mesh."""
    import tempfile

    import gmsh

    gmsh.initialize(interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    plate, hole = gmsh.model.occ.addRectangle(0, 0, 0, 2.2, 0.41), gmsh.model.occ.addDisk(0.2, 0.2, 0, 0.05, 0.05)
    gmsh.model.occ.cut([(2, plate)], [(2, hole)])
    gmsh.model.occ.synchronize()
    groups: dict[str, list[int]] = {}
    for _, line in gmsh.model.getEntities(1):
        x, y, _ = gmsh.model.occ.getCenterOfMass(1, line)
        side = "in" if x < 1e-6 else "out" if x > 2.2 - 1e-6 else "wall" if min(y, 0.41 - y) < 1e-6 else "cylinder"
        groups.setdefault(side, []).append(line)
    for name, lines in groups.items():
        gmsh.model.addPhysicalGroup(1, lines, name=name)
    gmsh.model.addPhysicalGroup(2, [entity for _, entity in gmsh.model.getEntities(2)], name="fluid")
    gmsh.model.mesh.field.add("Distance", 1)
    gmsh.model.mesh.field.setNumbers(1, "CurvesList", groups["cylinder"])
    gmsh.model.mesh.field.add("MathEval", 2)
    gmsh.model.mesh.field.setString(2, "F", "0.012 + 0.2*F1")
    gmsh.model.mesh.field.setAsBackgroundMesh(2)
    for option in ("MeshSizeExtendFromBoundary", "MeshSizeFromPoints"):
        gmsh.option.setNumber(f"Mesh.{option}", 0)
    gmsh.option.setNumber("Mesh.MeshSizeMax", 0.1)
    gmsh.model.mesh.generate(2)
    gmsh.model.mesh.setOrder(2)
    with tempfile.TemporaryDirectory() as folder:
        gmsh.write(f"{folder}/channel.msh")
        gmsh.finalize()
        mesh = vpinn.domain.read_mesh(f"{folder}/channel.msh")
    still = {"on": ["wall", "cylinder"], "unknown": "u", "value": [0, 0]}
    inflow = {"on": "in", "unknown": "u", "value": ["4*0.3*y*(0.41 - y)/0.41**2", 0]}
    return flow(mesh, 1e-3, [still, inflow])


def forces(fields: Evaluable) -> float:
    """Return the largest relative error of drag, lift and pressure difference of DFG 2-D 1, read off along the cylinder."""
    angle = (np.arange(400) + 0.5) * np.pi / 200
    outward = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = [0.2, 0.2] + (0.05 + 2e-6) * outward
    slope, pressure = np.asarray(fields.gradient(x)["u"]), np.asarray(fields.evaluate(x)["p"])
    traction = 1e-3 * np.einsum("nij,nj->ni", slope, outward) - pressure[:, None] * outward
    drag, lift = 2 * traction.mean(axis=0) * 2 * np.pi * 0.05 / (0.2**2 * 0.1)
    front, back = np.asarray(fields.evaluate(np.array([[0.15 - 1e-9, 0.2], [0.25 + 1e-9, 0.2]]))["p"])
    return float(max(abs(drag / 5.57953523384 - 1), abs(lift / 0.010618948146 - 1), abs((front - back) / 0.11752016697 - 1)))


def skew() -> Problem:
    """Wind at 30 degrees with little diffusion, heated on the lower left."""
    sides = [{"on": "bottom", "value": "exp(-40*x)"}, {"on": ["right", "top"], "value": 0}]
    form = "1e-3*inner(grad(u), grad(v))*dx + (cos(pi/6)*Dx(u, 0) + sin(pi/6)*Dx(u, 1))*v*dx"
    boundary = [{"on": "left", "value": "exp(-40*y)*(1 - y)"}, *sides]
    return make_problem(rectangle(cells=16), unknowns={"u": "scalar"}, weak=form, boundary=boundary)


SINK = (([0.0075, 0.034], 77.0701), ([0.03, 0.008], 79.4722), ([0.0525, 0.03], 77.1956))
PARTS: Mapping[str, Part] = {
    "heat_sink": Part(case("heat_sink"), at("T", *SINK)),
    "le1": Part(case("le1"), stress([2, 0], 1, 210e9, 92.8e6)),
    "t4": Part(case("t4"), at("T", ([0.6, 0.2], 18.2537))),
    "cook": Part(cook, at("u", ([48, 52], 23.96), component=1)),
    "kirsch": Part(case("kirsch"), stress([0, 1], 0, 1000, 3.0867)),
    "thick_cylinder": Part(thick_cylinder, exact),
    "ring_and_wires": Part(case("magnet")),
    "two_blocks": Part(case("two_blocks"), exact),
    "chip": Part(chip),
    "bracket": Part(case("bracket")),
    "fichera": Part(fichera),
    "composite": Part(worked("composite"), exact),
    "cylinder": Part(cylinder, forces),
    "cavity_100": Part(lambda: cavity(100), at("u", ([0.5, 0.4531], -0.21090))),
    "cavity_400": Part(lambda: cavity(400), at("u", ([0.5, 0.2813], -0.32726))),
    "step": Part(step),
    "p_laplacian": Part(case("plaplace"), exact),
    "obstacle": Part(worked("obstacle"), exact),
    "contact": Part(worked("contact"), exact),
    "point_load": Part(worked("point_load"), exact),
    "skew_advection": Part(skew),
    "mindlin": Part(case("mindlin"), at("w", ([0.5, 0.5], 1.38449e-5))),
    "cook_incompressible": Part(lambda: cook(True)),
}
