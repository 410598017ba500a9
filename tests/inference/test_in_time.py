"""Unknown numbers of problems in time, from measurements at points and instants."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import vpinn
from vpinn.errors import InputError
from vpinn.inference.marches import MarchModel

HEAT = """
[domain]
shape = "interval"
cells = 2
time = [0, 0.2]
[unknowns]
u = "scalar"
[infer]
k = { initial = 1.0, lower = 0.0 }
[form]
weak = "dt(u)*v*dx + k*inner(grad(u), grad(v))*dx"
[[boundary]]
on = "all"
value = 0
[[boundary]]
on = "initial"
value = "sin(pi*x)"
[[data]]
file = "u.csv"
noise = 0.001
[solver]
tolerance = 1e-4
[output]
times = 2
"""


def heat(folder: Path, k: float = 0.7, text: str = HEAT) -> vpinn.Problem:
    """Return the inverse problem of u = exp(−kπ²t) sin(πx), measured at six instants."""
    t = np.linspace(0.02, 0.2, 6)
    x = np.full(6, 0.4)
    values = np.exp(-k * np.pi**2 * t) * np.sin(np.pi * x)
    np.savetxt(folder / "u.csv", np.column_stack([x, t, values]), delimiter=",", header="x,t,u", comments="")
    (folder / "heat.toml").write_text(text)
    return vpinn.read_problem(folder / "heat.toml")


def test_predictions_and_derivatives_are_those_of_the_closed_form(tmp_path: Path) -> None:
    model = MarchModel(heat(tmp_path), 5)
    at = model.predict(np.log([0.7]))
    assert at.values == pytest.approx(model.data, abs=1e-5)
    t = np.linspace(0.02, 0.2, 6)
    assert model.jacobian(at)[:, 0] == pytest.approx(-0.7 * np.pi**2 * t * model.data, rel=5e-3)


@pytest.mark.slow
def test_a_conductivity_is_inferred_and_kept(tmp_path: Path) -> None:
    solution = vpinn.solve(heat(tmp_path), tmp_path / "run", threads=1)
    found = solution.metrics["inferred"]["k"]
    t = np.linspace(0.02, 0.2, 6)
    slopes = np.pi**2 * t * np.exp(-0.7 * np.pi**2 * t) * np.sin(0.4 * np.pi)
    assert found["std"] == pytest.approx(1e-3 / np.linalg.norm(slopes), rel=1e-2)
    assert abs(found["value"] - 0.7) <= 0.1 * found["std"]
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["data"]["p_value"] > 0.5
    place = np.array([[0.4, 0.2]])
    assert vpinn.load(tmp_path / "run").evaluate(place)["u"] == pytest.approx(solution.evaluate(place)["u"], rel=1e-12)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a field cannot be inferred in a problem in time yet"):
        heat(tmp_path, text=HEAT.replace("initial = 1.0,", "initial = 1.0, field = true,"))
    with pytest.raises(InputError, match="an integral cannot be measured in a problem in time yet"):
        heat(tmp_path, text=HEAT.replace('file = "u.csv"', 'observes = "u*dx"\nvalue = 1'))
    with pytest.raises(InputError, match="6 of 6 measurements lie outside the time span"):
        heat(tmp_path, text=HEAT.replace("[0, 0.2]", "[0, 0.01]"))
