"""Test networks and their derivatives against nested automatic differentiation of the formula."""

from __future__ import annotations

import gc
import itertools
import math
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vpinn.trial import ACTIVATIONS, Network

PLAIN: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sin": torch.sin,
    "swish": torch.nn.functional.silu,
    "softplus": torch.nn.functional.softplus,
}
Keys = list[tuple[int, ...]]


def network_of(dimension: int, outputs: int = 1, activation: str = "tanh", hidden: tuple[int, ...] = (7, 5)) -> Network:
    """Return a network on a box of unequal sides away from the origin."""
    lower = tuple(0.5 * k - 1.0 for k in range(dimension))
    upper = tuple(0.5 * k - 1.0 + 1.0 / (k + 1) for k in range(dimension))
    return Network((dimension, *hidden, outputs), activation, lower, upper)


def corners_of(network: Network) -> tuple[Tensor, Tensor]:
    return torch.tensor(network.lower, dtype=torch.float64), torch.tensor(network.upper, dtype=torch.float64)


def start(network: Network, n: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return parameters and points [n, d] inside the box."""
    generator = torch.Generator().manual_seed(seed)
    theta = network.initial(generator)
    theta += 0.1 * torch.randn(len(theta), generator=generator, dtype=torch.float64)
    unit = torch.rand(n, network.layers[0], generator=generator, dtype=torch.float64)
    lower, upper = corners_of(network)
    return theta, lower + unit * (upper - lower)


def derivatives(network: Network, theta: Tensor, points: Tensor, wanted: Keys) -> dict[tuple[int, tuple[int, ...]], Tensor]:
    """Return the network's derivatives by nested reverse-mode differentiation, with graphs."""
    x = points.clone().requires_grad_()
    lower, upper = corners_of(network)
    z = 2 * (x - lower) / (upper - lower) - 1
    at = 0
    sizes = list(itertools.pairwise(network.layers))
    for k, (i, o) in enumerate(sizes):
        weight, bias = theta[at : at + i * o].reshape(o, i), theta[at + i * o : at + (i + 1) * o]
        at += (i + 1) * o
        z = z @ weight.T + bias
        if k + 1 < len(sizes):
            z = PLAIN[network.activation](z)
    assert at == network.size == len(theta)
    result = {}
    for c in range(network.outputs):
        for derivative in wanted:
            value = z[:, c]
            for axis in derivative:
                value = torch.autograd.grad(value.sum(), x, create_graph=True)[0][:, axis]
            result[c, derivative] = value
    return result


def all_of(dimension: int, order: int) -> Keys:
    return [d for k in range(order + 1) for d in itertools.combinations_with_replacement(range(dimension), k)]


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize(("dimension", "outputs"), [(1, 1), (2, 3), (3, 1), (5, 2)])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_jets(activation: str, dimension: int, outputs: int, order: int) -> None:
    network = network_of(dimension, outputs, activation)
    theta, points = start(network)
    wanted = all_of(dimension, order)
    with torch.no_grad():
        found = network.jets(theta, network.normalise(points), wanted)
    expected = derivatives(network, theta, points, wanted)
    for key, values in expected.items():
        assert found[key].shape == (len(points),)
        assert (found[key] - values).abs().max() <= 1e-12 * (1 + values.abs().max()), key


@pytest.mark.parametrize("wanted", [[(0, 0)], [(0, 1)], [(1, 1), (0,)], [(0, 1, 1)], [(), (0, 0, 0)]])
def test_jets_asked_for_one_by_one(wanted: Keys) -> None:
    network = network_of(2, 2, "swish")
    theta, points = start(network)
    found = network.jets(theta, network.normalise(points), wanted)
    for key, values in derivatives(network, theta, points, wanted).items():
        assert (found[key] - values).abs().max() <= 1e-12 * (1 + values.abs().max())


@pytest.mark.parametrize(("order", "hidden"), [*itertools.product((0, 1, 2), ((6,), (6, 5), (6, 5, 4))), (3, (6, 5))])
@pytest.mark.parametrize(("dimension", "outputs"), [(2, 3), (4, 1)])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_cotangents_of_jets(activation: str, dimension: int, outputs: int, hidden: tuple[int, ...], order: int) -> None:
    """∇θ of random combinations of all derivatives, nonlinear ones among them."""
    network = network_of(dimension, outputs, activation, hidden)
    theta, points = start(network)
    wanted = all_of(dimension, order)
    generator = torch.Generator().manual_seed(1)
    weights = {(c, d): torch.randn(len(points), generator=generator).double() for c in range(outputs) for d in wanted}

    def combined(jets: dict[tuple[int, tuple[int, ...]], Tensor]) -> Tensor:
        total = sum((w * jets[key]).sum() for key, w in weights.items())
        return total + sum((jets[key] ** 2).sum() for key in weights) + (jets[0, wanted[-1]] * jets[outputs - 1, ()]).sum()

    gradients = []
    for jets_of in (
        lambda t: network.jets(t, network.normalise(points), wanted),
        lambda t: derivatives(network, t, points, wanted),
    ):
        leaf = theta.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(combined(jets_of(leaf)), leaf)
        gradients.append(gradient)
    found, expected = gradients
    assert (found - expected).abs().max() <= 1e-12 * expected.abs().max()


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_cotangents_against_differences(activation: str, outputs: int) -> None:
    network = network_of(2, outputs, activation, (4, 3))
    theta, points = start(network, 3)
    x = network.normalise(points)

    def jets(leaf: Tensor) -> tuple[Tensor, ...]:
        return tuple(network.jets(leaf, x, [(), (0,), (1,)]).values())

    assert torch.autograd.gradcheck(jets, theta.clone().requires_grad_(), eps=1e-6, atol=1e-8, rtol=1e-6)


def test_one_cotangent_alone() -> None:
    """The cotangents that nobody gave are zero, not left over."""
    network = network_of(2, 2)
    theta, points = start(network)
    for key in itertools.product(range(2), [(), (0,), (1,)]):
        leaf = theta.clone().requires_grad_()
        (found,) = torch.autograd.grad(network.jets(leaf, network.normalise(points), [(), (0,), (1,)])[key].sum(), leaf)
        leaf = theta.clone().requires_grad_()
        values = derivatives(network, leaf, points, [key[1]])[key]
        (expected,) = torch.autograd.grad(values.sum(), leaf, allow_unused=True)
        assert (found - expected).abs().max() <= 1e-13 * expected.abs().max()


def test_inputs_stay_as_they_were() -> None:
    network = network_of(2, 1, "tanh")
    theta, points = start(network)
    x = network.normalise(points)
    before = theta.clone(), x.clone()
    for order in range(4):
        leaf = theta.requires_grad_()
        torch.autograd.grad(sum(v.sum() for v in network.jets(leaf, x, all_of(2, order)).values()), leaf)
    assert torch.equal(theta, before[0])
    assert torch.equal(x, before[1])


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_single_precision(order: int) -> None:
    network = network_of(2, 2)
    theta, points = start(network)
    wanted = all_of(2, order)
    found = network.jets(theta.float(), network.normalise(points).float(), wanted)
    for key, values in derivatives(network, theta, points, wanted).items():
        assert found[key].dtype == torch.float32
        assert (found[key].detach() - values).abs().max() <= 1e-5 * (1 + values.abs().max())


def test_coordinates_fill_the_unit_box() -> None:
    network = network_of(3)
    corners = torch.tensor([network.lower, network.upper], dtype=torch.float64)
    assert (network.normalise(corners) - torch.tensor([[-1.0], [1.0]])).abs().max() <= 1e-15
    assert network.normalise(corners).shape == (2, 3)


def test_initial_parameters() -> None:
    """The same for a seed, others for another; weights with variance 2/(in + out), first biases spread over the box."""
    network = Network((2, 200, 100, 1), "tanh", (0.0, 0.0), (1.0, 1.0))
    theta = network.initial(torch.Generator().manual_seed(5))
    assert torch.equal(theta, network.initial(torch.Generator().manual_seed(5)))
    assert not torch.equal(theta, network.initial(torch.Generator().manual_seed(6)))
    (w0, b0), (w1, b1), (w2, b2) = network.unpack(theta)
    assert [tuple(t.shape) for t in (w0, b0, w1, b1, w2, b2)] == [(200, 2), (200,), (100, 200), (100,), (1, 100), (1,)]
    # the standard deviation of n samples is within 4/√(2n) of the true one
    assert abs(float(w1.std()) / math.sqrt(2 / 300) - 1) <= 4 / math.sqrt(2 * 20_000)
    assert b0.abs().max() <= 1
    assert abs(float(b0.std()) - 1 / math.sqrt(3)) <= 0.1
    assert not b1.any()
    assert not b2.any()
    assert network.size == 2 * 200 + 200 + 200 * 100 + 100 + 100 + 1


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_parts_of_many_points(monkeypatch: pytest.MonkeyPatch, order: int) -> None:
    network = network_of(2, 2)
    theta, points = start(network)
    x, wanted = network.normalise(points), all_of(2, order)
    whole = network.jets(theta, x, wanted)
    monkeypatch.setattr("vpinn.trial.network.TOGETHER", 3)
    with torch.no_grad():
        parts = network.jets(theta, x, wanted)
    assert parts.keys() == whole.keys()
    for key, values in whole.items():
        assert (parts[key] - values).abs().max() <= 1e-14 * (1 + values.abs().max())


@pytest.mark.parametrize("activation", ["tanh", "sin", "swish", "softplus"])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(
    ("wanted", "given"),
    [([(), (0,), (1,)], {()}), ([(), (0,), (1,)], {(1,)}), ([(0,), (1,)], {(0,)}), ([()], {()}), ([(), (0,), (1,)], set())],
)
def test_pullbacks_of_some_cotangents(
    activation: str, outputs: int, wanted: list[tuple[int, ...]], given: set[tuple[int, ...]]
) -> None:
    """Derivatives not asked for are not evaluated, and cotangents not given count as zero."""
    network = Network((2, 7, 5, outputs), activation, (-1.0, 0.0), (2.0, 1.0))
    theta, points = start(network)
    x = network.normalise(points)
    jets, pullback = network.record(theta, x, wanted)
    assert {derivative for _, derivative in jets} == set(wanted)
    bars = {key: torch.cos(3 * value) for key, value in jets.items() if key[1] in given}
    leaf = theta.clone().requires_grad_()
    z = x.clone().requires_grad_()
    *hidden, (weight, bias) = network.unpack(leaf)
    a = z
    for w, b in hidden:
        a = network.sigma.value(torch.addmm(b, a, w.T))
    u = torch.addmm(bias, a, weight.T)
    total = 0.0 * leaf.sum()
    for (component, derivative), bar in bars.items():
        if derivative:
            (slope,) = torch.autograd.grad(u[:, component].sum(), z, create_graph=True)
            total = total + (bar * slope[:, derivative[0]] * network.stretch(x)[derivative[0]]).sum()
        else:
            total = total + (bar * u[:, component]).sum()
    (expected,) = torch.autograd.grad(total, leaf, allow_unused=True, materialize_grads=True)
    assert (pullback(bars) - expected).abs().max() <= 1e-13 * (1 + expected.abs().max())


def test_pullbacks_may_interleave_and_repeat() -> None:
    """Two recordings of as many points do not share memory, and one may be pulled back twice."""
    network = network_of(2, 2)
    theta, points = start(network)
    x, wanted = network.normalise(points), all_of(2, 1)
    jets, first = network.record(theta, x, wanted)
    cotangents = {key: torch.cos(value) for key, value in jets.items()}
    alone = first(cotangents)
    _, second = network.record(2 * theta, x, wanted)
    assert not torch.equal(second(cotangents), alone)
    assert torch.equal(first(cotangents), alone)
    del first, second
    _, reused = network.record(theta, x, wanted)
    assert torch.equal(reused(cotangents), alone)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("activation", ["tanh", "swish"])
def test_blocks_of_points(monkeypatch: pytest.MonkeyPatch, activation: str, outputs: int, threads: int) -> None:
    """Blocks of unequal size, cut off from the memory of one another, give what one block gives."""
    network = network_of(2, outputs, activation)
    theta, points = start(network, 14)
    x, wanted = network.normalise(points), all_of(2, 1)
    jets, pullback = network.record(theta, x, wanted)
    bars = {key: torch.cos(3 * value) for key, value in jets.items()}
    cases = [bars, {k: b for k, b in bars.items() if k[1]}, {k: b for k, b in bars.items() if not k[1]}]
    expected = [pullback(case) for case in cases]
    monkeypatch.setattr("vpinn.trial.sweeps.BLOCK_BYTES", 0)
    monkeypatch.setattr("vpinn.trial.sweeps.SMALLEST", 4 // threads)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        fresh = network_of(2, outputs, activation)
        found, pulled = fresh.record(theta, x, wanted)
        for key, values in jets.items():
            assert (found[key] - values).abs().max() <= 1e-14 * (1 + values.abs().max())
        for case, gradient in zip(cases, expected, strict=True):
            assert (pulled(case) - gradient).abs().max() <= 1e-13 * (1 + gradient.abs().max())
            assert torch.equal(pulled(case), pulled(case))
    finally:
        torch.set_num_threads(before)


def test_memory_ends_with_its_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory too large to be kept is free at once, without the collector of cycles."""
    monkeypatch.setattr("vpinn.trial.layout.LARGEST", 0)
    network = network_of(2)
    theta, points = start(network)
    gc.collect()
    gc.disable()
    try:
        jets, pullback = network.record(theta, network.normalise(points), all_of(2, 1))
        sweeps = weakref.ref(pullback.args[0].sweeps)  # type: ignore[attr-defined]
        pullback(jets)
        assert sweeps() is not None
        del pullback
        assert sweeps() is None
    finally:
        gc.enable()


def test_no_points_have_no_values() -> None:
    network = Network((2, 5, 3, 1), "tanh", (0.0, 0.0), (1.0, 1.0))
    theta = network.initial(torch.Generator().manual_seed(0))
    found = network.jets(theta, torch.empty(0, 2, dtype=torch.float64), [(), (0,)])
    assert {key: len(values) for key, values in found.items() if key[1] in ((), (0,))} == {(0, ()): 0, (0, (0,)): 0}
