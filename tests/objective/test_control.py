"""Test that the control variate leaves residuals and gradients unchanged, and has no noise at the solution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vpinn.errors import InputError
from vpinn.sampling import make_sampler

from .cases import CASES, make, solved

BATCH = {"size": 5}
FITTING = ("weak: poisson", "weak: interval", "weak: stokes", "weak: penalty", "weak: nitsche")
OBSTACLES = {
    "weak: convection and reaction": "lives on the mesh",
    "weak: conditional": "conditional",
    "weak: materials": "differs between parts",
}


@pytest.mark.parametrize("name", FITTING)
def test_residuals_and_gradients_are_the_same(name: str) -> None:
    """Over all points of a rule of degree 20 the residuals differ by rounding, natural boundaries and Nitsche terms included."""
    _, objective, theta = make(name, batch=BATCH, quadrature={"degree": 20})
    assert (objective.estimator, bool(objective.why)) == ("control-variate", True)
    strong = replace(objective, measures=objective.controlled, controlled=())
    assert objective.test_space is not None
    for free, weak_form, strong_form in zip(
        objective.test_space.free, objective.residual(theta), strong.residual(theta), strict=True
    ):
        assert float((weak_form[free] - strong_form[free]).abs().max()) <= 1e-12 * float(weak_form[free].abs().max())
    (value, gradient), (other, steep) = objective.gradient(theta), strong.gradient(theta)
    assert value == pytest.approx(other, rel=1e-12)
    assert float((gradient - steep).norm()) <= 1e-12 * float(gradient.norm())


def test_every_weak_case_has_one_or_a_reason_not_to() -> None:
    assert {name for name in CASES if name.startswith("weak")} == {*FITTING, *OBSTACLES}
    for name, reason in OBSTACLES.items():
        _, objective, _ = make(name, batch=BATCH)
        assert objective.estimator == "two-batch"
        assert reason in objective.why
        assert objective.controlled == ()
        with pytest.raises(InputError, match=reason):
            make(name, batch={**BATCH, "estimator": "control-variate"})
    _, objective, _ = make("weak: poisson", batch={**BATCH, "estimator": "two-batch"})
    assert (objective.controlled, objective.why) == ((), "as the problem file asks")
    for name in ("energy: poisson", "strong: poisson"):
        assert make(name, batch=BATCH)[1].estimator == "plain"
        with pytest.raises(InputError, match="for weak forms"):
            make(name, batch={**BATCH, "estimator": "two-batch"})


def test_the_noise_vanishes_with_the_residual() -> None:
    """At the exact solution a batch's residual is zero with the control variate for every sampler, and is not without."""
    for estimator in ("control-variate", "two-batch"):
        objective, theta = solved(estimator=estimator)
        assert objective.value(theta) < 1e-20
        for name in ("uniform", "stratified", "sobol", "antithetic", "cells", "importance"):
            samplers = [make_sampler(name, m.points, min(200, m.points.size)) for m in objective.batched]
            generator = np.random.default_rng(1)
            first, second = (
                [(m, m.batch(*s.draw(generator))) for m, s in zip(objective.batched, samplers, strict=True)] for _ in range(2)
            )
            gradient = objective.sampled(theta, first, second)[1]
            if estimator == "control-variate":
                assert float(gradient.norm()) < 1e-10
            else:
                assert float(gradient.norm()) > 1e-6


@pytest.mark.parametrize("name", ["weak: poisson", "weak: convection and reaction", "weak: penalty", "weak: stokes"])
def test_points_with_tables_of_their_own_integrate_the_same(name: str) -> None:
    """Cells halved without being stored: the loss and its gradient are those of the mesh's own rule, both nearly exact."""
    _, plain, theta = make(name, quadrature={"degree": 26})
    _, halved, _ = make(name, quadrature={"degree": 16, "refine": 1})
    assert halved.size > plain.size
    (value, gradient), (other, slope) = plain.gradient(theta), halved.gradient(theta)
    assert other == pytest.approx(value, rel=1e-8)
    assert float((gradient - slope).norm()) <= 1e-7 * float(gradient.norm())
    measure = halved.measures[0]
    index = np.random.default_rng(0).integers(measure.points.size, size=40)
    one = replace(halved, measures=halved.measures[:1])
    drawn = one.sampled(theta, [(measure, measure.compute(index))])
    again = one.sampled(theta, [(measure, measure.batch(index, np.ones(40)))])
    assert drawn[0] == pytest.approx(again[0], rel=1e-12)
