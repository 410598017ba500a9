"""Solve every problem file and write the gallery: `python results/gallery.py [NAME …]`.

Run folders are written to results/NAME/; results/README.md and results/gallery/NAME.png are made from them. With names, only
those problems are solved; the others are taken from their existing run folders. Every problem runs in a process of its own, on
one thread, so that its time and memory do not depend on the others.
"""

from __future__ import annotations

import io
import json
import math
import multiprocessing
import os
import platform
import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

ROOT = Path(__file__).parents[1]
PROBLEMS, RESULTS = ROOT / "problems", ROOT / "results"
WIDTH = 480
"""Width of a picture of the gallery, in pixels."""
COLUMNS = 3
"""Number of pictures in a row."""
SPENT = RESULTS / "gallery" / "seconds.json"
"""Problem → processor seconds of its process."""
HEADER = "problem|formulation|method|points|parameters|relative L2|relative H1|estimate|effectivity|processor s|peak MB"
"""Heads of the table's columns."""

Json = Mapping[str, Any]


def solve(name: str) -> None:
    """Solve one problem into its run folder, with figures and report."""
    import vpinn

    vpinn.solve(vpinn.read_problem(PROBLEMS / f"{name}.toml"), RESULTS / name, overwrite=True, threads=1)


def solve_all(names: Sequence[str]) -> None:
    """Solve problems one after the other, each in a new process."""
    context = multiprocessing.get_context("spawn")
    SPENT.parent.mkdir(exist_ok=True)
    for name in names:
        print(f"{name} …", flush=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = context.Process(target=solve, args=(name,))
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(f"{name} failed with exit code {process.exitcode}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        SPENT.write_text(json.dumps({**seconds(), name: round(spent, 1)}, indent=0, sort_keys=True) + "\n")


def seconds() -> dict[str, float]:
    """Return the processor seconds of the problems solved so far."""
    found: dict[str, float] = json.loads(SPENT.read_text()) if SPENT.exists() else {}
    return found


def picture(name: str) -> None:
    """Write the small picture of a problem from the figure of its run."""
    from PIL import Image

    figures = RESULTS / name / "figures"
    drawn = figures / "solution.png"
    with Image.open(drawn if drawn.exists() else figures / "snapshots.png") as image:
        small = image.convert("RGB").resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    small.quantize(128).save(content, format="png", optimize=True)
    (RESULTS / "gallery" / f"{name}.png").write_bytes(content.getvalue())


def read(name: str) -> tuple[Json, Json]:
    """Return metrics and description of a finished run."""
    folder = RESULTS / name
    return json.loads((folder / "metrics.json").read_text()), json.loads((folder / "run.json").read_text())


def row(name: str, metrics: Json, run: Json) -> str:
    """Return the table row of one run, with the largest error of all unknowns."""

    def worst(key: str) -> str:
        known = metrics["errors"].values() if metrics.get("errors_against") != "elements" else ()
        values = [errors[key] for errors in known if key in errors]
        return f"{max(values):.1e}" if values else "–"

    estimate = metrics["error_estimate"] or {}
    formulation = next(key for key in ("energy", "weak", "strong") if run["settings"]["form"][key] is not None)
    effectivity = estimate.get("effectivity")
    cells = [
        f"[{name}](../problems/{name}.toml)",
        formulation,
        metrics["method"] if metrics["batch_size"] == "full" else f"{metrics['method']}, {metrics['batch_size']} points a step",
        f"{metrics['quadrature_points']:,}",
        f"{metrics['parameters']:,}",
        worst("relative_l2"),
        worst("relative_h1"),
        next((f"{estimate[key]:.1e}" for key in ("relative_energy", "relative_eigenvalues") if key in estimate), "–"),
        "–" if effectivity is None else f"{effectivity:.2f}",
        f"{seconds().get(name, math.nan):.1f}",
        f"{metrics['peak_memory_mb']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def processor() -> str:
    """Return the name of the processor, or of its architecture if the system does not name it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


PEOPLE = """Transcripts of new users, by `python results/people/people.py NAME`: [an engineer](people/engineer.md) in the shell,
a student in a [notebook](people/notebook.ipynb), a researcher with [a sampler of her own](people/sampler.md)."""


def page(names: Sequence[str]) -> str:
    """Return the text of results/README.md."""
    runs = {name: read(name) for name in names}
    _, first = next(iter(runs.values()))
    versions = first["versions"]
    precisions = sorted({run["settings"]["solver"]["precision"] for _, run in runs.values()})
    head = HEADER.split("|")
    lines = [
        "# Gallery",
        "",
        "Every file of [problems/](../problems), solved with its own settings by `python results/gallery.py`.",
        "",
        PEOPLE,
        "",
        f"| {' | '.join(head)} |",
        f"|{'|'.join(['---'] * 3 + ['---:'] * (len(head) - 3))}|",
        *(row(name, *run) for name, run in runs.items()),
        "",
        "Errors are relative, against exact solutions that the solver does not use; for several unknowns the largest error is",
        "shown, and – means that no exact solution is known. The estimate is the relative error estimate, which needs no",
        "exact solution: the distance between the solution and a correction of it in a richer space, measured in the flux",
        "(the gradient times coefficients, or the stress); in time it is measured in H¹ over space and time, and for",
        "eigenproblems it is that of the eigenvalues. The effectivity is the estimate divided by the true error in the same",
        "norm; 1 is ideal. Points are quadrature points. Seconds are processor time of all that a run does, from",
        "the start of Python to figures and report; peak MB is the largest memory of the process.",
        f"{processor()}, {os.cpu_count()} cores,",
        f"one thread used, {' and '.join(precisions)};",
        f"Python {versions['python']}, torch {versions['torch']}.",
        "",
    ]
    for start in range(0, len(names), COLUMNS):
        part = names[start : start + COLUMNS]
        if start == 0:
            lines += [f"|{' |' * COLUMNS}", f"|{':---:|' * COLUMNS}"]
        cells = [f"![{name}](gallery/{name}.png)<br>{runs[name][1]['title']}" for name in part]
        lines.append(f"| {' | '.join(cells + [''] * (COLUMNS - len(part)))} |")
    return "\n".join([*lines, ""])


def main(asked: Sequence[str]) -> None:
    """Solve the problems with the names ``asked``, or all if there are none, and write the gallery."""
    names = sorted(path.stem for path in PROBLEMS.glob("*.toml"))
    if unknown := sorted(set(asked) - set(names)):
        sys.exit(f"no problem is called {', '.join(unknown)}; there are {', '.join(names)}")
    solve_all(list(asked) or names)
    for name in names:
        picture(name)
    (RESULTS / "README.md").write_text(page(names), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
