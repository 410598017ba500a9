"""The strategy for inverse problems in time: numbers from marches on elements, then the march with these numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace

from vpinn.errors import InputError
from vpinn.features import March
from vpinn.inference import InferenceStage, found_problem
from vpinn.metrics import Metrics
from vpinn.solution import Solution
from vpinn.solving.inverse import Inference, data_checks, inferred_of
from vpinn.solving.marching import MarchStrategy
from vpinn.solving.strategy import Hooks, Outcome, Space, State


@dataclass(frozen=True)
class InverseMarchOutcome(Outcome):
    """A march with the numbers that were inferred.

    Attributes:
        marched: Outcome of the march.
        stage: What was inferred.
    """

    _: KW_ONLY
    marched: Outcome
    stage: InferenceStage

    @property
    def space(self) -> Space:
        """Space of the march."""
        return self.marched.space

    def assessed(self) -> Solution:
        """Return the solution with the assessment of the march and of the data."""
        solution = self.marched.assessed()
        data, checks = data_checks(self.stage)
        metrics = Metrics.of(solution.metrics).judged(checks, {"data": data})
        assert metrics.account is not None
        inferred, correlation = inferred_of(self.stage)
        account = replace(metrics.account, inferred=inferred, more={**metrics.account.more, **correlation})
        return replace(solution, metrics=replace(metrics, account=account))


class InverseMarchStrategy(Inference):
    """Infers numbers from marches on elements of rising degree, and then marches with them; see `MarchStrategy`.

    The stages of that march are the steps of the training state.
    """

    method = March

    def solve(self, state: State, hooks: Hooks) -> Callable[[], Outcome]:
        """Infer, then march."""
        best = self.infer(state.training, hooks, lambda stage: None)
        plain = replace(found_problem(self.problem, **best.record)[0], exact={}, reference=None)
        march = MarchStrategy(plain, self.settings, self.placement)
        begun = march.start()
        state.training, state.journal = begun.training, begun.journal
        state.record = {"inferred": best.record}
        try:
            finish = march.solve(state, replace(hooks, ready=hooks.ready + best.seconds))
        except InputError as error:
            numbers = ", ".join(f"{name} = {one['value']:.4g} ± {one['std']:.1g}" for name, one in best.posterior.numbers.items())
            raise InputError(f"{error.message}; inferred by then: {numbers}", error.where) from None
        state.training.seconds += best.seconds
        state.record = {**state.record, "inferred": best.record}
        outcome = finish()
        hooks.save(state, outcome.space)
        return lambda: InverseMarchOutcome(outcome.solution, outcome.loss, marched=outcome, stage=best)
