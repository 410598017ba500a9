"""Put faults into the package one at a time, and count how many of them the tests find (mutation testing).

Each mutant is the package with one change: a sign or operator reversed, a comparison made strict or not, a number doubled or
changed by one, min and max or two arguments swapped. It is killed if a test fails: of its package's folder, or of those named.
With --beside, mutants that survive are tried with the tests of another version, too; those that fail there reveal lost tests:

    python tests/benchmarks/mutants.py --count 60
    python tests/benchmarks/mutants.py sampling optimization/choice.py --count 8 --beside ../other/tests
    python tests/benchmarks/mutants.py finite_elements --select finite_elements/test_orders.py
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import os
import random
import resource
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

LIBRARIES = ("torch", "scipy.stats", "scipy.sparse.linalg", "ufl", "basix", "skfem", "pydantic", "matplotlib.figure")
"""What takes most of the time before the first test."""
ROOT = Path(__file__).parents[2]
OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


def mutate(node: ast.AST) -> str:
    """Change a node in place and return a description; "" if there is nothing to change."""
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in OPERATORS:
        node.op = OPERATORS[type(node.op)]()  # type: ignore[assignment]
        return f"now {type(node.op).__name__}"
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OPERATORS:
        node.ops[0] = OPERATORS[type(node.ops[0])]()  # type: ignore[call-overload]
        return f"now {type(node.ops[0]).__name__}"
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        node.value = node.value + 1 if isinstance(node.value, int) else 2.0 * node.value or 1.0
        return f"now {node.value}"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node.op = ast.UAdd()
        return "sign dropped"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("min", "max"):
        node.func.id = "max" if node.func.id == "min" else "min"
        return f"now {node.func.id}"
    if isinstance(node, ast.Call) and len(node.args) >= 2 and not any(isinstance(a, ast.Starred) for a in node.args):
        node.args[0], node.args[1] = node.args[1], node.args[0]
        return "arguments swapped"
    return ""


def files(place: str) -> list[Path]:
    """Return the modules of a package, or the one that is named."""
    path = ROOT / "vpinn" / place
    return [path] if path.suffix == ".py" else sorted(path.glob("*.py"))


def mutants(packages: list[str], count: int, seed: int) -> list[tuple[Path, str, str]]:
    """Return (file below the root, its changed text, what was changed), equally many of each package or module in turn."""
    generator, found = random.Random(seed), []
    for number in range(count):
        path = generator.choice(files(packages[number % len(packages)]))
        tree = ast.parse(path.read_text())
        sites = [i for i, node in enumerate(ast.walk(tree)) if mutate(copy.deepcopy(node))]
        if not sites:
            continue
        node = list(ast.walk(tree))[generator.choice(sites)]
        place = f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)[:60]}"  # type: ignore[attr-defined]
        change = mutate(node)
        found.append((path.relative_to(ROOT), ast.unparse(tree), f"{place} {change}"))
    return found


def killed(file: Path, text: str, tests: Path, select: list[str], seconds: float) -> bool:
    """Return whether tests fail, or do not end, with a changed file; they run in a fork that has the libraries loaded.

    Args:
        file: below the root.
        text: of the file.
        tests: folder of the tests.
        select: files and folders there; those of the file's package if empty.
        seconds: of processor time, after which tests count as failed.
    """
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        for part in ("vpinn", "problems"):
            shutil.copytree(ROOT / part, folder / part)
        shutil.copytree(tests, folder / "tests")
        shutil.copy(ROOT / "pyproject.toml", folder)
        (folder / file).write_text(text)
        chosen = [f"tests/{one}" for one in select or [file.parts[1]]]
        child = os.fork()
        if not child:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
            os.chdir(folder)
            os.environ["PYTHONPATH"] = name
            sys.path.insert(0, name)
            with Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
                os.dup2(nowhere.fileno(), 2)
                os._exit(pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", *chosen]))
        return os.waitpid(child, 0)[1] != 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folders = sorted(path.name for path in (ROOT / "vpinn").iterdir() if (ROOT / "tests" / path.name).is_dir())
    parser.add_argument("packages", nargs="*", default=folders, help="packages, or modules as optimization/choice.py")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tests", type=Path, default=ROOT / "tests")
    parser.add_argument("--select", nargs="*", default=[], help="files and folders of the tests")
    parser.add_argument("--beside", type=Path, help="tests of another state, tried on what survives")
    parser.add_argument("--seconds", type=int, default=1800, help="of one mutant's tests, after which they count as failed")
    options = parser.parse_args()
    found, lost = [], 0
    for library in LIBRARIES:
        importlib.import_module(library)
    for file, text, change in mutants(options.packages, options.count, options.seed):
        found.append(killed(file, text, options.tests, options.select, options.seconds))
        there = options.beside and not found[-1] and killed(file, text, options.beside, options.select, options.seconds)
        lost += bool(there)
        print("killed  " if found[-1] else "LOST    " if there else "survived", change, flush=True)
    print(f"{sum(found)} of {len(found)} killed" + (f", {lost} lost" if options.beside else ""))


if __name__ == "__main__":
    main()
