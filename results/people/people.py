"""Three transcripts of new users: `python results/people/people.py engineer`, `notebook` or `sampler`.

An engineer works in the shell, a student in a notebook (which needs nbclient and ipykernel), and a researcher adds a sampler as a
package of 40 lines. Each command is run anew in an empty folder, and what it prints is written beside this file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
PROBLEMS = HERE.parents[1] / "problems"
FIN = """title = "A fin that cools a wall"

[domain]
shape = "rectangle"
upper = [0.1, 0.01]                       # metres
cells = [20, 2]

[unknowns]
T = "scalar"                              # above the air, in kelvin

[constants]
k = 200.0                                 # conductivity of aluminium, W/(m K)
film = 50.0                               # heat transfer to the air, W/(m² K)

[form]
weak = "k*inner(grad(T), grad(v))*dx + film*T*v*ds('top', 'bottom', 'right')"

[[boundary]]
on = "left"
value = 80

[output]
fields = { flux = "-k*grad(T)" }
quantities = { heat = "-k*dot(grad(T), n)*ds('left')", loss = "film*T*ds('top', 'bottom', 'right')" }
"""
CELLS = (
    "import vpinn\n"
    "problem = vpinn.make_problem(\n"
    "    {'shape': 'l-shape', 'cells': 4}, unknowns={'u': 'scalar'}, constants={'k': 1.0},\n"
    "    energy='0.5*k*inner(grad(u), grad(u))*dx - u*dx', boundary=[{'on': 'all', 'value': 0}],\n"
    "    output={'quantities': {'mean': 'u*dx'}}, title='A membrane',\n"
    ")\n"
    "problem",
    "solution = vpinn.solve(problem)\nsolution",
    "solution.evaluate([[-0.5, 0.5]]), solution.metrics['quantities']",
    "softer = vpinn.solve(problem.replace(constants={'k': 0.5}))\n"
    "softer.metrics['quantities']['mean']['value']/solution.metrics['quantities']['mean']['value']",
    "losses = []\n"
    "def watch(event):\n"
    "    if event.kind == 'step':\n"
    "        losses.append(event.loss)\n"
    "        return len(losses) < 50  # False ends the run\n"
    "small = problem.replace(solver={'method': 'adam', 'steps': 500}, network={'layers': [16]})\n"
    "trained = vpinn.solve(small, callbacks=[watch])\n"
    "len(losses), trained.metrics['stopped'], trained.table['loss'][-2:]",
)


def ran(commands: Sequence[str], folder: Path, **environment: str) -> str:
    """Run commands of a shell in a folder, and return them with what they print, and the processor seconds of each."""
    told = []
    tools = f"vpinn() {{ '{sys.executable}' -m vpinn \"$@\"; }}; python() {{ '{sys.executable}' \"$@\"; }}; "
    for command in commands:
        before = os.times()
        done = subprocess.run(
            ["bash", "-c", tools + command], cwd=folder, env={**os.environ, "COLUMNS": "130", **environment},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        shown = "\n".join(line.rstrip() for line in done.stdout.splitlines())
        told.append(f"```\n$ {command}\n{shown}\n```\n\nExit code {done.returncode}, {max(spent, 0.0):.1f} processor seconds.\n")
    return "\n".join(told)


def engineer(folder: Path) -> str:
    """Return what commands print for a file with two mistakes, and without them."""
    (folder / "fin.toml").write_text(FIN.replace("value = 80", 'value = "80 K"').replace("film*T*v", "film*t*v"))
    wrong = ran(["vpinn check fin.toml"], folder)
    (folder / "fin.toml").write_text(FIN)
    right = ran(
        [
            "vpinn check fin.toml",
            "vpinn solve fin.toml --strict",
            "vpinn evaluate results/fin --at 0.1,0.005",
            "vpinn evaluate results/fin --line 0,0.005:0.1,0.005:5 --csv",
            "vpinn sweep fin.toml --vary constants.film=25,50,100 -q && cat results/fin/sweep/sweep.csv",
            "vpinn export results/fin -f xdmf && wc -c results/fin/report.html",
        ],
        folder,
    )
    return (
        f"# The engineer\n\nA first try with two mistakes:\n\n{wrong}\nThe file as it should be:\n\n```toml\n{FIN}```\n\n{right}"
    )


def notebook(folder: Path) -> None:
    """Execute the notebook and write it with its outputs."""
    import nbformat
    from nbclient import NotebookClient

    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    began = time.process_time()
    NotebookClient(made, timeout=600, resources={"metadata": {"path": str(folder)}}, record_timing=False).execute()
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number}"
    nbformat.write(made, HERE / "notebook.ipynb")
    print(f"notebook.ipynb: {(HERE / 'notebook.ipynb').stat().st_size:,} bytes, {time.process_time() - began:.1f} s here")


def sampler(folder: Path) -> str:
    """Return what commands print that install, test and use the sampler."""
    path = os.pathsep.join([str(folder / "site"), os.environ.get("PYTHONPATH", "")])
    source = HERE / "periodic"
    copied = folder / "periodic"
    copied.mkdir()
    for file in sorted(source.iterdir()):
        if file.is_file():
            (copied / file.name).write_text(file.read_text())
    (folder / "poisson.toml").write_text((PROBLEMS / "poisson.toml").read_text())
    settings = "--set solver.method=adam --set solver.steps=400 --set batch.size=64 --set batch.sampler"
    told = ran(
        [
            "python -m pip install -q --no-deps --no-build-isolation --disable-pip-version-check --target site ./periodic",
            "python -m pytest -q -p no:cacheprovider periodic/periodic.py",
            f"vpinn solve poisson.toml {settings}=periodic -q -o periodic-run",
            f"vpinn solve poisson.toml {settings}=uniform -q -o uniform-run",
            "grep '\"relative_l2\": [0-9]' *-run/metrics.json",
            f"vpinn check poisson.toml {settings}=peridoic",
        ],
        folder,
        PYTHONPATH=path,
    )
    return f"# The researcher with an own sampler\n\n```python\n{(source / 'periodic.py').read_text()}```\n\n{told}"


if __name__ == "__main__":
    chosen = {"engineer": engineer, "notebook": notebook, "sampler": sampler}[sys.argv[1]]
    with tempfile.TemporaryDirectory() as scratch:
        text = chosen(Path(scratch))
        if text is not None:
            (HERE / f"{sys.argv[1]}.md").write_text(text.replace(scratch, "."))
