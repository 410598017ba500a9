"""Test the structure of the code: imports go one way, reading a problem imports little, files are short."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import vpinn

ROOT = Path(vpinn.__file__).parent
FLOW = (
    "text",
    "errors",
    "workers",
    "placement",
    "interrupt",
    "factors",
    "storage",
    "process",
    "waiting",
    "metrics",
    "registry",
    "domain",
    "problem",
    "forms",
    "trial",
    "objective",
    "finite_elements",
    "sampling",
    "features",
    "dimensions",
    "optimization",
    "noise",
    "solution",
    "solution_in_time",
    "analysis",
    "march",
    "eigen",
    "families",
    "learning",
    "inference",
    "run_files",
    "output",
    "run_folder",
    "solving",
    "comparison",
    "testing",
    "cli",
    "__main__",
)
AHEAD = {("problem", "forms", "_holds")}
"""What reaches ahead, inside a function: (importing stage, imported stage, function). Conditions evaluated."""
MAX_LINES = 300
FILES = sorted(ROOT.rglob("*.py"))


def stage_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path, text: str) -> Iterator[tuple[str, str, int]]:
    """Return the stages that a file imports, each with the function around the import ("" for the module) and its line."""

    def visit(node: ast.AST, function: str) -> Iterator[tuple[str, str, int]]:
        for child in ast.iter_child_nodes(node):
            inside = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
            modules: list[str] = []
            if isinstance(child, ast.Import):
                modules = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno}: imports are absolute"
                module = child.module or ""
                modules = [f"{module}.{alias.name}" for alias in child.names] if module == "vpinn" else [module]
            for module in modules:
                head, _, rest = module.partition(".")
                if head == "vpinn" and rest:
                    yield rest.split(".")[0], inside, child.lineno
            yield from visit(child, inside)

    return visit(ast.parse(text), "")


def against_the_flow(path: Path, text: str) -> list[str]:
    stage = stage_of(path)
    wrong = []
    for other, function, line in imported(path, text):
        if other not in FLOW:
            wrong.append(f"{path}:{line}: {other} is no stage")
        elif FLOW.index(other) > FLOW.index(stage) and (stage, other, function) not in AHEAD:
            wrong.append(f"{path}:{line}: {stage} imports {other}")
    return wrong


def test_imports_follow_the_flow() -> None:
    assert len(FILES) > 50
    found = [line for path in FILES if path != ROOT / "__init__.py" for line in against_the_flow(path, path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("domain/mesh.py", "from vpinn.problem import Problem"),
        ("domain/mesh.py", "import vpinn.forms.graph"),
        ("problem/build.py", "def f():\n    from vpinn import solving"),
        ("objective/measure.py", "class A:\n    def f(self):\n        from vpinn.sampling import Sampler"),
        ("solution.py", "from vpinn.output import export"),
        ("solution.py", "def exporting():\n    from vpinn.output import export"),
        ("forms/graph.py", "from vpinn.tools import x"),
    ],
)
def test_an_import_against_the_flow_is_found(file: str, text: str) -> None:
    assert len(against_the_flow(ROOT / file, text)) == 1


def missing(path: Path) -> Iterator[str]:
    """Return what a file imports from vpinn that is not there."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "vpinn":
            module = importlib.import_module(str(node.module))
            for name in (alias.name for alias in node.names):
                inside = hasattr(module, "__path__") and importlib.util.find_spec(f"{node.module}.{name}")
                if not hasattr(module, name) and not inside:
                    yield f"{path}:{node.lineno}: {node.module} has no {name}"


def test_scripts_import_what_there_is() -> None:
    """Neither the type checker nor a test runs what makes pages and measures, so that a name they need could go unnoticed."""
    scripts = [path for folder in ("results", "tests") for path in sorted((ROOT.parent / folder).rglob("*.py"))]
    assert [told for path in scripts if not path.name.startswith(("test_", "conftest")) for told in missing(path)] == []


def test_every_file_belongs_to_a_stage() -> None:
    assert {stage_of(path) for path in FILES} <= {*FLOW, "__init__", "__main__"}


def test_every_package_is_in_the_table_of_the_code_in_the_order_of_the_flow() -> None:
    rows = [line.split("|")[1] for line in (ROOT / "__init__.py").read_text().splitlines() if line.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages <= {*listed}
    assert listed == sorted(listed, key=FLOW.index)


@pytest.mark.parametrize("module", ["vpinn", "vpinn.domain", "vpinn.problem", "vpinn.cli"])
def test_no_heavy_module_before_it_is_needed(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not there yet")
    code = f"import sys, {module}; print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=600, check=True)
    assert result.stdout.strip() == "[]"


def test_no_drawer_of_odds_and_ends() -> None:
    names = {path.stem.strip("_") for path in FILES} | {path.parent.name for path in FILES}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc", "tools"}


def test_few_functions_are_long() -> None:
    """Branches above 10, statements above 40 and arguments above 7 have at most ten exceptions, each with a reason."""
    excused = [
        line for path in FILES for line in path.read_text().splitlines() if re.search(r"noqa:.*(C901|PLR0913|PLR0915)", line)
    ]
    assert len(excused) <= 10
    assert all(re.search(r"\(\w[^)]+\)$", line) for line in excused)


def test_class_names_are_unique() -> None:
    """Public ones, in all of the package."""
    found: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


DOMAINS = {"Mesh", "Meshless", "Hypercube", "Ball", "Space", "Domain"}
TYPE_ASKED = {
    "domain/regions.py": "points are made, in cells or without",
    "domain/given.py": "a place is located, in cells or without",
    "problem/reader.py": "a domain from Python is told from the keys of a section",
}
"""Files that ask once what a domain is, with the reason. Others ask it for its cells, or its regions for what they give."""
KINDS = {"facet", "facets", "boundary", "inside"}
"""Names that a region has; no boolean stands for it."""


def types_asked(text: str) -> list[int]:
    """Lines that ask whether something is a mesh or a hypercube."""
    calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and len(node.args) == 2)
    asked = (node for node in calls if isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "issubclass"))
    return [n.lineno for n in asked if DOMAINS & {part.id for part in ast.walk(n.args[1]) if isinstance(part, ast.Name)}]


def booleans_for_regions(text: str) -> list[int]:
    """Lines of parameters, attributes and arguments that tell by a boolean what kind of region is meant."""
    lines = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.arg) and node.annotation is not None:
            name, kind = node.arg, ast.unparse(node.annotation)
        elif isinstance(node, ast.AnnAssign):
            name, kind = ast.unparse(node.target), ast.unparse(node.annotation)
        elif isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
            name, kind = node.arg or "", type(node.value.value).__name__
        else:
            continue
        if name.rpartition(".")[2] in KINDS and kind.partition(" ")[0] == "bool":
            lines.append(node.lineno)
    return lines


def test_a_domain_is_asked_for_its_cells_and_not_for_its_type() -> None:
    found = {str(path.relative_to(ROOT)): len(types_asked(path.read_text())) for path in FILES}
    assert {name: count for name, count in found.items() if count} == dict.fromkeys(TYPE_ASKED, 1)


def test_no_boolean_stands_for_a_kind_of_region() -> None:
    assert {str(path): lines for path in FILES if (lines := booleans_for_regions(path.read_text()))} == {}


@pytest.mark.parametrize(
    ("find", "text"),
    [
        (types_asked, "def f(domain):\n    return isinstance(domain, Mesh)"),
        (types_asked, "assert isinstance(problem.domain, Mesh | Hypercube)"),
        (types_asked, "x = 1 if not isinstance(d, (int, Mesh)) else 2"),
        (booleans_for_regions, "class A:\n    facet: bool"),
        (booleans_for_regions, "def f(points, *, facet: bool = False): ..."),
        (booleans_for_regions, "integral(facet=True)"),
    ],
)
def test_what_stands_for_a_region_is_found(find: Callable[[str], list[int]], text: str) -> None:
    assert len(find(text)) == 1


@pytest.mark.parametrize("text", ["isinstance(field, MeshField)", "facet: int = 0", "f(facet=3)", "def f(facets: Integers): ..."])
def test_what_does_not_is_left_alone(text: str) -> None:
    assert types_asked(text) + booleans_for_regions(text) == []


def test_no_file_is_long() -> None:
    long = {str(path): n for path in FILES if (n := len(path.read_text().splitlines())) > MAX_LINES}
    assert long == {}


def names_in(node: ast.AST) -> set[str]:
    """Return the names and attributes in a piece of code."""
    found = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    found |= {alias.name for part in ast.walk(node) if isinstance(part, ast.ImportFrom) for alias in part.names}
    return found | {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}


WITHOUT_SETTINGS = ("domain", "forms", "finite_elements", "sampling", "dimensions", "eigen")
"""Stages that take problems, as mathematics, and numbers, never the settings of a problem file."""


def test_a_problem_is_mathematics() -> None:
    """``Problem`` has no settings, which ``Case`` adds; and stages that need the mathematics alone never ask for them."""
    tree = ast.parse((ROOT / "problem/problem.py").read_text())
    (stated,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Problem")
    fields = {ast.unparse(node.target): node.annotation for node in stated.body if isinstance(node, ast.AnnAssign)}
    assert len(fields) > 15
    assert not [name for name, kind in fields.items() if names_in(kind) & {"Settings", "Path"}]
    asked = {
        str(path.relative_to(ROOT)): found
        for path in FILES
        if stage_of(path) in WITHOUT_SETTINGS and (found := names_in(ast.parse(path.read_text())) & {"Case", "Settings"})
    }
    assert asked == {}


def test_no_problem_is_edited_to_change_how_it_is_solved() -> None:
    """A problem is its mathematics and what its file asks for; other settings are arguments, never put into it."""
    edits = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "replace"
        if any(keyword.arg in ("settings", "source") for keyword in node.keywords)
    ]
    assert edits == []


def unrelated(node: ast.AST) -> bool:
    """Whether a statement assigns three values or more to as many names, and they are not of one kind.

    Of one kind are attributes of one object, constants, empty lists, calls of one function, and entries at one place or of one
    array.
    """
    if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple) and isinstance(node.targets[0], ast.Tuple)):
        return False
    kinds = {_kind(value) for value in node.value.elts}
    return len(node.value.elts) > 2 and len(kinds) > 1 and not _entries(node.value.elts)


def _kind(value: ast.expr) -> str:
    if isinstance(value, ast.Attribute):
        return ast.unparse(value.value)
    if isinstance(value, ast.Call):
        return ast.unparse(value.func)
    return type(value).__name__ if isinstance(value, ast.Constant | ast.List) else ast.unparse(value)


def _entries(values: list[ast.expr]) -> bool:
    found = [value for value in values if isinstance(value, ast.Subscript)]
    if len(found) < len(values):
        return False
    return 1 in (len({ast.unparse(value.slice) for value in found}), len({ast.unparse(value.value) for value in found}))


def nested(node: ast.AST) -> bool:
    """Whether a conditional expression stands in another one."""
    parts = (node.test, node.body, node.orelse) if isinstance(node, ast.IfExp) else ()
    return any(isinstance(inner, ast.IfExp) for part in parts for inner in ast.walk(part))


def counted(found: Callable[[ast.AST], bool]) -> dict[str, int]:
    """Return how many nodes of the code are found, by stage."""
    stages = [stage_of(path) for path in FILES for node in ast.walk(ast.parse(path.read_text())) if found(node)]
    return dict(Counter(stages))


def test_assignments_of_unrelated_values_become_fewer() -> None:
    """``a, b, c = …`` hides three statements in one; those that are left have to go, and no other may come."""
    left = {"analysis": 1, "noise": 1}
    assert {stage: n for stage, n in counted(unrelated).items() if n > left.get(stage, 0)} == {}


def test_no_condition_stands_inside_another() -> None:
    """``a if p else b if q else c`` is read twice."""
    assert counted(nested) == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a, b, c = 1, f(x), y", True),
        ("self.a, self.b, self.c = x, y, z", True),
        ("a, b = x, f(y)", False),
        ("a, b, c = 0.1, 2, None", False),
        ("a, b, c = p.x, p.y, p.z", False),
        ("a, b, c = x[k], y[k], z[k]", False),
        ("a, b, c = f(x)", False),
    ],
)
def test_an_assignment_of_unrelated_values_is_found(text: str, found: bool) -> None:
    assert unrelated(ast.parse(text).body[0]) == found
