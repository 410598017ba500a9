"""The end of a strategy that solves a problem in stages: by itself, by a signal, or by the time limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from vpinn.errors import InputError
from vpinn.interrupt import Stopped
from vpinn.optimization import Training
from vpinn.solving.strategy import Hooks, Strategy

_Stage = TypeVar("_Stage")


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
        lacking: What there is not if the time is over before the first stage, for the error message.
        seconds: What is left of the time limit, in seconds; None for all of it. Several workers look at it between stages.

    Raises:
        Stopped: A signal arrived before the first stage ended.
        InputError: The time limit was over before the first stage ended.
    """
    signals, limit = hooks.signals, strategy.settings.solver.time_limit
    left = limit if seconds is None else seconds
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
