"""Which trial spaces least squares grows features in: those whose residual a few features lower most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vpinn.features.least_squares import Step, pilot
from vpinn.features.recipes import SHARES, Recipe, choose_features
from vpinn.features.resolution import Objectives, affordable, objective_for, resolves
from vpinn.features.stream import Stream
from vpinn.trial import Trial

CLOSE = 10.0
"""Ratio of the residuals of few features up to which the worse trial space may turn out to be the better one."""


@dataclass(frozen=True)
class TriedSpace:
    """A trial space with its features, as few of them showed.

    Attributes:
        trial: the trial space.
        recipe: the best of those tried.
        width: features per component with which they were tried.
        step: what they made of the linearised equations.
        whole: whether that was told by all points, as a stage without steeper features would.
        hasty: whether the recipe was good enough for no other to be tried.
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
    """Return the trial spaces in the order of their residual for few features, without those that are far behind.

    The first one's recipe is searched for; the others start from it, and those far behind with it are searched no further. With
    functions of the corners what is left for features is another, smoother function, whose recipe is searched for anew: from
    that of features alone an L-shape came to 1e-8 where it comes to 1e-13.

    Args:
        objectives: of a weak or strong problem.
        trials: its trial spaces.
        stream: where points and the seed of the features come from.
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
