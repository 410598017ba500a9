"""Test least squares for the last layer: one fit, the choice of features, and further features. Seeds are fixed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from vpinn.domain import Hypercube, interval, rectangle
from vpinn.errors import InputError
from vpinn.features import PILOT, Guide, Journal, Judgement, LeastSquares, Objectives, Stage, grow, least_squares_problem
from vpinn.features.least_squares import add_to_last_layer, fit, last_layer, pilot, solve_columns, step
from vpinn.features.recipes import KINDS, SCALES, SHARES, Recipe, choose_features
from vpinn.objective import Objective, Resolution, make_objective
from vpinn.objective.linearisation import linearise
from vpinn.optimization import candidates
from vpinn.placement import HERE
from vpinn.problem import Problem, make_problem
from vpinn.solving import prepare, solve
from vpinn.trial import Features, make_trial

LINEAR = {"weak": "inner(grad(u), grad(v))*dx - sin(3*x)*v*dx", "test_space": {"degree": 4}}
NONLINEAR = {"weak": "(inner(grad(u), grad(v)) + u**3*v - 40*v)*dx", "test_space": {"degree": 4}}


def made(domain: Any, width: int, **sections: Any) -> tuple[Problem, Objective, Features]:
    problem = make_problem(
        domain,
        **{"unknowns": {"u": "scalar"}, "boundary": [{"on": "all", "value": 0}], "network": {"layers": [width]}, **sections},
    )
    trial = make_trial(problem)
    return problem, make_objective(problem, trial), Recipe("tanh", 3.0).features(trial.network, width, domain)


def drawn(network: Features, scale: float = 3.0, seed: int = 0) -> torch.Tensor:
    d = network.layers[0]
    cube = Hypercube((0.0,) * d, (1.0,) * d)  # of no aspect
    return Recipe("tanh", scale).draw(network, cube, torch.Generator().manual_seed(seed))


def test_features_bend_inside_the_box() -> None:
    """Every feature's argument vanishes on a plane through a point of [−1, 1]^d; weights have the standard deviation R."""
    network = Features((3, 4000, 2), "tanh", (0.0,) * 3, (1.0,) * 3)
    theta = drawn(network, 2.5)
    (weight, bias), (last, shift) = network.unpack(theta)
    assert float(weight.std()) == pytest.approx(2.5, rel=4 / math.sqrt(2 * 12_000))
    assert (bias.abs() <= weight.abs().sum(1) * (1 + 1e-12)).all()
    assert not last.any()
    assert not shift.any()
    assert torch.equal(theta, drawn(network, 2.5))


def test_last_layers_go_in_and_out() -> None:
    network = Features((2, 5, 3), "sin", (0.0, 0.0), (1.0, 1.0))
    theta = drawn(network)
    change = np.random.default_rng(0).normal(size=18)
    moved = add_to_last_layer(network, theta, change)
    assert not last_layer(network, theta).any()
    assert (last_layer(network, moved) == change).all()
    assert torch.equal(network.unpack(moved)[0][0], network.unpack(theta)[0][0])


def test_dependent_columns() -> None:
    """Columns of very different size, two of them equal: the residual is that of the best combination."""
    generator = np.random.default_rng(1)
    columns = generator.normal(size=(40, 6)) * np.logspace(-8, 8, 6)
    columns = np.concatenate([columns, columns[:, 2:3], np.zeros((40, 1))], axis=1)
    right = generator.normal(size=40)
    found = solve_columns(columns, right)
    best = np.linalg.lstsq(columns / np.maximum(np.linalg.norm(columns, axis=0), 1e-300), right, rcond=1e-13)[0]
    reached = np.linalg.norm(columns @ found - right)
    assert np.isfinite(found).all()
    optimum = np.linalg.norm(columns / np.maximum(np.linalg.norm(columns, axis=0), 1e-300) @ best - right)
    assert reached <= optimum * (1 + 1e-12)


@pytest.mark.parametrize("sections", [LINEAR, {"strong": "-div(grad(u)) - sin(3*x)"}])
def test_a_linear_problem_takes_one_step_to_the_minimum(sections: dict[str, Any]) -> None:
    _, objective, network = made(rectangle(cells=3), 40, **sections)
    found = fit(objective, network, drawn(network), linear=True)
    assert found.steps == fit(objective, network, drawn(network)).steps == 1
    assert 0.5 * found.residual**2 == pytest.approx(objective.value(found.theta), rel=1e-6)
    assert found.residual < 0.05 * found.initial
    rows = linearise(objective, network, found.theta)
    scaled = rows.columns / np.linalg.norm(rows.columns, axis=0)
    assert np.abs(scaled.T @ rows.residual).max() <= 1e-6 * found.residual
    worse = add_to_last_layer(network, found.theta, 1e-3 * np.random.default_rng(0).normal(size=41))
    assert objective.value(worse) > 0.5 * found.residual**2


def test_newton_steps_on_a_nonlinear_problem() -> None:
    _, objective, network = made(rectangle(cells=3), 60, **NONLINEAR)
    found = fit(objective, network, drawn(network))
    assert 3 <= found.steps <= 10
    rows = linearise(objective, network, found.theta)
    scaled = rows.columns / np.linalg.norm(rows.columns, axis=0)
    assert np.abs(scaled.T @ rows.residual).max() <= 0.02 * found.residual
    assert found.residual < 0.05 * found.initial
    again = fit(objective, network, found.theta)
    assert again.residual >= 0.99 * found.residual
    other = Recipe("sin", 2.0).features(network, 90, rectangle(cells=3))
    nearby = step(objective, other, drawn(other, 2.0), at=(network, found.theta))
    assert nearby.before == pytest.approx(found.residual, rel=1e-6)
    assert fit(objective, other, drawn(other, 2.0), first=nearby).steps <= 2


def test_the_features_chosen_are_the_best_tried() -> None:
    problem, objective, network = made(interval(cells=20), 30, weak="inner(grad(u), grad(v))*dx - 400*sin(20*x)*v*dx")
    recipe = choose_features(lambda tried: pilot(objective, network, 30, 0, problem.domain, tried).predicted)
    residual = pilot(objective, network, 30, 0, problem.domain, recipe).predicted
    tried = {}
    for k in KINDS:
        for s in SCALES:
            one = Recipe(k, s).features(network, 30, problem.domain)
            tried[k, s] = fit(objective, one, Recipe(k, s).draw(one, problem.domain, torch.Generator().manual_seed(0))).residual
    assert recipe.kind in KINDS
    assert residual <= min(tried.values()) + 1e-11
    assert max(tried.values()) > 100 * residual
    assert 4 <= recipe.scale <= 12  # a frequency of 20 on half a width of ½


@pytest.mark.parametrize(("best", "count"), [(Recipe("sin", 2.0), 9), (Recipe("tanh", 4.0, 0.5), 12), (Recipe("sin", 16.0), 13)])
def test_what_lies_beyond_a_clear_rise_is_not_tried(best: Recipe, count: int) -> None:
    tried: list[Recipe] = []

    def score(recipe: Recipe) -> float:
        tried.append(recipe)
        apart = 4 * abs(math.log2(recipe.scale / best.scale)) + 20 * abs(recipe.share - best.share)
        return 10.0 ** (apart + (1.0 if recipe.kind == best.kind else 2.0))

    assert choose_features(score, SHARES) == best
    assert len(set(tried)) == count
    tried.clear()
    assert choose_features(score, SHARES, enough=lambda recipe: True) == tried[0]
    assert len(tried) == 1


def growth(problem: Problem, method: LeastSquares, enough: int = 99) -> tuple[Stage, list[Stage]]:
    seen: list[Stage] = []

    def report(stage: Stage, best: Stage) -> bool:
        seen.append(stage)
        return len(seen) < enough

    stated = least_squares_problem(problem)
    return grow(Objectives(stated, HERE), [make_trial(stated, rows=True)], method, Guide(report)), seen


def test_growth_ends_at_the_tolerance() -> None:
    problem, _, _ = made(interval(cells=10), 5, energy="0.5*inner(grad(u), grad(u))*dx - 100*sin(10*x)*u*dx")
    best, seen = growth(problem, LeastSquares(asked=1e-4))
    assert best.relative <= 1e-4
    assert all(stage.relative > 1e-4 for stage in seen[:-1])
    assert best.trial.network.layers[1] == best.objective.measures[0].network.layers[1]
    assert math.sqrt(2 * best.objective.value(best.fit.theta)) == pytest.approx(
        best.fit.residual,
        rel=1e-3,
        abs=1e-9 * best.fit.initial,  # rounding of features that are nearly dependent
    )
    assert best.objective.test_space is not None
    assert best.objective.test_space.size >= best.trial.network.layers[1]


def judged_growth(method: LeastSquares, *verdicts: Judgement) -> tuple[Stage, list[Stage]]:
    """Return the best stage and the stages that were judged, with given verdicts; the last verdict is repeated."""
    problem, _, _ = made(interval(cells=40), 5, energy="0.5*inner(grad(u), grad(u))*dx - 100*sin(10*x)*u*dx")
    stated, asked = least_squares_problem(problem), list[Stage]()

    def judge(stage: Stage) -> Judgement:
        if not asked or asked[-1].fit is not stage.fit:
            asked.append(stage)
        return verdicts[min(len(asked), len(verdicts)) - 1]

    return grow(Objectives(stated, HERE), [make_trial(stated, rows=True)], method, Guide(judge=judge)), asked


def test_growth_is_not_deceived_by_its_tests() -> None:
    """An estimate above the tolerance sends it on: from the first recipe that would do to the best one, then to richer tests."""
    method, wrong = LeastSquares(asked=1e-4), Judgement(1e-2, 1e-2, True)
    best, asked = judged_growth(method, wrong, wrong, Judgement(1e-6, 1e-6, True))
    assert asked[0].recipe == Recipe(KINDS[0], SCALES[0])
    first, second = (stage.objective.test_space for stage in asked[1:])
    assert first is not None
    assert second is not None
    assert second.space.degree >= first.space.degree + 2
    assert best.fit is asked[2].fit
    assert best.converged


def test_a_stage_that_fits_its_own_points_alone_is_not_taken() -> None:
    """Stages are compared on points that none was fitted to, and what was found out there is in the journal."""
    problem, _, _ = made(interval(cells=40), 5, strong="-div(grad(u)) + u**3 - 1000*sin(40*x**2)")
    stated, journal, stages = least_squares_problem(problem), Journal(), list[tuple[Stage, Stage]]()

    def report(stage: Stage, best: Stage) -> bool:
        stages.append((stage, best))
        return len(stages) < 2

    def unseen(stage: Stage) -> float:
        return stage.fit.residual if stage.fit is stages[0][0].fit else math.inf

    trials = [make_trial(stated, rows=True)]
    best = grow(Objectives(stated, HERE), trials, LeastSquares(asked=1e-8), Guide(report, unseen=unseen), journal)
    (first, _), (second, ahead) = stages[:2]
    assert second.fit.residual < first.fit.residual
    assert ahead.fit is first.fit
    assert best.fit is first.fit
    noted = [note["better"] for note in journal.notes if "better" in note]
    assert noted
    assert not any(noted)


def test_a_journal_tells_the_verdicts_of_the_run_before() -> None:
    """Read again, it makes the same stages and the same verdicts without a fit or an estimate."""
    problem, _, _ = made(interval(cells=40), 5, energy="0.5*inner(grad(u), grad(u))*dx - 100*sin(10*x)*u*dx")
    stated, method = least_squares_problem(problem), LeastSquares(width=20, asked=1e-30)
    trials, found = [make_trial(stated, rows=True)], list[Stage]()

    def judge(stage: Stage) -> Judgement:
        found.append(stage)
        error = (1.0, 0.1, 0.2)[min(len(found), 3) - 1]
        return Judgement(error, error, False)

    def solved(journal: Journal) -> tuple[Stage, list[float]]:
        told: list[float] = []
        best = grow(
            Objectives(stated, HERE), trials, method, Guide(judge=judge, told=lambda stage, v: told.append(v.relative)), journal
        )
        return best, told

    journal = Journal()
    first, verdicts = solved(journal)
    asked = len(found)
    again, same = solved(Journal.from_arrays(*journal.arrays()))
    assert verdicts == same
    assert verdicts[:2] == [1.0, 0.1]
    assert len(found) - asked < asked  # those after the last stage alone
    assert torch.equal(first.fit.theta, again.fit.theta)


def test_features_that_escape_the_tests_get_richer_ones() -> None:
    """As many features as before, until richer tests help no more; the best stage is that with the smallest estimate."""
    method = LeastSquares(width=20, asked=1e-30)
    best, asked = judged_growth(method, *(Judgement(error, error, False) for error in (1.0, 0.1, 0.2)))
    degrees = [stage.objective.test_space.space.degree for stage in asked if stage.objective.test_space]
    assert degrees == [degrees[0], degrees[0] + 2, degrees[0] + 4]
    assert [stage.trial.network.layers[1] for stage in asked] == 3 * [20]
    assert best.fit is asked[1].fit
    assert not best.converged
    assert len(judged_growth(method, Judgement(1.0, 1.0, True))[1]) == 1


@pytest.mark.slow
def test_features_are_as_steep_as_the_mesh_is_fine() -> None:
    """A strip of 40 × 2 square cells: slopes of one size for its box would make features that tests do not see across it."""
    strip, g = rectangle(upper=(20.0, 1.0), cells=(40, 2), cell="quadrilateral"), "sin(2*x + 0.3*sin(x))*sin(pi*y)*exp(y)"
    sections: dict[str, Any] = {"weak": "inner(grad(u), grad(v))*dx + div(grad(g))*v*dx", "expressions": {"g": g}}
    sections |= {"solver": {"features": 170}}
    problem, _, _ = made(strip, 4, boundary=[{"on": "all", "value": "g"}], reference={"exact": {"u": "g"}}, **sections)
    solution = solve(problem, method="least-squares", threads=1)
    assert solution.errors["u"]["relative_l2"] <= 1e-3  # before: 1e4
    assert not solution.metrics["checks"]


def test_few_features_that_will_do_are_the_solution() -> None:
    """One recipe is tried, once; where the tolerance is sharper the search goes on."""
    form = "inner(grad(u), grad(v))*dx - sin(pi*x)*sin(pi*y)*v*dx"
    problem, _, _ = made(rectangle(cells=4, cell="quadrilateral"), 5, weak=form)
    loose, sharp = (growth(problem, LeastSquares(asked=tolerance)) for tolerance in (1e-4, 1e-9))
    assert loose[0].converged
    assert loose[0].trial.network.layers[1] == PILOT
    assert loose[0].relative <= 1e-4
    assert sharp[0].relative <= 1e-9
    assert loose[0].recipe == Recipe(KINDS[0], SCALES[0])


@pytest.mark.parametrize("sections", [{"weak": "inner(grad(u), grad(v))*dx"}, {"strong": "-div(grad(u))"}])
def test_growth_ends_where_the_lift_is_exact(sections: dict[str, Any]) -> None:
    problem, _, _ = made(rectangle(cells=3), 5, boundary=[{"on": "all", "value": "1 + 3*x - 2*y + x*y"}], **sections)
    best, seen = growth(problem, LeastSquares())
    assert len(seen) == 1
    assert best.converged
    assert best.trial.network.layers[1] == LeastSquares().widths[0]


def test_growth_ends_when_told() -> None:
    problem, _, _ = made(interval(cells=80), 5, strong="-div(grad(u)) - sin(60*x**2)")
    _, seen = growth(problem, LeastSquares(asked=1e-14), enough=2)
    assert len(seen) == 2
    assert seen[0].trial.network.layers[1] < seen[1].trial.network.layers[1]
    assert seen[1].relative < seen[0].relative
    best, seen = growth(problem, LeastSquares(width=70))
    assert [stage.trial.network.layers[1] for stage in seen] == [70]
    assert best is seen[0]


def test_where_it_does_not_apply() -> None:
    few: dict[str, Any] = {"quadrature": {"points": 512}, "network": {"layers": [8]}}
    energy = "(inner(grad(u), grad(u)) - u)*dx"
    cube = make_problem(Hypercube((0.0,) * 3, (1.0,) * 3), unknowns={"u": "scalar"}, energy=energy, **few)
    assert candidates(cube, cube.settings) == ("least-squares", "lbfgs")
    assert prepare(cube).plan.method.name == "lbfgs"  # u is free on the boundary
    with pytest.raises(InputError, match="needs a mesh; state the problem in strong form"):
        growth(cube, LeastSquares())
    coarse, _, _ = made(rectangle(cells=1), 5, strong="-div(grad(u)) - 1", quadrature={"degree": 2})
    with pytest.raises(InputError, match="quadrature points cannot determine"):
        growth(coarse, LeastSquares(width=100))


def test_in_how_many_dimensions_it_is_the_default() -> None:
    for d, first in ((4, "least-squares"), (5, "least-squares"), (6, "lbfgs")):
        cube = make_problem(Hypercube((0.0,) * d, (1.0,) * d), unknowns={"u": "scalar"}, strong="-div(grad(u)) - 1")
        assert candidates(cube, cube.settings)[0] == first


def test_a_function_with_a_pole_behind_the_boundary_is_found() -> None:
    """The solution is log|x − s| for a source s of the features: one linear combination, to rounding."""
    domain = rectangle(cells=3)
    network = Recipe("sin", 2.0, 0.5).features(make_trial(made(domain, 4, strong="-div(grad(u))")[0]).network, 40, domain)
    (a, b), exact = network.sources[3], "0.5*ln((x - {})**2 + (y - {})**2)"
    problem, _, _ = made(
        domain, 4, strong="-div(grad(u))", boundary=[{"on": "all", "value": exact.format(a, b), "impose": "penalty"}]
    )
    objective = make_objective(problem, make_trial(problem), resolution=Resolution(facets=20))
    found = fit(objective, network, Recipe("sin", 2.0, 0.5).draw(network, domain, torch.Generator().manual_seed(0)))
    assert found.residual <= 1e-11 * found.initial
    assert last_layer(network, found.theta)[network.layers[1] - len(network.sources) + 3] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("form", ["weak", pytest.param("strong", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_coefficients_that_oscillate_inside_cells_are_integrated_on_their_parts(form: str) -> None:
    """Eight periods of a in 2 × 2 cells, halved three times: without, errors are above 1e-2. The estimate sees the parts, too."""
    forms = {"weak": "a*inner(grad(u), grad(v))*dx - f*v*dx", "strong": "-div(a*grad(u)) - f"}
    solution = solve(
        make_problem(
            rectangle(cells=2, cell="quadrilateral"),
            unknowns={"u": "scalar"},
            expressions={"a": "1 + 0.5*sin(16*pi*x)", "u_exact": "sin(pi*x)*sin(pi*y)", "f": "-div(a*grad(u_exact))"},
            boundary=[{"on": "all", "value": 0}],
            reference={"exact": {"u": "u_exact"}},
            quadrature={"degree": 7, "refine": 3},
            solver={"method": "least-squares", "features": 40},
            **{form: forms[form]},
        ),
        threads=1,
    )
    assert solution.errors["u"]["relative_l2"] <= 1e-6
    assert 0.5 <= solution.error_estimate["effectivity"] <= 2.0
    assert not solution.metrics["checks"]


@pytest.mark.slow
def test_a_clamped_plate_is_one_equation_of_fourth_order() -> None:
    """Δ²u = f with u = ∂u/∂n = 0, whose equation takes features of the box alone."""
    problem = make_problem(
        {"shape": "rectangle", "cells": [3, 3]},
        unknowns={"u": "scalar"},
        expressions={"exact": "(x*(1 - x)*y*(1 - y))**2*exp(x)", "f": "div(grad(div(grad(exact))))"},
        strong="div(grad(div(grad(u)))) - f",
        boundary=[{"on": "all", "value": 0}, {"on": "all", "residual": "dot(grad(u), n)"}],
        reference={"exact": {"u": "exact"}},
        solver={"method": "least-squares", "features": 120},
    )
    found = solve(problem, threads=1)
    assert found.errors["u"]["relative_l2"] <= 1e-5
    assert found.error_estimate["relative_energy"] <= 1e-3


@pytest.mark.slow
def test_an_energy_without_cells_is_solved_by_its_equations() -> None:
    """L-BFGS on 2¹⁶ random points takes minutes to the error of 1e-4 that these points leave; equations hold at every point."""
    problem = make_problem(
        Hypercube((0.0,) * 3, (1.0,) * 3),
        unknowns={"u": "scalar"},
        expressions={"exact": "sin(x[0] + 2*x[1])*exp(x[2] - x[1]*x[0])", "k": "1 + x[0]", "f": "-div(k*grad(exact))"},
        energy="(0.5*k*inner(grad(u), grad(u)) - f*u)*dx",
        boundary=[{"on": "all", "value": "exact"}],
        reference={"exact": {"u": "exact"}},
        quadrature={"points": 1024},
        solver={"features": 120},
    )
    found = solve(problem, threads=1)
    assert found.metrics["method"] == "least-squares"
    assert found.errors["u"]["relative_l2"] <= 1e-5
    assert found.error_estimate["effectivity"] == pytest.approx(1.0, abs=0.5)


def test_a_residual_that_is_nowhere_finite_is_one_line() -> None:
    """U' = 3|u|^(2/3) has no derivative at u = 0, where Newton's method starts."""
    problem = make_problem(
        interval(cells=4),
        unknowns={"u": "scalar"},
        strong="grad(u)[0] - 3*abs(u)**(2/3)",
        boundary=[{"on": "left", "value": 0}],
        solver={"method": "least-squares", "features": 30},
    )
    with pytest.raises(InputError, match="no features leave a finite residual"):
        solve(problem, threads=1)
