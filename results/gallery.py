"""Solve every problem file and write this folder's README: ``python results/gallery.py [--only NAME …]``.

Runs go to ``results/<name>/`` (ignored by git); small copies of their figures to ``results/gallery/``.
"""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

import matplotlib
from matplotlib import image
from matplotlib.figure import Figure

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import vpinn
from vpinn.output import publish

HERE = Path(__file__).parent
WIDTH = 640
"""Pixels of a figure in the gallery."""


def shrink(source: Path, target: Path) -> None:
    """Write a copy of a picture ``WIDTH`` pixels wide."""
    picture = image.imread(source)
    height = WIDTH * picture.shape[0] / picture.shape[1]
    figure = Figure(figsize=(WIDTH / 100, height / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(picture, interpolation="antialiased")
    axes.set_axis_off()
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, pil_kwargs={"optimize": True})


def row(name: str, solution: vpinn.Solution) -> str:
    """Return a solution's line of the table."""
    metrics = solution.metrics
    estimate = metrics["error_estimate"] or {}
    errors = solution.errors
    worst = {key: max((e[key] for e in errors.values() if key in e), default=None) for key in ("relative_l2", "relative_h1")}
    numbers = [worst["relative_l2"], worst["relative_h1"], estimate.get("relative_energy")]
    shown = ["" if value is None else f"{value:.1e}" for value in numbers]
    effectivity = estimate.get("effectivity")
    how = sorted({part["how"] for part in metrics["imposed"]})
    cells = [
        f"[{name}](../problems/{name}.toml)",
        solution.problem.formulation,
        metrics["method"],
        ", ".join(how),
        f"{metrics['quadrature_points']:,}",
        f"{metrics['batch_size']}",
        f"{metrics['parameters']:,}",
        *shown,
        "" if effectivity is None else f"{effectivity:.2f}",
        f"{metrics['seconds']['total']:.1f}",
        f"{metrics['peak_memory_mb']:.0f}",
        "; ".join(metrics["checks"]) or "pass",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Solve, and write README.md with the table and the figures."""
    matplotlib.use("Agg")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="names of problem files; default all")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    rows, figures = [], []
    for path in sorted((HERE.parent / "problems").glob("*.toml")):
        if options.only and path.stem not in options.only:
            continue
        solution = vpinn.solve(vpinn.read_problem(path), HERE / path.stem, overwrite=True, threads=options.threads)
        publish(solution, HERE / path.stem)
        shrink(HERE / path.stem / "figures" / "solution.png", HERE / "gallery" / f"{path.stem}.png")
        rows.append(row(path.stem, solution))
        figures.append(f"### {solution.problem.title}\n\n![{solution.problem.title}](gallery/{path.stem}.png)\n")
        print(rows[-1], flush=True)
    names = ["problem", "form", "method", "conditions", "points", "batch", "parameters"]
    names += ["L²", "H¹", "estimate", "effectivity", "s", "MB", "checks"]
    text = [
        "# Gallery",
        "",
        "Every problem file with its own settings, by `python results/gallery.py`: relative errors against the exact solution",
        "(worst unknown), relative error estimate in the energy norm and its effectivity, seconds from reading to assessment",
        "(figures not included), and the process's peak memory so far.",
        f"{platform.machine()}, {options.threads} thread, float64, torch and libraries loaded.",
        "",
        "| " + " | ".join(names) + " |",
        "|" + "---|" * len(names),
        *rows,
        "",
        *figures,
    ]
    (HERE / "README.md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
