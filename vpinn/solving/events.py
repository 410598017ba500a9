"""Events of a run, for progress displays, logs and callbacks, which may end the run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from vpinn.features import Direct
from vpinn.interrupt import Interrupt
from vpinn.optimization import COLUMNS, Plan, Training
from vpinn.solution import Solution

KNOWN = ("loss", "error", "estimate", "residual")
"""Columns of the history that events have."""
Kind = Literal["phase", "step", "stage", "end"]


@dataclass(frozen=True)
class Event:
    """An event of a run.

    Attributes:
        kind: "phase" when a phase begins, "step" after a step of training, "stage" after a stage of a direct method, "end" at the
            end.
        phase: "set-up", "solving", "assessment"; of a long stage that begins, "stage 2"; "" at the end.
        seconds: since the run began.
        step: number of the step or stage, from 1; 0 before the first.
        steps: number of steps at most; None where it is not known.
        loss: value of the objective; None of methods without one.
        error: largest relative L² error of an unknown, where the exact solution is known.
        estimate: relative error estimate, where it was computed.
        residual: relative residual, of methods that minimise one.
        points: quadrature points of the step.
        ahead: expected seconds of a stage that begins.
        stopped: why the run ended, of "end".
    """

    kind: Kind
    phase: str
    seconds: float
    step: int = 0
    steps: int | None = None
    loss: float | None = None
    error: float | None = None
    estimate: float | None = None
    residual: float | None = None
    points: int | None = None
    ahead: float | None = None
    stopped: str | None = None

    @property
    def as_json(self) -> dict[str, Any]:
        """What is known, JSON-compatible; the kind is called "event"."""
        known = {name: value for name, value in asdict(self).items() if value is not None and name != "kind"}
        return {"event": self.kind, **known}

    def __str__(self) -> str:
        told = self.as_json
        return "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in told.items())


Callback = Callable[[Event], object]
"""Called with every event; the run ends after the step or stage of an event for which it returns False."""


def phases(show: Callable[[str], None]) -> Callback:
    """Return a callback that calls a function with the name of every phase that begins."""

    def told(event: Event) -> None:
        if event.kind == "phase" and event.ahead is None:
            show(event.phase)

    return told


class Teller:
    """Passes the events of a run to callbacks, and remembers whether one of them wants the run to end.

    Args:
        callbacks: called with every event.
        signals: signals of the run; a callback that returns False ends it as a time limit does.

    Attributes:
        ended: whether a callback wanted the run to end.
    """

    def __init__(self, callbacks: Sequence[Callback], signals: Interrupt) -> None:
        self._callbacks, self._signals = tuple(callbacks), signals
        self._began = time.perf_counter()
        self.ended = False

    def phase(self, name: str) -> None:
        """Report that a phase begins."""
        self._tell(Event("phase", name, self._seconds))

    def progress(self, training: Training, plan: Plan) -> None:
        """Report the last step or stage, or a long stage that begins."""
        if not self._callbacks:
            return
        direct = isinstance(plan.method, Direct)
        if training.ahead is not None:
            self._tell(Event("phase", f"stage {training.step + 1}", self._seconds, training.step, ahead=training.ahead))
        elif training.history:
            row = dict(zip(COLUMNS, training.history[-1], strict=True))
            known: dict[str, Any] = {name: row[name] for name in KNOWN if math.isfinite(row[name])}
            known |= {"step": training.step, "points": int(row["batch_size"])}
            if direct:
                self._tell(Event("stage", "solving", self._seconds, **known))
            else:
                self._tell(Event("step", "solving", self._seconds, **known, steps=plan.schedule.steps))

    def settle(self, training: Training) -> None:
        """Write "callback" as the reason for the end if a callback ended the run, and reset the signal by which it did so."""
        if self.ended and training.stopped == "time limit":
            training.stopped = "callback"
        self._signals.late = False

    def end(self, training: Training, solution: Solution) -> None:
        """Report why the run ended, and how accurate its solution is."""
        errors = [known["relative_l2"] for known in solution.errors.values() if "relative_l2" in known]
        error, estimate = max(errors, default=None), solution.error_estimate.get("relative_energy")
        self._tell(Event("end", "", self._seconds, training.step, error=error, estimate=estimate, stopped=training.stopped))

    @property
    def _seconds(self) -> float:
        return time.perf_counter() - self._began

    def _tell(self, event: Event) -> None:
        for callback in self._callbacks:
            if callback(event) is False and event.kind in ("step", "stage"):
                self.ended = self._signals.late = True
