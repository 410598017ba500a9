"""Display of the progress of one run: a bar in terminals and notebooks, and a line from time to time elsewhere.

Methods that train by steps show the step out of how many. Direct methods (least squares, elements, march) solve in stages of
unknown number: they show each stage when it is over, and the expected seconds of the next one if it is long.
"""

from __future__ import annotations

import math
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from vpinn.features import Direct
from vpinn.optimization import COLUMNS, Plan, Training

REFRESH = 0.1
"""Seconds between updates of the bar."""
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
                TextColumn("{task.description}"), BarColumn(14), TextColumn("{task.fields[state]}"), TimeRemainingColumn(),
                console=console, auto_refresh=False,
            )  # fmt: skip
        self._watched: dict[str, float] = {}
        self._shown = -math.inf
        self._share = 0
        self._first: tuple[float, int] | None = None

    def __enter__(self) -> TrainingProgress:
        """Start the bar."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop updating the bar, and leave it on the screen."""
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, training: Training, plan: Plan) -> None:
        """Show the state of training after a step or stage, unless the last update was too recent."""
        if self._quiet or not training.history:
            return
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
            if last or now - self._shown > REFRESH:
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
                f"step {training.step}/{steps}  {self._state(row, plan)}  {speed:.3g} steps/s  {_clock(left)} left",
                highlight=False, soft_wrap=True,
            )  # fmt: skip

    def _stage(self, training: Training, plan: Plan) -> None:
        """Show the result of a stage that is over, or the expected time of the next one if it is long."""
        text = f"stage {training.step}  {self._state(training.history[-1], plan)}  after {_clock(training.seconds)}"
        if training.ahead is not None:
            if training.ahead < LONG:
                return
            text = f"stage {training.step + 1}  about {_clock(training.ahead)}"
        if self._bar is None:
            self._console.print(text, highlight=False, soft_wrap=True)
            return
        if not self._bar.tasks:
            self._bar.add_task(plan.method.name, total=None, state="")
        self._bar.update(self._bar.tasks[0].id, state=text)
        self._bar.refresh()

    def _draw(self, bar: Progress, training: Training, plan: Plan) -> None:
        if not bar.tasks:
            bar.add_task(plan.method.name, total=plan.schedule.steps, completed=training.step, state="")
        task = bar.tasks[0]
        speed = f"  {task.speed:.3g}/s" if task.speed else ""
        state = f"{training.step}/{plan.schedule.steps}  {self._state(training.history[-1], plan)}{speed}"
        bar.update(task.id, completed=training.step, state=state)
        bar.refresh()

    def _state(self, row: tuple[float, ...], plan: Plan) -> str:
        watched = "".join(f"  {name} {value:.1e}" for name, value in self._watched.items())
        batch = "all" if plan.batch_size is None else "batch"
        loss = f"loss {row[_LOSS]:.4e}" if math.isfinite(row[_LOSS]) else ""
        return f"{loss}{watched}  {batch} {int(row[_BATCH])}".strip()


def _clock(seconds: float) -> str:
    """Return hours, minutes and seconds as 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
