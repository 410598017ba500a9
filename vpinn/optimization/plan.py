"""Turn the settings of a problem file into the plan of a run; names of methods become methods here.

`candidates` names the methods to try, `stated_problem` and `trained_objective` say what each of them minimises, and `make_plan`
makes the plan of the one that is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from vpinn.errors import InputError
from vpinn.features.direct import Direct, Elements, LeastSquares, least_squares_problem
from vpinn.objective import Objective, bends, bent, count_rows, is_sum_of_squares, make_objective, pointwise
from vpinn.objective.curvature import ROWS_BYTES
from vpinn.optimization.batching import PROBE, fixed_samplers, independent, make_batching, samplers_of
from vpinn.optimization.broyden import Broyden
from vpinn.optimization.evolution import Evolution
from vpinn.optimization.exchange import compressor_for
from vpinn.optimization.gauss_newton import GaussNewton
from vpinn.optimization.langevin import Langevin, LangevinOnAll
from vpinn.optimization.lbfgs import Lbfgs
from vpinn.optimization.method import Adam, Method, Sgd
from vpinn.optimization.planned import Plan
from vpinn.optimization.rules import EVERY
from vpinn.optimization.schedule import Schedule
from vpinn.optimization.spring import Spring
from vpinn.optimization.torch_optim import ALLOWED, PREFIX, torch_method
from vpinn.placement import Placement
from vpinn.problem import Case, Problem, Settings, Stated
from vpinn.problem.numerics import Solver
from vpinn.registry import Extended
from vpinn.sampling import Logarithmic, Sampler
from vpinn.trial import HIGHEST_ORDER, Trial

METHODS: Final[Mapping[str, Callable[[Settings], Method | Direct]]] = Extended(
    "methods",
    {
        "least-squares": lambda settings: LeastSquares(
            settings.solver.tolerance,
            settings.solver.time_limit,
            settings.solver.features,
            settings.solver.seed,
            lambda objective: fixed_samplers(settings, objective),
            alone=settings.solver.method != "auto" or settings.solver.features is not None,
        ),
        "elements": lambda settings: Elements(settings.solver.tolerance, settings.solver.time_limit),
        "adam": lambda settings: Adam(),
        "sgd": lambda settings: Sgd(settings.solver.momentum),
        "lbfgs": lambda settings: Lbfgs(),
        "langevin": lambda settings: (LangevinOnAll if settings.batch.size == "full" else Langevin)(
            settings.solver.temperature,
            settings.solver.steps or Langevin.steps,
            settings.solver.seed,
            settings.solver.precondition,
        ),
        "evolution": lambda settings: Evolution(settings.solver.seed, settings.solver.population, settings.solver.spread),
        "broyden": lambda settings: Broyden(),
        "gauss-newton": lambda settings: GaussNewton(),
        "spring": lambda settings: Spring(),
        **{PREFIX + name: torch_method(name) for name in ALLOWED},
    },
)
"""Names in a problem file → functions that make the method from the settings."""


def candidates(problem: Problem, settings: Settings) -> tuple[str, ...]:
    """Return the names of the methods to try, in order; the first that fits the problem is used.

    ``method = "auto"`` tries least squares first on meshes, and without a mesh in up to five dimensions, in float64. Next it
    tries L-BFGS if every step uses all points, and Adam if it uses mini-batches, which is the default in more dimensions (see
    ``with_batches``). Obstacles, contact, and values or loads at points are left to finite elements.

    Raises:
        InputError: another method is asked for where finite elements alone solve the problem.
    """
    solver, (nodal, where) = settings.solver, problem.nodal
    if nodal and solver.method not in ("auto", Elements.name):
        raise InputError(
            f'{nodal} needs the nodes of finite elements, got solver.method = "{solver.method}"; leave it out',
            where,
        )
    if nodal:
        return (Elements.name,)
    if solver.method != "auto":
        return (solver.method,)
    stepwise = "lbfgs" if settings.batch.size == "full" else "adam"
    direct = problem.domain.n_cells > 0 or problem.domain.dimension <= 5
    return ("least-squares", stepwise) if direct and solver.precision == "float64" else (stepwise,)


def stated_problem(problem: Stated, trial: Trial, name: str) -> Stated:
    """Return the problem in the form that a method solves.

    Least squares and finite elements replace an energy by its first variation, and so do all methods where a condition is imposed
    by Nitsche's method. Without a mesh there are no test functions, and least squares solves the equations pointwise; likewise
    where the form has second derivatives of its test functions, which finite elements lack.

    Nitsche's energy is bounded below in finite elements, whose values inside bound their boundary fluxes (Nitsche 1971). A
    network's fluxes can grow without bound between the boundary and the nearest points, and good optimisers then lower the energy
    without bound. The dual norm of the variation is bounded below, and is zero at the same solution.
    """
    if name == LeastSquares.name and bends(problem):
        return bent(problem)
    if name == LeastSquares.name and problem.domain.mesh is None:
        return pointwise(problem)
    tested = name in (LeastSquares.name, Elements.name) or any(imposed.how == "nitsche" for imposed in trial.imposed)
    return least_squares_problem(problem) if tested else problem


def trained_objective(
    problem: Case, settings: Settings, trial: Trial, name: str, placement: Placement, unit: float = 1.0
) -> Objective:
    """Return the objective that training minimises.

    Args:
        problem: the problem.
        settings: how it is solved.
        trial: its trial space.
        name: name of the method, one of ``METHODS``.
        placement: where the steps work.
        unit: unit of the objective, > 0, in the unit of the problem file's functional.

    Raises:
        InputError: the problem cannot be stated in this form, or a method with curvature has fewer test functions than the last
            layer has functions. Some combination of these would then make the residual vanish, whatever the solution.
            First-order steps stay near their start, and may still do well with few test functions.
    """
    objective = make_objective(stated_problem(problem, trial, name), trial, placement, unit=unit, settings=settings)
    rows, columns = count_rows(objective), trial.network.outputs * (trial.network.layers[-2] + 1)
    if objective.test_space is not None and rows < columns and METHODS[name](settings).curved:
        raise InputError(
            f"{rows:,} test functions cannot distinguish {columns:,} functions of the last layer; raise test_space.degree, "
            "refine the mesh, or make the last hidden layer narrower",
            problem.source.place("test_space"),
        )
    return objective


def with_layers(settings: Settings, name: str) -> Settings:
    """Return the settings with the method's default hidden layers where they give none; unchanged for methods without steps.

    Args:
        settings: settings of the problem.
        name: name of the method, one of ``METHODS``.
    """
    method = METHODS[name](settings)
    if settings.network.layers is not None or isinstance(method, Direct):
        return settings
    network = settings.network.model_copy(update={"layers": method.layers})
    return settings.model_copy(update={"network": network})


def make_plan(name: str, settings: Settings, objective: Objective) -> Plan:
    """Return the plan of a run.

    Args:
        name: name of the method, one of ``METHODS``.
        settings: settings of the problem.
        objective: what is minimised.

    Raises:
        InputError: the settings do not fit the method or the objective.
    """
    solver, method = settings.solver, METHODS[name](settings)
    if isinstance(method, Langevin) and isinstance(method.temperature, float):
        method = replace(method, temperature=method.temperature / objective.unit)
    batching, samplers = make_batching(settings, objective, method)
    _check_method(name, settings, objective, method, bool(samplers))
    if isinstance(method, LeastSquares):
        _check_order(objective)
    if isinstance(method, Direct):
        return Plan(method, Schedule(1.0, 0, method.stages), samplers, tolerance=solver.tolerance)
    _check_size(name, method, objective, bool(samplers))
    steps = solver.steps or method.steps
    _check_settled(name, method, solver, samplers)
    moving = method.learning_rate is not None  # other methods choose the length of their steps themselves
    rate = (solver.learning_rate or method.learning_rate or 1.0) if moving else 1.0
    found = solver.warmup == "auto" and moving
    usual = "constant" if settings.batch.growth == Logarithmic.name else method.course  # annealing cools by larger batches
    course, warmup = (solver.schedule or usual, solver.warmup) if moving else ("constant", 0)
    return Plan(
        method,
        Schedule(rate, 0 if warmup == "auto" else warmup, steps, course, solver.decay),
        samplers,
        independent(objective, method),
        solver.clip if moving else None,
        solver.tolerance,
        solver.time_limit,
        EVERY[True] if method.settles else Plan.monitor_every,
        checkpoint_every=solver.checkpoint,
        warmup=found,
        probe=_probe(settings, objective, method) if samplers and (found or (batching is not None and batching.scaled)) else (),
        batching=batching,
        project=method.project if solver.project is None else solver.project,
        compressor=compressor_for(name, settings.parallel, objective.measures[0].network.layers),
    )


def _probe(settings: Settings, objective: Objective, method: Method) -> tuple[Sampler, ...]:
    """Return the samplers of the batch on which the curvature is measured, () for all points."""
    size, points = settings.batch.size, objective.batched[0].points.size
    wanted = max(PROBE, size) if isinstance(size, int) else PROBE
    return samplers_of(settings, objective, wanted, independent(objective, method)) if 2 * wanted < points else ()


def _check_settled(name: str, method: Method, solver: Solver, samplers: Sequence[Sampler]) -> None:
    """Refuse "auto" settings that the run cannot determine.

    Raises:
        InputError: names the setting.
    """
    if solver.clip == "auto" and (not samplers or method.curved):
        raise InputError(
            f'solver.clip = "auto" needs the noise of mini-batch gradients, which {name} on these points does not have; give a '
            "number, or leave it out"
        )
    if solver.warmup == "auto" and method.curved:
        raise InputError(f'solver.warmup = "auto" is for steps along gradients, which {name} does not take; give a number')


def _check_method(name: str, settings: Settings, objective: Objective, method: Method | Direct, drawn: bool) -> None:
    """Check that a method fits the settings and the objective.

    Raises:
        InputError: it does not.
    """
    solver = settings.solver
    if method.full and drawn:
        raise InputError(
            f'solver.method = "{name}" needs all points in every step; use "adam" with mini-batches, or batch.size = "full"'
        )
    if method.double and solver.precision != "float64":
        raise InputError(f'solver.method = "{name}" needs solver.precision = "float64", because its matrices are nearly singular')
    if method.curved and drawn and objective.estimator in ("two-batch", "u-statistic"):
        raise InputError(
            f'solver.method = "{name}" squares the residual of one batch, whose noise has to vanish at the solution, but '
            f'{objective.why}; use "adam", a strong form, or batch.estimator = "control-variate" or "plain"'
        )
    if isinstance(method, Direct):
        return
    if method.drawn and objective.test_space is None and not is_sum_of_squares(objective):
        raise InputError(
            f'solver.method = "{name}" minimises squares of residuals; use a strong or weak form, "adam" or "gauss-newton"'
        )
    if method.drawn and not drawn:
        raise InputError(f'solver.method = "{name}" works on mini-batches; set batch.size, say to 64, or use "gauss-newton"')
    if isinstance(method, Langevin) and method.temperature == "noise" and (not drawn or settings.batch.finish):
        raise InputError(
            'solver.temperature = "noise" needs a mini-batch in every step; give batch.size, and leave out batch.finish'
        )


def _check_order(objective: Objective) -> None:
    """Check that random features have all the derivatives in a form.

    Raises:
        InputError: they do not.
    """
    order = max((len(derivative) for m in objective.measures for derivative in m.derivatives), default=0)
    if order > HIGHEST_ORDER:
        raise InputError(
            f'solver.method = "least-squares" takes derivatives up to order {HIGHEST_ORDER}, got {order}; split the equation '
            'into several of lower order, or use "lbfgs"'
        )


def _check_size(name: str, method: Method, objective: Objective, drawn: bool) -> None:
    """Check that the method's matrices fit into memory: of all weights, or of the rows where these are fewer.

    Raises:
        InputError: they do not.
    """
    size = objective.measures[0].network.size
    side = objective.measures[0].network.size
    space = objective.test_space
    if isinstance(method, GaussNewton) and not drawn:
        if space is not None and 8 * space.size * size > ROWS_BYTES:
            raise InputError(
                f'solver.method = "{name}" stores {space.size:,} test functions × {size:,} weights, '
                f'{8e-9 * space.size * size:.1f} GB; use "lbfgs", or lower test_space.degree'
            )
        rows = count_rows(objective)
        if 8 * rows * size <= ROWS_BYTES and (space is not None or is_sum_of_squares(objective)):
            side = min(side, rows)
    if method.most is not None and side > method.most:
        raise InputError(
            f'solver.method = "{name}" stores matrices of {side:,}² numbers; use "lbfgs", or at most {method.most:,} weights'
        )
