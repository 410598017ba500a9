"""From Python: what is published, what callbacks are told, and that they can end a run."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import vpinn
from vpinn.output import TrainingProgress
from vpinn.solving import Event, phases
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


def test_a_run_shows_its_phases() -> None:
    text = io.StringIO()
    with TrainingProgress(Console(file=text, force_terminal=True, width=120)) as bar:
        vpinn.solve(vpinn.make_problem(**STEADY), threads=1, report=bar, callbacks=[phases(bar.phase)], progress=False)
    shown = text.getvalue()
    assert shown.index("set-up") < shown.index("50/50") < shown.index("assessment")


def until(holds: Any) -> None:
    """Wait for what another thread does."""
    for _ in range(1000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("nothing happened")
