"""Meta-learning: find weights from which a few training steps suffice on any member of a family of problems.

Both methods take inner steps on one member, and then move the common weights. They are methods like all others, whose closure is
that of the member whose turn it is: its mini-batch, and fresh ones. Neither differentiates through the inner steps.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vpinn.optimization.method import Adam, Closure, Method, State


@dataclass(frozen=True)
class Learner(Method):
    """A method that moves weights common to all members.

    Attributes:
        inner: method of the steps on a member, which starts anew with every member.
        count: number of these steps, ≥ 1.
        rate: their step size, > 0.
        reuse: whether all gradients of a step are of one mini-batch.
    """

    inner: Method = field(default_factory=lambda: Adam(beta1=0.0))
    count: int = 8
    rate: float = 5e-3
    reuse: bool = False
    course = "cosine"
    steps = 300
    remedy = "lower learn.rate or solver.learning_rate"

    def adapted(self, theta: Tensor, draw: Callable[[], Closure]) -> tuple[Tensor, float]:
        """Return the parameters [size] after the inner steps, and J of the member before them.

        Args:
            theta: common parameters [size]; not changed.
            draw: returns the batch of the next step.
        """
        state, first = self.inner.initial(theta), 0.0
        for k in range(self.count):
            theta, state, value = self.inner.step(theta, state, draw(), self.rate, False)
            first = value if k == 0 else first
        return theta, first

    @abstractmethod
    def initial(self, theta: Tensor) -> State:
        """Return the state before the first step."""


@dataclass(frozen=True)
class Reptile(Learner):
    """Reptile (Nichol, Achiam & Schulman 2018, arXiv 1803.02999): θ ← θ + ε(θ' − θ), with θ' after the inner steps on a member.

    Every inner step is on a fresh batch. If they all use one, the mean step lacks the part of θ' − θ that raises the product of
    gradients of different batches.
    """

    name = "reptile"
    learning_rate = 0.3

    def initial(self, theta: Tensor) -> State:
        """Return an empty state."""
        return {}

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one step."""
        batches = _batches(closure, self.reuse)
        moved, value = self.adapted(theta, lambda: next(batches))
        return theta + learning_rate * (moved - theta), state, value


@dataclass(frozen=True)
class Maml(Learner):
    """First-order MAML (Finn, Abbeel & Levine 2017, arXiv 1703.03400): a step of Adam along ∇J of a member at θ'.

    The inner steps are on one batch, the outer gradient is that of a fresh one. On the same batch its mean would be wrong by
    ``noise.bias.reused_batch``, half of it, since the factor 1 − αH of the inner step is left out.
    """

    name = "maml"
    learning_rate = 5e-3

    def initial(self, theta: Tensor) -> State:
        """Return the state of Adam."""
        return Adam().initial(theta)

    def outer_gradient(self, theta: Tensor, closure: Closure) -> tuple[float, Tensor]:
        """Return J of a member before the inner steps, and ∇J [size] after them.

        Args:
            theta: common parameters [size].
            closure: batch of the inner steps, which draws that of ∇J unless it is reused.
        """
        moved, value = self.adapted(theta, lambda: closure)
        return value, (closure if self.reuse else _fresh(closure))(moved)[1]

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one step."""
        value, gradient = self.outer_gradient(theta, closure)
        new, state, _ = Adam().step(theta, state, Closure(lambda _: (value, gradient)), learning_rate, same)
        return new, state, value


def _batches(closure: Closure, reuse: bool) -> Iterator[Closure]:
    """Yield a closure, and then fresh batches of the same member, or always the first one."""
    yield closure
    while True:
        yield closure if reuse else _fresh(closure)


def _fresh(closure: Closure) -> Closure:
    """Return a closure on another batch of the same member; the same one where it is on all points."""
    return closure if closure.fresh is None else Closure(closure.fresh(), closure.clip)


@dataclass(frozen=True)
class FeatureLearner:
    """Learns the hidden layers whose last layer, solved for on every member, leaves the least of the functional.

    With the last layer c*(θ) of a member solved for, ∂J/∂c = 0, so that the gradient of J(θ, c*(θ)) by the hidden layers is ∇J
    at the solution: the inner model is solved, and no derivative through it is needed (Golub & Pereyra 1973).

    Attributes:
        last: positions of the last layer and of the enrich coefficients in the parameters.
    """

    last: slice

    def step(
        self, theta: Tensor, state: State, solve: Callable[[Tensor], Tensor], closure: Closure, rate: float
    ) -> tuple[Tensor, State]:
        """Return parameters [size] and state after a step of Adam.

        Args:
            theta: parameters [size]; not changed.
            state: state of Adam.
            solve: solves for the last layer of a member.
            closure: J and ∇J of the member on points not used by ``solve``, or on all points.
            rate: step size > 0.
        """
        value, gradient = closure(solve(theta))
        hidden = torch.clone(gradient)
        hidden[self.last] = 0.0
        new, state, _ = Adam().step(theta, state, Closure(lambda _: (value, hidden)), rate, False)
        return new, state
