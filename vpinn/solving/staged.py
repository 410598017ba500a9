"""Strategies that solve a problem in stages, and how these end: by themselves, by a signal, or by the time limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

from vpinn.errors import InputError
from vpinn.features import Direct
from vpinn.interrupt import Stopped
from vpinn.optimization import Plan, Training
from vpinn.optimization.schedule import Schedule
from vpinn.placement import Placement
from vpinn.problem import Case, Settings
from vpinn.process import settle_process
from vpinn.solving.strategy import Hooks, Strategy

_Stage = TypeVar("_Stage")


def ended_in_time(strategy: Strategy, hooks: Hooks, left: float | None, work: Callable[[], object]) -> bool:
    """Do work that may be dropped, and return whether it ended before the time limit, of which ``left`` seconds are left.

    Raises:
        Stopped: A signal arrived.
    """
    signals = hooks.signals
    with signals.limited(left if strategy.placement.group.size == 1 else None):
        try:
            with signals.abandons():
                work()
            return True
        except Stopped:
            if signals.signal is not None:
                raise
            return False


def best_stage(
    strategy: Strategy,
    training: Training,
    hooks: Hooks,
    run: Callable[[], tuple[_Stage, str]],
    best: Callable[[], _Stage | None],
    lacking: str,
    seconds: float | None = None,
) -> _Stage:
    """Return the best stage, and write into ``training.stopped`` why there is no further one.

    Args:
        strategy: Strategy whose problem and time limit these are.
        training: State of the run.
        hooks: Signals, and the time after which a stage is the last.
        run: Runs all stages; returns the best of them and the reason why they ended.
        best: Returns the best stage that has ended so far, None if there is none.
        lacking: What is missing if the time limit ends the run before the first stage, for the error message.
        seconds: What is left of the time limit, in seconds; None for all of it. Several workers look at it between stages.

    Raises:
        Stopped: A signal arrived before the first stage ended.
        InputError: The time limit was over before the first stage ended.
    """
    signals, limit = hooks.signals, strategy.settings.solver.time_limit
    left = hooks.left(limit) if seconds is None else seconds
    with signals.limited(left if strategy.placement.group.size == 1 else None):
        try:
            with signals.abandons():
                found, training.stopped = run()
                if training.stopped != "tolerance" and (signals.late or hooks.spent(training)):
                    training.stopped = "time limit"
                return found
        except Stopped:
            ended = best()
            if ended is not None:
                training.stopped = "signal" if signals.signal is not None else "time limit"
                return ended
            if signals.signal is not None:
                raise
    raise InputError(
        f"there is no {lacking} after solver.time_limit = {limit:g} s; give more time",
        strategy.problem.where("solver", "time_limit"),
    )


class Staged(Strategy):
    """A strategy of stages that take seconds, each of which is a step of the training state. A resumed run starts anew.

    Args:
        problem: The problem to solve.
        settings: How it is solved.
        placement: Number of threads; the computation runs on the CPU.
    """

    method: ClassVar[type[Direct]]
    """The method that finds the solution."""
    stages: ClassVar[int]
    """Number of stages that progress displays show as the total, ≥ 1."""

    def __init__(self, problem: Case, settings: Settings, placement: Placement) -> None:
        settle_process(placement.threads)
        method = self.method(settings.solver.tolerance, settings.solver.time_limit)
        super().__init__(problem, settings, Plan(method, Schedule(1.0, steps=self.stages)), placement.home, None)
