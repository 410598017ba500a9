"""Callbacks of growth: reports to the caller, and questions to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vpinn.features.stages import Judgement, Stage


@dataclass(frozen=True)
class Guide:
    """Callbacks of growth; the defaults report nothing and estimate no errors.

    Attributes:
        report: called with every stage and the best stage of its trial space so far; returns False to end growth.
        judge: returns the error estimate of a stage in a richer space; None where there is none.
        told: called with every judgement, new or read from the journal.
        beaten: called with the judgement of the best stage before an expensive stage; returns True to end growth, because another
            method is better already.
        unseen: returns the residual of a stage on points to which it was not fitted, by which stages are compared.
        ahead: called before a stage with its expected seconds.
    """

    report: Callable[[Stage, Stage], bool] = lambda stage, best: True
    judge: Callable[[Stage], Judgement | None] = lambda stage: None
    told: Callable[[Stage, Judgement], None] = lambda stage, verdict: None
    beaten: Callable[[Judgement], bool] = lambda verdict: False
    unseen: Callable[[Stage], float] = lambda stage: stage.fit.residual
    ahead: Callable[[float], None] = lambda seconds: None
