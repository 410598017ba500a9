"""Test that no module of vpinn evaluates text, unpickles, or reads formats that can run code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import vpinn.problem

ROOT = Path(vpinn.problem.__file__).parents[1]
NAMES = {"eval", "exec", "compile", "__import__", "sympify", "parse_expr"}
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "sympy", "numexpr"}
ATTRIBUTES = {("torch", "load"), ("np", "loads"), ("numpy", "loads")}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_evaluation(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id=name)):
                assert name not in NAMES, f"{name}() in line {node.lineno}"
            case ast.Attribute(value=ast.Name(id=owner), attr=name):
                assert (owner, name) not in ATTRIBUTES, f"{owner}.{name} in line {node.lineno}"
                assert name not in ("sympify", "unpickle"), f"{name} in line {node.lineno}"
            case ast.Import(names=names):
                assert not {alias.name.split(".")[0] for alias in names} & MODULES, f"import in line {node.lineno}"
            case ast.ImportFrom(module=str(module), names=names):
                assert module.split(".")[0] not in MODULES, f"import in line {node.lineno}"
                assert (module, "load") not in {("torch", alias.name) for alias in names if module == "torch"}
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=value)):
                assert value is False, "allow_pickle"
