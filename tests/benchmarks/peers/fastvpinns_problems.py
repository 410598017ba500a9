"""Measure error against time of FastVPINNs 1.0.2 on the problems of ``error_against_time.py``: Adam at 1e-3 in float32.

The network is 2-30-30-30-1 with tanh; boundary values are weighted by 10 on 400 points or more, as in FastVPINNs' own examples.
The square is one cell of 20 × 20 points with 6 × 6 tests; the L-shape twelve cells of 10 × 10 points with 4 × 4 tests; the plate
192 quadrilaterals with straight edges, 5 × 5 points and 3 × 3 tests each. Space, loss and training step are FastVPINNs' stock
code; of the nonlinear problem the term ∫ u³ v is added to their loss for Poisson's equation. On the plate the error stays above
0.5 with penalties from 10 to 1,000 and with 6 × 6 tests in 48 cells as well: tests that vanish around each cell do not see the
flux from one cell to the next. Weights are stored during training and evaluated afterwards. Prints one JSON line like
``error_own.py``; ``fastvpinns_poisson.py`` says how to set up the interpreter.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from error_problems import l_shape_solution, measuring_points, plate_grid

LAYERS, PENALTY, SNAPSHOTS = [2, 30, 30, 30, 1], 10.0, 60
RATE = {"initial_learning_rate": 1e-3, "use_lr_scheduler": False, "decay_steps": 1000, "decay_rate": 0.99}
SETTINGS = {"poisson": (6, 20), "nonlinear": (6, 20), "plate": (3, 5), "l-shape": (4, 10)}
"""Tests and points per cell and direction."""


def box(left: float, bottom: float, side: float) -> list[list[float]]:
    """Return the corners of a square, counter-clockwise."""
    return [[left, bottom], [left + side, bottom], [left + side, bottom + side], [left, bottom + side]]


def domain(name: str) -> tuple[Any, Any]:
    """Return cells [n, 4, 2] and boundary points [m, 2]."""
    if name == "plate":
        vertices, quads, square, holes = plate_grid(4)
        ends = vertices[np.concatenate([square, holes])]
        share = np.linspace(0, 1, 5)[:-1, None, None]
        return vertices[quads], ((1 - share) * ends[:, 0] + share * ends[:, 1]).reshape(-1, 2)
    if name == "l-shape":
        corners = np.array([[0, 0], [1, 0], [1, 1], [-1, 1], [-1, -1], [0, -1]], dtype=float)
        lower = [(0.5 * i, 0.5 * j) for i in range(-2, 2) for j in range(-2, 2) if i < 0 or j >= 0]
        cells = np.array([box(x, y, 0.5) for x, y in lower])
    else:
        corners, cells = np.array(box(0, 0, 1.0)), np.array([box(0, 0, 1.0)])
    ends = np.roll(corners, -1, axis=0)
    sides = []
    for start, end in zip(corners, ends, strict=True):
        share = np.linspace(0, 1, int(100 * np.abs(end - start).sum()) + 1)[:-1, None]
        sides.append((1 - share) * start + share * end)
    return cells, np.concatenate(sides)


def source(name: str, x: Any, y: Any) -> Any:
    """Return the right side f."""
    if name == "poisson":
        return -8 * np.pi**2 * np.sin(2 * np.pi * x) * np.sin(2 * np.pi * y)
    if name == "nonlinear":
        s = np.sin(np.pi * x) * np.sin(2 * np.pi * y)
        return 5 * np.pi**2 * s + s**3
    return np.zeros_like(x)


def value(name: str, x: Any, y: Any) -> Any:
    """Return the boundary value."""
    if name == "plate":
        return 1.0 if max(abs(x), abs(y)) > 0.5 - 1e-9 else 0.0
    if name == "l-shape":
        return l_shape_solution(x, y)
    return 0.0


def build(name: str, folder: str) -> tuple[Any, Any]:
    """Return model and training step."""
    import tensorflow as tf
    from fastvpinns.data.datahandler2d import DataHandler2D
    from fastvpinns.FE.fespace2d import Fespace2D
    from fastvpinns.model.model import DenseModel
    from fastvpinns.physics.poisson2d import pde_loss_poisson

    @tf.function
    def nonlinear_loss(test_shape_val_mat: Any, pred_nn: Any, forcing_function: Any, **others: Any) -> Any:
        cube = tf.transpose(tf.linalg.matvec(test_shape_val_mat, pred_nn**3))
        return pde_loss_poisson(
            test_shape_val_mat=test_shape_val_mat, pred_nn=pred_nn, forcing_function=forcing_function - cube, **others
        )

    cells, boundary = domain(name)
    tests, points = SETTINGS[name]
    space = Fespace2D(
        mesh=None,
        cells=cells,
        boundary_points={1000: boundary},
        cell_type="quadrilateral",
        fe_order=tests,
        fe_type="legendre",
        quad_order=points,
        quad_type="gauss-jacobi",
        fe_transformation_type="bilinear",
        bound_function_dict={1000: lambda x, y: value(name, x, y)},
        bound_condition_dict={1000: "dirichlet"},
        forcing_function=lambda x, y: source(name, x, y),
        output_path=folder,
        generate_mesh_plot=False,
    )
    data = DataHandler2D(space, None, tf.float32)
    model = DenseModel(
        layer_dims=LAYERS,
        learning_rate_dict=RATE,
        params_dict={"n_cells": space.n_cells},
        loss_function=nonlinear_loss if name == "nonlinear" else pde_loss_poisson,
        input_tensors_list=[data.x_pde_list, *data.get_dirichlet_input()],
        orig_factor_matrices=[data.shape_val_mat_list, data.grad_x_mat_list, data.grad_y_mat_list],
        force_function_list=data.forcing_function_list,
        tensor_dtype=tf.float32,
        activation="tanh",
    )
    coefficients = data.get_bilinear_params_dict_as_tensors(lambda: {"eps": 1.0})
    beta = tf.constant(PENALTY, tf.float32)
    return model, lambda: model.train_step(beta=beta, bilinear_params_dict=coefficients)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Train until the time is over; the tracing of the first step is set-up."""
    began = time.perf_counter()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    tf.keras.utils.set_random_seed(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        model, step = build(options.problem, folder)
    step()["loss"].numpy()
    setup = time.perf_counter() - began
    kept: list[tuple[float, Any]] = []
    spent, mark = 0.0, time.perf_counter()
    while spent < options.seconds:
        step()["loss"].numpy()
        now = time.perf_counter()
        spent, mark = spent + now - mark, now
        if not kept or spent >= kept[-1][0] * (options.seconds / 0.02) ** (1 / SNAPSHOTS):
            kept.append((spent, model.get_weights()))
            mark = time.perf_counter()
    found = measuring_points(options.problem)
    assert found is not None
    x, truth = found
    size = int(sum(w.numpy().size for w in model.trainable_weights))
    points = []
    for at, weights in kept:
        model.set_weights(weights)
        u = model(x.astype(np.float32)).numpy().ravel()
        points.append((at, float(np.linalg.norm(u - truth) / np.linalg.norm(truth)), size))
    return {"setup": setup, "points": points, "version": "1.0.2"}


def main() -> None:
    """Measure, and print only the result on stdout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problem", required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with contextlib.redirect_stdout(sys.stderr):
        result = measure(options)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
