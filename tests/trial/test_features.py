"""Test random features and functions with poles outside the domain: derivatives, harmonicity, and storage in files."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vpinn.errors import InputError
from vpinn.trial import ACTIVATIONS, Enriched, Features, Network

BASE = {2: Enriched((2, 5, 2), "sin", (-1.0, 0.0), (1.0, 0.5), 1), 3: Enriched((3, 5, 2), "tanh", (0.0,) * 3, (1.0, 2.0, 1.0), 1)}
SOURCES = {2: [[1.5, 0.2], [-0.3, 0.9]], 3: [[1.5, 0.2, -0.4], [-0.3, 0.9, 2.0]]}
PATCHES = {2: [[0.1, 0.2, 0.3], [-0.6, 0.4, 0.5]], 3: [[0.1, 0.2, 0.3, 0.4], [0.6, 1.4, 0.5, 0.7]]}
"""Centre and radius of windows."""


def made(d: int) -> tuple[Features, torch.Tensor]:
    network = Features.restored(BASE[d], (d, 9, 2), BASE[d].activation, SOURCES[d], PATCHES[d])
    return network, torch.randn(network.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("d", [2, 3])
def test_derivatives(d: int) -> None:
    """Jets up to order two against differences of those one order below."""
    network, theta = made(d)
    lower, upper = torch.tensor(network.lower), torch.tensor(network.upper)
    x = lower + (upper - lower) * torch.rand(6, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    wanted = [(i, j) for i in range(d) for j in range(i, d)]
    jets = network.jets(theta, network.normalise(x), [(), *((i,) for i in range(d)), *wanted])
    for i in range(d):
        step = 1e-5 * torch.eye(d, dtype=torch.float64)[i]
        ahead, behind = (network.jets(theta, network.normalise(x + s * step), [(0,)]) for s in (1, -1))
        for c in range(2):
            keys = [(), *((j,) for j in range(i + 1))]
            for key in keys:
                difference = (ahead[c, key] - behind[c, key]) / 2e-5
                assert torch.allclose(jets[c, tuple(sorted((*key, i)))], difference, rtol=1e-6, atol=1e-7)
    assert torch.equal(jets[-1, ()], theta[-1].expand(6))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivatives_of_order_three_and_four(activation: str) -> None:
    """Those of features of the box against nested reverse mode; other features have none, and say so."""
    layers, lower, upper = (2, 6, 2), (-1.0, 0.0), (1.0, 0.5)
    network, features = (kind(layers, activation, lower, upper) for kind in (Network, Features))
    generator = torch.Generator().manual_seed(2)
    theta = torch.randn(network.size, generator=generator, dtype=torch.float64)
    x = 2 * torch.rand(7, 2, generator=generator, dtype=torch.float64) - 1
    wanted = [(0, 0, 1), (1, 1, 1), (0, 0, 1, 1), (0, 0, 0, 0)]
    found, reference = features.jets(theta, x, wanted), network.jets(theta, x, wanted)
    for c in range(2):
        for key in wanted:
            values = reference[c, key].detach()
            assert (found[c, key] - values).abs().max() <= 1e-10 * values.abs().max()
    poled, drawn = made(2)
    for network, parameters, key in ((features, theta, (0,) * 5), (poled, drawn, (0, 0, 1))):
        with pytest.raises(InputError, match="up to order 4"):
            network.jets(parameters, x, [key])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_single_layer_has_derivatives_of_any_order(activation: str) -> None:
    """σ⁽ᵏ⁾ by formulas up to the fourth and beyond, combined by the last layer, against nested reverse mode."""
    network = Network((2, 6, 3), activation, (-1.0, 0.0), (1.0, 0.5))
    generator = torch.Generator().manual_seed(2)
    theta = torch.randn(network.size, generator=generator, dtype=torch.float64)
    x = 2 * torch.rand(7, 2, generator=generator, dtype=torch.float64) - 1
    wanted = [(0, 1, 1), (0, 0, 1, 1), (0, 0, 0, 1, 1), (0, 0, 1, 1, 1, 1)]
    found, reference = network.features(theta, x, wanted), network.jets(theta, x, wanted)
    weight = network.unpack(theta)[-1][0]
    for key in wanted:
        assert not found[key].requires_grad
        for c in range(3):
            values = reference[c, key].detach()
            assert (found[key] @ weight[c] - values).abs().max() <= 1e-10 * values.abs().max()


@pytest.mark.parametrize("d", [2, 3])
def test_functions_with_poles_are_harmonic(d: int) -> None:
    network, theta = made(d)
    x = torch.rand(5, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = network.features(theta, x, [(i, i) for i in range(d)])
    laplacian = torch.stack([found[i, i] for i in range(d)])[:, :, 7:]
    assert float(laplacian.sum(0).abs().max()) <= 1e-12 * float(laplacian.abs().max())
    here = network.restore(x).numpy()
    distance = np.linalg.norm(here[:, None] - np.array(SOURCES[d]), axis=2)
    assert np.allclose(found[()][:, 7:], np.log(distance) if d == 2 else 1 / distance, rtol=1e-12)


@pytest.mark.parametrize("d", [2, 3])
def test_features_with_a_window_live_on_its_patch(d: int) -> None:
    network, theta = made(d)
    centre, radius = torch.tensor(PATCHES[d][0][:-1], dtype=torch.float64), PATCHES[d][0][-1]
    direction = torch.ones(d, dtype=torch.float64) / d**0.5
    x = torch.stack([centre, centre + radius * direction, centre + 6 * radius * direction])
    values = network.features(theta, network.normalise(x), [])[()][:, 5].abs()
    bare = torch.sin if network.activation == "sin" else torch.tanh
    weight, bias = network.unpack(theta)[0]
    through = bare(network.normalise(x) @ weight[5] + bias[5]).abs()
    assert torch.allclose(values, through * torch.exp(torch.tensor([0.0, -1.0, -36.0], dtype=torch.float64)), rtol=1e-10)


def test_pullback_and_files() -> None:
    network, theta = made(2)
    kept = ([list(one) for one in some] for some in (network.sources, network.patches))
    assert Features.restored(BASE[2], network.layers, network.activation, *kept) == network
    x = torch.rand(5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    jets, pullback = network.record(theta, x, [(0,)])
    bar = torch.ones(5, dtype=torch.float64)
    gradient = pullback({(1, (0,)): bar, (-1, ()): bar})
    step = 1e-6 * torch.randn(network.size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ahead, behind = (network.jets(theta + s * step, x, [(0,)]) for s in (1, -1))
    change = sum(float((ahead[key] - behind[key]).sum()) for key in ((1, (0,)), (-1, ()))) / 2
    assert float(gradient @ step) == pytest.approx(change, rel=1e-6)
    assert set(jets) == {(c, k) for c in (0, 1) for k in ((), (0,), (1,))} | {(-1, ())}
