"""Unknown numbers from measurements: their values, their deviations, and what is told of data that are wrong."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vpinn
from vpinn.errors import InputError
from vpinn.inference import infer_in_stages, judged
from vpinn.inference.elements import ElementModel
from vpinn.inference.forward import Prediction
from vpinn.inference.gauss_newton import FARTHEST, _limited, fit
from vpinn.inference.posterior import Posterior

Array = np.ndarray[Any, np.dtype[np.float64]]
ROD = "k*inner(grad(T), grad(v))*dx - 10*v*dx + beta*T*v*ds('right')"
K, BETA = 2.5, 4.0


def rod(x: Array) -> Array:
    """−k T″ = 10 on (0, 1), T(0) = 0 and −k T′(1) = β T(1)."""
    slope = (10.0 + 10.0 * BETA / (2.0 * K)) / (K + BETA)
    return slope * x - 10.0 / (2.0 * K) * x**2


def stated(folder: Path, sensors: Array, values: Array, noise: float | None = 0.01, **sections: Any) -> vpinn.Problem:
    """Return the inverse problem of the rod for temperatures at some places."""
    table = np.column_stack([sensors, values])
    np.savetxt(folder / "sensors.csv", table, delimiter=",", header="x,value", comments="")
    data = {"file": "sensors.csv", "observes": "T", **({} if noise is None else {"noise": noise})}
    unknown = {"initial": 1.0, "lower": 0.0}
    given = {
        "domain": {"shape": "interval", "cells": 4},
        "weak": ROD,
        "infer": {"k": unknown, "beta": unknown},
        "data": [data],
        "boundary": [{"on": "left", "value": 0}],
        **sections,
    }
    return vpinn.make_problem(given.pop("domain"), unknowns={"T": "scalar"}, folder=folder, **given)


PLACES = np.linspace(0.1, 1.0, 10)


def inferred(problem: vpinn.Problem) -> Posterior:
    return infer_in_stages(problem)[0].posterior


def test_numbers_of_exact_data(tmp_path: Path) -> None:
    found = inferred(stated(tmp_path, PLACES, rod(PLACES))).numbers
    assert found["k"]["value"] == pytest.approx(K, rel=1e-6)
    assert found["beta"]["value"] == pytest.approx(BETA, rel=1e-6)


def test_deviations_are_those_of_least_squares(tmp_path: Path) -> None:
    """The covariance is σ² (JᵀJ)⁻¹, with J by difference quotients of the exact solution."""
    found = inferred(stated(tmp_path, PLACES, rod(PLACES)))

    def values(k: float, beta: float) -> Array:
        slope = (10.0 + 10.0 * beta / (2.0 * k)) / (k + beta)
        return slope * PLACES - 5.0 / k * PLACES**2

    e = 1e-6
    slopes = np.column_stack([(values(K + e, BETA) - values(K - e, BETA)), (values(K, BETA + e) - values(K, BETA - e))]) / (2 * e)
    covariance = 1e-4 * np.linalg.inv(slopes.T @ slopes)
    deviations = np.sqrt(np.diag(covariance))
    assert [one["std"] for one in found.numbers.values()] == pytest.approx(deviations, rel=1e-5)
    assert found.correlation[0, 1] == pytest.approx(covariance[0, 1] / deviations.prod(), rel=1e-5)


@pytest.mark.slow
def test_intervals_cover_the_truth_as_often_as_they_say(tmp_path: Path) -> None:
    """Of 2 numbers and 50 noises each 95 % interval holds the truth between 0.90 and 0.98 times; noise is inferred, too."""
    problem, generator, held = stated(tmp_path, PLACES, rod(PLACES)), np.random.default_rng(0), []
    assert problem.inverse is not None
    model = ElementModel(problem, 2)
    for _ in range(50):
        problem.inverse.data[0].values[:, 0] = rod(PLACES) + generator.normal(0.0, 0.01, len(PLACES))
        found = Posterior(model, fit(model, np.zeros(2))).numbers
        held += [abs(found[name]["value"] - truth) <= 1.96 * found[name]["std"] for name, truth in (("k", K), ("beta", BETA))]
    assert 0.90 <= np.mean(held) <= 0.98


def test_noise_is_inferred(tmp_path: Path) -> None:
    places = np.linspace(0.02, 1.0, 200)
    values = rod(places) + np.random.default_rng(3).normal(0.0, 0.02, len(places))
    told, checks = judged(inferred(stated(tmp_path, places, values, noise=None)))
    assert told["sections"][0]["noise"] == pytest.approx(0.02, rel=0.15)
    assert told["p_value"] is None
    assert checks == []


FAULTS: dict[str, tuple[Callable[[Array], Array], str]] = {
    "a wrong unit": (lambda values: 1000.0 * values, "the model does not explain them"),
    "one outlier": (lambda values: values + 0.2 * (np.arange(len(values)) == 4), r"T = .* in row 5 at \(0.5\) lies"),
    "a constant": (lambda values: np.full_like(values, 0.3), "the model does not explain them"),
    "another order": (lambda values: values[::-1], "the model does not explain them"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_data_are_told(name: str, tmp_path: Path) -> None:
    """The rod is held at 1 and loses heat to surroundings of 1, which tells the unit; k and β could make up for it otherwise."""
    fault, words = FAULTS[name]
    values = 1.0 + rod(PLACES) + np.random.default_rng(1).normal(0.0, 0.01, len(PLACES))
    warm = {"weak": ROD.replace("*T*", "*(T - 1)*"), "boundary": [{"on": "left", "value": 1}]}
    assert judged(inferred(stated(tmp_path, PLACES, values, **warm)))[1] == []
    checks = judged(inferred(stated(tmp_path, PLACES, fault(values), **warm)))[1]
    assert any(re.search(words, check) for check in checks), checks


def test_measured_integrals_and_several_sections(tmp_path: Path) -> None:
    """The heat that leaves at the right is 10 minus what leaves at the left: β T(1) tells β once T(1) is known."""
    table = [
        {"observes": "T*ds('right')", "value": float(rod(np.ones(1))[0]), "noise": 1e-3},
        {"observes": "beta*T*ds('right')", "value": BETA * float(rod(np.ones(1))[0]), "noise": 1e-3},
    ]
    found = inferred(stated(tmp_path, PLACES, rod(PLACES), data=table)).numbers
    assert found["beta"]["value"] == pytest.approx(BETA, rel=1e-6)
    assert found["k"]["value"] == pytest.approx(K, rel=1e-6)


def test_a_number_in_a_boundary_value(tmp_path: Path) -> None:
    """With −u″ = 0, u = a at the left and 0 at the right, u(x) = a (1 − x)."""
    np.savetxt(tmp_path / "u.csv", [[0.25, 2.25], [0.5, 1.5]], delimiter=",", header="x,u", comments="")
    problem = vpinn.make_problem(
        {"shape": "interval", "cells": 4},
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx",
        infer={"a": {"initial": 1.0}},
        data=[{"file": "u.csv", "noise": 0.1}],
        boundary=[{"on": "left", "value": "a"}, {"on": "right", "value": 0}],
        folder=tmp_path,
    )
    found = inferred(problem).numbers["a"]
    assert found["value"] == pytest.approx(3.0, rel=1e-9)
    assert found["std"] == pytest.approx(0.1 / math.hypot(0.75, 0.5), rel=1e-9)


def test_the_jacobian_is_the_derivative_of_a_nonlinear_problem() -> None:
    """By difference quotients, for a number in the form and one in a boundary value, with more and fewer data than unknowns."""
    for more in ([], [{"observes": "u**2*dx", "value": 1.0, "noise": 0.1}, {"observes": "a*u*ds", "value": 1.0, "noise": 0.1}]):
        problem = vpinn.make_problem(
            {"shape": "rectangle", "cells": 2},
            unknowns={"u": "scalar"},
            weak="(1 + a*u**2)*inner(grad(u), grad(v))*dx - exp(b)*v*dx",
            infer={"a": {"initial": 0.5, "lower": 0.0, "prior": {"std": 1.0}}, "b": {"initial": 0.3, "prior": {"std": 1.0}}},
            data=[{"observes": "u*dx", "value": 1.0, "noise": 0.1}, *more],
            boundary=[{"on": "left", "value": "b*y"}],
        )
        model = ElementModel(problem, 2)
        at = model.predict(np.array([0.1, -0.2]))
        slopes, e = model.jacobian(at), 1e-5
        for k, step in enumerate(e * np.eye(2)):
            there, back = (model.predict(at.coefficients + sign * step, at).values for sign in (1, -1))
            assert slopes[:, k] == pytest.approx((there - back) / (2 * e), rel=1e-6, abs=1e-8)


def test_what_the_data_do_not_see_is_told(tmp_path: Path) -> None:
    """No temperature tells k and f of −k T″ = f apart: only their ratio."""
    sections = {"weak": "k*inner(grad(T), grad(v))*dx - f*v*dx", "infer": {"k": {"initial": 1.0}, "f": {"initial": 5.0}}}
    found = inferred(stated(tmp_path, PLACES, rod(PLACES) * 0.0 + PLACES * (2.0 - PLACES), **sections))
    assert found.unseen == ["a combination of k and f"]
    assert found.numbers["f"]["value"] / found.numbers["k"]["value"] == pytest.approx(2.0, rel=1e-6)


def test_a_prior_decides_where_data_do_not(tmp_path: Path) -> None:
    prior = {"initial": 5.0, "prior": {"std": 0.05}}
    sections = {"weak": "k*inner(grad(T), grad(v))*dx - f*v*dx", "infer": {"k": {"initial": 1.0}, "f": prior}}
    found = inferred(stated(tmp_path, PLACES, PLACES * (2.0 - PLACES), **sections))
    assert found.unseen == []
    assert found.numbers["f"] == pytest.approx({"value": 5.0, "std": 0.05}, rel=1e-3)
    assert found.numbers["k"]["value"] == pytest.approx(2.5, rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"infer": {}, "constants": {"k": 1, "beta": 1}}, r"\[\[data\]\] needs \[infer\]"),
        ({"data": []}, "no measurements determine k"),
        ({"infer": {"q": {"initial": 1.0}}, "constants": {"k": 1, "beta": 1}}, "q stands in no form"),
        ({"infer": {"k": {"initial": 0.0, "lower": 0.0}, "beta": {}}}, "initial lies between lower and upper"),
        ({"data": [{"observes": "T*dx", "value": 1.0, "noise": 0.1}]}, "1 measurement cannot determine 2 numbers"),
        ({"data": [{"observes": "T*dx", "value": 1.0}]}, "a single value needs its noise"),
        ({"data": [{"file": "sensors.csv", "observes": "q"}]}, "unknown name 'q'"),
        ({"data": [{"file": "none.csv"}]}, "no such file"),
        ({"solver": {"method": "adam"}}, "inverse problems are solved by finite elements"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words) as caught:
        vpinn.solve(stated(tmp_path, PLACES, rod(PLACES), **changes))
    assert "\n" not in str(caught.value)


def test_sensors_outside_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 of 10 measurements lie outside the domain, the first in row 10 at \(1.2\)"):
        stated(tmp_path, np.append(PLACES[:-1], 1.2), rod(PLACES))


def test_data_that_do_not_depend_on_an_unknown(tmp_path: Path) -> None:
    """The temperature at the held side is what it is."""
    with pytest.raises(InputError, match="the measurements do not depend on k"):
        inferred(stated(tmp_path, np.array([0.0, 0.0]), np.array([0.0, 0.01])))


@pytest.mark.slow
def test_a_run_folder_keeps_what_was_inferred(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "sensors.csv", np.column_stack([PLACES, rod(PLACES)]), delimiter=",", header="x,value", comments="")
    (tmp_path / "rod.toml").write_text(
        f"""
[domain]
shape = "interval"
cells = 4
[unknowns]
T = "scalar"
[infer]
k = {{ initial = 1.0, lower = 0.0 }}
beta = {{ initial = 1.0, lower = 0.0 }}
[form]
weak = "{ROD}"
[[boundary]]
on = "left"
value = 0
[[data]]
file = "sensors.csv"
observes = "T"
noise = 0.01
[reference]
exact = {{ k = {K}, T = "{(10.0 + 10.0 * BETA / (2.0 * K)) / (K + BETA)}*x - 2*x**2" }}
"""
    )
    solution = vpinn.solve(vpinn.read_problem(tmp_path / "rod.toml"), tmp_path / "run", threads=1)
    assert solution.errors["T"]["relative_l2"] < 1e-6
    assert solution.metrics["inferred"]["k"]["exact"] == K
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["inferred"]["beta"]["value"] == pytest.approx(BETA, rel=1e-6)
    assert metrics["checks"] == []
    again = vpinn.load(tmp_path / "run")
    assert again.evaluate([[0.5]])["T"] == pytest.approx(rod(np.array([0.5])), rel=1e-6)


class Quotients(ElementModel):
    """A model whose derivatives have the errors of difference quotients; it counts its solutions."""

    count = 0

    def predict(self, coefficients: Array, near: Prediction | None = None) -> Prediction:
        self.count += 1
        return super().predict(coefficients, near)

    def jacobian(self, prediction: Prediction) -> Array:
        exact = super().jacobian(prediction)
        return np.asarray(exact * (1.0 + np.linspace(-0.01, 0.01, len(exact)))[:, None])


def test_iterations_end_where_errors_of_the_derivatives_hide_the_descent(tmp_path: Path) -> None:
    places = np.linspace(0.1, 1.0, 60)
    noise = 0.05 * np.random.default_rng(0).normal(size=60)
    model = Quotients(stated(tmp_path, places, rod(places) + noise, None), 2)
    assert fit(model, np.zeros(2)).converged
    assert model.count <= 12


def test_a_number_that_the_data_do_not_tell_does_not_stop_the_others() -> None:
    """The step of the second is limited, and the first fits the data with what is left."""
    rows, gap = np.array([[1.0, 1e-9], [2.0, 2e-9], [3.0, 3.1e-9]]), np.array([1.0, 2.0, 3.5])
    moved = _limited(rows, gap, 0.0, np.array([True, True]))
    assert abs(moved[1]) == FARTHEST
    assert moved[0] == pytest.approx(15.5 / 14, rel=1e-6)
