"""Many dimensions as a strategy: sums of functions of few coordinates that grow stage by stage."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vpinn.analysis import Estimate, assess, make_monitor
from vpinn.dimensions import Share, SumError, SumStage, Wanted, best_of, estimated_error, grow, make_equations, shares
from vpinn.dimensions.growth import FUNCTIONS
from vpinn.dimensions.subsets import ALL
from vpinn.errors import InputError
from vpinn.features import LeastSquares
from vpinn.metrics import Account, Metrics
from vpinn.objective import highest_order, pointwise
from vpinn.optimization import METHODS, Plan, Training, history_row
from vpinn.optimization.choice import MANY_DIMENSIONS
from vpinn.optimization.schedule import Schedule
from vpinn.placement import HERE, Placement
from vpinn.problem import Case, Problem, Settings
from vpinn.process import settle_process
from vpinn.solution import Solution
from vpinn.solving.staged import best_stage
from vpinn.solving.steady import imposed_of
from vpinn.solving.strategy import Hooks, Outcome, State, Strategy
from vpinn.trial import FewCoordinates, Trial, few_trial

STAGES = 40
"""Stages at most, as progress displays show them."""
LOOK = 3
"""Stages after which ways to impose conditions are compared."""
DISTANT = 20
"""Dimension above which a product of distances to the sides of a box, which falls by a third with each, is not tried."""
UNCAUGHT = 1e-2
"""Relative residual on fresh points above which no subset of coordinates is said to catch the solution."""
SHOWN = 12
"""Subsets in the metrics, those of the largest share."""
TOLD = "functions of few coordinates each, chosen by what the residual on fresh points shows"
"""Why the method was taken."""


def in_few_coordinates(problem: Problem, settings: Settings) -> bool:
    """Return whether a problem is solved by functions of few coordinates, unless its form has no equations at points.

    In all of space it is not: the solutions of an equation that grow without bound are close to polynomials of a small residual.
    """
    solver, domain = settings.solver, problem.domain
    many = domain.kind in ("box", "ball") and domain.dimension > MANY_DIMENSIONS
    asked = solver.method in ("auto", LeastSquares.name) and settings.batch.size == "full" and solver.precision == "float64"
    return many and asked and problem.clock is None and not problem.enrich


@dataclass(frozen=True)
class FewOutcome(Outcome):
    """A sum of functions of few coordinates, with what is known of its error.

    Attributes:
        error: estimate of the error from the stages; None if there is none.
        checks: sentences about the checks that failed.
    """

    error: SumError | None = None
    checks: tuple[str, ...] = ()

    def assessed(self) -> Solution:
        """Return the solution with its errors, the estimate and the checks that fail."""
        error = self.error
        estimate = None if error is None else Estimate(error.absolute, error.relative, None, error.l2, None)
        solution = assess(self.solution, None, estimate)
        return dataclasses.replace(solution, metrics=Metrics.of(solution.metrics).judged(self.checks))


class FewCoordinatesStrategy(Strategy):
    """Grows sums of functions of few coordinates; stages are noted as steps of a training state.

    Args:
        problem: problem in many dimensions, without a mesh.
        settings: how it is solved.
        placement: number of threads; the computation runs on the CPU.

    Raises:
        InputError: the problem has no equations at points.
    """

    def __init__(self, problem: Case, settings: Settings, placement: Placement) -> None:
        settle_process(placement.threads)
        method = METHODS[LeastSquares.name](settings)
        assert isinstance(method, LeastSquares)
        self._method, self._stated = method, pointwise(problem)
        self._stages = list[SumStage]()
        super().__init__(problem, settings, Plan(method, Schedule(1.0, steps=STAGES)), placement.home, None)

    def spaces(self) -> list[Trial]:
        """Return the trial spaces to compare: with conditions met exactly, and by weighted rows."""
        exact = few_trial(self._stated, ())
        box = self.problem.domain.kind == "box"
        if not box or all(one.how != "exact" for one in exact.imposed):
            return [exact]
        rows = few_trial(self._stated, (), penalised=True)
        wanted = any(one.condition.impose == "exact" for one in exact.imposed)
        if wanted or self.problem.domain.dimension <= DISTANT:
            return [exact] if wanted else [exact, rows]
        return [rows]

    def solve(self, state: State, hooks: Hooks) -> Callable[[], Outcome]:
        """Grow until the residual on fresh points is below the target, or no subset lowers it any more."""
        training, stages = state.training, list[SumStage]()
        spaces, used = self.spaces(), list[Trial]()

        def note(stage: SumStage) -> bool:
            stages.append(stage)
            self._note(training, used[-1], stage)
            hooks.report(training)
            return not hooks.over(training)

        def run() -> tuple[SumStage, str]:
            found = list[float]()
            for trial in spaces if len(spaces) > 1 else ():
                found.append(min(stage.left.relative for stage in self._grown(trial, lambda stage: stage.number < LOOK)[0]))
            used.append(spaces[found.index(min(found))] if found else spaces[0])
            grown, ended = self._grown(used[-1], note)
            return best_of(grown), ended

        best = best_stage(self, training, hooks, run, lambda: best_of(stages) if stages else None, "sum of functions")
        self._note(training, used[-1], best, again=True)
        trial = dataclasses.replace(used[-1], network=best.fit.network)
        state.record = {"few": True}
        hooks.save(state, trial)
        return lambda: self._outcome(training, trial, stages, best)

    def _grown(self, trial: Trial, note: Callable[[SumStage], bool]) -> tuple[list[SumStage], str]:
        """Return the stages of growth in a trial space, and why it ended."""
        solver, order = self.settings.solver, highest_order(self._stated)
        equations = make_equations(self._stated, trial, solver.seed)
        wanted = Wanted(self._method.tolerance, self._method.aim, solver.features or FUNCTIONS, order)
        assert isinstance(trial.network, FewCoordinates)
        return grow(equations, trial.network, wanted, note)

    def _note(self, training: Training, trial: Trial, stage: SumStage, again: bool = False) -> None:
        """Make a stage the parameters of a training state, and unless it is noted ``again`` its last step."""
        training.theta = stage.fit.theta
        training.best = stage.fit.theta, math.inf
        if again:
            return
        watch = make_monitor(self.problem, dataclasses.replace(trial, network=stage.fit.network), None)
        training.step += 1
        training.seconds = stage.seconds
        row = history_row(
            step=training.step,
            seconds=stage.seconds,
            loss=0.5 * stage.left.norm**2,
            batch_size=stage.fit.points,
            estimate=stage.left.relative,
            error=math.nan if watch is None else watch(stage.fit.theta)["error"],
        )
        training.history.append(row)

    def _outcome(self, training: Training, trial: Trial, stages: Sequence[SumStage], best: SumStage) -> FewOutcome:
        told, left = shares(best), best.left
        asked = self.settings.solver.method != "auto"
        account = Account(
            method=self._method.name,
            method_reason=TOLD + (", as the problem file asks" if asked else ""),
            steps=training.step,
            stopped=training.stopped,
            parameters=best.fit.network.size,
            quadrature_points=best.fit.points,
            imposed=imposed_of(trial.imposed),
            more={
                "best_step": 1 + next(k for k, stage in enumerate(stages) if stage is best),
                "residual": {"relative": left.relative, "interval": list(left.interval), "points": left.points},
                "subsets": [_entry(one) for one in told[:SHOWN]],
                "subset_counts": _counts(told),
            },
        )
        solution = Solution(self.problem, trial, best.fit.theta, Metrics(account), training.history.table)
        if training.stopped == "signal":
            return FewOutcome(solution, 0.5 * left.norm**2)
        checks = []
        if not left.interval[1] <= UNCAUGHT:
            checks.append(
                "functions of few coordinates: those of one, two and three coordinates and of the distance leave "
                f"{left.relative:.1%} of the residual on fresh points, so that no subset catches the solution; train a network "
                '(solver.method = "adam", batch.size = 512), or state the problem in other coordinates'
            )
        return FewOutcome(solution, 0.5 * left.norm**2, estimated_error(self.problem, trial, stages), tuple(checks))


def _entry(one: Share) -> dict[str, Any]:
    return {"coordinates": list(one.subset), "degree": one.level, "functions": one.functions, "share": one.share}


def _counts(found: Sequence[Share]) -> list[dict[str, Any]]:
    """Return for the subsets of one, two and three coordinates, and for the distance, how many there are and their share."""
    kinds = {"one": 1, "two": 2, "three": 3}
    grouped = {name: [s for s in found if len(s.subset) == size and s.subset != ALL] for name, size in kinds.items()}
    grouped["all"] = [s for s in found if s.subset == ALL]
    sums = {name: (sum(s.functions for s in some), sum(s.share for s in some)) for name, some in grouped.items() if some}
    return [
        {"coordinates": name, "subsets": len(grouped[name]), "functions": functions, "share": share}
        for name, (functions, share) in sums.items()
    ]


def spaces_of_few_coordinates(problem: Case) -> list[Trial]:
    """Return the trial spaces that a run would compare, for ``vpinn check``; [] where another strategy solves the problem."""
    strategy = fits_few_coordinates(problem, problem.settings, HERE)
    return [] if strategy is None else strategy.spaces()


def fits_few_coordinates(problem: Case, settings: Settings, placement: Placement) -> FewCoordinatesStrategy | None:
    """Return the strategy where it applies; None where it does not, and the problem file leaves the choice open.

    Raises:
        InputError: the problem file asks for least squares, and the problem has no equations at points.
    """
    if not in_few_coordinates(problem, settings):
        return None
    try:
        return FewCoordinatesStrategy(problem, settings, placement)
    except InputError:
        if settings.solver.method == LeastSquares.name:
            raise
        return None
