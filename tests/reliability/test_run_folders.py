"""Test run folders from elsewhere, whose files may be undamaged and still not belong to the problem."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from membrane import membrane

from vpinn.cli import main
from vpinn.optimization import load_arrays, save_arrays


def text(exact: str) -> str:
    """Return the problem file with an exact solution."""
    return membrane(
        'shape = "interval"\ncells = 3',
        network="layers = [3]",
        solver='method = "adam"\nsteps = 2',
        output='formats = ["csv"]',
        reference=f'exact = {{ u = "{exact}" }}',
    )


WRONG: tuple[Any, ...] = (None, "x", -1, [], {"a": 1}, [1e30], 10**30)
QUIET = ("-q", "--threads", "1")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "a.toml").write_text(text("x*(1 - x)/2"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vpinn.output.folder.draw", lambda *_: [])
        assert main(["solve", str(folder / "a.toml"), "-o", str(folder / "run"), *QUIET]) == 0
    return folder


def crafted(whole: Path, arrays: dict[str, Any], meta: dict[str, Any], folder: Path) -> Path:
    """Return a run folder whose checkpoint has a valid hash, but other content."""
    shutil.copytree(whole / "run", folder / "run")
    save_arrays(folder / "run" / "checkpoint.npz", arrays, meta)
    return folder / "run"


KEYS = ("generator", "numbers", "learned", "settled", "layers", "activation", "rows", "corners", "journal", "asked", "scales")


@pytest.mark.parametrize("key", KEYS)
def test_no_checkpoint_ends_in_a_bug(key: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays, meta = load_arrays(whole / "run" / "checkpoint.npz")
    without = {name: value for name, value in meta.items() if name != key}
    for number, changed in enumerate((without, *({**meta, key: value} for value in WRONG))):
        run = crafted(whole, arrays, changed, tmp_path / str(number))
        code = main(["evaluate", str(run), "--at", "0.5"])
        said = capsys.readouterr().err
        assert code in (0, 4), said
        assert said.count("\n") == (code == 4)


@pytest.mark.parametrize("name", ["theta", "solution", "best", "anchor", "history"])
def test_no_array_ends_in_a_bug(name: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays, meta = load_arrays(whole / "run" / "checkpoint.npz")
    rest = {other: array for other, array in arrays.items() if other != name}
    for number, changed in enumerate((rest, {**arrays, name: arrays[name][:1]}, {**arrays, name: np.array(["x"])})):
        run = crafted(whole, changed, meta, tmp_path / str(number))
        code = main(["evaluate", str(run), "--at", "0.5"])
        assert code in (0, 4), capsys.readouterr().err
        assert "bug:" not in capsys.readouterr().err


def test_a_state_of_another_problem_is_not_gone_on_with(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays, meta = load_arrays(whole / "run" / "checkpoint.npz")
    for number, key in enumerate(("generator", "numbers", "learned")):
        run = crafted(whole, arrays, {**meta, key: "x"}, tmp_path / str(number))
        assert main(["solve", str(whole / "a.toml"), "-o", str(run), "--resume", *QUIET]) == 4
        assert "holds no state of a run of this problem" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check", "solve"])
@pytest.mark.parametrize("exact", ["ln(x - 2)", "1/(x - x)", "sqrt(x - 0.5)", "exp(1000*x)", "asin(2 + 0*x)"])
def test_an_exact_solution_that_is_none_is_told_before_the_work(
    command: str, exact: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vpinn.solving.preparation._prepare", lambda *_: pytest.fail("the work has begun"))
    (tmp_path / "a.toml").write_text(text(exact))
    words = ["-o", str(tmp_path / "run"), *QUIET] if command == "solve" else []
    assert main([command, str(tmp_path / "a.toml"), *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{tmp_path / 'a.toml'}:20: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()
