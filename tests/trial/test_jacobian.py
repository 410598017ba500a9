"""Test derivatives of jets by all weights against automatic differentiation."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from vpinn.errors import InputError
from vpinn.trial.activation import ACTIVATIONS
from vpinn.trial.enrichment import Enriched
from vpinn.trial.jacobian import jet_jacobian
from vpinn.trial.network import Network


def network_of(layers: tuple[int, ...], activation: str) -> Network:
    d = layers[0]
    return Network(layers, activation, (0.0, -1.0, 0.5)[:d], (1.0, 2.0, 0.75)[:d])


def reference(network: Network, theta: Tensor, x: Tensor, keys: list[tuple[int, tuple[int, ...]]], slopes: Tensor) -> Tensor:
    def combined(leaf: Tensor, point: int) -> Tensor:
        jets = network.jets(leaf, x[point : point + 1], {derivative for _, derivative in keys})
        return torch.stack([jets[key][0] for key in keys])

    jacobians = [torch.autograd.functional.jacobian(lambda leaf, p=p: combined(leaf, p), theta) for p in range(len(x))]
    return torch.einsum("rkn,nkp->rnp", slopes, torch.stack(jacobians))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("layers", [(1, 4, 1), (2, 5, 1), (2, 5, 4, 3, 1), (2, 4, 5, 2), (3, 4, 3, 3)])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_jacobians_are_those_of_autograd(layers: tuple[int, ...], activation: str, order: int) -> None:
    """To 1e-12 of the largest entry, for random combinations of every jet up to the order."""
    network = network_of(layers, activation)
    generator = torch.Generator().manual_seed(0)
    theta = network.initial(generator) + 0.3 * torch.randn(network.size, generator=generator, dtype=torch.float64)
    x = 2 * torch.rand(6, layers[0], generator=generator, dtype=torch.float64) - 1
    derivatives = [p for k in range(order + 1) for p in itertools.combinations_with_replacement(range(layers[0]), k)]
    keys = [(c, derivative) for derivative in derivatives for c in range(network.outputs)]
    slopes = torch.randn(2, len(keys), 6, generator=generator, dtype=torch.float64)
    wanted = reference(network, theta, x, keys, slopes)
    found = jet_jacobian(network, theta, x, keys, slopes)
    assert (found - wanted).abs().max() <= 1e-12 * wanted.abs().max()


def test_some_jets_only() -> None:
    """A Laplacian, and a derivative in one direction."""
    network = network_of((3, 5, 4, 2), "tanh")
    generator = torch.Generator().manual_seed(1)
    theta = network.initial(generator)
    x = 2 * torch.rand(5, 3, generator=generator, dtype=torch.float64) - 1
    for keys in ([(0, (0, 0)), (0, (2, 2)), (1, (1,))], [(1, (2,))], [(1, (0, 2)), (0, ())]):
        slopes = torch.randn(1, len(keys), 5, generator=generator, dtype=torch.float64)
        wanted = reference(network, theta, x, keys, slopes)
        assert (jet_jacobian(network, theta, x, keys, slopes) - wanted).abs().max() <= 1e-12 * wanted.abs().max()


def test_coefficients_of_extra_functions_come_last() -> None:
    network = Enriched((2, 4, 3, 1), "tanh", (0.0, 0.0), (1.0, 2.0), 2)
    generator = torch.Generator().manual_seed(1)
    theta = torch.randn(network.size, generator=generator, dtype=torch.float64)
    x = 2 * torch.rand(5, 2, generator=generator, dtype=torch.float64) - 1
    keys = [(-2, ()), (-1, ()), (0, ()), (0, (1,))]
    slopes = torch.randn(2, len(keys), 5, generator=generator, dtype=torch.float64)
    wanted = reference(network, theta, x, keys, slopes)
    assert (jet_jacobian(network, theta, x, keys, slopes) - wanted).abs().max() <= 1e-12 * wanted.abs().max()


def test_third_derivatives_are_refused() -> None:
    network = network_of((2, 4, 1), "tanh")
    with pytest.raises(InputError, match="up to order two only"):
        jet_jacobian(network, torch.zeros(network.size), torch.zeros(1, 2), [(0, (0, 0, 1))], torch.ones(1, 1, 1))
