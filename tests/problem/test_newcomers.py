"""What stops a newcomer: notations of other languages, names with a meaning, several mistakes at once, meshes elsewhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vpinn.cli import main
from vpinn.cli.options import completed
from vpinn.errors import InputError
from vpinn.problem import FUNCTIONS, Scope, make_problem, parse_expression, read_problem, template, unused_settings
from vpinn.problem.functions import FIXED, MEANT
from vpinn.problem.operators import MEASURES, SYNTAX, make_operators
from vpinn.problem.scope import RESERVED
from vpinn.process import available_cores, usual_threads

MESHES = Path(__file__).parents[2] / "problems" / "meshes"


def test_all_functions_are_listed() -> None:
    listed = set(re.findall(r"[A-Za-z_]\w*", " ".join(text for lines in FUNCTIONS.values() for text, _ in lines)))
    assert {*make_operators(3), *SYNTAX, *MEASURES, "dt", "t", "n", "h", "pi"} <= listed
    assert set(FIXED) <= RESERVED
    assert not set(MEANT) & {*make_operators(3), *SYNTAX, *MEASURES, *RESERVED}


def test_the_command_prints_brackets_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["functions"]) == 0
    shown = capsys.readouterr().out
    assert "x[i]" in shown
    assert "[[a, b], [c, d]] is a matrix" in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("u^2", "'u^2': write a**b for a power"),
        ("grad(u) @ grad(u)", "write dot(a, b) for a product of matrices"),
        ("laplace(u)", "'laplace(u)': write div(grad(…)) for the Laplacian"),
        ("max(u, 1)", "'max(u, 1)': write max_value(a, b)"),
        ("kappa(u)", "kappa is a name, not a function: write kappa alone, or kappa*(…) to multiply"),
        ("norm(grad(u))", "write sqrt(inner(a, a)) for the length"),
        ("np.sin(u)", "'np.sin(u)': leave out 'np.'; 'vpinn functions' lists what expressions may call"),
        ("u.dx(0)", "write Dx(u, i) for u.dx(i)"),
        ("u_y*v", "'u_y': write Dx(u, 1) for the derivative"),
        ("sigma(u)", "'sigma(u)': it is no function; define sigma = '…' of the unknowns in [expressions]"),
        ("grad(u) = v", "an expression has no =; bring all terms to one side, as in a - b for a = b"),
    ],
)
def test_what_other_languages_write(text: str, message: str, scope: Scope) -> None:
    with pytest.raises(InputError) as caught:
        parse_expression(text, scope)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"weak": "inner(grad(u), grad(v_u))*dx - p*v_p*dx"}, "'v_u': the test function of u is v"),
        ({"weak": "u*v*dx + p*v_p*dx - [1, 2]*dx"}, "got a vector of length 2; take a component, as in v[0], or inner(a, b)"),
        (
            {"weak": "u*v*dx + p*v_p*dx", "boundary": [{"on": "left", "flux": 3}]},
            "unknown key 'flux' in [boundary.0]; a flux or traction g is a term of the form, as in - g*v*ds('left')",
        ),
    ],
)
def test_what_beginners_take_for_something_else(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        make_problem({"shape": "interval", "cells": 2}, unknowns={"u": "scalar", "p": "scalar"}, **sections)
    assert message in str(caught.value)


@pytest.mark.parametrize(("name", "meaning"), [("h", "the cell diameter"), ("t", "the time"), ("x", "a coordinate")])
def test_names_with_a_meaning_are_refused_with_it(name: str, meaning: str) -> None:
    stated = {"unknowns": {"u": "scalar"}, "energy": "u**2*dx", "constants": {name: 1.0}}
    with pytest.raises(InputError, match=f"'{name}' has a fixed meaning in expressions: {meaning}.*; choose another name"):
        make_problem({"shape": "interval", "cells": 2}, **stated)


def test_all_mistakes_are_told_at_once(write: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    """One line each, in the order of the file."""
    form = '[unknowns]\nu = "scalar"\n[form]\nweak = "v*dx"\n[solver]\nsteps = 0\n'
    assert main(["check", str(write(f'titel = "a"\n[domain]\nshape = "rectangel"\n{form}'))]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [re.sub(r".*?toml:(\d+): .*", r"\1", line) for line in lines] == ["1", "3", "9"]
    assert "did you mean 'rectangle'?" in lines[1]


TEXTS = """[domain]
shape = "rectangle"
[unknowns]
u = "scalar"
[expressions]
g = "sin(x"
k = "2*g"
[form]
weak = "inner(grad(u), grad(v))*dx - q*v*dx"
[[boundary]]
on = "botom"
value = "g*z"
[output]
fields = { flux = "-kk*grad(u)" }
quantities = { mean = "u" }
"""


def test_mistakes_in_all_texts_are_told_at_once(write: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    """What only follows from another mistake is not."""
    assert main(["check", str(write(TEXTS))]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [re.sub(r".*?toml:(\d+): ([a-z0-9.]*): .*", r"\1 \2", line) for line in lines] == [
        "6 expressions.g", "9 form.weak", "11 boundary.0.on", "14 output.fields.flux", "15 output.quantities.mean",
    ]  # fmt: skip


def test_a_mesh_may_lie_in_another_folder(tmp_path: Path) -> None:
    """The run folder keeps a copy of it; other files stay where they are."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "plate.toml").write_text(
        '[domain]\nmesh = "meshes/plate.msh"\n[unknowns]\nu = "scalar"\n[form]\nenergy = "u**2*dx"\n'
    )
    (tmp_path / "all" / "meshes").mkdir(parents=True)
    shutil.copy(MESHES / "plate.msh", tmp_path / "all" / "meshes" / "plate.msh")
    with pytest.raises(InputError, match=r"no such file: 'meshes/plate\.msh', looked for in the problem file's folder"):
        read_problem(tmp_path / "own" / "plate.toml")
    with pytest.raises(InputError, match=r"no such file: 'meshes/plate\.msh', looked for in the folder of --mesh-root"):
        read_problem(tmp_path / "own" / "plate.toml", mesh_root=tmp_path)
    problem = read_problem(tmp_path / "own" / "plate.toml", mesh_root=tmp_path / "all")
    from vpinn.placement import HERE
    from vpinn.run_folder import begin, describe, read_problem_of

    (tmp_path / "run").mkdir()
    begin(tmp_path / "run", problem, describe(problem, problem.settings, "elements", HERE), anew=True)
    assert (tmp_path / "run" / "meshes" / "plate.msh").read_bytes() == (MESHES / "plate.msh").read_bytes()
    assert read_problem_of(tmp_path / "run").domain.n_cells == problem.domain.n_cells


def test_a_new_file_passes_check_without_a_remark(write: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(write(template("heat")))]) == 0
    shown = capsys.readouterr()
    assert "not used" not in shown.out
    assert shown.err == ""


def test_settings_without_effect_are_told() -> None:
    stated = make_problem(
        {"shape": "interval", "cells": 2},
        unknowns={"u": "scalar"},
        energy="u**2*dx",
        solver={"learning_rate": 1e-2, "seed": 1},
        network={"layers": [4]},
        quadrature={"degree": 4},
    )
    assert unused_settings(stated.settings, "least-squares") == ["solver.learning_rate", "network.layers"]
    assert unused_settings(stated.settings, "elements") == ["solver.learning_rate", "network.layers", "quadrature.degree"]
    assert unused_settings(stated.settings, "lbfgs") == unused_settings(stated.settings, "langevin") == ["solver.learning_rate"]
    assert unused_settings(stated.settings, "adam") == []


def test_one_thread_is_enough_for_few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert usual_threads(999_999) == 1
    assert usual_threads(1_000_000) == available_cores()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert usual_threads(10) == usual_threads(10**9) == 3


def test_keys_of_set_are_completed() -> None:
    assert completed("so") == ["solver."]
    assert completed("solver.lea") == ["solver.learning_rate="]
    assert completed("quadrature.rule=g") == ["quadrature.rule=gauss"]
    assert "network.layers=" in completed("network.")
