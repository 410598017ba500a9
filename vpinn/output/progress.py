"""Display of the progress of one run: a bar in terminals, and a line from time to time elsewhere.

Methods that train by steps show the step out of how many. Direct methods (least squares, elements, march) solve in stages of
unknown number: they show each stage when it is over, and the expected seconds of the next one if it is long.
"""

from __future__ import annotations

import math
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vpinn.features import Direct
from vpinn.optimization import COLUMNS, Plan, Training
from vpinn.waiting import Waiting, clock

REFRESH = 10
"""Updates of the bar per second."""
LINES_EVERY = 10.0
"""Seconds between lines if there is no bar."""
LONG = 2.0
"""Expected seconds of a stage from which it is announced when it begins."""
_LOSS, _BATCH = map(COLUMNS.index, ("loss", "batch_size"))
_WATCHED = {name: COLUMNS.index(name) for name in ("error", "estimate", "residual")}


class TrainingProgress:
    """Shows loss, error (if the exact solution is known), batch size, speed and time left of a run.

    An object of this class is passed to `vpinn.solving.solve` as ``report``, which calls it after every step.

    Args:
        console: Console to print on: a bar in a terminal or notebook, else a line every ten seconds or tenth of the run.
        quiet: Whether to show nothing.

    Example:
        with TrainingProgress(Console(stderr=True)) as progress:
            solve(problem, report=progress)
    """

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self._console, self._quiet = console, quiet
        self._bar: Progress | None = None
        if not quiet and (console.is_terminal or console.is_jupyter):
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(14), TextColumn("{task.fields[state]}"), TimeElapsedColumn(),
                TimeRemainingColumn(), console=console, refresh_per_second=REFRESH,
            )  # fmt: skip
        self._waiting = Waiting(console, quiet)
        self._watched: dict[str, float] = {}
        self._shown = -math.inf
        self._share = 0
        self._first: tuple[float, int] | None = None

    def __enter__(self) -> TrainingProgress:
        """Get ready; the bar begins with the first step or stage."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop updating the bar, and leave it on the screen."""
        self._waiting.end()
        if self._bar is not None:
            self._bar.stop()

    def phase(self, name: str) -> None:
        """Show a phase in which there are no steps; until the next one, or the first step."""
        if self._bar is not None and self._bar.tasks:
            self._bar.stop()
        self._waiting.begin(name, line=name != "set-up")

    def __call__(self, training: Training, plan: Plan) -> None:
        """Show the state of training after a step or stage, unless the last update was too recent."""
        if self._quiet or not training.history:
            return
        self._waiting.end()
        row = training.history[-1]
        now = time.monotonic()
        steps = plan.schedule.steps
        told = {name: row[column] for name, column in _WATCHED.items() if math.isfinite(row[column])}
        if isinstance(plan.method, Direct):
            self._watched = told  # every stage stands for itself: values of earlier stages are not shown
            self._stage(training, plan)
            return
        self._watched |= told
        if self._first is None:
            self._first = now, training.step - 1
            self._share, self._shown = 10 * training.step // steps, now if self._bar is None else -math.inf
        last = training.step >= steps
        if self._bar is not None:
            if last or now - self._shown > 1.0 / REFRESH:
                self._shown = now
                self._draw(self._bar, training, plan)
        elif last or now - self._shown > LINES_EVERY or 10 * training.step // steps > self._share:
            self._shown, self._share = now, 10 * training.step // steps
            speed = (training.step - self._first[1]) / max(now - self._first[0], 1e-9)
            left = (steps - training.step) / max(speed, 1e-9)
            if plan.time_limit is not None:
                left = min(left, max(plan.time_limit - training.seconds, 0.0))
            self._first = now, training.step  # speed is measured from line to line, as batches may grow
            self._console.print(
                f"step {training.step}/{steps}  {self._state(row, plan)}  {speed:.3g} steps/s  {clock(left)} left",
                highlight=False, soft_wrap=True,
            )  # fmt: skip

    def _task(self, bar: Progress, total: int | None, plan: Plan) -> TaskID:
        """Return the one line of the bar, which is started with it."""
        if not bar.tasks:
            bar.add_task(plan.method.name, total=total, state="")
            bar.start()
        return bar.tasks[0].id

    def _stage(self, training: Training, plan: Plan) -> None:
        """Show the result of a stage that is over, or the expected time of the next one if it is long."""
        text = f"stage {training.step}  {self._state(training.history[-1], plan)}  after {clock(training.seconds)}"
        if training.ahead is not None:
            if training.ahead < LONG:
                return
            text = f"stage {training.step + 1}  about {clock(training.ahead)}"
        if self._bar is None:
            self._console.print(text, highlight=False, soft_wrap=True)
            return
        self._bar.update(self._task(self._bar, None, plan), state=text)
        self._bar.refresh()

    def _draw(self, bar: Progress, training: Training, plan: Plan) -> None:
        number = self._task(bar, plan.schedule.steps, plan)
        task = bar.tasks[number]
        speed = f"  {task.speed:.3g}/s" if task.speed else ""
        state = f"{training.step}/{plan.schedule.steps}  {self._state(training.history[-1], plan)}{speed}"
        bar.update(task.id, completed=training.step, state=state)
        bar.refresh()

    def _state(self, row: tuple[float, ...], plan: Plan) -> str:
        watched = "".join(f"  {name} {value:.1e}" for name, value in self._watched.items())
        batch = "all" if plan.batch_size is None else "batch"
        loss = f"loss {row[_LOSS]:.4e}" if math.isfinite(row[_LOSS]) else ""
        return f"{loss}{watched}  {batch} {int(row[_BATCH])}".strip()
