"""Test that every file in problems/ can be read, runs, and reaches the accuracy that is promised."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import vpinn
from vpinn.problem.learn import LEARNERS
from vpinn.problem.source import read_source
from vpinn.problem.validation import validate

FOLDER = Path(__file__).parents[1] / "problems"
FILES = sorted(FOLDER.glob("*.toml"))

GUIDE = re.findall(
    r"```toml\n(.*?)```",
    (FOLDER / "README.md").read_text().split("## Obstacles, contact, points", 1)[1].split("\n## ", 1)[0],
    re.DOTALL,
)

Metrics = Mapping[str, Any]


def l2(name: str) -> Callable[[Metrics], float]:
    """Return the relative L² error of one unknown."""
    return lambda metrics: float(metrics["errors"][name]["relative_l2"])


def estimate(metrics: Metrics) -> float:
    """Return the relative error estimate, for problems without an exact solution."""
    return float(metrics["error_estimate"]["relative_energy"])


def eigenvalue(number: int, value: float) -> Callable[[Metrics], float]:
    """The relative error of an eigenvalue that is known."""
    return lambda metrics: abs(float(metrics["eigenvalues"][number]["value"]) / value - 1.0)


def eigenvalues(metrics: Metrics) -> float:
    """The estimated relative error of the eigenvalues."""
    return float(metrics["error_estimate"]["relative_eigenvalues"])


def bound(metrics: Metrics) -> float:
    """The largest bound of a relative error over a family."""
    return float(metrics["family"]["largest_bound"])


def deviations(metrics: Metrics) -> float:
    """The largest distance of an inferred number from the true one, in standard deviations."""
    found = [one for one in metrics["inferred"].values() if "exact" in one]
    return max(abs(one["value"] - one["exact"]) / one["std"] for one in found)


def quantity(name: str, value: float) -> Callable[[Metrics], float]:
    """The relative error of a quantity that is known."""
    return lambda metrics: abs(float(metrics["quantities"][name]["value"]) / value - 1.0)


PINNED: Mapping[str, tuple[Callable[[Metrics], float], float]] = {
    "conductivity": (deviations, 2.0),
    "conductivity_map": (l2("u"), 1e-8),
    "elastic_modulus": (deviations, 2.0),
    "poisson_inverse": (l2("a"), 5e-3),
    "predator_prey": (deviations, 2.0),
    "source_place": (deviations, 3.0),
    "allen_cahn": (l2("u"), 1e-4),
    "burgers": (l2("u"), 2e-5),
    "heat_in_time": (l2("u"), 1e-6),
    "heat_part": (l2("T"), 1e-5),
    "kdv": (l2("u"), 1e-6),
    "kuramoto_sivashinsky": (l2("u"), 1e-3),
    "quench": (l2("u"), 1e-6),
    "taylor_green": (l2("p"), 1e-5),
    "two_species": (l2("r"), 1e-6),
    "wave": (l2("u"), 1e-6),
    "cylinder": (quantity("drag", 5.57953523384), 1e-2),
    "wave_disk": (l2("u"), 1e-5),
    "advection": (l2("u"), 1e-6),
    "beam": (l2("u"), 1e-9),
    "elastic_body": (l2("w"), 1e-6),
    "gray_scott": (l2("b"), 1e-4),
    "schroedinger": (l2("u"), 1e-6),
    "space_time": (l2("u"), 1e-2),
    "stiff_oscillator": (l2("y"), 1e-7),
    "box_3d": (l2("u"), 1e-6),
    "bratu": (l2("u"), 1e-12),
    "composite": (l2("u"), 1e-5),
    "contact": (l2("u"), 1e-6),
    "convection_diffusion": (l2("u"), 1e-6),
    "disk": (l2("u"), 1e-10),
    "drum": (eigenvalue(0, 9.63972384402194), 1e-10),
    "plate_modes": (eigenvalues, 1e-6),
    "plane_waves": (bound, 1e-6),
    "moving_source": (estimate, 3e-2),
    "thermal_block": (bound, 1e-4),
    "twisted_bars": (bound, 3e-4),
    "quantum_well": (eigenvalue(0, 1.70678549546853), 1e-12),
    "contact_resistance": (l2("T"), 1e-12),
    "elasticity": (l2("u"), 1e-9),
    "four_holes": (estimate, 1e-4),
    "gear": (l2("u"), 1e-4),
    "helmholtz": (l2("u"), 1e-8),
    "hypercube_5d": (l2("u"), 5e-3),
    "hypercube_strong": (l2("u"), 2e-5),
    "inseparable": (l2("u"), 2e-2),
    "interval_1d": (l2("u"), 1e-9),
    "kovasznay": (l2("p"), 1e-8),
    "l_shape": (l2("u"), 1e-6),
    "pairs_7d": (l2("u"), 1e-8),
    "poisson_10d": (l2("u"), 1e-8),
    "two_body": (l2("u"), 1e-5),
    "l_shape_enriched": (estimate, 3e-6),
    "minimal_surface": (l2("u"), 1e-8),
    "nonlinear_diffusion": (l2("u"), 1e-8),
    "obstacle": (l2("u"), 1e-4),
    "oscillating_coefficient": (l2("u"), 2e-5),
    "plate_bending": (l2("u"), 1e-8),
    "plate_with_holes": (l2("u"), 1e-8),
    "point_load": (l2("u"), 2e-5),
    "poisson_boltzmann": (l2("u"), 1e-3),
    "thick_cylinder": (l2("u"), 1e-9),
    "poisson": (l2("u"), 4e-4),
    "poisson_minibatch": (l2("u"), 2e-3),
}
"""What a file's own settings reach, several times looser than measured."""


def reduced(file: Path) -> Iterator[str]:
    """Return settings that make a problem cheap, but not accurate."""
    settings = validate(read_source(file))
    if settings.domain is not None and settings.domain.time is not None and settings.solver.method == "auto":
        yield from ("solver.features=20", "solver.tolerance=1", "output.times=2")
        return
    if settings.infer:
        return
    if settings.eigen is not None:
        yield from ("eigen.count=1", "solver.tolerance=1")
        return
    if settings.solver.method in ("auto", "least-squares"):
        yield "solver.features=20"
    else:
        yield "network.layers=[6]"
    if settings.solver.method in LEARNERS:
        yield from ("learn.unseen=0", "learn.members=2")
    yield "solver.warmup=0"
    yield "solver.steps=3"
    if settings.form.formulation == "weak":
        yield "test_space.degree=1"
    if settings.domain is not None and settings.domain.shape in ("hypercube", "ball", "space"):
        yield "quadrature.points=256"
    else:
        yield "quadrature.degree=3"
    if settings.quadrature.refine:
        yield "quadrature.refine=0"
    if settings.batch.size != "full":
        yield "batch.size=50"
    shape = "" if settings.domain is None else settings.domain.shape
    if shape in ("l-shape", "rectangle", "disk") and settings.batch.size == "full":
        yield "domain.cells=2"


LARGE = ("gear", "plate_with_holes")
LONG = (
    *("box_3d", "elasticity", "four_holes", "hypercube_5d", "l_shape_enriched", "plate_bending", "poisson_boltzmann"),
    *("point_load", "thick_cylinder", "kuramoto_sivashinsky", "obstacle", "poisson_inverse", "source_place"),
    "predator_prey",
    *("two_body", "twisted_bars", "plane_waves"),
    *("advection", "beam", "cylinder", "elastic_body", "gray_scott", "schroedinger", "stiff_oscillator", "wave_disk"),
)
"""Files whose meshes, or what is special about them, make even a small run long.

``tests/analysis/test_drawn.py`` reads them, too, and what is special about them has tests of its own.
"""


@pytest.mark.parametrize(
    "file", [pytest.param(f, marks=pytest.mark.slow) if f.stem in LARGE + LONG else f for f in FILES], ids=lambda file: file.stem
)
def test_runs(file: Path) -> None:
    problem = vpinn.read_problem(file, list(reduced(file)))
    metrics = vpinn.solve(problem, threads=1).metrics
    kinds = (problem.clock, problem.eigen, problem.inverse, problem.parameters)
    lossless = any(part is not None for part in kinds) or problem.nodal[0]
    assert lossless or math.isfinite(metrics["loss"])
    known = bool(problem.exact) or problem.reference is not None or problem.settings.reference.fem is not None
    fields = set() if problem.inverse is None else {one.name for one in problem.inverse.fields}
    assert set(metrics["errors"]) == ({unknown.name for unknown in problem.unknowns} | fields if known else set())
    assert all(math.isfinite(value) for errors in metrics["errors"].values() for value in errors.values())


@pytest.mark.parametrize("text", GUIDE, ids=lambda text: re.findall(r'title = "(.*?)"', text)[0])
def test_an_example_of_the_guide_to_contact_and_points_runs(text: str, tmp_path: Path) -> None:
    file = tmp_path / "example.toml"
    file.write_text(text)
    solution = vpinn.solve(vpinn.read_problem(file, ["solver.tolerance=2e-2"]), threads=1)
    assert solution.metrics["method"] == "elements"
    assert solution.metrics["checks"] == []
    assert solution.error_estimate["relative_energy"] <= 2e-2


def test_every_file_has_a_pinned_number() -> None:
    assert {file.stem for file in FILES} == set(PINNED)


def test_the_example_of_the_guide_to_inverse_problems_runs(tmp_path: Path) -> None:
    """The file that it names is among the worked problems."""
    text = (FOLDER / "README.md").read_text().split("## Inverse problems", 1)[1].split("\n## ", 1)[0]
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "data").mkdir()
    shutil.copy(FOLDER / "data" / "rod.csv", tmp_path / "data")
    (tmp_path / "example.toml").write_text(example)
    metrics = vpinn.solve(vpinn.read_problem(tmp_path / "example.toml"), threads=1).metrics
    assert metrics["checks"] == []
    assert abs(metrics["inferred"]["k"]["value"] - 2.5) <= 2.0 * metrics["inferred"]["k"]["std"]


@pytest.mark.slow
@pytest.mark.parametrize("name", PINNED)
def test_reaches_its_accuracy(name: str) -> None:
    metric, bound = PINNED[name]
    metrics = vpinn.solve(vpinn.read_problem(FOLDER / f"{name}.toml"), threads=1).metrics
    assert metric(metrics) <= bound
    assert metrics["checks"] == []
