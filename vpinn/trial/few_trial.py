"""Trial spaces of sums of functions of few coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vpinn.problem import Case
from vpinn.trial.few_coordinates import FewCoordinates, Term
from vpinn.trial.polynomials import FAMILIES
from vpinn.trial.trial import ROWS, Trial, make_trial

MOST = 1000
"""Largest degree of a polynomial that a checkpoint may hold."""


def few_trial(problem: Case, terms: Sequence[Term], penalised: bool = False) -> Trial:
    """Return the trial space of sums of given functions, with the conditions of a problem.

    Args:
        problem: problem on a domain without a mesh.
        terms: the functions.
        penalised: whether conditions are imposed by weighted rows though they could be met exactly: a solution that is a sum of
            functions of few coordinates is none any more once it is divided by a distance to the boundary.
    """
    if penalised:
        problem = replace(problem, boundary=tuple(replace(one, impose="penalty") for one in problem.boundary))
    trial = make_trial(problem, rows=True)
    if penalised:
        trial = replace(trial, imposed=tuple(replace(one, why=ROWS) for one in trial.imposed))
    return replace(trial, network=FewCoordinates.of(trial.network, FAMILIES[problem.domain.kind], terms))


def stored(trial: Trial) -> dict[str, Any]:
    """Return what a checkpoint keeps of such a trial space, JSON-compatible; {} for other ones."""
    if not isinstance(trial.network, FewCoordinates):
        return {}
    return {"terms": trial.network.terms, "penalised": all(one.how == "penalty" for one in trial.imposed)}


def restored(problem: Case, kept: Mapping[str, Any]) -> Trial:
    """Return the trial space of which ``stored`` has kept this.

    Raises:
        ValueError: a degree is larger than any that was kept.
    """
    terms = [tuple((int(i), int(degree)) for i, degree in term) for term in kept["terms"]]
    if any(degree > MOST for term in terms for _, degree in term):
        raise ValueError(f"degrees above {MOST}")
    return few_trial(problem, terms, kept["penalised"])
