"""Journal of growth: a record of all its findings, in order, from which a resumed run reads instead of computing them again.

`Journal.noted` computes a note or reads it; the functions below convert candidates and stages into notes and back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vpinn.domain import Domain
from vpinn.features.least_squares import Fit, Step, tests_degree
from vpinn.features.recipes import Recipe
from vpinn.features.resolution import Objectives
from vpinn.features.stages import Stage, with_network
from vpinn.features.trial_spaces import TriedSpace
from vpinn.placement import HOST, host
from vpinn.trial import Trial

Note = dict[str, Any]
"""JSON-compatible dictionary, except for an array "theta" where there is one."""


@dataclass
class Journal:
    """The notes of one growth. Its decisions depend on them only, so that equal notes lead to equal results.

    Attributes:
        notes: notes so far; those from ``at`` on have not been read again yet.
        at: number of notes read or written by this run.
        asked: tolerance for which they were made, None for the default.
    """

    notes: list[Note] = field(default_factory=list)
    at: int = 0
    asked: float | None = None

    def noted(self, find: Callable[[], Note]) -> Note:
        """Return the next note; ``find`` computes it if it is not in the journal yet."""
        if self.at == len(self.notes):
            self.notes.append(find())
        self.at += 1
        return self.notes[self.at - 1]

    @property
    def reads(self) -> bool:
        """Whether the next note is in the journal already."""
        return self.at < len(self.notes)

    def arrays(self) -> tuple[dict[str, NDArray[np.float64]], dict[str, Any]]:
        """Return the notes up to the last one with an array, as arrays and JSON values for a checkpoint; {} without notes."""
        if not self.notes:
            return {}, {}
        last = max((k for k, note in enumerate(self.notes) if "theta" in note), default=-1)
        kept = self.notes[: last + 1]
        arrays = {f"journal.{k}": note["theta"] for k, note in enumerate(kept) if "theta" in note}
        plain = [{key: value for key, value in note.items() if key != "theta"} for note in kept]
        return arrays, {"journal": plain, "asked": self.asked}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]], meta: Mapping[str, Any]) -> Journal:
        """Return the journal stored in ``arrays`` and ``meta``."""
        notes, asked = meta.get("journal", []), meta.get("asked")
        theta = {k: arrays[f"journal.{k}"] for k in range(len(notes)) if f"journal.{k}" in arrays}
        return cls([{**note, "theta": theta[k]} if k in theta else note for k, note in enumerate(notes)], asked=asked)


def note_of_candidates(candidates: Sequence[TriedSpace], trials: Sequence[Trial]) -> Note:
    """Return the note of compared trial spaces; it omits the parameters of their first steps, which later stages do not need."""
    return {
        "candidates": [
            {
                "trial": next(k for k, trial in enumerate(trials) if trial is candidate.trial),
                "recipe": asdict(candidate.recipe),
                "width": candidate.width,
                "norms": [candidate.step.before, candidate.step.predicted, candidate.step.steepness],
                "whole": candidate.whole,
                "hasty": candidate.hasty,
            }
            for candidate in candidates
        ]
    }


def candidates_of(note: Note, trials: Sequence[Trial], domain: Domain) -> list[TriedSpace]:
    """Return the trial spaces stored in a note."""
    found = []
    for one in note["candidates"]:
        trial, recipe = trials[one["trial"]], _recipe(one["recipe"])
        step = Step(recipe.features(trial.network, one["width"], domain), torch.empty(0, device=HOST), *one["norms"])
        found.append(TriedSpace(trial, recipe, one["width"], step, one["whole"], one["hasty"]))
    return found


def note_of_stage(stage: Stage | None) -> Note:
    """Return the note of a stage; None stands for a stage that cannot be made."""
    if stage is None:
        return {"stage": None}
    fit, numbers = stage.fit, ("relative", "width", "seconds")
    known = {name: getattr(fit, name) for name in ("residual", "initial", "steps", "points")}
    stated = {name: getattr(stage, name) for name in numbers}
    return {
        "stage": {**stated, "fit": known, "recipe": asdict(stage.recipe), "degree": tests_degree(stage.objective)},
        "theta": host(fit.theta),
    }


def stage_of(note: Note, objectives: Objectives, trial: Trial) -> Stage | None:
    """Return the stage stored in a note, on its trial space."""
    if note["stage"] is None:
        return None
    known = dict(note["stage"])
    recipe = _recipe(known.pop("recipe"))
    degree = known.pop("degree")
    width = known["width"]
    network = recipe.features(trial.network, width, objectives.problem.domain, degree)
    objective = with_network(objectives.of(trial, width, degree), network)
    fit = Fit(network, torch.from_numpy(note["theta"]), **known.pop("fit"))
    return Stage(trial=replace(trial, network=network), objective=objective, fit=fit, recipe=recipe, **known)


def _recipe(known: Mapping[str, Any]) -> Recipe:
    return Recipe(**{**known, "patches": tuple(map(tuple, known["patches"]))})
