"""Check that a solution is unique, by looking for functions that can be added to it without leaving a residual.

Let L be the operator of equations and conditions, linearised at the solution. For a well-posed problem ‖Lφ‖ ≥ c‖φ‖, in a norm
with as many derivatives as the equations have. The smallest ratio σ = ‖Lφ‖/‖φ‖ in the span of more and more random features is a
singular value. If the problem is well posed, σ converges to a positive number. If a smooth function φ can be added (a rigid
motion of an unsupported body, a mode at resonance, a solution of the equation where a condition is missing), σ falls
exponentially with the number of features, down to rounding. Such functions are called free. Start from ``free_functions``.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from vpinn.analysis.entire import recipe_of, straight
from vpinn.analysis.free import Free, imbalance, orthonormal, some_points, units_of, without
from vpinn.analysis.sobolev import derivatives, evenly, volume
from vpinn.errors import InputError
from vpinn.features import Objectives, objective_for, tests_degree
from vpinn.features.least_squares import PILOT_ROWS, add_to_last_layer
from vpinn.features.resolution import local_degree
from vpinn.finite_elements import Level, expected_functions
from vpinn.objective import Objective
from vpinn.objective.linearisation import Rows, apart, everything, linearise
from vpinn.optimization import stated_problem
from vpinn.placement import HERE
from vpinn.problem import Case, Problem
from vpinn.trial import Evaluator, Features, Trial, conditions_alone

Array = NDArray[np.float64]
WIDTHS = (6, 20, 60, 160, 400)
"""Numbers of features per component that are tried one after another."""
WIDEST = 640
"""The number that follows for one component in space, where so many resolve modes that 400 do not; a second or two."""
RESOLVED, MOST_DIMENSIONS = 3, 5
"""Dimension up to which that many features resolve modes, and dimension up to which free functions are looked for."""
MOST_CELLS = 50_000
"""Cells above which tests on all of them would take more than a few seconds."""
UNDETERMINED = (InputError, np.linalg.LinAlgError)
"""What is raised where free functions cannot be determined."""
OPEN = 1e-6
"""σ up to which a function is free; Mindlin's plate, which is well posed, has 3e-5, and a mode at resonance 1e-11."""
FELL = 1e3
"""Factor by which σ must also have fallen since the first number of features: inconsistent units make σ small at once."""
HARDLY = 1e-3
"""σ below which further functions count as nearly free once one is free, as they would be with more features."""
CERTAIN = 1e-8
"""σ of a free function up to which no more features are tried."""
EXACT = 1e-9
"""σ up to which it is rounding; such a function is free without the test of ``FELL``."""
LOOKS = 2
"""Numbers of features that are tried in any case, besides one more that decides whether to go on."""
SETTLED = 2.0
"""Factor by which σ must fall from one number of features to the next for the search to go on."""
FASTER = 1.5
"""Factor that one fall of σ may lack of the fall before and still count as faster, since few random features vary."""
NEAR = 1e-4
"""σ extrapolated to the largest number of features above which no more features are tried."""
DEPENDENT = 1e-11
"""Singular value of the features, relative to the largest, up to which they count as linearly dependent."""
RICHER, MOST_TESTS = 2, 20_000
"""Degrees by which tests of a weak form are made richer where a function seems free, since on few cells across a strip low
degrees do not see all functions; and most test functions with which that is done."""
DRIVEN = 1e4
"""Size of a solution, relative to the size that its data explain, above which the data are said to drive a free function."""
UNMET = 0.1
"""Residual, relative to the residual of the data alone, above which data do not balance along a free function."""


def free_functions(problem: Case, trial: Trial, theta: torch.Tensor, loss: float | None = None) -> Free | None:
    """Return the functions that can be added to a solution; None if there are none, or if they cannot be determined.

    Motions that ``Level`` fixes are left out: constants, such as that of a pressure, and rotations of finite elements.

    Args:
        problem: the problem.
        trial: its trial space.
        theta: parameters of the solution [size]; a nonlinear problem is linearised there.
        loss: half the sum of squares of the residual of a strong form; None if it is not known.
    """
    try:
        found = find_free(problem, trial, theta)
        if found is None or not found.driven or loss is None:
            return found
        return replace(found, gap=imbalance(problem, trial, theta, loss))
    except UNDETERMINED:
        return None


def find_free(problem: Case, trial: Trial, theta: torch.Tensor) -> Free | None:
    """Return the functions that can be added to a solution; None if there are none. For the arguments see ``free_functions``.

    Raises:
        InputError: they cannot be determined, because the domain is too large, or no number of features could be tried.
        numpy.linalg.LinAlgError: a factorisation failed.
    """
    domain = problem.domain
    if domain.dimension > MOST_DIMENSIONS or domain.n_cells > MOST_CELLS:
        raise InputError("free functions are not looked for on so many cells or in so many dimensions")
    objectives, least = Objectives(stated_problem(problem, trial, "least-squares"), HERE), list[float]()
    norm = derivatives(objectives.problem, trial)
    level = Level.of(problem)
    levels, look, bound = len(level.opened if trial.space is None else level.motions), None, 0.0
    widths = _widths(problem)
    for width in widths:
        with contextlib.suppress(InputError):  # too few points for so many features
            look = _Look.of(problem, objectives, norm, trial, theta, width)
            least.append(float(look.ratios[levels]))
            bound = OPEN if least[-1] * FELL <= least[0] or min(least) <= EXACT else EXACT
        if len(least) > LOOKS and (least[-1] <= min(CERTAIN, bound) or not _falls(least, problem.domain.dimension, widths)):
            break
    if look is None:
        raise InputError("there are too few points or tests to look for free functions")
    if not (look.ratios <= bound).any():
        return None
    more = (look.ratios <= bound).sum() > levels  # than the motions that are known
    if more and look.degree and expected_functions(problem, look.degree + RICHER) <= MOST_TESTS:
        with contextlib.suppress(InputError):
            look = _Look.of(problem, objectives, norm, trial, theta, look.width, look.degree + RICHER)
    free = np.flatnonzero(look.ratios <= bound)
    return look.free(free) if len(free) else None


def _widths(problem: Problem) -> tuple[int, ...]:
    """Return the numbers of features per component that are tried one after another."""
    d, components = problem.domain.dimension, sum(unknown.components for unknown in problem.unknowns)
    if d > RESOLVED:
        return WIDTHS[: LOOKS + 1]
    return (*WIDTHS, WIDEST) if d == RESOLVED and components == 1 else WIDTHS


def _falls(least: list[float], dimension: int, widths: tuple[int, ...]) -> bool:
    """Return whether σ falls so fast that a function may turn out to be free with more features.

    At first the fall must be faster than the one before, as it begins only once features resolve the function. Later, σ is
    extrapolated exponentially in width^(1/d) to the largest width.
    """
    earlier, before, last = least[-3:]
    if len(least) == LOOKS + 1 or last * SETTLED > before:
        return last * SETTLED <= before and last * earlier < FASTER * before**2
    here, now, most = (widths[at] ** (1 / dimension) for at in (len(least) - 2, len(least) - 1, -1))
    return bool(last * np.exp(-np.log(before / last) * (most - now) / (now - here)) <= NEAR)


@dataclass(frozen=True)
class _Look:
    """The ratios σ of combinations of a number of random features.

    Attributes:
        problem: the problem.
        objectives: objectives of least squares for it.
        width: number of features per component.
        trial: trial space of the solution with the features in place of its network.
        solved: trial space of the solution.
        theta: parameters of the features, with a last layer of zeros.
        found: parameters of the solution.
        rows: residual of the solution, and the linearised residuals Lφ of the features as columns.
        ratios: σ of combinations of features, ascending [rank].
        layers: last layers of these combinations [rank, linear].
        gain: spectral norm of the columns Lφ over that of the columns of φ and its derivatives.
        degree: degree of the test functions of a weak form; 0 for a strong form.
    """

    problem: Case
    objectives: Objectives
    width: int
    trial: Trial
    solved: Trial
    theta: torch.Tensor
    found: torch.Tensor
    rows: Rows
    ratios: Array
    layers: Array
    gain: float
    degree: int

    @classmethod
    def of(
        cls,
        problem: Case,
        objectives: Objectives,
        norm: Objective,
        trial: Trial,
        theta: torch.Tensor,
        width: int,
        least: int = 1,
    ) -> _Look:
        """Return the ratios σ for ``width`` features per component, whose norm ‖φ‖ is that of the objective ``norm``.

        A weak form is tested with functions of degree ``least`` or higher.

        Raises:
            InputError: there are too few points or tests for so many features, or the residual is not finite.
        """
        objective, at = objective_for(objectives, trial, width, least=least), (trial.network, theta)
        space = objective.test_space
        if space is not None and local_degree(space.space.mesh, width) > space.space.degree:
            raise InputError("the largest cells do not see so many features")  # and would call them free
        recipe = recipe_of(width, problem.domain.dimension)
        network = recipe.features(trial.network, width, problem.domain, tests_degree(objective))
        seeded = torch.Generator().manual_seed(problem.settings.solver.seed)
        drawn = straight(network, recipe.draw(network, problem.domain, seeded))
        enough = PILOT_ROWS * max(width, WIDTHS[LOOKS])  # each point has rows for every component
        wider = max(network, trial.network, key=lambda one: one.layers[-2])  # both are evaluated at the points taken together
        parts = everything(objective, wider) if space is not None else evenly(objective, enough)
        rows = linearise(objective, network, drawn, parts, at)
        functions = apart(norm, network, drawn, evenly(norm, enough))
        sizes = [np.linalg.norm(part, 2) for part in (rows.columns, functions)]
        if not (np.isfinite(sizes).all() and min(sizes) > 0.0):
            raise InputError("the residual is not finite")
        units = units_of(problem, network, rows.columns)
        both = np.concatenate([rows.columns * units, functions / sizes[1]])
        lengths = np.linalg.norm(both, axis=0)  # coordinates, as features of tiny slope, are short
        lengths[lengths == 0.0] = 1.0
        left, singular, right = np.linalg.svd(both / lengths, full_matrices=False)
        kept = singular > DEPENDENT * singular[0]
        _, ratios, turned = np.linalg.svd(left[: len(rows.columns), kept], full_matrices=False)
        layers = (turned[::-1] / singular[kept]) @ right[kept] / lengths * units
        return cls(
            problem,
            objectives,
            width,
            replace(trial, network=network),
            trial,
            drawn,
            theta,
            rows,
            ratios[::-1],
            layers,
            float(sizes[0] / sizes[1]),
            tests_degree(objective),
        )

    def free(self, which: NDArray[np.int64]) -> Free | None:
        """Return the combinations with the numbers ``which`` as free functions; None if ``Level`` fixes all of them."""
        points = some_points(self.problem)
        values = np.stack([self._values(add_to_last_layer(self._network, self.theta, self.layers[k])) for k in which])
        rank = orthonormal(values)
        for motion in Level.of(self.problem).motions:
            if self.solved.space is not None or not motion.axes:  # features do not fix a rotation that nothing holds
                rank = without(rank, motion.values(points.x, values.shape[1]))
        balanced = self.solved.space is not None  # elements solve a problem only if its data balance
        if not len(rank) and (balanced or not self._unmet):
            return None
        found = rank if len(rank) else orthonormal(values)
        return Free(self.problem, found, points.x, self._unmet or self._large, int((self.ratios < HARDLY).sum()))

    @property
    def _network(self) -> Features:
        assert isinstance(self.trial.network, Features)
        return self.trial.network

    @cached_property
    def _asked(self) -> float:
        """Norm of the residual without any solution, of data and conditions alone."""
        if self.solved.space is None:
            return float(np.linalg.norm(self.rows.constant))
        bare = conditions_alone(self.problem, self.solved)
        objective = objective_for(self.objectives, bare, self.width)
        rows = linearise(
            objective, self._network, self.theta, everything(objective, self._network, 1), (bare.network, self.found)
        )
        return float(np.linalg.norm(rows.constant))

    @property
    def _unmet(self) -> bool:
        return bool(np.linalg.norm(self.rows.residual) > UNMET * self._asked)

    @property
    def _large(self) -> bool:
        """Whether the solution is much larger than its data explain, so that they drive a free function."""
        size = self.gain * np.sqrt(np.mean(self._values(self.found, self.solved) ** 2) * volume(self._network))
        return bool(size > DRIVEN * self._asked > 0.0)

    def _values(self, theta: torch.Tensor, trial: Trial | None = None) -> Array:
        """Return the unknowns minus those of a network that is zero, at some points [components, n]."""
        points, trial = some_points(self.problem), trial or self.trial
        unknowns = Evaluator.of(self.problem, trial, [unknown.function for unknown in self.problem.unknowns])
        nothing = Evaluator.of(self.problem, self.trial, [unknown.function for unknown in self.problem.unknowns])
        return unknowns(theta, points) - nothing(self.theta, points)
