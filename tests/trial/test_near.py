"""Test networks with distances to points as inputs against automatic differentiation, and the choice of these points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest
import torch
from torch import Tensor

import vpinn
from vpinn.noise.gradients import streams
from vpinn.problem import read_problem
from vpinn.solving import prepare
from vpinn.trial import Enriched, Near, make_trial
from vpinn.trial.jacobian import jet_jacobian, last_layer_jacobian
from vpinn.trial.near import near
from vpinn.trial.places import small_places

NETWORK = Near((4, 7, 6, 2), "tanh", (0.0, -1.0), (3.0, 2.0), 0, ((1.0, 1.0, 0.1, 0.3, 1.2), (-0.5, 0.0, 0.05, 0.0, 1.0)))
WANTED: list[tuple[int, ...]] = [(), (0,), (1,), (0, 0), (0, 1), (1, 1)]


def start(n: int = 5) -> tuple[Tensor, Tensor]:
    """Return parameters, and points [n, 2] in [−1, 1]²."""
    generator = torch.Generator().manual_seed(1)
    return NETWORK.initial(generator), 2 * torch.rand(n, 2, generator=generator, dtype=torch.float64) - 1


def plain(theta: Tensor, x: Tensor) -> dict[tuple[int, tuple[int, ...]], Tensor]:
    """Return the network's jets by its formula and nested automatic differentiation, with graphs."""
    lower, upper = torch.tensor(NETWORK.lower), torch.tensor(NETWORK.upper)
    here = ((x * (upper - lower) + lower + upper) / 2).detach().requires_grad_()
    z = [(2 * here - lower - upper) / (upper - lower)]
    for a, b, rho, middle, half in NETWORK.places:
        r = torch.sqrt((here[:, 0] - a) ** 2 + (here[:, 1] - b) ** 2 + rho**2)
        z.append(((torch.log(r) - middle) / half)[:, None])
    layers = NETWORK.unpack(theta)
    value = torch.cat(z, 1)
    for k, (weight, bias) in enumerate(layers):
        value = value @ weight.T + bias
        value = torch.tanh(value) if k + 1 < len(layers) else value
    found: dict[tuple[int, tuple[int, ...]], Tensor] = {}
    for c in range(2):
        found[c, ()] = value[:, c]
        first = torch.autograd.grad(value[:, c].sum(), here, create_graph=True)[0]
        for i in range(2):
            found[c, (i,)] = first[:, i]
            second = torch.autograd.grad(first[:, i].sum(), here, create_graph=True)[0]
            found |= {(c, (i, j)): second[:, j] for j in range(i, 2)}
    return found


@pytest.mark.parametrize("order", [1, 2])
def test_jets_are_those_of_the_formula(order: int) -> None:
    theta, x = start()
    right, found = plain(theta, x), NETWORK.jets(theta, x, [w for w in WANTED if len(w) <= order])
    assert len(found) == {1: 6, 2: 12}[order]
    for key, value in found.items():
        torch.testing.assert_close(value, right[key].detach(), rtol=1e-12, atol=1e-13)


def test_a_place_in_the_network_has_third_derivatives_too() -> None:
    theta, x = start()
    step, (key,) = 1e-5, [(0, 0, 1)]
    found = NETWORK.jets(theta, x, [key])[1, key]
    ahead, behind = (NETWORK.jets(theta, x + torch.tensor([s * step, 0.0]), [(0, 1)])[1, (0, 1)] for s in (1.0, -1.0))
    torch.testing.assert_close(found, (ahead - behind) / (2 * step * 1.5), rtol=1e-6, atol=1e-7)  # the box is 3 wide
    column = NETWORK.features(theta, x, [key])[key]
    torch.testing.assert_close(column @ NETWORK.unpack(theta)[-1][0][1], found, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("wanted", [[(), (0,), (1,)], [()], WANTED])
def test_cotangents_of_the_weights(wanted: list[tuple[int, ...]]) -> None:
    theta, x = start()
    leaf = theta.clone().requires_grad_()
    right = plain(leaf, x)
    bars = {(c, w): torch.randn(5, dtype=torch.float64) for c in range(2) for w in wanted}
    sum((bar * right[key]).sum() for key, bar in bars.items()).backward()  # type: ignore[union-attr]
    assert leaf.grad is not None
    torch.testing.assert_close(NETWORK.record(theta, x, wanted)[1](bars), leaf.grad, rtol=1e-12, atol=1e-13)


def test_rows_of_derivatives_by_the_weights() -> None:
    theta, x = start()
    keys = [(0, ()), (1, (0,)), (0, (0, 1)), (1, (1, 1))]
    slopes = torch.randn(3, 4, 5, dtype=torch.float64)

    def combined(moved: Tensor) -> Tensor:
        jets = plain(moved, x)
        return torch.einsum("rkn,kn->rn", slopes, torch.stack([jets[key] for key in keys]))

    right = torch.autograd.functional.jacobian(combined, theta)
    torch.testing.assert_close(jet_jacobian(NETWORK, theta, x, keys, slopes), right, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(last_layer_jacobian(NETWORK, theta, x, keys, slopes), right[:, :, -14:], rtol=1e-11, atol=1e-12)


def test_the_noise_report_carries_points_alike() -> None:
    theta, x = start()
    found, right = streams(NETWORK, theta, x, WANTED).jets, plain(theta, x)
    for key, value in found.items():
        torch.testing.assert_close(value.detach(), right[key].detach(), rtol=1e-12, atol=1e-13)


def problem(domain: dict[str, Any], **parts: Any) -> vpinn.Problem:
    defaults: dict[str, Any] = {
        "unknowns": {"u": "scalar"},
        "energy": "(0.5*inner(grad(u), grad(u)) - u)*dx",
        "boundary": [{"on": "all", "value": 0}],
    }
    return vpinn.make_problem(domain, **{**defaults, **parts})


def places_of(problem: vpinn.Problem) -> np.ndarray:
    return small_places(problem)


def test_smooth_domains_have_no_places_and_their_networks_stay() -> None:
    for domain in ({"shape": "rectangle", "cells": 3}, {"shape": "disk", "cells": 3}, {"shape": "interval", "cells": 3}):
        square = problem(domain)
        assert len(places_of(square)) == 0
        assert not isinstance(make_trial(square).network, Near)


def test_corners_are_no_places_and_places_can_be_left_out(tmp_path: Path) -> None:
    assert len(places_of(problem({"shape": "l-shape", "cells": 4}))) == 0
    drilled = plate(tmp_path, 0.05)
    assert isinstance(make_trial(drilled).network, Near)
    assert not isinstance(make_trial(drilled, rows=True).network, Near)
    assert not isinstance(make_trial(problem({"mesh": "plate.msh"}, folder=tmp_path, network={"places": False})).network, Near)


def plate(folder: Path, hole: float, size: float = 1.0, part: bool = False) -> vpinn.Problem:
    """Return a square with a round hole in its middle, or with a part of another material there."""
    turns = np.linspace(0.0, 2.0 * np.pi, 33)[:-1]
    circle = np.stack([np.cos(turns), np.sin(turns)], 1)
    square = 0.5 * circle / np.abs(circle).max(1, keepdims=True)
    rings = [hole * circle + t * (square - hole * circle) for t in np.linspace(0.0, 1.0, 4)]
    nodes, cells, tags = np.concatenate([*rings, [[0.0, 0.0]]]), list[list[int]](), list[int]()
    for ring in range(3):
        for k in range(32):
            a, b = 32 * ring + k, 32 * ring + (k + 1) % 32
            cells += [[a, b, a + 32], [b, b + 32, a + 32]]
            tags += [1, 1]
    for k in range(32) if part else ():
        cells.append([k, (k + 1) % 32, len(nodes) - 1])
        tags.append(2)
    nodes = nodes if part else nodes[:-1]
    mesh = meshio.Mesh(size * nodes, [("triangle", cells)], cell_data={"gmsh:physical": [tags], "gmsh:geometrical": [tags]})
    file = folder / "plate.msh"
    meshio.write(file, mesh, file_format="gmsh22", binary=False)
    dx = "dx('1') + inner(grad(u), grad(u))*dx('2')" if part else "dx"
    return problem({"mesh": file.name}, folder=folder, energy=f"0.5*inner(grad(u), grad(u))*{dx} - u*dx")


@pytest.mark.parametrize(("part", "radius"), [(False, 0.0), (True, 0.05)])
def test_small_holes_and_parts_are_places_in_any_unit(part: bool, radius: float, tmp_path: Path) -> None:
    found = places_of(plate(tmp_path, 0.05, part=part))
    np.testing.assert_allclose(found, [[0.0, 0.0, radius]], atol=1e-3 * 0.05)
    np.testing.assert_allclose(places_of(plate(tmp_path, 0.05, 1e6, part)), 1e6 * found, atol=1e-3)
    assert len(places_of(plate(tmp_path, 0.3, part=part))) == 0


@pytest.mark.parametrize("kind", ["hole", "corner"])
def test_places_resolve_what_a_smooth_network_does_not(kind: str) -> None:
    """x/r² beside a hole of radius 1/20, r ln r beside a corner: the best of 60 units at points not seen."""
    core = 0.0 if kind == "hole" else 1e-3
    plain = Enriched((2, 60, 1), "tanh", (-1.0, -1.0), (1.0, 1.0))
    generator = np.random.default_rng(0)
    radius, turn = np.exp(generator.uniform(np.log(0.05 if kind == "hole" else 1e-3), 0.0, 600)), generator.uniform(0.0, 6.0, 600)
    x = np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1)
    right = x[:, 0] / radius**2 if kind == "hole" else radius * np.log(radius)
    errors = []
    for network in (plain, near(plain, np.array([[0.0, 0.0, core]]), x)):
        theta = network.initial(torch.Generator().manual_seed(0))
        network.unpack(theta)[0][0].mul_(6.0)
        values = network.features(theta, torch.tensor(x), [()])[()].numpy()
        found = np.linalg.lstsq(values[:400], right[:400], rcond=1e-10)[0]
        errors.append(np.linalg.norm(values[400:] @ found - right[400:]) / np.linalg.norm(right[400:]))
    assert errors[0] > 10 * errors[1]


@pytest.mark.parametrize("unit", [1e-6, 1e9])
def test_inputs_are_dimensionless(unit: float) -> None:
    """The same in any unit of length, their derivatives one over it."""
    nodes, place = np.random.default_rng(0).random((50, 2)), np.array([[0.2, 0.3, 0.01]])
    x = torch.tensor(2.0 * nodes - 1.0)
    found = []
    for scale in (1.0, unit):
        network = near(Enriched((2, 5, 1), "tanh", (0.0, 0.0), (scale, scale)), scale * place, scale * nodes)
        values, first, second = network.inputs(x, [(0, 1)])
        assert second is not None
        found.append((values, scale * first, scale**2 * second))
        assert float(values[:, 2].min()) == pytest.approx(-1.0)
        assert float(values[:, 2].max()) == pytest.approx(1.0)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


FILE = """
[domain]
mesh = "plate.msh"
[unknowns]
u = "scalar"
[form]
energy = "0.5*inner(grad(u), grad(u))*dx + 4*u**2*ds - u*dx"
[network]
layers = [10]
[quadrature]
degree = 3
[solver]
method = "gauss-newton"
steps = 4
"""


@pytest.mark.slow
def test_a_run_that_sees_places_is_stored_and_goes_on_to_the_last_bit(tmp_path: Path) -> None:
    plate(tmp_path, 0.05)
    file = tmp_path / "heated.toml"
    file.write_text(FILE)
    whole = vpinn.solve(read_problem(file), tmp_path / "whole", threads=1)
    vpinn.solve(read_problem(file, ["solver.steps=2"]), tmp_path / "part", threads=1)
    on = vpinn.solve(read_problem(file), tmp_path / "part", resume=True, threads=1)
    again, x = vpinn.load(tmp_path / "part"), 0.2 + 0.2 * np.random.default_rng(0).random((20, 2))
    assert torch.equal(on.theta, whole.theta)
    assert isinstance(again.trial.network, Near)
    assert again.trial.network.layers == whole.trial.network.layers
    assert again.trial.network.layers[0] > 2  # cells that are bisected around corners are seen, too
    assert np.array_equal(again.evaluate(x)["u"], whole.evaluate(x)["u"])


@pytest.mark.parametrize(("method", "layers"), [("gauss-newton", (20, 20)), ("adam", (30, 30, 30))])
def test_hidden_layers_of_a_method(method: str, layers: tuple[int, ...]) -> None:
    square = problem({"shape": "rectangle", "cells": 3}, solver={"method": method})
    assert prepare(square).trial.network.layers == (2, *layers, 1)
    asked = problem({"shape": "rectangle", "cells": 3}, solver={"method": method}, network={"layers": [7]})
    assert prepare(asked).trial.network.layers == (2, 7, 1)
