"""Compare a network with batch normalisation that solves a PDE with one without: errors, costs and the bias of the gradient.

Usage::

    python tests/benchmarks/batch_normalisation.py [--steps 1000] [--seeds 3] [--batch 64] [--dimension 1]

−Δu = f on the unit interval and square by the energy ∫ ½|∇u|² − f u, u = bubble · network, two layers of 20 tanh, Adam with a
cosine course and the better of two rates, batches of uniform random points. "batch" normalises every layer by the batch's own
mean and variance while training, and by those of a fine grid, the population's, where the solution is evaluated; "population"
takes the grid's in training, too, which costs a pass over the grid every step, and shows what is due to the batches. Derivatives
by x are those of the function with its statistics held fixed; through the statistics they would couple all points of a batch.

The bias is ‖E ∇J_B − ∇J‖/‖∇J‖ over many batches, ∇J with the population's statistics over the grid (its estimates by the same
points are taken away, which leaves less noise), beside the closed form of the chapter's model λ/4 (γx̂)⁴: −6λγ³/(m + 1), whose
relative size is 2/(m + 1).
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from vpinn.process import settle_process

WIDTH, LAYERS, EPSILON = 20, 2, 1e-5
RATES = (3e-3, 1e-2)
GRID = {1: 512, 2: 24}
"""Midpoints per axis that stand for the population."""
Statistics = list[tuple[Tensor, Tensor]]
KINDS = ("none", "batch", "population")


def initial(d: int, seed: int) -> list[Tensor]:
    """Return weights by Glorot's rule, and scales γ = 1 and shifts β = 0 of every hidden layer."""
    generator = torch.Generator().manual_seed(seed)
    sizes, found = [d, *[WIDTH] * LAYERS, 1], []
    for fan_in, fan_out in itertools.pairwise(sizes):
        found.append(math.sqrt(2.0 / (fan_in + fan_out)) * torch.randn(fan_in, fan_out, generator=generator, dtype=torch.float64))
        found.append(torch.zeros(fan_out, dtype=torch.float64))
    for _ in range(LAYERS):
        found += [torch.ones(WIDTH, dtype=torch.float64), torch.zeros(WIDTH, dtype=torch.float64)]
    return [p.requires_grad_() for p in found]


def solution(
    parameters: Sequence[Tensor], x: Tensor, statistics: Statistics | None, own: bool
) -> tuple[Tensor, Tensor, Statistics]:
    """Return u [n], ∇u [n, d] and the statistics used: the points' own, those given, or none at all."""
    d = x.shape[1]
    values, slopes, used = 2.0 * x - 1.0, [2.0 * e.expand(len(x), d) for e in torch.eye(d, dtype=x.dtype)], []
    for layer in range(LAYERS):
        weight, bias = parameters[2 * layer], parameters[2 * layer + 1]
        values, slopes = values @ weight + bias, [s @ weight for s in slopes]
        if own or statistics is not None:
            mean, variance = (values.mean(0), values.var(0, unbiased=False)) if statistics is None else statistics[layer]
            used.append((mean, variance))
            gamma, beta = parameters[2 * (LAYERS + 1) + 2 * layer :][:2]
            factor = gamma / (variance + EPSILON).sqrt()
            values, slopes = (values - mean) * factor + beta, [s * factor for s in slopes]
        values = values.tanh()
        slopes = [(1.0 - values**2) * s for s in slopes]
    weight, bias = parameters[2 * LAYERS], parameters[2 * LAYERS + 1]
    network, gradient = (values @ weight + bias)[:, 0], torch.stack([(s @ weight)[:, 0] for s in slopes], 1)
    bubble = (4.0 * x * (1.0 - x)).prod(1)
    rim = torch.stack(
        [4.0 * (1.0 - 2.0 * x[:, k]) * (4.0 * x * (1.0 - x))[:, [j for j in range(d) if j != k]].prod(1) for k in range(d)], 1
    )
    return bubble * network, bubble[:, None] * gradient + rim * network[:, None], used


def exact(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return sin 3πx or Π sin 2πx_k [n], its gradient [n, d] and −Δ of it [n]."""
    d, w = x.shape[1], math.pi * (3.0 if x.shape[1] == 1 else 2.0)
    u = (w * x).sin().prod(1)
    slope = torch.stack(
        [w * (w * x[:, k]).cos() * (w * x[:, [j for j in range(d) if j != k]]).sin().prod(1) for k in range(d)], 1
    )
    return u, slope, d * w**2 * u


def grid(d: int) -> Tensor:
    """Return midpoints of a fine grid [n, d]."""
    line = (torch.arange(GRID[d], dtype=torch.float64) + 0.5) / GRID[d]
    return torch.cartesian_prod(*[line] * d).reshape(-1, d)


def energy(parameters: Sequence[Tensor], x: Tensor, kind: str, whole: Tensor) -> Tensor:
    """Return the mean of ½|∇u|² − f u over points, with the normalisation of a kind."""
    statistics = solution(parameters, whole, None, True)[2] if kind == "population" else None
    u, slope, _ = solution(parameters, x, statistics, kind == "batch")
    return (0.5 * (slope**2).sum(1) - exact(x)[2] * u).mean()


def error(parameters: Sequence[Tensor], kind: str, points: Tensor, whole: Tensor) -> float:
    """Return ‖∇(u − u*)‖/‖∇u*‖ over points, with the population's statistics; "batch" with those of the points themselves."""
    with torch.no_grad():
        statistics = solution(parameters, whole, None, True)[2] if kind == "population" else None
        slope = solution(parameters, points, statistics, kind == "batch")[1]
        true = exact(points)[1]
        return float((slope - true).norm() / true.norm())


def trained(d: int, kind: str, rate: float, steps: int, batch: int, seed: int) -> tuple[list[Tensor], float]:
    """Return parameters after some steps of Adam, and milliseconds of processor time per step."""
    parameters, whole, generator = initial(d, seed), grid(d), torch.Generator().manual_seed(1000 + seed)
    optimiser = torch.optim.Adam(parameters, lr=rate)
    course = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    began = time.process_time()
    for _ in range(steps):
        optimiser.zero_grad()
        energy(parameters, torch.rand(batch, d, generator=generator, dtype=torch.float64), kind, whole).backward()
        optimiser.step()
        course.step()
    return parameters, 1e3 * (time.process_time() - began) / steps


def bias(parameters: Sequence[Tensor], d: int, batch: int, draws: int) -> tuple[float, float]:
    """Return ‖E ∇J_B − ∇J‖/‖∇J‖ minus the contribution of its noise, and that noise."""
    whole, generator, rows = grid(d), torch.Generator().manual_seed(7), []

    def gradient(points: Tensor, kind: str) -> Tensor:
        found = torch.autograd.grad(energy(parameters, points, kind, whole), list(parameters), allow_unused=True)
        return torch.cat(
            [torch.zeros_like(p).ravel() if g is None else g.ravel() for p, g in zip(parameters, found, strict=True)]
        )

    for _ in range(draws):
        points = torch.rand(batch, d, generator=generator, dtype=torch.float64)
        rows.append(gradient(points, "batch") - gradient(points, "population"))
    gap, size = torch.stack(rows), float(gradient(whole, "population").norm())
    square, noise = float((gap.mean(0) ** 2).sum()), float(gap.var(0).sum()) / draws
    return math.sqrt(max(square - noise, 0.0)) / size, math.sqrt(noise) / size


def model_bias(batch: int, draws: int) -> float:
    """Return the measured bias of ∂/∂γ λ/4 (γx̂)⁴ over its value 3λγ³ by draws of batches; −2/(m + 1) by the closed form."""
    x = torch.randn(draws, batch, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    normal = (x - x.mean(1, keepdim=True)) / x.std(1, unbiased=False, keepdim=True)
    return float((normal**4).mean()) / 3.0 - 1.0


def median(values: Sequence[float]) -> float:
    """Return the median of some numbers."""
    return float(torch.tensor(values, dtype=torch.float64).quantile(0.5))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--dimension", type=int, choices=(1, 2), action="append")
    options = parser.parse_args()
    settle_process()
    for d in options.dimension or (1, 2):
        whole, kept = grid(d), {}
        points = torch.rand(options.batch, d, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        print(f"{d}-D: {options.steps} steps of {options.batch} points, {options.seeds} seeds; relative error in the energy norm")
        print(f"{'':>12} {'rate':>6} {'median':>9} {'least':>9} {'most':>9} {'ms/step':>8}  evaluated with a batch's statistics")
        for kind in KINDS:
            found = []
            for rate in RATES:
                runs = [trained(d, kind, rate, options.steps, options.batch, seed) for seed in range(options.seeds)]
                errors = [error(p, "none" if kind == "none" else "population", whole, whole) for p, _ in runs]
                found.append((median(errors), rate, errors, runs))
            middle, rate, errors, runs = min(found, key=lambda entry: entry[0])
            kept[kind], ms = runs[0][0], median([spent for _, spent in runs])
            drawn = "" if kind == "none" else f"{median([error(p, 'batch', points, whole) for p, _ in runs]):.1e}"
            print(f"{kind:>12} {rate:6.0e} {middle:9.1e} {min(errors):9.1e} {max(errors):9.1e} {ms:8.2f}  {drawn}", flush=True)
        for name, parameters in (("at the start", initial(d, 0)), ("after training with batches", kept["batch"])):
            for m in (16, 64, 256):
                value, noise = bias(parameters, d, m, options.draws)
                print(f"  bias {name}, m = {m:3d}: {value:.2e} ± {noise:.0e} of ‖∇J‖; 2/(m + 1) = {2 / (m + 1):.2e}", flush=True)
    for m in (16, 64, 256):
        print(f"the chapter's model, m = {m:3d}: {model_bias(m, 20_000):+.4f} measured, {-2 / (m + 1):+.4f} by −6λγ³/(m + 1)")


if __name__ == "__main__":
    main()
