"""Problems in time, from the problem to the run folder and back: stages of a march, assessed."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vpinn import run_files, run_folder
from vpinn.domain import CellPoints, Mesh
from vpinn.errors import DivergenceError, InputError
from vpinn.features import March
from vpinn.interrupt import Interrupt, Stopped
from vpinn.march import (
    Collapse,
    Distance,
    MarchedSolution,
    Marches,
    MarchStage,
    arrays_of,
    as_metrics,
    exact_field,
    gap_between,
    make_marches,
    make_solution,
    stage_of,
)
from vpinn.optimization import COLUMNS, Plan, Training, save_arrays
from vpinn.optimization.schedule import Schedule
from vpinn.placement import HOST, Placement
from vpinn.problem import Problem, output_times
from vpinn.process import peak_memory_mb, settle_process
from vpinn.storage import claimed

UNRESOLVED = 0.1
"""Relative error estimate above which a solution is told to be none."""
EFFECTIVITY = (0.2, 5.0)
"""Ratios of the error estimate to the error, where that is known, within which the estimate can be believed."""
NEGLIGIBLE = 1e-9
"""Relative error below which it does not matter whether it can be."""
FINER = 4
"""Degrees by which the quadrature of errors is higher than that of the march."""


@dataclass(frozen=True)
class Told:
    """Where a run is written, and what it is told; see `solve`."""

    folder: Path | None
    resume: bool
    overwrite: bool
    threads: int
    report: Callable[[Training, Plan], None] | None = None
    interrupt: Interrupt | None = None


def solve_in_time(problem: Problem, told: Told) -> MarchedSolution:
    """Solve a problem in time; arguments as of `solve`. A run that is resumed starts anew, and ends with the same bits.

    Raises:
        Stopped: a signal came before there was a stage with an estimate.
        InputError: the problem cannot be marched, or the folder holds a run already, or there is no stage within the time limit.
        DivergenceError: the steps became too small; what was computed up to there is in the folder.
    """
    began = time.perf_counter()
    folder, threads, interrupt = told.folder, told.threads, told.interrupt
    limit = problem.settings.solver.time_limit
    with claimed(folder), contextlib.nullcontext(interrupt) if interrupt is not None else Interrupt() as signals:
        if folder is not None:
            run_files.check_vacant(folder, told.resume, told.overwrite)
        settle_process(threads)
        with signals.abandons():
            stages = make_marches(problem, lambda number, t: signals.signal is None and not signals.late)
        if folder is not None:
            run_folder.begin(folder, problem, run_folder.describe(problem, March.name, Placement(threads=threads)), anew=True)
        ready = time.perf_counter() - began
        run = _Run(problem, stages, folder, threads, began, ready)
        with signals.limited(limit):
            try:
                stage = stages.run(lambda: run.told(told.report))
            except Collapse as collapse:
                raise run.collapsed(collapse) from None
            late = signals.late
        if stage is None and signals.signal is not None:
            raise Stopped(signals.signal, "stopped by a signal before there was an error estimate; nothing is kept, start anew")
        if stage is None:
            raise InputError(
                f"a march has no error estimate after solver.time_limit = {limit:g} s; give more time",
                problem.where("solver", "time_limit"),
            )
        stopped = "signal" if signals.signal is not None else "time limit" if late else stages.ended
        with signals.abandons("stopped by a signal in the assessment; start anew"):
            return run.assessed(stage, stopped)


class _Run:
    """What a run knows beside its stages: where it is written, and when it began."""

    def __init__(
        self, problem: Problem, stages: Marches, folder: Path | None, threads: int, began: float, ready: float
    ) -> None:
        self._problem, self._stages, self._folder, self._threads = problem, stages, folder, threads
        self._began, self._ready = began, ready
        self._training = Training.start(torch.zeros(0, dtype=torch.float64, device=HOST), March(), problem.settings.solver.seed)

    def told(self, report: Callable[[Training, Plan], None] | None) -> None:
        """Note the last stage with an estimate as a step of the history, and tell it."""
        stage, training = self._stages.made[-1], self._training
        training.step += 1
        training.seconds = time.perf_counter() - self._began - self._ready
        known = {
            "step": training.step,
            "seconds": training.seconds,
            "batch_size": stage.points.size,
            "clipped": 0.0,
            "estimate": stage.relative,
        }
        if self._problem.exact:
            known["error"] = max(found["relative_l2"] for found in self._gap(stage).unknowns.values())
        training.history.append(tuple(known.get(name, math.nan) for name in COLUMNS))
        if report is not None:
            report(training, Plan(March(), Schedule(1e-3, steps=self._stages.most)))

    def _gap(self, stage: MarchStage) -> Distance:
        """Return the distance of a stage from the exact solution."""
        mesh = stage.problem.domain
        assert isinstance(mesh, Mesh)
        finer = CellPoints(mesh, min(30, stage.points.degree + FINER), refine=stage.points.refine)
        points = finer.take(range(finer.size))
        names = [u.name for u in self._problem.unknowns if u.name in self._problem.exact]
        exact = exact_field(stage.problem, points, stage.opened)
        return gap_between(stage.problem, stage.at(points), exact, names, points.w, self._stages.instants)

    def collapsed(self, collapse: Collapse) -> DivergenceError:
        """Save what was computed, and return what to say."""
        place = "" if collapse.place is None else f" near ({', '.join(f'{c:.4g}' for c in collapse.place)})"
        kept, partial = "", self._stages.collapsed
        if partial is not None and self._folder is not None:
            self._save(self._solution(partial, {"stopped": "collapse", "checks": [f"march: {collapse}{place}"]}))
            kept = f"; what was computed up to there is saved, see vpinn export {self._folder}"
        return DivergenceError(
            f"{collapse}{place}, where the solution changes fastest: it may cease to exist there, or need more cells; "
            f"end domain.time earlier, refine the mesh, or check the signs of the form{kept}"
        )

    def assessed(self, stage: MarchStage, stopped: str) -> MarchedSolution:
        """Return the solution with what can be said of its accuracy, written into the folder."""
        solved = time.perf_counter() - self._began - self._ready
        errors, effectivity, checks = self._accuracy(stage)
        estimate = stage.estimate
        assert estimate is not None
        metrics = {
            "stopped": stopped,
            "errors": errors,
            "error_estimate": {
                "relative_energy": estimate.relative,
                "relative_energy_final": estimate.final,
                "relative_l2": {name: found["relative_l2"] for name, found in estimate.unknowns.items()},
                "relative_l2_final": {name: found["relative_l2_final"] for name, found in estimate.unknowns.items()},
                **effectivity,
            },
            "estimate_over_time": estimate.curve.tolist(),
            "checks": checks,
        }
        solution = self._solution(stage, metrics)
        if self._problem.reference is not None:
            solution = _with_reference(solution, self._problem)
        total = time.perf_counter() - self._began
        seconds = {"total": total, "setup": self._ready, "solve": solved, "assessment": total - self._ready - solved}
        solution.metrics["seconds"] = seconds  # type: ignore[index]
        solution.metrics["peak_memory_mb"] = peak_memory_mb()  # type: ignore[index]
        self._save(solution)
        return solution

    def _accuracy(self, stage: MarchStage) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
        """Return errors against the exact solution, the estimate beside them, and the checks that fail."""
        estimate, checks = stage.estimate, list[str]()
        assert estimate is not None
        if not estimate.relative <= UNRESOLVED:
            checks.append(
                f"error estimate: {estimate.relative:.0%} of the solution is unresolved over space and time; refine the mesh, or "
                "give more solver.features"
            )
        if self._stages.ended == "collapse":
            checks.append(
                "march: with more features the steps became too small; the solution may cease to exist, refine the mesh"
            )
        if not self._problem.exact:
            return {}, {}, checks
        gap = self._gap(stage)
        both = {"effectivity": (estimate.relative, gap.relative), "effectivity_final": (estimate.final, gap.final)}
        found = {name: told / true if true > 0 else None for name, (told, true) in both.items()}
        wrong = found["effectivity"] is not None and not EFFECTIVITY[0] <= found["effectivity"] <= EFFECTIVITY[1]
        if wrong and gap.relative > NEGLIGIBLE:
            checks.append(
                f"error estimate: it is {found['effectivity']:.2g} times the error, {estimate.relative:.1e} over space and time; "
                "do not trust it on problems like this, refine the mesh"
            )
        return as_metrics(gap), found | {"true_over_time": gap.curve.tolist()}, checks

    def _solution(self, stage: MarchStage, metrics: Mapping[str, Any]) -> MarchedSolution:
        history = np.array(self._training.history).reshape(-1, len(COLUMNS))
        asked = self._problem.settings.solver.method != "auto"
        how = "mode by mode, exact in time" if stage.marched.exact else f"{stage.marched.steps} implicit steps"
        described = {
            "method": March.name,
            "method_reason": "as asked" if asked else f"in time: {stage.how}, {how}",
            "steps": self._training.step,
            "time_steps": stage.marched.steps,
            **stage.described(),
            "quadrature_points": stage.points.size,
            "test_functions": stage.size,
            "batch_size": "full",
            "policy": {},
            "rollbacks": 0,
            "loss": None,
            "energy": None,
            "imposed": [
                {"on": list(i.condition.on), "unknown": i.condition.unknown, "component": i.component, "how": i.how, "why": i.why}
                for i in stage.imposed
            ],
            "inferred": {},
            "threads": self._threads,
        }
        times = tuple(output_times(self._problem).tolist())
        return make_solution(stage, times, {**described, **metrics}, history)

    def _save(self, solution: MarchedSolution) -> None:
        if self._folder is None:
            return
        arrays, meta = arrays_of(solution.march[1])
        run_folder.write_metrics(self._folder, solution.metrics)
        save_arrays(self._folder / run_files.CHECKPOINT, arrays, meta)
        run_folder.write_history(self._folder, self._training)


def _with_reference(solution: MarchedSolution, problem: Problem) -> MarchedSolution:
    """Return the solution with its distance from reference values noted, over all of them and at the last instant among them."""
    reference = problem.reference
    assert reference is not None
    values, instants = solution.evaluate(reference.points), reference.points[:, -1]
    last = instants == instants.max()
    for name, truth in reference.values.items():
        gap = values[name].reshape(len(truth), -1) - truth
        known = {
            key: float(np.linalg.norm(gap[rows]) / (max(np.linalg.norm(truth[rows]), 1e-6 * np.linalg.norm(truth)) or 1.0))
            for key, rows in (("relative_l2", slice(None)), ("relative_l2_final", last))
        }
        found = {**known, "points": len(truth), "outside": reference.outside}
        solution.metrics["errors"].setdefault(name, found)
    return solution


def load_in_time(
    problem: Problem, arrays: Mapping[str, Any], meta: Mapping[str, Any], metrics: Mapping[str, Any]
) -> MarchedSolution:
    """Return the solution that a run folder of a march holds."""
    history = np.empty((0, len(COLUMNS)))
    return make_solution(stage_of(problem, arrays, meta), tuple(output_times(problem).tolist()), metrics, history)
