"""Read solutions and weights from run folders; write and draw solutions."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

import torch

from vpinn import run_files, run_folder
from vpinn.eigen import mode_problem
from vpinn.errors import InputError
from vpinn.families import Family
from vpinn.inference import found_problem
from vpinn.learning import FEATURES
from vpinn.march import MarchedSolution
from vpinn.optimization import Training, load_arrays, samples_of
from vpinn.placement import wide
from vpinn.problem import Case, is_marched, member, over_time
from vpinn.solution import Solution
from vpinn.solution_in_time import SolutionInTime
from vpinn.solving.families import answered
from vpinn.solving.learning import learned_members
from vpinn.solving.marching import load_in_time
from vpinn.solving.origin import Origin
from vpinn.solving.over_time import in_time
from vpinn.trial import ACTIVATIONS


def load(directory: str | os.PathLike[str], problem: Case | None = None) -> Solution:
    """Return the solution of a finished or unfinished run folder.

    Raises:
        InputError: The folder holds no run, or one of a problem made in Python, which has no problem file.
        StorageError: Files of the run are damaged.
    """
    folder = Path(directory)
    if problem is None:
        problem = run_folder.read_problem_of(folder)
    arrays, meta = load_arrays(folder / run_files.CHECKPOINT)
    with run_folder.understood(folder):
        if problem.inverse is not None:
            problem = found_problem(problem, meta["inferred"]["margin"], meta["inferred"]["coefficients"])[problem.clock is None]
        if "march" in meta or (problem.clock is not None and is_marched(problem.settings, problem.domain)):
            marched = load_in_time(problem, arrays, meta, run_files.read_json(folder / run_files.METRICS) or {})
            return dataclasses.replace(marched, outlet=OUTLET)
        posed, training = problem, Training.from_arrays(arrays, meta)
        problem = over_time(problem)
        if problem.eigen is not None:
            problem = mode_problem(problem, [complex(*pair) if pair[1] else pair[0] for pair in meta["eigenvalues"]])
        family = Family.restored(problem, arrays, meta) if "family" in meta else None
        if problem.parameters is not None:
            problem = member(problem, problem.parameters.center)
        problem, trial = run_folder.space_of(problem, arrays, meta)
        theta = torch.from_numpy(arrays["solution"]) if "solution" in arrays else training.best[0]
        if theta.shape != (trial.network.size,) or trial.network.activation not in ACTIVATIONS:
            raise ValueError(f"{len(theta)} parameters of {trial.network.activation}")
        metrics = run_files.read_json(folder / run_files.METRICS) or {}
        history = training.history.table
        samples = samples_of(training.state)
        members = None if family is None else answered(family, family.parameters.center).members
        if posed.parameters is not None and family is None:
            members = learned_members(posed, trial, training.state[FEATURES])
    found = Solution(problem, trial, wide(theta), metrics, history, arrays.get("cell_estimate"), samples, OUTLET, members)
    return in_time(posed, found)


class RunOutlet:
    """Writes and draws solutions of runs; drawing is loaded when it is needed."""

    def export(self, solution: Solution, path: Path, refine: int) -> None:
        """Write a solution to a file; see ``Solution.export``."""
        from vpinn.output import write

        write(solution, path, refine)

    def plot(self, solution: Solution) -> Any:
        """Return a figure of all unknowns."""
        from vpinn.output.notebook import plot

        return plot(solution)

    def page(self, solution: Solution) -> str:
        """Return a solution as HTML for notebooks."""
        from vpinn.output.notebook import page

        return page(solution)


OUTLET = RunOutlet()


def read_origin(folder: Path) -> Origin:
    """Return the run in a folder as one to start from.

    Raises:
        InputError: The folder holds no run, or one of a problem in time, or of many problems.
        StorageError: Files of the run are damaged.
    """
    solution = load(folder)
    if not isinstance(solution, Solution) or isinstance(solution, SolutionInTime | MarchedSolution):
        raise InputError(f"{folder} holds a run of a problem in time; only steady problems start from another run", "--from")
    arrays, _ = load_arrays(folder / run_files.CHECKPOINT)
    digest = hashlib.sha256((folder / run_files.CHECKPOINT).read_bytes()).hexdigest()
    learned = f"state.{FEATURES}"
    weights, features = (
        (torch.from_numpy(arrays["theta"]), torch.from_numpy(arrays[learned]))
        if learned in arrays
        else (solution.theta, solution.theta)
    )
    return Origin(folder, digest, solution, weights, features)
