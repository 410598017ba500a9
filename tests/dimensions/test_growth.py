"""Test growth in many dimensions: which subsets are found, accuracy, points added, honesty, run folders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vpinn
from vpinn.dimensions import Wanted, best_of, grow, make_equations, shares
from vpinn.dimensions.candidates import Move, chosen
from vpinn.dimensions.subsets import ALL, beyond_pairs, count_of_terms, terms_of
from vpinn.errors import InputError
from vpinn.problem import make_problem
from vpinn.solving.few_coordinates import in_few_coordinates
from vpinn.trial import few_trial

GUIDE = (Path(__file__).parents[2] / "problems" / "README.md").read_text().split("## Many dimensions", 1)[1].split("\n## ", 1)[0]
(EXAMPLE,) = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)


def poisson(u: str, d: int = 6, **more: Any) -> dict[str, Any]:
    return {
        "domain": {"shape": "hypercube", "dimension": d},
        "unknowns": {"u": "scalar"},
        "expressions": {"u_exact": u, "f": "-div(grad(u_exact))"},
        **({} if "energy" in more else {"strong": "-div(grad(u)) - f"}),
        "boundary": [{"on": "all", "value": "u_exact"}],
        "reference": {"exact": {"u": "u_exact"}},
        **more,
    }


def test_levels_have_all_functions_of_their_degrees() -> None:
    levels = {(0,): 2, (1, 3): 4, ALL: 3}
    terms = terms_of(levels)
    assert len(terms) == len(set(terms)) == count_of_terms(levels) == 1 + 2 + 6 + 2
    assert ((1, 3), (3, 1)) in terms
    assert beyond_pairs({(0, 1): 2, (1, 2): 2, (0, 2): 2, (3, 4): 2}, 0, 5) == [(0, 1, 2)]
    assert len(beyond_pairs({}, 100, 5)) == 10


def test_chance_alone_moves_nothing() -> None:
    """Of moves whose evidence follows the χ² distribution, hardly any is made; those far above it all are."""
    noise = np.random.default_rng(5).chisquare(1, 2000)
    moves = [Move((k,), 3, float(e), 1, False) for k, e in enumerate(noise)]
    assert len(chosen(moves)) <= 1
    real = [Move((5000 + k,), 3, 40.0, 1, False) for k in range(7)]
    assert {move.subset for move in real} <= {move.subset for move in chosen([*moves, *real])}


def test_what_is_weak_one_by_one_is_found_together() -> None:
    evidence = np.random.default_rng(6).chisquare(1, 400) + 1.5
    moves = [Move((k,), 5, float(e), 1, True) for k, e in enumerate(evidence)]
    assert len(chosen(moves)) == 400


def test_the_residual_chooses_the_pairs() -> None:
    problem = make_problem(**poisson("sin(2*x[0]) + x[1]*exp(x[4]) + cos(x[2] + x[5])"))
    trial = few_trial(problem, (), penalised=True)
    seen = list[int]()
    stages, ended = grow(
        make_equations(problem, trial, 0), trial.network, Wanted(1e-4, 1e-4), lambda stage: seen.append(stage.number) is None
    )
    best = best_of(stages)
    assert ended == "tolerance"
    assert seen == list(range(1, len(stages) + 1))
    assert {s for s in best.levels if len(s) == 2} >= {(1, 4), (2, 5)}
    needless = sum(one.share for one in shares(best) if len(one.subset) > 1 and one.subset not in {(1, 4), (2, 5)})
    assert needless < 1e-9
    assert shares(best)[0].share < 0.9


def test_an_unseen_sum_is_solved_by_default() -> None:
    problem = make_problem(**poisson("sin(2*x[0]) + x[1]*exp(x[4]) + cos(x[2] + x[5])", solver={"tolerance": 1e-5}))
    solution = vpinn.solve(problem, threads=1)
    metrics = solution.metrics
    assert solution.errors["u"]["relative_l2"] < 1e-5
    assert metrics["checks"] == []
    assert 0.3 < solution.error_estimate["effectivity"] < 3.0
    low, high = metrics["residual"]["interval"]
    assert low <= metrics["residual"]["relative"] <= high <= 1e-5
    assert {tuple(one["coordinates"]) for one in metrics["subsets"]} >= {(0,), (1, 4), (2, 5)}
    assert sum(one["share"] for one in metrics["subset_counts"]) == pytest.approx(1.0)


def test_an_energy_with_zero_values_is_met_exactly_where_that_leaves_less() -> None:
    u = "*".join(f"sin(pi*x[{i}])" for i in range(6))
    more = {"energy": "0.5*inner(grad(u), grad(u))*dx - f*u*dx", "boundary": [{"on": "all", "value": 0}]}
    solution = vpinn.solve(make_problem(**poisson(u, **more, solver={"tolerance": 1e-2})), threads=1)
    assert solution.metrics["imposed"][0]["how"] == "exact"
    assert solution.errors["u"]["relative_l2"] < 1e-2


@pytest.mark.slow
def test_a_nonlinear_equation_takes_newton_steps() -> None:
    more = {"strong": "-div(grad(u)) + u**3 - f", "solver": {"tolerance": 1e-5}}
    stated = poisson("sin(x[0] + x[1]) + 0.5*x[3]**2", **more)
    stated["expressions"]["f"] = "-div(grad(u_exact)) + u_exact**3"
    solution = vpinn.solve(make_problem(**stated), threads=1)
    assert solution.errors["u"]["relative_l2"] < 1e-5


@pytest.mark.slow
def test_a_solution_that_no_subset_catches_fails_a_check() -> None:
    u = "sin(6*x[0]*x[1]*x[2]*x[3] + 8*(x[0]*x[5] + x[1]*x[4] + x[2]*x[3]))"
    solution = vpinn.solve(make_problem(**poisson(u, solver={"features": 80})), threads=1)
    assert any(check.startswith("functions of few coordinates: ") for check in solution.metrics["checks"])
    assert solution.errors["u"]["relative_l2"] > 0.01


@pytest.mark.slow
def test_the_example_of_the_guide(tmp_path: Path) -> None:
    """A ball, a list of constants, a run folder that is loaded again."""
    (tmp_path / "a.toml").write_text(EXAMPLE)
    problem = vpinn.read_problem(tmp_path / "a.toml", ["solver.tolerance=1e-4", 'output.formats=["csv"]'])
    solution = vpinn.solve(problem, tmp_path / "run", threads=1)
    assert solution.errors["u"]["relative_l2"] < 1e-4
    assert solution.metrics["imposed"][0]["how"] == "exact"
    again = vpinn.load(tmp_path / "run")
    x = np.random.default_rng(0).random((5, 8)) / 4
    assert np.array_equal(again.evaluate(x)["u"], solution.evaluate(x)["u"])


def test_in_all_of_space_where_a_residual_does_not_tell_the_error_networks_are_trained() -> None:
    problem = make_problem(
        {"shape": "space", "dimension": 6}, unknowns={"u": "scalar"}, strong="u - div(grad(u)) - x[0]", network={"layers": [4]}
    )
    assert not in_few_coordinates(problem, problem.settings)
    bounded = make_problem(**poisson("x[0]"))
    assert in_few_coordinates(bounded, bounded.settings)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits() -> None:
    problem = make_problem(**poisson("x[0]*x[1] + sin(x[2])", solver={"tolerance": 1e-3}))
    one, other = (vpinn.solve(problem, threads=1) for _ in range(2))
    assert one.theta.equal(other.theta)


def test_a_free_boundary_of_an_energy_is_told_where_least_squares_is_asked_for() -> None:
    more = {"energy": "0.5*inner(grad(u), grad(u))*dx - f*u*dx", "boundary": [{"on": "left", "value": 0}]}
    with pytest.raises(InputError, match="free on a part of the boundary"):
        vpinn.solve(make_problem(**poisson("x[0]", **more, solver={"method": "least-squares"})), threads=1)
