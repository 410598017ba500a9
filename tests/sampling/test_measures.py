"""Test the noise of domain, boundary and every tag, as strata of the whole, against the gradients of all single points.

Seeds are fixed. A variance estimated from k pairs of gradients has a relative standard deviation of √(2/k) at most.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from vpinn.domain import CellPoints, Mesh, rectangle
from vpinn.noise.gradients import point_gradients
from vpinn.objective import Objective, make_objective
from vpinn.optimization.batches import drawn, pilots
from vpinn.optimization.batching import samplers_of
from vpinn.optimization.split import noise_by_tag, redrawn, with_noise
from vpinn.problem import Problem, make_problem
from vpinn.sampling import NOTHING, Choice, Quantiles, Stratified, Uniform, make_sampler, shared
from vpinn.sampling.allocation import split
from vpinn.trial import make_trial

SIZE = 64
ENERGY = {"energy": "0.5*inner(grad(u), grad(u))*dx - sin(3*x)*u*dx - 30*sin(9*y)*u*ds('right')"}
WEAK = {"weak": "inner(grad(u), grad(v))*dx - sin(3*x)*v*dx - 9*sin(9*y)*v*ds('right')", "test_space": {"degree": 2}}


def made(domain: Mesh | None = None, batch: dict[str, Any] | None = None, **form: Any) -> tuple[Problem, Objective, torch.Tensor]:
    problem = make_problem(
        rectangle(cells=[6, 16], cell="quadrilateral") if domain is None else domain,
        unknowns={"u": "scalar"},
        boundary=[{"on": "left", "value": 0}],
        network={"layers": [6]},
        quadrature={"degree": 3},
        batch={"size": SIZE, "allocation": "neyman", "strata_count": 6} if batch is None else batch,
        **(form or ENERGY),
    )
    trial = make_trial(problem)
    theta = trial.network.initial(torch.Generator().manual_seed(3))
    return problem, make_objective(problem, trial), theta


def gradients(objective: Objective, theta: torch.Tensor) -> list[np.ndarray[Any, Any]]:
    """Return for every measure the contributions of its points to ∇J [N, P]."""
    rows: list[list[np.ndarray[Any, Any]]] = [[] for _ in objective.measures]
    for k, _, part in point_gradients(objective, theta):
        rows[k].append(part.numpy())
    return [np.concatenate(part) for part in rows]


def test_neyman_between_measures() -> None:
    """Points ∝ W_mσ_m with a tenth in proportion to the sizes; bounds hold, the sum stays, and without noise the sizes do."""
    size, least, most = np.array([90, 10]), np.array([8, 4]), np.array([400, 60])
    assert list(split(np.array([3.0, 3.0]), size, least, most)) == [54, 46]
    assert list(split(np.array([1.0, 0.0]), size, least, most)) == [96, 4]
    assert list(split(np.array([0.0, 1.0]), size, least, most)) == [40, 60]
    assert list(split(np.array([0.0, 0.0]), size, least, most)) == [90, 10]
    assert list(split(np.array([1.0, np.nan]), size, least, most)) == [90, 10]
    three = split(np.array([0.0, 1.0, 9.0]), np.array([60, 20, 20]), np.array([2, 2, 2]), np.array([100, 100, 30]))
    assert (three.sum(), three[2]) == (100, 30)


def test_noise_of_the_measures_is_that_of_their_points() -> None:
    """100 pairs against Σ W_k²σ_k²/n_k of all points' gradients, the stratified draws of a measure under its own allocation."""
    problem, objective, theta = made()
    samplers, generator = samplers_of(problem.settings, objective, SIZE, 1), np.random.default_rng(1)
    learned = pilots(objective, samplers, generator, theta, ())
    exact = [
        sum(sampler.variance(column, state) for column in rows.T)
        for rows, sampler, state in zip(gradients(objective, theta), samplers, learned, strict=True)
    ]
    found = redrawn(objective, samplers, generator, theta, learned, [(0, slice(None)), (1, slice(None))], 200)
    assert found.mean(0) == pytest.approx(exact, rel=0.3)
    assert found.mean(0) == pytest.approx(exact, abs=4 * float((found.std(0) / np.sqrt(len(found)) / exact).max()) * max(exact))


@pytest.mark.parametrize("form", [ENERGY, WEAK], ids=["energy", "weak"])
def test_steps_split_between_domain_and_boundary(form: dict[str, Any]) -> None:
    """Where the boundary is noisy it gets more of as many points, the mean stays ∇J, and the variance of a step falls."""
    problem, objective, theta = made(**form)
    count = 2 if objective.test_space is not None else 1
    samplers, generator = samplers_of(problem.settings, objective, count * SIZE, count), np.random.default_rng(2)
    learned: Any = ()
    for _ in range(4):
        learned = pilots(objective, samplers, generator, theta, learned)
    before, after = [s.size for s in samplers], [s.size for s in shared(samplers, learned)]
    assert sum(before) == sum(after)
    assert after[1] > 1.3 * before[1]
    alone = [{name: value for name, value in state.items() if name != "noise"} for state in learned]
    full, spread = objective.gradient(theta)[1].numpy(), []
    for states in (alone, learned):
        found = np.array([drawn(objective, samplers, count, generator, states)(theta)[1].numpy() for _ in range(50)])
        error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
        if objective.estimator != "control-variate":  # whose mean differs by a quadrature error
            assert (np.abs(found.mean(axis=0) - full) <= 4.5 * error).all()
        spread.append(((found - found.mean(axis=0)) ** 2).sum(axis=1).mean())
    assert spread[1] < 0.9 * spread[0]


def test_other_allocations_stay_as_they_are() -> None:
    """Nothing is drawn and nothing learned of measures but under Neyman's rule, nor where there is one measure to move."""
    for allocation in ("proportional", "equal-variance"):
        problem, objective, theta = made(batch={"size": SIZE, "allocation": allocation})
        samplers, generator = samplers_of(problem.settings, objective, SIZE, 1), np.random.default_rng(2)
        before = generator.bit_generator.state
        states = with_noise(objective, samplers, generator, theta, [NOTHING] * 2)
        assert generator.bit_generator.state == before
        assert states == (NOTHING, NOTHING)
        assert shared(samplers, states) == samplers
    problem, objective, theta = made(rectangle(cells=2, cell="quadrilateral"), {"size": 16, "allocation": "neyman"})
    domain, boundary = samplers_of(problem.settings, objective, 16, 1)
    assert isinstance(boundary, Uniform)  # all of its points
    assert shared((domain, boundary), [{"noise": np.array(1.0)}, NOTHING]) == (domain, boundary)


def test_a_measure_that_would_get_all_its_points_is_seen_as_a_whole() -> None:
    points = CellPoints(rectangle(cells=4, cell="quadrilateral"), 3)
    strata = [make_sampler("stratified", points, size, Choice(allocation="neyman", count=4)) for size in (48, 24)]
    found = shared(strata, [{"noise": np.array(1e8)}, {"noise": np.array(1.0)}])
    assert [s.size for s in found] == [64, 8]
    assert isinstance(found[0], Uniform)
    index, scale = found[0].draw(np.random.default_rng(0))
    assert sorted(index) == list(range(64))
    assert (scale == 1.0).all()
    quantiles = [make_sampler("stratified", points, 24, Choice(allocation="neyman", strata="gradient", count=4))] * 2
    found = shared(quantiles, [{"noise": np.array(9.0)}, {"noise": np.array(1.0)}])
    assert isinstance(found[0], Quantiles)
    assert [s.size for s in found] == [35, 13]


def tagged(rare: int) -> Mesh:
    mesh = rectangle(cells=[16, 16], cell="quadrilateral")
    return replace(mesh, cell_tags={"rare": np.arange(rare), "rest": np.arange(rare, 256)})


def test_a_rare_tag_gets_two_points() -> None:
    """One cell of 256: a share of 0.1 of 24 points, one by largest remainders; a tag of a single point gets that one."""
    for allocation in ("proportional", "neyman", "equal-variance"):
        sampler = make_sampler("stratified", CellPoints(tagged(1), 3), 24, Choice(allocation=allocation, strata="tags"))
        assert isinstance(sampler, Stratified)
        assert list(sampler.counts()) == [2, 22]
    sampler = make_sampler("stratified", CellPoints(tagged(1), 1), 24, Choice(strata="tags"))
    assert isinstance(sampler, Stratified)
    assert list(sampler.counts()) == [1, 23]


def test_a_boundary_of_many_tags_gets_two_points_of_each() -> None:
    """Eleven tags of a boundary get 22 points, where the share of the sizes is 16."""
    mesh = rectangle(cells=[32, 32], cell="quadrilateral")
    facets = mesh.facets(("right",))
    tags = {**mesh.facet_tags, **{f"part {k}": part for k, part in enumerate(np.array_split(facets, 11))}}
    tags = {"left": tags.pop("left"), **{name: rows for name, rows in tags.items() if name.startswith("part")}}
    many = replace(mesh, facet_tags=tags, cell_tags={"rare": np.arange(1), "rest": np.arange(1, 1024)})
    text = "0.5*inner(grad(u), grad(u))*dx - " + " - ".join(f"u*ds('part {k}')" for k in range(11))
    problem, objective, _ = made(many, {"size": SIZE, "strata": "tags"}, energy=text)
    domain, boundary = samplers_of(problem.settings, objective, SIZE, 1)
    assert isinstance(domain, Stratified)
    assert isinstance(boundary, Stratified)
    assert list(domain.counts()) == [2, 62]
    assert list(boundary.counts()) == [2] * 11
    few, objective, _ = made(many, {"size": SIZE}, energy=text)
    assert [s.size for s in samplers_of(few.settings, objective, SIZE, 1)] == [64, 16]


@pytest.mark.parametrize("form", ["energy", "weak"])
def test_noise_by_tag(form: str) -> None:
    """W_k, n_k and σ_k of every tag against the gradients of all points; for products of two batches, to the order 1/b."""
    text = "{}inner(grad(u), grad({}))*dx('rest') + {}2*inner(grad(u), grad({}))*dx('rare') - sin(3*x)*{}*dx"
    written = text.format(*("0.5*", "u", "0.5*", "u", "u") if form == "energy" else ("", "v", "", "v", "v"))
    more = {"test_space": {"degree": 1}} if form == "weak" else {}
    batch = {"size": 192, "strata": "tags", "estimator": "two-batch" if form == "weak" else "auto"}
    problem, objective, theta = made(tagged(20), batch, **{form: written}, **more)
    count = 2 if form == "weak" else 1
    samplers = samplers_of(problem.settings, objective, 192, count)
    assert isinstance(samplers[0], Stratified)
    found = noise_by_tag(objective, samplers, np.random.default_rng(5), theta, ())
    points = (16, 176) if form == "weak" else (15, 177)
    assert [(row["measure"], row["tag"], row["points"]) for row in found] == [
        ("domain", "rare", points[0]),
        ("domain", "rest", points[1]),
    ]
    assert [row["share"] for row in found] == pytest.approx([20 / 256, 236 / 256])
    rows, cell = gradients(objective, theta)[0], objective.batched[0].points.per_entity
    for row, part in zip(found, (rows[: 20 * cell], rows[20 * cell :]), strict=True):
        exact = np.sqrt(((len(part) * part) - part.sum(axis=0)).var(axis=0).sum()) / row["share"]
        assert row["deviation"] == pytest.approx(exact, rel=0.15 if form == "energy" else 0.35)


def test_no_noise_without_strata_by_tag_nor_where_nothing_moves() -> None:
    problem, objective, theta = made()
    samplers = samplers_of(problem.settings, objective, SIZE, 1)
    assert noise_by_tag(objective, samplers, np.random.default_rng(0), theta, ()) == []
    batch = {"size": 192, "strata": "tags"}
    problem, objective, theta = made(tagged(20), batch, energy="0.5*inner(grad(u), grad(u))*dx('rest') + (x - x)*u*dx('rare')")
    rare, rest = noise_by_tag(objective, samplers_of(problem.settings, objective, 192, 1), np.random.default_rng(0), theta, ())
    assert rare["deviation"] == 0.0 < rest["deviation"]
