"""Test runs that start from another run: its weights, what was learned from a family, its features, its field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vpinn
from vpinn.errors import InputError
from vpinn.solving import solve
from vpinn.solving.loaded import read_origin

BAR: dict[str, Any] = {
    "domain": {"shape": "interval", "cells": 6},
    "unknowns": {"u": "scalar"},
    "energy": "0.5*(1 + c)*inner(grad(u), grad(u))*dx - 9*sin(3*x)*u*dx",
    "boundary": [{"on": "all", "value": 0}],
    "network": {"layers": [6, 6]},
    "constants": {"c": 0.0},
    "output": {"formats": ["csv"]},
}
FAMILY = {**{name: section for name, section in BAR.items() if name != "constants"}, "parameters": {"c": [0.0, 1.0]}}
BENT = {**BAR, "energy": "0.5*inner(grad(u), grad(u))*dx + 5*u**4*dx - 90*sin(3*x)*u*dx"}


def made(stated: dict[str, Any] = BAR, **solver: Any) -> vpinn.Problem:
    return vpinn.make_problem(**{**stated, "solver": solver})


def written(folder: Path, stated: dict[str, Any] = BAR, **solver: Any) -> Path:
    """Return the problem file of a statement."""

    def shown(value: Any) -> str:
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{key} = {shown(entry)}" for key, entry in value.items()) + " }"
        return f"[{', '.join(map(shown, value))}]" if isinstance(value, list) else json.dumps(value)

    sections = {**{k: v for k, v in stated.items() if k != "energy"}, "form": {"energy": stated["energy"]}, "solver": solver}
    folder.mkdir(exist_ok=True)
    (folder / "a.toml").write_text("\n".join(f"{name} = {shown(section)}" for name, section in sections.items()))
    return folder / "a.toml"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that trained a network."""
    folder = tmp_path_factory.mktemp("trained")
    solve(vpinn.read_problem(written(folder, method="lbfgs", steps=60)), folder / "run", threads=1)
    return folder / "run"


def test_training_starts_from_the_weights_and_scales_of_the_run(trained: Path, tmp_path: Path) -> None:
    before = vpinn.load(trained)
    losses = {}
    for start in (None, trained):
        found = solve(made(method="adam", steps=3, project=0), tmp_path / str(start is None), threads=1, start=start)
        losses[start] = found.history[0, 2]
    assert losses[trained] == pytest.approx(before.metrics["loss"], rel=1e-9)
    assert losses[trained] < losses[None]
    started = vpinn.load(tmp_path / "False", made(method="adam", steps=3, project=0)).trial
    assert started.scales == before.trial.scales


def test_the_shape_of_the_network_is_that_of_the_run(trained: Path) -> None:
    stated = {**BAR, "network": {}}
    assert solve(made(stated, method="adam", steps=1), threads=1, start=trained).trial.network.layers == (1, 6, 6, 1)
    with pytest.raises(InputError, match=r"layers \[1, 6, 6, 1\] of tanh, that of this problem has \[1, 5, 1\]"):
        solve(made({**BAR, "network": {"layers": [5]}}, method="adam", steps=1), threads=1, start=trained)


def test_a_resumed_run_keeps_its_start(trained: Path, tmp_path: Path) -> None:
    file = written(tmp_path, method="adam", steps=4, project=0)
    whole = solve(vpinn.read_problem(file), tmp_path / "whole", threads=1, start=trained)
    half = vpinn.read_problem(file, ["solver.steps=2", "solver.schedule=constant"])
    full = vpinn.read_problem(file, ["solver.schedule=constant"])
    solve(half, tmp_path / "run", threads=1, start=trained)
    resumed = solve(full, tmp_path / "run", threads=1, resume=True)
    again = solve(full, tmp_path / "again", threads=1, start=trained)
    assert torch.equal(resumed.theta, again.theta)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["from"]["sha256"] == read_origin(trained).digest
    with pytest.raises(InputError, match="is another start, or has changed"):
        solve(full, tmp_path / "run", threads=1, resume=True, start=tmp_path / "whole")
    assert len(whole.history) == 4


def test_least_squares_takes_the_features_of_the_run(trained: Path) -> None:
    """The hidden layers stay, and their best combination has no more energy than the trained one."""
    before = vpinn.load(trained)
    found = solve(made(method="least-squares"), threads=1, start=trained)
    last = 7
    assert torch.equal(found.theta[:-last], before.theta[:-last])
    assert found.metrics["energy"] <= before.metrics["energy"] * (1 - 1e-9) or found.metrics["energy"] == before.metrics["energy"]
    assert "features of" in found.metrics["method_reason"]


def test_newtons_method_starts_from_the_field_of_the_run(tmp_path: Path) -> None:
    """Elements take fewer steps from a solution than from zero, to the same end."""
    from vpinn.finite_elements import solve_fem

    problem = made(BENT)
    alone = solve_fem(problem, 3)
    again = solve_fem(problem, 3, start=alone)
    assert again.steps < alone.steps
    assert np.abs(again.values - alone.values).max() < 1e-12


@pytest.mark.slow
def test_a_nonlinear_problem_is_solved_by_elements_from_a_field(tmp_path: Path) -> None:
    solve(vpinn.read_problem(written(tmp_path, BENT, method="elements")), tmp_path / "run", threads=1)
    found = solve(made(BENT), threads=1, start=tmp_path / "run")
    assert found.metrics["method"] == "elements"
    assert found.error_estimate["relative_energy"] < 1e-6


def test_what_cannot_start_from_another_run_is_told(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one step, wherever they start"):
        solve(made(method="elements"), threads=1, start=trained)
    with pytest.raises(InputError, match="only a single steady problem"):
        solve(made(FAMILY), threads=1, start=trained)
    with pytest.raises(InputError, match="holds no run"):
        solve(made(method="adam"), threads=1, start=tmp_path)
    solve(vpinn.read_problem(written(tmp_path, method="elements")), tmp_path / "run", threads=1)
    with pytest.raises(InputError, match="solved by elements, which trains no weights"):
        solve(made(method="adam"), threads=1, start=tmp_path / "run")
    with pytest.raises(InputError, match="has no features for least squares"):
        solve(made(method="least-squares"), threads=1, start=tmp_path / "run")


@pytest.mark.slow
def test_what_was_learned_from_a_family_is_where_members_start(tmp_path: Path) -> None:
    """Training starts from the learned weights, least squares takes the learned features, and folders tell of them."""
    learned = written(tmp_path, FAMILY | {"learn": {"members": 4, "unseen": 0}}, method="reptile", steps=40)
    solve(vpinn.read_problem(learned), tmp_path / "learned", threads=1)
    origin = read_origin(tmp_path / "learned")
    assert not torch.equal(origin.weights, origin.features)
    other = {**BAR, "constants": {"c": 0.37}}
    trained = solve(made(other, method="adam", steps=30, project=0), threads=1, start=tmp_path / "learned")
    alone = solve(made(other, method="adam", steps=30, project=0), threads=1)
    assert trained.error_estimate["relative_energy"] < 0.7 * alone.error_estimate["relative_energy"]
    featured = solve(made(other), threads=1, start=tmp_path / "learned")
    assert featured.metrics["method"] == "least-squares"
    last = 7
    assert torch.equal(featured.theta[:-last], origin.features[:-last])
    assert featured.error_estimate["relative_energy"] < 0.1 * alone.error_estimate["relative_energy"]
    member = vpinn.load(tmp_path / "learned").member({"c": 0.37})
    assert np.allclose(member.evaluate([[0.3]])["u"], featured.evaluate([[0.3]])["u"], rtol=1e-9)
