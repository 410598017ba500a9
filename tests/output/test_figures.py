from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import LogNorm

import vpinn
from vpinn.domain import CellPoints, rectangle
from vpinn.objective import make_objective
from vpinn.optimization import COLUMNS
from vpinn.output import draw
from vpinn.output.convergence import convergence_figure
from vpinn.output.figures import components_of, error_figure, make_scene, solution_figure
from vpinn.output.folder import draw as draw_all
from vpinn.output.quadrature import quadrature_figure
from vpinn.output.style import colours, magnitudes, power_of_ten, styled
from vpinn.output.tables import solution_rows
from vpinn.solution import Solution

Solved = Callable[[str], Solution]


def pixels(path: Path) -> tuple[int, int, int]:
    """Return width and height of a png, and the number of different bytes in its picture."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    at, data = 8, b""
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        data += content[at + 8 : at + 8 + length] if content[at + 4 : at + 8] == b"IDAT" else b""
        at += length + 12
    width, height = struct.unpack(">II", content[16:24])
    return width, height, np.count_nonzero(np.bincount(np.frombuffer(zlib.decompress(data), np.uint8)))


KINDS = {"line": "", "square": "slow", "disk": "slow", "box": "slow", "beam": "slow", "cube": "slow", "unmeshed": "slow"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if KINDS[name] else ()) for name in KINDS])
def test_every_kind_of_problem_is_drawn(name: str, solved: Solved, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    drawn = draw(solved(name), tmp_path)
    wanted = {"solution", "convergence", "quadrature"} | ({"error"} if name in ("line", "square", "cube") else set())
    wanted |= {"estimate"} if name not in ("cube", "unmeshed") else set()
    assert {path.stem for path in drawn} == wanted
    for path in drawn:
        width, height, tones = pixels(path)
        assert 400 < width < 3000
        assert 200 < height < 2500
        assert tones > 30
    assert dict(mpl.rcParams) == before


def test_titles_and_labels(solved: Solved) -> None:
    with styled():
        solution = solved("square")
        shown = solution_figure(solution, make_scene(solution.problem.domain))
        assert shown.get_suptitle() == r"A \$quare & <b>"
        axes = shown.axes[0]
        assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("u", "x", "y")
        error = error_figure(solution, make_scene(solution.problem.domain))
        assert error is not None
        assert error.get_suptitle().startswith("Relative L² error: u ")
        beam = solved("beam")
        assert [axes.get_title() for axes in solution_figure(beam, make_scene(beam.problem.domain)).axes[:2]] == ["w0", "w1"]


def test_curves_show_the_truth(solved: Solved) -> None:
    with styled():
        solution = solved("line")
        axes = solution_figure(solution, make_scene(solution.problem.domain)).axes[0]
    network, exact = axes.get_lines()
    x = np.asarray(exact.get_xdata())
    np.testing.assert_allclose(np.asarray(exact.get_ydata()), x * (1 - x), atol=1e-15)
    np.testing.assert_allclose(np.asarray(network.get_ydata()), solution.evaluate(x[:, None])["u"], atol=1e-14)


def test_convergence_of_a_negative_energy_is_measured_from_its_least(solved: Solved) -> None:
    solution = solved("disk")
    history = np.full((5, len(COLUMNS)), np.nan)
    history[:, 0], history[:, 1] = np.arange(1, 6), np.arange(5) / 10
    history[:, COLUMNS.index("loss")] = [1.0, -0.5, -0.8, -0.89, -0.9]
    with styled():
        shown = convergence_figure(replace(solution, history=history, metrics={"batch_size": "full", "loss": -0.9}))
        assert shown is not None
        axes = shown.axes[0]
        np.testing.assert_allclose(np.asarray(axes.get_lines()[0].get_ydata(), dtype=float)[:4], [1.9, 0.4, 0.1, 0.01])
        assert axes.get_ylabel() == "loss above its least value"
        assert convergence_figure(replace(solution, history=history[:1])) is None


def test_stages_of_least_squares_are_whole_numbers(solved: Solved) -> None:
    solution = solved("square")
    history = np.full((3, len(COLUMNS)), 0.1)
    history[:, 0] = [1, 2, 3]
    for method, name in (("least-squares", "stage"), ("lbfgs", "step")):
        with styled():
            shown = convergence_figure(replace(solution, history=history, metrics={"method": method}))
            assert shown is not None
            axes = shown.axes[2]
            assert axes.get_xlabel() == name
            assert set(axes.get_xticks()) <= set(range(-1, 6))


def test_elements_are_drawn_without_the_features_before_them(solved: Solved) -> None:
    solution = solved("square")
    history = np.full((4, len(COLUMNS)), np.nan)
    for name, values in (("step", [1, 2, 3, 4]), ("seconds", [1, 2, 3, 4]), ("estimate", [0.5, 0.4, 0.2, 0.1])):
        history[:, COLUMNS.index(name)] = values
    for name in ("loss", "residual"):
        history[:2, COLUMNS.index(name)] = 1e-3
    with styled():
        shown = convergence_figure(replace(solution, history=history, metrics={"method": "elements"}))
        assert shown is not None
        assert len(shown.axes) == 2
        (line,) = shown.axes[0].lines
        assert line.get_xdata().tolist() == [3, 4]


def test_residuals_at_other_points_are_not_joined(solved: Solved) -> None:
    history = np.full((4, len(COLUMNS)), np.nan)
    for name, values in (("step", [1, 2, 3, 4]), ("residual", [0.5, 0.4, 0.9, 0.1]), ("batch_size", [20, 20, 50, 50])):
        history[:, COLUMNS.index(name)] = values
    with styled():
        shown = convergence_figure(replace(solved("square"), history=history, metrics={"method": "least-squares"}))
    assert shown is not None
    (line,) = shown.axes[0].lines
    np.testing.assert_array_equal(line.get_xdata(), [1, 2, np.nan, 3, 4])


@pytest.mark.parametrize(
    ("used", "title"),
    [
        (None, r"Quadrature: \d+ points inside \(36 "),
        (4 * 25, r"Quadrature: 100 points inside \(25 per cell\)"),
        (7, "Mesh: 4 cells"),
    ],
)
def test_points_are_those_that_the_table_tells(solved: Solved, used: int | None, title: str) -> None:
    solution = solved("square")
    mesh, objective = rectangle(cells=2, cell="quadrilateral"), make_objective(solution.problem, solution.trial)
    measures = [replace(measure, points=CellPoints(mesh, 10)) for measure in objective.measures[:1]]
    shown = quadrature_figure(mesh, measures, used)
    assert re.match(title, shown.get_suptitle())


def test_colours_follow_the_sign() -> None:
    name, norm = colours(np.array([-1.0, 3.0]))
    assert (name, norm.vmin, norm.vmax) == ("RdBu_r", -3.0, 3.0)
    assert colours(np.array([-1e-3, 3.0]))[0] == "viridis"
    assert colours(np.array([2.0, 2.0]))[1].vmin != colours(np.array([2.0, 2.0]))[1].vmax
    assert colours(np.array([np.nan]))[0] == "viridis"
    assert isinstance(magnitudes(np.array([1e-3, 1.0]))[1], LogNorm)
    assert not isinstance(magnitudes(np.array([0.5, 1.0]))[1], LogNorm)
    assert not isinstance(magnitudes(np.zeros(3))[1], LogNorm)


@pytest.mark.parametrize(
    ("value", "text"), [(1e-11, "10⁻¹¹"), (5e4, "5·10⁴"), (0.01, "0.01"), (1000.0, "1000"), (1e5, "10⁵"), (2e-3, "2·10⁻³")]
)
def test_labels_of_logarithmic_axes(value: float, text: str) -> None:
    assert power_of_ten(value) == text
    assert power_of_ten(value * (1 + 1e-12)) == text


def test_a_component_that_is_rounding_is_drawn_as_zero() -> None:
    """Beside the others of its unknown; one alone is what it is."""
    x = np.linspace(0.0, 1.0, 5)
    parts = components_of({"u": np.stack([x, 1e-15 * x], axis=1), "p": 1e-15 * x})
    assert (parts["u0"] == x).all()
    assert not parts["u1"].any()
    assert (parts["p"] == 1e-15 * x).all()


def test_a_domain_without_a_mesh_has_figures_and_report(tmp_path: Path) -> None:
    problem = vpinn.make_problem(
        {"shape": "hypercube", "dimension": 6},
        unknowns={"u": "scalar"},
        strong="-div(grad(u)) - 1",
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [6]},
        quadrature={"points": 128},
        batch={"size": 16, "directions": "auto"},
        solver={"method": "adam", "steps": 3},
    )
    vpinn.solve(problem.replace(output={"formats": ["npz"]}), tmp_path / "run")
    assert (tmp_path / "run" / "solution.npz").exists()
    solution = vpinn.solve(problem, tmp_path / "run", overwrite=True)
    assert [path.name for path in (tmp_path / "run").glob("solution.*")] == ["solution.csv"]  # no field of an earlier run
    assert solution.metrics["directions"]["most"] == 6
    assert "directions" in dict(solution_rows(solution))
    drawn = {file.stem for file in (tmp_path / "run" / "figures").iterdir()}
    assert {"convergence", "solution"} <= drawn
    assert "conditions" not in drawn
    assert "of 6 second derivatives at each point" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_ordinary_equations_are_drawn_over_time(tmp_path: Path) -> None:
    """A field that is the same everywhere has curves over t; figures of an earlier run that it lacks do not stay."""
    (tmp_path / "run" / "figures").mkdir(parents=True)
    problem = vpinn.make_problem(
        {"shape": "interval", "cells": 1, "time": [0, 1]},
        unknowns={"u": "scalar"},
        weak="dt(u)*v*dx + u*v*dx",
        boundary=[{"on": "initial", "value": 1}],
    )
    solution = vpinn.solve(problem)
    for name in ("snapshots.png", "mine.png"):
        (tmp_path / "run" / "figures" / name).write_bytes(b"old")
    drawn = {path.name for path in draw_all(solution, tmp_path / "run" / "figures")}
    assert "solution.png" in drawn
    left = {path.name for path in (tmp_path / "run" / "figures").iterdir()}
    assert left == drawn | {"mine.png"}
