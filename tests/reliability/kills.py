"""Kill runs at random moments of any phase and resume them until they end; the results must be the same to the last bit.

``python tests/reliability/kills.py --kills 200 [--only adam] [--seed 1]`` runs all methods in turn, and ``vpinn compare`` and
``vpinn noise``. Each run is in a fork of one process that has the libraries loaded. It is killed by SIGKILL at a random moment of
its whole time: reading, set-up, training, assessment, fields, figures, report. Figures take most of that time, and are drawn in
every third run only. The results of comparisons and noise reports depend on measured time; for them a clock is used that advances
by the same time at every reading, and the measured memory is constant.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

METHODS = {
    "least-squares": "features = 120",
    "adam": "steps = 40",
    "adam, drawn": "steps = 40\n[batch]\nsize = 16",
    "sgd": "steps = 40\nlearning_rate = 1e-3\n[batch]\nsize = 16",
    "lbfgs": "steps = 25",
    "broyden": "steps = 25",
    "gauss-newton": "steps = 10",
    "spring": "steps = 10\n[batch]\nsize = 32",
    "langevin": "steps = 60\n[batch]\nsize = 32",
    "evolution": "steps = 20",
    "elements": "",
    "march": "tolerance = 1e-9",
    "eigenvalues": "",
    "family": "",
    "inverse": "",
    "many dimensions": "features = 60",
    "march of elements": "tolerance = 1e-3",
    "reptile": "steps = 12",
    "maml": "steps = 4",
    "from a run": "steps = 40",
    "compare": "steps = 30",
    "noise": "",
    "sweep": "steps = 30",
}
"""Method, or command that is no "solve", and what else its problem file says."""
TICK = 2.0**-10
"""Seconds between two looks at a clock."""
TEXT = """
[domain]
shape = "rectangle"
cells = 3
[unknowns]
u = "scalar"
[form]
{form}
[[boundary]]
on = "all"
value = 0
[network]
layers = [6]
[reference]
exact = {{ u = "x*(1 - x)*y*(1 - y)" }}
{fem}
[output]
formats = ["csv"]
[solver]
method = "{method}"
checkpoint = 0.01
{more}
"""
IN_TIME = """
[domain]
{shape}
time = [0, 0.1]
[unknowns]
u = "scalar"
[form]
weak = "dt(u)*v*dx + inner(grad(u), grad(v))*dx - x*v*dx"
[[boundary]]
on = "all"
value = "x*t"
[[boundary]]
on = "initial"
value = "{initial}"
[reference]
{reference}
[output]
formats = ["csv"]
[solver]
method = "{method}"
{more}
"""
SQUARE = """
[domain]
shape = "rectangle"
cells = 3
[unknowns]
u = "scalar"
[[boundary]]
on = "all"
value = 0
"""
MODES = """
[form]
weak = "inner(grad(u), grad(v))*dx"
[eigen]
mass = "u*v*dx"
count = 3
"""
FAMILY = """
[form]
weak = "k*inner(grad(u), grad(v))*dx + u*v*dx - 9*sin(3*x)*v*dx"
[parameters]
k = [1.0, 2.0]
"""
LEARN = """
[network]
layers = [6]
[learn]
members = 3
adapt = 20
unseen = 1
"""
INVERSE = """
[form]
energy = "0.5*k*inner(grad(u), grad(u))*dx - 9*sin(3*x)*u*dx"
[infer]
k = { initial = 2.0, lower = 0.0 }
[[data]]
observes = "u*dx"
value = 0.1
noise = 0.01
"""
MANY = """
[domain]
shape = "ball"
dimension = 6
[unknowns]
u = "scalar"
[form]
strong = "-div(grad(u)) - sin(x[0] + x[1])"
[[boundary]]
on = "all"
value = 0
"""
OUTPUT = """
[output]
formats = ["csv"]
[solver]
"""
OTHERS = {
    "eigenvalues": SQUARE + MODES + OUTPUT,
    "family": SQUARE + FAMILY + OUTPUT,
    "inverse": SQUARE + INVERSE + OUTPUT,
    "many dimensions": MANY + OUTPUT,
    "reptile": SQUARE + FAMILY + LEARN + OUTPUT + 'method = "reptile"\n',
    "maml": SQUARE + FAMILY + LEARN + OUTPUT + 'method = "maml"\n',
}
"""Problem files of methods that are chosen by what the file asks for."""
MARKS = (
    "run.json", "checkpoint.npz", "metrics.json", "solution.csv", "report.html", "comparison.json", "noise.npz", "noise.json",
)  # fmt: skip
"""Files in the order in which a run writes them."""
RECORDS = {"compare": "comparison.json", "noise": "noise.npz"}
"""What there is to go on from, of commands whose results depend on measured time."""
TIMES = ("seconds", "processor_seconds", "peak_memory_mb")
BY_TIME = "ways"
"""What learning is worth at equal times: it depends on measured time."""
SWEPT = ("seed=1", "seed=2")
MARCHES = {
    "march": {
        "shape": 'shape = "interval"\ncells = 3',
        "initial": "sin(pi*x)",
        "reference": 'exact = { u = "exp(-pi**2*t)*sin(pi*x) + x*t" }',
    },
    "march of elements": {
        "shape": 'shape = "disk"\ncells = 2',
        "initial": "1 - x**2 - y**2",
        "reference": "fem = { degree = 2 }",
    },
}
"""Problems in time on features, and on elements."""


def write(folder: Path, method: str) -> Path:
    """Write the problem file of a method."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "problem.toml"
    form = 'strong = "-div(grad(u)) - 4"' if method == "spring" else 'energy = "0.5*inner(grad(u), grad(u))*dx - 4*u*dx"'
    fem = "" if method in ("spring", "elements") else "fem = { degree = 2 }"
    name = method.partition(",")[0] if method not in (*RECORDS, "sweep", "from a run") else "adam"
    more = METHODS[method]
    if method in OTHERS:
        path.write_text(OTHERS[method] + more)
    elif method in MARCHES:
        path.write_text(IN_TIME.format(**MARCHES[method], method="march", more=more))
    else:
        path.write_text(TEXT.format(method=name, form=form, fem=fem, more=more))
    return path


def asked(path: Path, method: str) -> list[str]:
    """Return the command of a method, with --resume if there is a run to continue."""
    run, common = path.parent / "run", [str(path), "-q", "-o", str(path.parent / "run")]
    if method in RECORDS:
        how = ["--resume"] if (run / RECORDS[method]).exists() else []
        more = ["--quick"] if method == "noise" else ["--threads", "1", "--seeds", "2", "--vary", "batch.size=full,16"]
        return [method, *common, *more, *how]
    if method == "sweep":
        return ["sweep", *common, "--vary", "solver.seed=1,2", *(["--resume"] if (run / SWEPT[0] / "run.json").exists() else [])]
    how = ["--resume"] if (run / "checkpoint.npz").exists() else ["--overwrite"] if (run / "run.json").exists() else []
    start = ["--from", str(origin(path.parent))] if method == "from a run" and "--resume" not in how else []
    return ["solve", *common, "--threads", "1", *start, *how]


def origin(folder: Path) -> Path:
    """Return the folder of a run to start from, solved where there is none."""
    if not (folder / "origin" / "run").exists():
        finish(write(folder / "origin", "adam"), "adam", figures=False)
    return folder / "origin" / "run"


def settle_clocks() -> None:
    """Make clocks, memory and the start of processes the same in every run, and reports small."""
    import multiprocessing

    import vpinn.comparison.course
    import vpinn.comparison.runs
    import vpinn.noise

    ticks = count()
    time.process_time = time.perf_counter = lambda: next(ticks) * TICK  # type: ignore[assignment]
    vpinn.comparison.course.peak_memory_mb = lambda: 100.0
    vpinn.comparison.runs.processor_seconds = lambda pid: 0.0
    vpinn.comparison.runs._context = lambda: multiprocessing.get_context("fork")
    vpinn.noise.QUICK = vpinn.noise.Effort(2e5, 10, 60, 40, 60, (0.5, 1, 2), drawn=20_000)


def begin(path: Path, method: str, figures: bool) -> int:
    """Start the command of a method in a fork, and return its process id."""
    words = asked(path, method)
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        from vpinn.cli import main

        if method in RECORDS:
            settle_clocks()
        elif not figures:
            import vpinn.output.folder

            vpinn.output.folder.draw = lambda *_: []  # type: ignore[attr-defined]
        os.dup2(os.open(path.parent / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.stderr = os.fdopen(2, "w")
        code = main(words)
    finally:
        sys.stderr.flush()
        os._exit(code)


def finish(path: Path, method: str, figures: bool) -> float:
    """Wait for a run to end; return its seconds.

    Raises:
        AssertionError: it did not end well.
    """
    began = time.perf_counter()
    _, status = os.waitpid(begin(path, method, figures), 0)
    assert os.waitstatus_to_exitcode(status) == 0, (path.parent / "said").read_text()
    return time.perf_counter() - began


def outcome(run: Path, method: str) -> dict[str, Any]:
    """Return all results of a run except times: arrays to the last bit, metrics, fields, and names of files."""
    if method in RECORDS:
        files = sorted(path for path in run.rglob("*") if path.is_file())
        return {str(path.relative_to(run)): path.read_bytes() for path in files}
    if method == "sweep":
        found = {f"{name}: {key}": value for name in SWEPT for key, value in results(run / name).items()}
        return found | {"files": sorted(str(path.relative_to(run)) for path in run.rglob("*"))}
    return results(run)


def results(run: Path) -> dict[str, Any]:
    """Return what a run folder has of one run, except times."""
    from vpinn.optimization import COLUMNS, load_arrays

    arrays, meta = load_arrays(run / "checkpoint.npz")
    found: dict[str, Any] = {name: array.tobytes() for name, array in arrays.items() if name != "history"}
    found["history"] = np.delete(arrays["history"], COLUMNS.index("seconds"), axis=1).tobytes()
    metrics = json.loads((run / "metrics.json").read_text())
    for part in ("fem", "learning"):
        for name in (*TIMES, BY_TIME):
            metrics.get(part, {}).pop(name, None)
    found["metrics"] = {name: value for name, value in metrics.items() if name not in TIMES}
    found["generator"], found["stopped"] = meta["generator"], meta["stopped"]
    field = run / "solution.csv"
    found["field"] = field.read_bytes() if field.exists() else b""
    found["files"] = sorted(str(path.relative_to(run)) for path in run.rglob("*"))
    return found


def killed(path: Path, method: str, kills: int, seconds: float, generator: random.Random, figures: bool) -> Iterator[str]:
    """Kill and resume a run a few times, then let it end; yield the phase it had reached at each kill."""
    run, done = path.parent / "run", 0
    while done < kills:
        pid = begin(path, method, figures)
        time.sleep(generator.uniform(0.0, seconds))
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            assert os.waitstatus_to_exitcode(status) == 0, (path.parent / "said").read_text()
            shutil.rmtree(run)  # over before it was killed: anew
            continue
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        done += 1
        reached = [name for name in MARKS if any(run.rglob(name))]
        yield reached[-1] if reached else "nothing"
    finish(path, method, figures)


def compared(
    folder: Path, method: str, kills: int, generator: random.Random, figures: bool, whole: dict[Any, Any]
) -> Counter[str]:
    """Kill a run of a method, and compare its results with those of a run that was not killed.

    Returns:
        what had been reached when it was killed.

    Raises:
        AssertionError: it ended otherwise.
    """
    if (method, figures) not in whole:
        path = write(folder / "whole", method)
        seconds = finish(path, method, figures)
        whole[method, figures] = outcome(path.parent / "run", method), seconds
    expected, seconds = whole[method, figures]
    path = write(folder / "killed", method)
    reached = Counter(killed(path, method, kills, seconds, generator, figures))
    found = outcome(path.parent / "run", method)
    wrong = [name for name in expected | found if expected.get(name) != found.get(name)]
    assert not wrong, f"{method}: {', '.join(wrong)} differ"
    return reached


def main() -> int:
    """Run the command line and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-figures", action="store_true", help="leave out what takes most of the time")
    options = parser.parse_args()
    import vpinn.cli
    import vpinn.comparison
    import vpinn.noise
    import vpinn.output.noise
    import vpinn.solving  # noqa: F401

    generator, whole = random.Random(options.seed), dict[Any, Any]()
    methods = [method for method in METHODS if options.only in method]
    reached, lost, done, turn = Counter[str](), 0, 0, 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    while done < options.kills:
        method, kills = methods[turn % len(methods)], min(generator.randint(1, 3), options.kills - done)
        with tempfile.TemporaryDirectory() as name:
            try:
                figures = method in RECORDS or (not options.no_figures and (turn + turn // len(methods)) % 3 == 0)
                reached += compared(Path(name), method, kills, generator, figures, whole)
            except KeyboardInterrupt:  # what was found until then is told
                break
            except Exception as error:
                lost += 1
                print(f"LOST: {method}: {error}", flush=True)
        done, turn = done + kills, turn + 1
    print(f"{done} kills in {turn} runs of {len(methods)} methods: {lost} lost or different; reached: {dict(reached)}")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
