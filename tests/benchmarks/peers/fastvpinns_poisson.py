r"""Time FastVPINNs 1.0.2, the peer of the speed benchmark, on the Poisson equation of the unit square.

The problem is -Δu = f with u = -sin(2πx) sin(2πy) and u = 0 on the boundary. The network is 2-30-30-30-1 with
tanh, trained in float32 by Adam at 1e-3 with a boundary penalty of 10 on 400 points. Everything between the
arguments and the JSON line is FastVPINNs' stock code: its mesh, its test functions, its DenseModel and that model's
``train_step``, a ``tf.function`` as it ships. This script doesn't import vpinn.

FastVPINNs needs an interpreter of its own, since it asks for releases that a current environment doesn't have, and its
declared dependencies don't install together. With Python 3.11, and for gmsh the system's libglu1-mesa, libxcursor1, libxft2
and libxinerama1::

    python3.11 -m venv peer
    peer/bin/pip install tensorflow-cpu==2.13.0 numpy==1.23.5 pandas==1.5.3 scipy==1.10.1 matplotlib==3.7.5 \
        gmsh==4.11.0 meshio==5.3.4 rich==12.5.1 tqdm==4.66.2
    peer/bin/pip install --no-deps pyDOE==0.3.8 fastvpinns==1.0.2
    peer/bin/python fastvpinns_poisson.py --points 6400 --threads 1

Cells: unless ``--cells`` says otherwise, each cell has 20 x 20 Gauss-Lobatto points, so 400, 1600, 6400 and 25600
points are 1, 2, 4 and 8 cells a side. Tests: ``--tests`` is their ``fe_order``, the number of test functions per cell
in each direction. Its default, 6, and the kinds of basis and quadrature are those of their uniform-mesh Poisson example.

One JSON object on one line of stdout is the result; whatever FastVPINNs, TensorFlow and gmsh print goes to stderr.
"""

import argparse
import json
import math
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

OMEGA = 2.0 * math.pi
LAYERS = [2, 30, 30, 30, 1]
RATE = {"initial_learning_rate": 1e-3, "use_lr_scheduler": False, "decay_steps": 1000, "decay_rate": 0.99}
PENALTY = 10.0
BOUNDARY_POINTS = 400
GRID = 100
POINTS_PER_SIDE = 20
SIDES = (1000, 1001, 1002, 1003)  # the tags that FastVPINNs gives to the sides of its own meshes


def arguments() -> argparse.Namespace:
    """Read the command line and settle the number of cells and of quadrature points per cell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=6400, help="quadrature points in all, a square number")
    parser.add_argument("--cells", type=int, help="cells a side (default: 20 x 20 points in each cell)")
    parser.add_argument("--tests", type=int, default=6, help="test functions per cell and direction")
    parser.add_argument("--threads", type=int, default=1, help="intra-op and inter-op threads of TensorFlow")
    parser.add_argument("--warmup", type=int, default=50, help="steps before the timing, the tracing among them")
    parser.add_argument("--steps", type=int, default=200, help="timed steps in each repeat")
    parser.add_argument("--repeats", type=int, default=5, help="repeats of the timed steps")
    parser.add_argument("--train", type=int, help="go on to this many steps in all and measure the error")
    parser.add_argument("--seed", type=int, default=0, help="seed of the weights and of the boundary points")
    options = parser.parse_args()
    side = math.isqrt(options.points)
    if options.cells is None:
        options.cells = max(1, side // POINTS_PER_SIDE)
    options.quadrature = side // options.cells
    if (options.cells * options.quadrature) ** 2 != options.points:
        parser.error(f"{options.points} points do not fill {options.cells} x {options.cells} cells, each with a square of them")
    if min(options.warmup, options.steps, options.repeats) < 1:
        parser.error("--warmup, --steps and --repeats are at least 1")
    taken = options.warmup + options.steps * options.repeats
    if options.train is not None and options.train < taken:
        parser.error(f"--train {options.train} is fewer than the {taken} steps of the warm-up and the timing")
    return options


def peak_memory_mb() -> float:
    """Return the peak resident memory in MB; Linux gives it in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def build(options: argparse.Namespace, folder: str) -> tuple[Any, Callable[[], Any], dict[str, float]]:
    """Set up the problem as in their Poisson example; return the model, its training step, and the seconds it took."""
    import numpy as np
    import tensorflow as tf
    from fastvpinns.data.datahandler2d import DataHandler2D
    from fastvpinns.FE.fespace2d import Fespace2D
    from fastvpinns.Geometry.geometry_2d import Geometry_2D
    from fastvpinns.model.model import DenseModel
    from fastvpinns.physics.poisson2d import pde_loss_poisson

    start = time.perf_counter()
    # The mesh also writes a gmsh mesh of GRID x GRID for plots, which their examples can't do without.
    domain = Geometry_2D("quadrilateral", "internal", GRID, GRID, folder)
    cells, boundary = domain.generate_quad_mesh_internal([0, 1], [0, 1], options.cells, options.cells, BOUNDARY_POINTS)
    meshed = time.perf_counter()
    space = Fespace2D(
        mesh=domain.mesh,
        cells=cells,
        boundary_points=boundary,
        cell_type=domain.mesh_type,
        fe_order=options.tests,
        fe_type="legendre",
        quad_order=options.quadrature,
        quad_type="gauss-jacobi",
        fe_transformation_type="bilinear",
        bound_function_dict=dict.fromkeys(SIDES, lambda x, y: np.zeros_like(x)),
        bound_condition_dict=dict.fromkeys(SIDES, "dirichlet"),
        forcing_function=lambda x, y: -2.0 * OMEGA**2 * np.sin(OMEGA * x) * np.sin(OMEGA * y),
        output_path=folder,
        generate_mesh_plot=False,
    )
    data = DataHandler2D(space, domain, tf.float32)
    coefficients = data.get_bilinear_params_dict_as_tensors(lambda: {"eps": 1.0})
    model = DenseModel(
        layer_dims=LAYERS,
        learning_rate_dict=RATE,
        params_dict={"n_cells": space.n_cells},
        loss_function=pde_loss_poisson,
        input_tensors_list=[data.x_pde_list, *data.get_dirichlet_input()],
        orig_factor_matrices=[data.shape_val_mat_list, data.grad_x_mat_list, data.grad_y_mat_list],
        force_function_list=data.forcing_function_list,
        tensor_dtype=tf.float32,
        activation="tanh",
    )
    step = partial(model.train_step, beta=tf.constant(PENALTY, tf.float32), bilinear_params_dict=coefficients)
    return model, step, {"setup_seconds": time.perf_counter() - start, "mesh_seconds": meshed - start}


def timed(step: Callable[[], Any], steps: int) -> list[float]:
    """Return the seconds of each of some steps; reading the loss ensures that a step is over when its time is taken."""
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        step()["loss"].numpy()
        seconds.append(time.perf_counter() - start)
    return seconds


def relative_error(model: Any) -> float:
    """Return the relative L2 error against the exact solution on a GRID x GRID grid."""
    import numpy as np

    x, y = (axis.ravel() for axis in np.meshgrid(*[np.linspace(0.0, 1.0, GRID)] * 2))
    exact = -np.sin(OMEGA * x) * np.sin(OMEGA * y)
    found = model(np.column_stack([x, y]).astype(np.float32)).numpy().ravel()
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Build the problem, time its training steps, and train it to the end if asked to."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    tf.keras.utils.set_random_seed(options.seed)
    imported_mb = peak_memory_mb()
    with tempfile.TemporaryDirectory() as folder:
        model, step, setup = build(options, folder)
    first = timed(step, options.warmup)[0]
    repeats = [timed(step, options.steps) for _ in range(options.repeats)]
    memory_mb = peak_memory_mb()
    taken = options.warmup + options.steps * options.repeats
    if options.train is not None:
        timed(step, options.train - taken)
        taken = options.train
    return {
        "tool": "fastvpinns",
        "version": version("fastvpinns"),
        "tensorflow": tf.__version__,
        "points": options.points,
        "cells": options.cells**2,
        "tests_per_cell": options.tests**2,
        "points_per_cell": options.quadrature**2,
        "boundary_points": BOUNDARY_POINTS,
        "threads": options.threads,
        "seconds_per_step": statistics.median(second for seconds in repeats for second in seconds),
        "repeat_medians": [statistics.median(seconds) for seconds in repeats],
        **setup,
        "first_step_seconds": first,
        "peak_memory_mb": memory_mb,
        "imported_memory_mb": imported_mb,
        "steps_taken": taken,
        "relative_l2": None if options.train is None else relative_error(model),
    }


def main() -> None:
    """Run the benchmark with stdout redirected to stderr, then print the result on stdout."""
    options = arguments()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("MPLBACKEND", "Agg")
    with os.fdopen(os.dup(1), "w") as out:  # gmsh prints from C++, so the descriptor is what has to be turned
        os.dup2(2, 1)
        sys.stdout.flush()
        print(json.dumps(measure(options)), file=out)


if __name__ == "__main__":
    main()
