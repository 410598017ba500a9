"""A way to solve a problem: what every one of them takes, and what it hands on to the assessment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vpinn.interrupt import Interrupt
from vpinn.march import MarchStage
from vpinn.optimization import Plan, Training
from vpinn.placement import Placement
from vpinn.problem import Problem, Settings
from vpinn.solution import Solution
from vpinn.trial import Trial

Space = Trial | MarchStage | None
"""Where parameters belong to, or a march, which has its own; None before there is any."""


class Kept(Protocol):
    """What a strategy has found out beside its parameters, which a checkpoint keeps."""

    def arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return it as arrays and JSON-compatible values."""


@dataclass
class State:
    """What a run has reached: all that a checkpoint holds, with the trial space.

    Attributes:
        training: the parameters and their history.
        journal: what stages have found out, of strategies that have some.
        record: what the checkpoint says besides, JSON-compatible; what stages ended with, once they have.
    """

    training: Training
    journal: Kept | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def begun(self) -> bool:
        """Whether a run went before whose findings this one goes on from."""
        return bool(self.record or (self.journal is not None and self.journal.arrays()[1]))


class Save(Protocol):
    """Writes a checkpoint, and the metrics of a solution where one is given."""

    def __call__(self, state: State, space: Space, solution: Solution | None = None, /) -> None:
        """Write what was reached, with the space that its parameters belong to."""


@dataclass(frozen=True)
class Hooks:
    """Whom a strategy tells how far it is.

    Attributes:
        report: called after every step or stage.
        save: called where the state is worth keeping.
        signals: received; a strategy ends with ``stopped = "signal"`` soon after one.
        folder: that ``save`` writes into, for messages; None where it writes nothing.
        enough: seconds of solving after which a step or stage is the last; None: never. It ends with ``stopped = "time limit"``.
    """

    report: Callable[[Training], None]
    save: Save
    signals: Interrupt
    folder: Path | None = None
    enough: float | None = None

    def over(self, training: Training) -> bool:
        """Return whether a step or stage that has ended is the last, for a signal, or since the time is up."""
        return self.signals.signal is not None or self.signals.late or self.spent(training)

    def spent(self, training: Training) -> bool:
        """Return whether ``enough`` seconds have gone."""
        return self.enough is not None and training.seconds > self.enough


@dataclass(frozen=True)
class Outcome(ABC):
    """What a strategy ended with.

    Attributes:
        solution: what it found, with the metrics that it knows; not assessed yet.
        loss: of the solution, in units of the file's functional; None where nothing was minimised.
    """

    solution: Solution
    loss: float | None = None

    @property
    @abstractmethod
    def space(self) -> Space:
        """Where the solution's parameters belong to."""

    @abstractmethod
    def assessed(self) -> Solution:
        """Return the solution with its errors, its error estimate and the checks that fail."""


class Strategy(ABC):
    """One way to solve a problem that was made ready.

    Args:
        problem: what is solved.
        settings: how: those of its file, with what was settled since.
        plan: of the method.
        placement: where steps work.
        space: in which the first state is, None where there is none yet.
    """

    def __init__(self, problem: Problem, settings: Settings, plan: Plan, placement: Placement, space: Space) -> None:
        self.problem = problem
        self.settings = settings
        self.plan = plan
        self.placement, self.space = placement, space

    @abstractmethod
    def start(self) -> State:
        """Return the state before the first step, drawn with the problem's seed."""

    @abstractmethod
    def resumed(self, training: Training, arrays: Mapping[str, np.ndarray[Any, Any]], meta: Mapping[str, Any]) -> State:
        """Return the state to go on from, given what the checkpoint of a run with the same settings holds."""

    @abstractmethod
    def solve(self, state: State, hooks: Hooks) -> Callable[[], Outcome]:
        """Solve the problem from a state on, which is changed in place and says at the end why the run ``stopped``.

        Returns:
            the last piece of work, what was found: apart, since a signal may end it without a loss.

        Raises:
            Stopped: a signal came before there was anything to keep.
            InputError: the time was over before that, or the problem turned out to be unsolvable as stated.
            DivergenceError: training diverged.
        """
