"""The interface that all ways to solve a problem implement: what a strategy is given and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from vpinn.interrupt import Interrupt
from vpinn.march import MarchStage
from vpinn.optimization import Plan, Training
from vpinn.placement import HOST, Placement
from vpinn.problem import Case, Settings
from vpinn.solution import Solution
from vpinn.trial import Trial

SOON = 0.01
"""Seconds that are left at least when the time limit is over."""
Space = Trial | MarchStage | None
"""What the parameters are coefficients of: a trial space, or a march with its own spaces; None as long as there is neither."""


class Kept(Protocol):
    """Results of a strategy other than its parameters, kept in checkpoints so that a resumed run need not repeat them."""

    def arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the results as named arrays and as JSON-compatible values."""


@dataclass
class State:
    """State of a run. A checkpoint holds the state and the trial space.

    Attributes:
        training: The parameters and their history.
        journal: Results of the stages so far; None for strategies that keep none.
        record: Further JSON-compatible values for the checkpoint; strategies that work in stages describe their result here when
            the stages have ended.
    """

    training: Training
    journal: Kept | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def begun(self) -> bool:
        """Whether this state continues the results of an earlier run."""
        return bool(self.record or (self.journal is not None and self.journal.arrays()[1]))


class Save(Protocol):
    """A function that writes a checkpoint, and the metrics of a solution if one is given."""

    def __call__(self, state: State, space: Space, solution: Solution | None = None, /) -> None:
        """Write the state, and the space that its parameters belong to."""


@dataclass(frozen=True)
class Hooks:
    """Functions and signals through which a strategy and the run around it communicate.

    Attributes:
        report: Called after every step or stage.
        save: Called when the state is worth keeping.
        signals: Signals received by the process; a strategy ends with ``stopped = "signal"`` soon after one.
        folder: Folder that ``save`` writes into, for messages; None if it writes nothing.
        enough: Time in seconds after which the current step or stage is the last, with ``stopped = "time limit"``; None for no
            such limit.
        ready: Seconds that the set-up took, which count towards the time limit.
    """

    report: Callable[[Training], None]
    save: Save
    signals: Interrupt
    folder: Path | None = None
    enough: float | None = None
    ready: float = 0.0

    def left(self, limit: float | None, seconds: float = 0.0) -> float | None:
        """Return the seconds left of a time limit when a strategy has worked for ``seconds``; None if there is no limit."""
        return None if limit is None else max(limit - self.ready - seconds, SOON)

    def over(self, training: Training) -> bool:
        """Return whether the step or stage that has just ended is the last, because of a signal or of a time limit."""
        return self.signals.signal is not None or self.signals.late or self.spent(training)

    def spent(self, training: Training) -> bool:
        """Return whether training has taken more than ``enough`` seconds."""
        return self.enough is not None and training.seconds > self.enough


@dataclass(frozen=True)
class Outcome:
    """The result of a strategy before its assessment.

    A strategy whose stages assess themselves returns it as it is: the metrics of its solution hold the assessment already.

    Attributes:
        solution: The solution, with the metrics that the strategy itself knows.
        loss: Loss of the solution, in the unit of the functional in the problem file; None if nothing was minimised.
    """

    solution: Solution
    loss: float | None = None

    @property
    def space(self) -> Space:
        """The space that the parameters of the solution belong to."""
        return self.solution.trial

    def assessed(self) -> Solution:
        """Return the solution with its errors, its error estimate and the failed checks in its metrics."""
        return self.solution


class Strategy(ABC):
    """One way to solve a problem.

    Args:
        problem: The problem to solve.
        settings: The settings of the problem file, completed by those that were chosen automatically.
        plan: The method, with its schedule and its limits.
        placement: Device, precision and threads of the computation.
        space: Space of the parameters in the first state; None if the strategy chooses it later.
    """

    def __init__(self, problem: Case, settings: Settings, plan: Plan, placement: Placement, space: Space) -> None:
        self.problem = problem
        self.settings = settings
        self.plan = plan
        self.placement, self.space = placement, space

    def start(self) -> State:
        """Return the state before the first step; random numbers are drawn with the seed of the settings."""
        nothing = torch.zeros(0, dtype=torch.float64, device=HOST)
        return State(Training.start(nothing, self.plan.method, self.settings.solver.seed))

    def resumed(self, training: Training, arrays: Mapping[str, np.ndarray[Any, Any]], meta: Mapping[str, Any]) -> State:
        """Return the state that a checkpoint of a run with the same settings holds; strategies that take seconds start anew."""
        return self.start()

    @abstractmethod
    def solve(self, state: State, hooks: Hooks) -> Callable[[], Outcome]:
        """Solve the problem. ``state`` is changed in place; ``state.training.stopped`` tells at the end why the run ended.

        Returns:
            A function that computes the outcome. The state is saved before it is called, so that a signal during this last
            computation loses nothing.

        Raises:
            Stopped: A signal arrived before there was a result to keep.
            InputError: The time limit was over before there was a result, or the problem cannot be solved as stated.
            DivergenceError: Training diverged.
        """
