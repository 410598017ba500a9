"""Another run that a run starts from: its weights where a network is trained, its features, or its field for Newton's method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from vpinn.errors import InputError
from vpinn.finite_elements import solve_fem
from vpinn.problem import Case, Settings
from vpinn.solution import Solution
from vpinn.trial import Enriched, Features, Trial, beside_elements, make_trial


@dataclass(frozen=True, eq=False)
class Origin:
    """A run that another one starts from.

    Attributes:
        folder: its run folder.
        digest: SHA-256 of its checkpoint, in hexadecimal digits.
        solution: its solution.
        weights: weights to start from [size]: those of the solution, or what was learned from a family.
        features: weights whose hidden layers are features [size].
    """

    folder: Path
    digest: str
    solution: Solution
    weights: Tensor
    features: Tensor

    @property
    def told(self) -> dict[str, Any]:
        """Its entry in run.json."""
        return {"run": str(self.folder), "sha256": self.digest}

    @property
    def trial(self) -> Trial:
        """Its trial space."""
        return self.solution.trial

    @property
    def trained(self) -> bool:
        """Whether it has a network whose layers were all trained."""
        return not isinstance(self.trial.network, Features) and self.trial.space is None and len(self.weights) > 0

    def shaped(self, settings: Settings) -> Settings:
        """Return settings with the hidden layers of its network where they give none."""
        if settings.network.layers is not None or not self.trained:
            return settings
        network = settings.network.model_copy(update={"layers": self.trial.network.layers[1:-1]})
        return settings.model_copy(update={"network": network})

    def begun(self, problem: Case, trial: Trial) -> Trial:
        """Return the trial space of a network, without scales, whose fields for these weights are those of the other run.

        Args:
            problem: problem that starts from it.
            trial: trial space of a network alone.

        Raises:
            InputError: the other run has no weights of a network of this shape.
        """
        if not self.trained:
            method = self.solution.metrics.get("method", "another method")
            raise InputError(
                f"{self.folder} was solved by {method}, which trains no weights; give the run of a trained network, or solve by "
                '"least-squares" with its features',
                "--from",
            )
        _check_shape(self, trial.network)
        if self.trial.beside is None:
            return trial
        found = solve_fem(problem, self.trial.beside.degree)
        return beside_elements(problem, trial, found.space, found.values, f"as in {self.folder}")

    def space(self, problem: Case) -> Trial:
        """Return the trial space of a problem with its features, and its scales.

        Raises:
            InputError: it has no features, or they do not fit the problem.
        """
        own, where = self.trial, "--from"
        if own.space is not None or not hasattr(own.network, "layers") or own.beside is not None:
            raise InputError(f"{self.folder} has no features for least squares: it was solved by elements, or beside them", where)
        trial = make_trial(problem, rows=own.rows, corners=own.corners, layers=own.network.layers[1:-1])
        if isinstance(own.network, Features):
            if trial.network.outputs != own.network.outputs or trial.network.dimension != own.network.dimension:
                raise InputError(f"{self.folder} has other unknowns or coordinates; give a run of a problem alike", where)
            trial = replace(trial, network=own.network)
        else:
            _check_shape(self, trial.network)
        return trial if own.scales is None else trial.scaled(own.scales)


def _check_shape(origin: Origin, network: Enriched) -> None:
    """Refuse a network of another shape.

    Raises:
        InputError: its layers, activation or inputs differ.
    """
    own = origin.trial.network
    shapes = [(one.layers, one.activation, one.size) for one in (own, network)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"the network of {origin.folder} has layers {list(own.layers)} of {own.activation}, that of this problem has "
            f"{list(network.layers)} of {network.activation}; set network.layers and network.activation alike",
            "--from",
        )
