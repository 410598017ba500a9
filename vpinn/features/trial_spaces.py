"""Choose the trial spaces in which least squares grows features: those in which a few features lower the residual most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vpinn.features.least_squares import Step, pilot
from vpinn.features.recipes import SHARES, Recipe, choose_features
from vpinn.features.resolution import Objectives, affordable, objective_for, resolves
from vpinn.features.stream import Stream
from vpinn.trial import Trial

CLOSE = 10.0
"""Ratio to the smallest residual of few features up to which a trial space is kept, since it may turn out to be better."""


@dataclass(frozen=True)
class TriedSpace:
    """A trial space, with what a few features achieve in it.

    Attributes:
        trial: trial space.
        recipe: best recipe among those tried.
        width: features per component with which they were tried.
        step: step with these features for the linearised equations.
        whole: whether it used all points and tests, so that a first stage can reuse it.
        hasty: whether the search for a recipe ended early because this one was good enough.
    """

    trial: Trial
    recipe: Recipe
    width: int
    step: Step
    whole: bool
    hasty: bool


def compare_spaces(
    objectives: Objectives,
    trials: Sequence[Trial],
    stream: Stream,
    width: int,
    enough: Callable[[Step], bool] = lambda step: False,
) -> list[TriedSpace]:
    """Return the trial spaces in ascending order of their residual for few features, without those that are far behind.

    The recipe is searched for in the first trial space. The search in the others starts from it, and ends at once where they are
    far behind with it. A trial space with corner functions has its own search, because what they leave to the features is a
    smoother function.

    Args:
        objectives: objectives of a weak or strong problem.
        trials: its trial spaces.
        stream: source of points and of the seed of the features.
        width: features per component, few.
        enough: whether a step is so good that the search for a recipe ends.
    """
    problem, found = objectives.problem, list[TriedSpace]()
    shares = [share for share in SHARES if resolves(problem, width, share)]
    for trial in trials:
        steps: dict[Recipe, Step] = {}

        def good(recipe: Recipe, steps: dict[Recipe, Step] = steps) -> bool:
            return enough(steps[recipe])

        def score(recipe: Recipe, trial: Trial = trial, steps: dict[Recipe, Step] = steps) -> float:
            if recipe not in steps:
                objective = objective_for(objectives, trial, width, recipe.share)
                few = stream.few(objective, width)
                steps[recipe] = pilot(objective, trial.network, width, stream.seed, problem.domain, recipe, few)
            return steps[recipe].predicted

        start = found[0].recipe if found else None
        if start is not None:
            least = min(candidate.step.predicted for candidate in found)
            if not affordable(problem, trial, width) or score(start) > CLOSE * least:
                continue
        recipe = choose_features(score, shares, None if trial.corners else start, good)
        objective = objective_for(objectives, trial, width, recipe.share)
        whole = objective.test_space is not None and not stream.samplers(objective)
        found.append(TriedSpace(trial, recipe, width, steps[recipe], whole, good(recipe)))
    found.sort(key=lambda candidate: candidate.step.predicted)
    return [candidate for candidate in found if candidate.step.predicted <= CLOSE * found[0].step.predicted]
