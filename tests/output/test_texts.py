"""Test progress lines, tables, formulas, the report, and points given by the user."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vpinn.errors import InputError
from vpinn.features import Elements
from vpinn.optimization import COLUMNS, Adam, Plan, Schedule, Training, history_row
from vpinn.output import (
    TrainingProgress,
    as_table,
    estimate_memory,
    failed_checks,
    field_formats,
    points_of,
    problem_rows,
    publish,
    solution_rows,
    write_summary,
)
from vpinn.output.family import family_rows
from vpinn.output.formula import lowered_form
from vpinn.problem import make_problem
from vpinn.solution import Solution
from vpinn.solving import prepare

Solved = Callable[[str], Solution]


def show(console: Console, steps: int, quiet: bool = False) -> None:
    plan = Plan(Adam(), Schedule(1e-3, 0, steps, "constant", 0.01))
    training = Training.start(torch.zeros(1), plan.method, 0)
    with TrainingProgress(console, quiet) as progress:
        for step in range(1, steps + 1):
            training.step = step
            error = 0.125 if step == 3 else math.nan
            row = {"seconds": 0.1 * step, "loss": 1.0 / step, "learning_rate": 1e-3, "batch_size": 64, "error": error}
            training.history.append(history_row(step=step, **row))
            progress(training, plan)


def test_lines_where_there_is_no_terminal() -> None:
    text = io.StringIO()
    show(Console(file=text, width=40), 100)
    lines = text.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("step 10/100  loss 1.0000e-01  error 1.2e-01  all 64  ")
    assert lines[-1].endswith("0:00:00 left")
    assert "\x1b" not in text.getvalue()


def test_stages_are_told_one_by_one() -> None:
    """What a stage does not tell is not carried on from the one before; a further one is announced where it takes long."""
    text, plan = io.StringIO(), Plan(Elements(), Schedule(1.0, 0, 9, "constant", 0.01))
    training = Training.start(torch.zeros(1), plan.method, 0)
    with TrainingProgress(Console(file=text, width=200)) as progress:
        for step, (estimate, residual, ahead) in enumerate([(math.nan, 1e-4, 30.0), (1e-3, math.nan, 0.5)], start=1):
            training.step, training.seconds = step, 70.0 * step
            known = {"step": step, "batch_size": 64, "estimate": estimate, "residual": residual}
            training.history.append(tuple(known.get(name, math.nan) for name in COLUMNS))
            progress(training, plan)
            training.ahead = ahead
            progress(training, plan)
            training.ahead = None
    assert text.getvalue().splitlines() == [
        "stage 1  residual 1.0e-04  all 64  after 0:01:10",
        "stage 2  about 0:00:30",
        "stage 2  estimate 1.0e-03  all 64  after 0:02:20",
    ]


def test_a_bar_on_a_terminal() -> None:
    text = io.StringIO()
    show(Console(file=text, force_terminal=True, width=120), 20)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue())
    assert "adam" in plain
    assert "20/20  loss 5.0000e-02  error 1.2e-01  all 64" in plain


def test_quiet() -> None:
    text = io.StringIO()
    show(Console(file=text), 20, quiet=True)
    assert text.getvalue() == ""


def test_closing_table(solved: Solved) -> None:
    solution = solved("square")
    rows = dict(solution_rows(solution))
    assert rows["method"] == "lbfgs, as the problem file asks"
    assert rows["condition"].startswith("u on all: exact, ")
    assert rows["steps"] == "3: all steps taken"
    assert rows["parameters"] == "21"
    assert re.fullmatch(r"L² \S+, H¹ \S+ \(relative\)", rows["error of u"])
    assert "effectivity" in rows["error estimate"]
    assert "solve" in rows["time"]


def test_components_imposed_alike_are_one_row(solved: Solved) -> None:
    texts = [text for label, text in solution_rows(solved("beam")) if label == "condition"]
    assert len(texts) == 1
    assert texts[0].startswith("w (components 0, 1) on left: exact")


def test_failing_checks_are_red(solved: Solved) -> None:
    solution = solved("square")
    failing = replace(solution, metrics={**solution.metrics, "checks": ["quadrature: [too] coarse"]})
    text = io.StringIO()
    told = [("", line) for line in failed_checks(failing)]
    assert not set(told) & set(solution_rows(failing))  # they are told once, after the table
    Console(file=text, force_terminal=True, width=120, color_system="standard").print(as_table(told))
    assert "\x1b[1;31mCHECK FAILED: quadrature: [too] coarse" in text.getvalue()


def test_lowered_form() -> None:
    problem = make_problem(
        {"shape": "rectangle", "cells": 2},
        unknowns={"u": "scalar", "w": "vector"},
        constants={"k": 2.5},
        weak="k*inner(grad(u), grad(v))*dx - x*exp(u)*v*dx + inner(w, v_w)*dx - (u - x[1])/k*v*ds('left')",
    )
    texts = lowered_form(problem)
    assert texts == [
        "dx: 2.5*(dv/dx*du/dx + dv/dy*du/dy)",
        "dx: -v*x*exp(u)",
        "dx: v_w0*w0 + v_w1*w1",
        "ds('left'): -0.4*v*(u - y)",
    ]
    strong = make_problem({"shape": "interval"}, unknowns={"u": "scalar"}, strong="-div(grad(u)) - sin(pi*x)**2 + u**2")
    assert "d^2u/dxdx" in lowered_form(strong)[0]
    assert "u^2" in lowered_form(strong)[0]


def test_lowered_form_of_a_joint() -> None:
    problem = make_problem(
        {"shape": "interval", "cells": 4, "tags": {"a": "x < 0.5", "b": "x > 0.5"}},
        unknowns={"u": "scalar"},
        weak="Dx(u, 0)*Dx(v, 0)*dx + 3*jump(u)*jump(v)*dS('a', 'b')",
    )
    assert lowered_form(problem)[1] == "dS('a', 'b'): 3*(v - far(v))*(u - far(u))"


def test_long_formulas_name_their_parts_and_end() -> None:
    chain = {"a": "sin(x*y)*exp(x + y)"} | {f"b{k}": f"b{k - 1}*cos(b{k - 1})" if k else "a*cos(a)" for k in range(12)}
    problem = make_problem(
        {"shape": "rectangle", "cells": 2},
        unknowns={"u": "scalar"},
        expressions=chain,
        energy="0.5*u**2*dx - div(grad(b11))*u*dx",
    )
    for text in lowered_form(problem):
        assert len(text) < 1_600


def test_what_a_run_would_do(solved: Solved) -> None:
    problem = solved("square").problem
    setup = prepare(problem)
    trial, objective, plan = setup.trial, setup.objective, setup.plan
    rows = dict(problem_rows(problem, [trial], objective, plan, 4e8))
    assert rows["domain"].startswith("9 cells (quadrilateral, order 1), 16 nodes")
    assert rows["network"] == "2 → 5 → 1, tanh; 21 parameters"
    assert rows["memory"] == "up to about 400 MB"
    assert estimate_memory(objective, objective) > estimate_memory(objective, None) > 1e8


def test_report_is_one_safe_page(solved: Solved, tmp_path: Path) -> None:
    files = publish(solved("square"), tmp_path)
    assert {Path(path).exists() for path in files.values()} == {True}
    page = (tmp_path / "report.html").read_text()
    assert "<title>A $quare &amp; &lt;b&gt;</title>" in page
    assert page.count("data:image/png;base64,") == 6
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_formats_beyond_three_dimensions(solved: Solved) -> None:
    assert field_formats(solved("square").problem) == ("vtu",)
    assert field_formats(solved("cube").problem) == ("csv",)
    asked = make_problem(
        {"shape": "hypercube", "lower": [0] * 4}, unknowns={"u": "scalar"}, strong="u - 1", output={"formats": ["xdmf"]}
    )
    with pytest.raises(InputError, match="xdmf holds at most 3 dimensions"):
        field_formats(asked)


def test_given_points(tmp_path: Path) -> None:
    headed, bare, bad = (tmp_path / name for name in ("a.csv", "b.csv", "c.csv"))
    headed.write_text("name,y,x\np,2,1\n\nq,4,3\n")
    bare.write_text("5,6\n")
    bad.write_text("x,y\n1,2\n3,oops\n")
    np.testing.assert_array_equal(points_of(["0.5, 1e-1", str(headed), str(bare)], "xy"), [[0.5, 0.1], [1, 2], [3, 4], [5, 6]])
    for given, message in (
        (["1,2,3"], r"2 coordinates \(x, y\), got 3"),
        (["nan,1"], "not a finite number"),
        (["nowhere.csv"], "expected a point"),
        ([str(bad)], r"c\.csv:3: expected 2 numbers"),
    ):
        with pytest.raises(InputError, match=message):
            points_of(given, "xy")
    with pytest.raises(InputError, match="no column z"):
        points_of([str(headed)], "xyz")


def test_least_squares_says_what_it_will_do() -> None:
    """It does not train the network of the file, and says so where the file describes one."""
    zero = [{"on": "all", "value": 0}]
    for sections, expected in (
        ({"solver": {"features": 70}}, "70 random features per component"),
        ({"solver": {"tolerance": 1e-6}}, "grows from 60 to at most 1,600 random features per component until"),
    ):
        problem = make_problem(
            {"shape": "rectangle", "cells": 2}, unknowns={"u": "scalar"}, strong="-div(grad(u)) - 1", boundary=zero, **sections
        )
        setup = prepare(problem)
        assert expected in dict(problem_rows(problem, [setup.trial], setup.objective, setup.plan, 4e8))["network"]
    problem = make_problem(
        {"shape": "rectangle", "cells": 2},
        unknowns={"u": "scalar"},
        strong="-div(grad(u)) - 1",
        boundary=zero,
        network={"layers": [9]},
    )
    setup = prepare(problem)
    rows = dict(problem_rows(problem, [setup.trial], setup.objective, setup.plan, 4e8))
    assert rows["not used"] == "network.layers: least-squares takes no such setting"


@pytest.mark.parametrize(
    ("bound", "told"), [(1e-6, "1.0e-06 of the H¹ norm"), (7.5e288, "not bounded"), (math.inf, "not bounded")]
)
def test_a_huge_bound_of_a_family_is_not_shown_as_a_number(bound: float, told: str) -> None:
    judged = [{"error": bound, "effectivity": 1.0}]
    kept = {
        "parameters": {"k": (2, 4)},
        "norm": "h1",
        "rigorous": False,
        "functions": 5,
        "members": 5,
        "terms": 2,
        "interpolated": [],
    }
    rows = dict(family_rows({**kept, "largest_bound": bound, "judged": judged}, None))
    assert rows["largest error"].startswith(told)
    assert ("error" in rows) == (bound < 1)


def test_a_summary_is_a_page_of_the_same_kind(tmp_path: Path) -> None:
    table = Table("variant", "error")
    table.add_row(Text("a<b"), "1e-3")
    told = ["Two of three predictions fail.", "Medians over 3 seeds."]
    page = write_summary(tmp_path, "Noise & more", told, False, [table], [tmp_path / "absent.png"], "size = 3").read_text()
    assert "<title>Noise &amp; more</title>" in page
    assert (
        page.index('<p class="verdict failed">Two of three')
        < page.index("<p>Medians")
        < page.index("<td>a&lt;b</td><td>1e-3</td>")
    )
    assert "<pre>size = 3</pre>" in page
    assert "<img" not in page
