"""One contract for every way to solve a problem: what is listed in ``WAYS`` gets all tests.

Bad input is one line, a run that dies goes on to the last bit, a signal leaves the outcome so far, rows of the history and
metrics have the same form, all are told of, and time that is up ends them with what they have.
"""

from __future__ import annotations

import csv
import io
import json
import math
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from rich.console import Console

import vpinn
from vpinn.errors import InputError
from vpinn.interrupt import Interrupt
from vpinn.optimization import COLUMNS, Plan, Training, load_arrays
from vpinn.output import TrainingProgress
from vpinn.placement import HERE
from vpinn.problem.numerics import Solver
from vpinn.solving import Hooks, Strategy, solve
from vpinn.solving.strategies import make_strategy

STEADY = {
    "domain": {"shape": "interval", "cells": 3},
    "unknowns": {"u": "scalar"},
    "form": {"energy": "0.5*inner(grad(u), grad(u))*dx - 9*sin(3*x)*u*dx"},
    "boundary": [{"on": "all", "value": 0}],
    "network": {"layers": [4]},
    "output": {"formats": ["csv"]},
}
TIMED = {
    "domain": {"shape": "interval", "cells": 3, "time": [0, 0.1]},
    "unknowns": {"u": "scalar"},
    "form": {"weak": "dt(u)*v*dx + inner(grad(u), grad(v))*dx - v*dx"},
    "boundary": [{"on": "all", "value": 0}, {"on": "initial", "value": "sin(pi*x)"}],
    "output": {"formats": ["csv"], "times": 2},
}
MODES = {
    **{name: section for name, section in STEADY.items() if name != "network"},
    "form": {"weak": "inner(grad(u), grad(v))*dx"},
    "eigen": {"mass": "u*v*dx", "count": 2},
}
FAMILY = {
    **{name: section for name, section in STEADY.items() if name != "network"},
    "parameters": {"k": [1.0, 2.0]},
    "form": {"weak": "k*inner(grad(u), grad(v))*dx + u*v*dx - 9*sin(3*x)*v*dx"},
}
INVERSE = {
    **{name: section for name, section in STEADY.items() if name != "network"},
    "infer": {"k": {"initial": 2.0, "lower": 0.0}},
    "form": {"energy": "0.5*k*inner(grad(u), grad(u))*dx - 9*sin(3*x)*u*dx"},
    "data": [{"observes": "u*dx", "value": 0.5, "noise": 0.01}],
}
STRONG = {**STEADY, "form": {"strong": "-div(grad(u)) - 9*sin(3*x)"}}
CUBE = {**STRONG, "domain": {"shape": "hypercube", "lower": [0]}, "quadrature": {"points": 64}}
MANY = {
    **{name: section for name, section in STRONG.items() if name != "network"},
    "domain": {"shape": "ball", "dimension": 6, "radius": 2.0},
    "form": {"strong": "-div(grad(u)) - sin(x[0] + x[1])"},
}
DRAWN = {"batch": {"size": 8}}
LEARN = {"network": {"layers": [4]}, "batch": {"size": 8}, "learn": {"members": 2, "inner": 2, "unseen": 0}}


@dataclass(frozen=True)
class Way:
    """How a problem is solved.

    Attributes:
        solver: the section.
        problem: the other sections of the problem file.
        more: sections beside or instead of these.
        bad: sections with which it cannot be solved so.
        words: what the line then says.
        kept: whether a run that goes on has the steps or stages before its death.
        files: name → text of a file beside the problem file.
    """

    solver: dict[str, Any]
    bad: dict[str, Any]
    words: str
    problem: dict[str, Any] = field(default_factory=lambda: STEADY)
    more: dict[str, Any] = field(default_factory=dict)
    kept: bool = True
    files: dict[str, str] = field(default_factory=dict)

    def read(self, folder: Path, sections: dict[str, Any] | None = None, **solver: Any) -> vpinn.Problem:
        """Write the problem file and read it."""
        stated = {**self.problem, **self.more, "solver": {**self.solver, "checkpoint": 1e-9, **solver}}
        for name, section in (sections or {}).items():
            stated[name] = {**stated.get(name, {}), **section}
        folder.mkdir(exist_ok=True)
        (folder / "a.toml").write_text(as_toml(stated))
        for name, text in self.files.items():
            (folder / name).write_text(text)
        return vpinn.read_problem(folder / "a.toml")


WAYS: dict[str, Way] = {
    "adam": Way({"method": "adam", "steps": 4, "project": 2}, {"solver": {"clip": "auto"}}, "clip"),
    "adam, drawn": Way({"method": "adam", "steps": 4}, {"batch": {"sampler": "sobol", "per_cell": 1}}, "per_cell", more=DRAWN),
    "sgd": Way({"method": "sgd", "steps": 4}, {"solver": {"temperature": 1.0}}, "langevin", more=DRAWN),
    "annealing": Way(
        {"method": "sgd", "steps": 4, "learning_rate": 1e-3},
        {"solver": {"scaling": "linear"}},
        "logarithmic",
        more={"batch": {"size": 4, "growth": "logarithmic"}},
    ),
    "nadam": Way({"method": "torch.optim.NAdam", "steps": 4}, {"solver": {"momentum": 0.5}}, "momentum", more=DRAWN),
    "langevin": Way({"method": "langevin", "steps": 6}, {"solver": {"population": 8}}, "evolution", more=DRAWN),
    "evolution": Way({"method": "evolution", "steps": 4}, {"solver": {"learning_rate": 1e-3}}, "evolution"),
    "lbfgs": Way({"method": "lbfgs", "steps": 4}, DRAWN, "all points in every step"),
    "broyden": Way({"method": "broyden", "steps": 4}, DRAWN, "all points in every step"),
    "gauss-newton": Way({"method": "gauss-newton", "steps": 4}, {"solver": {"warmup": "auto"}}, "warmup"),
    "spring": Way({"method": "spring", "steps": 4}, {"solver": {"momentum": 0.5}}, "momentum", STRONG, DRAWN),
    "without cells": Way({"method": "lbfgs", "steps": 4}, {"quadrature": {"refine": 1}}, "refine", CUBE),
    "least-squares": Way({"method": "least-squares"}, {"solver": {"steps": 3, "warmup": 3}}, "warmup"),
    "one stage": Way({"method": "least-squares", "features": 20}, {"solver": {"precision": "float32"}}, "float64"),
    "few coordinates": Way({"features": 60}, {"form": {"strong": "-div(grad(u)) - x[6]"}}, "no such component", MANY, kept=False),
    "elements": Way({"method": "elements"}, {"solver": {"features": 20}}, "features", kept=False),
    "eigenvalues": Way({"method": "elements"}, {"solver": {"features": 20}}, "features", MODES, kept=False),
    "reduced": Way({"method": "reduced"}, {"solver": {"features": 20}}, "features", FAMILY, kept=False),
    "reptile": Way({"method": "reptile", "steps": 4}, {"solver": {"features": 20}}, "features", FAMILY, LEARN),
    "maml": Way({"method": "maml", "steps": 4}, {"learn": {"train": "elements"}}, "trains no network", FAMILY, LEARN),
    "inference": Way({"method": "elements"}, {"solver": {"features": 20}}, "features", INVERSE, kept=False),
    "inference in time": Way(
        {"method": "march", "features": 12, "tolerance": 1e-3},
        DRAWN,
        "all points",
        {
            **TIMED,
            "infer": {"k": {"initial": 2.0, "lower": 0.0}},
            "form": {"weak": "dt(u)*v*dx + k*inner(grad(u), grad(v))*dx - v*dx"},
            "data": [{"file": "u.csv", "noise": 0.01}],
        },
        kept=False,
        files={"u.csv": "x,t,u\n0.5,0.05,0.6\n0.5,0.1,0.4\n"},
    ),
    "over space and time": Way({"method": "adam", "steps": 4}, {"batch": {"size": 0}}, "batch.size", TIMED, DRAWN),
    "march": Way({"method": "march", "features": 12, "tolerance": 1e-9}, DRAWN, "all points", TIMED),
}
NAMES = list(WAYS)
ALIKE = (
    *("adam, drawn", "sgd", "annealing", "evolution", "broyden", "spring", "without cells", "one stage", "langevin", "lbfgs"),
    *("inference in time", "over space and time", "nadam", "reptile", "maml"),
)
"""Ways that share the code of others here, or take long; they are tried in the slow suite."""
EACH = [pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name for name in NAMES]
COMMON = {
    *("method", "method_reason", "steps", "stopped", "rollbacks", "parameters", "quadrature_points", "test_functions"),
    *("batch_size", "policy", "imposed", "inferred", "errors", "error_estimate", "energy", "checks", "loss", "seconds"),
    *("peak_memory_mb", "threads", "device"),
}
"""What metrics.json says whatever solved the problem."""


class Died(Exception):
    """A process that ends without a word."""


def as_toml(data: dict[str, Any]) -> str:
    """Return tables of a problem file as text."""

    def shown(value: Any) -> str:
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{key} = {shown(entry)}" for key, entry in value.items()) + " }"
        return f"[{', '.join(map(shown, value))}]" if isinstance(value, list) else json.dumps(value)

    return "\n".join(f"{name} = {shown(section)}" for name, section in data.items())


Report = Callable[[Training, Plan], None]


def run(problem: vpinn.Problem, folder: Path, report: Report | None = None, resume: bool = False) -> vpinn.Solution:
    return solve(problem, folder, threads=1, report=report, resume=resume)


def left(folder: Path) -> dict[str, Any]:
    """Return what a run left but for times: all bits of the checkpoint, and the metrics."""
    arrays, meta = load_arrays(folder / "checkpoint.npz")
    table = np.delete(arrays.pop("history"), COLUMNS.index("seconds"), axis=1)
    metrics = json.loads((folder / "metrics.json").read_text())
    journal = [note for note in meta.pop("journal", []) if note.get("stage", {}).pop("seconds", None)]
    times = ("seconds", "processor_seconds", "peak_memory_mb")
    return {
        "arrays": {name: array.tobytes() for name, array in arrays.items()},
        "history": table.tobytes(),
        "metrics": {name: value for name, value in metrics.items() if name not in times},
        "meta": {**meta, "numbers": repr({**meta["numbers"], "seconds": None}), "journal": journal},
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Path]]:
    """Return a function: way → solution and folder of a run that nobody disturbs."""

    @cache
    def made(name: str) -> tuple[Any, Path]:
        folder = tmp_path_factory.mktemp("way")
        return run(WAYS[name].read(folder), folder / "run"), folder / "run"

    return made


def strategy(name: str, folder: Path) -> Strategy:
    problem = WAYS[name].read(folder)
    return make_strategy(problem, problem.settings, HERE)


def test_every_method_is_listed() -> None:
    built_in, _ = get_args(Solver.model_fields["method"].annotation)
    named = set(get_args(built_in)) - {"auto"}
    assert {way.solver["method"] for way in WAYS.values() if "method" in way.solver} == named | {"torch.optim.NAdam"}


def test_every_strategy_is_listed(tmp_path: Path) -> None:
    def final(kind: type[Strategy]) -> set[type[Strategy]]:
        below = kind.__subclasses__()
        return {kind} if not below else set[type[Strategy]]().union(*map(final, below))

    assert {type(strategy(name, tmp_path / str(k))) for k, name in enumerate(NAMES)} == final(Strategy)


@pytest.mark.parametrize("name", EACH)
def test_bad_input_is_one_line(name: str, tmp_path: Path) -> None:
    way = WAYS[name]
    with pytest.raises(InputError, match=way.words) as caught:
        run(way.read(tmp_path, way.bad), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize("name", EACH)
def test_another_problem_is_not_resumed(name: str, tmp_path: Path, whole: Callable[[str], tuple[Any, Path]]) -> None:
    _, folder = whole(name)
    before = left(folder)
    with pytest.raises(InputError, match=r"--resume needs the settings of the run, but solver\.seed changed"):
        run(WAYS[name].read(tmp_path, seed=5), folder, resume=True)
    assert left(folder) == before


@pytest.mark.parametrize("after", [1, 2])
@pytest.mark.parametrize("name", EACH)
def test_a_run_that_dies_goes_on_to_the_last_bit(
    name: str, after: int, tmp_path: Path, whole: Callable[[str], tuple[Any, Path]]
) -> None:
    calls = list[int]()

    def die(training: Training, plan: Plan) -> None:
        calls.append(training.step)
        if len(calls) == after:
            raise Died

    solution, folder = whole(name)
    problem = WAYS[name].read(tmp_path)
    if after <= solution.metrics["steps"]:
        with pytest.raises(Died):
            run(problem, tmp_path / "run", die)
        run(problem, tmp_path / "run", resume=True)
    else:
        run(problem, tmp_path / "run")
    assert left(tmp_path / "run") == left(folder)


@pytest.mark.parametrize("name", EACH)
def test_a_run_that_ended_is_assessed_anew_with_the_same_end(
    name: str, tmp_path: Path, whole: Callable[[str], tuple[Any, Path]]
) -> None:
    problem, steps = WAYS[name].read(tmp_path), list[int]()
    run(problem, tmp_path / "run")
    run(problem, tmp_path / "run", lambda training, plan: steps.append(training.step), resume=True)
    assert left(tmp_path / "run") == left(whole(name)[1])
    assert not steps or not WAYS[name].kept


@pytest.mark.parametrize("name", EACH)
def test_a_signal_leaves_the_outcome_so_far(name: str, tmp_path: Path, whole: Callable[[str], tuple[Any, Path]]) -> None:
    """It arrives while the first step or stage is told of; the run then goes on to the end of one that nobody disturbed."""

    def stop(training: Training, plan: Plan) -> None:
        if training.step == 1 and not training.stopped:
            signal.raise_signal(signal.SIGTERM)

    problem = WAYS[name].read(tmp_path)
    solution = run(problem, tmp_path / "run", stop)
    assert solution.metrics["stopped"] == "signal"
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert all(np.isfinite(values).all() for values in solution.evaluate([[0.5] * problem.domain.dimension]).values())
    kept = vpinn.load(tmp_path / "run")
    assert np.array_equal(kept.theta, solution.theta)
    run(problem, tmp_path / "run", resume=True)
    assert left(tmp_path / "run") == left(whole(name)[1])


@pytest.mark.parametrize("name", EACH)
def test_the_history_has_a_row_for_every_step(name: str, whole: Callable[[str], tuple[Any, Path]]) -> None:
    solution, folder = whole(name)
    columns = dict(zip(COLUMNS, solution.history.T, strict=True))
    assert columns["step"].tolist() == list(range(1, solution.metrics["steps"] + 1))
    assert (np.diff(columns["seconds"]) >= 0.0).all()
    assert (columns["batch_size"] >= 1).all()
    assert np.isfinite(columns["clipped"]).all()
    assert any(np.isfinite(columns[told]).any() for told in ("loss", "estimate", "residual"))
    with (folder / "history.csv").open() as file:
        header, *rows = list(csv.reader(file))
    assert tuple(header) == COLUMNS
    assert np.array_equal(np.array(rows, dtype=float), solution.history, equal_nan=True)
    assert np.array_equal(vpinn.load(folder).history, solution.history, equal_nan=True)


@pytest.mark.parametrize("name", EACH)
def test_metrics_are_told_once(name: str, whole: Callable[[str], tuple[Any, Path]]) -> None:
    """What a solution says, the file says, and so does the solution that is read from the folder; nothing else is in it."""
    solution, folder = whole(name)
    written = json.loads((folder / "metrics.json").read_text())
    assert written == json.loads(json.dumps(dict(solution.metrics)))
    assert written == vpinn.load(folder).metrics
    assert written.keys() >= COMMON
    assert "more" not in written
    assert set(written["seconds"]) == {"total", "setup", "solve", "assessment"}
    assert written["stopped"] in ("steps", "tolerance", "grown", "converged", "stagnation")
    assert all(isinstance(check, str) for check in written["checks"])
    record = json.loads((folder / "run.json").read_text())
    assert (written["method"], written["threads"]) == (record["method"], 1) or name == "least-squares"


@pytest.mark.parametrize("name", EACH)
def test_every_step_is_told_of(name: str, tmp_path: Path) -> None:
    steps, text = list[int](), io.StringIO()
    with TrainingProgress(Console(file=text, width=200)) as progress:

        def report(training: Training, plan: Plan) -> None:
            steps.append(training.step)
            progress(training, plan)

        solution = run(WAYS[name].read(tmp_path), tmp_path / "run", report)
    assert set(steps) - {0} == set(range(1, solution.metrics["steps"] + 1))
    assert steps == sorted(steps)
    assert "batch" in text.getvalue() or "all" in text.getvalue()


@pytest.mark.parametrize("name", EACH)
def test_enough_time_ends_a_way_after_its_first_step(name: str, tmp_path: Path) -> None:
    way, kept, told = strategy(name, tmp_path), list[int](), list[int]()
    state = way.start()
    hooks = Hooks(lambda training: told.append(training.step), lambda *given: kept.append(1), Interrupt(), enough=0.0)
    finish = way.solve(state, hooks)
    assert state.training.step == 1
    assert state.training.stopped in ("time limit", "tolerance")
    assert kept
    solution = finish().assessed()
    assert solution.metrics["steps"] == 1
    assert all(math.isfinite(value) for value in solution.history[0, : COLUMNS.index("loss")])


def ended(problem: vpinn.Problem, folder: Path) -> str:
    """Return why a run ended: what its metrics say, or the line of an error."""
    try:
        return str(run(problem, folder).metrics["stopped"])
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("name", EACH)
def test_a_limit_of_time_leaves_what_there_is_or_says_that_it_is_nothing(name: str, tmp_path: Path) -> None:
    told = ended(WAYS[name].read(tmp_path, time_limit=1e-6), tmp_path / "run")
    nothing = told.startswith(str(tmp_path / "a.toml")) and told.endswith("solver.time_limit = 1e-06 s; give more time")
    assert told == "time limit" or nothing or "give more time, or fewer features" in told
