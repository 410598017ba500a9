"""Small problems of every kind, which many tests are repeated for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vpinn.domain import Hypercube, LagrangeSpace, Mesh, box, disk, interval, make_mesh, rectangle
from vpinn.objective import Objective, make_objective
from vpinn.problem import Problem, make_problem
from vpinn.trial import Trial, make_trial

ZERO = [{"on": "all", "value": 0}]


def skewed(mesh: Mesh, size: float, seed: int = 1) -> Mesh:
    """Return a mesh whose nodes are moved at random, without its exact outline; tags and cells are kept."""
    moved = mesh.nodes + size * np.random.default_rng(seed).uniform(-1, 1, mesh.nodes.shape)
    made = make_mesh(moved, mesh.cells, mesh.cell, mesh.order)
    return dataclasses.replace(made, facet_tags=dict(mesh.facet_tags))


def bent(mesh: Mesh, size: float = 0.05) -> Mesh:
    """Return a second-order version of a mesh, with curved cells and the same tags."""
    space = LagrangeSpace(mesh, 2)
    x = space.locations()
    made = make_mesh(x + size * np.sin(2.0 * np.roll(x, 1, axis=1) + 0.3), space.dofs, mesh.cell, 2)
    return dataclasses.replace(made, facet_tags=dict(mesh.facet_tags))


CELLS: Mapping[str, Callable[[], Mesh]] = {
    "intervals": lambda: skewed(interval(0.0, 1.0, 5), 0.05),
    "triangles": lambda: skewed(rectangle(cells=3), 0.08),
    "quadrilaterals": lambda: skewed(rectangle(cells=3, cell="quadrilateral"), 0.08),
    "tetrahedra": lambda: skewed(box(cells=2), 0.08),
    "hexahedra": lambda: skewed(box(cells=2, cell="hexahedron"), 0.08),
    "curved triangles": lambda: bent(skewed(rectangle(cells=3), 0.05)),
    "curved quadrilaterals": lambda: bent(skewed(rectangle(cells=3, cell="quadrilateral"), 0.05)),
    "curved tetrahedra": lambda: bent(skewed(box(cells=2), 0.05)),
    "curved hexahedra": lambda: bent(skewed(box(cells=1, cell="hexahedron"), 0.05)),
}


def two_materials() -> Mesh:
    mesh = rectangle(cells=3)
    left = mesh.nodes[mesh.vertices].mean(axis=1)[:, 0] < 0.5
    return dataclasses.replace(mesh, cell_tags={"steel": np.flatnonzero(left), "wood": np.flatnonzero(~left)})


POISSON = "0.5*inner(grad(u), grad(u))*dx - sin(3*x)*u*dx"
WEAK = "inner(grad(u), grad(v))*dx - sin(3*x)*v*dx"
ELASTIC = {"mu": 1.3, "la": 0.7}
STRAIN = "inner(sym(grad(u)), sym(grad(u)))"

CASES: Mapping[str, Mapping[str, Any]] = {
    "energy: poisson": {"domain": rectangle(cells=3), "energy": POISSON, "boundary": ZERO},
    "energy: interval": {"domain": interval(0, 2, 20), "energy": POISSON, "boundary": [{"on": "left", "value": "x + 1"}]},
    "energy: nonlinear": {
        "network": {"layers": [6, 5], "places": False},  # the energy is convex at the random weights of this network
        "domain": CELLS["curved quadrilaterals"](),
        "energy": "(0.5*(1 + u**2)*inner(grad(u), grad(u)) + 0.25*u**4 - exp(u)/9)*dx",
        "boundary": [{"on": "left", "value": "1 + x*y"}],
    },
    "energy: minimal surface": {
        "domain": disk(cells=2),
        "energy": "sqrt(1 + inner(grad(u), grad(u)))*dx",
        "boundary": [{"on": "all", "value": "x*y"}],
    },
    "energy: conditional": {
        "domain": rectangle(cells=3, cell="quadrilateral"),
        "energy": "conditional(lt(x, y + 0.013), 1, 4)*inner(grad(u), grad(u))*dx + conditional(gt(u, 0), u**2, 0)*dx - u*dx",
        "boundary": ZERO,
    },
    "energy: elasticity with tags": {
        "domain": rectangle(cells=3),
        "unknowns": {"u": "vector"},
        "constants": ELASTIC,
        "energy": f"(mu*{STRAIN} + 0.5*la*div(u)**2)*dx - u[1]*ds('right') - x*u[0]*ds('top', 'bottom') - dot(u, n)*ds",
        "boundary": [{"on": "left", "value": [0, 0]}, {"on": "right", "component": 0, "value": "y"}],
    },
    "energy: materials": {
        "domain": two_materials(),
        "energy": "0.5*inner(grad(u), grad(u))*dx('steel') + 3*inner(grad(u), grad(u))*dx('wood') - u*dx + u**2*ds('top')",
        "boundary": [{"on": "left", "value": 0}],
    },
    "energy: penalty": {"domain": rectangle(cells=3), "energy": POISSON, "boundary": [{**ZERO[0], "impose": "penalty"}]},
    "energy: nitsche": {
        "domain": two_materials(),
        "energy": "0.5*(1 + u**2)*inner(grad(u), grad(u))*dx('steel') + inner(grad(u), grad(u))*dx('wood') - u*dx",
        "boundary": [{"on": ["left", "top"], "value": "x*y", "impose": "nitsche", "weight": 9.0}],
    },
    "energy: hypercube": {
        "domain": Hypercube((0.0,) * 5, (1.0,) * 5),
        "energy": "0.5*inner(grad(u), grad(u))*dx - x[4]*u*dx + u**2*ds('right')",
        "boundary": [{"on": "left", "value": 0}, {"on": "lower4", "value": "1 - x[0]*0", "impose": "penalty"}],
        "quadrature": {"points": 300},
    },
    "energy: sobol": {
        "domain": rectangle(cells=3),
        "energy": POISSON,
        "boundary": ZERO,
        "quadrature": {"rule": "sobol"},
    },
    "weak: poisson": {"domain": rectangle(cells=3, cell="quadrilateral"), "weak": WEAK, "boundary": ZERO},
    "weak: interval": {"domain": interval(0, 2, 20), "weak": WEAK, "boundary": [{"on": "left", "value": 1}]},
    "weak: convection and reaction": {
        "domain": CELLS["curved triangles"](),
        "weak": "(0.1*inner(grad(u), grad(v)) + (y*Dx(u, 0) - x*Dx(u, 1))*v + u**3*v - v)*dx + u*v*ds('right') - y*v*ds('top')",
        "boundary": [{"on": "left", "value": "y"}],
    },
    "weak: conditional": {
        "domain": rectangle(cells=3),
        "weak": "conditional(lt(x + y, 1.013), 1, 5)*inner(grad(u), grad(v))*dx + max_value(u, 0)**2*v*dx - v*dx",
        "boundary": ZERO,
    },
    "weak: materials": {
        "domain": two_materials(),
        "weak": "inner(grad(u), grad(v))*dx('steel') + (1 + u**2)*inner(grad(u), grad(v))*dx('wood') - v*dx",
        "boundary": [{"on": ["left", "right"], "value": "x"}],
    },
    "weak: stokes": {
        "domain": rectangle(cells=2, cell="quadrilateral"),
        "unknowns": {"u": "vector", "p": "scalar"},
        "weak": "(inner(grad(u), grad(v)) - p*div(v) + v_p*div(u) + inner(dot(u, nabla_grad(u)), v))*dx - v[0]*ds('left')",
        "boundary": [{"on": ["bottom", "top"], "unknown": "u", "value": [0, 0]}],
    },
    "weak: penalty": {"domain": rectangle(cells=3), "weak": WEAK, "boundary": [{"on": "all", "value": "x", "impose": "penalty"}]},
    "weak: nitsche": {
        "domain": CELLS["hexahedra"](),
        "weak": "(1 + x)*inner(grad(u), grad(v))*dx - v*dx",
        "boundary": [{"on": ["left", "top"], "value": "y", "impose": "nitsche"}],
        "test_space": {"degree": 1},
    },
    "strong: poisson": {"domain": rectangle(cells=3), "strong": "-div(grad(u)) - sin(3*x)", "boundary": ZERO},
    "strong: system": {
        "domain": rectangle(cells=3, cell="quadrilateral"),
        "unknowns": {"u": "vector", "p": "scalar"},
        "strong": ["-div(grad(u)) + grad(p) + dot(u, nabla_grad(u))", "div(u) - sin(x*p)"],
        "boundary": [
            {"on": "left", "unknown": "u", "value": ["y", 0]},
            {"on": ["top", "right"], "residual": "dot(grad(u), n) - p*n"},
            {"on": "bottom", "unknown": "p", "value": 1, "impose": "penalty", "weight": 3.0},
        ],
    },
    "strong: third order": {"domain": interval(0, 1, 20), "strong": "Dx(div(grad(u)), 0) + u*Dx(u, 0)", "boundary": ZERO},
    "strong: hypercube": {
        "domain": Hypercube((0.0,) * 4, (1.0,) * 4),
        "strong": "-div(grad(u)) + u**3 - x[3]",
        "boundary": ZERO,
        "quadrature": {"points": 400, "rule": "monte-carlo"},
    },
}


def problem_of(name: str, **changed: Any) -> Problem:
    sections = {"unknowns": {"u": "scalar"}, "network": {"layers": [6, 5]}, **CASES[name], **changed}
    if "weak" in sections:
        sections.setdefault("test_space", {"degree": 3})
    return make_problem(sections.pop("domain"), **sections)


def make(name: str, **changed: Any) -> tuple[Trial, Objective, Tensor]:
    """Return trial space, objective and random parameters (seed 2) of the case with a name."""
    problem = problem_of(name, **changed)
    trial = make_trial(problem)
    return trial, make_objective(problem, trial), start(trial)


def start(trial: Trial, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    theta = trial.network.initial(generator)
    return theta + 0.1 * torch.randn(len(theta), generator=generator, dtype=torch.float64)


def solved(**batch: Any) -> tuple[Objective, Tensor]:
    """Return −Δu + u³ = f whose solution is a network, the sine of one hidden unit; natural conditions hold on the right."""
    problem = make_problem(
        rectangle(cells=4, cell="quadrilateral"),
        unknowns={"u": "scalar"},
        expressions={"w": "x*sin(2*x - y + 0.3)", "f": "-div(grad(w)) + w**3"},
        weak="inner(grad(u), grad(v))*dx + u**3*v*dx - f*v*dx - dot(grad(w), n)*v*ds('right', 'top', 'bottom')",
        boundary=[{"on": "left", "value": 0}],
        network={"layers": [1], "activation": "sin"},
        test_space={"degree": 3},
        quadrature={"degree": 16},
        batch={"size": 200, **batch},
    )
    trial = make_trial(problem)
    objective = make_objective(problem, trial)
    # u = x·sin(w·s + b) with coordinates s = 2x − 1, 2y − 1
    theta = torch.tensor([1.0, -0.5, 0.8, 1.0, 0.0], dtype=torch.float64)
    return objective, theta
