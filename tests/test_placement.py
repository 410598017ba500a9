"""Test that every tensor is made on an explicit device, and that a missing device is reported."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import vpinn
from vpinn.cli import app
from vpinn.domain import Hypercube, Mesh, rectangle
from vpinn.features import Direct
from vpinn.objective import make_objective
from vpinn.optimization import final_parameters, train
from vpinn.optimization.plan import METHODS
from vpinn.optimization.torch_optim import PREFIX
from vpinn.placement import DEVICES, HERE, HOST, Placement, host, wide
from vpinn.problem import FORMULATIONS, Problem, template
from vpinn.sampling import SAMPLERS
from vpinn.solving import prepare
from vpinn.trial import Near, make_trial
from vpinn.trial.activation import ACTIVATIONS

ROOT = Path(vpinn.__file__).parent
FACTORIES = {
    *("arange", "as_tensor", "asarray", "empty", "eye", "full", "linspace", "logspace", "ones", "rand", "randint", "randn"),
    *("randperm", "scalar_tensor", "sparse_coo_tensor", "sparse_csr_tensor", "tensor", "tril_indices", "triu_indices", "zeros"),
}
"""What of torch makes tensors on the default device where none is given."""
SQUARE = rectangle(cells=3, cell="quadrilateral")
STATED: dict[str, dict[str, Any]] = {
    "energy": {"energy": "(0.5*(1 + u**2)*inner(grad(u), grad(u)) - sin(3*x)*u)*dx"},
    "weak": {"weak": "((1 + x)*inner(grad(u), grad(v)) + u**3*v - v)*dx", "test_space": {"degree": 3}},
    "strong": {"strong": "-div(grad(u)) + u**3 - 1"},
}
NEEDS: dict[str, dict[str, Any]] = {
    "spring": {"size": 40},
    "langevin": {"size": "full"},
}
"""Method → the batch that it asks for."""


def problem_of(name: str, method: str, domain: Mesh | Hypercube = SQUARE, **sections: Any) -> Problem:
    direct = {"least-squares": {"features": 60}, "elements": {"tolerance": 1e-2}}
    solver = {"method": method, **direct.get(method, {"steps": 4}), **sections.pop("solver", {})}
    return vpinn.make_problem(
        domain,
        unknowns={"u": "scalar"},
        boundary=[{"on": "left", "value": "y"}],
        **{"network": {"layers": [8, 8]}, **STATED[name], "solver": solver, **sections},
    )


@pytest.fixture
def meta() -> Iterator[None]:
    """Set torch's default device to one without memory, so that tensors made without a device have no values."""
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


def solved(problem: Problem) -> None:
    """Solve a problem, including preparation and assessment."""
    solution = vpinn.solve(problem, threads=1)
    assert solution.theta.device == HOST
    assert bool(torch.isfinite(solution.theta).all())
    assert solution.metrics["device"] == "cpu"


def stepped(problem: Problem) -> None:
    """Take the steps of a problem's method, or solve the problem if its method takes none."""
    setup = prepare(problem)
    if isinstance(setup.plan.method, Direct):
        return solved(problem)
    found = train(setup.objective, setup.start(), setup.plan)
    assert found.step == setup.plan.schedule.steps
    assert found.theta.device == HOST
    assert bool(torch.isfinite(found.theta).all())
    final_parameters(setup.objective, found)
    return None


@pytest.mark.usefixtures("meta")
@pytest.mark.parametrize("method", [name for name in METHODS if not name.startswith(PREFIX)])  # torch makes its own tensors
@pytest.mark.parametrize("name", FORMULATIONS)
def test_methods_name_their_devices(name: str, method: str) -> None:
    """Some steps of every method on every formulation."""
    if (name, method) in (("energy", "spring"), ("strong", "elements")):
        pytest.skip("refused as such")
    batch = NEEDS.get(method, {"size": "full"})
    if name == "weak" and batch["size"] != "full":
        batch["estimator"] = "plain"
    stepped(problem_of(name, method, batch=batch))


@pytest.mark.usefixtures("meta")
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name == "weak" else pytest.mark.slow) for name in FORMULATIONS])
def test_samplers_name_their_devices(name: str, sampler: str) -> None:
    """Adam on batches with what a run finds out by itself: their size, warm-up, clipping."""
    batch = {"sampler": sampler, "size": "auto"}
    stepped(problem_of(name, "adam", batch=batch, solver={"warmup": "auto", "clip": "auto", "steps": 25}))


@pytest.mark.usefixtures("meta")
@pytest.mark.parametrize(
    "sections",
    [
        {"batch": {"size": 40, "sampler": "stratified", "allocation": "neyman", "strata": "gradient"}},
        {"batch": {"size": 40, "estimator": "u-statistic", "sampler": "uniform"}},
        {"batch": {"size": 40, "estimator": "two-batch", "growth": "norm-test"}},
        {"batch": {"size": 40}, "solver": {"method": "gauss-newton", "steps": 3}},
        {"quadrature": {"rule": "stochastic-gauss", "refine": 1}, "batch": {"size": 40, "sampler": "cells"}},
        pytest.param(
            {"batch": {"size": 60}, "solver": {"method": "langevin", "temperature": 1e-4, "steps": 12}}, marks=pytest.mark.slow
        ),
        {"solver": {"precision": "float32"}},
    ],
    ids=["strata", "u-statistic", "growth", "gauss-newton", "random points", "langevin", "single precision"],
)
def test_choices_name_their_devices(sections: dict[str, Any]) -> None:
    solver = {"method": "adam", **sections.get("solver", {})}
    stepped(problem_of("weak", solver.pop("method"), **{**sections, "solver": solver}))


@pytest.mark.usefixtures("meta")
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_name_their_devices(activation: str) -> None:
    stepped(problem_of("energy", "adam", network={"layers": [8], "activation": activation}))


@pytest.mark.usefixtures("meta")
@pytest.mark.slow
def test_hypercubes_and_runs_that_go_on_name_their_devices(tmp_path: Path) -> None:
    cube = Hypercube((0.0,) * 4, (1.0,) * 4)
    solved(problem_of("strong", "adam", cube, quadrature={"points": 300}))
    solved(problem_of("weak", "adam", batch={"size": 40}))
    for steps in (4, 6):
        vpinn.solve(problem_of("energy", "lbfgs", solver={"steps": steps}), tmp_path, resume=steps > 4, threads=1)


def test_the_net_holds(meta: None) -> None:
    assert torch.zeros(1).is_meta
    assert HERE.put(np.ones(2)).device == HOST
    assert wide(torch.ones(2, dtype=torch.float32, device=HOST)).dtype == torch.float64


def calls(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that make tensors without a device, or name one."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FACTORIES:
            module = node.func.value
            if isinstance(module, ast.Name) and module.id == "torch" and "device" not in {key.arg for key in node.keywords}:
                yield node.lineno, f"torch.{node.func.attr} without device="
        named = [*node.args, *(key.value for key in node.keywords)] if isinstance(node, ast.Call) else []
        for value in named:
            if isinstance(value, ast.Constant) and value.value in DEVICES:
                yield node.lineno, f"names {value.value}"
        if isinstance(node, ast.Attribute) and node.attr in ("cuda", "mps", "numpy") and not _module(node):
            yield node.lineno, f"moves data by .{node.attr}"


def _module(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("torch", "np")


def test_no_line_but_one_place_names_a_device() -> None:
    """Tensors are made with ``device=``; .numpy() and names of devices stand in ``vpinn.placement`` alone."""
    found = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in sorted(ROOT.rglob("*.py"))
        if path != ROOT / "placement.py"
        for line, what in calls(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize("text", ["torch.zeros(3)", "x.cuda()", "x.numpy()", 'torch.device("cuda")', "torch.eye(2, dtype=d)"])
def test_such_lines_are_found(text: str) -> None:
    assert len(list(calls(text))) == 1


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    file = tmp_path / "line.toml"
    file.write_text(template("line"))
    missing = next(name for name, found in DEVICES.items() if not found())
    absent = f"torch finds no device '{missing}' on this machine; it has cpu"
    for command in (["solve"], ["check"], ["compare", "--seconds", "1"]):
        for device, text in ((missing, absent), ("tpu", "a device is one of cpu, cuda, mps, got 'tpu'")):
            arguments = [command[0], str(file), *command[1:], "--device", device]
            with pytest.raises(vpinn.InputError, match=re.escape(text)) as caught:
                CliRunner().invoke(app, arguments, catch_exceptions=False, standalone_mode=False)
            assert caught.value.exit_code == 2
            assert caught.value.where == "--device"
            assert "\n" not in str(caught.value)


def test_precision_that_a_device_lacks_is_told() -> None:
    """Metal has no float64."""
    metal = Placement(torch.device("mps"))
    with pytest.raises(vpinn.InputError, match=r'"mps" has no float64; set solver\.precision = "float32"'):
        metal.precise("float64")
    assert metal.precise("float32").dtype == torch.float32
    assert metal.home == HERE


def test_the_way_there_and_back() -> None:
    """Whole numbers stay whole, others get the precision of training; on the host nothing is copied."""
    single = Placement(dtype=torch.float32, threads=2)
    assert single.put(np.arange(3)).dtype == torch.int64
    assert single.put(np.ones(3)).dtype == torch.float32
    values = np.ones(3)
    assert np.shares_memory(host(HERE.put(values)), values)
    tensor = torch.ones(3, dtype=torch.float64)
    assert wide(tensor) is tensor
    assert single.told == {"threads": 2, "device": "cpu", "workers": 1}


@pytest.mark.slow
def test_a_run_goes_on_where_it_worked(tmp_path: Path) -> None:
    """Where threads or device differ, the run is refused; the place is in run.json."""
    problem = problem_of("energy", "adam")
    vpinn.solve(problem, tmp_path, threads=1, device="cpu")
    text = (tmp_path / "run.json").read_text()
    assert '"device": "cpu"' in text
    (tmp_path / "run.json").write_text(text.replace('"device": "cpu"', '"device": "cuda"'))
    with pytest.raises(vpinn.InputError, match="--device was cuda, now it is cpu; resume with --device cuda"):
        vpinn.solve(problem, tmp_path, threads=1, resume=True)


PULLED = [*itertools.product(FORMULATIONS, ACTIVATIONS), ("weak", "near")]


@pytest.mark.parametrize(("name", "kind"), PULLED)
def test_what_a_step_takes_is_where_it_works(name: str, kind: str) -> None:
    """Integrands, residuals, their dual norm, gradients and drawn points of a placement elsewhere: nothing of the host gets in.

    The other place is one without memory, where arithmetic that mixes devices is refused, and nothing has a value to come back.
    Indices of the host are not refused.
    """
    there = Placement(torch.device("meta"))
    network = {"layers": [8, 8], "activation": kind if kind in ACTIVATIONS else "tanh"}
    problem = problem_of(name, "adam", network=network)
    trial = make_trial(problem)
    if kind == "near":
        trial = replace(trial, network=Near.restored(trial.network, [(0.5, 0.5, 0.1, 0.0, 1.0)]))
    objective = make_objective(problem, trial, there)
    theta = trial.network.initial(torch.Generator().manual_seed(0)).to(there.device)
    for measure in objective.measures:
        index = np.arange(0, measure.points.size, 3)
        for points in (*measure.whole(measure.points.size), measure.batch(index, np.full(len(index), 3.0))):
            jets, pullback = measure.record(theta, points)
            density, coefficients = measure.evaluate(points, jets)
            residual = dual = None
            if measure.contraction is not None and points.frame is not None and objective.test_space is not None:
                w, frame, aligned = points.w, points.frame, points.aligned
                residual = measure.contraction.assemble(measure.tests, coefficients, w, frame, aligned, objective.outputs)
                dual = objective.test_space.riesz(residual)
            value, gradient = measure.pull_back(points, (jets, pullback), dual)
            made = (density, *coefficients, residual, dual, value, gradient)
            assert all(each.device == there.device for each in made if isinstance(each, torch.Tensor))
            assert gradient.shape == theta.shape
