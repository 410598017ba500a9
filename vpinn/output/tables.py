"""Tables about runs: `solution_rows` tells what a run did, `problem_rows` and `rows_in_time` what a run would do.

A table is a list of rows (label, text); an empty label continues the row above. The command line prints them (`as_table`), and
the HTML report shows the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.table import Table
from rich.text import Text

from vpinn.domain import Domain, Hypercube
from vpinn.features import DEGREES, Direct, LeastSquares
from vpinn.features.resolution import MOST_COLUMNS
from vpinn.march import frozen_formulation
from vpinn.objective import Objective
from vpinn.optimization import Plan
from vpinn.output.formats import coordinate_names
from vpinn.output.formula import lowered_form
from vpinn.output.settled import planned, settled_rows
from vpinn.problem import Problem, output_times, stated_in
from vpinn.solution import Solution
from vpinn.text import escaped
from vpinn.trial import Imposed, Trial

Rows = list[tuple[str, str]]

MOST_TAGS = 20
"""Largest number of strata in the table, which are those with the largest variance."""
FAILED = "CHECK FAILED: "
"""Beginning of the text about a failed check."""
_STOPPED = {
    "grown": "more trial functions would gain too little, or be too many",
    "steps": "all steps taken",
    "tolerance": "the tolerance is met",
    "converged": "converged, steps no longer changed the parameters",
    "time limit": "the time limit was reached",
    "signal": "stopped by a signal",
    "collapse": "the time steps became too small",
}


def solution_rows(solution: Solution) -> Rows:
    """Return table rows about a finished or unfinished run: method, conditions, sizes, errors, time, and failed checks."""
    metrics = solution.metrics
    seconds = metrics.get("seconds", {})
    rows = [
        ("problem", solution.problem.title or "(no title)"),
        ("method", _method(metrics.get("method", "?"), metrics.get("method_reason", ""))),
        *(("condition" if k == 0 else "", text) for k, text in enumerate(_imposed_texts(metrics.get("imposed", [])))),
        *_beside(metrics.get("beside")),
        ("points", _points(metrics)),
        *settled_rows(metrics.get("policy", {})),
        *_strata(metrics.get("strata", [])),
        ("parameters", f"{metrics.get('parameters', solution.trial.network.size):,}"),
        ("steps", _steps(metrics, len(solution.history))),
    ]
    for name, found in metrics.get("enrich", {}).items():
        rows += [(f"{name} enriched" if k == 0 else "", f"{c:.8g} · {text}") for k, (text, c) in enumerate(found.items())]
    if metrics.get("loss") is not None:
        rows.append(("loss", f"{metrics['loss']:.6e}"))
    if "measured" in (walk := metrics.get("walk", {})):
        rows.append(("Langevin chain", _walk(walk)))
    if metrics.get("errors_against") != "elements":  # if not, the rows about the elements have the difference
        rows += [(f"error of {name}", _error(found)) for name, found in solution.errors.items()]
    if "assessed_cells" in metrics and not solution.error_estimate:
        rows.append(("error estimate", 'none: the form has no equations at points; solver.assessment = "full" uses all cells'))
    if "fem" in metrics:
        rows += _finite_elements(metrics["fem"])
    if solution.error_estimate:
        rows.append(("error estimate", _estimate(solution.error_estimate, metrics.get("assessed_cells"))))
    if seconds:
        parts = ", ".join(f"{name} {seconds[name]:.1f}" for name in ("setup", "solve", "assessment") if name in seconds)
        rows.append(("time", f"{seconds['total']:.1f} s ({parts})"))
    if "peak_memory_mb" in metrics:
        rows.append(("peak memory", f"{metrics['peak_memory_mb']:,.0f} MB"))
    return rows + [("", text) for text in failed_checks(solution)]


def failed_checks(solution: Solution) -> list[str]:
    """Return one text per check that the solution failed; empty if it passed all of them."""
    return [FAILED + check for check in solution.metrics.get("checks", [])]


def problem_rows(problem: Problem, trial: Trial, objective: Objective, plan: Plan, memory: float, reason: str = "") -> Rows:
    """Return table rows about the run that a steady problem would start, for ``vpinn check``.

    Args:
        problem: The problem.
        trial: Its trial space.
        objective: Objective that training would minimise.
        plan: Method, steps and batches of training.
        memory: Expected peak memory [bytes].
        reason: Why the method of the plan was chosen.
    """
    space = objective.test_space
    unknowns = (f"{u.name} ({'scalar' if not u.shape else f'{u.components} components'})" for u in problem.unknowns)
    forms = enumerate(text for part in lowered_form(problem) for text in part.split("\n"))
    imposed = _imposed_texts([_imposed(part) for part in trial.imposed])
    residuals = [f"residual on {', '.join(c.on)}: penalty" for c in problem.boundary if c.residual is not None]
    layers = " → ".join(map(str, trial.network.layers))
    network = f"{layers}, {trial.network.activation}; {trial.network.size:,} parameters"
    per = [f"{m.points.size:,} {'on the boundary' if m.facet else 'inside'}" for m in objective.measures]
    rows = [
        ("problem", problem.title or "(no title)"),
        *(("domain" if k == 0 else "", text) for k, text in enumerate(_domain(problem.domain))),
        ("unknowns", ", ".join(unknowns)),
        *((problem.formulation.name if k == 0 else "", text) for k, text in forms),
        *(("condition" if k == 0 else "", text) for k, text in enumerate(imposed + residuals)),
        ("points", " and ".join(per)),
        ("batch", _batch(objective, plan)),
        ("network", _stages(problem, trial, plan.method) if isinstance(plan.method, Direct) else network),
        *_beside(None if trial.beside is None else {"degree": trial.beside.degree, "why": trial.beside.why}),
        *(("enriched by" if k == 0 else "", text) for k, text in enumerate(problem.settings.network.enrich)),
    ]
    if space is not None:
        kind = "bubbles" if problem.settings.test_space.kind == "bubbles" else "conforming elements"
        weights = 0 if isinstance(plan.method, Direct) else trial.network.size
        fewer = f", fewer than the {weights:,} weights: heed the final check on richer ones" if space.size < weights else ""
        rows.append(("test functions", f"{space.size:,} {kind} of degree {space.space.degree}{fewer}"))
    rows += [
        ("method", _method(plan.method.name, reason)),
        ("steps", f"at most {plan.schedule.steps:,}"),
        ("memory", f"about {memory / 1e6:,.0f} MB"),
    ]
    return rows


def rows_in_time(problem: Problem) -> Rows:
    """Return table rows about the run that a problem in time would start, for ``vpinn check``."""
    clock = problem.clock
    assert clock is not None
    orders = {1: "first", 2: "second"}
    unknowns = (
        f"{u.name} ({'scalar' if not u.shape else f'{u.components} components'}, "
        f"{orders[clock.order(u.function, stated_in(problem.formulation))]} order in time)"
        for u in problem.unknowns
    )
    still = replace(problem, formulation=frozen_formulation(problem.formulation, {}, (clock.t,)))
    forms = enumerate(text for part in lowered_form(still) for text in part.split("\n"))
    conditions = [f"{c.unknown} on {', '.join(c.on)}: exact" for c in problem.boundary]
    states = [f"{s.unknown} at t = {clock.start:g}: value{'' if s.rate is None else ' and rate'}" for s in problem.initial]
    times = output_times(problem)
    return [
        ("problem", problem.title or "(no title)"),
        *(("domain" if k == 0 else "", text) for k, text in enumerate(_domain(problem.domain))),
        ("time", f"{clock.start:g} to {clock.end:g}, written at {len(times):,} instants"),
        ("unknowns", ", ".join(unknowns)),
        *((problem.formulation.name if k == 0 else "", text) for k, text in forms),
        *(("condition" if k == 0 else "", text) for k, text in enumerate(conditions + states)),
        ("method", "march in time on orthonormal random features, refined until the error estimate meets the tolerance"),
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
    unused = "; the layers of [network] are not used" if "layers" in problem.settings.network.model_fields_set else ""
    return f"{grows} random features per component{until}{unused}"


def as_table(rows: Rows, files: Mapping[str, str] | None = None) -> Table:
    """Return rows as a table for the console, with failed checks in red; ``files`` (label → path) are appended as rows."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for label, text in [*rows, *(files or {}).items()]:
        table.add_row(Text(escaped(label)), Text(escaped(text), style="bold red" if text.startswith(FAILED) else ""))
    return table


def _batch(objective: Objective, plan: Plan) -> str:
    """Return how many points a step of training would use, and the estimator of its gradient."""
    if plan.batch_size is None:
        return "all points in every step"
    first = plan.batching is not None and plan.batching.first is None
    size = "measured before the first step" if first else f"{plan.batch_size:,} points per step"
    return f"{size}{planned(plan)}; estimator: {objective.estimator} ({objective.why})"


def _method(name: str, reason: str) -> str:
    return f"{name}, {reason}" if reason else name


def _beside(found: Mapping[str, Any] | None) -> Rows:
    """Return the row about a finite element solution that is added to the network; none if there is no such solution."""
    return [] if found is None else [("elements", f"of degree {found['degree']}, added to the network: {found['why']}")]


def _imposed(part: Imposed) -> dict[str, Any]:
    condition = part.condition
    return {"on": condition.on, "unknown": condition.unknown, "component": part.component, "how": part.how, "why": part.why}


def _imposed_texts(imposed: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one text per boundary condition and way to impose it; components imposed in the same way share a text."""
    alike: dict[tuple[Any, ...], list[int]] = {}
    for part in imposed:
        key = (part["unknown"], tuple(part["on"]), part["how"], part["why"])
        alike.setdefault(key, []).append(part["component"])
    texts = []
    for (unknown, on, how, why), found in alike.items():
        which = f" (component{'s' * (len(found) > 1)} {', '.join(map(str, found))})" if found != [0] else ""
        texts.append(f"{unknown}{which} on {', '.join(on)}: {how}, {why}")
    return texts


def _steps(metrics: Mapping[str, Any], rows: int) -> str:
    """Return the number of steps, the best of them if it is not the last, and why the run ended."""
    steps = metrics.get("steps", rows)
    best = metrics.get("best_step", steps)
    other = "" if best == steps else f", the best of which is step {best:,}"
    return f"{steps:,}{other}: {_STOPPED.get(metrics.get('stopped', ''), 'unfinished')}"


def _points(metrics: Mapping[str, Any]) -> str:
    """Return the number of quadrature points, how many of them a step uses, and the number of test functions."""
    batch, changes = metrics.get("batch_size", "full"), "batch" in metrics.get("policy", {})
    drawn = "in batches" if changes else "all in every step" if batch == "full" else f"{batch:,} per step"
    text = f"{metrics.get('quadrature_points', 0):,}, {drawn}"
    tests, directions = metrics.get("test_functions"), (metrics.get("tests") or {}).get("directions")
    return text + (f"; {tests:,} test functions" if tests else "") + (f" for {directions:,} weights" if directions else "")


def _strata(found: Sequence[Mapping[str, Any]]) -> Rows:
    """Return rows about strata by tag: share W of the domain, n points, deviation σ of the gradient, share of Σ W²σ²/n."""
    noise = [(s["share"] * s["deviation"]) ** 2 / s["points"] for s in found]
    rows: Rows = []
    for k in sorted(range(len(found)), key=lambda k: -noise[k])[:MOST_TAGS]:
        s, part = found[k], 100.0 * noise[k] / sum(noise) if sum(noise) else 0.0
        told = f"{s['tag']}: {100 * s['share']:.3g} % of the {s['measure']}, {s['points']:,} points, deviation of the gradient"
        rows.append(("" if rows else "strata by tag", f"{told} {s['deviation']:.2e}, {part:.0f} % of the variance"))
    return rows + ([("", f"and {len(found) - MOST_TAGS:,} more in metrics.json")] if len(found) > MOST_TAGS else [])


def _walk(walk: Mapping[str, Any]) -> str:
    """Return the text about a Langevin chain: directions, acceptance, set and measured temperature, independent samples."""
    measured = f"T = {walk['temperature']:.2e}, measured {walk['measured']:.2f} ± {walk['standard_error']:.2f} times T"
    where = f"in {walk['directions']} direction{'s' * (walk['directions'] != 1)}, {100 * walk['accepted']:.0f} % accepted"
    held = f"; {100 * walk['held']:.0f} % of the field's variance from directions not sampled" if "held" in walk else ""
    return f"{where}; {measured}; {walk['independent']:.0f} independent samples{held}"


def _error(found: Mapping[str, float]) -> str:
    named = (("relative_l2", "L²"), ("relative_h1", "H¹"), ("relative_l2_final", "L² at the end"))
    return f"{', '.join(f'{name} {found[key]:.2e}' for key, name in named if key in found)} (relative)"


def _finite_elements(fem: Mapping[str, Any]) -> Rows:
    """Return rows about the finite element solution of the same form: its size, its error, and the network's distance from it."""
    size = f"degree {fem['degree']}, refined {fem['refine']}×, {fem['dofs']:,} unknowns, {fem['seconds']:.2f} s"
    own = [f"error of {name} in elements: {_error(found)}" for name, found in fem["errors"].items()]
    between = [f"difference of {name} from elements: {_error(found)}" for name, found in fem["difference"].items()]
    return [("finite elements" if k == 0 else "", text) for k, text in enumerate([size, *own, *between])]


def _estimate(found: Mapping[str, Any], cells: Mapping[str, int] | None) -> str:
    """Return the text about the error estimate, with its confidence interval if it was computed on drawn cells."""
    text = f"{found.get('relative_energy', math.nan):.2e} of the {'flux' if 'relative_energy_final' not in found else 'H¹ norm'}"
    if cells and "interval" in found:
        low, high = found["interval"]
        text += f" ({low:.1e} to {high:.1e}, from {cells['drawn']:,} of {cells['of']:,} cells)"
    text += "".join(f", L² of {name} {value:.2e}" for name, value in found.get("relative_l2", {}).items()) + " (relative)"
    effectivity = found.get("effectivity")
    return text if effectivity is None else f"{text}, effectivity {effectivity:.3f}"


def _domain(domain: Domain) -> list[str]:
    """Return texts about the domain: cells, nodes, extent and tags."""
    lower, upper = domain.bounds
    names = coordinate_names(domain.dimension)
    ranges = [f"{name} in [{low:.4g}, {high:.4g}]" for name, low, high in zip(names, lower, upper, strict=True)]
    span = ", ".join(ranges if len(ranges) <= 4 else [*ranges[:3], "…", ranges[-1]])
    tags = ", ".join(domain.tags[:-1][:20]) or "none"
    if isinstance(domain, Hypercube):
        return [f"box of {domain.dimension} dimensions without cells; {span}"]
    size = f"{domain.n_cells:,} cells ({domain.cell}, order {domain.order}), {len(domain.nodes):,} nodes"
    inner = f"; cell tags: {', '.join(domain.cell_tags)}" if domain.cell_tags else ""
    return [f"{size}, diameters {domain.h.min():.3g} to {domain.h.max():.3g}; {span}", f"boundary tags: {tags}{inner}"]
