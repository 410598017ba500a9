"""Test that output stays in its folder, replaces only what a run wrote, and belongs to one run at a time."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from membrane import membrane

from vpinn.cli import main
from vpinn.domain import Hypercube, rectangle
from vpinn.errors import InputError, StorageError
from vpinn.problem import read_problem
from vpinn.problem.reference import read_reference
from vpinn.storage import LOCK, PART, claimed, inside, read_regular, write_atomic

TEXT = membrane(network="layers = [4]", solver='method = "adam"\nsteps = 3', output='formats = ["csv"]')
SWEEP = ("sweep", "--vary", "solver.seed=1,2")
QUIET = ("-q", "--threads", "1")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a problem file to the working directory, and switch figures off."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vpinn.output.folder.draw", lambda *_: [])
    (tmp_path / "heat.toml").write_text(TEXT)
    return Path("heat.toml")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the one line that a refused command prints."""
    capsys.readouterr()
    assert main([*words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", [".git", ".git/hooks", "sub/.venv", "./.config", "results/../.git"])
def test_a_problem_file_cannot_choose_a_hidden_folder(name: str, file: Path) -> None:
    file.write_text(TEXT + f'directory = "{name}"\n')
    with pytest.raises(InputError, match=r"heat\.toml:19: output\.directory: .* is a hidden folder"):
        read_problem(file)
    assert read_problem(file, [f'output.directory="{name}"']).directory == Path(name)


def test_a_link_to_a_hidden_folder_is_one(file: Path) -> None:
    Path(".git").mkdir()
    Path("results").mkdir()
    Path("results/heat").symlink_to(Path(".git").absolute())
    with pytest.raises(InputError, match="hidden"):
        read_problem(file)


def test_a_problem_file_cannot_choose_a_folder_of_other_files(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(TEXT + 'directory = "src"\n')
    Path("src").mkdir()
    Path("src/main.c").write_text("int main;")
    before = snapshot(Path())
    assert "src holds 'main.c', which no run wrote" in refused(capsys, "solve", str(file), *QUIET)
    assert snapshot(Path()) == before


@pytest.mark.parametrize(
    ("command", "folder"), [(("noise",), "heat/noise"), (("compare",), "heat-compare"), (SWEEP, "heat/sweep")]
)
def test_links_of_default_folders_do_not_lead_out(
    command: tuple[str, ...], folder: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other").mkdir()
    link = Path("results", folder)
    link.parent.mkdir(parents=True)
    link.symlink_to(Path("other").absolute())
    file.write_text(TEXT + "[reference]\nexact = { u = '0' }\n")
    assert "outside" in refused(capsys, command[0], str(file), *command[1:])
    assert list(Path("other").iterdir()) == []


@pytest.mark.parametrize("name", ["problem.toml", "history.csv", "solution.csv", "report.html", "run.json", "checkpoint.npz"])
@pytest.mark.parametrize("how", [(), ("--overwrite",)])
def test_files_that_no_run_wrote_stay(name: str, how: tuple[str, ...], file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").mkdir()
    Path("mine", name).write_text('{"name": "somebody else\'s"}')
    before = snapshot(Path())
    assert f"mine/{name} is there and no run wrote it" in refused(capsys, "solve", str(file), "-o", "mine", *QUIET, *how)
    assert snapshot(Path()) == before


@pytest.fixture
def with_reference(file: Path) -> Path:
    Path("data").mkdir()
    Path("data/truth.csv").write_text("x,u\n0.5,0.125\n0.25,0.09375\n")
    file.write_text(TEXT + '[reference]\nfile = "data/truth.csv"\n')
    return file


def test_overwriting_replaces_what_the_run_wrote_and_nothing_else(
    with_reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["solve", str(with_reference), *QUIET]) == 0
    run = Path("results/heat")
    Path(run, "notes.md").write_text("mine")
    (run / "data" / "notes.md").write_text("mine, too")
    assert main(["solve", str(with_reference), *QUIET, "--overwrite"]) == 0
    assert (run / "notes.md").read_text() == "mine"
    Path("data/notes.md").write_text("x,u\n0.5,0.125\n")
    with_reference.write_text(TEXT + '[reference]\nfile = "data/notes.md"\n')
    assert "notes.md is there and no run wrote it" in refused(capsys, "solve", str(with_reference), *QUIET, "--overwrite")
    assert (run / "data" / "notes.md").read_text() == "mine, too"


def test_no_copy_leaves_the_folder(with_reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "data").symlink_to(tmp_path / "elsewhere")
    assert "lies outside" in refused(capsys, "solve", str(with_reference), "-o", "out", *QUIET)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("name", ["{folder}/data/truth.csv", "../{stem}/data/truth.csv", "data/../data/truth.csv"])
def test_a_name_that_a_copy_cannot_have_is_refused(name: str, with_reference: Path, tmp_path: Path) -> None:
    name = name.format(folder=tmp_path, stem=tmp_path.name)
    with_reference.write_text(TEXT + f'[reference]\nfile = "{name}"\n')
    with pytest.raises(InputError, match=r"heat\.toml:20: reference\.file: .* is not a path below"):
        read_problem(with_reference)


@pytest.mark.parametrize("name", ["checkpoint.npz", "history.csv", "figures/solution.png"])
def test_a_file_with_the_name_of_a_run_s_is_refused(
    name: str, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vpinn.run_folder.named_files", lambda problem: [(name, file)])
    assert "would clash with a file that the run writes" in refused(capsys, "solve", str(file), *QUIET)


def test_figures_do_not_leave_the_folder(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert main(["solve", str(file), *QUIET]) == 0
    monkeypatch.undo()
    run = tmp_path / "results" / "heat"
    (run / "figures").symlink_to(tmp_path / "elsewhere")
    assert main(["report", str(run)]) == 2
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("name", ["run.json", "checkpoint.npz", "metrics.json"])
def test_a_pipe_in_a_run_folder_is_not_waited_for(name: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", str(file), *QUIET]) == 0
    path = Path("results/heat", name)
    path.unlink()
    os.mkfifo(path)
    assert main(["evaluate", "results/heat", "--at", "0.5"]) == 4
    assert name in capsys.readouterr().err


def _hold(folder: str, pipe: Any) -> None:
    with claimed(Path(folder)):
        pipe.send("held")
        pipe.recv()


@pytest.fixture
def holder(tmp_path: Path) -> Any:
    """Start a process that locks a folder until it is killed or told to end."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_hold, args=(str(tmp_path / "run"), theirs))
    process.start()
    theirs.close()
    assert ours.recv() == "held"
    yield process
    if process.is_alive():
        ours.send("end")
    process.join()


@pytest.mark.parametrize("command", [("solve",), ("solve", "--overwrite"), ("compare",), ("noise",), SWEEP])
def test_a_second_run_into_a_folder_is_refused(
    command: tuple[str, ...], holder: Any, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(TEXT + "[reference]\nexact = { u = '0' }\n")
    name, *words = command
    said = refused(capsys, name, str(file), *words, "-o", "run")
    assert said == "another run writes into run; wait for its end or choose another folder with -o\n"
    assert [path.name for path in Path("run").iterdir()] == [LOCK]


def test_a_run_that_was_killed_holds_nothing_and_what_it_left_is_cleared(holder: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "figures").mkdir()
    left = [run / f".checkpoint.npz.abc{PART}", run / "figures" / f".solution.png.abc{PART}"]
    for path in (*left, run / ".hidden"):
        path.write_text("half")
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert (run / LOCK).exists()
    with claimed(run), claimed(run):
        assert not any(path.exists() for path in left)
    assert sorted(path.name for path in run.iterdir()) == [".hidden", "figures"]


def test_a_claim_leaves_no_folder_that_it_made(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), claimed(tmp_path / "a" / "b"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with claimed(tmp_path / "a" / "b"):
        write_atomic(tmp_path / "a" / "b" / "file", b"")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["file"]
    with claimed(None):
        pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"), claimed(tmp_path / "file" / "run"):
        pass
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises((InputError, StorageError)), claimed(tmp_path / "loop"):
        pass


def test_inside_follows_links(tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "out").symlink_to(tmp_path)
    (tmp_path / "in" / "deep").symlink_to(tmp_path / "in" / "sub")
    assert inside(tmp_path / "in", "deep/x") == tmp_path / "in" / "deep" / "x"
    for name in ("out/x", "../x", "deep/../../x", str(tmp_path / "x")):
        with pytest.raises(InputError, match="outside"):
            inside(tmp_path / "in", name)


def test_regular_files_only(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path(os.devnull)):
        with pytest.raises(OSError, match=r"regular|directory"):
            read_regular(path)


def test_a_run_of_another_folder_goes_on(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that a run wrote is overwritten, resumed and reported as before."""
    assert main(["solve", str(file), *QUIET, "-o", "run"]) == 0
    assert "holds a run already" in refused(capsys, "solve", str(file), *QUIET, "-o", "run")
    assert main(["solve", str(file), *QUIET, "-o", "run", "--overwrite"]) == 0
    assert main(["solve", str(file), *QUIET, "-o", "run", "--resume"]) == 0
    assert json.loads(Path("run/metrics.json").read_text())["steps"] == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x,v\n0.5,0.1\n", "no column of an unknown"),
        ("y,u\n0.5,0.1\n", "no column x"),
        ("x,u\n0.5,many\n", "cannot be read as numbers"),
        ("x,u\n7,1\n", "no point of the reference lies inside the domain"),
        ("x,u,u\n0.5,1,2\n", "more than one column 'u'"),
        ("x,u\n" + "1" * 200_000 + ",1\n", "values that are not finite"),
        ("x,u\n0.5,0.5,0.5,0.5\n", "rows of 4 under 2 names"),
        ("x,u\n0.5,1\n0.5\n", "cannot be read as numbers"),
        ("x,\xff\n".encode("latin-1"), "cannot be read"),
    ],
)
def test_a_wrong_reference_is_told_before_training_and_mending_it_is_no_other_run(
    content: str | bytes, message: str, with_reference: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["solve", str(with_reference), *QUIET]) == 0
    before = Path("results/heat/checkpoint.npz").read_bytes()
    Path("data/truth.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.setattr("vpinn.solving.strategies.prepare", lambda *_: pytest.fail("the work has begun"))
    for words in (("solve", "--overwrite"), ("solve", "--resume"), ("check",)):
        said = refused(capsys, words[0], str(with_reference), *words[1:])
        assert message in said
        assert "truth.csv: " in said
    assert Path("results/heat/checkpoint.npz").read_bytes() == before


def test_what_training_does_not_see_may_change(with_reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Title, reference and output: the solution stays as it is, its errors are measured anew."""
    assert main(["solve", str(with_reference), *QUIET]) == 0
    metrics = json.loads(Path("results/heat/metrics.json").read_text())
    before = metrics["errors"]["u"]["relative_l2"], metrics["error_estimate"]
    Path("data/truth.csv").write_text("x,u\n0.5,5\n")
    text = TEXT.replace('formats = ["csv"]', 'formats = ["npz"]') + '[reference]\nfile = "data/truth.csv"\n'
    with_reference.write_text(f'title = "other"\n{text}')
    assert main(["solve", str(with_reference), *QUIET, "--resume"]) == 0
    metrics = json.loads(Path("results/heat/metrics.json").read_text())
    assert metrics["errors"]["u"]["relative_l2"] != before[0]
    assert metrics["error_estimate"] == before[1]
    assert json.loads(Path("results/heat/run.json").read_text())["title"] == "other"
    with_reference.write_text(f'title = "third"\n{text}'.replace("layers = [4]", "layers = [5]"))
    assert "network.layers changed" in refused(capsys, "solve", str(with_reference), *QUIET, "--resume")


def test_components_that_are_missing_and_many_dimensions(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text("x,y,w0,u\n0.5,0.5,1,2\n")
    with pytest.raises(InputError, match="no column w1, but others of this unknown"):
        read_reference(path, rectangle(cells=1), {"u": (), "w": (2,)})
    path.write_text("x0,x1,x2,x3,u\n0.5,0.5,0.5,0.5,2\n2,2,2,2,2\n")
    found = read_reference(path, Hypercube((0.0,) * 4, (1.0,) * 4), {"u": ()})
    assert (found.points.shape, found.outside) == ((1, 4), 1)


def test_a_lock_that_ends_in_a_moment_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that a killed run was starting still has its lock until it loads another program."""
    monkeypatch.setattr("vpinn.storage.PATIENCE", 20.0)
    handle = os.open(tmp_path / LOCK, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    release = threading.Timer(0.1, os.close, (handle,))
    release.start()
    with claimed(tmp_path):
        assert release.finished.is_set()
