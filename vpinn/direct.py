"""Runs by least squares: stages noted as steps of a training state, and the best of them, found now or in a checkpoint."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vpinn.analysis import Estimator, StageEstimators, make_estimator, make_monitor
from vpinn.errors import InputError
from vpinn.interrupt import Interrupt, Stopped
from vpinn.objective import Objective
from vpinn.optimization import (
    COLUMNS,
    Journal,
    Judgement,
    LeastSquares,
    Objectives,
    Stage,
    Training,
    grow,
    tests_degree,
    with_network,
)
from vpinn.problem import Problem
from vpinn.run_folder import network_of
from vpinn.trial import Features, Trial

GROWN = ("tolerance", "grown", "time limit")
"""Why growth ended where nothing but the assessment is left to do."""
_ESTIMATE = COLUMNS.index("estimate")


@dataclass(frozen=True)
class Grown:
    """What growth ended with.

    Attributes:
        trial: trial space with the features of the best stage.
        objective: with the test space of that stage.
        estimator: of its error; None where there is none, or where a signal ended growth.
        width: features per component.
    """

    trial: Trial
    objective: Objective
    estimator: Estimator | None
    width: int

    @property
    def record(self) -> dict[str, Any]:
        """What a checkpoint holds beside the training state, for ``regrown``."""
        return {"width": self.width, "degree": tests_degree(self.objective)}


def grow_noting(
    problem: Problem,
    objectives: Objectives,
    trials: Sequence[Trial],
    method: LeastSquares,
    training: Training,
    tell: Callable[[Training], None],
    save: Callable[[Training, Trial, Journal], None],
    signals: Interrupt,
    journal: Journal,
) -> Grown:
    """Solve stage by stage, and note the stages in the training state.

    Args:
        problem: as the problem file states it.
        objectives: of the problem that least squares solves.
        trials: its trial spaces.
        method: how far to grow.
        training: the state before the first stage; changed in place.
        tell: called after every stage.
        save: called after every stage that is not in the journal yet.
        signals: received; they, or the time limit, end a stage that is being made.
        journal: of the run that this one goes on from, or an empty one.

    Raises:
        Stopped: a signal came before there was a stage.
        InputError: the time limit did.
    """
    stages, estimators = list[Stage](), StageEstimators(problem)

    def note(stage: Stage) -> bool:
        stages.append(stage)
        training.history.append(_row(problem, stage, len(stages)))
        best = _settle(training, stages)
        training.seconds = stage.seconds
        tell(training)
        if not journal.reads:
            save(training, best.trial, journal)
        return signals.signal is None and not signals.late

    def told(stage: Stage, verdict: Judgement) -> None:
        at = next(k for k, other in enumerate(stages) if other.fit is stage.fit)
        row = training.history[at]
        training.history[at] = (*row[:_ESTIMATE], verdict.relative, *row[_ESTIMATE + 1 :])

    with signals.limited(method.time_limit):
        try:
            with signals.abandons():
                best = grow(objectives, trials, method, note, estimators.judge, journal, told)
                training.stopped = "tolerance" if best.converged else "time limit" if signals.late else "grown"
        except Stopped:
            if not stages and signals.signal is not None:
                raise
            if not stages:
                raise InputError(
                    f"least squares has no first stage after solver.time_limit = {method.time_limit:g} s; give more time, or "
                    "fewer features (solver.features)",
                    problem.where("solver", "time_limit"),
                ) from None
            best, training.stopped = _settle(training, stages), "signal" if signals.signal is not None else "time limit"
    _settle(training, [best])
    training.step = len(stages)
    estimator = estimators.of(best) if training.stopped in GROWN else None
    return Grown(best.trial, best.objective, estimator, best.width)


def _row(problem: Problem, stage: Stage, step: int) -> tuple[float, ...]:
    """Return the row of the history of a stage."""
    watch = make_monitor(problem, stage.trial, None)
    known = {
        "step": step,
        "seconds": stage.seconds,
        "loss": 0.5 * stage.fit.residual**2,
        "learning_rate": stage.recipe.scale,
        "batch_size": stage.fit.points or stage.objective.size,
        "clipped": 0.0,
        "residual": stage.relative,
        **({} if watch is None else {"error": watch(stage.fit.theta)["error"]}),
    }
    return tuple(known.get(name, math.nan) for name in COLUMNS)


def _settle(training: Training, stages: Sequence[Stage]) -> Stage:
    """Make the best of some stages the state of a run, and return it."""
    best = min(stages, key=lambda stage: stage.relative)
    training.step, training.theta = len(stages), best.fit.theta
    training.best = best.fit.theta, 0.5 * best.fit.residual**2
    training.anchor, training.origin = (best.fit.theta, {}), (best.fit.theta, math.nan, math.nan)
    return best


def regrown(
    problem: Problem, objectives: Objectives, trials: Sequence[Trial], meta: Mapping[str, Any], training: Training
) -> Grown:
    """Return what growth ended with, from its checkpoint.

    Args:
        problem: as the problem file states it.
        objectives: of the problem that least squares solves.
        trials: its trial spaces.
        meta: description in the checkpoint.
        training: state in the checkpoint; told why it ended.
    """
    trial = next(trial for trial in trials if (trial.rows, trial.corners) == (meta["rows"], meta["corners"]))
    training.stopped, network = meta["stopped"], network_of(trial, meta)
    assert isinstance(network, Features)
    whole = objectives.of(trial, meta["width"], meta["degree"])
    trial, objective = dataclasses.replace(trial, network=network), with_network(whole, network)
    return Grown(trial, objective, make_estimator(problem, trial, meta["degree"] or None), meta["width"])
