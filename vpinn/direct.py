"""Runs by least squares: stages noted as steps of a training state, and the best of them, found now or in a checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vpinn.analysis import Estimator, StageEstimators, make_estimator, make_monitor
from vpinn.interrupt import Interrupt, Stopped
from vpinn.objective import Objective
from vpinn.optimization import COLUMNS, LeastSquares, Objectives, Stage, Training, grow, tests_degree, with_network
from vpinn.problem import Problem
from vpinn.run_folder import network_of
from vpinn.trial import Features, Trial

GROWN = ("tolerance", "grown")
"""Why growth ended where nothing but the assessment is left to do."""


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
    signals: Interrupt,
) -> Grown:
    """Solve stage by stage, and note the stages in the training state.

    Args:
        problem: as the problem file states it.
        objectives: of the problem that least squares solves.
        trials: its trial spaces.
        method: how far to grow.
        training: the state before the first stage; changed in place.
        tell: called after every stage.
        signals: received; they end a stage that is being made.

    Raises:
        Stopped: a signal came before there was a stage.
    """
    stages, estimators = list[Stage](), StageEstimators(problem)

    def note(stage: Stage) -> bool:
        training.step = len(stages) + 1
        training.seconds, training.theta = stage.seconds, stage.fit.theta
        loss, points = 0.5 * stage.fit.residual**2, stage.fit.points or stage.objective.size
        watch = make_monitor(problem, stage.trial, None)
        error = watch(stage.fit.theta)["error"] if watch is not None else float("nan")
        row = (training.step, stage.seconds, loss, float("nan"), stage.recipe.scale, points, 0.0, error, stage.relative)
        stages.append(stage)
        training.history.append((*row, *(float("nan") for _ in COLUMNS[len(row) :])))
        tell(training)
        return signals.signal is None

    try:
        with signals.abandons():
            best = grow(objectives, trials, method, note, estimators.judge)
            training.stopped = "tolerance" if best.converged else "grown"
    except Stopped:
        if not stages:
            raise
        best, training.stopped = min(stages, key=lambda stage: stage.relative), "signal"
        training.step = len(training.history)
    training.theta, training.best = best.fit.theta, (best.fit.theta, 0.5 * best.fit.residual**2)
    training.anchor = (best.fit.theta, {})
    estimator = estimators.of(best) if training.stopped in GROWN else None
    return Grown(best.trial, best.objective, estimator, best.width)


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
