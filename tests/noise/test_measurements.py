"""Test the measurements of a noise report: errors of chains, limits, times, and quantities of weak forms. Seeds are fixed."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from objective.cases import make

from vpinn.noise import biases, costs
from vpinn.noise.draws import drawer, samplers_for
from vpinn.noise.falls import Bend, Falls, decreases, vertex
from vpinn.noise.limits import hard_points
from vpinn.noise.minimum import Minimum, remembered, walked_mean
from vpinn.noise.pilot import polish
from vpinn.noise.population import Population, kept, population
from vpinn.noise.questions import settle
from vpinn.noise.walks import Walk
from vpinn.optimization import Sgd
from vpinn.optimization.spectrum import difference_product, leading

from .confidence import agrees


@pytest.fixture(scope="module")
def people() -> Population:
    """Return the gradients of all points of a weak form, in all directions."""
    _, objective, theta = make("weak: convection and reaction")
    generator = np.random.default_rng(0)
    return kept(population(dataclasses.replace(objective, estimator="two-batch"), theta, generator, len(theta)), generator)


@pytest.mark.parametrize(("relaxation", "steps"), [(0.8, 400), (0.1, 400), (0.1, 100)])
def test_errors_of_a_walks_means(relaxation: float, steps: int) -> None:
    """Of 600 autoregressive walks the mean square is off by three errors in one of forty at most, and by one in a tenth or more.

    Squares are skew, and the shortest of these walks is worth ten independent ones.
    """
    generator, walks = np.random.default_rng(11), 600
    x, path = generator.standard_normal(walks) / math.sqrt(relaxation * (2 - relaxation)), np.empty((steps, walks))
    for k in range(steps):
        x = (1 - relaxation) * x + generator.standard_normal(walks)
        path[k] = x
    mean, error = walked_mean(path**2, remembered(relaxation))
    off = np.abs(mean - 1 / (relaxation * (2 - relaxation))) / error
    assert (off > 3).mean() <= 0.025
    assert 0.1 <= (off > 1).mean() <= 0.45
    assert remembered(1.0) == 1.0


def test_a_walk_in_all_directions_is_that_of_the_method() -> None:
    """With as many directions as weights, steps are those of the method on the same batches."""
    _, objective, theta = make("energy: poisson")
    looked = population(objective, theta, np.random.default_rng(0), np.eye(len(theta)))
    minimum, rate = Minimum(looked, 1e12 * np.ones(len(theta))), 1e-3
    walk = Walk(minimum, Sgd(0.9), rate, lambda step: 8, 10.0, np.random.default_rng(4), 3)
    walk.few.grow()
    path = walk.few.values[:, : len(theta)]
    generator, samplers = np.random.default_rng(4), samplers_for(objective, "uniform", 8)
    place, velocity = theta, torch.zeros_like(theta)
    for k in range(3):
        batch = [(m, m.batch(*s.draw(generator))) for m, s in zip(objective.measures, samplers, strict=True)]
        velocity = 0.9 * velocity + objective.sampled(place, batch)[1]
        place = place - rate * velocity
        assert path[k] == pytest.approx((place - theta).numpy(), abs=1e-11)


@pytest.mark.slow
def test_walks_on_the_parabola_tell_what_the_network_has_in_common_with_it(people: Population) -> None:
    """Mean squares by few steps with them agree with those by many steps without, and the error is less for as many steps."""
    objective, theta = people.objective, polish(people.objective, people.theta, 60)
    minimum = Minimum.at(objective, theta, np.random.default_rng(1))
    rate = 0.2 * minimum.stable(16, np.random.default_rng(2))
    memory = remembered(rate * float(minimum.curvatures[-1]))
    alone = dataclasses.replace(minimum, kept=None)
    long = ((minimum, 400), (alone, 4000))
    walks = [Walk(m, Sgd(0.0), rate, lambda step: 16, memory, np.random.default_rng(3), steps) for m, steps in long]
    for walk in walks:
        for one in walk.samples:
            one.grow()
    (value, error), (plain, wrong) = (walk.mean(lambda x: (x**2).sum(-1)) for walk in walks)
    assert abs(value - plain) <= 4.0 * math.hypot(error, wrong)
    assert error * math.sqrt(400) < 0.5 * wrong * math.sqrt(4000)
    assert walks[0].mean(lambda x: (x**2).sum(-1), 0.5)[0] == pytest.approx(float(value), rel=0.5)


def test_the_noise_at_a_minimum_is_that_of_its_batches() -> None:
    _, objective, theta = make("energy: poisson")
    theta = polish(objective, theta, 60)
    minimum = Minimum.at(objective, theta, np.random.default_rng(1))
    everything = kept(minimum.people, np.random.default_rng(2)).kept
    assert everything is not None
    made = samplers_for(objective, "uniform", 10)
    generator = np.random.default_rng(3)
    drawn = everything.repeat(lambda: [sampler.draw(generator) for sampler in made], 6000).gradients
    along = (drawn - minimum.people.gradient) @ minimum.vectors
    for k, predicted in enumerate(minimum.noise(10)):
        agrees(float(predicted), along[:, k] ** 2, 0.15)
    assert (np.diff(minimum.curvatures) <= 0).all()


def test_hard_points_in_batches() -> None:
    """One hard point in a hundred: batches with one of it reach the bound, those with more are none of its business."""
    generator, n, batch = np.random.default_rng(5), 1000, 10
    single = np.ones(n)
    single[::100] = 100.0
    drawn = generator.integers(n, size=(400, batch))
    mean, twice = single[drawn].mean(1), (drawn % 100 == 0).sum(1) > 1
    found = hard_points([single / n], float(single.mean()), batch, mean, list(drawn), products=False)
    assert found.measured == pytest.approx(1.0)
    assert f"largest curvature of {400 - twice.sum()} batches" in found.quantity
    assert f"{mean[twice].max() / 10.9:.2f} among the other {twice.sum()}" in found.quantity
    assert not found.verdict.startswith("fails")
    for factor, verdict in ((1.3, "fails by 30 %"), (0.7, "holds")):
        row = hard_points([single / n], float(single.mean()), batch, factor * mean, list(drawn), products=False)
        assert row.verdict.startswith(verdict)
    edge = np.array([30.0, 50.0])  # of a boundary, whose points are drawn by themselves
    more = hard_points(
        [single / n, edge / 2], float(single.mean() + edge.mean()), batch, mean + 45.0, list(drawn), products=False
    )
    assert more.verdict == "holds"
    assert 0.5 < more.measured < 1.0
    row = hard_points([single / n], float(single.mean()), batch, 1.3 * mean, list(drawn), products=True)
    assert row.verdict.startswith("outside its assumption")


@pytest.mark.parametrize("scale", [20.0, 300.0])
def test_the_batch_of_least_time(scale: float) -> None:
    """Progress 1/(1 + S/b) with a spread of 20 % and seconds c₀ + c₁b: √(S c₀/c₁) within its error, other batches are refuted."""
    generator, step, point = np.random.default_rng(6), 1e-3, 1e-5
    best = math.sqrt(scale * step / point)
    at = np.round(best * 2.0 ** np.arange(-3, 4))
    times, progress = step + point * at, 1 / (1 + scale / at)
    gains = progress[:, None] * (1 + 0.2 * generator.standard_normal((len(at), 400)))
    line = (1 + scale / at) * times

    def found(predicted: float) -> list[str]:
        rows, curve = costs.fastest(at, times, gains, predicted, line, generator)
        assert curve.measured == pytest.approx(line, rel=0.05)
        assert rows[0].measured == pytest.approx(best, abs=4 * rows[0].error)
        assert rows[0].error < 0.2 * best
        assert rows[2].measured == pytest.approx(line[-1] / line[0], rel=0.05)
        return [row.verdict.split()[0] for row in rows]

    assert found(best) == ["holds", "holds", "holds"]
    assert found(7 * best)[:2] == ["fails", "fails"]


def test_a_least_time_that_drowns_in_noise_is_not_told() -> None:
    """Twelve decreases that are off by five times their mean do not tell which batch is the fastest, nor refute any."""
    generator, at = np.random.default_rng(6), np.round(100.0 * 2.0 ** np.arange(-3, 4))
    gains = (1 / (1 + 100.0 / at))[:, None] * (1 + 5.0 * generator.standard_normal((len(at), 12)))
    times = 1e-3 + 1e-5 * at
    rows, _ = costs.fastest(at, times, gains, 100.0, (1 + 100.0 / at) * times, generator)
    assert [row.verdict.split(":")[0] for row in rows[:2]] == ["not measured", "not measured"]
    assert rows[2].verdict.startswith("undecided")


def test_the_vertex_of_a_parabola() -> None:
    """Decreases 2t − t²/v − ct³ at t = 1 and 2, with noise: v within four errors, which are those of repetitions, whatever c.

    Four fifths of the decrease are told by more samples of their own.
    """
    generator, best = np.random.default_rng(7), 1.3
    for cubic in (0.0, -0.1):
        exact = np.array([2 * t - t**2 / best - cubic * t**3 for t in (1.0, 2.0)])
        values = []
        for _ in range(300):
            few, many = (share * exact + 0.1 * generator.standard_normal((n, 2)) for share, n in ((0.2, 50), (0.8, 200)))
            values.append(vertex(2.0, few, many))
        found, errors = np.array(values).T
        agrees(best, found, 0.1)
        assert found.std() == pytest.approx(errors.mean(), rel=0.15)


@pytest.mark.slow
def test_noise_weighted_by_curvature(people: Population) -> None:
    """tr(H Cov)/gᵀHg of products of two batches, the quadratic part included, is that of drawn ones; so are steps' mean falls."""
    generator = np.random.default_rng(14)
    product = difference_product(people.objective.gradient, people.theta)
    bend, made = Bend.at(people, product, generator), samplers_for(people.objective, "uniform", 12)
    off = people.repeat(drawer(made, generator), 3000).gradients - people.gradient
    images = np.stack([product(torch.from_numpy(row)).numpy() for row in np.eye(len(people.gradient))])
    agrees(bend.noise(people, made), np.einsum("np,pq,nq->n", off, images, off) / bend.along, 0.3)
    rate = 0.2 * people.square / bend.along
    falls = Falls.by(people, bend, 12, rate, (1.0, 2.0), generator)
    for one, count in ((falls.few, 64), (falls.many, 2000)):
        one.fewest = count
        one.grow()
    plain = decreases(people, people.gradient + off[:600], rate)[:, 0]
    (value, *_), (error, *_) = falls.fallen()
    assert abs(value - plain.mean()) <= 4.0 * math.hypot(error, plain.std() / math.sqrt(600))
    assert error < 0.7 * falls.few.values[:, 0].std() / math.sqrt(64)


def test_squares_of_weak_forms(people: Population) -> None:
    """The bias of ½‖r̂‖² over 4,000 batches, and three times as much or a third of it would be refuted."""
    (row,), _ = settle([biases.squares(people, 12, np.random.default_rng(8))], 1e9)
    assert row.verdict == "holds"
    for factor in (3.0, 1 / 3.0):
        assert dataclasses.replace(row, predicted=factor * row.predicted).verdict.startswith("fails")


def test_the_loss_of_two_batches(people: Population) -> None:
    """Its standard deviation √(L/b + Q/b²) at three sizes."""
    generator, uniform = np.random.default_rng(9), {}
    for size in (8, 16, 32):
        made = samplers_for(people.objective, "uniform", size)
        uniform[size] = people.seen(made, drawer(made, generator), 2000)
        uniform[size].grow()
    question = costs.fluctuation(people, uniform)
    (row,), curve = question.rows(), question.curves()["fluctuation"]
    assert row.verdict == "holds"
    assert next(iter(curve.predicted.values())) == pytest.approx(curve.measured, rel=0.15)
    for factor in (3.0, 1 / 3.0):
        assert dataclasses.replace(row, predicted=factor * row.predicted).verdict.startswith("fails")


def test_variances_of_all_weights_add_up(people: Population) -> None:
    made = samplers_for(people.objective, "uniform", 12)
    assert people.variances(made).sum() == pytest.approx(people.variance(made))
    generator = np.random.default_rng(10)
    drawn = people.repeat(lambda: [sampler.draw(generator) for sampler in made], 5000).gradients
    seen = ((drawn - people.gradient) ** 2).mean(0)
    assert people.variances(made) == pytest.approx(seen, rel=0.35, abs=0.02 * float(seen.max()))


@pytest.mark.slow
def test_a_batch_used_twice_by_a_weak_form(people: Population) -> None:
    """The bias of two-batch estimates follows from their variance, the quadratic part included, which is a sixth of it here.

    Many batches tell the first order in α, so that the bias is known to a tenth, which sixty of them through the network leave
    at three tenths; the error is that of repetitions.
    """
    product = difference_product(people.objective.gradient, people.theta)
    curvature = abs(float(leading(product, len(people.theta), 1, np.random.default_rng(0), 12).values[0]))
    rows = []
    for seed in range(3):
        question = biases.reuse(people, product, biases.InnerStep(12, curvature), np.random.default_rng(seed))
        rows += settle([question], 0.0)[0]
    for row in rows:
        assert abs(row.measured - row.predicted) <= 4 * row.error
        assert row.error < 0.15 * abs(row.predicted)
    agrees(rows[0].predicted, [row.measured for row in rows], 0.5)


def test_distances_from_the_normal_distribution() -> None:
    """Normal values are as near as their number allows, values of two kinds with the same first four moments are far."""
    generator = np.random.default_rng(12)
    share = 0.5 - math.sqrt(1.0 / 12.0)  # 1/(p(1 − p)) − 3 = 3
    kinds = (np.arange(4000) < share * 4000) - share
    found = biases.from_normal(np.stack([generator.standard_normal(4000), kinds / kinds.std()], 1))
    assert found[0] < 0.03
    assert found[1] > 0.3
