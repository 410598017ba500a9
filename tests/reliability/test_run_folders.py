"""Test run folders from elsewhere, whose files may be undamaged and still not belong to the problem."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from membrane import membrane

from vpinn.cli import main
from vpinn.errors import StorageError
from vpinn.march.trajectory import Trajectory
from vpinn.optimization import Training, checkpoint, load_arrays, save_arrays
from vpinn.trial.few_trial import restored


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


@pytest.mark.parametrize(("name", "value"), [("step", -1), ("step", "x"), ("seconds", None), ("idle", [1e30]), ("shrink", True)])
def test_numbers_of_a_state_are_numbers(name: str, value: Any, whole: Path) -> None:
    arrays, meta = load_arrays(whole / "run" / "checkpoint.npz")
    Training.from_arrays(arrays, meta)
    with pytest.raises(ValueError, match=rf"{name} is "):
        Training.from_arrays(arrays, {**meta, "numbers": {**meta["numbers"], name: value}})


def test_parts_that_do_not_fit_together_are_told() -> None:
    """Panels of a march, degrees of polynomials in many dimensions."""
    breaks, values = np.array([0.0, 1.0, 2.0]), np.zeros((2, 5, 3))
    Trajectory.from_arrays({"breaks": breaks, "course": values})
    for wrong in ({"breaks": breaks[:1]}, {"breaks": breaks[::-1]}, {"course": values.ravel()}):
        with pytest.raises(ValueError, match="panels"):
            Trajectory.from_arrays({"breaks": breaks, "course": values, **wrong})
    with pytest.raises(ValueError, match="degrees above"):
        restored(None, {"terms": [[[0, 10**7]]], "penalised": False})  # type: ignore[arg-type]


def test_what_is_compressed_or_no_description_is_no_checkpoint(whole: Path, tmp_path: Path) -> None:
    """Compressed arrays could take any memory; a description may be missing, no object, or too deep."""
    arrays, _ = load_arrays(whole / "run" / "checkpoint.npz")
    np.savez_compressed(tmp_path / "small.npz", allow_pickle=False, **arrays)
    for number, told in enumerate((None, b"[1]", b"{", b"[" * 100_000)):
        content = arrays if told is None else {**arrays, "meta": np.frombuffer(told, dtype=np.uint8)}
        digest = np.frombuffer(checkpoint._digest(content), dtype=np.uint8)
        np.savez(tmp_path / f"{number}.npz", allow_pickle=False, **content, sha256=digest)
    for path in sorted(tmp_path.glob("*.npz")):
        with pytest.raises(StorageError, match="is damaged"):
            load_arrays(path)


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
