"""Measure error against time of DeepXDE on the problems of ``error_against_time.py``: Adam for a fifth of the time, then L-BFGS.

The network is 2-30-30-30-1 with tanh in float64, as vpinn's there; 2,500 collocation points inside, 400 on the boundary.
Boundary values are built in on the square (x(1 − x)y(1 − y) times the network) and weighted by 100 elsewhere, as DeepXDE's own
examples do. Parameters are stored during training and evaluated afterwards. Prints one JSON line like ``error_own.py``.

DeepXDE needs an environment of its own, with torch's CPU build and numpy::

    python3 -m venv peer && peer/bin/pip install 'torch>=2.10,<2.14' deepxde
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

os.environ["DDE_BACKEND"] = "pytorch"
sys.path.insert(0, str(Path(__file__).parents[1]))
from error_problems import CENTER, RADIUS, l_shape_solution, measuring_points

INSIDE, BOUNDARY, WEIGHT, SNAPSHOTS = 2_500, 400, 100.0, 60


def build(name: str, dde: Any, torch: Any) -> Any:
    """Return the problem in DeepXDE's terms: geometry, equation, boundary conditions, network."""
    if name == "l-shape":
        geometry = dde.geometry.Polygon([[0, 0], [1, 0], [1, 1], [-1, 1], [-1, -1], [0, -1]])
    elif name == "plate":
        geometry = dde.geometry.Rectangle([-0.5, -0.5], [0.5, 0.5])
        for sx, sy in ((1, 1), (-1, 1), (-1, -1), (1, -1)):
            geometry = geometry - dde.geometry.Disk([sx * CENTER, sy * CENTER], RADIUS)
    else:
        geometry = dde.geometry.Rectangle([0, 0], [1, 1])

    def equation(x: Any, u: Any) -> Any:
        laplace = dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1)
        if name == "poisson":
            return -laplace + 8 * np.pi**2 * torch.sin(2 * np.pi * x[:, :1]) * torch.sin(2 * np.pi * x[:, 1:])
        if name == "nonlinear":
            s = torch.sin(np.pi * x[:, :1]) * torch.sin(2 * np.pi * x[:, 1:])
            return -laplace + u**3 - 5 * np.pi**2 * s - s**3
        return -laplace

    def values(x: Any) -> Any:
        if name == "plate":
            return (np.abs(x).max(axis=1, keepdims=True) > 0.5 - 1e-9).astype(float)
        return l_shape_solution(x[:, :1], x[:, 1:])

    network = dde.nn.FNN([2, 30, 30, 30, 1], "tanh", "Glorot uniform")
    conditions = []
    if name in ("poisson", "nonlinear"):
        network.apply_output_transform(lambda x, u: 16 * x[:, :1] * (1 - x[:, :1]) * x[:, 1:] * (1 - x[:, 1:]) * u)
    else:
        conditions = [dde.icbc.DirichletBC(geometry, values, lambda x, on_boundary: on_boundary)]
    data = dde.data.PDE(geometry, equation, conditions, num_domain=INSIDE, num_boundary=BOUNDARY if conditions else 0)
    return dde.Model(data, network), [1, WEIGHT] if conditions else None


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Train until the time is over."""
    began = time.perf_counter()
    import deepxde as dde
    import torch

    torch.set_num_threads(options.threads)
    dde.config.set_default_float("float64")
    dde.config.set_random_seed(options.seed)
    dde.optimizers.config.set_LBFGS_options(maxiter=10**7, ftol=0, gtol=0)
    dde.optimizers.config.LBFGS_options |= {"iter_per_step": 50, "fun_per_step": 62}  # for callbacks in between
    model, weights = build(options.problem, dde, torch)

    class Keep(dde.callbacks.Callback):
        """Stores parameters at geometrically growing times, so that they can be evaluated after training."""

        def __init__(self) -> None:
            super().__init__()
            self.kept: list[tuple[float, Any]] = []
            self.spent, self.limit, self.mark = 0.0, 0.0, 0.0

        def on_epoch_end(self) -> None:
            now = time.perf_counter()
            self.spent, self.mark = self.spent + now - self.mark, now
            if not self.kept or self.spent >= self.kept[-1][0] * (options.seconds / 0.02) ** (1 / SNAPSHOTS):
                self.kept.append((self.spent, copy.deepcopy(self.model.net.state_dict())))
                self.mark = time.perf_counter()
            if self.spent >= self.limit:
                self.model.stop_training = True

    keep = Keep()
    setup = time.perf_counter() - began
    for optimizer, share in (("adam", 0.2), ("L-BFGS", 1.0)):
        arguments = {"lr": 1e-3} if optimizer == "adam" else {}
        model.compile(optimizer, loss_weights=weights, verbose=0, **arguments)
        keep.limit, keep.mark = share * options.seconds, time.perf_counter()
        model.train(iterations=10**9 if optimizer == "adam" else None, callbacks=[keep], display_every=10**9, verbose=0)
        model.stop_training = False
    measured = measuring_points(options.problem)
    assert measured is not None
    x, truth = measured
    points = []
    size = sum(p.numel() for p in model.net.parameters())
    for spent, state in keep.kept:
        model.net.load_state_dict(state)
        found = model.predict(x).ravel()
        points.append((spent, float(np.linalg.norm(found - truth) / np.linalg.norm(truth)), size))
    return {"setup": setup, "points": points, "version": dde.__version__}


def main() -> None:
    """Measure, and print only the result on stdout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problem", required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr):
        result = measure(options)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
