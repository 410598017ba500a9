from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import ufl
from pydantic import ValidationError
from ufl.classes import Zero

from vpinn.domain import Hypercube, Mesh, rectangle
from vpinn.errors import InputError
from vpinn.problem import Energy, Settings, make_problem, read_problem, schema_json, template
from vpinn.problem.validation import UNAVAILABLE

from .corpus import TWO, problem

SQUARE = {"shape": "rectangle", "cells": 2}


def test_the_template_runs_as_it_is(write: Callable[[str], Path]) -> None:
    stated = read_problem(write(template("my-plate_2")))
    assert stated.title == "my-plate_2"
    assert isinstance(stated.formulation, Energy)
    assert isinstance(stated.domain, Mesh)
    assert stated.exact["u"].ufl_shape == ()


@pytest.mark.parametrize("name", ["", "a/b", '"', "..\n", "x" * 65, "-rf", "\x1b"])
def test_template_names(name: str) -> None:
    with pytest.raises(InputError):
        template(name)


def test_what_a_file_becomes(write: Callable[[str], Path]) -> None:
    text = problem(
        unknowns=TWO,
        more='[constants]\nk = 2\n[expressions]\nf = "k*x"\ng = 3\n',
        form="[form]\nweak = \"inner(grad(u), grad(v))*dx - f*v*ds('left') + inner(w, z)*dx\"\n",
        boundary='[[boundary]]\non = ["left", "top"]\nunknown = "w"\nvalue = ["x", 0]\nweight = 3.0\n'
        '[[boundary]]\non = "all"\nunknown = "u"\nvalue = "y"\nimpose = "penalty"\n'
        '[[boundary]]\non = "right"\nunknown = "w"\ncomponent = 1\nvalue = "n[0]"\n',
    )
    path = write(text)
    stated = read_problem(path)
    u, w = stated.unknowns
    assert [(a.name, a.test_name, a.shape, a.components, a.test.part()) for a in (u, w)] == [
        ("u", "v", (), 1, 0),
        ("w", "z", (2,), 2, 1),
    ]
    assert stated.tags[:2] == ("left", "right")
    assert [i.subdomain_id() for i in stated.formulation.integrals.integrals() if i.integral_type() == "exterior_facet"] == [0]
    first, second, third = stated.boundary
    assert (first.on, first.unknown, first.component, first.impose, first.weight) == (("left", "top"), "w", None, "auto", 3.0)
    assert first.value is not None
    assert first.value.ufl_shape == (2,)
    assert (second.on, second.impose) == (("all",), "penalty")
    assert third.value is not None
    assert third.value.ufl_shape == ()
    assert first.where == f"{path}:{text.splitlines().index('[[boundary]]') + 1}"
    assert stated.directory == Path("results/problem")
    assert stated.where("form", "weak").startswith(f"{path}:")
    assert stated.unknown("w") is w
    with pytest.raises(InputError, match="there are u, w"):
        stated.unknown("q")
    assert stated.source.text == text


def test_overrides_and_their_place(write: Callable[[str], Path]) -> None:
    path = write(problem())
    assert read_problem(path, ["solver.steps=7", "output.directory=/somewhere/else"]).settings.solver.steps == 7
    with pytest.raises(InputError, match=r"^--set solver.steps: solver.steps must be ≥ 1"):
        read_problem(path, ["solver.steps=0"])
    with pytest.raises(InputError, match=r"^--set form.energy: form.energy: unknown name 'kapa'"):
        read_problem(path, ["form.energy=kapa*u*dx"])


def test_strong_forms_and_residual_conditions(write: Callable[[str], Path]) -> None:
    text = problem(
        unknowns=TWO,
        form='[form]\nstrong = ["-div(grad(w)) + grad(u)", "div(w)"]\n',
        boundary='[[boundary]]\non = "left"\nresidual = "dot(grad(u), n) - 1"\n'
        '[[boundary]]\non = "all"\nunknown = "w"\nvalue = 0\n',
    )
    stated = read_problem(write(text))
    assert [equation.ufl_shape for equation in stated.formulation.equations] == [(2,), ()]
    residual, value = stated.boundary
    assert residual.residual is not None
    assert (residual.value, residual.unknown, residual.impose) == (None, None, "penalty")
    assert value.value == Zero((2,))


def test_meshes_are_found_inside_the_folder_only(tmp_path: Path) -> None:
    meshio = pytest.importorskip("meshio")
    points = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    inside = tmp_path / "problems"
    (inside / "meshes").mkdir(parents=True)
    for folder in (inside / "meshes", tmp_path):
        meshio.write(folder / "square.vtu", meshio.Mesh(points, [("triangle", np.array([[0, 1, 2], [0, 2, 3]]))]))
    path = inside / "problem.toml"
    path.write_text(problem(domain='[domain]\nmesh = "meshes/square.vtu"\n'), encoding="utf-8")
    assert read_problem(path).domain.dimension == 2
    (inside / "link.vtu").symlink_to(tmp_path / "square.vtu")
    for name in ("../square.vtu", "link.vtu", str(tmp_path / "square.vtu")):
        path.write_text(problem(domain=f'[domain]\nmesh = "{name}"\n'), encoding="utf-8")
        with pytest.raises(InputError, match="outside the problem file's folder"):
            read_problem(path)


def test_hypercubes() -> None:
    stated = make_problem(
        {"shape": "hypercube", "lower": [0] * 10},
        unknowns={"u": "scalar"},
        energy="inner(grad(u), grad(u))*dx - x[9]*u*ds('left')",
    )
    assert isinstance(stated.domain, Hypercube)
    assert stated.symbols.dimension == 10


def test_forms_in_python() -> None:
    from_text = make_problem(
        SQUARE, unknowns={"u": "scalar"}, constants={"k": 2}, weak="k*inner(grad(u), grad(v))*dx - v*ds('left')"
    )
    from_code = make_problem(
        rectangle(cells=2),
        unknowns={"u": "scalar"},
        constants={"k": 2},
        weak=lambda s: s.k * ufl.inner(ufl.grad(s.u), ufl.grad(s.v)) * s.dx - s.v * s.ds("left"),
        boundary=({"on": "right", "value": "y"},),
    )
    for stated in (from_text, from_code):
        assert [(i.integral_type(), i.subdomain_id()) for i in stated.formulation.integrals.integrals()] == [
            ("cell", "everywhere"),
            ("exterior_facet", 0),
        ]
        assert stated.source.path is None
    strong = make_problem(SQUARE, unknowns={"u": "scalar"}, strong=lambda s: -ufl.div(ufl.grad(s.u)) - s.x[0])
    assert len(strong.formulation.equations) == 1


@pytest.mark.parametrize(
    ("form", "part"),
    [
        ({"energy": lambda s: s.u}, "returns a UFL form"),
        ({"energy": lambda s: s.u * s.v * s.dx}, "no test functions"),
        ({"weak": lambda s: s.u * s.v * s.v * s.dx}, "linear in the test functions"),
        ({"weak": lambda s: s.u * s.v * s.ds("nowhere")}, "no boundary part"),
        ({"weak": lambda s: s.u * s.v * ufl.ds("left")}, "use the measures"),
        ({"weak": lambda s: s.u * s.v * ufl.dS}, "integrals are over dx or ds"),
        ({"strong": lambda s: 1}, "returns UFL expressions"),
        ({"strong": lambda s: s.u, "weak": "u*v*dx"}, "exactly one"),
        ({}, "exactly one"),
        ({"energy": "u*dx", "solvr": {}}, "did you mean solver"),
        ({"energy": "u*dx", "solver": {"steps": 0}}, "≥ 1"),
        ({"energy": "u*dx", "parameters": {"mu": [1, 0]}}, "ends above its start"),
    ],
)
def test_mistakes_in_python(form: dict[str, object], part: str) -> None:
    with pytest.raises(InputError) as caught:
        make_problem(SQUARE, unknowns={"u": "scalar"}, **form)  # type: ignore[arg-type]
    assert part in caught.value.message
    assert caught.value.where == ""


def test_default_test_functions_avoid_names_in_use() -> None:
    stated = make_problem(SQUARE, unknowns={"u": "scalar", "p": 2}, constants={"v": 1}, weak="v*u*v_u*dx + inner(p, v_p)*dx")
    assert [unknown.test_name for unknown in stated.unknowns] == ["v_u", "v_p"]


def test_the_schema_describes_every_setting() -> None:
    schema = schema_json()
    assert schema["required"] == ["domain", "unknowns", "form"]
    assert set(schema["properties"]) == set(Settings.model_fields)
    for model in [schema, *schema["$defs"].values()]:
        assert model["additionalProperties"] is False
        for entry in model["properties"].values():
            assert entry["description"]
    assert schema["properties"]["domain"]["$ref"] == "#/$defs/Domain"  # no union, so that an editor marks the wrong key in it
    assert schema["properties"]["unknowns"]["additionalProperties"]["then"] == {"$ref": "#/$defs/UnknownSection"}
    assert '"null"' not in json.dumps(schema)


def test_what_is_refused_as_unavailable_is_no_part_of_the_schema() -> None:
    for name in UNAVAILABLE:
        section, _, key = name.partition(".")
        data = tomllib.loads(problem())
        Settings.model_validate(data)
        data.setdefault(section, {})[key] = 1
        with pytest.raises(ValidationError):
            Settings.model_validate(data)


def test_a_mistake_costs_little_time_and_memory(write: Callable[[str], Path]) -> None:
    path = write(problem(form='[form]\nenergy = "kapa*u*dx"\n'))
    code = (
        "import time; t = time.process_time()\n"
        "from vpinn.problem import read_problem\nfrom vpinn.errors import InputError\n"
        f"try: read_problem({str(path)!r})\nexcept InputError as e: message = str(e)\n"
        "import pathlib, re, sys\n"
        "assert 'torch' not in sys.modules\nassert 'kapa' in message\n"
        "assert time.process_time() - t < 2\nstatus = pathlib.Path('/proc/self/status').read_text()\n"
        "assert int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) < 500_000\n"
    )
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stderr
