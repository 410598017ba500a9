"""The outer loop of learning: one step on one member after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from vpinn.learning.members import Array, FamilyMember, Members
from vpinn.optimization import Training
from vpinn.optimization.meta import FeatureLearner, Learner
from vpinn.optimization.method import Adam, Closure
from vpinn.optimization.projection import ALL, few_points
from vpinn.optimization.schedule import Schedule

FEATURES = "features"
"""Name of the weights with learned hidden layers, in the state of training."""
FEATURE_RATE = 2e-2
"""Largest step size of the hidden layers of features."""
WEIGHTS = "weights."
_ADAM = f"{FEATURES}."


@dataclass(frozen=True, eq=False)
class Learning:
    """What is learned from, and how.

    Attributes:
        members: the members of the family.
        values: of the parameters of those that are learned from [M, P].
        learner: how the common weights move.
        size: points of a mini-batch.
        schedule: of the outer steps.
    """

    members: Members
    values: Array
    learner: Learner
    size: int
    schedule: Schedule

    @cached_property
    def those(self) -> list[FamilyMember]:
        """The members that are learned from, made when they are needed first."""
        return [self.members.at(values) for values in self.values]

    @cached_property
    def features(self) -> FeatureLearner:
        """How the hidden layers of features move."""
        return FeatureLearner(self.those[0].trial.network.last)

    def start(self, seed: int) -> Training:
        """Return the state before the first step."""
        theta = self.members.placement.put(self.members.plain)
        training = Training.start(theta, self.learner, seed)
        adam = Adam().initial(theta)
        training.state = {**_named(WEIGHTS, training.state), FEATURES: theta, **_named(_ADAM, adam)}
        return training

    def step(self, training: Training) -> float:
        """Take one step on a member drawn now; return its functional at the common weights, in the problem file's unit.

        Args:
            training: state; its parameters are the common weights, its state has those of the features. Changed in place.

        Raises:
            NonFiniteError: the functional or its gradient is not finite.
        """
        generator, state = training.generator, training.state
        one = self.those[int(generator.integers(len(self.values)))]
        rate = self.schedule(training.step)
        closure = one.closure(self.size, self.members.settings, generator)
        theta, own, value = self.learner.step(training.theta, _own(WEIGHTS, state), closure, rate, False)
        share = rate / self.schedule.learning_rate
        features, adam = self.features.step(
            state[FEATURES],
            _own(_ADAM, state),
            lambda theta: one.solved(theta, generator),
            self._on_many(one, generator),
            FEATURE_RATE * share,
        )
        training.theta = theta
        training.state = {**_named(WEIGHTS, own), FEATURES: features, **_named(_ADAM, adam)}
        return value * self.members.unit

    def _on_many(self, one: FamilyMember, generator: np.random.Generator) -> Closure:
        """Return J and ∇J on all points, or on many drawn now: at the solved last layer, few points would show noise alone."""
        objective = one.objective
        if objective.size <= ALL:
            return Closure(objective.gradient)
        return Closure(lambda theta: objective.sampled(theta, few_points(objective, generator)))


def _named(start: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {start + name: tensor for name, tensor in state.items()}


def _own(start: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(start): tensor for name, tensor in state.items() if name.startswith(start)}
