from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import numpy as np
import pytest
from membrane import membrane

from vpinn.cli import main
from vpinn.cli.__main__ import run
from vpinn.process import processor_seconds

SQUARE = 'shape = "rectangle"\ncells = 3'
TEXT = membrane(SQUARE, title="Torsion", network="layers = [5]", solver='method = "lbfgs"\nsteps = 3')


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a small problem file to the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torsion.toml").write_text(TEXT)
    return Path("torsion.toml")


def forked(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, TextIO]:
    """Run the program in a fork of this process, which has imported everything; return its process id and its stderr."""
    monkeypatch.setattr(sys, "argv", ["vpinn", *arguments])
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.dup2(writer, 2)
            os.close(reader)
            sys.stderr = os.fdopen(2, "w", buffering=1)
            run()
        finally:
            os._exit(70)
    os.close(writer)
    return pid, os.fdopen(reader)


def failed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Return the exit code and the one line on stderr."""
    code = main(list(arguments))
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.count("\n") == 1
    return code, streams.err.strip()


def test_worked_problems_are_listed_and_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them by kind; with its mesh beside it, and never over a file that is there."""
    monkeypatch.chdir(tmp_path)
    problems = Path(__file__).parents[1] / "problems"
    assert main(["new", "--list"]) == 0
    shown = capsys.readouterr().out
    assert {path.stem for path in problems.glob("*.toml")} == {re.split(r" {2,}", line)[1] for line in shown.splitlines()}
    for name in ("part", "other"):
        assert main(["new", name, "--from", "plate_with_holes"]) == 0
        assert Path(f"{name}.toml").read_bytes() == (problems / "plate_with_holes.toml").read_bytes()
    assert Path("meshes/plate.msh").read_bytes() == (problems / "meshes/plate.msh").read_bytes()
    capsys.readouterr()
    Path("meshes/gear.msh").write_text("mine")
    for arguments, message in (
        (["part", "--from", "poisson"], "part.toml: exists already; choose another name, or another folder"),
        (["wheel", "--from", "gear"], "meshes/gear.msh: exists already; choose another name, or another folder"),
        (["wheel", "--from", "plate_with_hole"], "there is no worked problem 'plate_with_hole'; did you mean plate_with_holes?"),
        ([], "give a name for the problem"),
    ):
        assert main(["new", *arguments]) == 2
        assert message in capsys.readouterr().err
    assert not Path("wheel.toml").exists()
    assert Path("meshes/gear.msh").read_text() == "mine"


def test_from_a_new_file_to_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "heat"]) == 0
    small = ["--set", "solver.method=lbfgs", "--set", "solver.steps=4", "--set", "network.layers=[4]", "--set", "domain.cells=2"]
    assert main(["check", "heat.toml", *small]) == 0
    shown = capsys.readouterr().out
    assert not Path("results").exists()
    assert "energy" in shown
    assert re.search(r"network +2 → 4 → 1, tanh; 17 parameters", shown)
    assert "\x1b" not in shown
    assert main(["solve", "heat.toml", *small, "--seed", "7", "--threads", "1"]) == 0
    streams = capsys.readouterr()
    assert re.search(r"error of u +L² \S+, H¹ \S+", streams.out)
    assert "step 4/4  loss" in streams.err
    run = Path("results/heat")
    for name in ("problem.toml", "run.json", "history.csv", "checkpoint.npz", "metrics.json", "solution.vtu", "report.html"):
        assert (run / name).is_file(), name
    assert {path.stem for path in (run / "figures").iterdir()} == {
        "solution",
        "error",
        "estimate",
        "conditions",
        "convergence",
        "quadrature",
    }
    assert json.loads((run / "run.json").read_text())["seed"] == 7
    (run / "report.html").unlink()
    with monkeypatch.context() as patch:  # the figures are drawn as they were above
        patch.setattr("vpinn.output.folder.draw", lambda solution, folder: sorted(folder.iterdir()))
        assert main(["report", str(run), "-q"]) == 0
    assert (run / "report.html").is_file()
    assert main(["export", str(run), "-f", "npz", "-f", "pvd"]) == 0
    assert capsys.readouterr().out.split() == [str(run / "solution.npz"), str(run / "solution.pvd")]


@pytest.fixture
def unpublished(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch off fields, figures and report, which take most of the time of a small run."""
    monkeypatch.setattr("vpinn.output.publish", lambda solution, folder: {})


@pytest.mark.usefixtures("unpublished")
def test_an_existing_run_is_kept(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", str(file), "-q", "--set", "solver.steps=40"]) == 0
    assert capsys.readouterr() == ("", "")
    code, message = failed(capsys, "solve", str(file), "-q")
    assert code == 2
    assert "--resume" in message
    assert "--overwrite" in message
    assert main(["solve", str(file), "-q", "--resume", "--set", "solver.steps=42"]) == 0
    assert json.loads(Path("results/torsion/metrics.json").read_text())["steps"] == 42


@pytest.mark.usefixtures("unpublished")
def test_values_at_points(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", str(file), "-q", "-o", "here"]) == 0
    assert main(["evaluate", "here", "--at", "0.5,0.5", "--at", "7,7"]) == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["x", "y", "u", "du/dx", "du/dy"]
    assert first.split()[:2] == ["0.5", "0.5"]
    assert second.split()[2:] == ["nan"] * 3
    Path("points.csv").write_text("x,y\n0.25,0.5\n")
    assert main(["evaluate", "here", "--at", "points.csv", "--csv"]) == 0
    assert capsys.readouterr().out.startswith("x,y,u,du/dx,du/dy\n0.25,0.5,")
    assert main(["evaluate", "here", "--line", "0,0.5:1,0.5:3", "--csv"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split(",")[:2] for row in rows] == [["0", "0.5"], ["0.5", "0.5"], ["1", "0.5"]]
    assert main(["evaluate", "here", "--line", "0,0:1,1", "-o", "profile.png"]) == 0
    assert Path("profile.png").read_bytes().startswith(b"\x89PNG")
    for arguments, message in (
        (["--line", "0,0"], "--line: expected two points, as in"),
        (["--line", "0,0:1"], "--line: a point has 2 coordinates (x, y), got 1"),
        (["--line", "0,0:1,1:1"], "--line: a line has 2 to 1,000,000 points, got 1"),
        (["--line", "0,0:1,1", "--at", "0,0"], "or a line as --line 0,0:1,0"),
        (["--at", "0,0", "-o", "p.png"], "--output: a picture shows values along a line"),
    ):
        code, line = failed(capsys, "evaluate", "here", *arguments)
        assert code == 2
        assert message in line
    assert main(["evaluate", "here", "--at", "points.csv", "-o", "values.npz"]) == 0
    with np.load("values.npz") as archive:
        assert archive["u"].shape == (1,)
    state = {path.name: path.read_bytes() for path in Path("here").iterdir() if path.is_file()}
    Path("link.npz").symlink_to("here/checkpoint.npz")
    for onto in ("here/checkpoint.npz", "here/history.csv", "link.npz"):
        assert "is a file that the run in" in failed(capsys, "evaluate", "here", "--at", "0.5,0.5", "-o", onto)[1]
        assert failed(capsys, "export", "here", "-o", onto)[0] == 2
    assert {path.name: path.read_bytes() for path in Path("here").iterdir() if path.is_file()} == state
    assert failed(capsys, "evaluate", "here")[0] == 2
    assert failed(capsys, "evaluate", "here", "--at", "1,2,3")[1] == "--at: a point has 2 coordinates (x, y), got 3"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["solve"], "Missing argument"),
        (["sove"], "No such command"),
        (["solve", "nowhere.toml"], "nowhere.toml: no such file"),
        (["solve", "torsion.toml", "--set", "solver.stps=3"], "--set solver.stps: unknown key"),
        (["solve", "torsion.toml", "--seed", "-1"], "--set solver.seed"),
        (["solve", "torsion.toml", "--device", "gpu"], "--device: a device is one of cpu, cuda, mps, got 'gpu'"),
        (["solve", "torsion.toml", "--threads", "0"], "'--threads'"),
        (["solve", "torsion.toml", "--resume", "--overwrite"], "give one of them"),
        (["solve", "torsion.toml", "--resume"], "no run to resume"),
        (["check", "torsion.toml", "--set", "boundary.0.on=lid"], "torsion.toml"),
        (["report", "nowhere"], "nowhere: there is no such run folder"),
        (["export", "."], "holds no run"),
        (["new", "../x"], "a name has"),
        (["new", "torsion"], "torsion.toml: exists already"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = failed(capsys, *arguments)
    assert code == 2
    assert message in line or message == "torsion.toml"
    assert not Path("results").exists()


WEAK = TEXT.replace("energy = ", "weak = ").replace("0.5*inner(grad(u), grad(u))*dx - u*dx", "inner(grad(u), grad(v))*dx - v*dx")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (WEAK.replace("- v*dx", "- v*v*dx"), 9, "a weak form is linear in the test functions"),
        (WEAK.replace("- v*dx", "- u*dx"), 9, "a weak form is linear in the test functions"),
        (WEAK.replace("cells = 3", "cells = 1") + "[test_space]\ndegree = 1\n", 18, "the test space of degree 1 has no function"),
        (WEAK + "[test_space]\nkind = 'bubbles'\ndegree = 2\n", 18, "the test space of degree 2 has no function"),
        (WEAK.replace('on = "all"', 'on = "lid"'), 11, "the domain has no boundary part 'lid'; known are left, right"),
        (TEXT + "[test_space]\ndegree = 2\n", 18, "test_space belongs to a weak form, or to an energy solved by least squares"),
    ],
)
def test_bad_tests_and_tags_are_one_line(
    text: str, line: int, message: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(text)
    for name in ("check", "solve"):
        code, told = failed(capsys, name, str(file))
        assert code == 2
        assert told.startswith(f"torsion.toml:{line}: ")
        assert message in told
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ("size = 451", 'batch.size is 451, but there are 450 quadrature points; give 1 to 450, or "full"'),
        ("size = 30\nstrata = 'tags'", 'batch.strata = "tags" needs tagged cells, and the mesh has none; use "blocks"'),
        ("size = 5\nstrata = 'cells'", "batch.size is 5, but 18 strata need 1 points each, 18 in all; raise batch.size, or"),
        ("size = 30\nsampler = 'uniform'\nallocation = 'neyman'", 'allocation belongs to sampler "stratified", got'),
        (
            "size = 60\nsampler = 'cells'\nper_cell = 26",
            "batch.per_cell is 26, but the rule has 25 points in each cell; give 1 to",
        ),
        ("size = 20\nper_cell = 2", 'per_cell belongs to sampler "cells", got sampler "stratified"'),
        ("size = 3\nsampler = 'cells'\nper_cell = 4", 'batch.size is 3, but sampler "cells" draws 4 points of each cell; give'),
        ("size = 'full'\nallocation = 'neyman'", 'allocation says how mini-batches are drawn, but size is "full"; give a number'),
        ("sampler = 'uniform'", 'sampler says how mini-batches are drawn, but size is "full"; give a number, or leave it out'),
        ("strata = 'residual'", 'strata says how mini-batches are drawn, but size is "full"; give a number, or leave it out'),
        ("size = 30\nstrata = 'residual'", 'batch.strata = "residual" needs a weak or a strong form; use "gradient" with an'),
        ("size = 30\nsampler = 'importance'", 'signals of batch.sampler = "importance" are not finite; use "stratified"'),
    ],
    ids=[
        "more than all",
        "no stratum",
        "small strata",
        "allocation without strata",
        "more than the rule",
        "points of cells without cells",
        "small cells",
        "allocation of all points",
        "sampler of all points",
        "strata of all points",
        "residuals of an energy",
        "weights",
    ],
)
def test_bad_batches_are_one_line(batch: str, message: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = TEXT.replace("lbfgs", "adam") + f"[batch]\n{batch}\n"
    file.write_text(text.replace("- u*dx", "- 1e170*u*dx") if "importance" in batch else text)
    code, told = failed(capsys, "solve", str(file), "-q")
    assert code == 2
    assert message in told
    if "importance" not in batch:  # whose weights are measured in the first step
        assert told.startswith("torsion.toml:18: ")
        assert not Path("results").exists()


def test_a_folder_that_cannot_be_written(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("taken").write_text("")
    code, line = failed(capsys, "solve", str(file), "-q", "-o", "taken/run")
    assert code == 4
    assert "taken" in line


def test_divergence_is_three(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(TEXT.replace("- u*dx", "- u*dx + ln(-1 - u*u)*dx"))
    code, line = failed(capsys, "solve", str(file), "-q")
    assert code == 3
    assert "diverged" in line


def test_a_bug_is_one_line_without_verbose(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("nothing")

    monkeypatch.setattr("vpinn.solving.solve", broken)
    assert failed(capsys, "solve", str(file)) == (
        1,
        "bug: ZeroDivisionError: nothing; run again with -v for a traceback and report it",
    )
    assert main(["solve", str(file), "-v"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.usefixtures("unpublished")
def test_failing_checks_are_told_even_when_quiet(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpinn.output.failed_checks", lambda solution: ["CHECK FAILED: quadrature"])
    assert main(["solve", str(file), "-q"]) == 0
    assert capsys.readouterr() == ("", "CHECK FAILED: quadrature\n")
    assert main(["solve", str(file), "--overwrite"]) == 0
    streams = capsys.readouterr()
    assert streams.err.endswith("\nCHECK FAILED: quadrature\n")
    assert "CHECK FAILED" not in streams.out  # told once
    assert main(["solve", str(file), "--overwrite", "-q", "--strict"]) == 5
    assert capsys.readouterr().err == "CHECK FAILED: quadrature\n"
    monkeypatch.setattr("vpinn.output.failed_checks", lambda solution: [])
    assert main(["solve", str(file), "--overwrite", "-q", "--strict"]) == 0


@pytest.mark.usefixtures("unpublished")
def test_a_log_is_lines_of_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a file, or instead of the table on stdout: phases, every step, and the end."""
    assert main(["solve", str(file), "-q", "--log", "run.jsonl"]) == 0
    lines = [json.loads(line) for line in Path("run.jsonl").read_text().splitlines()]
    assert [line["phase"] for line in lines if line["event"] == "phase"] == ["set-up", "solving", "assessment"]
    steps = [line for line in lines if line["event"] == "step"]
    assert [line["step"] for line in steps] == [1, 2, 3]
    assert all(isinstance(line["loss"], float) and line["steps"] == 3 for line in steps)
    metrics = json.loads(Path("results/torsion/metrics.json").read_text())
    assert lines[-1]["event"] == "end"
    assert lines[-1]["stopped"] == metrics["stopped"] == "steps"
    assert lines[-1]["estimate"] == metrics["error_estimate"]["relative_energy"]
    assert main(["solve", str(file), "--overwrite", "--log", "-"]) == 0
    assert all(json.loads(line)["event"] for line in capsys.readouterr().out.splitlines())
    assert main(["solve", str(file), "-q", "--overwrite", "--log", "run.jsonl"]) == 0  # replaces a log
    capsys.readouterr()
    for kept in (file, Path("results/torsion/checkpoint.npz")):
        before = kept.read_bytes()
        code, line = failed(capsys, "solve", str(file), "--overwrite", "-q", "--log", str(kept))
        assert code == 2
        assert "is there and is no log of a run" in line
        assert kept.read_bytes() == before
    code, line = failed(capsys, "solve", str(file), "--overwrite", "-q", "--log", "nowhere/run.jsonl")
    assert code == 4
    assert "nowhere/run.jsonl: cannot be written" in line


def test_schema_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "vpinn problem file"
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("vpinn ")
    for arguments in (
        ["--help"],
        *([name, "-h"] for name in ("solve", "check", "export", "evaluate", "report", "schema", "new", "compare")),
    ):
        assert main(arguments) == 0
        assert "vpinn" in capsys.readouterr().out


def test_bad_input_is_told_at_once(file: Path) -> None:
    code = "import sys, vpinn.cli; code = vpinn.cli.main(['solve', 'torsion.toml', '--set', 'form.energy=u*dy']); "
    done = subprocess.run(
        [sys.executable, "-P", "-c", code + "sys.exit(code + 10*('torch' in sys.modules))"], capture_output=True, timeout=600
    )
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1


def ended_children() -> float:
    """Return the processor time of all children that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_save_the_state(number: signal.Signals, code: int, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = ("--set", "solver.steps=20000", "--set", "solver.method=adam", "--threads", "1")
    ended = ended_children()
    pid, stderr = forked(monkeypatch, "solve", str(file), "-o", "run", *changed)
    with stderr:
        line = stderr.readline()
        assert line.startswith("step "), line
        before = processor_seconds(pid)
        os.kill(pid, number)
        rest = stderr.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code, rest
    assert ended_children() - ended - before < 5.0
    assert "the state is saved, go on with --resume" in rest
    assert main(["evaluate", "run", "--at", "0.5,0.5"]) == 0
