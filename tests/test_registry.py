"""Parts that others add: found by name, checked, and held to their contracts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vpinn
from vpinn import registry
from vpinn.domain import rectangle
from vpinn.errors import InputError
from vpinn.optimization import Adam
from vpinn.problem import schema_json
from vpinn.sampling import SAMPLERS, Choice, Sampler, make_sampler
from vpinn.testing import check_activation, check_sampler
from vpinn.trial import ACTIVATIONS
from vpinn.trial.activation import Sine, Tanh

STATED: dict[str, Any] = {
    "domain": {"shape": "rectangle", "cells": 2},
    "unknowns": {"u": "scalar"},
    "energy": "0.5*inner(grad(u), grad(u))*dx - u*dx",
    "boundary": [{"on": "all", "value": 0}],
    "network": {"layers": [4]},
}


@dataclass(frozen=True)
class Ends(Sampler):
    """Independent draws of all points."""

    def draw(self, generator: np.random.Generator, state: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return indices and scales."""
        index = generator.integers(self.points, size=self.size)
        return index, np.full(self.size, self.points / self.size)

    def variance(self, contributions: np.ndarray, state: Any = None) -> float:
        """Return that of independent draws."""
        return float(self.points**2 * contributions.var() / self.size)


class Biased(Ends):
    """A sampler that never draws the second half of the points."""

    def draw(self, generator: np.random.Generator, state: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return indices and scales."""
        index = generator.integers(self.points // 2, size=self.size)
        return index, np.full(self.size, self.points / self.size)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forget what a test registers."""
    before = {kind: dict(parts) for kind, parts in registry._REGISTERED.items()}
    yield
    for kind, parts in before.items():
        registry._REGISTERED[kind].clear()
        registry._REGISTERED[kind].update(parts)


def test_parts_are_found_by_their_names() -> None:
    """A sampler, an activation, a method and a shape in one problem."""
    vpinn.register("samplers", "ends")(lambda points, size, choice: Ends(points.size, size))
    vpinn.register("activations", "wave")(Sine())
    vpinn.register("methods", "mine")(lambda settings: Adam(beta1=0.8))
    vpinn.register("shapes", "thirds")(lambda cells: rectangle(upper=(1, 3), cells=cells))
    changed = {
        "domain": {"shape": "thirds", "cells": 2},
        "network": {"layers": [4], "activation": "wave"},
        "batch": {"size": 8, "sampler": "ends"},
        "solver": {"method": "mine", "steps": 3},
    }
    solution = vpinn.solve(vpinn.make_problem(**{**STATED, **changed}), threads=1)
    assert solution.metrics["method"] == "adam"  # what the registered function returned
    assert solution.problem.domain.bounds[1].tolist() == [1.0, 3.0]
    assert solution.trial.network.activation == "wave"
    assert "ends" in schema_json()["$defs"]["Batch"]["properties"]["sampler"]["anyOf"][1]["enum"]


def test_names_that_nobody_added_are_refused_as_before() -> None:
    with pytest.raises(InputError, match=r"batch\.sampler must be one of 'uniform', .* got 'unifrom'; did you mean 'uniform'"):
        vpinn.make_problem(**STATED, batch={"size": 8, "sampler": "unifrom"})
    with pytest.raises(InputError, match="parts are of one kind of samplers, activations, methods, shapes, got 'sampler'"):
        vpinn.register("sampler", "mine")
    assert schema_json()["$defs"]["Batch"]["properties"]["sampler"]["anyOf"][1] == {"not": {}}


def test_entry_points_of_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are loaded when they are first used; what cannot be loaded is named."""
    found = {
        "vpinn.samplers": [
            EntryPoint("ends", f"{__name__}:make_ends", "vpinn.samplers"),
            EntryPoint("broken", "nowhere_at_all:part", "vpinn.samplers"),
        ]
    }
    monkeypatch.setattr(registry, "entry_points", lambda group: found.get(group, []))
    problem = vpinn.make_problem(**STATED, batch={"size": 8, "sampler": "ends"})
    assert problem.settings.batch.sampler == "ends"
    assert list(SAMPLERS) == ["uniform", "stratified", "antithetic", "sobol", "importance", "cells"]
    with pytest.raises(InputError, match="'broken' of nowhere_at_all:part cannot be loaded: ModuleNotFoundError"):
        SAMPLERS["broken"]
    with pytest.raises(InputError, match="there is no sampler 'other'"):
        make_sampler("other", problem_points(), 2)


def test_the_contract_of_samplers() -> None:
    check_sampler(lambda points, size: Ends(points.size, size))
    check_sampler(lambda points, size: make_sampler("stratified", points, size))
    check_sampler(lambda points, size: make_sampler("importance", points, size, Choice("importance")))
    with pytest.raises(AssertionError, match="are biased: point"):
        check_sampler(lambda points, size: Biased(points.size, size))


def test_the_sampler_of_the_guide_holds_its_contract() -> None:
    guide = (Path(__file__).parents[1] / "problems" / "README.md").read_text().split("parts of your own", 1)[1]
    exec(re.findall(r"```python\n(.*?)```", guide, re.DOTALL)[0], {"__name__": "guide"})
    check_sampler(lambda points, size: make_sampler("coin", points, size), sizes=(3,))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_contract_of_activations(name: str) -> None:
    check_activation(ACTIVATIONS[name])


def test_a_wrong_derivative_is_found() -> None:
    class Wrong(Tanh):
        def third(self, a: torch.Tensor, z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return 1.01 * super().third(a, z, t)

    with pytest.raises(AssertionError, match="derivative 3 is off by"):
        check_activation(Wrong())


@pytest.mark.parametrize("name", ["NAdam", "RMSprop", "Rprop", "Adadelta", "ASGD"])
def test_optimisers_of_torch_take_their_own_steps(name: str) -> None:
    """Five steps on a bowl are those of the optimiser itself, to the last bit."""
    method = vpinn.optimization.METHODS[f"torch.optim.{name}"](vpinn.make_problem(**STATED).settings)
    theta, state = torch.tensor([1.0, -2.0], dtype=torch.float64), {}

    def bowl(at: torch.Tensor) -> tuple[float, torch.Tensor]:
        return float((at**2).sum()), 2.0 * at

    own = theta.clone().requires_grad_()
    optimizer = getattr(torch.optim, name)([own], lr=0.01)
    for _ in range(5):
        theta, state, _ = method.step(theta, state, vpinn.optimization.Closure(bowl), 0.01, False)
        own.grad = 2.0 * own.detach()
        optimizer.step()
    assert torch.equal(theta, own.detach())
    with pytest.raises(InputError, match=r"solver\.method must be one of"):
        vpinn.make_problem(**STATED, solver={"method": "torch.optim.LBFGS"})


def make_ends(points: Any, size: int, choice: Choice) -> Ends:
    return Ends(points.size, size)


def problem_points() -> Any:
    from vpinn.domain import CellPoints

    return CellPoints(rectangle(cells=2), 2)
