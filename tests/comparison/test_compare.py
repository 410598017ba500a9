"""Test whole comparisons with child processes; the tests share one comparison, since processes take time to start."""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import vpinn.comparison
from tests.comparison.test_variants import TEXT, UNMESHED
from vpinn.cli import main
from vpinn.comparison import Moment, compare, notes
from vpinn.errors import InputError
from vpinn.output import RunsProgress

EXACT = TEXT.replace("- u*dx", "- f*u*dx").replace(
    "[form]",
    '[expressions]\ntruth = "sin(pi*x)*sin(pi*y)"\nf = "-div(grad(truth))"\n[reference]\nexact = { u = "truth" }\n[form]',
)
SMALL = ("--seeds", "2", "--seconds", "0.15", "--threads", "1", "--set", "solver.learning_rate=0.02")


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a problem file, its comparison, and what was printed."""
    folder = tmp_path_factory.mktemp("compared")
    (folder / "sine.toml").write_text(EXACT)
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        assert main(["compare", str(folder / "sine.toml"), "-o", str(folder / "there"), *SMALL]) == 0
    (folder / "out.txt").write_text(out.getvalue())
    (folder / "err.txt").write_text(err.getvalue())
    return folder


def record(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "there" / "comparison.json").read_text()))


def test_what_a_comparison_leaves(compared: Path) -> None:
    out, err = (compared / "out.txt").read_text(), (compared / "err.txt").read_text()
    assert err.splitlines() == [
        "run 1/4  full, seed 0", "run 2/4  16 points, seed 0", "run 3/4  16 points, seed 1", "run 4/4  full, seed 1",
    ]  # fmt: skip
    assert "best error" in out
    assert "Error after 0.15" in out
    assert (compared / "there" / "figures" / "error.png").stat().st_size > 10_000
    found = json.loads((compared / "there" / "comparison.json").read_text())
    assert (found["seconds"], found["seeds"], found["error"]) == (0.15, [0, 1], "relative L² error")
    assert [variant["label"] for variant in found["variants"]] == ["full", "16 points"]
    for run in found["runs"]:
        assert max(run["seconds"][:-1], default=0.0) <= 0.15 < run["seconds"][-1]  # one step, where the machine stands still
        assert run["stopped"] == "time limit"
        points = 256 if run["variant"] == 0 else 16
        assert run["evaluations"] == [points * updates for updates in run["updates"]]
        assert run["memory"] > run["libraries"] > 50
    assert found["variants"][0]["summary"]["fluctuation"] is None
    assert found["variants"][1]["summary"]["fluctuation"] > 0.0


def test_finished_runs_are_not_run_again(compared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One run is taken out of the record; going on makes that one, and leaves the others as they were."""
    shutil.copytree(compared / "there", tmp_path / "there")
    before = record(tmp_path)
    kept = [run for run in before["runs"] if (run["variant"], run["seed"]) != (0, 1)]
    (tmp_path / "there" / "comparison.json").write_text(json.dumps({**before, "runs": kept}))
    arguments = ["compare", str(compared / "sine.toml"), "-o", str(tmp_path / "there"), *SMALL[4:]]
    assert main([*arguments, "--resume"]) == 0
    assert capsys.readouterr().err.splitlines() == ["run 4/4  full, seed 1"]
    after = record(tmp_path)
    assert after["runs"][:3] == kept
    assert len(after["runs"]) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "holds a comparison already; go on with --resume"),
        (["--resume", "--vary", "batch.size=32"], "--resume needs the comparison as it was, but variants.* changed"),
        (["--resume", "--set", "network.layers=[6]"], "but problem.network.layers changed; start anew with --overwrite"),
        (["--resume", "--seconds", "0.2"], "but seconds changed"),
        (["--resume", "--seeds", "1"], "but seeds changed"),
        (["--resume", "--overwrite"], "give one of them"),
        (["--seeds", "0", "-o", "new"], "--seeds"),
        (["--seconds", "0", "-o", "new"], "--seconds: seconds of a run are > 0, got 0"),
        (["--resume", "-o", "new"], "new holds no comparison to resume"),
        (["--vary", "solver.stps=3", "-o", "new"], "variant solver.stps=3 .*unknown key"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, compared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(compared)
    before = (compared / "there" / "comparison.json").read_bytes()
    assert main(["compare", "sine.toml", "-o", "there", *SMALL[4:], *arguments]) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.count("\n") == 1
    assert re.search(message, streams.err)
    assert (compared / "there" / "comparison.json").read_bytes() == before
    assert not (compared / "new").exists()


def test_no_error_to_compare_by(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cube.toml").write_text(UNMESHED)
    assert main(["compare", str(tmp_path / "cube.toml"), "-o", str(tmp_path / "there")]) == 2
    assert "there is no error to compare by" in capsys.readouterr().err


def test_interrupted_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """After a signal the finished runs are there, exit code 130; going on runs the rest."""

    class Interrupting(RunsProgress):
        def __call__(self, done: int, *values: Any) -> None:
            if done == 1:
                signal.raise_signal(signal.SIGINT)

    (tmp_path / "sine.toml").write_text(EXACT)
    arguments = ["compare", str(tmp_path / "sine.toml"), "-o", str(tmp_path / "there"), "--threads", "1"]
    with monkeypatch.context() as patch:
        patch.setattr("vpinn.output.RunsProgress", Interrupting)
        assert main([*arguments, "--seconds", "0.1", "--seeds", "1"]) == 130
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.endswith(f"1 of 2 runs are kept in {tmp_path / 'there'}, go on with --resume\n")
    before = record(tmp_path)["runs"]
    assert len(before) == 1
    assert main([*arguments, "--resume"]) == 0
    assert capsys.readouterr().err.splitlines() == ["run 2/2  16 points, seed 0"]
    assert record(tmp_path)["runs"][:1] == before
    assert (tmp_path / "there" / "figures" / "error.png").is_file()


def test_a_run_that_is_killed_is_told(tmp_path: Path) -> None:
    """Out of memory, say: the others go on."""
    (tmp_path / "sine.toml").write_text(EXACT)

    def report(moment: Moment) -> None:
        if moment.done == 1:
            for process in multiprocessing.active_children():
                process.kill()

    comparison, courses, _ = compare(tmp_path / "sine.toml", tmp_path / "there", seeds=1, seconds=0.1, threads=1, report=report)
    assert courses[1, 0].stopped == "killed, exit code -9"
    assert courses[0, 0].error
    assert "Runs without a result: 16 points, seed 0: killed, exit code -9." in notes(comparison, courses)


def test_a_step_that_takes_too_long_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpinn.comparison.runs.GRACE", -5.0)
    (tmp_path / "sine.toml").write_text(EXACT)
    single = ["batch.size=full"]
    _, courses, _ = compare(tmp_path / "sine.toml", tmp_path / "there", single=single, seeds=1, seconds=5.0, threads=1)
    assert courses[0, 0].stopped == "no step within the seconds"


@pytest.mark.slow
def test_ctrl_c_in_a_terminal(tmp_path: Path) -> None:
    """The whole process group gets the signal, at any time."""
    (tmp_path / "sine.toml").write_text(EXACT)
    command = [sys.executable, "-P", "-m", "vpinn.cli", "compare", "sine.toml", "-o", "there", "--threads", "1", "--seconds=60"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("run 1/6")
    os.killpg(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=600)
    assert process.returncode == 130
    assert rest == "stopped by a signal; 0 of 6 runs are kept in there, go on with --resume\n"


def test_another_method_is_compared_with_that_of_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``--against METHOD`` is that of the file and METHOD, with one seed."""
    asked: dict[str, Any] = {}

    def noted(path: Path, folder: Path | None, **settings: Any) -> Any:
        asked.update(settings)
        raise InputError("enough")

    monkeypatch.setattr(vpinn.comparison, "compare", noted)
    (tmp_path / "sine.toml").write_text(EXACT)
    assert main(["compare", str(tmp_path / "sine.toml"), "--against", "elements", "--set", "solver.method=lbfgs"]) == 2
    assert asked["vary"] == ["solver.method=lbfgs,elements"]
    assert asked["seeds"] == 1
