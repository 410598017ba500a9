"""Tables of ``vpinn check``: what a run of a problem would do. Nothing is run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from vpinn.domain import Domain
from vpinn.features import DEGREES, Direct, LeastSquares
from vpinn.features.resolution import MOST_COLUMNS
from vpinn.march import on_elements
from vpinn.objective import Objective
from vpinn.optimization import Plan
from vpinn.output.formula import lowered_form
from vpinn.output.settled import planned
from vpinn.output.tables import Rows, beside_rows, imposed, imposed_texts, method_text, unused_rows
from vpinn.problem import Case, Problem, frozen_formulation, output_times, stated_in
from vpinn.problem.unknown import Unknown
from vpinn.trial import Trial


def problem_rows(
    problem: Case, trials: Sequence[Trial], objective: Objective, plan: Plan, memory: float, reason: str = "", time: str = ""
) -> Rows:
    """Return table rows about the run that a steady problem would start, for ``vpinn check``.

    Args:
        problem: The problem.
        trials: Its trial space, and others that a run compares with it.
        objective: Objective that training would minimise.
        plan: Method, steps and batches of training.
        memory: Memory that is needed at most [bytes].
        reason: Why the method of the plan was chosen.
        time: How long the run may take, in words; "" where that is not known.
    """
    space, trial = objective.test_space, trials[0]
    conditions, *others = (imposed_texts([imposed(part) for part in one.imposed]) for one in trials)
    conditions += [f"or {text}" for other in others for text in other if text not in conditions]
    residuals = [f"residual on {', '.join(c.on)}: penalty" for c in problem.boundary if c.residual is not None]
    layers = " → ".join(map(str, trial.network.layers))
    network = f"{layers}, {trial.network.activation}; {trial.network.size:,} parameters"
    per = [f"{m.points.size:,} {m.region.place}" for m in objective.measures]
    rows = [
        *_stated(problem),
        *_forms(problem),
        *_listed("condition", conditions + residuals),
        ("points", " and ".join(per)),
        ("batch", _batch(objective, plan)),
        ("network", _stages(problem, trial, plan.method) if isinstance(plan.method, Direct) else network),
        *beside_rows(None if trial.beside is None else {"degree": trial.beside.degree, "why": trial.beside.why}),
        *_listed("enriched by", problem.settings.network.enrich),
    ]
    if space is not None:
        kind = "bubbles" if problem.settings.test_space.kind == "bubbles" else "conforming elements"
        weights = 0 if isinstance(plan.method, Direct) else trial.network.size
        fewer = f", fewer than the {weights:,} weights: heed the final check on richer ones" if space.size < weights else ""
        rows.append(("test functions", f"{space.size:,} {kind} of degree {space.space.degree}{fewer}"))
    rows += [
        ("method", method_text(plan.method.name, reason)),
        ("steps", f"at most {plan.schedule.steps:,}"),
        *unused_rows(problem.settings, plan.method.name),
        *answer_rows(problem),
        *([("time", time)] if time else []),
        ("memory", f"up to about {memory / 1e6:,.0f} MB"),
    ]
    return rows


def answer_rows(problem: Problem) -> Rows:
    """Return rows about the fields and quantities that the problem file asks for."""
    answers = problem.answers
    shapes = {(): "scalar", (problem.domain.dimension,): "vector"}
    sizes = {name: "×".join(map(str, stated.ufl_shape)) for name, stated in answers.fields.items()}
    fields = [f"{name} ({shapes.get(stated.ufl_shape, sizes[name])})" for name, stated in answers.fields.items()]
    told = (("fields", fields), ("quantities", list(answers.quantities)))
    return [(label, ", ".join(names)) for label, names in told if names]


def rows_in_time(problem: Case) -> Rows:
    """Return table rows about the run that a problem in time would start, for ``vpinn check``."""
    clock = problem.time
    orders = {0: "no time derivative", 1: "first order in time", 2: "second order in time"}
    functions = "finite elements" if on_elements(problem) else "orthonormal random features"
    sides = [f"{', '.join(p.unknowns)} on {p.start} and {p.to}: periodic" for p in problem.periodic]
    unknowns = (
        f"{u.name} ({_size(u)}, {orders[clock.order(u.function, stated_in(problem.formulation))]})" for u in problem.unknowns
    )
    still = replace(problem, formulation=frozen_formulation(problem.formulation, {}, (clock.t,)))
    conditions = [f"{c.unknown} on {', '.join(c.on)}: exact" for c in problem.boundary]
    states = [f"{s.unknown} at t = {clock.start:g}: value{'' if s.rate is None else ' and rate'}" for s in problem.initial]
    times = output_times(problem)
    return [
        *_placed(problem),
        ("time", f"{clock.start:g} to {clock.end:g}, written at {len(times):,} instants"),
        ("unknowns", ", ".join(unknowns)),
        *_forms(still),
        *_listed("condition", conditions + sides + states),
        ("method", f"march in time on {functions}, refined until the error estimate meets the tolerance"),
        *unused_rows(problem.settings, "march"),
        *answer_rows(problem),
    ]


def _stated(problem: Problem) -> Rows:
    """Return the rows of title, domain and unknowns."""
    unknowns = (f"{u.name} ({_size(u)})" for u in problem.unknowns)
    return [*_placed(problem), ("unknowns", ", ".join(unknowns))]


def _placed(problem: Problem) -> Rows:
    """Return the rows of title and domain."""
    return [("problem", problem.title or "(no title)"), *_listed("domain", _domain(problem.domain))]


def _forms(problem: Problem) -> Rows:
    """Return the rows of the form, a line each."""
    return _listed(problem.formulation.name, (text for part in lowered_form(problem) for text in part.split("\n")))


def _size(unknown: Unknown) -> str:
    """Return the shape of an unknown in words."""
    return f"{unknown.components} components" if unknown.shape else "scalar"


def _listed(name: str, texts: Iterable[str]) -> Rows:
    """Return a row for every text, of which the first has the name."""
    return [(name if k == 0 else "", text) for k, text in enumerate(texts)]


def rows_in_many_dimensions(problem: Problem, spaces: Sequence[Trial]) -> Rows:
    """Return table rows about the run that a problem in many dimensions would start, for ``vpinn check``.

    Args:
        problem: The problem.
        spaces: Trial spaces that are compared.
    """
    conditions = [text for trial in spaces for text in imposed_texts([imposed(part) for part in trial.imposed])]
    d = problem.domain.dimension
    return [
        *_stated(problem),
        *_forms(problem),
        *(("condition" if k == 0 else "or", text) for k, text in enumerate(conditions)),
        ("points", "drawn, two for each function at first, and more until fresh points agree; none is stored"),
        ("functions", f"of one of {d} coordinates; of the {d * (d - 1) // 2:,} pairs, and of triples, as the residual asks for"),
        ("method", "least squares by functions of few coordinates, until the residual on fresh points meets the tolerance"),
    ]


def rows_of_eigenproblem(problem: Problem) -> Rows:
    """Return what would be done to find eigenvalues; runs nothing."""
    eigen = problem.eigen
    assert eigen is not None
    sides = {"a": problem, "m": replace(problem, formulation=eigen.mass)}
    conditions = [f"{c.unknown} on {', '.join(c.on)}: zero, at nodes" for c in problem.boundary]
    return [
        *_stated(problem),
        *((f"form {name}", text) for name, one in sides.items() for _, text in _forms(one)),
        *_listed("condition", conditions),
        ("eigenvalues", f"{eigen.count} nearest to {eigen.near:g}, where a(u, v) = λ m(u, v) for all v"),
        ("method", "elements of rising degree, and smaller cells where a mode is singular, until the eigenvalues are known well"),
        *answer_rows(problem),
    ]


def rows_of_inverse(problem: Problem) -> Rows:
    """Return what would be done to infer numbers and fields; runs nothing."""
    inverse = problem.inverse
    assert inverse is not None
    conditions = [f"{c.unknown} on {', '.join(c.on)}" for c in problem.boundary]
    inferred = []
    for one in inverse.inferred:
        low, high = one.section.lower, one.section.upper
        bounds = ([] if low is None else [f"above {low:g}"]) + ([] if high is None else [f"below {high:g}"])
        parts = ["a field" if one.field else "a number", *bounds, f"first guess {one.section.initial:g}"]
        inferred.append(f"{one.name}: {', '.join(parts)}")
    data = [
        f"{one.told}: {one.values.size:,} value{'s' * (one.values.size > 1)}, noise "
        + ("inferred" if one.noise is None else f"{one.noise:g}")
        for one in inverse.data
    ]
    return [
        *_stated(problem),
        *_forms(problem),
        *_listed("condition", conditions),
        *_listed("to infer", inferred),
        *_listed("data", data),
        ("method", "Gauss–Newton on elements of rising degree, until what is inferred no longer depends on them"),
    ]


def _stages(problem: Problem, trial: Trial, method: Direct) -> str:
    """Return which trial functions a direct method uses instead of the network of the problem file."""
    if not isinstance(method, LeastSquares):
        degrees = " → ".join(map(str, DEGREES[problem.domain.dimension]))
        return f"none; finite elements of degree {degrees}, until the error estimate is below {method.tolerance:g}"
    first, *_, last = (*method.widths, method.widths[-1])
    most = min(last, max(first, MOST_COLUMNS // trial.network.outputs))
    grows = f"{first:,}" if first == most else f"grows from {first:,} to at most {most:,}"
    until = "" if first == most else f" until the relative error is below {method.tolerance:g}"
    until += ", and further if that takes only a second or two" if until and method.aim < method.tolerance else ""
    return f"{grows} random features per component{until}"


def _batch(objective: Objective, plan: Plan) -> str:
    """Return how many points a step of training would use, and the estimator of its gradient."""
    if plan.batch_size is None:
        return "all points in every step"
    first = plan.batching is not None and plan.batching.first is None
    size = "measured before the first step" if first else f"{plan.batch_size:,} points per step"
    return f"{size}{planned(plan)}; estimator: {objective.estimator} ({objective.why})"


def _domain(domain: Domain) -> list[str]:
    """Return texts about the domain: cells, nodes, extent and tags."""
    lower, upper = domain.bounds
    names = domain.axes
    ranges = [f"{name} in [{low:.4g}, {high:.4g}]" for name, low, high in zip(names, lower, upper, strict=True)]
    span = ", ".join(ranges if len(ranges) <= 4 else [*ranges[:3], "…", ranges[-1]])
    tags = ", ".join(domain.tags[:-1][:20]) or "none"
    mesh = domain.mesh
    if mesh is None:
        return [f"{domain.kind} of {domain.dimension} dimensions without cells; {span}"]
    size = f"{mesh.n_cells:,} cells ({mesh.cell}, order {mesh.order}), {len(mesh.nodes):,} nodes"
    inner = f"; cell tags: {', '.join(domain.cell_tags)}" if domain.cell_tags else ""
    return [f"{size}, diameters {domain.h.min():.3g} to {domain.h.max():.3g}; {span}", f"boundary tags: {tags}{inner}"]
