"""Test that no file of the working directory is executed, whatever its name."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from membrane import membrane

from vpinn.process import safe_path

MORE = {"network": "layers = [4]", "reference": 'exact = { u = "x*(1 - x)/2" }'}
SCRIPT = "from vpinn.cli.__main__ import run\n\nif __name__ == '__main__':\n    run()\n"
"""What an installed ``vpinn`` is: a script in a folder of its own."""
FINDERS = ("pkgutil",)
"""What Python itself imports to find the module of ``-m``, before there is any of ours."""
MESH = """$MeshFormat
2.2 0 8
$EndMeshFormat
$Nodes
3
1 0 0 0
2 1 0 0
3 0.5 0 0
$EndNodes
$Elements
2
1 1 2 1 1 1 3
2 1 2 1 1 3 2
$EndElements
"""


@pytest.fixture(scope="module")
def names() -> list[str]:
    """Return the names of all modules that a comparison imports, and of Python's standard library."""
    for name in ("vpinn.cli", "vpinn.comparison", "vpinn.output", "vpinn.noise", "meshio", "multiprocessing.forkserver"):
        importlib.import_module(name)
    found = {name.partition(".")[0] for name in sys.modules} | set(sys.stdlib_module_names)
    return sorted({*found, "sitecustomize", "usercustomize"} - {"vpinn", "__main__"})


@pytest.fixture
def hostile(names: list[str], tmp_path: Path) -> Path:
    """Return a folder with problem files, and a module of each name that leaves a mark if it is executed."""
    folder = tmp_path / "problem"
    for place in (folder, tmp_path / "marks"):
        place.mkdir()
    for name in names:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'marks' / name)!r}, 'w').close()\n")
    (folder / "line.toml").write_text(membrane('shape = "interval"\ncells = 8', **MORE))
    (folder / "meshed.toml").write_text(membrane('mesh = "line.msh"', **MORE))
    (folder / "line.msh").write_text(MESH)
    plugin = folder / "hostile-1.dist-info"
    plugin.mkdir()
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1\n")
    (plugin / "entry_points.txt").write_text("[pydantic]\nhostile = json\n")
    return folder


def run(hostile: Path, *words: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run a command in the folder; return its exit code, and which modules of the folder were executed."""
    done = subprocess.run([sys.executable, *words], cwd=hostile, capture_output=True, text=True, check=False)
    return done, sorted(mark.name for mark in (hostile.parent / "marks").iterdir())


@pytest.fixture
def script(tmp_path: Path) -> str:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "vpinn").write_text(SCRIPT)
    return str(tmp_path / "bin" / "vpinn")


@pytest.mark.slow
def test_a_comparison_imports_nothing_from_the_folder(hostile: Path, script: str) -> None:
    words = ["--vary", "batch.size=full", "--seeds", "1", "--seconds", "0.05", "--threads", "1", "-q"]
    done, ran = run(hostile, script, "compare", "line.toml", *words)
    assert ran == []
    assert done.returncode == 0, done.stderr


def test_a_mesh_imports_nothing_from_the_folder(hostile: Path, script: str) -> None:
    done, ran = run(hostile, script, "check", "meshed.toml")
    assert ran == []
    assert done.returncode == 0, done.stderr


def test_as_a_module_of_python_it_imports_nothing_from_the_folder(hostile: Path) -> None:
    done, ran = run(hostile, "-m", "vpinn", "schema")
    assert [name for name in ran if name not in FINDERS] == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("before", ["", "1", None])
def test_the_safe_path_is_set_for_our_processes_only(before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    if before is not None:
        monkeypatch.setenv("PYTHONSAFEPATH", before)
    with safe_path():
        assert os.environ["PYTHONSAFEPATH"] == "1"
    assert os.environ.get("PYTHONSAFEPATH") == before


def test_no_process_of_ours_or_of_the_tests_starts_with_the_working_directory() -> None:
    root = Path(__file__).parents[2]
    unsafe = [
        str(path.relative_to(root))
        for path in (*(root / "vpinn").rglob("*.py"), *(root / "tests").rglob("*.py"))
        if any("sys.executable, " + option in path.read_text() for option in ('"-m', '"-c'))
    ]
    assert unsafe == []
