"""Integrals and further fields of solutions: their values, and that error estimates are near the errors."""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vpinn
from vpinn.analysis import quantities_of
from vpinn.output.tables import quantity_texts
from vpinn.problem import make_problem
from vpinn.solution import Solution
from vpinn.trial import make_trial

TRUTH = {"expressions": {"truth": "sin(3*x)*exp(y)", "f": "-2*div(grad(truth))"}, "reference": {"exact": {"u": "truth"}}}
ASKED = {
    "fields": {"flux": "-2*grad(u)", "pair": "as_matrix([[u, 1], [2, x*u]])"},
    "quantities": {
        "heat": "dot(flux, n)*ds('left')",
        "two": "u*ds('left', 'top')",
        "part": "u*dx('half')",
        "work": "dot(flux, flux)*dx - u*ds",
        "area": "2*dx('half')",
    },
}
SIDES = [{"on": "all", "value": "truth"}]


def of(method: str, **more: Any) -> Solution:
    """Return the solution of Poisson's equation on a square, by one method."""
    stated = {
        "domain": {"shape": "rectangle", "cells": 2, "tags": {"half": "x < 0.5"}},
        "unknowns": {"u": "scalar"},
        "energy": "inner(grad(u), grad(u))*dx - f*u*dx",
        "boundary": SIDES,
        "solver": {"method": method, **more},
        "output": ASKED,
        **TRUTH,
    }
    return vpinn.solve(vpinn.make_problem(**stated), threads=1)


@cache
def rough() -> Solution:
    """Return a solution by elements whose error is far above rounding."""
    return of("elements", tolerance=3e-2)


def true_values() -> dict[str, float]:
    """Return what the integrals of sin(3x) eʸ are by hand, on the unit square."""
    across, up = (1.0 - np.cos(3.0)) / 3.0, np.e - 1.0
    sides = np.sin(3.0) * up + across * (1.0 + np.e)  # right, then bottom and top
    return {
        "heat": 6.0 * up,
        "two": np.e * across,
        "part": (1.0 - np.cos(1.5)) / 3.0 * up,
        "work": 4.0 * (np.e**2 - 1.0) / 2.0 * (9.0 * (0.5 + np.sin(6.0) / 12.0) + 0.5 - np.sin(6.0) / 12.0) - sides,
        "area": 1.0,
    }


def test_values_are_those_of_the_solution() -> None:
    found = of("elements", tolerance=1e-6).metrics["quantities"]
    for name, value in true_values().items():
        assert found[name]["exact"] == pytest.approx(value, rel=1e-12), name
        assert found[name]["value"] == pytest.approx(value, abs=max(3.0 * found[name]["error"], 1e-9)), name


@pytest.mark.parametrize("name", ["heat", "two", "part", "work"])
def test_the_error_estimate_is_near_the_error(name: str) -> None:
    found = rough().metrics["quantities"][name]
    error = abs(found["value"] - found["exact"])
    assert error > 1e-9  # far above rounding, else nothing is tested
    assert 0.5 * error < found["error"] < 2.0 * error


def joint(resistance: bool) -> vpinn.Problem:
    """Return a square of conductivities 1 and 2, joined at x = ¾, with sin(3x) eʸ on the left and half of its slope on the right.

    With a resistance, the right side has half of its value, too; else the value does not change.
    """
    jumps = "- 6*cos(9/4)/sin(9/4)*jump(u)*jump(v)*dS('a', 'b')" if resistance else ""
    asked = {
        "through": "-dot(grad(u), n)*dS('a', 'b')",
        "back": "-2*dot(grad(u), n)*dS('b', 'a')",
        "near": "u*dS('a', 'b')",
        "mean": "avg(u)*dS('b', 'a')",
    }
    return make_problem(
        {"shape": "rectangle", "cells": 4, "tags": {"a": "x < 0.75", "b": "x > 0.75"}},
        unknowns={"u": "scalar"},
        constants={"more": 0.0 if resistance else math.sin(2.25)},
        expressions={"left": "sin(3*x)*exp(y)", "right": "(left + more*exp(y))/2"},
        weak=f"inner(grad(u), grad(v))*dx('a') + 2*inner(grad(u), grad(v))*dx('b') - 8*left*v*dx + more*exp(y)*v*dx('b') {jumps}",
        boundary=[{"on": "all", "value": "conditional(lt(x, 0.75), left, right)"}],
        solver={"method": "elements", "tolerance": 1e-2},
        output={"quantities": {**asked, **({"drop": "jump(u)*dS('a', 'b')"} if resistance else {})}},
    )


@pytest.mark.parametrize("resistance", [True, False])
def test_quantities_on_an_interface(resistance: bool) -> None:
    found = vpinn.solve(joint(resistance), threads=1).metrics["quantities"]
    value, flux = np.sin(2.25) * (np.e - 1.0), -3.0 * np.cos(2.25) * (np.e - 1.0)
    mean = (0.75 if resistance else 1.0) * value
    right = {"through": flux, "back": -flux, "near": value, "mean": mean, "drop": value / 2.0}
    for name, entry in found.items():
        error = abs(entry["value"] - right[name])
        assert error > 1e-9, name  # far above rounding, else nothing is tested
        assert 0.4 * error < entry["error"] < 2.5 * error, name


def test_interfaces_that_quantities_cannot_have_are_told() -> None:
    stated = {"unknowns": {"u": "scalar"}, "weak": "inner(grad(u), grad(v))*dx - v*dx"}
    domain = {"shape": "rectangle", "cells": 4, "tags": {"a": "x < 0.3", "b": "x > 0.3 and x < 0.7", "c": "x > 0.7"}}
    for text, told in {
        "u*dS('a', 'd')": "no group 'd'",
        "u*dS('a', 'c')": "no facet in common",
        "jump(u)*dS('a', 'b')": "nothing jumps on dS('a', 'b')",
        "avg(u)*dx": "multiply them by dS",
    }.items():
        with pytest.raises(vpinn.InputError, match=re.escape(told)):
            make_problem(domain, output={"quantities": {"q": text}}, **stated)


def test_fields_have_errors_and_estimates() -> None:
    for found in rough().metrics["fields"].values():
        assert found["relative_l2"] > 1e-7
        assert found["estimate"] == pytest.approx(found["relative_l2"], rel=0.05)


def test_fields_are_evaluated_like_unknowns() -> None:
    solution, x = rough(), np.array([[0.3, 0.4], [0.5, 0.5], [7.0, 7.0]])
    values = solution.evaluate(x)
    assert list(values) == ["u", "flux", "pair"]
    np.testing.assert_array_equal(values["flux"][:2], -2.0 * solution.gradient(x)["u"][:2])
    np.testing.assert_array_equal(values["pair"][:2, 1, 1], x[:2, 0] * values["u"][:2])
    assert np.isnan(values["flux"][2]).all()
    assert np.isnan(values["pair"][2]).all()


def test_without_cells_the_error_has_that_of_random_points() -> None:
    """The exact solution itself stands for the better one: what is left are two means over different random points."""
    stated = {
        "domain": {"shape": "hypercube", "lower": [0, 0]},
        "unknowns": {"u": "scalar"},
        "strong": "-div(grad(u))",
        "output": {"quantities": {"known": "sin(3*x)*exp(y)*dx", "side": "sin(3*x)*exp(y)*ds('left')"}},
    }
    problem = vpinn.make_problem(**stated)
    trial = make_trial(problem)
    theta = torch.zeros(trial.network.size, dtype=torch.float64)
    found = quantities_of(problem, trial, theta, (trial, theta))
    error = abs(found["known"]["value"] - (1.0 - np.cos(3.0)) / 3.0 * (np.e - 1.0))
    assert 0.0 < error < 10.0 * found["known"]["error"] < 1e-3
    assert found["side"]["value"] == 0.0
    assert quantities_of(problem, trial, theta, None)["known"] == {"value": found["known"]["value"], "error": None}


def test_a_quantity_over_time() -> None:
    """For sin(πx) e^(−t), what flows out on the left falls like e^(−t), and the estimate is near the error."""
    stated = {
        "domain": {"shape": "interval", "cells": 3, "time": [0, 0.5]},
        "unknowns": {"u": "scalar"},
        "expressions": {"truth": "sin(pi*x)*exp(-t)", "f": "(pi**2 - 1)*truth + 0.1*truth**2"},
        "weak": "dt(u)*v*dx + inner(grad(u), grad(v))*dx + 0.1*u**2*v*dx - f*v*dx",
        "boundary": [{"on": "all", "value": 0}, {"on": "initial", "value": "truth"}],
        "reference": {"exact": {"u": "truth"}},
        "solver": {"tolerance": 1e-2},
        "output": {"times": 3, "fields": {"flux": "-grad(u)"}, "quantities": {"out": "dot(flux, n)*ds('left')", "late": "t*dx"}},
    }
    solution = vpinn.solve(vpinn.make_problem(**stated), threads=1)
    found, times = solution.metrics["quantities"], np.array([0.0, 0.25, 0.5])
    np.testing.assert_allclose(found["out"]["times"], times)
    np.testing.assert_allclose(found["out"]["values"], np.pi * np.exp(-times), rtol=1e-2)
    np.testing.assert_allclose(found["late"]["values"], times, atol=1e-15)
    error = abs(found["out"]["value"] - found["out"]["exact"])
    assert 0.5 * error < found["out"]["error"] < 2.0 * error
    values = solution.evaluate([[0.3, 0.25], [0.3, 0.5]])
    np.testing.assert_allclose(values["flux"][:, 0], -solution.gradient([[0.3, 0.25], [0.3, 0.5]])["u"][:, 0], rtol=1e-12)


def test_the_example_of_the_guide_conducts_through_two_materials(tmp_path: Path) -> None:
    """Resistances add up: 0.75 of conductivity 1 and 0.25 of 0.1 let 1/3.25 through."""
    guide = (Path(__file__).parents[2] / "problems" / "README.md").read_text().split("## Fields and quantities", 1)[1]
    (tmp_path / "wall.toml").write_text(re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)[0])
    solution = vpinn.solve(vpinn.read_problem(tmp_path / "wall.toml", ["solver.method=elements"]), threads=1)
    found = solution.metrics["quantities"]
    assert found["heat"]["value"] == pytest.approx(1.0 / 3.25, rel=1e-12)
    assert found["mean"]["value"] == pytest.approx(0.5, rel=1e-12)
    assert found["cold"]["value"] == pytest.approx(0.5, abs=0.1)
    assert found["cold"]["error"] > abs(found["cold"]["value"] - 0.5)


def test_modes_have_fields() -> None:
    stated = {
        "domain": {"shape": "interval", "cells": 2},
        "unknowns": {"u": "scalar"},
        "weak": "inner(grad(u), grad(v))*dx",
        "boundary": [{"on": "all", "value": 0}],
        "eigen": {"mass": "u*v*dx", "count": 2},
        "solver": {"tolerance": 1e-4},
        "output": {"fields": {"slope": "grad(u)"}},
    }
    solution = vpinn.solve(vpinn.make_problem(**stated), threads=1)
    x = np.array([[0.2], [0.7]])
    values = solution.evaluate(x)
    assert list(values) == ["u_1", "u_2", "slope_1", "slope_2"]
    np.testing.assert_array_equal(values["slope_2"], solution.gradient(x)["u_2"])


def test_a_quantity_is_told_to_depend_on_the_curve_that_sides_stand_for_if_that_is_more_than_its_error() -> None:
    stated = {
        "weak": "inner(grad(u), grad(v))*dx - v*dx",
        "boundary": [{"on": "all", "value": 0}],
        "solver": {"method": "elements"},
    }
    asked = {"quantities": {"whole": "u*dx"}}
    disk, square = (
        vpinn.solve(make_problem(domain, unknowns={"u": "scalar"}, output=asked, **stated)).metrics
        for domain in ({"shape": "disk", "cells": 2}, {"shape": "rectangle", "cells": [2, 2]})
    )
    found = disk["quantities"]["whole"]
    assert abs(found["value"] - math.pi / 8) > disk["error_estimate"]["kink"] ** 2 * math.pi / 8 > 1000 * found["error"]
    assert "stand for a curve, that error is larger and not seen" in quantity_texts(disk)[0]
    assert "curve" not in quantity_texts(square)[0]
