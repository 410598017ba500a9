"""What growth asks on its way, and whom it tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vpinn.features.stages import Judgement, Stage


@dataclass(frozen=True)
class Guide:
    """What growth asks on its way, and whom it tells.

    Attributes:
        report: told every stage, and the best so far of its trial space; False ends the growth.
        judge: what a richer space says of a stage; None where there is no estimate.
        told: called with every verdict, found now or in the journal.
        beaten: asked before a dear stage whether something else is better already than the best, by its verdict.
        unseen: residual of a stage on points that it was not fitted to, by which stages are compared.
        ahead: told the seconds that a further stage is expected to take, before it begins.
    """

    report: Callable[[Stage, Stage], bool] = lambda stage, best: True
    judge: Callable[[Stage], Judgement | None] = lambda stage: None
    told: Callable[[Stage, Judgement], None] = lambda stage, verdict: None
    beaten: Callable[[Judgement], bool] = lambda verdict: False
    unseen: Callable[[Stage], float] = lambda stage: stage.fit.residual
    ahead: Callable[[float], None] = lambda seconds: None
