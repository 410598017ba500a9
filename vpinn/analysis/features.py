"""Correct a solution by random features, where finite elements fail because there is no mesh or there are second derivatives.

The network N of the trial space is replaced by N + δ. The correction δ is the combination of newly drawn random features that
makes the linearised residual of the equations smallest, in least squares, on points that training did not use: what one more
stage of least squares would add. The share of the residual that the features cannot remove is reported. The estimate does not
contain that share, but it varies faster than the rest, and so belongs to smaller errors. Start from ``make_feature_correction``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import numpy as np
import torch
import ufl
from numpy.typing import NDArray
from torch import Tensor

from vpinn.analysis.drawn import DrawnPoints, drawn_cells
from vpinn.analysis.tangent import Corrected, Shift
from vpinn.domain import BoundaryPart, CellPoints, Inside, Points, PointSet
from vpinn.errors import InputError
from vpinn.features.least_squares import solve_columns
from vpinn.features.recipes import Recipe
from vpinn.forms import Jet, Tape, compile_tape, components
from vpinn.objective import equations, highest_order
from vpinn.objective.penalty import penalty_weight, residual_weight
from vpinn.placement import HOST, host
from vpinn.problem import Case, Problem, Strong
from vpinn.trial import HIGHEST_ORDER, Evaluator, Network, Trial, residual_slopes

Array = NDArray[np.float64]
KINDS = ("sin", "tanh")
"""Activations that are tried."""
SCALES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Scales R of the features' slopes that are tried, in units of one over half the domain's width."""
PILOT = 100
"""Number of features per component with which activation and scale are chosen."""
COLUMNS = 800
"""Largest number of features of all components together."""
FEWEST = 300
"""Least number of features per component; there are as many as units in the last hidden layer if that has more."""
CHUNK = 50_000
"""Number of points up to which features are evaluated on all points at once."""
PART = 10_000
"""Points evaluated at a time if there are more, as each has a value of every feature."""
ROWS = 8
"""Number of points per feature."""
LEFT = 0.97
"""Share of the residual left by the features above which nothing is estimated."""
BYTES = 2e8
"""Memory of the features and their derivatives at the points that are evaluated at a time."""
SEED = 123_456_789
"""Seed of features and points, unlikely to be the seed of a user's run."""


@dataclass(frozen=True)
class NetworkField:
    """One component of a network with fixed parameters, as a known function.

    Attributes:
        network: the network.
        theta: its parameters [network.size].
        component: number of the output.
    """

    network: Network
    theta: Tensor
    component: int

    def jets(self, points: Points, order: int) -> dict[tuple[int, ...], Array]:
        """Return derivative → values [n], for derivatives up to ``order``."""
        d = self.network.dimension
        wanted = [key for k in range(order + 1) for key in combinations_with_replacement(range(d), k)]
        places, part = torch.tensor(points.x, device=HOST), PART if len(points) > CHUNK else max(1, len(points))
        some = [places[start : start + part] for start in range(0, max(1, len(points)), part)]
        with torch.no_grad():
            parts = [self.network.jets(self.theta, self.network.normalise(x), wanted) for x in some]
        return {derivative: host(torch.cat([found[self.component, derivative] for found in parts])) for derivative in wanted}


@dataclass(frozen=True)
class Residuals:
    """Residuals R inside the domain or on a boundary part, and their derivatives by the values and derivatives of the network.

    Attributes:
        points: quadrature points, other than those of training.
        tape: computes every R, then every derivative.
        count: number of residuals R.
        slopes: for every derivative the number of its R, and the value or derivative (jet) of the network.
    """

    points: PointSet
    tape: Tape
    count: int
    slopes: tuple[tuple[int, Jet], ...]

    def around(self, trial: Trial, theta: Tensor) -> Linearised:
        """Return residuals and derivatives at the solution of parameters [size]."""
        points = self.points.take(range(self.points.size))
        values = Evaluator(trial, self.tape)(theta, points)
        return Linearised(points, values[: self.count], values[self.count :], self.slopes)


@dataclass(frozen=True)
class Linearised:
    """Values of residuals R and of their derivatives at n points.

    Attributes:
        points: the points.
        values: residuals [count, n].
        derivatives: their derivatives [slopes, n].
        slopes: for every derivative the number of its R, and the value or derivative (jet) of the network.
    """

    points: Points
    values: Array
    derivatives: Array
    slopes: tuple[tuple[int, Jet], ...]

    def rows(self, features: Network, drawn: Tensor, most: int) -> tuple[Array, Array]:
        """Return √w R [rows] and √w R'[φ] for each of h features φ, component by component [rows, outputs·h].

        Args:
            features: network with the features.
            drawn: its parameters [features.size].
            most: number of points above which points are left out evenly, until about as many remain.
        """
        step = max(1, len(self.points.w) // most)
        roots = np.sqrt(step * self.points.w[::step])
        x, slopes = features.normalise(torch.tensor(self.points.x[::step], device=HOST)), self.derivatives[:, ::step] * roots
        wanted = {jet.derivative for _, jet in self.slopes}
        n, h = len(roots), features.layers[-2]
        columns = np.zeros((len(self.values), n, features.outputs, h))
        together = max(1, int(BYTES / (8 * h * (1 + features.dimension + len(wanted)))))
        for part in (slice(start, start + together) for start in range(0, n, together)):
            found = features.features(drawn, x[part], wanted)
            for (which, jet), slope in zip(self.slopes, slopes[:, part], strict=True):
                columns[which, part, jet.component] += slope[:, None] * host(found[jet.derivative])
        return (self.values[:, ::step] * roots).ravel(), columns.reshape(len(self.values) * n, -1)


@dataclass(frozen=True)
class FeatureCorrection:
    """Corrects the solution of any parameters of a trial space by random features.

    Attributes:
        trial: trial space of u.
        shift: unknowns of N + δ as expressions.
        residuals: residuals of the equations, and of boundary conditions that the trial space does not meet.
        width: number of features per component.
    """

    trial: Trial
    shift: Shift
    residuals: tuple[Residuals, ...]
    width: int

    def __call__(self, theta: Tensor) -> Corrected | None:
        """Return the corrected solution of parameters [size]; None if the features leave more than ``LEFT`` of the residual."""
        parts = [part.around(self.trial, theta) for part in self.residuals]
        scores = {Recipe(kind, scale): self._fit(parts, Recipe(kind, scale), PILOT)[2] for kind in KINDS for scale in SCALES}
        recipe = min(scores, key=lambda recipe: scores[recipe])
        features, parameters, left = self._fit(parts, recipe, self.width)
        if not left <= LEFT:
            return None
        known = {count: NetworkField(features, parameters, c) for c, count in enumerate(self.shift.counts)}
        background = replace(self.trial.background, known={**self.trial.background.known, **known})
        return Corrected(replace(self.trial, unknowns=self.shift.unknowns, background=background), left)

    def _fit(self, parts: Sequence[Linearised], recipe: Recipe, width: int) -> tuple[Network, Tensor, float]:
        """Return features, their parameters [size] with the best last layer, and the share ‖R + R'[δ]‖/‖R‖ that they leave."""
        base = self.trial.network
        domain = self.trial.background.domain
        features = recipe.features(base, width, domain)
        drawn = recipe.draw(features, domain, torch.Generator().manual_seed(SEED))
        rows = [part.rows(features, drawn, ROWS * width * base.outputs) for part in parts]
        right, columns = np.concatenate([r for r, _ in rows]), np.concatenate([c for _, c in rows])
        if not (np.isfinite(right).all() and np.isfinite(columns).all()):
            return features, drawn, np.inf
        change = solve_columns(columns, -right)
        features.unpack(drawn)[-1][0].copy_(torch.from_numpy(change).view(features.outputs, -1))
        size = float(np.linalg.norm(right))
        return features, drawn, float(np.linalg.norm(right + columns @ change)) / size if size else 0.0


def make_feature_correction(problem: Case, trial: Trial) -> FeatureCorrection:
    """Return the correction of a problem by random features.

    Args:
        problem: the problem.
        trial: its trial space.

    Raises:
        InputError: the form cannot be written as equations that hold at points, see ``equations``; or an unknown of a form is
            free on a part of the boundary; or the equations have derivatives of a higher order than features.
    """
    if highest_order(problem) > HIGHEST_ORDER:
        raise InputError(f"features have derivatives up to order {HIGHEST_ORDER} only")
    if not problem.formulation.pointwise:
        _check_held(problem, trial)
    outputs = trial.network.outputs
    width = int(min(COLUMNS // outputs, max(FEWEST, trial.network.layers[-2])))
    functions = [problem.symbols.coefficient() for _ in range(outputs)]
    shifted = {trial.function: trial.function + ufl.as_vector(functions)}
    unknowns = {name: ufl.replace(u, shifted) for name, u in trial.unknowns.items()}
    shift = Shift(unknowns, {name: u - trial.unknowns[name] for name, u in unknowns.items()}, tuple(functions))
    inside = [part for equation in equations(problem) for part in components(equation)]
    domain, count = problem.domain, max(ROWS * width * outputs, 2_000)
    degree = 4
    while (points := Inside(domain).points(degree, count, seed=SEED)).size < count and degree < 20:
        degree += 2
    if drawn_cells(problem) is not None and isinstance(points, CellPoints) and points.size > count:
        points = DrawnPoints(points, -(-count // points.per_entity))
    residuals = [_residuals(problem, trial, inside, points)]
    stated = replace(problem, formulation=Strong(equations(problem)))
    for imposed in trial.imposed:
        if imposed.how != "exact":
            u = components(problem.unknown(str(imposed.condition.unknown)).function)[imposed.component]
            points = BoundaryPart.of(domain, imposed.condition.on).points(degree, count // 4, seed=SEED)
            weight = np.sqrt(penalty_weight(stated, trial, imposed.condition, imposed.component))
            residuals.append(_residuals(problem, trial, [weight * (u - imposed.value)], points))
    for condition in problem.boundary:
        if condition.residual is not None:
            weight = np.sqrt(residual_weight(stated, trial, condition))
            parts = [weight * part for part in components(condition.residual)]
            points = BoundaryPart.of(domain, condition.on).points(degree, count // 4, seed=SEED)
            residuals.append(_residuals(problem, trial, parts, points))
    return FeatureCorrection(trial, shift, tuple(residuals), width)


def _check_held(problem: Problem, trial: Trial) -> None:
    """Check that no unknown of a form is free on a part of the boundary: its natural conditions are not among the residuals.

    Raises:
        InputError: an unknown is free on a part of the boundary.
    """
    every = len(problem.domain.facets("all"))
    for unknown in problem.unknowns:
        for component in range(unknown.components):
            held = [i for i in trial.imposed if i.condition.unknown == unknown.name and i.component == component]
            tags = tuple(tag for i in held for tag in i.condition.on)
            if not tags or len(problem.domain.facets(tags)) < every:
                raise InputError(f"{unknown.name} is free on a part of the boundary")


def _residuals(problem: Problem, trial: Trial, parts: Sequence[ufl.core.expr.Expr], points: PointSet) -> Residuals:
    """Compile scalar residuals, and their derivatives by the network's jets that are not zero."""
    graph, nodes, slopes = residual_slopes(problem, trial, parts)
    return Residuals(points, compile_tape(graph, [*nodes, *slopes.values()]), len(nodes), tuple(slopes))
