"""From Python: what is published, what callbacks are told, and that they can end a run."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import vpinn
from vpinn.cli import main
from vpinn.domain import interval
from vpinn.optimization import COLUMNS
from vpinn.output import TrainingProgress
from vpinn.output.verdict import verdict
from vpinn.solving import Event, phases, solve
from vpinn.waiting import Waiting

STEADY: dict[str, Any] = {
    "domain": {"shape": "interval", "cells": 3},
    "unknowns": {"u": "scalar"},
    "energy": "0.5*inner(grad(u), grad(u))*dx - 9*sin(3*x)*u*dx",
    "boundary": [{"on": "all", "value": 0}],
    "network": {"layers": [4]},
    "solver": {"method": "adam", "steps": 50},
}
TIMED = {
    "domain": {"shape": "interval", "cells": 3, "time": [0, 0.1]},
    "unknowns": {"u": "scalar"},
    "weak": "dt(u)*v*dx + inner(grad(u), grad(v))*dx - v*dx",
    "boundary": [{"on": "all", "value": 0}, {"on": "initial", "value": "sin(pi*x)"}],
    "solver": {"tolerance": 1e-15},
}
MODES = {**STEADY, "energy": None, "weak": "inner(grad(u), grad(v))*dx", "eigen": {"mass": "u*v*dx", "count": 2}}
WAYS = {
    "training": STEADY,
    "least squares": {**STEADY, "solver": {"method": "least-squares", "tolerance": 1e-15}},
    "elements": {**STEADY, "solver": {"method": "elements", "tolerance": 1e-15}},
    "march": TIMED,
    "modes": {**MODES, "solver": {"tolerance": 1e-15}, "network": {}},
}


def test_a_folder_holds_what_the_command_writes(tmp_path: Path) -> None:
    solution = vpinn.solve(vpinn.make_problem(**STEADY), tmp_path / "run", threads=1)
    for name in ("run.json", "history.csv", "checkpoint.npz", "solution.vtu", "report.html", "figures/solution.png"):
        assert (tmp_path / "run" / name).is_file(), name
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == dict(solution.metrics)


@pytest.mark.parametrize("way", WAYS)
def test_a_callback_is_told_and_ends_the_run(way: str) -> None:
    """After the first step or stage; the solution is assessed, and says why it ended."""
    heard: list[Event] = []

    def stop(event: Event) -> bool:
        heard.append(event)
        return event.kind not in ("step", "stage")

    solution = vpinn.solve(vpinn.make_problem(**WAYS[way]), threads=1, callbacks=[stop])
    begun = [event.phase for event in heard if event.kind == "phase" and event.ahead is None]
    assert begun == ["set-up", "solving", "assessment"]
    told = [event for event in heard if event.kind in ("step", "stage")]
    assert [event.step for event in told] == [1]
    assert all(event.points and event.seconds >= 0.0 for event in told)
    assert solution.metrics["stopped"] == heard[-1].stopped == "callback"
    assert heard[-1].kind == "end"
    assert solution.error_estimate
    assert all(json.loads(json.dumps(event.as_json))["event"] == event.kind for event in heard)


def test_a_callback_that_returns_nothing_ends_nothing() -> None:
    heard: list[Event] = []
    solution = vpinn.solve(vpinn.make_problem(**STEADY), threads=1, callbacks=[heard.append])
    assert [event.step for event in heard if event.kind == "step"] == list(range(1, 51))
    assert solution.metrics["stopped"] == "steps"


def test_a_solution_in_memory_loads_nothing_that_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vpinn.output", None)  # importing it raises an error
    stated = {"unknowns": {"u": "scalar"}, "weak": "inner(grad(u), grad(v))*dx + u*v*dx - v*dx", "solver": {"method": "elements"}}
    solution = vpinn.solve(vpinn.make_problem({"shape": "interval", "cells": 2}, **stated), progress=False)
    assert solution.metrics["method"] == "elements"


def test_phases_are_shown_with_the_time_that_has_gone() -> None:
    """In a terminal at once, in a file after a while, and never when quiet."""
    terminal, file, nothing = io.StringIO(), io.StringIO(), io.StringIO()
    with Waiting(Console(file=terminal, force_terminal=True, color_system=None, width=80)) as waiting:
        waiting.begin("reading")
    assert "reading 0:00:00" in terminal.getvalue()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vpinn.waiting.AFTER", 0.01)
        with Waiting(Console(file=file)) as waiting, Waiting(Console(file=nothing), quiet=True) as quiet:
            waiting.begin("reading")
            quiet.begin("reading")
            until(lambda: file.getvalue() != "")
    assert file.getvalue().startswith("reading …  after 0:00:0")
    assert nothing.getvalue() == ""


def test_a_notebook_needs_no_widgets(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A bar would warn that ipywidgets is missing; lines are printed instead."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    vpinn.solve(vpinn.make_problem(**STEADY), threads=1)
    assert re.search(r"^step 50/50  loss \S+ ", capsys.readouterr().out, re.MULTILINE)


def test_a_run_shows_its_phases() -> None:
    text = io.StringIO()
    with TrainingProgress(Console(file=text, force_terminal=True, width=120)) as bar:
        vpinn.solve(vpinn.make_problem(**STEADY), threads=1, report=bar, callbacks=[phases(bar.phase)], progress=False)
    shown = text.getvalue()
    assert shown.index("set-up") < shown.index("50/50") < shown.index("assessment")


def test_a_problem_with_other_constants() -> None:
    """Sections are merged by key, and the one before stays as it was."""
    stated = {**STEADY, "energy": "0.5*k*inner(grad(u), grad(u))*dx - u*dx", "constants": {"k": 1.0, "j": 3.0}}
    problem = vpinn.make_problem(**stated, output={"quantities": {"mean": "u*dx"}})
    other = problem.replace(constants={"k": 2}, solver={"method": "elements"})
    assert other.settings.constants == {"k": 2.0, "j": 3.0}
    assert (problem.settings.constants["k"], problem.settings.solver.method) == (1.0, "adam")
    found = [vpinn.solve(one, method="elements", threads=1).metrics["quantities"]["mean"]["value"] for one in (problem, other)]
    assert found == [pytest.approx(1 / 12, rel=1e-9), pytest.approx(1 / 24, rel=1e-9)]
    with pytest.raises(vpinn.InputError, match=r"unknown key 'metod' in \[solver\]; did you mean method"):
        problem.replace(solver={"metod": "adam"})


def test_runs_of_problems_made_in_python_are_loaded(tmp_path: Path) -> None:
    """Of texts alone from the folder; of a mesh or a form in Python with the problem."""
    x = [[0.3], [0.7]]
    short = {**STEADY, "solver": {"method": "adam", "steps": 3}}
    solution = solve(vpinn.make_problem(**short), tmp_path / "text", threads=1)
    assert (vpinn.load(tmp_path / "text").evaluate(x)["u"] == solution.evaluate(x)["u"]).all()
    assert main(["evaluate", str(tmp_path / "text"), "--at", "0.5"]) == 0
    stated = {**short, "domain": interval(cells=3), "energy": lambda names: names.u**2 * names.dx - names.u * names.dx}
    problem = vpinn.make_problem(**stated)
    solution = solve(problem, tmp_path / "objects", threads=1)
    with pytest.raises(vpinn.InputError, match=r"vpinn\.load\(folder, problem\) takes them again"):
        vpinn.load(tmp_path / "objects")
    assert (vpinn.load(tmp_path / "objects", problem).evaluate(x)["u"] == solution.evaluate(x)["u"]).all()
    assert problem.replace(title="b").formulation.integrals.integrals()


def test_a_solution_in_a_notebook() -> None:
    problem = vpinn.make_problem(**STEADY, title="A <b>", reference={"exact": {"u": "0"}})
    solution = vpinn.solve(problem, method="elements", threads=1)
    assert repr(problem) == "<Problem 'A <b>': u in 1 dimensions, 3 cells>"
    assert re.fullmatch(r"<Solution of 'A <b>', by elements, u: error \S+, estimate \S+, 1 check failed>", repr(solution))
    page = solution._repr_html_()
    assert "data:image/png;base64," in page
    assert "error of u" in page
    assert "<b>'" not in page
    assert len(solution.plot().axes) == 1
    assert list(solution.table) == list(COLUMNS)
    assert solution.table["step"].tolist() == list(range(1, len(solution.history) + 1))


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({"checks": [], "errors": {"u": {"relative_l2": 2e-4}}}, "Solved. Error about 0.02 %, all checks passed."),
        (
            {"checks": [], "errors": {}, "error_estimate": {"relative_energy": 1e-7, "relative_l2": {"u": 3e-9}}},
            "Solved. Estimated error about 3e-09, all checks passed.",
        ),
        (
            {"checks": ["tests: too few; raise test_space.degree", "b"], "errors": {"u": {"relative_l2": 0.3}}},
            "Not solved: tests: too few. Try: raise test_space.degree. (1 more failed.)",
        ),
        (
            {"checks": ["tests: too few; raise test_space.degree"], "errors": {"u": {"relative_l2": 1e-3}}},
            "Solved, but do not rely on it: tests: too few. Try: raise test_space.degree. Error about 0.1 %.",
        ),
        (
            {"checks": [], "errors": {"u": {"relative_l2": 2e-4}}, "stopped": "time limit"},
            "Solved. Error about 0.02 %, all checks passed; the time limit ended the run.",
        ),
        ({"stopped": "signal"}, "Not finished: the run was stopped before its assessment; go on with --resume."),
    ],
)
def test_the_verdict_comes_first(metrics: dict[str, Any], expected: str) -> None:
    known = {"errors": metrics.get("errors", {}), "error_estimate": metrics.get("error_estimate", {})}
    assert verdict(SimpleNamespace(metrics=metrics, **known)) == expected  # type: ignore[arg-type]


def test_a_sweep_is_one_run_per_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mean of u'' = −1/k between zeros is 1/(12k); finished runs are kept if nothing has changed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vpinn.output.publish", lambda solution, folder: {"report": (folder / "report.html").write_text("")})
    Path("bar.toml").write_text(
        '[domain]\nshape = "interval"\ncells = 2\n[unknowns]\nu = "scalar"\n[constants]\nk = 1\n[form]\n'
        'energy = "0.5*k*inner(grad(u), grad(u))*dx - u*dx"\n[[boundary]]\non = "all"\nvalue = 0\n'
        '[solver]\nmethod = "elements"\n[output.quantities]\nmean = "u*dx"\n'
    )
    with monkeypatch.context() as patch:
        patch.setattr("vpinn.solving.solve", partial(_killed, Path("results/bar/sweep/k=9")))
        with pytest.raises(BaseException, match="killed"):  # before its first run ended
            main(["sweep", "bar.toml", "--vary", "constants.k=9", "-q"])
    assert main(["sweep", "bar.toml", "--vary", "constants.k=1,4", "-q"]) == 0
    rows = list(csv.DictReader(io.StringIO(Path("results/bar/sweep/sweep.csv").read_text())))
    assert [float(row["mean"]) for row in rows] == [pytest.approx(1 / 12), pytest.approx(1 / 48)]
    assert [row["constants.k"] for row in rows] == ["1", "4"]
    assert Path("results/bar/sweep/sweep.png").read_bytes().startswith(b"\x89PNG")
    begun: list[Any] = []
    monkeypatch.setattr("vpinn.solving.solve", lambda problem, *a, **k: begun.append(problem) or solve(problem, *a, **k))
    Path("results/bar/sweep/k=4/report.html").unlink()  # as if it had been killed while figures were drawn
    again = ["sweep", "bar.toml", "--vary", "constants.k=1,4,5", "--resume"]
    assert main(again) == 0
    assert re.search(r"k=5 +mean 0\.0166\S+ ± \S+", capsys.readouterr().out)
    assert [problem.settings.constants["k"] for problem in begun] == [4.0, 5.0]
    assert Path("results/bar/sweep/k=4/report.html").exists()
    assert main([*again, "--set", "form.energy=0.5*k*inner(grad(u), grad(u))*dx - 2*u*dx"]) == 2
    assert "form.energy changed; start anew with --overwrite" in capsys.readouterr().err
    assert main(["solve", "bar.toml", "-q"]) == 0  # beside the folder of the sweep
    wrong = {"constants.k": "expected section.key=value,value", "constants.k=1,x": "constants.k must be a number"}
    for vary, message in wrong.items():
        assert main(["sweep", "bar.toml", "--vary", vary]) == 2
        assert message in capsys.readouterr().err


def _killed(folder: Path, *given: Any, **options: Any) -> None:
    (folder / "run.json").write_text("{}")
    raise BaseException("killed")


def until(holds: Any) -> None:
    """Wait for what another thread does."""
    for _ in range(1000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("nothing happened")
