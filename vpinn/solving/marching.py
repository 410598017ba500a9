"""The strategy for problems that depend on time: march on richer and richer spaces until the error estimate is small."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from vpinn.errors import DivergenceError, InputError
from vpinn.features import March
from vpinn.interrupt import Stopped
from vpinn.march import (
    Collapse,
    Distance,
    MarchedSolution,
    MarchJournal,
    MarchStage,
    answers_in_time,
    arrays_of,
    make_marches,
    make_solution,
    stage_of,
    times_of,
)
from vpinn.metrics import Account, Accuracy, Metrics
from vpinn.optimization import Plan, Training, history_row
from vpinn.optimization.schedule import Schedule
from vpinn.placement import Placement
from vpinn.problem import Case, Settings, output_times
from vpinn.process import settle_process
from vpinn.solving.march_outcome import MarchOutcome, true_gap
from vpinn.solving.steady import imposed_of
from vpinn.solving.strategy import Hooks, Outcome, State, Strategy

PARTS = ("relative_l2", "relative_h1", "relative_l2_final", "relative_h1_final")
ENDED = ("tolerance", "grown", "collapse")
"""Reasons for the end of the marches after which only the assessment is left."""
KEPT = ("asked", "estimate", "ended", "answers")
"""Entries of the record of such marches."""


class MarchStrategy(Strategy):
    """Marches stage by stage. Each stage that has an error estimate is a step of the training state.

    Args:
        problem: A problem that depends on time.
        settings: Its settings.
        placement: Number of threads; the computation runs on the CPU.

    Raises:
        InputError: The problem cannot be solved by a march.
    """

    def __init__(self, problem: Case, settings: Settings, placement: Placement) -> None:
        settle_process(placement.threads)
        self._goes_on: Callable[[], bool] = lambda: True
        self._best: MarchStage | None = None  # of a run that ended already
        self._stages = make_marches(problem, lambda number, t: self._goes_on())
        solver = settings.solver
        plan = Plan(March(solver.tolerance, solver.time_limit), Schedule(1.0, steps=self._stages.most))
        super().__init__(problem, settings, plan, placement.home, None)

    def start(self) -> State:
        """Return the state before the first march."""
        return State(super().start().training, MarchJournal(self._stages.tolerance))

    def resumed(self, training: Training, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> State:
        """Return the state of the checkpoint.

        If the marches had ended, and not because of the time limit, their result is kept. Otherwise the marches so far are kept
        and the run continues. If the tolerance has changed, everything starts anew.
        """
        if meta.get("asked", self._stages.tolerance) != self._stages.tolerance:
            return self.start()
        if meta["stopped"] in ENDED and "estimate" in meta:
            if not isinstance(meta.get("answers"), dict | None):
                raise ValueError(f"answers are {meta['answers']!r}")
            training.stopped = meta["stopped"]
            self._best = dataclasses.replace(kept_stage(self.problem, arrays, meta), estimate=_estimate(meta["estimate"]))
            return State(training, record={name: meta[name] for name in KEPT if name in meta})
        begun = self.start()
        return State(begun.training, MarchJournal.from_arrays(arrays, {"asked": self._stages.tolerance, **meta}))

    def solve(self, state: State, hooks: Hooks) -> Callable[[], Outcome]:
        """March on richer and richer spaces until the error estimate is small enough or falls too slowly."""
        training = state.training
        signals = hooks.signals
        began = time.perf_counter()
        if (ended_with := self._best) is not None:
            return lambda: self._outcome(training, ended_with, str(state.record["ended"]), state.record.get("answers"))
        journal = state.journal
        assert isinstance(journal, MarchJournal)
        self._stages.journal, journal.saved = journal, lambda: hooks.save(state, None)
        self._goes_on = lambda: not hooks.over(training)
        limit = self.settings.solver.time_limit
        with signals.limited(hooks.left(limit)):
            try:
                with signals.abandons():
                    self._stages.run(lambda: self._note(training, hooks, time.perf_counter() - began))
            except Collapse as collapse:
                raise self._collapsed(state, hooks, collapse) from None
            except Stopped:
                pass
            late = signals.late or hooks.spent(training)
        best = min(self._stages.made, key=lambda made: made.relative, default=None)
        if best is None and signals.signal is not None:
            message = "stopped by a signal before there was an error estimate; the marches so far are saved, go on with --resume"
            raise Stopped(signals.signal, message)
        if best is None:
            raise InputError(
                f"a march has no error estimate after solver.time_limit = {limit:g} s; give more time",
                self.problem.where("solver", "time_limit"),
            )
        ended = self._stages.ended
        training.stopped = "time limit" if late or not ended else ended
        if signals.signal is not None:
            training.stopped = "signal"
        if training.stopped in ENDED:
            assert best.estimate is not None
            answers = answers_in_time(best, times_of(best))
            state.record = {"asked": journal.tolerance, "estimate": _plain(best.estimate), "ended": ended, "answers": answers}
            state.journal = None
        hooks.save(state, best)
        return lambda: self._outcome(training, best, ended, state.record.get("answers"))

    def _note(self, training: Training, hooks: Hooks, seconds: float) -> None:
        """Record the last stage that has an error estimate as a step of the history, and report it."""
        stage = self._stages.made[-1]
        training.step += 1
        training.seconds = seconds
        error = math.nan
        if self.problem.exact:
            error = max(found["relative_l2"] for found in true_gap(stage, self._stages).unknowns.values())
        row = history_row(step=training.step, seconds=seconds, batch_size=stage.points.size, estimate=stage.relative, error=error)
        training.history.append(row)
        hooks.report(training)
        with hooks.signals.abandons():
            pass  # ends here if whoever was told wants no further stage

    def _collapsed(self, state: State, hooks: Hooks, collapse: Collapse) -> DivergenceError:
        """Save what was computed before the steps became too small, and return the error to raise."""
        place = "" if collapse.place is None else f" near ({', '.join(f'{c:.4g}' for c in collapse.place)})"
        kept, partial = "", self._stages.collapsed
        if partial is not None:
            state.training.stopped, state.journal = "collapse", None
            found = self._outcome(state.training, partial, "").solution
            accuracy = Accuracy({}, None, [f"march: {collapse}{place}"])
            metrics = dataclasses.replace(Metrics.of(found.metrics), accuracy=accuracy)
            hooks.save(state, partial, dataclasses.replace(found, metrics=metrics))
            if hooks.folder is not None:
                kept = f"; what was computed up to there is saved, see vpinn export {hooks.folder}"
        return DivergenceError(
            f"{collapse}{place}, where the solution changes fastest: it may cease to exist there, or need more cells; "
            f"end domain.time earlier, refine the mesh, or check the signs of the form{kept}"
        )

    def _outcome(
        self, training: Training, stage: MarchStage, ended: str, answers: Mapping[str, Any] | None = None
    ) -> MarchOutcome:
        """Return a stage as the outcome of the strategy; ``answers`` are its quantities, if they are known already."""
        asked = self.settings.solver.method != "auto"
        how = "mode by mode, exact in time" if stage.marched.exact else f"{stage.marched.steps} implicit steps"
        account = Account(
            method=March.name,
            method_reason="as the problem file asks" if asked else f"in time: {stage.how}, {how}",
            steps=training.step,
            stopped=training.stopped,
            parameters=stage.size,
            quadrature_points=stage.points.size,
            test_functions=stage.size,
            imposed=imposed_of(stage.imposed),
            more={"time_steps": stage.marched.steps, **stage.described()},
        )
        times = tuple(output_times(self.problem).tolist())
        solution = make_solution(stage, times, Metrics(account), training.history.table)
        return MarchOutcome(solution, timed=self.problem, stage=stage, stages=self._stages, ended=ended, answers=answers)


def _plain(estimate: Distance) -> dict[str, Any]:
    """Return an error estimate as JSON-compatible values."""
    return {**asdict(estimate), "curve": estimate.curve.tolist()}


def _estimate(known: Mapping[str, Any]) -> Distance:
    """Return the error estimate from such values."""
    unknowns = {name: {key: float(own[key]) for key in PARTS} for name, own in known["unknowns"].items()}
    curve = np.array(known["curve"], dtype=np.float64).reshape(-1, 2)
    return Distance(**{**known, "unknowns": unknowns, "curve": curve})


def arrays_of_stage(stage: MarchStage) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """Return the arrays and values from which `kept_stage` restores a march."""
    arrays, meta = arrays_of(stage)
    return {f"stage.{name}": array for name, array in arrays.items()}, meta


def kept_stage(problem: Case, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> MarchStage:
    """Return the march in a checkpoint."""
    own = {name.removeprefix("stage."): array for name, array in arrays.items() if name.startswith("stage.")}
    return stage_of(problem, own, meta)


def load_in_time(
    problem: Case, arrays: Mapping[str, Any], meta: Mapping[str, Any], metrics: Mapping[str, Any]
) -> MarchedSolution:
    """Return the solution in the checkpoint of a march.

    Raises:
        InputError: The checkpoint holds no march with an error estimate yet.
    """
    if "march" not in meta:
        raise InputError("the run holds no march with an error estimate yet; go on with --resume")
    history = Training.from_arrays(arrays, meta).history.table
    return make_solution(kept_stage(problem, arrays, meta), tuple(output_times(problem).tolist()), metrics, history)
