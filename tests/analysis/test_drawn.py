"""Test the assessment on drawn cells: unbiased sums, coverage of intervals, and no change on small meshes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vpinn
from vpinn.analysis import drawn
from vpinn.analysis.drawn import DrawnPoints, assessed_points, drawn_cells, ratio_interval
from vpinn.domain import CellPoints, Mesh, gauss, rectangle
from vpinn.problem import Problem, make_problem, read_problem

FILES = sorted((Path(vpinn.__file__).parents[1] / "problems").glob("*.toml"))


def graded() -> Mesh:
    """Return a mesh whose cell areas differ by factors of a hundred."""
    mesh = rectangle(cells=(12, 10), cell="triangle")
    nodes = mesh.nodes.copy()
    nodes[:, 0] **= 3
    return dataclasses.replace(mesh, nodes=nodes)


def sine(domain: Any, **sections: Any) -> Problem:
    return make_problem(
        domain,
        unknowns={"u": "scalar"},
        expressions={"u_exact": "sin(pi*x)*sin(pi*y)*exp(x)", "f": "-div(grad(u_exact))"},
        energy="0.5*inner(grad(u), grad(u))*dx - f*u*dx",
        boundary=[{"on": "all", "value": 0}],
        reference={"exact": {"u": "u_exact"}},
        network={"layers": [8]},
        **sections,
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_problems_of_usual_size_are_assessed_on_all_cells(file: Path) -> None:
    """So that their metrics are those of the same sums, to the last bit."""
    problem = read_problem(file)
    assert drawn_cells(problem) is None
    if isinstance(problem.domain, Mesh):
        points = CellPoints(problem.domain, 2)
        assert assessed_points(problem, points) is points


def test_how_many_cells_are_drawn() -> None:
    """A third of training's time, 400,000 points at least; what is asked for; all where training sees all."""
    many, points = rectangle(cells=(500, 400), cell="triangle"), len(gauss("triangle", 10).weights)
    assert drawn_cells(sine(many)) is None
    assert drawn_cells(sine(many, batch={"size": 100})) == drawn.POINTS // points
    assert drawn_cells(sine(many, batch={"size": 50_000}, solver={"steps": 600})) == 600_000 // points
    assert drawn_cells(sine(many, batch={"size": 50_000}, solver={"steps": 2_000})) is None
    assert drawn_cells(sine(many, batch={"size": 100}, solver={"assessment": "full"})) is None
    assert drawn_cells(sine(many, solver={"assessment": 50_000})) == 50_000 // points
    assert drawn_cells(sine(rectangle(cells=4), solver={"assessment": 1_000})) is None


def test_weights_make_sums_unbiased(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constants are summed exactly; the mean over draws of an integral is that over all cells, of a graded mesh, too."""
    base = CellPoints(graded(), 4)
    everything = base.take(range(base.size))
    exact = float((everything.w * np.exp(everything.x[:, 0]) * everything.x[:, 1]).sum())
    sums = []
    for seed in range(300):
        monkeypatch.setattr(drawn, "SEED", seed)
        points = DrawnPoints(base, 30)
        taken = points.take(range(points.size))
        assert float(taken.w.sum()) == pytest.approx(base.volume, rel=1e-12) == points.volume
        assert np.bincount(np.arange(points.size) // points.per_entity, taken.w) == pytest.approx(points.entity_volumes)
        sums.append(float((taken.w * np.exp(taken.x[:, 0]) * taken.x[:, 1]).sum()))
    error = float(np.std(sums)) / np.sqrt(len(sums))
    assert abs(np.mean(sums) - exact) < 4 * error
    assert error < 0.01 * exact


def test_intervals_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    """95 % of them, or more where cells in a row differ; twice as many cells give narrower ones."""
    base = CellPoints(graded(), 4)
    everything = base.take(range(base.size))

    def densities(x: Any) -> tuple[Any, Any]:
        return (x[:, 0] * np.sin(3 * x[:, 1])) ** 2, 1.0 + x[:, 1] ** 2

    part, whole = (float((everything.w * density).sum()) for density in densities(everything.x))
    truth, widths = np.sqrt(part / whole), {}
    for cells in (30, 120):
        inside, widths[cells] = 0, []
        for seed in range(200):
            monkeypatch.setattr(drawn, "SEED", seed)
            points = DrawnPoints(base, cells)
            taken = points.take(range(points.size))
            shares = [(taken.w * density).reshape(cells, -1).sum(axis=1) for density in densities(taken.x)]
            low, high = ratio_interval(*shares)
            inside += low <= truth <= high
            widths[cells].append(high - low)
        assert inside >= 184  # 190 expected, standard deviation 3
    assert np.mean(widths[120]) < 0.7 * np.mean(widths[30])


@pytest.mark.slow
def test_a_run_on_drawn_cells_says_what_one_on_all_says() -> None:
    """Errors and estimate of the same parameters, within the intervals, and the table tells of them."""
    from vpinn.output.tables import solution_rows

    sections: dict[str, Any] = {"batch": {"size": 64}}
    domain = {"shape": "rectangle", "cells": 12, "cell": "triangle"}
    solver = {"method": "adam", "steps": 30, "learning_rate": 1e-2}
    whole = vpinn.solve(sine(domain, **sections, solver={**solver, "assessment": "full"}), threads=1)
    some = vpinn.solve(sine(domain, **sections, solver={**solver, "assessment": 4_000}), threads=1)
    assert "assessed_cells" not in whole.metrics
    assert "interval" not in whole.error_estimate
    assert some.metrics["assessed_cells"] == {"drawn": 160, "of": 288}
    for name in ("relative_l2", "relative_h1"):
        low, high = some.errors["u"]["interval"][name]  # type: ignore[index]
        assert low < whole.errors["u"][name] < high < 1.18 * low
        assert low < some.errors["u"][name] < high
    low, high = some.error_estimate["interval"]  # type: ignore[misc]
    assert low < some.error_estimate["relative_energy"] < high
    assert some.error_estimate["relative_energy"] == pytest.approx(whole.error_estimate["relative_energy"], rel=0.1)
    assert some.error_estimate["effectivity"] == pytest.approx(1.0, abs=0.05)
    assert some.metrics["loss"] == pytest.approx(whole.metrics["loss"], rel=0.05)
    assert some.metrics["energy"] == pytest.approx(whole.metrics["energy"], rel=0.05)
    assert some.metrics["quadrature"]["change"] == pytest.approx(whole.metrics["quadrature"]["change"], abs=1e-3)
    row = dict(solution_rows(some))["error estimate"]
    assert f"({low:.1e} to {high:.1e}, from 160 of 288 cells)" in row


def test_where_there_are_no_equations_at_points_nothing_is_estimated() -> None:
    """The flux is free on a part of the boundary; the table says how to have an estimate."""
    from vpinn.output.tables import solution_rows

    problem = make_problem(
        {"shape": "rectangle", "cells": 8, "cell": "triangle"},
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx - u*dx",
        boundary=[{"on": "left", "value": 0}],
        network={"layers": [6]},
        batch={"size": 32},
        solver={"method": "adam", "steps": 3, "assessment": 1_000},
    )
    found = vpinn.solve(problem, threads=1)
    assert found.metrics["error_estimate"] is None
    assert 'solver.assessment = "full"' in dict(solution_rows(found))["error estimate"]
